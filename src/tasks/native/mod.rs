//! Native counterparts of the Python functions that task files name with `!function`.
//!
//! A suite of ours writes `!function hellaswag.process_docs`. A copy of the reference harness's folder
//! writes `!function utils.process_docs` in `hellaswag/hellaswag.yaml`; it is found as
//! `hellaswag/utils.process_docs`. `zoo` never runs the Python of task files.

mod agieval;
mod agieval_math;
mod bbh;
mod hellaswag;
mod hendrycks_math;
mod latex;
mod minerva_examples;
mod minerva_math;
mod number_words;
mod programs;
mod race;
mod self_instruct;
mod table;
mod truthfulqa;
mod wikitext;
mod winogrande;

use serde_json::Value;

use super::document::{Document, text};
use super::error::TaskError;
use super::filters::{Filter, FilterArgs};
use super::schema::FunctionRef;
use crate::metrics::DocValue;
use table::FUNCTIONS;

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

/// A function that lists the examples of a task.
pub type SamplesFn = fn() -> Vec<Document>;
/// A function that grades a document by the log-likelihoods of its requests.
pub type ScoreResultsFn = fn(&Document, &[f64]) -> Result<Values, String>;
/// A function that grades a document by its answer, the one text that a filter leaves.
pub type AnswerResultsFn = fn(&Document, &str) -> Result<Values, String>;
/// A function that builds a filter from the arguments of its step.
pub type FilterFn = fn(FilterArgs) -> FilterResult;
/// A filter, or what is wrong with the arguments of its step.
pub type FilterResult = Result<Filter, String>;

/// The metrics of one document, by name.
pub type Values = Vec<(&'static str, DocValue)>;

/// What stands here for a function of the reference harness, by the key of task files that names it.
#[derive(Debug, Clone, Copy)]
pub enum NativeFunction {
    /// `process_docs`.
    Documents(DocumentsFn),
    /// `doc_to_text`, `doc_to_target`, `doc_to_choice`.
    Field(FieldFn),
    /// `fewshot_config.samples`.
    Samples(SamplesFn),
    /// `process_results` of a task whose continuations or texts are scored.
    ScoreResults(ScoreResultsFn),
    /// `process_results` of a task whose answers are written.
    AnswerResults(AnswerResultsFn),
    /// A step of `filter_list`.
    Filter(FilterFn),
    /// A metric that runs the programs that a model wrote.
    RunsPrograms(PassAt),
}

/// The shares of programs that a metric estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassAt {
    /// Of this many, under the name of the function.
    One,
    /// Of each number in its argument `k`, under the names `pass@k`.
    Listed,
}

impl NativeFunction {
    fn place(self) -> &'static str {
        match self {
            Self::Documents(_) => "works on whole splits, for process_docs",
            Self::Field(_) => "makes a field of the prompt",
            Self::Samples(_) => "lists examples, for fewshot_config.samples",
            Self::ScoreResults(_) => "grades log-likelihoods, for process_results",
            Self::AnswerResults(_) => "grades written answers, for process_results",
            Self::Filter(_) => "is a step of a filter_list",
            Self::RunsPrograms(_) => "runs programs, for metric_list",
        }
    }
}

/// The native counterpart of a `!function`.
///
/// # Errors
/// The names under which it was looked for, and those that exist.
pub fn find(function: &FunctionRef) -> Result<NativeFunction, TaskError> {
    let in_folder = format!("{}/{}", function.origin.location.folder_name(), function.name);
    let found = FUNCTIONS.iter().find(|(suite, folders, name, _)| {
        function.name == format!("{suite}.{name}")
            || folders.iter().any(|folder| in_folder == format!("{folder}.{name}"))
    });
    found.map(|(.., native)| *native).ok_or_else(|| {
        let name = &function.name;
        let known: Vec<String> = FUNCTIONS.iter().map(|(suite, _, name, _)| format!("{suite}.{name}")).collect();
        function.error(format!(
            "no native function for `!function {name}` (looked for {name}, {in_folder}); zoo runs no Python, and \
             knows: {}",
            known.join(", ")
        ))
    })
}

/// Functions that find the native counterpart of one kind.
macro_rules! finders {
    ($($what:literal $name:ident: $kind:ident -> $function:ty;)*) => {$(
        #[doc = concat!("The function as ", $what, ".")]
        ///
        /// # Errors
        /// As [`find`]; also if the function is of another kind.
        pub fn $name(function: &FunctionRef) -> Result<$function, TaskError> {
            match find(function)? {
                NativeFunction::$kind(call) => Ok(call),
                other => Err(function.error(format!("!function {} {}", function.name, other.place()))),
            }
        }
    )*};
}

finders! {
    "one over documents" documents: Documents -> DocumentsFn;
    "one that makes a field" field: Field -> FieldFn;
    "one that lists examples" samples: Samples -> SamplesFn;
    "one that grades log-likelihoods" score_results: ScoreResults -> ScoreResultsFn;
    "one that grades written answers" answer_results: AnswerResults -> AnswerResultsFn;
    "a step of a filter" filter: Filter -> FilterFn;
}

/// A function over single documents as one over all.
fn each(
    documents: Vec<Document>,
    process: impl Fn(Document) -> Result<Document, String>,
) -> Result<Vec<Document>, NativeError> {
    let one = |(doc, document)| process(document).map_err(|message| NativeError { doc, message });
    documents.into_iter().enumerate().map(one).collect()
}

/// An object of this program's own as a document.
fn document(object: Value) -> Document {
    match object {
        Value::Object(columns) => columns,
        other => panic!("an example is an object, not {other}"),
    }
}
