//! The models of a run: those that are here are opened and looked at, and servers asked, before anything is fetched for the
//! others.

use std::path::Path;
use std::sync::Arc;

use super::asking::all_questions;
use super::chat::Wanted as Templates;
use super::error::During;
use super::needs::Needs;
use super::options::Computing;
use super::served::Served;
use super::subject::Subject;
use super::variants::{self, Asked, Preparer, Speaker, Variant};
use super::{Options, RunError, World};
use crate::evaluate::Overlong;
use crate::records::ModelSettings;
use crate::remote::{Address, Wanted};
use crate::tasks::OutputType;
use crate::tokenizer::Tokenizer;

/// A model that is asked in tokens, wherever it runs.
pub enum Model {
    /// On this machine.
    Local(Box<Subject>),
    /// On servers.
    Remote(Box<Served>),
}

impl Model {
    /// The name in tables.
    pub fn name(&self) -> &str {
        match self {
            Self::Local(subject) => &subject.name,
            Self::Remote(served) => &served.name,
        }
    }

    /// What makes its tokens.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tokenizer(&self) -> Result<&Tokenizer, RunError> {
        match self {
            Self::Local(subject) => subject.tokenizer(),
            Self::Remote(served) => Ok(&served.tokenizer),
        }
    }

    /// By which templates it can be asked.
    pub fn speaker(&self) -> Speaker<'_> {
        match self {
            Self::Local(subject) => speaker(subject),
            Self::Remote(served) => {
                let tokenizer: (_, &Path) = (&served.source, &served.path);
                let server = served.template.clone();
                Speaker { name: &served.name, card: served.card.as_ref(), server, tokenizer }
            }
        }
    }

    /// What its numbers depend on, but for its chat templates.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn settings(&self, computing: &Computing) -> Result<ModelSettings, RunError> {
        match self {
            Self::Local(subject) => subject.settings(computing),
            Self::Remote(served) => Ok(served.settings()),
        }
    }

    fn max_length(&self) -> usize {
        match self {
            Self::Local(subject) => subject.limits.max_length,
            Self::Remote(served) => served.limits.max_length,
        }
    }
}

/// By which templates a model of this machine can be asked.
pub fn speaker(subject: &Subject) -> Speaker<'_> {
    let tokenizer: (_, &Path) = (&subject.checkpoint.tokenizer, &subject.checkpoint.path);
    Speaker { name: &subject.name, card: subject.card.as_ref(), server: None, tokenizer }
}

/// The models of a run in their order; `None` stands for those that have to be fetched or built yet.
pub type Present = Vec<Option<Model>>;

/// Opens those that are here, and asks servers whether they can do what is wanted.
///
/// # Errors
/// As [`Subject::open`] and [`Served::open`].
pub fn open_present(
    needs: &Needs,
    asked: &[Asked],
    options: &Options,
    world: &World<'_>,
) -> Result<Present, RunError> {
    let is_scored =
        |asked: &Asked| asked.tasks.iter().any(|task| task.config.output_type != OutputType::GenerateUntil);
    let wanted = Wanted { scores: asked.iter().any(is_scored) };
    let open = |name: &String| match needs.lacks(name) {
        true => Ok(None),
        false => {
            let model = open(name, options, world)?;
            if let Model::Remote(served) = &model {
                served.check(wanted)?;
            }
            Ok(Some(model))
        }
    };
    options.models.iter().map(open).collect()
}

/// Opens the others too, whose weights come now.
///
/// # Errors
/// What cannot be fetched or built, and as [`Subject::open`].
pub fn open_all(present: Present, options: &Options, world: &World<'_>) -> Result<Vec<Model>, RunError> {
    let all = present.into_iter().zip(&options.models);
    all.map(|(present, name)| present.map_or_else(|| open(name, options, world), Ok)).collect()
}

fn open(name: &str, options: &Options, world: &World<'_>) -> Result<Model, RunError> {
    if Address::is_one(name) {
        return Served::open(name, options, world).map(Box::new).map(Model::Remote);
    }
    Subject::open((world.find)(name)?, options).map(Box::new).map(Model::Local)
}

/// Puts all questions to all models, if documents that do not fit are refused: before the first model is computed.
///
/// # Errors
/// Such documents, and texts that cannot be encoded.
pub fn refuse_overlong(
    models: &[Model],
    variants: &[Vec<Variant>],
    options: &Options,
) -> Result<(), RunError> {
    if options.overlong != Overlong::Error {
        return Ok(());
    }
    for (model, variants) in models.iter().zip(variants) {
        let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).map(Arc::clone).collect();
        all_questions(model.tokenizer()?, &tasks, model.max_length(), options)
            .during(|| format!("model {}", model.name()))?;
    }
    Ok(())
}

/// The variants of every model, in order. Prompts are made before the first model is computed.
///
/// # Errors
/// Unknown templates, and tasks that cannot be prepared.
pub fn variants(
    models: &[Model],
    asked: &[Asked],
    options: &Options,
    preparer: &mut Preparer<'_>,
) -> Result<Vec<Vec<Variant>>, RunError> {
    let wanted = variants::wanted(asked, options)?;
    let mut of_model = |model: &Model| {
        // Without templates the tokenizer is not read yet.
        let needed = wanted != Templates::None;
        let tokenizer = needed.then(|| model.tokenizer()).transpose()?;
        model.speaker().variants(tokenizer, asked, options, preparer)
    };
    models.iter().map(&mut of_model).collect()
}
