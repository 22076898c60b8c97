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
        let is_wide = matches!(card.release.dtype.as_deref(), Some("fp32" | "f32" | "float32"));
        Some(card.parameters? * if is_wide { 4 } else { 2 })
    }
}

impl Card {
    /// The highest score that was published for a suite by which models can be compared; of several suites the first of
    /// MMLU, C-Eval and CMMLU counts, since values of different ones say nothing together.
    pub fn best_published(&self) -> Option<&Published> {
        TELLING.iter().find_map(|suite| {
            let of_suite = self.published.iter().filter(|score| score.suite == *suite);
            of_suite.max_by(|a, b| a.value.total_cmp(&b.value))
        })
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
        assert_eq!(best("chinese-alpaca-plus-7b"), Some(("ceval-valid".to_owned(), 0.367)));
        assert_eq!(best("chatllama"), None);
        // Others compare with few models, whatever their values.
        assert_eq!(best("vicuna-13b-v1.5-16k"), None);
    }
}
