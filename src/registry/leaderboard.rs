//! Published scores of many models side by side: of each model and suite the one that compares best, and that there are others.

use std::collections::BTreeMap;

use super::{Card, Published, Registry};

/// What a card has as published for a suite.
#[derive(Debug, Clone, Copy)]
pub struct Score<'r> {
    /// The one that stands for them: of those measured as the suite says, with the shots that the suite is known for.
    pub best: &'r Published,
    /// How many others there are, of other shots, protocols or sources.
    pub others: usize,
}

impl Card {
    /// The published scores of a suite, or of a benchmark whose parts are suites (`ceval` is `ceval-valid` and `ceval-test`).
    pub fn scores_of(&self, suite: &str) -> impl Iterator<Item = &Published> {
        self.published.iter().filter(move |score| is_of(&score.suite, suite))
    }

    /// The score that stands for a suite in a table of many models. Perplexities, errors and shares of several answers are no
    /// scores that are compared.
    pub fn score_of(&self, suite: &str) -> Option<Score<'_>> {
        let mut scores: Vec<&Published> =
            self.scores_of(suite).filter(|score| score.is_of_one_answer_and_a_gain()).collect();
        // As the suite says first; then by the name that was asked for; then those that say their shots, more of them first, as
        // the papers' own tables have them; then the order of the card, whose first source is the authors' own.
        scores.sort_by_key(|score| {
            let shots = score.num_fewshot.map_or(i64::MAX, |shots| -i64::from(shots));
            (score.protocol.is_some(), score.suite != suite, shots)
        });
        let (best, others) = scores.split_first()?;
        Some(Score { best, others: others.len() })
    }
}

impl Registry {
    /// The metric by which most scores of a suite were published.
    pub fn metric_of(&self, suite: &str) -> Option<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for score in self.cards().iter().flat_map(|card| card.scores_of(suite)) {
            if score.is_of_one_answer_and_a_gain() {
                *counts.entry(&score.metric).or_default() += 1;
            }
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(metric, _)| metric)
    }
}

/// Whether a score's suite is the one that was asked for, or a split of it.
pub fn is_of(suite: &str, asked: &str) -> bool {
    suite == asked || suite.strip_prefix(asked).is_some_and(|rest| matches!(rest, "-valid" | "-test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_benchmark_are_found_by_its_name() {
        assert!(
            is_of("ceval-valid", "ceval") && is_of("ceval", "ceval") && is_of("ceval-valid", "ceval-valid")
        );
        assert!(
            !is_of("ceval-hard", "ceval")
                && !is_of("ceval", "ceval-valid")
                && !is_of("mmlu_pro", "mmlu")
                && !is_of("cmmlu", "mmlu")
        );
    }

    #[test]
    fn what_was_measured_as_the_suite_says_comes_first() {
        let registry = Registry::load(None).unwrap();
        for card in registry.cards() {
            for score in &card.published {
                let Some(found) = card.score_of(&score.suite) else { continue };
                let plain = card
                    .scores_of(&score.suite)
                    .any(|one| one.protocol.is_none() && one.is_of_one_answer_and_a_gain());
                assert_eq!(found.best.protocol.is_none(), plain, "{} {}", card.id, score.suite);
                assert!(found.others < card.scores_of(&score.suite).count());
            }
        }
        let llama = registry.find("llama-7b").unwrap().score_of("mmlu").unwrap();
        assert_eq!((llama.best.value, llama.best.num_fewshot), (0.351, Some(5)));
    }
}
