//! One message and its answer, and who hears it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::engine::{End, EngineError, Listen, Token};
use crate::run::generate::{Answer, Audience, Ending};

/// Who hears an answer while it is written.
pub trait Hearer: Send {
    /// The conversation has become too long: so many of its first turns are left out from now on, and this is said before the
    /// answer. `tokens` is what all of it would take, of the model's `positions`.
    fn leaves_out(&mut self, turns: usize, tokens: usize, positions: usize);

    /// More of the answer. [`ControlFlow::Break`] ends it.
    fn text(&mut self, text: &str) -> ControlFlow<()>;
}

/// A message and what a model answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The how-many-th message of the conversation it is, from 1.
    pub number: usize,
    /// What was asked.
    pub message: String,
    /// What was answered.
    pub answer: String,
    /// Why the answer ended.
    pub end: Ending,
    /// Tokens of the conversation up to the answer, with all that the template puts around them.
    pub prompt_tokens: usize,
    /// How many of these were computed before, in an earlier turn.
    pub known_tokens: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Time until the first token of the answer.
    pub reading: Duration,
    /// Time from then until the last one.
    pub writing: Duration,
}

/// Hears an answer and keeps it.
pub(super) struct Heard<'h> {
    pub hearer: &'h mut dyn Hearer,
    pub answer: Option<Answer>,
}

impl Audience for Heard<'_> {
    fn is_live(&self) -> bool {
        true
    }

    fn text(&mut self, _: usize, text: &str) -> ControlFlow<()> {
        self.hearer.text(text)
    }

    fn ended(&mut self, _: usize, answer: &Answer) -> ControlFlow<()> {
        self.answer = Some(answer.clone());
        ControlFlow::Continue(())
    }
}

/// Knows when the first token came.
pub(super) struct Timed<L> {
    pub listen: L,
    pub first: Option<Instant>,
}

impl<L: Listen> Listen for Timed<L> {
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()> {
        self.first.get_or_insert_with(Instant::now);
        self.listen.token(request, token)
    }

    fn ended(&mut self, request: usize, end: End) -> Result<(), EngineError> {
        self.first.get_or_insert_with(Instant::now);
        self.listen.ended(request, end)
    }

    fn is_stopped(&self) -> bool {
        self.listen.is_stopped()
    }
}
