//! All cards by name: ids and aliases in one case-insensitive name space; and the records they share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::cross::Names;
use super::error::Faults;
use super::load::{self, Item, Kind, Loaded};
use super::recipe::Recipe;
use super::{
    ArchitectureRecord, Card, CardOrigin, Reference, RegistryError, TokenizerRecord, UnknownModel,
    VocabularyRule, trained,
};
use crate::base::names::nearest;

/// Jaro–Winkler similarity (0 to 1) from which a name counts as near.
const NEAR: f64 = 0.75;

/// The cards and records of the binary and, if a folder is given, the user's own.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The family, then its relatives; sorted by branch, then by id.
    cards: Vec<Card>,
    /// Lower-case id or alias → position in `cards`.
    names: BTreeMap<String, usize>,
    architectures: BTreeMap<String, ArchitectureRecord>,
    tokenizers: BTreeMap<String, TokenizerRecord>,
    /// Those that cards can name.
    recipes: BTreeMap<String, Recipe>,
    /// Id of a card → its recipe, with what is the card's own in it.
    trained: BTreeMap<String, Recipe>,
}

impl Registry {
    /// Loads the embedded files and those of `user_dir`; a recipe of the user's takes the place of the embedded
    /// one of its name.
    ///
    /// Errors name file, line and field: a file that cannot be read, a value that cannot be, a name
    /// taken twice (also a user's card that takes an embedded one's name), a name that leads nowhere, a
    /// model that is its own ancestor, numbers of parameters or of tokens that do not agree.
    pub fn load(user_dir: Option<&Path>) -> Result<Self, RegistryError> {
        Self::load_with(Vec::new(), user_dir).map_err(Faults::first)
    }

    /// Loads the registry with these files in it, each in the place of the card or record of its name:
    /// what `zoo card check` does with a file before it is put into a folder. Files in a folder named
    /// `architectures`, `tokenizers` or `recipes` are records, others are cards.
    ///
    /// # Errors
    /// Everything that is wrong with the files, with each by itself and then with all of them together.
    pub fn check_files(files: &[PathBuf], user_dir: Option<&Path>) -> Result<Self, Vec<RegistryError>> {
        let faults = Self::file_faults(files);
        if !faults.is_empty() {
            return Err(faults);
        }
        let read = |path: &PathBuf| load::file(Kind::of_file(path), path);
        let checked =
            files.iter().map(read).collect::<Result<Vec<Item>, _>>().map_err(|fault| vec![fault])?;
        Self::load_with(checked, user_dir).map_err(|Faults(faults)| faults)
    }

    /// The embedded files and those of `user_dir`, with these items in the place of those of their names.
    fn load_with(checked: Vec<Item>, user_dir: Option<&Path>) -> Result<Self, Faults> {
        let mut items = load::embedded()?;
        let own = user_dir.map_or_else(|| Ok(Vec::new()), load::folder)?;
        let (recipes, others) = own.into_iter().partition(|item| matches!(item, Item::Recipe(_)));
        put(&mut items, recipes);
        items.extend::<Vec<Item>>(others);
        put(&mut items, checked);
        Self::from_items(items, &load::prompt_names(user_dir)?)
    }

