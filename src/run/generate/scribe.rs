//! Puts tokens together to answers while the engine writes them.

use std::ops::ControlFlow;
use std::time::Instant;

use super::asked::Asked;
use super::{Answer, Audience, Ending};
use crate::base::stop::Stop;
use crate::engine::{End, EngineError, Listen, Token};
use crate::prompts::Writing;
use crate::run::RunError;
use crate::tokenizer::Tokenizer;

/// All answers under way.
pub(in crate::run) struct Scribe<'s> {
    texts: &'s [String],
    logprobs: bool,
    answers: Vec<Draft<'s>>,
    begun: Instant,
    stop: &'s Stop,
    audience: &'s mut dyn Audience,
    /// Whether nobody wants to hear more.
    is_alone: bool,
    complete: usize,
}

/// An answer that is being written.
struct Draft<'s> {
    /// `None` once it is told.
    writing: Option<Writing<'s>>,
    prompt_tokens: usize,
    tokens: Vec<u32>,
    logprobs: Vec<f64>,
}

impl<'s> Scribe<'s> {
    /// Nothing is written yet. `texts` are what was asked, in words; times count from `begun`.
    ///
    /// # Errors
    /// Prompts that cannot be decoded.
    pub fn new(
        asked: &Asked,
        tokenizer: &'s Tokenizer,
        (texts, logprobs): (&'s [String], bool),
        begun: Instant,
        (stop, audience): (&'s Stop, &'s mut dyn Audience),
    ) -> Result<Self, RunError> {
        let answers = asked.prompts.iter().map(|prompt| {
            let writing = Writing::of(prompt.stream(tokenizer)?, asked.stops.clone(), &prompt.lead);
            let prompt_tokens = prompt.ids.len();
            Ok(Draft { writing: Some(writing), prompt_tokens, tokens: Vec::new(), logprobs: Vec::new() })
        });
        let answers = answers.collect::<Result<_, RunError>>()?;
        Ok(Self { texts, logprobs, answers, begun, stop, audience, is_alone: false, complete: 0 })
    }

    /// Tells what there is of answers that did not come to their end, and says how many did, and how many tokens all have.
    ///
    /// # Errors
    /// Tokens that cannot be decoded.
    pub fn finish(mut self) -> Result<(usize, usize), RunError> {
        let complete = self.complete;
        for request in 0..self.answers.len() {
            let draft = &self.answers[request];
            if draft.writing.is_some() && !draft.tokens.is_empty() {
                self.tell(request, Ending::Interrupted)?;
            }
        }
        Ok((complete, self.answers.iter().map(|draft| draft.tokens.len()).sum()))
    }

    /// Ends an answer.
    fn tell(&mut self, request: usize, ending: Ending) -> Result<(), EngineError> {
        let draft = &mut self.answers[request];
        let mut writing = draft.writing.take().expect("an answer ends once");
        writing.close();
        let rest = writing.news().to_owned();
        let end = if writing.is_stopped() { Ending::Stop } else { ending };
        let answer = Answer {
            prompt: self.texts[request].clone(),
            text: writing.answer().to_owned(),
            end,
            n_prompt_tokens: draft.prompt_tokens,
            n_tokens: draft.tokens.len(),
            seconds: self.begun.elapsed().as_secs_f64(),
            tokens: draft.tokens.clone(),
            logprobs: self.logprobs.then(|| draft.logprobs.clone()),
        };
        // What could not be decoded is no answer.
        writing.finish().map_err(|error| EngineError::Model { reason: error.to_string() })?;
        self.complete += usize::from(end != Ending::Interrupted);
        self.heard(|audience| {
            if !rest.is_empty() {
                audience.text(request, &rest)?;
            }
            audience.ended(request, &answer)
        });
        Ok(())
    }

    /// Says something to the audience, unless it has left.
    fn heard(&mut self, say: impl FnOnce(&mut dyn Audience) -> ControlFlow<()>) {
        if !self.is_alone {
            self.is_alone = say(&mut *self.audience).is_break();
        }
    }
}

impl Listen for Scribe<'_> {
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()> {
        let draft = &mut self.answers[request];
        draft.tokens.push(token.id);
        draft.logprobs.push(token.logprob);
        let writing = draft.writing.as_mut().expect("an answer has not ended");
        let goes_on = writing.push(token.id);
        let news = writing.news().to_owned();
        if !news.is_empty() {
            self.heard(|audience| audience.text(request, &news));
        }
        if self.is_alone { ControlFlow::Break(()) } else { goes_on }
    }

    fn ended(&mut self, request: usize, end: End) -> Result<(), EngineError> {
        let ending = match end {
            End::Stop(_) => Ending::Eos,
            End::Length => Ending::Length,
            End::Broken => Ending::Interrupted,
        };
        self.tell(request, ending)
    }

    fn is_stopped(&self) -> bool {
        self.is_alone || self.stop.is_requested()
    }
}

#[cfg(test)]
mod tests;
