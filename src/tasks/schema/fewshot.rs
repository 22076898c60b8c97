//! `fewshot_config`: where the examples of a task come from and how they are written.

use serde_json::{Map, Value};

use super::field::Field;
use super::keys::{FromSlot, keys};
use super::value::{FunctionRef, Slot};
use crate::tasks::error::TaskError;

/// The examples listed in a task file.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// Documents written out.
    Listed(Vec<Map<String, Value>>),
    /// A function that makes them.
    Function(FunctionRef),
}

keys! {
    /// `fewshot_config`: where examples come from and how they are written.
    pub struct FewshotConfig {
        /// `default` (random) or `first_n`.
        sampler: Option<String>,
        /// The split of the examples; wins over `fewshot_split`.
        split: Option<String>,
        /// A function over the examples instead of the task's own; given here, be it null.
        process_docs: Option<Option<FunctionRef>> => |slot| FromSlot::from_slot(slot).map(Some),
        /// Examples written out in the file.
        samples: Option<Samples>,
        /// Read and kept; the reference harness never hands them to its sampler.
        fewshot_indices: Option<Vec<usize>>,
        /// Replaces the task's `doc_to_text` in examples.
        doc_to_text: Option<Field>,
        /// Replaces the task's `doc_to_choice` in examples.
        doc_to_choice: Option<Field>,
        /// Replaces the task's `doc_to_target` in examples.
        doc_to_target: Option<Field>,
        /// Replaces the task's `gen_prefix` in examples.
        gen_prefix: Option<String>,
        /// Replaces the task's `fewshot_delimiter`.
        fewshot_delimiter: Option<String>,
        /// Replaces the task's `target_delimiter` in examples.
        target_delimiter: Option<String>,
    }
    known ["num_fewshot"];
    suggested [];
    also {}
}

impl FromSlot for FewshotConfig {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let mut config = Self::default();
        if !slot.value.is_null() {
            for (key, slot) in slot.pairs()? {
                config.set(key, &slot)?;
            }
        }
        Ok(config)
    }
}

impl FromSlot for Samples {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        match slot.function() {
            Some(function) => Ok(Self::Function(function)),
            None => slot.items()?.iter().map(Slot::json_map).collect::<Result<_, _>>().map(Self::Listed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::{Entry, Location, Origin};
    use super::*;

    fn read(yaml: &str) -> Result<FewshotConfig, TaskError> {
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), "fewshot_config:\n"));
        let entry = Entry { value: serde_yaml::from_str(yaml).unwrap(), origin };
        FewshotConfig::from_slot(&Slot::new("fewshot_config", &entry))
    }

    #[test]
    fn samples_and_overrides() {
        let config =
            read("{sampler: first_n, process_docs: null, samples: [{q: 1}], doc_to_text: x}").unwrap();
        assert_eq!(config.sampler.as_deref(), Some("first_n"));
        assert_eq!(config.process_docs, Some(None));
        assert!(matches!(&config.samples, Some(Samples::Listed(rows)) if rows[0]["q"] == 1));
        assert_eq!(config.doc_to_text, Some(Field::Template("x".into())));
        assert_eq!(read("null").unwrap(), FewshotConfig::default());
    }

    #[test]
    fn slips_are_named() {
        let said = read("{sample: []}").unwrap_err().to_string();
        assert!(said.contains("line 1") && said.contains("fewshot_config.sample"), "{said}");
        assert!(read("{process_docs: x}").is_err());
    }
}
