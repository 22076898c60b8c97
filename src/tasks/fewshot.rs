//! Choice of the few-shot examples that a document gets.
//!
//! One random generator serves a whole task and is consumed document by document in the order of
//! evaluation, so the examples of a document depend on how many came before it. The evaluated document is
//! kept out of its own examples only where the name of the configured few-shot split equals that of the
//! test split, both possibly absent; then one more is drawn and the document dropped. This is the rule of
//! lm-evaluation-harness 0.4.13, kept for equal prompts; where it lets a document see itself,
//! [`prepare`](super::prepare::prepare()) says so.

use super::document::Document;
use crate::python::random::PyRandom;

/// How examples are picked from the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Python's `random.sample`.
    Random,
    /// The first of the pool, in order.
    FirstN,
}

/// Picks examples for one document after the other.
#[derive(Debug)]
pub struct Sampler<'p> {
    strategy: Strategy,
    pool: &'p [Document],
    exclude: bool,
    random: PyRandom,
}

impl<'p> Sampler<'p> {
    /// A sampler over a pool; `exclude` says whether evaluated documents are kept out of their examples.
    pub fn new(strategy: Strategy, pool: &'p [Document], exclude: bool, seed: u32) -> Self {
        Self { strategy, pool, exclude, random: PyRandom::new(u64::from(seed)) }
    }

    /// The positions in the pool of the `n` examples of a document.
    ///
    /// # Errors
    /// A pool that is too small, in words.
    pub fn sample(&mut self, n: usize, document: &Document) -> Result<Vec<usize>, String> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let pool = self.pool;
        // An empty document counts as none, as it does in Python.
        let exclude = self.exclude && !(self.strategy == Strategy::Random && document.is_empty());
        let other = |at: &usize| !exclude || pool.get(*at) != Some(document);
        let too_few = |wanted: usize| {
            format!("{wanted} examples are needed and the pool holds {}; ask for fewer shots", pool.len())
        };
        match self.strategy {
            Strategy::FirstN => {
                let first: Vec<usize> = (0..pool.len()).filter(other).take(n).collect();
                if first.len() == n { Ok(first) } else { Err(too_few(n)) }
            }
            Strategy::Random => {
                let drawn = n.checked_add(usize::from(exclude)).ok_or_else(|| too_few(n))?;
                let mut taken = self.random.sample(pool.len(), drawn).ok_or_else(|| too_few(drawn))?;
                taken.retain(other);
                taken.truncate(n);
                if taken.len() == n {
                    return Ok(taken);
                }
                // The pool holds the document more than once: draw again among all others.
                let others: Vec<usize> = (0..pool.len()).filter(other).collect();
                let again = self.random.sample(others.len(), n).ok_or_else(|| too_few(n))?;
                Ok(again.into_iter().map(|at| others[at]).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pool(n: usize) -> Vec<Document> {
        (0..n).map(|i| Document::from_iter([("q".to_owned(), json!(i))])).collect()
    }

    #[test]
    fn draws_follow_one_stream() {
        let pool = pool(7473);
        let mut sampler = Sampler::new(Strategy::Random, &pool, false, 1234);
        let draws: Vec<Vec<usize>> = (0..2).map(|i| sampler.sample(5, &pool[i]).unwrap()).collect();
        assert_eq!(draws, [[6374, 3610, 957, 61, 742], [7462, 6610, 4769, 286, 5501]]);
    }

    #[test]
    fn exclusion_draws_one_more_and_drops_the_document() {
        let pool = pool(8);
        // Python: Random(1234).sample(range(8), 3)
        let drawn = PyRandom::new(1234).sample(8, 3).unwrap();
        let taken = |document: usize| {
            Sampler::new(Strategy::Random, &pool, true, 1234).sample(2, &pool[document]).unwrap()
        };
        assert_eq!(taken(drawn[0]), drawn[1..]);
        assert_eq!(taken(drawn[2]), drawn[..2]);
        let stranger = (0..8).find(|i| !drawn.contains(i)).unwrap();
        assert_eq!(taken(stranger), drawn[..2]);
        assert!(Sampler::new(Strategy::Random, &pool, true, 1).sample(8, &pool[0]).is_err());
    }

    #[test]
    fn without_exclusion_a_document_can_meet_itself() {
        let pool = pool(3);
        let mut sampler = Sampler::new(Strategy::Random, &pool, false, 1234);
        assert!(sampler.sample(3, &pool[1]).unwrap().contains(&1));
    }

    #[test]
    fn duplicates_are_drawn_again() {
        let mut pool = pool(4);
        pool[1] = pool[0].clone();
        pool[2] = pool[0].clone();
        let mut sampler = Sampler::new(Strategy::Random, &pool, true, 1234);
        for _ in 0..20 {
            assert_eq!(sampler.sample(1, &pool[0].clone()).unwrap(), [3]);
        }
    }

    #[test]
    fn first_n_is_in_order_and_may_exclude() {
        let pool = pool(3);
        let mut plain = Sampler::new(Strategy::FirstN, &pool, false, 0);
        assert_eq!(plain.sample(2, &pool[0]).unwrap(), [0, 1]);
        assert!(plain.sample(4, &pool[0]).unwrap_err().contains("holds 3"));
        let mut excluding = Sampler::new(Strategy::FirstN, &pool, true, 0);
        assert_eq!(excluding.sample(2, &pool[0]).unwrap(), [1, 2]);
        assert!(excluding.sample(3, &pool[0]).is_err());
    }
}
