//! An answer while it is written: tokens become text, stops end it, and what may still become a stop is held back.

use std::ops::ControlFlow;

use super::stop::StopRules;
use crate::tokenizer::{TextStream, Tokenizer, TokenizerError};

/// An answer that grows token by token.
///
/// It ends with the token after which a stop is in its text, wherever the borders of tokens are; what comes before the stop is
/// the answer. Stops are looked for in all text that there is, also in text that a later token could still change, as the
/// reference harness does with what it has decoded.
#[derive(Debug)]
pub struct Writing<'t> {
    stream: TextStream<'t>,
    stops: StopRules,
    /// What is not part of the answer if the text begins with it.
    lead: String,
    /// Bytes of the lead that the text begins with.
    start: usize,
    /// Bytes of the answer in which there is no stop, whatever comes.
    clear: usize,
    /// Bytes of the answer that were given out.
    told: usize,
    /// Bytes of the answer, once it has ended.
    end: Option<usize>,
    stopped: bool,
    tokens: usize,
    fault: Option<TokenizerError>,
}

impl<'t> Writing<'t> {
    /// An answer that is a text of its own and that the first of `stops` ends.
    pub fn new(tokenizer: &'t Tokenizer, stops: &[String]) -> Self {
        Self::of(
            TextStream::alone(tokenizer),
            StopRules { strings: stops.to_vec(), ..StopRules::default() },
            "",
        )
    }

    /// An answer that comes as this text, without the `lead` if it begins with that, and ends by these rules.
    pub fn of(stream: TextStream<'t>, stops: StopRules, lead: &str) -> Self {
        let lead = lead.to_owned();
        let (start, clear, told, tokens) = (0, 0, 0, 0);
        Self { stream, stops, lead, start, clear, told, end: None, stopped: false, tokens, fault: None }
    }

    /// Takes in the next token; says whether the answer goes on.
    pub fn push(&mut self, id: u32) -> ControlFlow<()> {
        if self.end.is_some() || self.fault.is_some() {
            return ControlFlow::Break(());
        }
        self.tokens += 1;
        if let Err(error) = self.stream.push(id) {
            self.fault = Some(error);
            return ControlFlow::Break(());
        }
        let start = self.lead_of(self.stream.text());
        if start != self.start {
            (self.start, self.clear) = (start, 0);
        }
        self.end = self.stops.end_after(&self.stream.text()[start..], self.clear);
        self.stopped = self.end.is_some();
        self.clear = self.certain().len();
        if self.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Ends the answer where it is, because the model ended it or nobody wants more.
    pub fn close(&mut self) {
        self.end.get_or_insert(self.stream.text().len() - self.start);
    }

    /// Text of the answer that was not given out before and that nothing can change any more.
    pub fn news(&mut self) -> &str {
        let known = match self.end {
            Some(end) => end,
            // A text as short as the lead may yet be something else.
            None if self.lead.starts_with(self.stream.certain()) => 0,
            None => self.certain().len() - self.stops.begun(self.certain()),
        };
        let told = self.told;
        self.told = known.max(told);
        &self.stream.text()[self.start..][told..self.told]
    }

    /// The answer so far.
    pub fn answer(&self) -> &str {
        let answer = &self.stream.text()[self.start..];
        &answer[..self.end.unwrap_or(answer.len())]
    }

    /// Whether a stop has ended it.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The whole text, stop and all, and how many tokens it has.
    ///
    /// # Errors
    /// Tokens that could not be decoded.
    pub fn finish(self) -> Result<(String, usize), TokenizerError> {
        match self.fault {
            Some(error) => Err(error),
            None => Ok((self.stream.text()[self.start..].to_owned(), self.tokens)),
        }
    }

    /// The answer as far as no later token changes its text.
    fn certain(&self) -> &str {
        self.stream.certain().get(self.start..).unwrap_or_default()
    }

    /// Bytes of the lead that a text begins with: all, none, or as many as there are.
    fn lead_of(&self, text: &str) -> usize {
        if text.starts_with(&self.lead) {
            self.lead.len()
        } else if self.lead.starts_with(text) {
            text.len()
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests;
