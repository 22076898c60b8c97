//! How answers are written.

use serde_json::{Map, Number, Value};

use crate::run::Options;

/// How answers are written.
#[derive(Debug, Clone, clap::Args)]
pub struct WritingFlags {
    /// How answers are written, over what the task files say: max_gen_toks=64,until=END, or an object of JSON
    #[arg(long, alias = "gen_kwargs", value_name = "KEY=VALUE,…", value_parser = parse_gen_kwargs)]
    pub gen_kwargs: Option<GenKwargs>,
    /// Write answers, cut and filter them, and grade nothing
    #[arg(long, alias = "predict_only")]
    pub predict_only: bool,
}

impl WritingFlags {
    /// The options of a run with these.
    pub fn in_options(&self, options: Options) -> Options {
        let gen_kwargs = self.gen_kwargs.clone().unwrap_or_default().0;
        Options { gen_kwargs, predict_only: self.predict_only, ..options }
    }
}

/// Settings of writing, by their names in task files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenKwargs(pub Map<String, Value>);

/// Reads `key=value,…` as the reference harness does (`true`, `false` and `none`, numbers, else text), or an object of JSON.
fn parse_gen_kwargs(text: &str) -> Result<GenKwargs, String> {
    if text.trim_start().starts_with('{') {
        let object = serde_json::from_str(text).map(GenKwargs);
        return object.map_err(|error| format!("expected an object of JSON: {error}"));
    }
    let pair = |pair: &str| {
        let expected = || format!("expected KEY=VALUE, found {pair:?} (an object of JSON can hold commas)");
        let (key, value) =
            pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()).ok_or_else(expected)?;
        let value = match value.to_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "none" => Value::Null,
            number => match serde_json::from_str::<Number>(number) {
                Ok(number) => Value::Number(number),
                Err(_) => Value::String(value.to_owned()),
            },
        };
        Ok((key.trim().to_owned(), value))
    };
    text.split(',').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>().map(GenKwargs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_the_reference_harness_reads_them() {
        for (text, expected) in [
            (
                "max_gen_toks=64,do_sample=False,until=END",
                json!({"max_gen_toks": 64, "do_sample": false, "until": "END"}),
            ),
            ("temperature=0.7, top_p=none", json!({"temperature": 0.7, "top_p": null})),
            (r#"{"until": ["a,b", "\n"]}"#, json!({"until": ["a,b", "\n"]})),
            ("", json!({})),
        ] {
            let found = parse_gen_kwargs(text).map(|kwargs| Value::Object(kwargs.0));
            assert_eq!(found, Ok(expected), "{text}");
        }
        for (text, words) in [("max_gen_toks", "KEY=VALUE"), ("=3", "KEY=VALUE"), ("{3}", "object of JSON")] {
            assert!(parse_gen_kwargs(text).unwrap_err().contains(words), "{text}");
        }
    }
}
