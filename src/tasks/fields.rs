//! `doc_to_text`, `doc_to_target`, `doc_to_choice`: from a document to the parts of its prompt.
//!
//! A text that equals a column name stands for that column as it is; any other text is a template. What a
//! template gives is then read as the reference harness reads it: digits are an index where there are
//! choices, a list in brackets is a list of targets, and choices are a Python list.

use minijinja::Value as TemplateValue;
use serde_json::Value;

use super::document::Document;
use super::error::TaskError;
use super::native::{self, FieldFn};
use super::schema::Field;
use super::suite::Task;
use crate::python::jinja::{Program, Template, describe};
use crate::python::literal;
use crate::python::print::{repr_data, to_value};

/// A document with its fields as template variables, converted once.
#[derive(Debug, Clone)]
pub(super) struct Doc<'d> {
    /// The document's columns; templates see them as variables.
    pub columns: &'d Document,
    variables: TemplateValue,
}

impl<'d> Doc<'d> {
    /// Prepares a document for templates.
    pub fn new(columns: &'d Document) -> Self {
        let variables = columns.iter().map(|(key, value)| (key.as_str(), to_value(value)));
        Self { columns, variables: TemplateValue::from_pairs(variables) }
    }
}

/// What is wrong with a document: the field of the task, and words.
pub(super) type Wrong = (&'static str, String);

/// A field of a task, ready to be applied to documents.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    key: &'static str,
    way: Way,
}

/// How a field is made.
#[derive(Debug, Clone)]
enum Way {
    /// The value of a column.
    Column(String),
    /// A template to fill.
    Template(Box<Template>),
    /// The same value for all documents.
    Constant(Value),
    /// A native function.
    Native(FieldFn),
}

impl Maker {
    /// Makes the field under a key ready; `columns` are those of the evaluated split.
    ///
    /// # Errors
    /// Templates that do not parse and functions without a native counterpart.
    pub fn new(task: &Task, key: &'static str, field: &Field, columns: &[String]) -> Result<Self, TaskError> {
        let way = match field {
            Field::Template(text) if columns.contains(text) => Way::Column(text.clone()),
            Field::Template(text) => {
                let wrong = |error| task.wrong(key, format!("not a readable template: {}", describe(&error)));
                Way::Template(Box::new(Template::new(text, Program::LmEval).map_err(wrong)?))
            }
            Field::Constant(value) => Way::Constant(value.clone()),
            Field::Function(function) => Way::Native(native::field(function)?),
        };
        Ok(Self { key, way })
    }

    /// The value of the field for a document, as `read` understands it, which also sees whether a template wrote it.
    fn read<T>(
        &self,
        doc: &Doc<'_>,
        read: impl FnOnce(Value, bool) -> Result<T, String>,
    ) -> Result<T, Wrong> {
        let value = match &self.way {
            Way::Column(name) => {
                let missing =
                    || format!("the document has no column {name:?}; it has {}", names(doc.columns));
                doc.columns.get(name).cloned().ok_or_else(missing)
            }
            Way::Template(template) => {
                let wrong = |e| format!("{}; columns: {}", describe(&e), names(doc.columns));
                template.render(&doc.variables).map(Value::String).map_err(wrong)
            }
            Way::Constant(value) => Ok(value.clone()),
            Way::Native(call) => call(doc.columns),
        };
        let of_template = matches!(self.way, Way::Template(_));
        value.and_then(|value| read(value, of_template)).map_err(|message| (self.key, message))
    }

    /// The question, or an index into the choices (several contexts instead of several continuations).
    pub fn text(&self, doc: &Doc<'_>, has_choices: bool) -> Result<FieldPart, Wrong> {
        self.read(doc, |value, of_template| match value {
            Value::String(text) if of_template && has_choices && is_digits(&text) => index(&text),
            value => Ok(part(value)),
        })
    }

    /// The answer: a text, an index, or a list of either.
    pub fn target(&self, doc: &Doc<'_>, has_choices: bool) -> Result<FieldPart, Wrong> {
        self.read(doc, |value, of_template| match value {
            Value::String(text) if of_template && has_choices && is_digits(&text) => index(&text),
            Value::String(text) if of_template && text.starts_with('[') && text.ends_with(']') => {
                match literal::parse(&text) {
                    Ok(Value::Array(items)) => Ok(FieldPart::List(items, Some(text))),
                    _ => Ok(FieldPart::Text(text)),
                }
            }
            value => Ok(part(value)),
        })
    }

    /// The choices: a list of texts.
    pub fn choices(&self, doc: &Doc<'_>) -> Result<Vec<String>, Wrong> {
        self.read(doc, |value, of_template| {
            let items = match value {
                Value::String(text) if of_template => literal::parse(&text)?,
                Value::Object(map) if matches!(self.way, Way::Constant(_)) => {
                    Value::Array(map.into_iter().map(|(_, choice)| choice).collect())
                }
                value => value,
            };
            let Value::Array(items) = items else {
                return Err(format!("expected a list of choices, found {}", shown(&items)));
            };
            let text = |item| match item {
                Value::String(text) => Ok(text),
                other => Err(format!("expected choices that are texts, found {}", shown(&other))),
            };
            items.into_iter().map(text).collect()
        })
    }

