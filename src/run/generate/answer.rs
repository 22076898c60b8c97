//! An answer to a prompt, and who hears it.

use std::ops::ControlFlow;

use serde::Serialize;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The prompt as it was given.
    pub prompt: String,
    /// What the model answers.
    pub text: String,
    /// Why it ended.
    pub end: Ending,
    /// Tokens of the prompt with all that its template puts around it.
    pub n_prompt_tokens: usize,
    /// Tokens that were written, those of a stop included, but for the one that ended the text.
    pub n_tokens: usize,
    /// Time from the beginning of the work on all prompts to the end of this one.
    pub seconds: f64,
    /// The tokens that were written.
    pub tokens: Vec<u32>,
    /// The natural logarithm of each one's probability, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Vec<f64>>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The model ended it.
    Eos,
    /// A stop is in its text.
    Stop,
    /// It is as long as it may be.
    Length,
    /// Somebody asked for the end of the work.
    Interrupted,
}

/// Who hears answers. [`ControlFlow::Break`] ends all of the work.
pub trait Audience: Send {
    /// Whether text is shown as it comes, so that nothing else may be shown meanwhile.
    fn is_live(&self) -> bool;

    /// More text of the answer to a prompt, by its index.
    fn text(&mut self, prompt: usize, text: &str) -> ControlFlow<()>;

    /// An answer is there. All of its text was heard.
    fn ended(&mut self, prompt: usize, answer: &Answer) -> ControlFlow<()>;
}
