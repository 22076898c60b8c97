//! The keys of a task file and what they mean: the task schema of the reference harness (0.4.13).
//!
//! All keys are read and kept, also those that only generation or pictures need, so that a file for the
//! harness is a file for `zoo`.

use serde_json::{Map, Value};

use super::fewshot::FewshotConfig;
use super::metric::{FilterConfig, MetricConfig, MetricSpec};
use super::source::Fields;
use super::submission::Submission;
use super::value::{FunctionRef, Slot};
use crate::tasks::error::TaskError;

/// What a task asks of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match self {
            Self::GenerateUntil => "generate_until",
            Self::Loglikelihood => "loglikelihood",
            Self::LoglikelihoodRolling => "loglikelihood_rolling",
            Self::MultipleChoice => "multiple_choice",
        }
    }

    fn parse(slot: &Slot<'_>) -> Result<Self, TaskError> {
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

impl Field {
    pub(super) fn read(slot: &Slot<'_>) -> Result<Option<Self>, TaskError> {
        if let Some(function) = slot.function() {
            return Ok(Some(Self::Function(function)));
        }
        Ok(match slot.json()? {
            Value::Null => None,
            Value::String(text) => Some(Self::Template(text)),
            other => Some(Self::Constant(other)),
        })
    }
}

/// A task file, read: every key with its default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskConfig {
    /// The name under which the task is asked for.
    pub task: String,
    /// The name in tables, if another one.
    pub task_alias: Option<String>,
    /// Names that stand for this task together with others.
    pub tag: Vec<String>,
    /// The data set on a hub, or `json`, `csv`, `parquet` for files of one's own.
    pub dataset_path: Option<String>,
    /// The configuration of the data set.
    pub dataset_name: Option<String>,
    /// More about the data set; `data_files` names files of one's own.
    pub dataset_kwargs: Map<String, Value>,
    /// A function that makes the data.
    pub custom_dataset: Option<FunctionRef>,
    /// The split named as training data.
    pub training_split: Option<String>,
    /// The split that is scored if there is no test split.
    pub validation_split: Option<String>,
    /// The split that is scored.
    pub test_split: Option<String>,
    /// The split that examples are drawn from.
    pub fewshot_split: Option<String>,
    /// A function over every split that is read.
    pub process_docs: Option<FunctionRef>,
    /// The question.
    pub doc_to_text: Option<Field>,
    /// The answer: a text, an index into the choices, or a list of either.
    pub doc_to_target: Option<Field>,
    /// The choices.
    pub doc_to_choice: Option<Field>,
    /// Pictures of the document.
    pub doc_to_image: Option<Field>,
    /// Sounds of the document.
    pub doc_to_audio: Option<Field>,
    /// Whether grading runs code that a model wrote.
    pub unsafe_code: bool,
    /// A function in place of the metrics.
    pub process_results: Option<Field>,
    /// A prompt of another library.
    pub use_prompt: Option<String>,
    /// A template that stands before everything else; carries its own line ends.
    pub description: Option<String>,
    /// Between question and answer.
    pub target_delimiter: String,
    /// Between examples.
    pub fewshot_delimiter: String,
    /// Where examples come from and how they are written.
    pub fewshot_config: FewshotConfig,
    /// How many examples; 0 cannot be overridden.
    pub num_fewshot: Option<usize>,
    /// The metrics as listed; none means the defaults of the output type.
    pub metric_list: Option<Vec<MetricConfig>>,
    /// What is asked of the model.
    pub output_type: OutputType,
    /// How text is generated.
    pub generation_kwargs: Option<Map<String, Value>>,
    /// How often each request is run.
    pub repeats: usize,
    /// Pipelines over answers; none means the first answer as it is.
    pub filter_list: Option<Vec<FilterConfig>>,
    /// Read and kept; the reference harness does nothing with it.
    pub should_decontaminate: bool,
    /// Read and kept; the reference harness does nothing with it.
    pub doc_to_decontamination_query: Option<Field>,
    /// A template of the text that the answer begins with.
    pub gen_prefix: Option<String>,
    /// Free-form facts; `version` is printed.
    pub metadata: Map<String, Value>,
    /// `metadata.submission`: the file for answers whose right ones are not public.
    pub submission: Option<Submission>,
    /// Set for a task that is written in Python.
    pub class: Option<String>,
}

