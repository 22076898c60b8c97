//! The documents of a task: those that are evaluated and those that examples are drawn from.

use super::data::{DataDigest, DataStore, DatasetRef, SplitData};
use super::document::Document;
use super::error::TaskError;
use super::native;
use super::schema::{FunctionRef, OutputType, Samples};
use super::suite::Task;

/// The evaluated documents.
#[derive(Debug)]
pub(super) struct Evaluated {
    /// The name of the split.
    pub split: String,
    /// The documents, after `process_docs`; the first of them if no more are wanted.
    pub documents: Vec<Document>,
    /// How many there are.
    pub total: usize,
    /// The names of the columns.
    pub columns: Vec<String>,
}

/// The documents that examples are drawn from; none where there are no examples.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The documents, after their `process_docs`.
    pub documents: Vec<Document>,
    /// Whether they are the evaluated split.
    pub is_evaluated: bool,
}

/// Reads splits and keeps the digests of what was read.
#[derive(Debug)]
pub(super) struct Splits<'a> {
    task: &'a Task,
    data: &'a DataStore,
    /// The digests of all files read so far.
    pub files: Vec<DataDigest>,
}

impl<'a> Splits<'a> {
    pub fn new(task: &'a Task, data: &'a DataStore) -> Self {
        Self { task, data, files: Vec::new() }
    }

    /// The test split, or else the validation split; of its documents no more than the first `most` are wanted.
    pub fn evaluated(&mut self, most: usize) -> Result<Evaluated, TaskError> {
        let config = &self.task.config;
        let split = evaluated_split(self.task)?;
        let read = self.read(split, config.process_docs.as_ref(), most.max(1))?;
        let SplitData { documents, total, columns, files } = read;
        if documents.is_empty() {
            let files: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            let message = format!(
                "the split {split:?} has no documents: {} hold none{}. Check the data, or name another split in {}",
                files.join(", "),
                if config.process_docs.is_some() { " that process_docs keeps" } else { "" },
                self.task.file.display()
            );
            return Err(self.task.refusal(message));
        }
        Ok(Evaluated { split: split.to_owned(), documents, total, columns })
    }

    /// The configured few-shot split; or else the samples in the file; or else the training split, the
    /// validation split or the test split.
    pub fn pool(&mut self, evaluated: &Evaluated) -> Result<Pool, TaskError> {
        let config = &self.task.config;
        let own = &config.fewshot_config;
        let process = config.process_docs.as_ref();
        let configured = config.configured_fewshot_split();
        if configured.is_none() {
            match &own.samples {
                Some(Samples::Listed(documents)) => {
                    return Ok(Pool { documents: documents.clone(), is_evaluated: false });
                }
                Some(Samples::Function(function)) => {
                    return Ok(Pool { documents: native::samples(function)?(), is_evaluated: false });
                }
                None => {}
            }
        }
        let split = pool_split(self.task)?;
        let pool_process = match configured {
            Some(_) if own.process_docs.is_some() => own.process_docs.as_ref().and_then(Option::as_ref),
            _ => process,
        };
        let is_evaluated = split == evaluated.split;
        let documents = if is_evaluated && pool_process == process {
            evaluated.documents.clone()
        } else {
            self.read(split, pool_process, usize::MAX)?.documents
        };
        Ok(Pool { documents, is_evaluated })
    }

    fn read(
        &mut self,
        split: &str,
        process: Option<&FunctionRef>,
        most: usize,
    ) -> Result<SplitData, TaskError> {
        let process = process.map(native::documents).transpose()?;
        let dataset = DatasetRef::of(self.task).ok_or_else(|| {
            self.task.wrong("dataset_path", "missing; it names the data set, or json, csv or parquet")
        })?;
        // A function may leave any of them out.
        let most = if process.is_some() { usize::MAX } else { most };
        let mut data = self.data.load_first(&dataset, split, most)?;
        self.files.extend(data.files.iter().cloned());
        if let Some(process) = process {
            data.documents = process(data.documents)
                .map_err(|e| self.task.wrong_document("split", e.doc, "process_docs", e.message))?;
            data.total = data.documents.len();
            if let Some(first) = data.documents.first() {
                data.columns = first.keys().cloned().collect();
            }
        }
        Ok(data)
    }
}

/// The split that is evaluated: the test split, or else the validation split.
fn evaluated_split(task: &Task) -> Result<&str, TaskError> {
    let split = task.config.test_split.as_ref().or(task.config.validation_split.as_ref());
    split.map(String::as_str).ok_or_else(|| {
        task.wrong("test_split", "missing, and validation_split too; one of them must name a split")
    })
}

/// The split that examples are drawn from, where they do not stand in the task file.
fn pool_split(task: &Task) -> Result<&str, TaskError> {
    let config = &task.config;
    let fallback = [&config.training_split, &config.validation_split, &config.test_split];
    let split = config.configured_fewshot_split();
    let split = split.or_else(|| fallback.into_iter().flatten().next().map(String::as_str));
    split.ok_or_else(|| task.wrong("fewshot_split", "no split to draw examples from"))
}

/// How many examples a task is asked with: `asked` is what the user says.
pub(super) fn num_fewshot(task: &Task, asked: Option<usize>) -> usize {
    match task.config.num_fewshot {
        Some(0) => 0,
        // A text that is scored whole has nothing before it.
        _ if task.config.output_type == OutputType::LoglikelihoodRolling => 0,
        own => asked.or(own).unwrap_or(0),
    }
}

/// The splits that preparing a task reads, given what the user says of examples.
///
/// # Errors
/// A task file that names none.
pub fn splits_read(task: &Task, asked: Option<usize>) -> Result<Vec<&str>, TaskError> {
    let mut splits = vec![evaluated_split(task)?];
    let listed =
        task.config.configured_fewshot_split().is_none() && task.config.fewshot_config.samples.is_some();
    if num_fewshot(task, asked) > 0 && !listed {
        let pool = pool_split(task)?;
        if !splits.contains(&pool) {
            splits.push(pool);
        }
    }
    Ok(splits)
}
