//! A run that is complete already: its rows, without computing anything.

use std::path::Path;

use super::folder;
use super::settings::{Today, by_model};
use super::subject::name_of;
use super::{Finished, Options, RunError, World, find_suites};
use crate::finished::{read_record, read_rows};
use crate::records::{RunRecord, RunSettings, option_differences};
use crate::remote::Address;

/// The complete run in `folder`, if it is the one that `options` ask for: of the same models, tasks and data as they are now.
///
/// # Errors
/// A run of something else, and one that cannot be read.
pub fn complete(folder: &Path, options: &Options, world: &World<'_>) -> Result<Finished, RunError> {
    let record = read_record(folder)?;
    let rows = read_rows(folder, &record, &options.places.include_path)?;
    let then = folder::settings(folder)?;
    let mut differences = differences(&record, then.as_ref(), options)?;
    if differences.is_empty() {
        let suites = find_suites(&options.places.include_path, &options.suite)?;
        let today = Today::look((options, world), &suites, &record, then)?;
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
        shard: options.shard,
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
        let is_served = [asked, &model.path].map(|name| Address::is_one(name));
        if is_served != [false; 2] {
            // A server may have moved; what it serves is compared then.
            if is_served != [true; 2] {
                differences.push(format!("model: {} then, {asked} now", model.path));
            }
            continue;
        }
        let name = name_of(Path::new(asked));
        // A model of the registry goes by several names.
        if model.card.is_none() && !model.name.starts_with(&name) {
            differences.push(format!("model: {} then, {name} now", model.name));
        }
    }
    Ok(differences)
}
