//! The pipelines of a task, `filter_list`: steps one after the other over the answers to a prompt.

use serde_json::Value;

use crate::tasks::document::Document;
use crate::tasks::error::TaskError;
use crate::tasks::filters::{self, Args, Filter, NO_FILTER};
use crate::tasks::native;
use crate::tasks::schema::FilterStep;
use crate::tasks::suite::Task;

/// The steps of a pipeline, ready to be applied.
pub struct Pipeline {
    /// Its name, printed after the comma of `metric,filter`.
    pub name: String,
    steps: Vec<Step>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One step of a pipeline.
enum Step {
    /// Answers to answers.
    Filter(Filter),
    /// `take_first`: answers to one answer.
    TakeFirst,
}

impl Pipeline {
    /// The pipelines of a task; one that takes the first answer if it lists none.
    ///
    /// # Errors
    /// Unknown steps and wrong arguments, with file and key.
    pub fn of(task: &Task) -> Result<Vec<Self>, TaskError> {
        let Some(listed) = &task.config.filter_list else {
            return Ok(vec![Self { name: NO_FILTER.into(), steps: vec![Step::TakeFirst] }]);
        };
        let mut pipelines: Vec<Self> = Vec::with_capacity(listed.len());
        for (at, config) in listed.iter().enumerate() {
            let fail = |key: String, message: String| {
                TaskError::field(task.file.display(), format!("filter_list[{at}]{key}"), message)
            };
            let mut steps = Vec::new();
            for (number, step) in config.steps.iter().enumerate() {
                let key = format!(".filter[{number}]");
                if step.function == "take_first" {
                    steps.push(Step::TakeFirst);
                } else if let Some(built) = build(step).map_err(|e| e.into_task_error(|m| fail(key, m)))? {
                    steps.push(Step::Filter(built));
                }
            }
            if pipelines.iter().any(|known| known.name == config.name) {
                return Err(fail(".name".into(), format!("a filter named {:?} stands above", config.name)));
            }
            pipelines.push(Self { name: config.name.clone(), steps });
        }
        Ok(pipelines)
    }

    /// The answers to one prompt after all steps: one answer, or a list if nothing takes the first.
    ///
    /// # Errors
    /// What a step finds wrong, in words.
    pub fn apply(&self, document: &Document, answers: &[String]) -> Result<Value, String> {
        let mut now = Value::Array(answers.iter().map(|text| text.as_str().into()).collect());
        for step in &self.steps {
            let answers = listed(now)?;
            now = match step {
                Step::Filter(filter) => Value::Array(filter(document, answers)?),
                Step::TakeFirst => {
                    let first = answers.into_iter().next();
                    first.ok_or_else(|| "there is no answer to take the first of".to_owned())?
                }
            };
        }
        Ok(now)
    }
}

/// The answers that a step sees; of a single one that is left its characters.
fn listed(answers: Value) -> Result<Vec<Value>, String> {
    match answers {
        Value::Array(answers) => Ok(answers),
        Value::String(text) => Ok(text.chars().map(|c| c.to_string().into()).collect()),
        other => Err(format!("a step after take_first needs a text, found {other}; end with take_first")),
    }
}

/// Why a step cannot be built.
enum Unbuilt {
    Words(String),
    Error(Box<TaskError>),
}

impl Unbuilt {
    fn into_task_error(self, wrap: impl FnOnce(String) -> TaskError) -> TaskError {
        match self {
            Self::Words(message) => wrap(message),
            Self::Error(error) => *error,
        }
    }
}

/// A step; none for one that does nothing.
fn build(step: &FilterStep) -> Result<Option<Filter>, Unbuilt> {
    let args = Args::new(&step.kwargs);
    if let Some(function) = &step.native {
        let make = native::filter(function).map_err(|error| Unbuilt::Error(Box::new(error)))?;
        return make(args).map(Some).map_err(Unbuilt::Words);
    }
    filters::named(&step.function, args).map_err(Unbuilt::Words)
}

#[cfg(test)]
mod tests;
