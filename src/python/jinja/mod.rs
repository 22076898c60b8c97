//! Templates of prompts: Jinja as the reference harness runs it in Python.
//!
//! Undefined names are errors, a trailing line end is kept, nothing is escaped, blocks are not trimmed, and
//! values print as Python prints them. `\r\n` and `\r` in the template's own text become `\n`. A template
//! from a stranger's file is bounded in its steps and its nesting, though not in the memory of its texts.

mod filters;

use std::fmt::Write as _;

use super::{repr, text};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

/// Instructions that one rendering may use; real prompts use a few hundred.
const FUEL: u64 = 2_000_000;
/// How deep blocks and macros may nest.
const RECURSION: usize = 64;
/// The name under which an environment holds its one template.
const NAME: &str = "template";

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    env: Environment<'static>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong with its syntax, in words.
    pub fn new(source: &str) -> Result<Self, String> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        env.set_syntax(syntax.map_err(|e| describe(&e))?);
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(RECURSION);
        env.set_unknown_method_callback(text::method);
        env.set_formatter(|out, _, value| {
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            match value.as_str() {
                Some(text) => out.write_str(text).map_err(Error::from),
                None => out.write_str(&repr::repr(value)).map_err(Error::from),
            }
        });
        filters::install(&mut env);
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        env.add_template_owned(NAME, source).map_err(|e| describe(&e))?;
        Ok(Self { env })
    }

    /// Fills the template with the fields of a document (a map).
    ///
    /// # Errors
    /// Missing fields, failing methods, too much work; in words.
    pub fn render(&self, document: &Value) -> Result<String, String> {
        let template = self.env.get_template(NAME).map_err(|e| describe(&e))?;
        template.render(document.clone()).map_err(|e| describe(&e))
    }
}

/// A JSON value as a template value; maps keep their order.
pub fn to_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Number(number) => {
            let integer = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
            integer.unwrap_or_else(|| Value::from(number.as_f64().unwrap_or(f64::NAN)))
        }
        serde_json::Value::Array(items) => Value::from(items.iter().map(to_value).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => document_value(map),
    }
}

/// The fields of a document as the variables of a template.
pub fn document_value(document: &serde_json::Map<String, serde_json::Value>) -> Value {
    Value::from_pairs(document.iter().map(|(key, value)| (key.as_str(), to_value(value))))
}

/// The error with the line of the template, without the name of the template that users never gave.
fn describe(error: &Error) -> String {
    let mut said = error.kind().to_string();
    if let Some(detail) = error.detail() {
        let _ = write!(said, ": {detail}");
    }
    if let Some(line) = error.line() {
        let _ = write!(said, " (template line {line})");
    }
    if error.kind() == ErrorKind::UndefinedError && error.detail().is_none() {
        said.push_str("; the template names a field that the document does not have");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str, document: serde_json::Value) -> Result<String, String> {
        Template::new(template)?.render(&to_value(&document))
    }

    #[test]
    fn prompts_of_the_known_suites() {
        let document = json!({"question": " What? ", "choices": ["a", "b"], "answer": 1});
        let template = "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nAnswer:";
        assert_eq!(render(template, document).unwrap(), "What?\nA. a\nB. b\nAnswer:");
        let arc = json!({"choices": {"text": ["x", "it's"], "label": ["A", "B"]}, "answerKey": "B "});
        assert_eq!(render("{{choices.text}}", arc.clone()).unwrap(), "['x', \"it's\"]");
        assert_eq!(render("{{choices.label.index(answerKey.rstrip())}}", arc.clone()).unwrap(), "1");
        assert!(render("{{choices.label.index('Z')}}", arc).unwrap_err().contains("not in the list"));
        let lambada = json!({"text": "one two three"});
        assert_eq!(render("{{text.split(' ')[:-1]|join(' ')}}", lambada.clone()).unwrap(), "one two");
        assert_eq!(render("{{' '+text.split(' ')[-1]}}", lambada).unwrap(), " three");
        assert_eq!(render("{{ (label|int) - 1 }}", json!({"label": "3"})).unwrap(), "2");
        assert_eq!(render("{{['A', 'B'].index(a)}}", json!({"a": "B"})).unwrap(), "1");
        assert_eq!(render("{{[s1, s2]}}", json!({"s1": "a\n", "s2": "b"})).unwrap(), "['a\\n', 'b']");
    }

    #[test]
    fn white_space_and_line_ends() {
        assert_eq!(render("a\r\n{% if true %}\nb\n{% endif %}\n", json!({})).unwrap(), "a\n\nb\n\n");
        assert_eq!(render("{{x}}\n", json!({"x": "1\r\n"})).unwrap(), "1\r\n\n");
    }

    #[test]
    fn values_print_as_python() {
        let document = json!({"a": true, "b": null, "c": 1.0, "d": {"k": [1]}});
        assert_eq!(render("{{a}} {{b}} {{c}} {{d}}", document.clone()).unwrap(), "True None 1.0 {'k': [1]}");
        assert_eq!(render("{{a|string + d|string}}", document).unwrap(), "True{'k': [1]}");
        assert_eq!(render("{{(1, 'a')}} {{range(3)|list}}", json!({})).unwrap(), "(1, 'a') [0, 1, 2]");
    }

    #[test]
    fn undefined_names_are_errors_but_can_be_asked_for() {
        assert!(render("{{nothing}}", json!({})).is_err());
        assert!(render("{{a.b}}", json!({"a": {}})).is_err());
        let template = "{% if x is defined %}yes{% elif y is none %}no{% endif %}";
        assert_eq!(render(template, json!({"y": null})).unwrap(), "no");
        assert_eq!(render("{{'a' if x is undefined else 'b'}}", json!({})).unwrap(), "a");
    }

    #[test]
    fn constructs_of_the_census() {
        let document = json!({"n": 3, "s": "1-2", "l": ["b", "a"], "k": "2"});
        for (template, wanted) in [
            ("{% for i in range(n) %}{{loop.index}}{% if not loop.last %},{% endif %}{% endfor %}", "1,2,3"),
            ("{% set x = l|length %}{{x - 1}}", "1"),
            ("{{s.split('-')[1]}}{{s[0]}}{{s[:1]}}{{s[-1]}}{{l[1:]}}", "2112['a']"),
            ("{{'ABCD'[k|int - 1]}}", "B"),
            ("{{'x' if k in '123' else 'y'}}", "x"),
            ("{{l|map('upper')|join('/')}}", "B/A"),
            ("{{s|replace('-', '+')|trim}}", "1+2"),
            ("{{s|regex_replace('(\\\\d)-', '\\\\1~')}}", "1~2"),
            ("{{'%s' % n if false else n|string}}", "3"),
            ("{{'abc'|int}}{{'3.7'|int}}{{', '.join(l)}}", "03b, a"),
        ] {
            assert_eq!(render(template, document.clone()).unwrap(), wanted, "{template}");
        }
    }

    #[test]
    fn runaway_templates_stop() {
        let said = render(
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            json!({}),
        );
        assert!(said.unwrap_err().contains("fuel"));
    }
}
