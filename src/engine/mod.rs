//! Token requests → log-likelihoods: a plan that computes shared prefixes once, and models that run it.
//!
//! [`LanguageModel`] is the seam between benchmarks and whatever computes: the model in memory
//! ([`LocalModel`]), later also a server.

mod calibrate;
mod cost;
mod encode;
mod journal;
mod local;
mod paired;
mod placement;
mod plan;
mod recorded;
mod score;
mod windows;

use std::sync::Arc;

use crate::base::progress::Progress;

pub use calibrate::calibrate;
pub(crate) use calibrate::rates;
pub use cost::{MemoryPlan, Speed, Work, memory, work};
pub use encode::{EncodedPair, PairEncoder};
pub use journal::{Journal, JournalError, NoJournal};
pub use local::LocalModel;
pub use paired::{Divergence, PairedModel};
pub(crate) use placement::gibibytes;
pub use placement::{Placement, TooLarge};
pub use plan::{Limits, Plan, PlannedWave, Target};
pub use recorded::Recorded;
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

/// What was asked and what it took, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Inputs of all requests, each counted by itself.
    pub asked: u64,
    /// Inputs when every shared prefix is counted once.
    pub distinct: u64,
    /// What passed through the model.
    pub computed: u64,
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

/// Something that can say how likely a continuation is.
pub trait LanguageModel: Sync {
    /// The number of positions; longer requests lose tokens on the left.
    fn max_length(&self) -> usize;

    /// Answers all requests, in their order: from `journal` what it knows, else computed and recorded there
    /// as they come.
    ///
    /// The bits must be those of a journal that knew nothing, however much it knows now: a run that was killed
    /// and goes on ends in the same numbers.
    fn score(
        &self,
        requests: &[ScoreRequest],
        journal: &mut dyn Journal,
        progress: &dyn Progress,
    ) -> Result<Scored, EngineError>;
}

/// Why requests cannot be answered. `request` is an index into the requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum EngineError {
    /// Nothing to score.
    #[error("request {request}: the continuation has no tokens of its own")]
    EmptyContinuation { request: usize },
    /// Nothing to score it after.
    #[error("request {request}: the context has no tokens; expected at least BOS or EOS")]
    EmptyContext { request: usize },
    /// A continuation that does not fit by itself.
    #[error(
        "request {request}: the continuation has {found} tokens, but the model has {max_length} positions; leave such \
         documents out with --overlong skip, or allow more positions with --max-length where the model has them"
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
        "request {request}: token id {token}, but the model's vocabulary has {vocab_size} entries; \
         tokenizer and weights do not belong together"
    )]
    UnknownToken {
        request: usize,
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// The model's output is no number.
    #[error(
        "request {request}: the model's logits are not finite; the weights are damaged or not yet a model \
         (a delta, perhaps)"
    )]
    NotFinite { request: usize },
    /// A request that was to be answered from the journal alone.
    #[error("request {request}: no score of it was recorded")]
    NotRecorded { request: usize },
    /// Weights that are read while the model runs.
    #[error("{reason}")]
    Model { reason: String },
    /// Answers that cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
