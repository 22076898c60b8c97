//! The keys of a task file and what they mean: the task schema of the reference harness (0.4.13).
//!
//! All keys are read and kept, also those that only generation or pictures need, so that a file for the
//! harness is a file for `zoo`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fewshot::FewshotConfig;
use super::field::{Field, OutputType};
use super::judged::Judged;
use super::keys::{FromSlot, keys};
use super::metric::{FilterConfig, MetricConfig, MetricSpec};
use super::source::{Fields, Origin};
use super::submission::Submission;
use super::value::{FunctionRef, Slot};
use crate::tasks::error::TaskError;

keys! {
    /// A task file, read: every key with its default filled in.
    pub struct TaskConfig {
        /// The name under which the task is asked for.
        task: String,
        /// The name in tables, if another one.
        task_alias: Option<String>,
        /// Names that stand for this task together with others.
        tag: Vec<String> => Slot::strings,
        /// The data set on a hub, or `json`, `csv`, `parquet` for files of one's own.
        dataset_path: Option<String>,
        /// The configuration of the data set.
        dataset_name: Option<String>,
        /// More about the data set; `data_files` names files of one's own.
        dataset_kwargs: Map<String, Value>,
        /// A function that makes the data.
        custom_dataset: Option<FunctionRef>,
        /// The split named as training data.
        training_split: Option<String>,
        /// The split that is scored if there is no test split.
        validation_split: Option<String>,
        /// The split that is scored.
        test_split: Option<String>,
        /// The split that examples are drawn from.
        fewshot_split: Option<String>,
        /// A function over every split that is read.
        process_docs: Option<FunctionRef>,
        /// The question.
        doc_to_text: Option<Field>,
        /// The answer: a text, an index into the choices, or a list of either.
        doc_to_target: Option<Field>,
        /// The choices.
        doc_to_choice: Option<Field>,
        /// Pictures of the document.
        doc_to_image: Option<Field>,
        /// Sounds of the document.
        doc_to_audio: Option<Field>,
        /// Whether grading runs code that a model wrote.
        unsafe_code: bool,
        /// A function in place of the metrics.
        process_results: Option<Field>,
        /// A prompt of another library.
        use_prompt: Option<String>,
        /// A template that stands before everything else; carries its own line ends.
        description: Option<String>,
        /// Between question and answer.
        target_delimiter: String = " ".into(),
        /// Between examples.
        fewshot_delimiter: String = "\n\n".into(),
        /// Where examples come from and how they are written.
        fewshot_config: FewshotConfig,
        /// How many examples; 0 cannot be overridden.
        num_fewshot: Option<usize>,
        /// The metrics as listed; none means the defaults of the output type.
        metric_list: Option<Vec<MetricConfig>>,
        /// What is asked of the model.
        output_type: OutputType = OutputType::GenerateUntil => OutputType::parse,
        /// How text is generated.
        generation_kwargs: Option<Map<String, Value>>,
        /// How often each request is run.
        repeats: usize = 1,
        /// Pipelines over answers; none means the first answer as it is.
        filter_list: Option<Vec<FilterConfig>>,
        /// Read and kept; the reference harness does nothing with it.
        should_decontaminate: bool,
        /// Read and kept; the reference harness does nothing with it.
        doc_to_decontamination_query: Option<Field>,
        /// A template of the text that the answer begins with.
        gen_prefix: Option<String>,
        /// Free-form facts; `version` is printed.
        metadata: Map<String, Value>,
        /// Set for a task that is written in Python.
        class: Option<String> => class,
    }
    known ["group", "task_list", "include"];
    suggested ["group_alias", "aggregate_metric_list", "fewshot_as_multiturn"];
    also {
        /// `metadata.submission`: the file for answers whose right ones are not public.
        submission: Option<Submission>,
        /// `metadata.judged`: instructions whose answers are judged elsewhere.
        judged: Option<Judged>,
        /// `metadata.cluster`: the column that documents share which are no independent questions, such as a passage.
        cluster: Option<String>,
    }
}

/// A class in Python, by its tag or its name.
fn class(slot: &Slot<'_>) -> Result<Option<String>, TaskError> {
    slot.function().map_or_else(|| FromSlot::from_slot(slot), |function| Ok(Some(function.name)))
}

/// Whether a file has any key of a task file.
fn is_of_a_task(fields: &Fields, origin: &Arc<Origin>) -> bool {
    let mut own = fields.iter().filter(|(_, entry)| entry.origin == *origin);
    own.any(|(key, entry)| {
        let read = TaskConfig::default().set(key, &Slot::new(key, entry));
        !matches!(read, Err(TaskError::UnknownKey { .. }))
    })
}

/// The error about a file that is something else. Nothing of it is shown: any file can be named by an `include`.
fn not_of_a_task(origin: &Origin) -> TaskError {
    let message = "expected keys of a task file, found only others, which are not shown";
    TaskError::wrong(origin.location.display(), message)
}

impl TaskConfig {
    /// Reads the merged keys of a task file.
    ///
    /// # Errors
    /// Unknown keys and values of the wrong kind, with file, line and key.
    pub fn read(fields: &Fields) -> Result<Self, TaskError> {
        let mut config = Self::default();
        for (key, entry) in fields {
            let slot = Slot::new(key, entry);
            match config.set(key, &slot) {
                // A task written in Python has keys of its own.
                Err(TaskError::UnknownKey { .. }) if fields.contains_key("class") => {}
                Err(TaskError::UnknownKey { .. }) if !is_of_a_task(fields, &entry.origin) => {
                    return Err(not_of_a_task(&entry.origin));
                }
                other => other?,
            }
            if key == "metadata" {
                config.submission = Submission::read(&slot)?;
                config.judged = Judged::read(&slot)?;
                let cluster = slot.value.get("cluster").map(|value| slot.below(".cluster", value).string());
                config.cluster = cluster.transpose()?;
            }
        }
        Ok(config)
    }

    /// `metadata.version` as written, if given.
    pub fn version(&self) -> Option<&Value> {
        self.metadata.get("version")
    }

    /// The metrics of the task with defaults filled in.
    pub fn metrics(&self) -> Vec<MetricSpec> {
        match &self.metric_list {
            Some(list) => list.iter().map(MetricConfig::spec).collect(),
            None => MetricSpec::defaults(self.output_type),
        }
    }

    /// Whether the task file says that nothing is measured.
    pub fn measures_nothing(&self) -> bool {
        self.metric_list.as_ref().is_some_and(Vec::is_empty)
    }

    /// The split that examples are drawn from, as configured; none means the default order of splits.
    pub fn configured_fewshot_split(&self) -> Option<&str> {
        self.fewshot_config.split.as_deref().or(self.fewshot_split.as_deref())
    }
}
