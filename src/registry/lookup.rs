//! All cards by name: ids and aliases in one case-insensitive name space.

use std::collections::BTreeMap;
use std::path::Path;

use super::load::{self, Loaded};
use super::validate::Checker;
use super::{Card, RegistryError, UnknownModel};

/// How many near names an error offers at most.
const MAX_NEAREST: usize = 3;
/// Jaro–Winkler similarity (0 to 1) from which a name counts as near.
const NEAR: f64 = 0.75;

/// The cards of the binary and, if a folder is given, the user's own.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Sorted by family, then by id.
    cards: Vec<Card>,
    /// Lower-case id or alias → position in `cards`.
    names: BTreeMap<String, usize>,
}

impl Registry {
    /// Loads the embedded cards and those of `user_dir`.
    ///
    /// Errors name file, line and field: a card that cannot be read, a value that cannot be, a name
    /// taken twice (also a user's card that takes an embedded one's name), a base that does not exist.
    pub fn load(user_dir: Option<&Path>) -> Result<Self, RegistryError> {
        let mut loaded = load::embedded()?;
        if let Some(folder) = user_dir {
            loaded.extend(load::folder(folder)?);
        }
        Self::from_loaded(loaded)
    }

    fn from_loaded(mut loaded: Vec<Loaded>) -> Result<Self, RegistryError> {
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for (position, Loaded { card, text }) in loaded.iter().enumerate() {
            let names = std::iter::once(("id", &card.id)).chain(card.aliases.iter().map(|a| ("aliases", a)));
            for (field, name) in names {
                let name = name.to_lowercase();
                if let Some(other) = taken.insert(name.clone(), position).and_then(|i| loaded.get(i)) {
                    let line = Checker::new(&card.origin.file, text).line(field, &name);
                    let (file, other) = (card.origin.file.clone(), other.card.origin.file.clone());
                    return Err(RegistryError::Duplicate { file, line, name, other });
                }
            }
        }
        for Loaded { card, text } in &loaded {
            if let Some(base) = card.base.as_ref().filter(|base| !taken.contains_key(&base.to_lowercase())) {
                return Err(RegistryError::Field {
                    file: card.origin.file.clone(),
                    line: Checker::new(&card.origin.file, text).line("base", base),
                    field: "base".to_owned(),
                    expected: "the id of another card",
                    found: format!("{base:?}"),
                });
            }
        }
        loaded.sort_by(|a, b| (&a.card.family, &a.card.id).cmp(&(&b.card.family, &b.card.id)));
        let cards: Vec<Card> = loaded.into_iter().map(|l| l.card).collect();
        let mut names = BTreeMap::new();
        for (position, card) in cards.iter().enumerate() {
            names.insert(card.id.to_lowercase(), position);
            names.extend(card.aliases.iter().map(|alias| (alias.to_lowercase(), position)));
        }
        Ok(Registry { cards, names })
    }

    /// All cards, sorted by family, then by id.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// The card with this id or alias in any case; otherwise an error that offers the nearest names.
    pub fn find(&self, name: &str) -> Result<&Card, UnknownModel> {
        let wanted = name.trim().to_lowercase();
        if let Some(card) = self.names.get(&wanted).and_then(|&position| self.cards.get(position)) {
            return Ok(card);
        }
        let mut near: Vec<(f64, &String)> = self
            .names
            .keys()
            .map(|known| (strsim::jaro_winkler(&wanted, known), known))
            .filter(|(similarity, _)| *similarity >= NEAR)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let nearest = near.into_iter().take(MAX_NEAREST).map(|(_, known)| known.clone()).collect();
        Err(UnknownModel { name: name.to_owned(), nearest })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Origin, Source};
    use super::*;

    fn card(id: &str, aliases: &str, extra: &str) -> Loaded {
        let text = format!(
            "id: {id}\nname: X\naliases: [{aliases}]\nfamily: llama\nlicense: MIT\n\
             release: {{kind: full, format: gguf}}\n{extra}"
        );
        load::parse(text, Origin { file: format!("{id}.yaml"), folder: None }).unwrap()
    }

    #[test]
    fn every_embedded_card_loads_and_survives_a_round_trip() {
        let registry = Registry::load(None).unwrap();
        assert!(!registry.cards().is_empty());
        for card in registry.cards() {
            let text = serde_yaml::to_string(card).unwrap();
            let again = load::parse(text, card.origin.clone()).unwrap().card;
            assert_eq!(&again, card);
            assert!(std::ptr::eq(registry.find(&card.id).unwrap(), card));
        }
    }

    #[test]
    fn smollm2_is_found_by_every_name_and_has_two_sources() {
        let registry = Registry::load(None).unwrap();
        for name in ["smollm2-135m", "SmolLM2", " SmolLM2-135M-Instruct "] {
            assert_eq!(registry.find(name).unwrap().id, "smollm2-135m");
        }
        let card = registry.find("smollm2").unwrap();
        assert!(matches!(card.sources.as_slice(), [Source::Pip(_), Source::Hub(_)]), "{:?}", card.sources);
        // Shared embedding, per layer: attention, feed-forward, two norms; and the last norm.
        let a = &card.architecture;
        let (hidden, ffn) = (a.hidden_size.unwrap(), a.intermediate_size.unwrap());
        let kv = hidden / a.num_attention_heads.unwrap() * a.num_key_value_heads.unwrap();
        let layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * ffn + 2 * hidden;
        let all = a.vocab_size.unwrap() * hidden + a.num_hidden_layers.unwrap() * layer + hidden;
        assert_eq!(card.parameters, Some(all));
    }

    #[test]
    fn an_unknown_name_offers_the_nearest() {
        let registry = Registry::load(None).unwrap();
        let error = registry.find("smolm2").unwrap_err();
        assert_eq!(error.nearest.first().map(String::as_str), Some("smollm2"));
        assert!(error.to_string().contains("nearest: smollm2"), "{error}");
        let error = registry.find("qqq").unwrap_err();
        assert_eq!(error.nearest, Vec::<String>::new());
        assert_eq!(error.to_string(), "no model named \"qqq\" in the registry; `zoo list` shows all of them");
    }

    #[test]
    fn a_name_taken_twice_is_an_error_with_both_files() {
        let twice = [card("one", "uno", ""), card("two", "UNO", "")];
        let error = Registry::from_loaded(twice.into()).unwrap_err().to_string();
        assert_eq!(error, "two.yaml:3: the name \"uno\" is already taken by one.yaml; rename one of the two");
        let twice = [card("one", "", ""), card("two", "one", "")];
        assert!(matches!(Registry::from_loaded(twice.into()), Err(RegistryError::Duplicate { .. })));
    }

    #[test]
    fn a_base_must_be_a_card() {
        let error = Registry::from_loaded(vec![card("one", "", "base: zero\n")]).unwrap_err().to_string();
        assert_eq!(error, "one.yaml:7: base: expected the id of another card, found \"zero\"");
        assert!(Registry::from_loaded(vec![card("one", "", "base: zero\n"), card("zero", "", "")]).is_ok());
    }
}
