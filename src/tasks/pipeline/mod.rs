//! The pipelines of a task, `filter_list`: steps one after the other over the answers to a prompt.

use serde_json::Value;

use crate::tasks::document::Document;
use crate::tasks::error::TaskError;
use crate::tasks::filters::{self, Filter, FilterArgs, Filtered, NO_FILTER};
use crate::tasks::native;
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
            let place = format!("filter_list[{at}]");
            let mut steps = Vec::new();
            for (number, step) in config.steps.iter().enumerate() {
                if step.function == "take_first" {
                    steps.push(Step::TakeFirst);
                    continue;
                }
                let args = FilterArgs::new(&step.kwargs);
                let filter = match &step.native {
                    Some(function) => native::filter(function)?(args).map(Some),
                    None => filters::named(&step.function, args),
                };
                let filter = filter.map_err(|e| task.wrong(format!("{place}.filter[{number}]"), e))?;
                // A step that does nothing has no filter.
                steps.extend(filter.map(Step::Filter));
            }
            if pipelines.iter().any(|known| known.name == config.name) {
                let message = format!("a filter named {:?} stands above", config.name);
                return Err(task.wrong(format!("{place}.name"), message));
            }
            pipelines.push(Self { name: config.name.clone(), steps });
        }
        Ok(pipelines)
    }

    /// The answers to one prompt after all steps.
    ///
    /// # Errors
    /// What a step finds wrong, in words.
    pub fn apply(&self, document: &Document, answers: &[String]) -> Result<Outcome, String> {
        let mut now = Value::Array(answers.iter().map(|text| text.as_str().into()).collect());
        let mut extracted: Option<f64> = None;
        for step in &self.steps {
            let answers = listed(now)?;
            now = match step {
                Step::Filter(filter) => {
                    let before = answers.len();
                    let Filtered { answers, found } = filter.apply(document, answers)?;
                    if let Some(found) = found {
                        let share = if before == 0 { 0.0 } else { found as f64 / before as f64 };
                        extracted = Some(extracted.map_or(share, |least| least.min(share)));
                    }
                    Value::Array(answers)
                }
                Step::TakeFirst => {
                    let first = answers.into_iter().next();
                    first.ok_or_else(|| "there is no answer to take the first of".to_owned())?
                }
            };
        }
        Ok(Outcome { answer: now, extracted })
    }
}

/// What a pipeline makes of the answers to one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One answer, or a list if nothing takes the first.
    pub answer: Value,
    /// In which part of the answers something was found, from 0 to 1, if a step looks for something; of several such steps by
    /// the one that finds least.
    pub extracted: Option<f64>,
}

/// The answers that a step sees; of a single one that is left its characters.
fn listed(answers: Value) -> Result<Vec<Value>, String> {
    match answers {
        Value::Array(answers) => Ok(answers),
        Value::String(text) => Ok(text.chars().map(|c| c.to_string().into()).collect()),
        other => Err(format!("a step after take_first needs a text, found {other}; end with take_first")),
    }
}

#[cfg(test)]
mod tests;
