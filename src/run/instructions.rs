//! `judged/<set>/<model>.jsonl` in a run's folder: answers to instructions, for people or models that judge them.

use std::path::Path;

use super::RunError;
use super::outcome::Outcome;
use crate::base::atomic::write_atomically;
use crate::evaluate::{JudgedFile, judged_files};
use crate::records::{RunRecord, Timestamp, file_name};

/// The folder in a run's folder.
const FOLDER: &str = "judged";

/// Writes the files of every respondent; gives a line about each, to stand below the table.
pub fn write(folder: &Path, models: &[Outcome], record: &RunRecord) -> Result<String, RunError> {
    let mut lines = String::new();
    if models.iter().all(|model| files(model, 0.0).is_empty()) {
        return Ok(lines);
    }
    let begun = Timestamp::parse(&record.started).ok_or_else(|| {
        RunError::room(format!("run.yaml, started: expected a time by RFC 3339, found {:?}", record.started))
    })?;
    for model in models {
        for (place, answers) in files(model, begun.seconds()) {
            let path = folder.join(&place);
            let text: String = answers.iter().map(|line| format!("{line}\n")).collect();
            write_atomically(&path, text.as_bytes())?;
            lines += &format!(
                "{}: {} answers and no score; written for judges: {}\n",
                model.identity.name,
                answers.len(),
                path.display()
            );
        }
    }
    Ok(lines)
}

/// A line about each file, by its place in the run's folder.
pub fn notes(models: &[Outcome]) -> Vec<String> {
    let of_model = |model: &Outcome| {
        let name = model.identity.name.clone();
        let line = move |(place, answers): (String, Vec<String>)| {
            format!("{name}: {} answers and no score; written for judges: {place}", answers.len())
        };
        files(model, 0.0).into_iter().map(line).collect::<Vec<_>>()
    };
    models.iter().flat_map(of_model).collect()
}

fn files(model: &Outcome, begun: f64) -> Vec<(String, Vec<String>)> {
    let name = file_name(&model.folder);
    let place = |file: JudgedFile| (format!("{FOLDER}/{}/{name}.jsonl", file.folder), file.lines);
    judged_files(&model.tasks, &name, begun).into_iter().map(place).collect()
}
