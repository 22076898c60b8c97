//! How models are asked for answers, for one answer or for a conversation.

use std::path::PathBuf;

use super::drawing::{Drawing, Settled, settle};
use super::subject::Subject;
use super::{Computing, Options, Places, RunError, World};

/// How models are asked, and how they answer.
#[derive(Debug, Clone)]
pub struct Answering {
    /// How prompts are put to a model.
    pub wording: Wording,
    /// The system message.
    pub system: Option<String>,
    /// Tokens of an answer, at most; `None` for what the checkpoint says if it is heard, else for the caller's own measure.
    pub max_tokens: Option<usize>,
    /// How tokens are drawn.
    pub drawing: Drawing,
    /// Whether a checkpoint's own `generation_config.json` has a word where these say nothing.
    pub hears_checkpoint: bool,
    /// Texts that end an answer, beside those of the template.
    pub stops: Vec<String>,
    /// How numbers are computed.
    pub computing: Computing,
    /// The user's own model cards and prompt templates.
    pub own_cards: Option<PathBuf>,
}

/// How prompts are put to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wording {
    /// By its card's template, else by the checkpoint's own, else as they are.
    Own,
    /// By the template of this name, as `--apply-chat-template` has them.
    Template(String),
    /// As they are.
    Raw,
}

impl Answering {
    /// The same as options of a run with these models.
    pub(super) fn of_run(&self, models: Vec<String>) -> Options {
        let places = Places { own_cards: self.own_cards.clone(), ..Places::default() };
        Options { models, computing: self.computing.clone(), places, ..Options::default() }
    }

    /// How a model draws its tokens, and how many it may write.
    ///
    /// # Errors
    /// A `generation_config.json` that is heard and cannot be read.
    pub(super) fn settle(&self, subject: &Subject, world: &World<'_>) -> Result<Settled, RunError> {
        settle(subject, (&self.drawing, self.max_tokens), self.hears_checkpoint, world.say)
    }
}
