//! `generation_kwargs`: when a model stops writing, how much it writes and how it picks its tokens.
//!
//! Defaults are those of lm-evaluation-harness 0.4.13 with its `hf` backend.

use serde_json::{Map, Value};

use super::task::TaskConfig;
use crate::prompts::cut;

/// How many tokens are written where a task does not say.
pub const DEFAULT_MAX_GEN_TOKS: usize = 256;
/// The names under which task files give the number of tokens; the first that is there counts.
const LENGTHS: [&str; 4] = ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"];

/// How a model is to write its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Texts that end an answer and are not part of it; the end-of-sequence token ends it in any case.
    pub until: Vec<String>,
    /// Tokens of an answer, at most.
    pub max_gen_toks: usize,
    /// The temperature; 0 means that the most probable token is taken.
    pub temperature: f64,
    /// Whether that was said, rather than left at 0.
    pub says_temperature: bool,
    /// How many answers are written to each prompt.
    pub repeats: usize,
    /// Everything else that the task says, such as `top_p`.
    pub other: Map<String, Value>,
}

impl Generation {
    /// The settings of a task of the type `generate_until`.
    ///
    /// # Errors
    /// The key below `generation_kwargs` and what is wrong with its value.
    pub fn of(config: &TaskConfig) -> Result<Self, (String, String)> {
        let mut other = config.generation_kwargs.clone().unwrap_or_default();
        let fail = |key: &str, expected: &str, found: &Value| {
            (format!("generation_kwargs.{key}"), format!("expected {expected}, found {found}"))
        };
        let until = match other.remove("until") {
            None | Some(Value::Null) => vec![config.fewshot_delimiter.clone()],
            Some(Value::String(stop)) => vec![stop],
            Some(Value::Array(stops)) => stops
                .iter()
                .map(|stop| stop.as_str().map(str::to_owned).ok_or_else(|| fail("until", "texts", stop)))
                .collect::<Result<_, _>>()?,
            Some(found) => return Err(fail("until", "a text or a list of texts", &found)),
        };
        let mut max_gen_toks = None;
        for key in LENGTHS {
            let Some(value) = other.remove(key).filter(|_| max_gen_toks.is_none()) else { continue };
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
            max_gen_toks = Some(number.ok_or_else(|| fail(key, "a whole number above 0", &value))?);
        }
        let temperature = match other.remove("temperature") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let number = value.as_f64().filter(|t| t.is_finite() && *t >= 0.0);
                Some(number.ok_or_else(|| fail("temperature", "a number from 0", &value))?)
            }
        };
        let says_temperature =
            temperature.is_some() || other.get("do_sample").is_some_and(|value| !value.is_null());
        let temperature = match other.remove("do_sample") {
            Some(Value::Bool(false)) => 0.0,
            // Sampling without a temperature is sampling at 1.
            Some(Value::Bool(true)) => temperature.unwrap_or(1.0),
            None | Some(Value::Null) => temperature.unwrap_or(0.0),
            Some(found) => return Err(fail("do_sample", "true or false", &found)),
        };
        Ok(Self {
            until: until.into_iter().filter(|stop| !stop.is_empty()).collect(),
            max_gen_toks: max_gen_toks.unwrap_or(DEFAULT_MAX_GEN_TOKS),
            temperature,
            says_temperature,
            repeats: config.repeats.max(1),
            other,
        })
    }

    /// The answer without what follows the first stop: each stop in turn cuts what the ones before left.
    pub fn cut<'t>(&self, text: &'t str) -> &'t str {
        cut(text, &self.until).unwrap_or(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(kwargs: Value) -> Result<Generation, (String, String)> {
        let kwargs = kwargs.as_object().cloned();
        Generation::of(&TaskConfig { generation_kwargs: kwargs, ..TaskConfig::default() })
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let default = settings(Value::Null).unwrap();
        assert_eq!(
            (default.until, default.max_gen_toks, default.temperature),
            (vec!["\n\n".into()], 256, 0.0)
        );
        let own = settings(json!({"until": ["Q:", ""], "max_tokens": 9, "max_gen_toks": 5, "top_p": 0.9}));
        let own = own.unwrap();
        assert_eq!((own.until, own.max_gen_toks), (vec!["Q:".to_owned()], 5));
        assert_eq!(own.other, json!({"top_p": 0.9}).as_object().cloned().unwrap());
    }

    #[test]
    fn sampling_is_a_temperature() {
        let temperature = |kwargs| settings(kwargs).unwrap().temperature;
        assert_eq!(temperature(json!({"do_sample": false, "temperature": 0.7})), 0.0);
        assert_eq!(temperature(json!({"do_sample": true})), 1.0);
        assert_eq!(temperature(json!({"temperature": 0.7})), 0.7);
        let says = |kwargs| settings(kwargs).unwrap().says_temperature;
        assert!(says(json!({"do_sample": false})) && says(json!({"temperature": 0})));
        assert!(!says(json!({"do_sample": null, "max_gen_toks": 3})) && !says(Value::Null));
    }

    #[test]
    fn wrong_values_are_named() {
        for (kwargs, key) in [
            (json!({"until": 3}), "generation_kwargs.until"),
            (json!({"max_new_tokens": 0}), "generation_kwargs.max_new_tokens"),
            (json!({"temperature": -1}), "generation_kwargs.temperature"),
            (json!({"do_sample": "no"}), "generation_kwargs.do_sample"),
        ] {
            assert_eq!(settings(kwargs).unwrap_err().0, key);
        }
    }

    #[test]
    fn stops_cut_in_turn() {
        let generation = settings(json!({"until": ["b", "\n"]})).unwrap();
        assert_eq!(generation.cut("a\nxb\ny"), "a");
        assert_eq!(generation.cut("none"), "none");
    }
}
