//! A finished run repeated: what its description says of its flags, and whether models and data are still the same.

use std::path::Path;

use super::folder::{self, SETTINGS_FILE};
use super::{Options, Repeated, RunError};
use crate::finished::{RUN_FILE, read_record, read_record_file};
use crate::records::{ModelSettings, RecordedOptions, RunRecord, RunSettings};

/// The run in a folder, or the one whose `run.yaml` this is.
///
/// # Errors
/// A file that is none, options that this version does not know, and a run that asked no model.
pub fn read_repeated(path: &Path) -> Result<Repeated, RunError> {
    let record = if path.is_dir() { read_record(path) } else { read_record_file(path) }?;
    Options::from_record(&record.options)?;
    if !record.graded.is_empty() || record.models.is_empty() {
        return Err(RunError::Usage(format!(
            "--config {}: expected a run that asked models, found answers that were graded again: zoo score does that",
            path.display()
        )));
    }
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let settings = folder.map_or(Ok(None), folder::settings)?;
    Ok(Repeated { record, settings })
}

/// Says what is not as it was.
pub fn compare(then: &Repeated, now: &RunSettings) {
    let started = &then.record.started;
    match &then.settings {
        Some(then) => changes(then, now).into_iter().for_each(|change| {
            tracing::warn!("this run repeats the one of {started}, but not all is the same: {change}");
        }),
        None => tracing::warn!(
            "this run repeats the one of {started}; whether models, tasks and data are the same is not known, since \
             there is no {SETTINGS_FILE} beside its {RUN_FILE}"
        ),
    }
}

/// What is not as it was of the models and tasks that both have; what one of them has alone was asked for otherwise.
fn changes(then: &RunSettings, now: &RunSettings) -> Vec<String> {
    let mut now = RunSettings { options: RecordedOptions::new(), ..now.clone() };
    let mut then = RunSettings { options: RecordedOptions::new(), ..then.clone() };
    now.models.retain(|model| then.models.iter().any(|known| known.name == model.name));
    let known = |model: &ModelSettings| then.models.iter().find(|known| known.name == model.name).cloned();
    then.models = now.models.iter().filter_map(known).collect();
    now.tasks.retain(|task| then.tasks.iter().any(|known| known.task == task.task));
    then.tasks.retain(|known| now.tasks.iter().any(|task| known.task == task.task));
    now.differences(&then)
}

/// The flags that repeat a run, by name, with their values as they are typed; what was not set is left out.
///
/// # Errors
/// A value that nobody can type.
pub fn repeated_flags(record: &RunRecord) -> Result<Vec<(String, Vec<String>)>, RunError> {
    let all = record.options.iter().chain(&record.flags);
    let mut flags = all
        .map(|(name, value)| Ok((name.clone(), typed(name, value)?)))
        .collect::<Result<Vec<_>, RunError>>()?;
    if !record.flags.contains_key("models") {
        // A run of a version that did not record how models were named.
        let mut models: Vec<String> = Vec::new();
        for model in &record.models {
            let name = model.card.as_ref().unwrap_or(&model.path);
            if !models.contains(name) {
                models.push(name.clone());
            }
        }
        flags.push(("models".to_owned(), models));
    }
    flags.retain(|(_, values)| !values.is_empty());
    Ok(flags)
}

/// The values of a flag: none of a null, several of a list.
fn typed(name: &str, value: &serde_yaml::Value) -> Result<Vec<String>, RunError> {
    use serde_yaml::Value::{Bool, Mapping, Null, Number, Sequence, String};
    match value {
        Mapping(_) => {
            let text = serde_json::to_string(value);
            Ok(vec![text.map_err(|error| RunError::room(format!("{name}: {error}")))?])
        }
        Null => Ok(Vec::new()),
        Bool(value) => Ok(vec![value.to_string()]),
        Number(value) => Ok(vec![value.to_string()]),
        String(value) => Ok(vec![value.clone()]),
        Sequence(values) => {
            values.iter().map(|value| typed(name, value)).collect::<Result<Vec<_>, _>>().map(|v| v.concat())
        }
        other => Err(RunError::room(format!(
            "run.yaml: {name}: expected a value of a flag or a list of them, found {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_people_type_them() {
        let options: RecordedOptions = serde_yaml::from_str(
            "{suite: [a, b], limit: 0.5, num_fewshot: null, metrics: [], fewshot_as_multiturn: true}",
        )
        .unwrap();
        let typed: Vec<_> = options.iter().map(|(name, value)| typed(name, value).unwrap()).collect();
        let empty: [&str; 0] = [];
        assert_eq!(typed, [&["true"][..], &["0.5"], &empty, &empty, &["a", "b"]]);
        let map = serde_yaml::from_str("{a: 1, b: [x]}").unwrap();
        assert_eq!(super::typed("gen_kwargs", &map).unwrap(), [r#"{"a":1,"b":["x"]}"#]);
        let tagged = serde_yaml::from_str("!a 1").unwrap();
        assert!(super::typed("suite", &tagged).unwrap_err().to_string().contains("suite"));
    }
}
