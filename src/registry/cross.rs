//! Checks between files: names resolve, nothing is its own ancestor, and the vocabulary of a model fits
//! its tokenizer, its network and the form in which it was released.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Faults;
use super::load::Loaded;
use super::{
    ArchitectureRecord, Card, Reference, RegistryError, Release, ReleaseKind, TokenizerRecord, VocabularyRule,
};

/// Everything that names can refer to.
pub(super) struct Names<'a> {
    /// Cards by id, and by lower-case alias.
    pub cards: BTreeMap<String, &'a Loaded<Card>>,
    pub architectures: BTreeMap<&'a str, &'a Loaded<ArchitectureRecord>>,
    pub tokenizers: BTreeMap<&'a str, &'a Loaded<TokenizerRecord>>,
    /// Names of prompt templates.
    pub prompts: &'a BTreeSet<String>,
}

impl<'a> Names<'a> {
    fn card(&self, id: &str) -> Option<&'a Loaded<Card>> {
        self.cards.get(id).copied().filter(|card| card.value.id == id)
    }

    fn architecture(&self, card: &'a Card) -> Option<&'a ArchitectureRecord> {
        match card.architecture.as_ref()? {
            Reference::Named(name) => Some(&self.architectures.get(name.as_str())?.value),
            Reference::Inline(record) => Some(record),
        }
    }

    /// Checks all cards and tokenizers against each other: the faults of each.
    pub fn check(&self) -> Result<(), Faults> {
        let ids = self.cards.iter().filter(|(name, card)| **name == card.value.id);
        let cards: Vec<&Loaded<Card>> = ids.map(|(_, card)| *card).collect();
        let tokenizers = self.tokenizers.values().map(|tokenizer| self.tokenizer(tokenizer));
        let references = cards.iter().map(|card| self.references(card));
        let faults: Vec<RegistryError> = tokenizers.chain(references).filter_map(Result::err).collect();
        // What follows names is checked where all of them lead somewhere.
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let faults: Vec<RegistryError> = cards.iter().filter_map(|card| self.ancestors(card).err()).collect();
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let faults: Vec<RegistryError> = cards.iter().filter_map(|card| self.network(card).err()).collect();
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults)) }
    }

    fn tokenizer(&self, loaded: &Loaded<TokenizerRecord>) -> Result<(), RegistryError> {
        let mut seen = BTreeSet::from([loaded.value.name.as_str()]);
        let mut at = loaded;
        while let Some(base) = at.value.base.as_deref() {
            let checker = at.checker();
            let Some(next) = self.tokenizers.get(base) else {
                return Err(checker.wrong("base", "the name of another tokenizer record", base));
            };
            if !seen.insert(base) {
                return Err(checker.wrong("base", "a tokenizer that is not made from this one", base));
            }
            let expected = format!("at least as many as its base {base} ({})", next.value.vocab_size);
            let size = at.value.vocab_size;
            checker.require(size >= next.value.vocab_size, "vocab_size", expected, &size.to_string())?;
            let low = at.value.added.iter().find(|(_, id)| u64::from(**id) < next.value.vocab_size);
            if let Some((token, id)) = low {
                let expected =
                    format!("ids from {} on, which are not those of {base}", next.value.vocab_size);
                return Err(checker.wrong("added", expected, &format!("{token}: {id}")));
            }
            at = next;
        }
        Ok(())
    }

    /// Every name in a card is one.
    fn references(&self, loaded: &Loaded<Card>) -> Result<(), RegistryError> {
        let (card, checker) = (&loaded.value, loaded.checker());
        let model = |field: &str, id: &str| {
            checker.require(self.card(id).is_some(), field, "the id of another card", id)
        };
        if let Some(base) = &card.base {
            model("base", base)?;
        }
        if let Some(Reference::Named(name)) = &card.architecture {
            let ok = self.architectures.contains_key(name.as_str());
            checker.require(ok, "architecture", "the name of an architecture record", name)?;
        }
        if let Some(name) = &card.tokenizer {
            let ok = self.tokenizers.contains_key(name.as_str());
            checker.require(ok, "tokenizer", "the name of a tokenizer record", name)?;
        }
        if let Some(name) = &card.prompt {
            let ok = self.prompts.contains(name);
            checker.require(ok, "prompt", "the name of a file in prompts", name)?;
        }
        for release in card.releases() {
            if let Some(base) = &release.base {
                model("release.base", base)?;
            }
            if let Some(key) = &release.key {
                model("release.key.model", &key.model)?;
            }
            for name in release.revisions.values() {
                let ok = self.architectures.contains_key(name.as_str());
                checker.require(ok, "release.revisions", "the name of an architecture record", name)?;
            }
            self.merge_order(loaded, release)?;
        }
        Ok(())
    }

    /// The adapters of a chain are those of cards, the last one of this card.
    fn merge_order(&self, loaded: &Loaded<Card>, release: &Release) -> Result<(), RegistryError> {
        let (card, checker) = (&loaded.value, loaded.checker());
        const FIELD: &str = "release.merge_order";
        for id in &release.merge_order {
            let Some(step) = self.card(id) else {
                return Err(checker.wrong(FIELD, "ids of cards", id));
            };
            let adapter = step.value.releases().any(|r| r.kind == ReleaseKind::Lora);
            checker.require(adapter, FIELD, "cards that release an adapter", id)?;
        }
        match release.merge_order.last() {
            Some(last) if *last != card.id => {
                Err(checker.wrong(FIELD, format!("{:?} as the last one", card.id), last))
            }
            _ => Ok(()),
        }
    }

    /// Whom the card needs: what it was trained from and what its files are applied to.
    fn parents(&self, card: &'a Card) -> Vec<&'a str> {
        let mut parents: Vec<&str> = card.base.as_deref().into_iter().collect();
        for release in card.releases() {
            parents.extend(release.base.as_deref());
            parents.extend(release.merge_order.iter().map(String::as_str).filter(|id| *id != card.id));
        }
        parents
    }

    /// No card is its own ancestor.
    fn ancestors(&self, loaded: &'a Loaded<Card>) -> Result<(), RegistryError> {
        let start = loaded.value.id.as_str();
        // Depth first; `path` is the way from `start` to the card in hand.
        let mut path = vec![start];
        let mut left = vec![self.parents(&loaded.value)];
        let mut seen = BTreeSet::new();
        while let Some(parents) = left.last_mut() {
            let Some(parent) = parents.pop() else {
                left.pop();
                path.pop();
                continue;
            };
            if parent == start {
                let circle = path.iter().chain([&start]).map(|id| (*id).to_owned()).collect();
                let line = loaded.checker().line("base", path.get(1).copied().unwrap_or(start));
                return Err(RegistryError::Cycle { file: loaded.file.clone(), line, circle });
            }
            if let Some(card) = self.card(parent).filter(|_| seen.insert(parent)) {
                path.push(parent);
                left.push(self.parents(&card.value));
            }
        }
        Ok(())
    }

    /// Parameters, context and vocabulary agree with the network, the tokenizer and the base.
    fn network(&self, loaded: &'a Loaded<Card>) -> Result<(), RegistryError> {
        let (card, checker) = (&loaded.value, loaded.checker());
        let Some(network) = self.architecture(card) else { return Ok(()) };
        let rule = card.release.vocabulary.as_ref().map(|vocabulary| vocabulary.rule);
        if let Some(stated) = card.parameters.filter(|_| rule != Some(VocabularyRule::Unknown)) {
            let counted = network.count_parameters().expect("a checked record has a count");
            let expected = format!("{counted}, the sum of the architecture's shapes");
            checker.require(stated == counted, "parameters", expected, &stated.to_string())?;
        }
        if let Some(context) = card.context {
            let expected = format!("at most the architecture's {} tokens", network.max_context);
            checker.require(context <= network.max_context, "context", expected, &context.to_string())?;
        }
        let tokenizer = card.tokenizer.as_deref().and_then(|name| self.tokenizers.get(name));
        if let Some(tokenizer) = tokenizer.filter(|_| rule != Some(VocabularyRule::Unknown)) {
            let (rows, name) = (tokenizer.value.rows(), &tokenizer.value.name);
            let expected = format!(
                "a tokenizer with {} rows (vocab_size of the architecture); {name} has {rows}",
                network.vocab_size
            );
            checker.require(rows == network.vocab_size, "tokenizer", expected, name)?;
        }
        card.releases().try_for_each(|release| self.vocabulary(loaded, network, release))
    }

    fn vocabulary(
        &self,
        loaded: &'a Loaded<Card>,
        network: &ArchitectureRecord,
        release: &'a Release,
    ) -> Result<(), RegistryError> {
        let (card, checker) = (&loaded.value, loaded.checker());
        let Some(vocabulary) = &release.vocabulary else { return Ok(()) };
        if let Some(rows) = vocabulary.rows {
            let expected = format!("{}, vocab_size of the architecture", network.vocab_size);
            let ok = rows == network.vocab_size;
            checker.require(ok, "release.vocabulary.rows", expected, &rows.to_string())?;
        }
        let base = release.base.as_deref().or(card.base.as_deref()).and_then(|id| self.card(id));
        let base_rows = base.and_then(|base| self.architecture(&base.value)).map(|base| base.vocab_size);
        let grows = match vocabulary.rule {
            VocabularyRule::Same => 0,
            VocabularyRule::AppendZeroRow | VocabularyRule::AppendMeanRow => 1,
            VocabularyRule::Replace | VocabularyRule::Unknown => return Ok(()),
        };
        match base_rows {
            Some(rows) if rows.checked_add(grows) != Some(network.vocab_size) => Err(checker.wrong(
                "release.vocabulary.rule",
                format!("a rule that makes {} rows from the base's {rows}", network.vocab_size),
                &format!("{grows} more"),
            )),
            _ => Ok(()),
        }
    }
}
