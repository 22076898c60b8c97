//! Text pairs → tokens, by the rule of lm-evaluation-harness 0.4.13.

use std::sync::Arc;

use super::ScoreRequest;
use crate::python::text::is_space;
use crate::tokenizer::{AddSpecials, Tokenizer, TokenizerError};

/// Tokens of a pair before any cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPair {
    /// What the model is asked.
    pub request: ScoreRequest,
    /// Tokens of the context by itself, BOS included where the tokenizer adds it; what is reported as
    /// the prompt's length.
    pub n_context_tokens: usize,
    /// Tokens that were cut from the left before the request was made.
    pub cut: usize,
}

/// Encodes contexts and continuations.
#[derive(Debug, Clone, Copy)]
pub struct PairEncoder<'a> {
    tokenizer: &'a Tokenizer,
    add_special_tokens: bool,
}

impl<'a> PairEncoder<'a> {
    /// An encoder over a model's tokenizer.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, add_special_tokens: true }
    }

    /// An encoder that puts no special tokens before a context, whatever the tokenizer does by itself: the rule of
    /// lm-evaluation-harness 0.4.0 to 0.4.9.1.
    #[must_use]
    pub fn without_special_tokens(self) -> Self {
        Self { add_special_tokens: false, ..self }
    }

    /// The tokens of a text that stands at the beginning.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        if self.add_special_tokens {
            self.tokenizer.encode_for_model(text)
        } else {
            self.tokenizer.encode(text, AddSpecials::None)
        }
    }

    /// Encodes several continuations of one context; the context itself once.
    ///
    /// White space at the end of the context moves to the continuation. Context and continuation are
    /// encoded as one text and cut after as many tokens as the context has by itself, so the continuation can
    /// come out empty where a token spans the join. After an empty context, the continuation follows BOS (EOS
    /// in vocabularies without one) and gets no special tokens of its own.
    pub fn encode(&self, context: &str, continuations: &[&str]) -> Result<Vec<EncodedPair>, TokenizerError> {
        if context.is_empty() {
            return continuations.iter().map(|c| self.after_nothing(c)).collect();
        }
        let trimmed = context.trim_end_matches(is_space);
        let moved = &context[trimmed.len()..];
        let own: Arc<[u32]> = self.encode_text(trimmed)?.into();
        continuations
            .iter()
            .map(|continuation| {
                let whole = self.encode_text(&format!("{trimmed}{moved}{continuation}"))?;
                let cut = own.len().min(whole.len());
                // Tokens may change across the join; the context is then what the whole begins with.
                let context = if whole[..cut] == own[..] { own.clone() } else { whole[..cut].into() };
                Ok(EncodedPair {
                    request: ScoreRequest { context, continuation: whole[cut..].to_vec() },
                    n_context_tokens: own.len(),
                    cut: 0,
                })
            })
            .collect()
    }

    fn after_nothing(&self, continuation: &str) -> Result<EncodedPair, TokenizerError> {
        let mut tokens = self.tokenizer.encode(continuation, AddSpecials::None)?;
        let prefix = self.tokenizer.prefix_token();
        if self.add_special_tokens && prefix.is_some() && tokens.first().copied() == prefix {
            tokens.remove(0);
        }
        let context: Arc<[u32]> = prefix.into_iter().collect();
        let n_context_tokens = context.len();
        Ok(EncodedPair { request: ScoreRequest { context, continuation: tokens }, n_context_tokens, cut: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::{Metadata, Value};

    /// A byte-level vocabulary in which `Ġa` and `aa` are tokens of their own.
    fn tokenizer(add_bos: bool) -> Tokenizer {
        let mut m = Metadata::default();
        let tokens = ["<s>", "</s>", "a", "b", "Ġ", "Ġa", "aa"].map(str::to_owned).to_vec();
        let types = vec![3, 3, 1, 1, 1, 1, 1];
        let merges = ["Ġ a", "a a"].map(str::to_owned).to_vec();
        for (key, value) in [
            ("model", Value::String("gpt2".into())),
            ("pre", Value::String("gpt-2".into())),
            ("tokens", Value::Strings(tokens)),
            ("token_type", Value::Integers(types)),
            ("merges", Value::Strings(merges)),
            ("bos_token_id", Value::Unsigned(0)),
            ("eos_token_id", Value::Unsigned(1)),
            ("add_bos_token", Value::Bool(add_bos)),
        ] {
            m.0.insert(format!("tokenizer.ggml.{key}"), value);
        }
        Tokenizer::from_gguf(&m).unwrap()
    }

    #[test]
    fn special_tokens_can_be_left_out() {
        let tokenizer = tokenizer(true);
        let encoder = PairEncoder::new(&tokenizer).without_special_tokens();
        let one = |context: &str| encoder.encode(context, &["a"]).unwrap().remove(0).request;
        assert_eq!((one("b").context.to_vec(), one("b").continuation), (vec![3], vec![2]));
        assert_eq!((one("").context.to_vec(), one("").continuation), (vec![0], vec![2]));
        assert_eq!(encoder.encode_text("a").unwrap(), [2]);
    }

    fn encode(add_bos: bool, context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
        let tokenizer = tokenizer(add_bos);
        let pair = PairEncoder::new(&tokenizer).encode(context, &[continuation]).unwrap().remove(0);
        (pair.request.context.to_vec(), pair.request.continuation)
    }

    #[test]
    fn white_space_moves_to_the_continuation() {
        assert_eq!(encode(false, "b", " a"), (vec![3], vec![5]));
        assert_eq!(encode(false, "b ", "a"), (vec![3], vec![5]));
    }

    #[test]
    fn bos_is_part_of_the_context() {
        assert_eq!(encode(true, "b", " a"), (vec![0, 3], vec![5]));
        assert_eq!(encode(true, "<s>b", " a"), (vec![0, 3], vec![5]));
    }

    #[test]
    fn nothing_before_is_the_prefix_token() {
        assert_eq!(encode(true, "", "b"), (vec![0], vec![3]));
        assert_eq!(encode(false, "", "<s>b"), (vec![0], vec![3]));
    }

    #[test]
    fn a_token_across_the_join_leaves_nothing() {
        assert_eq!(encode(false, "a", "a"), (vec![6], vec![]));
    }
}
