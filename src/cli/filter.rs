//! Filters of `zoo list`: which models it shows.

use clap::builder::PossibleValuesParser;

use super::models;
use crate::registry::recipe::{Recipe, Tag};
use crate::registry::{Card, Registry};

/// Filters; a model must fit all that are given, and any value of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct ModelFilter {
    /// Only models whose id, family or another name contains one of these words
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    /// Only this branch of the family: llama, vicuna, belle, …
    #[arg(long, value_name = "FAMILY", value_delimiter = ',')]
    pub family: Vec<String>,
    /// Only descendants of this model, near or distant: a registry id or alias
    #[arg(long, value_name = "MODEL")]
    pub base: Option<String>,
    /// Only models trained in this way
    #[arg(long, value_name = "METHOD", value_delimiter = ',', value_parser = PossibleValuesParser::new(Tag::ALL.map(Tag::as_str)), ignore_case = true)]
    pub method: Vec<String>,
    /// Only models for this language: an ISO 639-1 code
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub language: Vec<String>,
    /// Only models whose licence contains this text
    #[arg(long, visible_alias = "licence", value_name = "TEXT")]
    pub license: Option<String>,
    /// Only models that run without rebuilding: whole weights that are here or can be fetched
    #[arg(long)]
    pub available: bool,
}

impl ModelFilter {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The models that the list is about; `is_here` says whether one's weights are on this machine. An unknown base is
    /// wrong usage.
    pub fn select<'r>(
        &self,
        registry: &'r Registry,
        is_here: impl Fn(&Card) -> bool,
    ) -> anyhow::Result<Vec<&'r Card>> {
        let base = self.base.as_deref().map(|name| models::find(registry, name)).transpose()?;
        let license = self.license.as_ref().map(|text| text.to_lowercase());
        let any = |wanted: &[String], has: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|word| has(&word.to_lowercase()))
        };
        let fits = |card: &&Card| {
            let descends =
                |base: &Card| card.id != base.id && registry.lineage(card).iter().any(|c| c.id == base.id);
            let methods = registry.recipe_of(card).map_or_else(Vec::new, Recipe::tags);
            let named = |word: &str| card.names().any(|name| name.to_lowercase().contains(word));
            any(&self.words, &named)
                && any(&self.family, &|word| word == card.family.to_lowercase())
                && base.is_none_or(descends)
                && any(&self.method, &|word| methods.contains(&word))
                && any(&self.language, &|word| card.languages.iter().any(|code| code.to_lowercase() == word))
                && license.as_ref().is_none_or(|text| card.license.to_lowercase().contains(text))
                && (!self.available || card.is_available() || is_here(card))
        };
        Ok(registry.cards().iter().filter(fits).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(filter: ModelFilter) -> Vec<String> {
        let registry = Registry::load(None).unwrap();
        let found = filter.select(&registry, |_| false).unwrap();
        found.into_iter().map(|card| card.id.clone()).collect()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn each_filter_narrows_the_list() {
        let all = ids(ModelFilter::default()).len();
        assert_eq!(
            ids(ModelFilter { family: words(&["Alpaca"]), ..ModelFilter::default() }),
            ["alpaca-13b", "alpaca-7b", "alpaca-lora-7b"]
        );
        let ziya = ids(ModelFilter { base: Some("llama-13b".to_owned()), ..ModelFilter::default() });
        // A grandchild counts, the base itself does not.
        assert!(ziya.contains(&"ziya-llama-13b-v1".to_owned()) && !ziya.contains(&"llama-13b".to_owned()));
        let lora = ids(ModelFilter { method: words(&["lora"]), ..ModelFilter::default() });
        assert!(lora.contains(&"alpaca-lora-7b".to_owned()) && !lora.contains(&"alpaca-7b".to_owned()));
        let zh = ids(ModelFilter { language: words(&["zh"]), ..ModelFilter::default() });
        assert!(zh.len() > 10 && zh.len() < all && !zh.contains(&"llama-2-7b".to_owned()));
        let apache = ids(ModelFilter { license: Some("rail".to_owned()), ..ModelFilter::default() });
        assert!(apache.iter().all(|id| id.starts_with("bloomz") || id.starts_with("belle-7b")), "{apache:?}");
        let available = ids(ModelFilter { available: true, ..ModelFilter::default() });
        assert!(
            available.contains(&"smollm2-135m".to_owned()) && !available.contains(&"alpaca-7b".to_owned())
        );
    }

    #[test]
    fn words_are_found_in_ids_families_and_other_names() {
        let of = |list: &[&str]| ids(ModelFilter { words: words(list), ..ModelFilter::default() });
        let vicuna = of(&["Vicuna"]);
        assert!(vicuna.len() > 5 && vicuna.iter().all(|id| id.contains("vicuna")), "{vicuna:?}");
        assert_eq!(of(&["alpaca-lora", "smollm2-135m-instruct"]), ["alpaca-lora-7b", "smollm2-135m"]);
        assert_eq!(of(&["qqq"]), Vec::<String>::new());
    }

    #[test]
    fn filters_add_up_and_an_unknown_base_is_an_error() {
        let filter = ModelFilter {
            family: words(&["vicuna", "alpaca"]),
            base: Some("llama2-7b".to_owned()),
            ..ModelFilter::default()
        };
        assert_eq!(ids(filter), ["vicuna-7b-v1.5", "vicuna-7b-v1.5-16k"]);
        let registry = Registry::load(None).unwrap();
        let unknown = ModelFilter { base: Some("llama-3-7b".to_owned()), ..ModelFilter::default() };
        assert!(unknown.select(&registry, |_| false).is_err());
    }
}
