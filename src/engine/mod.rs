//! Token requests → log-likelihoods: a plan that computes shared prefixes once, and the model on this machine that runs it.

mod calibrate;
mod cost;
mod encode;
mod generate;
mod journal;
mod local;
mod pace;
mod paired;
mod placement;
mod plan;
mod prefix;
mod sampling;
mod score;
mod sequence;
mod watch;
mod waves;
mod windows;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use calibrate::calibrate;
pub(crate) use calibrate::rates;
pub use cost::{MemoryPlan, Speed, Work, memory, work, work_of_writing};
pub use encode::{EncodedPair, PairEncoder};
pub use generate::{End, GenerateRequest, Listen, Token, check_room, together};
pub use journal::{JournalError, NoJournal, ScoreJournal, recall};
pub use local::LocalModel;
pub use pace::{Pace, Pacing, Took};
pub use paired::{Divergence, Journals, Paired, score_twice};
pub use placement::{Placement, TooLarge, amount};
pub use plan::{Limits, Plan, PlannedWave, Target};
pub use sampling::{Sampler, Sampling, SamplingError};
pub use sequence::KeptSequence;
pub use watch::{Unwatched, Watch};
pub use waves::foreseen;
pub use windows::windows;

/// Counts the changes of the bits of scores: with every change of the arithmetic that moves last bits, this
/// number is raised, and scores that were kept before are computed again.
pub const ARITHMETIC: u32 = 3;

/// "How likely is `continuation` after `context`?", in tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScoreRequest {
    /// What comes before, at least one token (BOS for an empty text).
    pub context: Arc<[u32]>,
    /// What is scored, at least one token.
    pub continuation: Vec<u32>,
}

impl ScoreRequest {
    /// How many tokens are put into a model: all but the very last.
    pub fn inputs(&self) -> usize {
        (self.context.len() + self.continuation.len()).saturating_sub(1)
    }

    /// How many tokens a model with `max_length` positions cuts from the left of this request.
    ///
    /// The last token is never an input, so one more than `max_length` fit.
    pub fn truncated(&self, max_length: usize) -> usize {
        self.inputs().saturating_sub(max_length)
    }
}

/// The answer to a [`ScoreRequest`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Sum of the natural logarithms of the continuation's token probabilities.
    pub logprob: f64,
    /// Whether each token of the continuation is the most probable one (the first, among equals).
    pub is_greedy: bool,
}

impl Score {
    /// The least logarithm of a token's probability, rounded down: two finite logits are no further apart.
    const LEAST: f64 = -7e38;

    /// Whether a model can have given this log-probability to a continuation of so many tokens: none is above 0, which the sum
    /// over a row of logits holds to the last bit.
    pub fn can_be(logprob: f64, tokens: usize) -> bool {
        (Self::LEAST * tokens.max(1) as f64..=0.0).contains(&logprob)
    }
}

/// What was asked and what it took, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Inputs of all requests, each counted by itself.
    pub asked: u64,
    /// Inputs when every shared prefix is counted once.
    pub distinct: u64,
    /// What passed through the model, with what was guessed to follow and did not.
    pub computed: u64,
}

impl TokenCounts {
    /// Both together. Files may say any numbers; what no word holds stays the largest.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            asked: self.asked.saturating_add(other.asked),
            distinct: self.distinct.saturating_add(other.distinct),
            computed: self.computed.saturating_add(other.computed),
        }
    }
}

/// Scores in the order of the requests, and their cost.
#[derive(Debug, Clone)]
pub struct Scored {
    /// One per request.
    pub scores: Vec<Score>,
    /// How many of them the journal knew.
    pub known: usize,
    /// Tokens over all of them.
    pub tokens: TokenCounts,
}

/// Why requests cannot be answered. `request` is an index into the requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum EngineError {
    /// Nothing to score.
    #[error(
        "the continuation is empty once encoded after its context (an empty choice, or a token spans the join)"
    )]
    EmptyContinuation { request: usize },
    /// Nothing to score it after.
    #[error("the context is empty and the vocabulary has neither BOS nor EOS")]
    EmptyContext { request: usize },
    /// A continuation that does not fit by itself.
    #[error(
        "the continuation alone has {found} tokens; the model has {max_length} positions; leave such documents out with \
         --overlong skip, or allow more positions with --max-length where the model has them"
    )]
    ContinuationTooLong {
        request: usize,
        /// Tokens of the continuation.
        found: usize,
        /// Positions of the model.
        max_length: usize,
    },
    /// A token id that the model has no row for.
    #[error(
        "token id {token} is beyond the {vocab_size} rows of the embedding; tokenizer and weights do not belong together"
    )]
    UnknownToken {
        request: usize,
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A prompt that leaves no place for what is to be written.
    #[error(
        "the prompt has {prompt} tokens and {most} more are to be written; the model has {max_length} positions; write fewer, \
         shorten the prompt, or allow more positions with --max-length where the model has them"
    )]
    NoPlaceToWrite {
        request: usize,
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens to write, at least one.
        most: usize,
        /// Positions of the model.
        max_length: usize,
    },
    /// Keys and values of one sequence take more than there is.
    #[error(
        "keys and values of the longest sequence take {needed} blocks of {} positions, and there is memory for {available}; \
         write fewer tokens, take a shorter prompt, raise --memory, or leave layers on the disk (--layers disk)",
        crate::model::BLOCK
    )]
    CacheTooSmall {
        /// Blocks.
        needed: usize,
        /// Blocks.
        available: usize,
    },
    /// The model's output is no number.
    #[error(
        "the logits are not finite; the weights are damaged or not a model by themselves (a delta, perhaps)"
    )]
    NotFinite { request: usize },
    /// Weights that are read while the model runs.
    #[error("{reason}")]
    Model { reason: String },
    /// Answers that cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Somebody asked for the end; what was recorded until then stays.
    #[error("the work was stopped before it was done")]
    Stopped,
}

impl EngineError {
    /// The same error of the request that `rename` makes of its own.
    #[must_use]
    pub fn of_request(mut self, rename: impl FnOnce(usize) -> usize) -> Self {
        match &mut self {
            Self::EmptyContinuation { request }
            | Self::EmptyContext { request }
            | Self::ContinuationTooLong { request, .. }
            | Self::UnknownToken { request, .. }
            | Self::NoPlaceToWrite { request, .. }
            | Self::NotFinite { request } => *request = rename(*request),
            Self::CacheTooSmall { .. } | Self::Model { .. } | Self::Journal(_) | Self::Stopped => {}
        }
        self
    }

    /// The request that it is about, by index; `None` if it is about none.
    pub fn request(&self) -> Option<usize> {
        match *self {
            Self::EmptyContinuation { request }
            | Self::EmptyContext { request }
            | Self::ContinuationTooLong { request, .. }
            | Self::UnknownToken { request, .. }
            | Self::NoPlaceToWrite { request, .. }
            | Self::NotFinite { request } => Some(request),
            Self::CacheTooSmall { .. } | Self::Model { .. } | Self::Journal(_) | Self::Stopped => None,
        }
    }
}