    /// Reads and checks the text of a card by itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn card_of_text(file: &str, text: &str) -> Result<Card, RegistryError> {
        let origin = CardOrigin { file: file.to_owned(), folder: Some(PathBuf::new()) };
        match load::parse(Kind::Card, text.to_owned().into(), origin)? {
            Item::Card(card) => Ok(card.value),
            _ => unreachable!("a card was asked for"),
        }
    }

    /// Everything that is wrong with each of these files by itself.
    pub fn file_faults(files: &[PathBuf]) -> Vec<RegistryError> {
        files.iter().flat_map(|path| load::faults(Kind::of_file(path), path)).collect()
    }

    fn from_items(items: Vec<Item>, prompts: &BTreeSet<String>) -> Result<Self, Faults> {
        let (mut cards, mut architectures, mut tokenizers, mut recipes) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Card(card) => cards.push(*card),
                Item::Architecture(record) => architectures.push(*record),
                Item::Tokenizer(record) => tokenizers.push(*record),
                Item::Recipe(recipe) => recipes.push(*recipe),
            }
        }
        let mut names = Names {
            cards: BTreeMap::new(),
            architectures: by_name(&architectures, |record| &record.name)?,
            tokenizers: by_name(&tokenizers, |record| &record.name)?,
            prompts,
        };
        for loaded in &cards {
            let card = &loaded.value;
            let known = std::iter::once(("id", &card.id)).chain(card.aliases.iter().map(|a| ("aliases", a)));
            for (field, stated) in known {
                let name = stated.to_lowercase();
                if let Some(other) = names.cards.insert(name.clone(), loaded) {
                    let line = loaded.checker().line(field, stated);
                    let (file, other) = (loaded.file.clone(), other.file.clone());
                    return Err(RegistryError::Duplicate { file, line, name, other }.into());
                }
            }
        }
        names.check()?;
        let shared = by_name(&recipes, |recipe| &recipe.name)?;
        let mut trained = BTreeMap::new();
        for loaded in &mut cards {
            let recipe = trained::recipe_of(loaded, &shared)?;
            trained::adapters(loaded, recipe.as_ref())?;
            trained.extend(recipe.map(|recipe| (loaded.value.id.clone(), recipe)));
        }
        let architectures = values_by_name(architectures, |record| &record.name);
        let tokenizers = values_by_name(tokenizers, |record| &record.name);
        let recipes = values_by_name(recipes, |recipe| &recipe.name);
        let mut cards: Vec<Card> = cards.into_iter().map(|loaded| loaded.value).collect();
        cards.sort_by(|a, b| (a.relative, &a.family, &a.id).cmp(&(b.relative, &b.family, &b.id)));
        let mut names = BTreeMap::new();
        for (position, card) in cards.iter().enumerate() {
            names.insert(card.id.to_lowercase(), position);
            names.extend(card.aliases.iter().map(|alias| (alias.to_lowercase(), position)));
        }
        let mut registry = Registry { cards, names, architectures, tokenizers, recipes, trained };
        registry.fill();
        Ok(registry)
    }

    /// Takes from the architectures what the cards do not state.
    fn fill(&mut self) {
        let mut cards = std::mem::take(&mut self.cards);
        for card in &mut cards {
            let Some(network) = self.architecture_of(card) else { continue };
            let parameters = network.count_parameters().expect("a checked record has a count");
            card.context = card.context.or(Some(network.max_context));
            let rule = card.release.vocabulary.as_ref().map(|vocabulary| vocabulary.rule);
            if rule != Some(VocabularyRule::Unknown) {
                card.parameters = card.parameters.or(Some(parameters));
            }
        }
        self.cards = cards;
    }

    /// All cards, sorted by family, then by id.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// The card with this id or alias in any case.
    pub fn card(&self, name: &str) -> Option<&Card> {
        self.names.get(&name.trim().to_lowercase()).and_then(|&position| self.cards.get(position))
    }

    /// The card with this id or alias in any case; otherwise an error that offers the nearest names.
    pub fn find(&self, name: &str) -> Result<&Card, UnknownModel> {
        if let Some(card) = self.card(name) {
            return Ok(card);
        }
        let wanted = name.trim().to_lowercase();
        let nearest = nearest(&wanted, self.names.keys().map(String::as_str), NEAR);
        Err(UnknownModel { name: name.to_owned(), nearest })
    }

    /// The architecture record of this name.
    pub fn architecture(&self, name: &str) -> Option<&ArchitectureRecord> {
        self.architectures.get(name)
    }

    /// All architecture records, sorted by name.
    pub fn architectures(&self) -> impl Iterator<Item = &ArchitectureRecord> {
        self.architectures.values()
    }

    /// The shape of a card's network, be it named or part of the card.
    pub fn architecture_of<'a>(&'a self, card: &'a Card) -> Option<&'a ArchitectureRecord> {
        match card.architecture.as_ref()? {
            Reference::Named(name) => self.architecture(name),
            Reference::Inline(record) => Some(record),
        }
    }

    /// The tokenizer record of this name.
    pub fn tokenizer(&self, name: &str) -> Option<&TokenizerRecord> {
        self.tokenizers.get(name)
    }

    /// All tokenizer records, sorted by name.
    pub fn tokenizers(&self) -> impl Iterator<Item = &TokenizerRecord> {
        self.tokenizers.values()
    }

    /// The tokenizer of a card.
    pub fn tokenizer_of(&self, card: &Card) -> Option<&TokenizerRecord> {
        self.tokenizer(card.tokenizer.as_deref()?)
    }

    /// All recipes that cards can name, sorted by name.
    pub fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.recipes.values()
    }

    /// How the model of a card was trained: the recipe that it names or has, with its own changes in it.
    pub fn recipe_of(&self, card: &Card) -> Option<&Recipe> {
        self.trained.get(&card.id)
    }

    /// The model that a card was trained from.
    pub fn base_of(&self, card: &Card) -> Option<&Card> {
        self.card(card.base.as_deref()?)
    }

    /// A card and what it was trained from, step by step, the card itself last.
    pub fn lineage<'a>(&'a self, card: &'a Card) -> Vec<&'a Card> {
        let mut line = vec![card];
        let mut at = card;
        while let Some(base) = self.base_of(at).filter(|_| line.len() <= self.cards.len()) {
            line.push(base);
            at = base;
        }
        line.reverse();
        line
    }

    /// The models that were trained from this one, in the order of `cards`.
    pub fn children<'a>(&'a self, card: &'a Card) -> impl Iterator<Item = &'a Card> {
        self.cards.iter().filter(|child| child.base.as_deref() == Some(card.id.as_str()))
    }
}

