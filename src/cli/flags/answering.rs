//! How a model is asked for an answer, and how it writes it.

use super::DrawingFlags;
use crate::cli::{Global, models};
use crate::run::{Answering, Computing, RunError, Wording};

/// How a model is asked for an answer, and how it writes it.
#[derive(Debug, Clone, clap::Args)]
pub struct AnsweringFlags {
    /// The template that writes prompts: card, checkpoint, a template of the checkpoint, or one of zoo/prompts [default: the
    /// card's, else the checkpoint's, else none]
    #[arg(long, value_name = "NAME")]
    pub template: Option<String>,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// A text that ends the answer and is not part of it; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = some_text)]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub drawing: DrawingFlags,
}

impl AnsweringFlags {
    /// How a model is asked, with at most so many tokens of an answer.
    ///
    /// # Errors
    /// Values of sampling that cannot be.
    pub fn answering(
        &self,
        (max_tokens, hears_checkpoint): (Option<usize>, bool),
        computing: Computing,
        global: &Global,
    ) -> Result<Answering, RunError> {
        Ok(Answering {
            wording: self.template.clone().map_or(Wording::Own, Wording::Template),
            system: self.system.clone(),
            max_tokens,
            drawing: self.drawing.drawing()?,
            hears_checkpoint,
            stops: self.stop.clone(),
            computing,
            own_cards: models::own_folder(global),
        })
    }
}

fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected a text".to_owned()) } else { Ok(text.to_owned()) }
}
