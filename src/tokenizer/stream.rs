//! Text out of ids that come one at a time, given out as soon as no later id can change it.
//!
//! Whatever comes, the text of a stream is what decoding gives for all of its ids. What makes that more than one decoding for
//! each id: an id may hold a part of a character only (byte-level vocabularies); byte pieces in a row are a text together, or
//! signs for what is none, and only their end tells; the first space of a text may be dropped; special tokens are left out; and
//! old configurations take spaces out of the finished text. So a stream decodes a window: the last id whose text is settled,
//! and what came after it. The cost of an id does not grow with the text.

use super::clean_up::CleanUp;
use super::{Engine, Tokenizer, TokenizerError};

/// What decoders write for bytes that are no text, and for those that are not text yet.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// The text of a growing list of ids, special tokens left out.
#[derive(Debug, Clone)]
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    /// The last id whose text is settled, unless there is none yet, and all ids after it.
    window: Vec<u32>,
    /// Bytes of the window's text that are not part of this text, or part of it already.
    settled: usize,
    clean_up: Option<CleanUp>,
    text: String,
    /// Bytes of the text that no later id can change.
    certain: usize,
}

impl<'t> TextStream<'t> {
    /// A text of its own, as [`Tokenizer::decode_without_specials`] gives it: where a vocabulary puts a space before texts, the
    /// first space is dropped. This is how lm-evaluation-harness reads what a model has written.
    pub fn alone(tokenizer: &'t Tokenizer) -> Self {
        let cleans_up = match &tokenizer.engine {
            Engine::Library(library) => library.cleans_up(),
            Engine::SentencePiece(_) => false,
        };
        Self {
            tokenizer,
            window: Vec::new(),
            settled: 0,
            clean_up: cleans_up.then(CleanUp::default),
            text: String::new(),
            certain: 0,
        }
    }

    /// A text that goes on after that of `prompt`: what the text of both has more than the prompt's, so that a space between
    /// them is neither lost nor added. After a prompt without any text, and with a decoder of another family, it is a text of its own.
    ///
    /// # Errors
    /// A failure of the library's decoder.
    pub fn after(tokenizer: &'t Tokenizer, prompt: &[u32]) -> Result<Self, TokenizerError> {
        let mut stream = Self::alone(tokenizer);
        let shown = || prompt.iter().rev().copied().filter(|&id| tokenizer.is_shown(id));
        // Bytes of the prompt are never part of a character of the answer.
        if let Some(last) = shown().find(|&id| !stream.is_byte(id)).or_else(|| shown().next()) {
            stream.begin(last)?;
        }
        Ok(stream)
    }

    /// Takes in the next id.
    ///
    /// # Errors
    /// A failure of the library's decoder.
    pub fn push(&mut self, id: u32) -> Result<(), TokenizerError> {
        if !self.tokenizer.is_shown(id) {
            return Ok(());
        }
        self.window.push(id);
        let decoded = self.decode(&self.window)?;
        let open = decoded.get(self.settled..).expect("a settled text does not change");
        let certain = if !self.comes_in_pieces() || self.is_byte(id) {
            0
        } else {
            // The last of those signs may be the beginning of a character.
            open.strip_suffix(NO_TEXT).unwrap_or(open).len()
        };
        self.text.truncate(self.certain);
        let (certain, open) = open.split_at(certain);
        self.settled += certain.len();
        match &mut self.clean_up {
            None => {
                self.text += certain;
                self.certain = self.text.len();
                self.text += open;
            }
            Some(clean_up) => {
                self.text += &clean_up.push(certain);
                self.certain = self.text.len();
                let mut clean_up = clean_up.clone();
                self.text += &clean_up.push(open);
                self.text += &clean_up.rest();
            }
        }
        if self.settled == decoded.len() && !self.is_byte(id) && self.comes_in_pieces() {
            self.begin(id)?;
        }
        Ok(())
    }

    /// The text of all ids so far, as if no more came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of it, from its beginning, that no later id can change.
    pub fn certain(&self) -> &str {
        &self.text[..self.certain]
    }

    /// Begins the window anew with an id whose text is settled.
    fn begin(&mut self, id: u32) -> Result<(), TokenizerError> {
        if self.comes_in_pieces() {
            self.settled = self.decode(&[id])?.len();
            self.window.clear();
            self.window.push(id);
        }
        Ok(())
    }

    /// Whether a window tells what the whole would; else all ids are decoded each time, and nothing is certain before the end.
    fn comes_in_pieces(&self) -> bool {
        match &self.tokenizer.engine {
            Engine::Library(library) => library.decodes_in_pieces(),
            Engine::SentencePiece(_) => true,
        }
    }

    /// Whether an id is spelled as a byte, which is text only together with its neighbours.
    fn is_byte(&self, id: u32) -> bool {
        let is_spelled = |text: String| text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
        self.tokenizer.token_text(id).is_some_and(is_spelled)
    }

    /// The text of some ids before any clean-up.
    fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        match &self.tokenizer.engine {
            Engine::Library(library) => library.decode_as_it_is(ids, true),
            Engine::SentencePiece(model) => Ok(model.decode(ids, true)),
        }
    }
}

#[cfg(test)]
mod tests;
