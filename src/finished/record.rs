//! The files of a finished run: `run.yaml` and `results.csv`.

use std::path::{Path, PathBuf};

use super::error::{During, FinishedError};
use super::place::place_rows;
use crate::base::{whole, yaml};
use crate::records::RunRecord;
use crate::report::{Row, TaskKind, read_results};
use crate::tasks::Index;

/// The file whose presence says that a run is complete; written last.
pub const RUN_FILE: &str = "run.yaml";
/// The file that stands in its place until then.
pub const PARTIAL_FILE: &str = "run.partial.yaml";
/// The largest description of a run that is read, in bytes; that of a large run has some hundred kilobytes.
pub const MAX_RUN_BYTES: u64 = 64 << 20;

/// The largest table of results that is read, in bytes.
const MAX_RESULTS: u64 = 256 << 20;

/// The rows of the run in `folder`, in the order of tables for people. Without its task files a suite is shown flat.
///
/// # Errors
/// A file that cannot be read, and one of something else.
pub fn read_rows(
    folder: &Path,
    record: &RunRecord,
    include_paths: &[PathBuf],
) -> Result<Vec<Row>, FinishedError> {
    let path = folder.join("results.csv");
    let bytes = whole::read(&path, MAX_RESULTS).during(|| format!("cannot read {}", path.display()))?;
    let expected = || format!("{}: expected the results of a run", path.display());
    let mut rows = read_results(&bytes).during(expected)?;
    let index = Index::load_for(include_paths, &record.suites).during(expected)?;
    for name in &record.suites {
        match index.choose(std::slice::from_ref(name)) {
            Ok(suites) => suites.iter().for_each(|suite| place_rows(suite, &record.tasks, &mut rows)),
            Err(_) => tracing::warn!(
                "{}: no suite is named {name:?} here, so its tasks stand in no group; --include-path names the folder of its files",
                folder.display()
            ),
        }
    }
    // What the description says of tasks holds without their files.
    for row in rows.iter_mut().filter(|row| row.place == 0) {
        let Some(task) = record.tasks.iter().find(|task| task.task == row.task) else {
            row.kind = TaskKind::Group;
            continue;
        };
        row.of = Some(task.of);
        row.is_share = task.shares.contains(&format!("{},{}", row.metric, row.filter));
    }
    for row in rows.iter_mut().filter(|row| row.value.is_none()) {
        let left = record.missing_data.iter().find(|left| left.task == row.task);
        row.missing = left.map(|left| left.why.clone());
    }
    Ok(rows)
}

/// The description of a complete run.
pub fn read_record(folder: &Path) -> Result<RunRecord, FinishedError> {
    let expected = || format!("{}: expected the folder of a finished run, with {RUN_FILE}", folder.display());
    parse_record(&folder.join(RUN_FILE), expected)
}

/// The description of a complete run in a file of any name.
pub fn read_record_file(path: &Path) -> Result<RunRecord, FinishedError> {
    parse_record(path, || format!("{}: expected the {RUN_FILE} of a finished run", path.display()))
}

fn parse_record(path: &Path, expected: impl FnOnce() -> String) -> Result<RunRecord, FinishedError> {
    let text = yaml::read_text(path, MAX_RUN_BYTES).during(expected)?;
    let name = path.display().to_string();
    yaml::parse(&name, &text).during(|| format!("{name}: expected the description of a run"))
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;

    use super::*;

    #[test]
    fn a_damaged_description_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(RUN_FILE), "suites: [a]\nmodels: [\n").unwrap();
        let error = read_record(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("run.yaml: expected the description of a run"), "{error}");
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("run.yaml:"), "{cause}");
    }
}
