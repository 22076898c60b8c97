//! A run that is complete already: its table, without computing anything.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::folder::RUN_FILE;
use super::output::{Shown, print};
use crate::cli::Global;
use crate::cli::eval::Args;
use crate::cli::exit::Usage;
use crate::cli::models::note;
use crate::cli::source::name_of;
use crate::evaluate::place_rows;
use crate::records::{RunRecord, option_differences};
use crate::report::{Row, read_results};
use crate::tasks::Index;

/// Prints the table of the complete run in `folder`, if it is the one that `args` ask for.
pub fn show(folder: &Path, args: &Args, shown: Shown, global: &Global) -> anyhow::Result<()> {
    let (record, rows) = read(folder, &args.include_path)?;
    let differences = differences(&record, args)?;
    if !differences.is_empty() {
        let text = format!(
            "--resume: {} holds a finished run of something else:\n  {}\nname another --out, or leave --resume out to \
             have that run moved aside",
            folder.display(),
            differences.join("\n  ")
        );
        return Err(Usage(text).into());
    }
    note(global, &format!("{}: this run is complete, since {}", folder.display(), record.started));
    print(&rows, "", Some(folder), shown, global)
}

/// What is not the same, as far as the command line tells before any model is opened.
fn differences(record: &RunRecord, args: &Args) -> anyhow::Result<Vec<String>> {
    let mut differences = option_differences(&args.options()?, &record.options);
    let (then, now) = (record.models.len(), args.models.len());
    if then != now {
        differences.push(format!("models: {then} then, {now} now"));
    }
    for (model, asked) in record.models.iter().zip(&args.models) {
        let name = name_of(Path::new(asked));
        // A model of the registry goes by several names.
        if model.card.is_none() && !model.name.starts_with(&name) {
            differences.push(format!("model: {} then, {name} now", model.name));
        }
    }
    Ok(differences)
}

/// What a run was and what came out.
fn read(folder: &Path, include: &[PathBuf]) -> anyhow::Result<(RunRecord, Vec<Row>)> {
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
