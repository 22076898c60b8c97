//! Answers of a model to prompts: as conversations in its own template, or as texts that it goes on with.
//!
//! With a template an answer is what a model says in its turn: without the space that templates or vocabularies put before it
//! ([`ChatFormat::lead`](crate::prompts::ChatFormat::lead)). A raw prompt and its answer are one text: nothing between them is
//! lost or added.

mod answer;
pub(super) mod asked;
mod prompts;
pub(super) mod scribe;

use std::time::{Duration, Instant};

pub use answer::{Answer, Audience, Ending};
pub use prompts::read_prompts;

use super::answering::Answering;
use super::drawing::Settled;
use super::needs::Needs;
use super::subject::Subject;
use super::{RunError, World};
use crate::base::progress::{Progress, Silent};
use crate::engine::{EngineError, LocalModel, check_room};
use asked::Asked;
use scribe::Scribe;

/// What a model is to write.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The model, by whatever name the caller can find.
    pub model: String,
    /// What it is asked, at least one prompt.
    pub prompts: Vec<String>,
    /// Whether answers say the log-probability of each token.
    pub logprobs: bool,
    /// How it is asked; [`MAX_TOKENS`] is the measure of an answer.
    pub answering: Answering,
}

/// Tokens of an answer where nobody says how many it may have.
pub const MAX_TOKENS: usize = 256;

/// What was written, in numbers.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The model's name.
    pub model: String,
    /// Answers that are complete.
    pub complete: usize,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Tokens of all answers.
    pub tokens: usize,
    /// Time that writing took, prompts included, once the weights were there.
    pub took: Duration,
    /// Whether somebody asked for the end before all was written.
    pub is_stopped: bool,
}

/// Has a model answer; `audience` hears each answer while it is written, and what there is of it if the work is stopped.
///
/// # Errors
/// A model that cannot be found or run, prompts that it has no form or no place for, and whatever stops the work.
pub fn generate(
    options: &GenerateOptions,
    world: &World<'_>,
    audience: &mut dyn Audience,
) -> Result<Generated, RunError> {
    let own = options.answering.of_run(vec![options.model.clone()]);
    // What is not here is said, and how to get it.
    Needs::find(&[], &own, world)?.meet(&own, world)?;
    let subject = Subject::open((world.find)(&options.model)?, &own)?;
    subject.explain();
    let asked = Asked::new(&subject, options, &own)?;
    let Settled { sampling, max_tokens } = options.answering.settle(&subject, world)?;
    let most = max_tokens.unwrap_or(MAX_TOKENS);
    let requests = asked.requests((sampling, most), subject.limits.max_length)?;
    let blocks = subject.cache_blocks();
    // Before the weights are read.
    check_room(&requests, subject.limits, blocks).map_err(refused)?;
    let progress: &dyn Progress = if audience.is_live() { &Silent } else { world.progress };
    let tokenizer = subject.tokenizer()?;
    let _heeding = world.stop.heed();
    let network = match subject.network(own.computing.precision, world.progress, world.stop) {
        Err(_) if world.stop.is_requested() => None,
        network => Some(network?),
    };
    let begun = Instant::now();
    let mut scribe =
        Scribe::new(&asked, tokenizer, (&options.prompts, options.logprobs), begun, (world.stop, audience))?;
    let done = match network {
        Some(network) => LocalModel::new(network, subject.limits, subject.pacing()).generate(
            &requests,
            blocks,
            &mut scribe,
            progress,
        ),
        None => Err(EngineError::Stopped),
    };
    let is_stopped = match done {
        Ok(_) => false,
        Err(EngineError::Stopped) => true,
        Err(error) => return Err(refused(error)),
    };
    let (complete, tokens) = scribe.finish()?;
    Ok(Generated {
        model: subject.name.clone(),
        complete,
        prompt_tokens: requests.iter().map(|request| request.prompt.len()).sum(),
        tokens,
        took: begun.elapsed(),
        is_stopped,
    })
}

/// What the engine refused, with the prompt that it is about.
fn refused(error: EngineError) -> RunError {
    match error.request() {
        Some(request) => RunError::room(format!("prompt {}: {error}", request + 1)),
        None => RunError::Room(error.into()),
    }
}
