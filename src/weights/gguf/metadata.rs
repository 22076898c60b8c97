//! The key–value section of a GGUF file, after it has been checked and read.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::fault::quoted;

/// One metadata value. Integers of every width are widened to 64 bits; the width carries no meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `uint8`, `uint16`, `uint32`, `uint64`.
    Unsigned(u64),
    /// `int8`, `int16`, `int32`, `int64`.
    Signed(i64),
    /// `float32`, `float64`.
    Float(f64),
    /// `bool`.
    Bool(bool),
    /// `string`, checked to be UTF-8.
    String(String),
    /// An array of strings: token lists, merges.
    Strings(Vec<String>),
    /// An array of floats: token scores.
    Floats(Vec<f32>),
    /// An array of integers of any width: token types.
    Integers(Vec<i64>),
    /// An array of booleans.
    Bools(Vec<bool>),
}

impl Value {
    /// Whether it is zero, false or empty.
    pub fn is_nothing(&self) -> bool {
        match self {
            Value::Unsigned(n) => *n == 0,
            Value::Signed(n) => *n == 0,
            Value::Float(x) => *x == 0.0,
            Value::Bool(b) => !b,
            Value::String(text) => text.is_empty(),
            Value::Strings(all) => all.is_empty(),
            Value::Floats(all) => all.is_empty(),
            Value::Integers(all) => all.is_empty(),
            Value::Bools(all) => all.is_empty(),
        }
    }

    /// The name of the value's kind, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Unsigned(_) => "an unsigned integer",
            Value::Signed(_) => "a signed integer",
            Value::Float(_) => "a float",
            Value::Bool(_) => "a bool",
            Value::String(_) => "a string",
            Value::Strings(_) => "an array of strings",
            Value::Floats(_) => "an array of floats",
            Value::Integers(_) => "an array of integers",
            Value::Bools(_) => "an array of bools",
        }
    }
}

/// What it is, for people; of an array its kind alone.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Unsigned(n) => write!(f, "{n}"),
            Value::Signed(n) => write!(f, "{n}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::String(text) => f.write_str(&quoted(text)),
            array => f.write_str(array.kind()),
        }
    }
}

/// All metadata of a file by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata(pub BTreeMap<String, Value>);

/// A key whose value is of another kind than the reader needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata key {}: expected {expected}, found {found}", quoted(key))]
pub struct MetadataKindError {
    /// The key that was asked for.
    pub key: String,
    /// What was needed.
    pub expected: &'static str,
    /// What the file has.
    pub found: &'static str,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident -> $type:ty, $expected:literal, $($pattern:pat => $value:expr),+) => {
        $(#[$doc])*
        pub fn $name(&self, key: &str) -> Result<Option<$type>, MetadataKindError> {
            match self.0.get(key) {
                None => Ok(None),
                $(Some($pattern) => Ok(Some($value)),)+
                #[allow(unreachable_patterns)]
                Some(other) => Err(MetadataKindError {
                    key: key.to_owned(),
                    expected: $expected,
                    found: other.kind(),
                }),
            }
        }
    };
}

impl Metadata {
    getter!(/// A string, or `None` if the key is absent.
        string -> &str, "a string", Value::String(s) => s.as_str());
    getter!(/// A non-negative integer.
        unsigned -> u64, "a non-negative integer",
        Value::Unsigned(n) => *n, Value::Signed(n @ 0..) => *n as u64);
    getter!(/// A number.
        float -> f64, "a number", Value::Float(x) => *x,
        Value::Unsigned(n) => *n as f64, Value::Signed(n) => *n as f64);
    getter!(/// A bool.
        boolean -> bool, "a bool", Value::Bool(b) => *b);
    getter!(/// A list of strings.
        strings -> &[String], "an array of strings", Value::Strings(v) => v);
    getter!(/// A list of floats.
        floats -> &[f32], "an array of floats", Value::Floats(v) => v);
    getter!(/// A list of integers.
        integers -> &[i64], "an array of integers", Value::Integers(v) => v);
}