    /// A plain text: `description` or `gen_prefix`.
    pub fn plain(&self, doc: &Doc<'_>) -> Result<String, Wrong> {
        self.read(doc, |value, _| match value {
            Value::String(text) => Ok(text),
            Value::Null => Ok(String::new()),
            other => Err(format!("expected a text, found {}", shown(&other))),
        })
    }
}

/// What a field gives for one document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldPart {
    /// A text: a question, an answer, or the choice that is right.
    Text(String),
    /// An index into the choices.
    Index(i64),
    /// A boolean; in Python it is an index too, and prints as `True` or `False`.
    Flag(bool),
    /// Several targets, and the text that they were read from, if it was a text that looks like a list.
    List(Vec<Value>, Option<String>),
    /// Nothing.
    Null,
    /// What is only printed: a number with decimals, a map.
    Other(Value),
}

impl FieldPart {
    /// The part as Python prints it.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Index(index) => index.to_string(),
            Self::Flag(flag) => repr_data(&Value::Bool(*flag)),
            Self::List(items, _) => repr_data(&Value::Array(items.clone())),
            Self::Null => "None".into(),
            Self::Other(value) => repr_data(value),
        }
    }

    /// The index that it is, if it is one.
    pub fn index(&self) -> Option<i64> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Flag(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    /// The text that it is or was read from, where a text is meant and no list of targets.
    pub fn into_text(self) -> Result<String, Self> {
        match self {
            Self::Text(text) | Self::List(_, Some(text)) => Ok(text),
            other => Err(other),
        }
    }

    /// Whether these are several targets. A list without any text is none: it is never equal to what a model writes, so a
    /// text that looks like one is an answer itself.
    pub fn is_several(&self) -> bool {
        matches!(self, Self::List(items, text) if text.is_none() || items.iter().any(Value::is_string))
    }
}

fn part(value: Value) -> FieldPart {
    match value {
        Value::String(text) => FieldPart::Text(text),
        Value::Bool(flag) => FieldPart::Flag(flag),
        Value::Null => FieldPart::Null,
        Value::Array(items) => FieldPart::List(items, None),
        Value::Number(number) => number.as_i64().map_or(FieldPart::Other(number.into()), FieldPart::Index),
        other => FieldPart::Other(other),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn index(text: &str) -> Result<FieldPart, String> {
    match literal::parse(text)? {
        Value::Number(number) => {
            number.as_i64().map(FieldPart::Index).ok_or_else(|| format!("{number} is too large"))
        }
        other => Err(format!("expected a whole number, found {}", shown(&other))),
    }
}

fn names(columns: &Document) -> String {
    columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A value in a message, cut to a readable length.
pub(super) fn shown(value: &Value) -> String {
    repr_data(value).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Location, TaskConfig};
    use super::*;
    use serde_json::json;

    fn made(field: Field) -> Result<Maker, TaskError> {
        let task = Task::of(TaskConfig::default(), &Location::Disk("t.yaml".into()));
        Maker::new(&task, "doc_to_text", &field, &["label".into(), "opts".into()])
    }

    fn maker(text: &str) -> Maker {
        made(Field::Template(text.into())).unwrap()
    }

    fn document() -> Document {
        let document = json!({"label": 2, "opts": ["a", "b"], "q": "07", "s": "['x', 'y']", "n": "3"});
        let Value::Object(map) = document else { panic!("no object") };
        map
    }

    #[test]
    fn columns_come_raw_and_templates_are_read() {
        let document = document();
        let doc = Doc::new(&document);
        assert_eq!(maker("label").target(&doc, true).unwrap(), FieldPart::Index(2));
        assert_eq!(maker("{{label}}").target(&doc, true).unwrap(), FieldPart::Index(2));
        assert_eq!(maker("{{label}}").target(&doc, false).unwrap(), FieldPart::Text("2".into()));
        assert_eq!(maker("{{n}}").text(&doc, true).unwrap(), FieldPart::Index(3));
        let read = FieldPart::List(vec![json!("x"), json!("y")], Some("['x', 'y']".into()));
        assert_eq!(maker("{{s}}").target(&doc, false).unwrap(), read);
        assert_eq!(read.into_text().unwrap(), "['x', 'y']");
        assert_eq!(
            maker("[not a list]").target(&doc, false).unwrap(),
            FieldPart::Text("[not a list]".into())
        );
        assert!(maker("{{q}}").target(&doc, true).is_err(), "Python refuses leading zeros");
    }

    #[test]
    fn choices_from_columns_templates_and_constants() {
        let document = document();
        let doc = Doc::new(&document);
        assert_eq!(maker("opts").choices(&doc).unwrap(), ["a", "b"]);
        assert_eq!(maker("{{opts + ['c']}}").choices(&doc).unwrap(), ["a", "b", "c"]);
        assert_eq!(maker("{{s}}").choices(&doc).unwrap(), ["x", "y"]);
        let map = made(Field::Constant(json!({"k": "no", "l": "yes"}))).unwrap();
        assert_eq!(map.choices(&doc).unwrap(), ["no", "yes"]);
        assert!(maker("label").choices(&doc).unwrap_err().1.contains("found 2"));
    }

    #[test]
    fn errors_name_the_columns() {
        let document = document();
        let (_, said) = maker("{{nothing}}").text(&Doc::new(&document), false).unwrap_err();
        assert!(said.contains("columns: label, opts"), "{said}");
        let said = made(Field::Template("{{".into())).unwrap_err().to_string();
        assert!(said.contains("t.yaml: doc_to_text"), "{said}");
    }
}
