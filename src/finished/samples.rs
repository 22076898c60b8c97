//! The documents behind a run's values: what was asked, and what was answered; read a task at a time.

use std::path::{Path, PathBuf};

use super::error::{During, FinishedError};
use super::run::Run;
use crate::records::{SampleHeader, SampleLine, TextLine, Way, read_texts, texts_path};
use crate::report::Row;

impl Run {
    /// The answers of the model of `row` to its task; `None` where the run has none, as a group and a results file of the
    /// reference harness.
    ///
    /// # Errors
    /// As [`Run::answers`].
    pub fn samples(&self, row: &Row) -> Result<Option<(SampleHeader, Vec<SampleLine>)>, FinishedError> {
        let is_there = self.answers_file(row).is_some_and(|path| path.exists());
        is_there.then(|| self.answers(row)).transpose()
    }

    /// Where the texts of what was asked there are; `None` where a run kept none.
    pub fn texts_path(&self, row: &Row) -> Option<PathBuf> {
        self.record()?;
        let model = self.model(row);
        let way = Way {
            protocol: &row.protocol,
            chat: model.and_then(|model| model.chat.as_ref()),
            rotation: model.map_or(0, |model| model.rotation),
        };
        Some(texts_path(&self.path, way, &row.task)).filter(|path| path.exists())
    }
}

/// The texts of a task.
///
/// # Errors
/// A file that cannot be read.
pub fn texts(path: &Path) -> Result<Vec<TextLine>, FinishedError> {
    let lines = read_texts(path).and_then(Iterator::collect);
    lines.during(|| "cannot read the texts of the run".to_owned())
}
