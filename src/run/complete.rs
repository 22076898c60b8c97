//! A run that is complete already: its rows, without computing anything.

use std::path::Path;

use super::error::During;
use super::folder::{self, MAX_RUN_BYTES, RUN_FILE};
use super::rows::place_rows;
use super::settings::{Today, by_model};
use super::subject::name_of;
use super::{Finished, Options, RunError, find_suites};
use crate::base::{whole, yaml};
use crate::records::{RunRecord, RunSettings, option_differences};
use crate::report::{Row, read_results};
use crate::tasks::Index;

/// The largest table of results that is read, in bytes.
const MAX_RESULTS: u64 = 256 << 20;

/// The complete run in `folder`, if it is the one that `options` ask for: of the same models, tasks and data as they are now.
///
/// # Errors
/// A run of something else, and one that cannot be read.
pub fn complete(folder: &Path, options: &Options) -> Result<Finished, RunError> {
    let record = read_record(folder)?;
    let rows = read_rows(folder, &record, options)?;
    let then = folder::settings(folder)?;
    let mut differences = differences(&record, then.as_ref(), options)?;
    if differences.is_empty() {
        let suites = find_suites(&options.places.include_path, &options.suite)?;
        let today = Today::look(options, &suites, &record, then)?;
        differences = today.now.differences(&today.then);
        if differences.is_empty() {
            for what in today.unknown {
                tracing::warn!("{}: {what}", folder.display());
            }
        }
    }
    if !differences.is_empty() {
        return Err(RunError::Usage(format!(
            "--resume: {} holds a finished run of something else:\n  {}\nname another --out, or leave --resume out to \
             have that run moved aside",
            folder.display(),
            differences.join("\n  ")
        )));
    }
    Ok(Finished {
        rows,
        folder: Some(folder.to_owned()),
        complete_since: Some(record.started),
        ..Finished::default()
    })
}

/// What is not the same, as far as names tell before anything is opened.
fn differences(
    record: &RunRecord,
    settings: Option<&RunSettings>,
    options: &Options,
) -> Result<Vec<String>, RunError> {
    let mut differences = option_differences(&options.recorded()?, &record.options);
    let models = by_model(record);
    let now = options.models.len();
    let then = std::iter::once(models.len()).chain(settings.map(|settings| settings.models.len()));
    if let Some(then) = then.into_iter().find(|then| *then != now) {
        differences.push(format!("models: {then} then, {now} now"));
    }
    for (model, asked) in models.into_iter().zip(&options.models) {
        let name = name_of(Path::new(asked));
        // A model of the registry goes by several names.
        if model.card.is_none() && !model.name.starts_with(&name) {
            differences.push(format!("model: {} then, {name} now", model.name));
        }
    }
    Ok(differences)
}

fn read_rows(folder: &Path, record: &RunRecord, options: &Options) -> Result<Vec<Row>, RunError> {
    let path = folder.join("results.csv");
    let bytes = whole::read(&path, MAX_RESULTS).during(|| format!("cannot read {}", path.display()))?;
    let rows = read_results(&bytes).during(|| format!("{}: expected the results of a run", path.display()));
    let mut rows = rows?;
    // Without its task files a suite is shown flat.
    let index = Index::load_for(&options.places.include_path, &record.suites)?;
    for suite in index.choose(&record.suites).unwrap_or_default() {
        place_rows(&suite, &record.tasks, &mut rows);
    }
    Ok(rows)
}

/// The description of a complete run.
pub fn read_record(folder: &Path) -> Result<RunRecord, RunError> {
    let expected = || format!("{}: expected the folder of a finished run, with {RUN_FILE}", folder.display());
    parse_record(&folder.join(RUN_FILE), expected)
}

/// The description of a complete run in a file of any name.
pub fn read_record_file(path: &Path) -> Result<RunRecord, RunError> {
    parse_record(path, || format!("{}: expected the {RUN_FILE} of a finished run", path.display()))
}

fn parse_record(path: &Path, expected: impl FnOnce() -> String) -> Result<RunRecord, RunError> {
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
