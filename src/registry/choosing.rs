//! What helps to choose a model before anything of it is fetched: how much that would be, and a score that others
//! published.

use super::recipe::{Recipe, Tag};
use super::{Card, Published, Registry, ReleaseKind, Source};

/// The suites by whose scores most models can be compared, the first of them first.
const TELLING: [&str; 5] = ["mmlu", "ceval-valid", "ceval-test", "ceval", "cmmlu"];

impl Registry {
    /// About how many bytes fetching the released files of a model takes: what its first source states, else all
    /// parameters in the type of the release, of 16 bits if that is not known. `None` for what cannot be fetched, for
    /// adapters and for quantised weights, whose size the card does not tell.
    pub fn bytes_to_fetch(&self, card: &Card) -> Option<u64> {
        match card.sources.first()? {
            Source::Pip(pip) if pip.size.is_some() => return pip.size,
            Source::Path(_) => return None,
            Source::Pip(_) | Source::Hub(_) => {}
        }
        let tags = self.recipe_of(card).map_or_else(Vec::new, Recipe::tags);
        let is_whole = match card.release.kind {
            ReleaseKind::Full | ReleaseKind::Delta | ReleaseKind::Diff | ReleaseKind::Xor => true,
            ReleaseKind::Lora | ReleaseKind::Unreleased => false,
        };
        if !is_whole || tags.contains(&Tag::Gptq.as_str()) {
            return None;
        }
        card.parameters?.checked_mul(if card.release.is_f32() { 4 } else { 2 })
    }

    /// The highest score that was published for a suite, and the model that has it. Of several answers to each question none
    /// compares with one, and an error or a perplexity is no score; those that were measured as the suite says go before others.
    pub fn best_published(&self, suite: &str) -> Option<(&Published, &Card)> {
        let scores =
            self.cards().iter().flat_map(|card| card.published.iter().map(move |score| (score, card)));
        let comparable =
            scores.filter(|(score, _)| score.suite == suite && score.is_of_one_answer_and_a_gain());
        let rank = |score: &Published| (score.protocol.is_none(), score.value);
        comparable.max_by(|(a, _), (b, _)| {
            let ((a, above), (b, below)) = (rank(a), rank(b));
            a.cmp(&b).then(above.total_cmp(&below))
        })
    }
}

impl Published {
    pub(super) fn is_of_one_answer_and_a_gain(&self) -> bool {
        const LOSSES: [&str; 6] = ["perplexity", "ppl", "bits_per_byte", "brier_score", "loss", "toxic"];
        self.metric.strip_prefix("pass@").is_none_or(|answers| answers == "1")
            && !LOSSES.iter().any(|loss| self.metric.contains(loss))
    }
}

impl Card {
    /// The score that stands for a model in a list: that of the first of MMLU, C-Eval and CMMLU that it has one of, since values of
    /// different suites say nothing together.
    pub fn best_published(&self) -> Option<&Published> {
        let scores = || TELLING.iter().filter_map(|suite| self.score_of(suite)).map(|score| score.best);
        scores().find(|score| score.protocol.is_none()).or_else(|| scores().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_from_the_card() {
        let registry = Registry::load(None).unwrap();
        let bytes = |id: &str| registry.bytes_to_fetch(registry.find(id).unwrap());
        assert_eq!(bytes("smollm2-135m"), Some(98_362_432), "as the package states it");
        let parameters = registry.find("vicuna-7b-v1.5").unwrap().parameters.unwrap();
        assert_eq!(bytes("vicuna-7b-v1.5"), Some(2 * parameters));
        assert_eq!(bytes("alpaca-7b"), Some(4 * registry.find("alpaca-7b").unwrap().parameters.unwrap()));
        // An adapter, nothing at all, four bits, and a model that comes from nowhere.
        for id in ["alpaca-lora-7b", "alpaca-13b", "belle-llama-7b-2m-gptq"] {
            assert_eq!(bytes(id), None, "{id}");
        }
    }

    #[test]
    fn the_best_score_is_of_the_most_telling_suite() {
        let registry = Registry::load(None).unwrap();
        let best = |id: &str| registry.find(id).unwrap().best_published().map(|s| (s.suite.clone(), s.value));
        assert_eq!(
            best("alpaca-13b"),
            Some(("mmlu".to_owned(), 0.481)),
            "not mt_bench, although it is higher"
        );
        assert_eq!(best("chinese-alpaca-plus-7b"), Some(("ceval-valid".to_owned(), 0.329)));
        assert_eq!(best("chatllama"), None);
        // Others compare with few models, whatever their values.
        let others = registry
            .cards()
            .iter()
            .filter(|card| !card.published.is_empty() && card.best_published().is_none());
        let others: Vec<&Card> = others.collect();
        assert!(!others.is_empty());
        assert!(others.iter().all(|card| TELLING.iter().all(|suite| card.scores_of(suite).next().is_none())));
    }

    #[test]
    fn the_best_model_of_a_suite_gives_one_answer() {
        let registry = Registry::load(None).unwrap();
        let best =
            |suite| registry.best_published(suite).map(|(score, card)| (score.value, card.id.as_str()));
        assert_eq!(best("humaneval"), Some((0.726, "llama-3.1-8b-instruct")));
        assert_eq!(best("no such suite"), None);
        // The highest perplexity is not the best.
        assert!(
            registry.cards().iter().any(|card| card.published.iter().any(|s| s.suite == "perplexity_4k"))
        );
        assert_eq!(best("perplexity_4k"), None);
    }
}