/// Puts the new items in the place of those of their names.
fn put(items: &mut Vec<Item>, new: Vec<Item>) {
    let names: BTreeSet<(u8, String)> = new.iter().map(name_of).collect();
    items.retain(|item| !names.contains(&name_of(item)));
    items.extend(new);
}

/// Kind and name of what a file holds.
fn name_of(item: &Item) -> (u8, String) {
    match item {
        Item::Card(loaded) => (0, loaded.value.id.to_lowercase()),
        Item::Architecture(loaded) => (1, loaded.value.name.clone()),
        Item::Tokenizer(loaded) => (2, loaded.value.name.clone()),
        Item::Recipe(loaded) => (3, loaded.value.name.clone()),
    }
}

fn values_by_name<T>(loaded: Vec<Loaded<T>>, name: impl Fn(&T) -> &str) -> BTreeMap<String, T> {
    loaded.into_iter().map(|one| (name(&one.value).to_owned(), one.value)).collect()
}

fn by_name<T>(
    loaded: &[Loaded<T>],
    name: impl Fn(&T) -> &str,
) -> Result<BTreeMap<&str, &Loaded<T>>, RegistryError> {
    let mut names: BTreeMap<&str, &Loaded<T>> = BTreeMap::new();
    for one in loaded {
        let name = name(&one.value);
        if let Some(other) = names.insert(name, one) {
            let (file, other) = (one.file.clone(), other.file.clone());
            return Err(RegistryError::Duplicate { file, line: 1, name: name.to_owned(), other });
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::{CardOrigin, Source};
    use super::*;

    fn card(id: &str, aliases: &str, extra: &str) -> Item {
        let text = format!(
            "id: {id}\nname: X\naliases: [{aliases}]\nfamily: llama\nlicense: MIT\n\
             release: {{kind: full, format: gguf}}\n{extra}"
        );
        load::parse(Kind::Card, text.into(), CardOrigin { file: format!("{id}.yaml"), folder: None }).unwrap()
    }

    #[test]
    fn every_embedded_card_loads_and_survives_a_round_trip() {
        let registry = Registry::load(None).unwrap();
        assert!(!registry.cards().is_empty());
        for card in registry.cards() {
            let text = serde_yaml::to_string(card).unwrap();
            let again = load::card(text.into(), card.origin.clone(), None).unwrap().value;
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
        assert_eq!(card.parameters, Some(134_515_008));
        assert_eq!(card.context, Some(8192));
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
        let error = Registry::from_items(twice.into(), &BTreeSet::new()).unwrap_err().first().to_string();
        assert_eq!(error, "two.yaml:3: the name \"uno\" is already taken by one.yaml; rename one of the two");
        let twice = [card("one", "", ""), card("two", "one", "")];
        assert!(matches!(
            Registry::from_items(twice.into(), &BTreeSet::new()).map_err(Faults::first),
            Err(RegistryError::Duplicate { .. })
        ));
    }

    #[test]
    fn a_base_must_be_a_card() {
        let error = Registry::from_items(vec![card("one", "", "base: zero\n")], &BTreeSet::new())
            .unwrap_err()
            .first()
            .to_string();
        assert_eq!(error, "one.yaml:7: base: expected the id of another card, found \"zero\"");
        assert!(
            Registry::from_items(
                vec![card("one", "", "base: zero\n"), card("zero", "", "")],
                &BTreeSet::new()
            )
            .is_ok()
        );
    }
}
