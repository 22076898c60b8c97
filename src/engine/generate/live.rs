//! A sequence that is being written: what is known of it, what may follow, and what does.

use ndarray::{ArrayView1, ArrayView2};

use super::guess::Guesses;
use super::{GenerateRequest, Limits, Token};
use crate::engine::sampling::Sampler;
use crate::engine::score::Total;
use crate::model::BlockTable;

/// A sequence that is being written.
pub(super) struct Live {
    pub request: usize,
    pub table: BlockTable,
    /// Its prompt, and what was written after it. No pass has seen the last token yet.
    pub tokens: Vec<u32>,
    /// Tokens whose keys and values are there.
    pub seen: usize,
    /// Draws tokens.
    pub sampler: Option<Sampler>,
    pub guesses: Guesses,
    /// What may come after the last token; the pass that sees that one sees these, too.
    pub guess: Vec<u32>,
}

impl Live {
    /// Guesses so many tokens at most, none beyond what is asked for or where positions depend on the length.
    pub fn guess(&mut self, request: &GenerateRequest, limits: Limits, most: usize) {
        let length = self.tokens.len();
        let wanted = request.prompt.len() + request.most - length - 1;
        self.guess = self.guesses.after(&self.tokens, wanted.min(most));
        if limits.group(length + self.guess.len()) != limits.group(length) {
            self.guess.clear();
        }
    }

    /// The next tokens: one for each row of `logits`, as long as what was guessed is right. `None` for logits that are no numbers.
    pub fn pick(&mut self, logits: ArrayView2<f32>, stop: &[u32]) -> Vec<Option<Token>> {
        let mut picked = Vec::with_capacity(logits.nrows());
        for (at, logits) in logits.outer_iter().enumerate() {
            let token = self.pick_one(logits);
            picked.push(token);
            let Some(Token { id, .. }) = token.filter(|token| !stop.contains(&token.id)) else { break };
            self.tokens.push(id);
            if self.guess.get(at) != Some(&id) {
                break;
            }
        }
        picked
    }

    /// The next token; `None` if its logits are no numbers.
    fn pick_one(&mut self, logits: ArrayView1<f32>) -> Option<Token> {
        let logits = logits.to_slice().expect("logits of a row are neighbours");
        let total = Total::of_row(logits);
        let id = match &mut self.sampler {
            None => total.argmax as u32,
            Some(sampler) => sampler.pick(logits, &self.tokens),
        };
        let logprob = f64::from(logits[id as usize]) - total.log_sum_exp;
        logprob.is_finite().then_some(Token { id, logprob })
    }
}