/// Every key of a task file.
pub const TASK_KEYS: [&str; 41] = [
    "task",
    "task_alias",
    "tag",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "custom_dataset",
    "training_split",
    "validation_split",
    "test_split",
    "fewshot_split",
    "process_docs",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "doc_to_image",
    "doc_to_audio",
    "unsafe_code",
    "process_results",
    "use_prompt",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "num_fewshot",
    "metric_list",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "gen_prefix",
    "metadata",
    "class",
    "group",
    "task_list",
    "include",
    "group_alias",
    "aggregate_metric_list",
    "fewshot_as_multiturn",
];

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            task: String::new(),
            task_alias: None,
            tag: Vec::new(),
            dataset_path: None,
            dataset_name: None,
            dataset_kwargs: Map::new(),
            custom_dataset: None,
            training_split: None,
            validation_split: None,
            test_split: None,
            fewshot_split: None,
            process_docs: None,
            doc_to_text: None,
            doc_to_target: None,
            doc_to_choice: None,
            doc_to_image: None,
            doc_to_audio: None,
            unsafe_code: false,
            process_results: None,
            use_prompt: None,
            description: None,
            target_delimiter: " ".into(),
            fewshot_delimiter: "\n\n".into(),
            fewshot_config: FewshotConfig::default(),
            num_fewshot: None,
            metric_list: None,
            output_type: OutputType::GenerateUntil,
            generation_kwargs: None,
            repeats: 1,
            filter_list: None,
            should_decontaminate: false,
            doc_to_decontamination_query: None,
            gen_prefix: None,
            metadata: Map::new(),
            submission: None,
            class: None,
        }
    }
}

impl TaskConfig {
    /// Reads the merged keys of a task file.
    ///
    /// # Errors
    /// Unknown keys and values of the wrong kind, with file, line and key.
    pub fn read(fields: &Fields) -> Result<Self, TaskError> {
        let mut config = Self::default();
        for (key, entry) in fields {
            match config.set(key, &Slot::new(key, entry)) {
                // A task written in Python has keys of its own.
                Err(TaskError::UnknownKey { .. }) if fields.contains_key("class") => {}
                other => other?,
            }
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, slot: &Slot<'_>) -> Result<(), TaskError> {
        let null = slot.value.is_null();
        match key {
            "task" => self.task = slot.string()?,
            "task_alias" => self.task_alias = slot.optional_string()?,
            "tag" => self.tag = slot.strings()?,
            "dataset_path" => self.dataset_path = slot.optional_string()?,
            "dataset_name" => self.dataset_name = slot.optional_string()?,
            "dataset_kwargs" if !null => self.dataset_kwargs = slot.json_map()?,
            "custom_dataset" => self.custom_dataset = slot.optional_function()?,
            "training_split" => self.training_split = slot.optional_string()?,
            "validation_split" => self.validation_split = slot.optional_string()?,
            "test_split" => self.test_split = slot.optional_string()?,
            "fewshot_split" => self.fewshot_split = slot.optional_string()?,
            "process_docs" => self.process_docs = slot.optional_function()?,
            "doc_to_text" => self.doc_to_text = Field::read(slot)?,
            "doc_to_target" => self.doc_to_target = Field::read(slot)?,
            "doc_to_choice" => self.doc_to_choice = Field::read(slot)?,
            "doc_to_image" => self.doc_to_image = Field::read(slot)?,
            "doc_to_audio" => self.doc_to_audio = Field::read(slot)?,
            "unsafe_code" => self.unsafe_code = slot.bool()?,
            "process_results" => self.process_results = Field::read(slot)?,
            "use_prompt" => self.use_prompt = slot.optional_string()?,
            "description" => self.description = slot.optional_string()?,
            "target_delimiter" => self.target_delimiter = slot.string()?,
            "fewshot_delimiter" => self.fewshot_delimiter = slot.string()?,
            "fewshot_config" => self.fewshot_config = FewshotConfig::read(slot)?,
            "num_fewshot" if !null => self.num_fewshot = Some(slot.usize()?),
            "metric_list" => self.metric_list = MetricConfig::read_list(slot)?,
            "output_type" => self.output_type = OutputType::parse(slot)?,
            "generation_kwargs" if !null => self.generation_kwargs = Some(slot.json_map()?),
            "repeats" => self.repeats = slot.usize()?,
            "filter_list" => self.filter_list = FilterConfig::read_list(slot)?,
            "should_decontaminate" => self.should_decontaminate = slot.bool()?,
            "doc_to_decontamination_query" => self.doc_to_decontamination_query = Field::read(slot)?,
            "gen_prefix" => self.gen_prefix = slot.optional_string()?,
            "metadata" if !null => {
                self.metadata = slot.json_map()?;
                self.submission = Submission::read(slot)?;
            }
            "class" => {
                let function = slot.function().map(|f| f.name);
                self.class = function.map_or_else(|| slot.optional_string(), |name| Ok(Some(name)))?;
            }
            "dataset_kwargs" | "num_fewshot" | "generation_kwargs" | "metadata" => {}
            "group" | "task_list" | "include" => {}
            other => return Err(slot.unknown(other, TASK_KEYS)),
        }
        Ok(())
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
