//! `submission/<model>/<name>.json` in a run's folder: answers to documents whose right answers are not public.

use std::path::Path;

use super::RunError;
use super::outcome::Outcome;
use crate::base::atomic::write_atomically;
use crate::evaluate::{SubmissionFile, submissions};
use crate::records::{file_name, own_file_name};

/// Writes the files of every model that was asked in this run; gives a line about each, to stand below the table.
pub fn write(folder: &Path, models: &[Outcome]) -> Result<String, RunError> {
    let mut lines = String::new();
    for Outcome { identity, folder: own, tasks, .. } in models.iter().filter(|model| model.asked.is_some()) {
        for SubmissionFile { name, content, answers } in submissions(tasks) {
            let path = folder.join("submission").join(file_name(own)).join(own_file_name(&name) + ".json");
            write_atomically(&path, (serde_json::to_string_pretty(&content)? + "\n").as_bytes())?;
            let place = path.display();
            lines += &format!("{}: {answers} answers to hand in: {place}\n", identity.name);
        }
    }
    Ok(lines)
}
