//! A document of a data set.

use serde_json::{Map, Value};

/// A document: its columns in order.
pub type Document = Map<String, Value>;
