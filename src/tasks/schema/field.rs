//! What a task asks of a model, and how the parts of a prompt are made from a document.

use serde::Serialize;
use serde_json::Value;

use super::keys::FromSlot;
use super::value::{FunctionRef, Slot};
use crate::base::names::name_of;
use crate::tasks::error::TaskError;

/// What a task asks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputType {
    /// Text written by the model after each prompt.
    GenerateUntil,
    /// The log-probability of one given continuation.
    Loglikelihood,
    /// The log-probability of whole texts.
    LoglikelihoodRolling,
    /// The log-probabilities of several continuations, compared.
    MultipleChoice,
}

impl OutputType {
    /// The name in task files.
    pub fn name(self) -> &'static str {
        name_of(&self)
    }

    pub(super) fn parse(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let all =
            [Self::GenerateUntil, Self::Loglikelihood, Self::LoglikelihoodRolling, Self::MultipleChoice];
        let name = slot.string()?;
        all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = all.map(Self::name).join(", ");
            slot.error(format!("expected one of {known}, found {name:?}"))
        })
    }
}

/// How a field of the prompt is made from a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// The name of a column, or else a template.
    Template(String),
    /// A value that is the same for all documents.
    Constant(Value),
    /// A native function.
    Function(FunctionRef),
}

impl FromSlot for Field {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        if let Some(function) = slot.function() {
            return Ok(Self::Function(function));
        }
        Ok(match slot.json()? {
            Value::String(text) => Self::Template(text),
            other => Self::Constant(other),
        })
    }
}
