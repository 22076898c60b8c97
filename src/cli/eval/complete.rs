//! A run that is complete already: its table, without computing anything.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::folder::RUN_FILE;
use super::output::{Shown, print};
use crate::cli::Global;
use crate::cli::models::note;
use crate::evaluate::place_rows;
use crate::records::RunRecord;
use crate::report::{Row, read_results};
use crate::tasks::Index;

/// Prints the table of the complete run in `folder`.
pub fn show(
    folder: &Path,
    include: &[std::path::PathBuf],
    shown: Shown,
    global: &Global,
) -> anyhow::Result<()> {
    let (record, rows) = read(folder, include)?;
    note(global, &format!("{}: this run is complete, since {}", folder.display(), record.started));
    print(&rows, "", Some(folder), shown, global)
}

/// What a run was and what came out.
fn read(folder: &Path, include: &[std::path::PathBuf]) -> anyhow::Result<(RunRecord, Vec<Row>)> {
    let record = read_record(folder)?;
    let path = folder.join("results.csv");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows =
        read_results(&bytes).with_context(|| format!("{}: expected the results of a run", path.display()))?;
    // Without its task files a suite is shown flat.
    let index = Index::load(include)?;
    for suite in record.suites.iter().filter_map(|name| index.resolve(name).ok()) {
        place_rows(&suite, &mut rows);
    }
    Ok((record, rows))
}

/// The description of a complete run.
pub fn read_record(folder: &Path) -> anyhow::Result<RunRecord> {
    let path = folder.join(RUN_FILE);
    let text = fs::read_to_string(&path).with_context(|| {
        format!("{}: expected the folder of a finished run, with {RUN_FILE}", folder.display())
    })?;
    serde_yaml::from_str(&text)
        .with_context(|| format!("{}: expected the description of a run", path.display()))
}
