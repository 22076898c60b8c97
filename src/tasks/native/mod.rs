//! Native counterparts of the Python functions that task files name with `!function`.
//!
//! A suite of ours writes `!function hellaswag.process_docs`. A copy of the reference harness's folder
//! writes `!function utils.process_docs` in `hellaswag/hellaswag.yaml`; it is found as
//! `hellaswag/utils.process_docs`. `zoo` never runs Python.

mod hellaswag;
mod winogrande;

use serde_json::{Map, Value};

use super::error::TaskError;
use super::schema::FunctionRef;

/// A document: its columns in order.
pub type Document = Map<String, Value>;

/// A function over all documents of a split.
pub type DocumentsFn = fn(Vec<Document>) -> Result<Vec<Document>, NativeError>;
/// A function that makes a field of the prompt from a document.
pub type FieldFn = fn(&Document) -> Result<Value, String>;

/// What a native function found wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeError {
    /// The number of the document, from 0.
    pub doc: usize,
    /// What is wrong.
    pub message: String,
}

/// A native function.
#[derive(Debug, Clone, Copy)]
pub enum Native {
    /// `process_docs`.
    Documents(DocumentsFn),
    /// `doc_to_text`, `doc_to_target`, `doc_to_choice`.
    Field(FieldFn),
}

/// Name in our suites, name in the harness's folder, function.
const FUNCTIONS: [(&str, &str, Native); 4] = [
    ("hellaswag.process_docs", "hellaswag/utils.process_docs", Native::Documents(hellaswag::process_docs)),
    (
        "winogrande.doc_to_text",
        "winogrande/preprocess_winogrande.doc_to_text",
        Native::Field(winogrande::doc_to_text),
    ),
    (
        "winogrande.doc_to_target",
        "winogrande/preprocess_winogrande.doc_to_target",
        Native::Field(winogrande::doc_to_target),
    ),
    (
        "winogrande.doc_to_choice",
        "winogrande/preprocess_winogrande.doc_to_choice",
        Native::Field(winogrande::doc_to_choice),
    ),
];

/// The native counterpart of a `!function`.
///
/// # Errors
/// The names under which it was looked for, and those that exist.
pub fn find(function: &FunctionRef) -> Result<Native, TaskError> {
    let in_folder = format!("{}/{}", function.origin.location.folder_name(), function.name);
    let found = FUNCTIONS.iter().find(|(ours, theirs, _)| function.name == *ours || in_folder == *theirs);
    found.map(|(_, _, native)| *native).ok_or_else(|| TaskError::Native {
        file: function.origin.location.display(),
        key: function.key.clone(),
        function: function.name.clone(),
        looked_for: format!("{}, {in_folder}", function.name).into(),
        known: FUNCTIONS.map(|(ours, _, _)| ours).join(", ").into(),
    })
}

/// The function as one over documents.
///
/// # Errors
/// As [`find`]; also if the function makes a field instead.
pub fn documents(function: &FunctionRef) -> Result<DocumentsFn, TaskError> {
    match find(function)? {
        Native::Documents(call) => Ok(call),
        Native::Field(_) => Err(wrong_place(function, "makes a field of the prompt")),
    }
}

/// The function as one that makes a field.
///
/// # Errors
/// As [`find`]; also if the function is one over documents.
pub fn field(function: &FunctionRef) -> Result<FieldFn, TaskError> {
    match find(function)? {
        Native::Field(call) => Ok(call),
        Native::Documents(_) => Err(wrong_place(function, "works on whole splits, for process_docs")),
    }
}

fn wrong_place(function: &FunctionRef, what: &str) -> TaskError {
    TaskError::Field {
        file: function.origin.location.display(),
        line: function.origin.line(&function.key),
        key: function.key.clone(),
        message: format!("!function {} {what}", function.name),
    }
}

/// A text column of a document.
fn text<'d>(document: &'d Document, column: &str) -> Result<&'d str, String> {
    match document.get(column) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("column {column:?} is no text")),
        None => {
            let columns: Vec<&str> = document.keys().map(String::as_str).collect();
            Err(format!("no column {column:?}; the document has {}", columns.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::schema::{Location, Origin};
    use std::sync::Arc;

    fn function(file: &str, name: &str) -> FunctionRef {
        let origin = Arc::new(Origin::new(Location::Disk(file.into()), "process_docs: x\n"));
        FunctionRef { name: name.into(), origin, key: "process_docs".into() }
    }

    #[test]
    fn found_by_either_name_and_unknown_ones_say_so() {
        assert!(documents(&function("x/a.yaml", "hellaswag.process_docs")).is_ok());
        assert!(documents(&function("tasks/hellaswag/a.yaml", "utils.process_docs")).is_ok());
        let said = documents(&function("other/a.yaml", "utils.process_docs")).unwrap_err().to_string();
        assert!(
            said.contains("other/a.yaml: process_docs") && said.contains("other/utils.process_docs"),
            "{said}"
        );
        let said = field(&function("x/a.yaml", "hellaswag.process_docs")).unwrap_err().to_string();
        assert!(said.contains("line 1"), "{said}");
    }
}
