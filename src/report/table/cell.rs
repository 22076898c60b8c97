//! One cell: a value for programs and its text for people.

use serde::Serialize;

/// The value of a cell as CSV and JSON have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// Empty in CSV, `null` in JSON.
    Nothing,
    Flag(bool),
    Integer(u64),
    Float(f64),
    Text(String),
}

/// A typed value, and what people read in its place where that is not the value itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub(super) value: Value,
    /// On the terminal and in Markdown.
    text: Option<String>,
    /// On the terminal, if that is shorter still.
    short: Option<String>,
    /// Whether people are to see it first.
    pub(super) stress: Stress,
}

/// What is said of a cell by how it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stress {
    /// Nothing.
    #[default]
    None,
    /// One of the best: underlined, or followed by `°` where there is no other way.
    Second,
    /// The best: bold, or followed by `*`.
    First,
}

impl Cell {
    fn of(value: Value) -> Self {
        Self { value, text: None, short: None, stress: Stress::None }
    }

    /// A cell that says nothing.
    pub fn empty() -> Self {
        Self::of(Value::Nothing)
    }

    /// A value as people write it, or nothing.
    pub fn written<V: Copy + Into<Cell>>(value: impl Into<Option<V>>, text: impl Fn(V) -> String) -> Self {
        value.into().map_or_else(Self::empty, |value| value.into().shown(text(value)))
    }

    /// What people read.
    pub fn shown(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// What is read on the terminal.
    pub fn short(self, text: impl Into<String>) -> Self {
        Self { short: Some(text.into()), ..self }
    }

    /// What people read, with a remark in brackets behind it.
    pub fn with_note(self, note: &str) -> Self {
        let short = self.short.as_ref().map(|short| format!("{short} ({note})"));
        Self { text: Some(format!("{} ({note})", self.text())), short, ..self }
    }

    /// How it is written.
    pub fn stressed(self, stress: Stress) -> Self {
        Self { stress, ..self }
    }

    /// People read a dash where there is no value.
    pub fn or_dash(self) -> Self {
        if self.value == Value::Nothing { self.shown("–") } else { self }
    }

    /// For Markdown, stressed as there.
    pub(super) fn marked(&self) -> String {
        match self.stress {
            Stress::First => format!("**{}**", self.text()),
            Stress::Second => format!("{}°", self.text()),
            Stress::None => self.text(),
        }
    }

    /// For Markdown.
    pub(super) fn text(&self) -> String {
        match (&self.text, &self.value) {
            (Some(text), _) | (None, Value::Text(text)) => text.clone(),
            (None, Value::Nothing) => String::new(),
            (None, Value::Flag(true)) => "yes".to_owned(),
            (None, Value::Flag(false)) => String::new(),
            (None, Value::Integer(number)) => number.to_string(),
            (None, Value::Float(number)) => number.to_string(),
        }
    }

    /// For the terminal.
    pub(super) fn short_text(&self) -> String {
        let text = self.short.clone().unwrap_or_else(|| self.text());
        match self.stress {
            Stress::First => text + "*",
            Stress::Second => text + "°",
            Stress::None => text,
        }
    }
}

macro_rules! cell_from {
    ($($type:ty: $given:ident => $value:expr;)*) => {
        $(impl From<$type> for Cell {
            fn from($given: $type) -> Self {
                Self::of($value)
            }
        })*
    };
}

cell_from! {
    String: text => Value::Text(text);
    &String: text => Value::Text(text.clone());
    &str: text => Value::Text(text.to_owned());
    bool: flag => Value::Flag(flag);
    u32: number => Value::Integer(number.into());
    u64: number => Value::Integer(number);
    usize: number => Value::Integer(number as u64);
    f64: number => Value::Float(number);
}

impl<C: Into<Cell>> From<Option<C>> for Cell {
    fn from(value: Option<C>) -> Self {
        value.map_or_else(Self::empty, Into::into)
    }
}
