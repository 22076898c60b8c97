//! The models of a run: those that are here are opened and looked at before anything is fetched for the others.

use std::sync::Arc;

use super::needs::Needs;
use super::subject::Subject;
use super::variants::Variant;
use super::{Options, RunError, World};
use crate::evaluate::Overlong;

/// The models of a run in their order; `None` stands for those that have to be fetched or built yet.
pub type Present = Vec<Option<Subject>>;

/// Opens those that are here.
///
/// # Errors
/// As [`Subject::open`].
pub fn open_present(needs: &Needs, options: &Options, world: &World<'_>) -> Result<Present, RunError> {
    let open = |name: &String| match needs.lacks(name) {
        true => Ok(None),
        false => open(name, options, world).map(Some),
    };
    options.models.iter().map(open).collect()
}

/// Opens the others too, whose weights come now.
///
/// # Errors
/// What cannot be fetched or built, and as [`Subject::open`].
pub fn open_all(present: Present, options: &Options, world: &World<'_>) -> Result<Vec<Subject>, RunError> {
    let all = present.into_iter().zip(&options.models);
    all.map(|(present, name)| present.map_or_else(|| open(name, options, world), Ok)).collect()
}

fn open(name: &str, options: &Options, world: &World<'_>) -> Result<Subject, RunError> {
    Subject::open((world.find)(name)?, options)
}

/// Puts all questions to all models, if documents that do not fit are refused: before the first model is computed.
///
/// # Errors
/// Such documents, and texts that cannot be encoded.
pub fn refuse_overlong(
    subjects: &[Subject],
    variants: &[Vec<Variant>],
    options: &Options,
) -> Result<(), RunError> {
    if options.overlong != Overlong::Error {
        return Ok(());
    }
    for (subject, variants) in subjects.iter().zip(variants) {
        let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).map(Arc::clone).collect();
        subject.all_questions(&tasks, options)?;
    }
    Ok(())
}
