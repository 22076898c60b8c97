//! The answers of finished runs, document by document; read a task at a time, and checked to be those of a row.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::error::{During, FinishedError};
use super::run::Run;
use crate::records::{SampleHeader, file_name, own_file_name, read_samples_as};
use crate::report::{Row, TaskKind};

impl Run {
    /// The file with the documents of a task's row, of a run of this program. A group has none of its own.
    pub fn answers_file(&self, row: &Row) -> Option<PathBuf> {
        let record = self.record().filter(|_| row.kind == TaskKind::Task)?;
        let folder = file_name(&record.samples_folder(&row.model, &row.protocol));
        Some(self.path.join("samples").join(folder).join(own_file_name(&row.task) + ".jsonl"))
    }

    /// The documents of a task's row; `L` is a `SampleLine`, or what is wanted of one.
    ///
    /// # Errors
    /// A row without samples, a file that cannot be read, one that was cut, and one of another task or of other weights.
    pub fn answers<L: DeserializeOwned>(&self, row: &Row) -> Result<(SampleHeader, Vec<L>), FinishedError> {
        let file = self.answers_file(row).filter(|file| file.is_file()).ok_or_else(|| {
            let (run, task) = (self.path.display(), &row.task);
            FinishedError::new(format!(
                "{run}: expected samples of {task}, the answers by document; found none"
            ))
        })?;
        let (header, lines): (SampleHeader, Vec<L>) =
            read_samples_as(&file).during(|| "cannot read the samples of the run".to_owned())?;
        let checks = [
            ("lines", header.n.to_string(), lines.len().to_string()),
            ("the task", row.task.clone(), header.task.clone()),
            ("answers of the weights", row.weights_sha256.clone(), header.weights_sha256.clone()),
        ];
        match checks.into_iter().find(|(_, expected, found)| expected != found) {
            None => Ok((header, lines)),
            Some((what, expected, found)) => {
                let file = file.display();
                Err(FinishedError::new(format!("{file}: expected {what} {expected}, found {found}")))
            }
        }
    }
}
