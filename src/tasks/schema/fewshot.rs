//! `fewshot_config`: where the examples of a task come from and how they are written.

use serde_json::{Map, Value};

use super::task::Field;
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

/// `fewshot_config`: where examples come from and how they are written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FewshotConfig {
    /// `default` (random) or `first_n`.
    pub sampler: Option<String>,
    /// The split of the examples; wins over `fewshot_split`.
    pub split: Option<String>,
    /// Whether `process_docs` is given here, be it null.
    pub has_process_docs: bool,
    /// A function over the examples instead of the task's own.
    pub process_docs: Option<FunctionRef>,
    /// Examples written out in the file.
    pub samples: Option<Samples>,
    /// Read and kept; the reference harness never hands them to its sampler.
    pub fewshot_indices: Option<Vec<usize>>,
    /// Replaces the task's `doc_to_text` in examples.
    pub doc_to_text: Option<Field>,
    /// Replaces the task's `doc_to_choice` in examples.
    pub doc_to_choice: Option<Field>,
    /// Replaces the task's `doc_to_target` in examples.
    pub doc_to_target: Option<Field>,
    /// Replaces the task's `gen_prefix` in examples.
    pub gen_prefix: Option<String>,
    /// Replaces the task's `fewshot_delimiter`.
    pub fewshot_delimiter: Option<String>,
    /// Replaces the task's `target_delimiter` in examples.
    pub target_delimiter: Option<String>,
}

const FEWSHOT_KEYS: [&str; 12] = [
    "sampler",
    "split",
    "process_docs",
    "samples",
    "fewshot_indices",
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "gen_prefix",
    "fewshot_delimiter",
    "target_delimiter",
    "num_fewshot",
];

impl FewshotConfig {
    pub(super) fn read(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let mut config = Self::default();
        if slot.value.is_null() {
            return Ok(config);
        }
        for (key, slot) in slot.pairs()? {
            match key {
                "sampler" => config.sampler = slot.optional_string()?,
                "split" => config.split = slot.optional_string()?,
                "process_docs" => {
                    config.has_process_docs = true;
                    config.process_docs = slot.optional_function()?;
                }
                "samples" => config.samples = samples(&slot)?,
                "fewshot_indices" if !slot.value.is_null() => {
                    let indices = slot.items()?.iter().map(Slot::usize).collect::<Result<_, _>>()?;
                    config.fewshot_indices = Some(indices);
                }
                "doc_to_text" => config.doc_to_text = Field::read(&slot)?,
                "doc_to_choice" => config.doc_to_choice = Field::read(&slot)?,
                "doc_to_target" => config.doc_to_target = Field::read(&slot)?,
                "gen_prefix" => config.gen_prefix = slot.optional_string()?,
                "fewshot_delimiter" => config.fewshot_delimiter = slot.optional_string()?,
                "target_delimiter" => config.target_delimiter = slot.optional_string()?,
                "fewshot_indices" | "num_fewshot" => {}
                other => return Err(slot.unknown(other, FEWSHOT_KEYS)),
            }
        }
        Ok(config)
    }
}

fn samples(slot: &Slot<'_>) -> Result<Option<Samples>, TaskError> {
    if let Some(function) = slot.function() {
        return Ok(Some(Samples::Function(function)));
    }
    if slot.value.is_null() {
        return Ok(None);
    }
    let listed = slot.items()?.iter().map(Slot::json_map).collect::<Result<_, _>>()?;
    Ok(Some(Samples::Listed(listed)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::{Entry, Location, Origin};
    use super::*;

    fn read(yaml: &str) -> Result<FewshotConfig, TaskError> {
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), "fewshot_config:\n"));
        let entry = Entry { value: serde_yaml::from_str(yaml).unwrap(), origin };
        FewshotConfig::read(&Slot::new("fewshot_config", &entry))
    }

    #[test]
    fn samples_and_overrides() {
        let config =
            read("{sampler: first_n, process_docs: null, samples: [{q: 1}], doc_to_text: x}").unwrap();
        assert_eq!(config.sampler.as_deref(), Some("first_n"));
        assert!(config.has_process_docs && config.process_docs.is_none());
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
