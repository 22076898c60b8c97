//! The programs of a task whose metric runs them: put together from filtered answers and tests, and looked up when they have been
//! judged.

use std::collections::HashMap;

use serde_json::Value;

use super::EvaluateError;
use crate::metrics::Gold;
use crate::sandbox::Verdict;
use crate::tasks::native::{self, NativeFunction};
use crate::tasks::{OutputType, PreparedDoc, Task};

/// Verdicts by the text of a program. The same program has one, whoever wrote it.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(HashMap<String, Verdict>);

impl Verdicts {
    /// The verdict on a program, if it was judged.
    pub fn of(&self, program: &str) -> Option<&Verdict> {
        self.0.get(program)
    }
}

impl FromIterator<(String, Verdict)> for Verdicts {
    fn from_iter<I: IntoIterator<Item = (String, Verdict)>>(verdicts: I) -> Self {
        Self(verdicts.into_iter().collect())
    }
}

/// The name of the first metric of a task that runs programs, if there is one.
///
/// # Errors
/// A function that does not exist.
pub fn runs_programs(task: &Task) -> Result<Option<String>, EvaluateError> {
    if task.config.output_type != OutputType::GenerateUntil {
        return Ok(None);
    }
    for spec in task.config.metrics() {
        if let Some(function) = &spec.function
            && let NativeFunction::RunsPrograms(_) = native::find(function).map_err(Box::new)?
        {
            return Ok(Some(spec.name));
        }
    }
    Ok(None)
}

/// The programs of one document after a filter: each answer, and the tests on the next line. One answer is a list of one.
///
/// # Errors
/// Answers that are no texts and tests that are not one text, in words.
pub(super) fn programs_of(doc: &PreparedDoc, filtered: &Value) -> Result<Vec<String>, String> {
    let Gold::Text(tests) = &doc.gold else {
        return Err("expected tests as one text for its right answer (doc_to_target)".to_owned());
    };
    let answers = match filtered {
        Value::Array(answers) => &answers[..],
        one => std::slice::from_ref(one),
    };
    let program = |answer: &Value| match answer {
        Value::String(text) => Ok(format!("{text}\n{tests}")),
        other => Err(format!("expected a program, found {other}")),
    };
    answers.iter().map(program).collect()
}
