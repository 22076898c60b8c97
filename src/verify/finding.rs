//! Findings of checks: how bad, where, what was expected, what is there, and what to do.

use std::fmt;

use serde::Serialize;

use crate::base::fault::{FaultKind, Refusal, quoted};
use crate::base::names::name_of;
use crate::config::ConfigError;
use crate::forms::FormError;
use crate::weights::WeightsError;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is wrong.
    Note,
    /// May be wrong: look at it before numbers are trusted.
    Warning,
    /// Wrong: the model cannot be what it claims to be.
    Failure,
}

impl Level {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Failure => "FAILURE",
            level => name_of(&level),
        }
    }
}

/// The checks, in the order in which they are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// What the path holds, and whether it can be opened.
    Form,
    /// The configuration by itself.
    Config,
    /// The configuration against the card of the registry.
    Card,
    /// Names, shapes and types of the tensors against the configuration.
    Tensors,
    /// Rows of embedding and output layer against the tokenizer, and its special tokens.
    Vocabulary,
    /// Files against published digests.
    Digests,
    /// Tensors against the lock file of the build.
    Lock,
    /// NaN and infinite values.
    Finite,
    /// Whether the values are those of a trained model, of a difference, or of nothing.
    Values,
    /// Whether the rows of queries and keys stand in the order that the layout asks for.
    RowOrder,
    /// Low-rank matrices against the adapter's configuration.
    Adapter,
}

impl Check {
    /// The name in tables.
    pub fn title(self) -> String {
        name_of(&self).replace('-', " ")
    }
}

/// The result of one check at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: Check,
    /// How much it matters.
    pub level: Level,
    /// The class of what is wrong, in the words of [`FaultKind`](crate::base::fault::FaultKind) where it is one of them.
    pub class: Option<String>,
    /// File, tensor or field.
    pub place: Option<String>,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub found: String,
    /// What to do.
    pub advice: Option<String>,
}

impl Finding {
    fn new(check: Check, level: Level, found: impl Into<String>) -> Self {
        Finding { check, level, class: None, place: None, expected: None, found: found.into(), advice: None }
    }

    /// All is well; `found` says what was looked at.
    pub fn ok(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, found)
    }

    /// Nothing is wrong, but someone may want to know.
    pub fn note(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Note, found)
    }

    /// Something may be wrong.
    pub fn warning(check: Check, found: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, found)
    }

    /// Something is wrong, of this class.
    pub fn failure(check: Check, class: impl fmt::Display, found: impl Into<String>) -> Self {
        Self::new(check, Level::Failure, found).class(class)
    }

    /// A failure of reading, with the parts of the fault where it has them.
    pub(crate) fn of_weights(check: Check, error: &WeightsError) -> Self {
        let WeightsError::Fault(fault) = error else {
            return Self::failure(check, FaultKind::MissingData, error.to_string());
        };
        let tensor = fault.tensor.as_deref().map(|name| format!("tensor {}", quoted(name)));
        let place = [Some(fault.file.display().to_string()), tensor, fault.place.clone()];
        Self::failure(check, fault.kind, &fault.found)
            .at(place.into_iter().flatten().collect::<Vec<_>>().join(": "))
            .expected(&fault.expected)
            .advice(fault.advice.as_deref().unwrap_or(fault.kind.advice()))
    }

    /// A failure of reading or of what is wrong with a form.
    pub(crate) fn of_lineage(check: Check, error: &FormError) -> Self {
        match error {
            FormError::Weights(error) => Self::of_weights(check, error),
            FormError::Config(error) => Self::of_config(check, error),
            FormError::Refused(refusal) => {
                Self::of_refusal(check, "refused", refusal).advice(&refusal.advice)
            }
            _ => Self::failure(check, FaultKind::MissingData, error.to_string()),
        }
    }

    /// A failure of a configuration.
    pub(crate) fn of_config(check: Check, error: &ConfigError) -> Self {
        let class = error.class().unwrap_or(FaultKind::MissingData);
        match error {
            ConfigError::Value(refusal) => Self::of_refusal(check, class, refusal)
                .advice("compare the configuration with the publisher's"),
            // The others say in their own sentence what to do.
            _ => Self::failure(check, class, error.to_string()),
        }
    }

    fn of_refusal(check: Check, class: impl fmt::Display, refusal: &Refusal) -> Self {
        Self::failure(check, class, &refusal.found).at(&refusal.place).expected(&refusal.expected)
    }

    /// Says of which class it is.
    pub fn class(mut self, class: impl fmt::Display) -> Self {
        self.class = Some(class.to_string());
        self
    }

    /// Says where.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Says what should be there.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Gives it another level.
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// One sentence: class, place, expectation, finding, advice.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for head in [&self.class, &self.place].into_iter().flatten() {
            text.push_str(head);
            text.push_str(": ");
        }
        match &self.expected {
            Some(expected) => text.push_str(&format!("expected {expected}, found {}", self.found)),
            None => text.push_str(&self.found),
        }
        if let Some(advice) = &self.advice {
            text.push_str("; ");
            text.push_str(advice);
        }
        text
    }
}

/// What follows the first of several things that are wrong in one way.
pub(super) fn and_more(all: usize, what: &str) -> String {
    if all > 1 { format!(", and {} more {what}", all - 1) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_a_sentence() {
        let finding = Finding::failure(Check::Vocabulary, "shape mismatch", "500 rows")
            .at("model.embed_tokens.weight")
            .expected("at least 512 rows")
            .advice("take the tokenizer of this release");
        assert_eq!(
            finding.text(),
            "shape mismatch: model.embed_tokens.weight: expected at least 512 rows, found 500 rows; \
             take the tokenizer of this release"
        );
        assert_eq!(Finding::ok(Check::Finite, "42 tensors").text(), "42 tensors");
        assert!(Level::Ok < Level::Note && Level::Warning < Level::Failure);
    }
}
