//! One run, opened.

use std::path::{Path, PathBuf};

use super::error::{During, FinishedError};
use super::find::find_runs;
use super::harness::{self, HarnessFile};
use super::record::{RUN_FILE, read_record, read_rows};
use crate::records::{ModelRecord, RunRecord};
use crate::report::Row;

/// A run, or a results file of the reference harness.
#[derive(Debug, Clone)]
pub struct Run {
    /// The folder, or the file.
    pub path: PathBuf,
    /// What it says of itself.
    pub about: About,
    /// Its values.
    pub rows: Vec<Row>,
}

/// What a run says of itself.
#[derive(Debug, Clone)]
pub enum About {
    /// The description of a run of this program.
    Run(Box<RunRecord>),
    /// What the reference harness writes down.
    Harness(Box<HarnessFile>),
}

impl Run {
    /// Opens everything that is meant by `paths`: runs, and folders that hold them.
    ///
    /// Shards have no values of their own; they are left out, and it is said.
    ///
    /// # Errors
    /// As [`find_runs`] and [`Run::open`], and nothing but shards.
    pub fn open_all(paths: &[PathBuf], include_paths: &[PathBuf]) -> Result<Vec<Self>, FinishedError> {
        let mut runs = Vec::new();
        let mut shards = Vec::new();
        for path in paths {
            for path in find_runs(path)? {
                let run = Self::open(&path, include_paths)?;
                match run.record().and_then(|record| Some(record.shard()?.to_owned())) {
                    Some(shard) => shards.push((path, shard)),
                    None => runs.push(run),
                }
            }
        }
        if let Some((path, shard)) = shards.first() {
            let place = path.display();
            let more =
                if shards.len() > 1 { format!(" (and {} more)", shards.len() - 1) } else { String::new() };
            let said = format!(
                "{place}{more}: this is shard {shard} of a run, which has no values of its own; zoo merge makes the run of all shards"
            );
            if runs.is_empty() {
                return Err(FinishedError::new(said));
            }
            tracing::warn!("left out: {said}");
        }
        Ok(runs)
    }

    /// Reads a run's folder, or a results file of the reference harness. The suites of task files in `include_paths` have their
    /// place in tables as well.
    ///
    /// # Errors
    /// What is neither, and what cannot be read.
    pub fn open(path: &Path, include_paths: &[PathBuf]) -> Result<Self, FinishedError> {
        if path.is_dir() {
            let record = read_record(path)?;
            let rows = read_rows(path, &record, include_paths)?;
            let mut run = Self { path: path.to_owned(), about: About::Run(Box::new(record)), rows };
            run.say_how_models_were_asked();
            return Ok(run);
        }
        if path.file_name().is_some_and(|name| name == RUN_FILE)
            && let Some(folder) = path.parent()
        {
            return Self::open(if folder == "" { Path::new(".") } else { folder }, include_paths);
        }
        let (file, rows) = harness::read(path).during(|| {
            let path = path.display();
            format!(
                "{path}: expected the folder of a finished run, or a results file of lm-evaluation-harness"
            )
        })?;
        Ok(Self { path: path.to_owned(), about: About::Harness(Box::new(file)), rows })
    }

    /// Says of rows what files of earlier versions say in the description alone.
    fn say_how_models_were_asked(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            let Some(model) = self.model(row) else { continue };
            let template = model.chat.as_ref().map(|chat| chat.template.clone());
            row.precision = row.precision.take().or_else(|| Some(model.precision.clone()));
            row.template = row.template.take().or(template);
            row.revision = row.revision.take().or_else(|| model.revision.clone());
        }
        self.rows = rows;
    }

    /// Its name in tables: that of its folder.
    pub fn name(&self) -> String {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        path.file_name()
            .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// The description, of a run of this program.
    pub fn record(&self) -> Option<&RunRecord> {
        match &self.about {
            About::Run(record) => Some(record),
            About::Harness(_) => None,
        }
    }

    /// When it began, as it says itself.
    pub fn started(&self) -> &str {
        match &self.about {
            About::Run(record) => &record.started,
            About::Harness(file) => &file.date,
        }
    }

    /// What is said of the model whose rows these are.
    pub fn model(&self, row: &Row) -> Option<&ModelRecord> {
        let models = &self.record()?.models;
        models.iter().find(|model| model.name == row.model && model.protocol == row.protocol)
    }
}
