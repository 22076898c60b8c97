//! What a model card says, typed. Field names are those of `config.json` where it has them.
//!
//! Unknown keys are errors: a misspelt fact must not be a silently missing one. `src` fields say where
//! a group of facts was read; the marks are explained in `zoo/README.md`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

use super::checker::{is_repo, is_word};
use super::recipe::Recipe;
use super::{ArchitectureRecord, HubSource, Published, Reference, Release, ReleaseKind, Rule, Source};
use crate::config::ModelConfig;

/// The family of models of which only the repository's name is known.
const HUB_FAMILY: &str = "hub";

/// One model of the zoo.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The registry id: lower-case letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// The name its authors use.
    pub name: String,
    /// Other names that find it (case-insensitive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The branch of the family: `llama`, `vicuna`, `smollm2`, …
    pub family: String,
    /// Whether it stands beside the family that this zoo is about: a model that people look for here, of the same
    /// architecture.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relative: bool,
    /// What it is, in a sentence or two.
    pub description: Option<String>,
    /// The id of the model it was trained from. The released files may need another one:
    /// see [`Release::base`].
    pub base: Option<String>,
    /// Number of parameters, shared ones counted once; taken from the architecture if not stated.
    pub parameters: Option<u64>,
    /// The shape of the network: the name of a record, or the record itself.
    pub architecture: Option<Reference<ArchitectureRecord>>,
    /// The name of a tokenizer record.
    pub tokenizer: Option<String>,
    /// The longest context in tokens that it was trained for; taken from the architecture if not stated.
    pub context: Option<u64>,
    /// The licence of the weights, an SPDX id where there is one.
    pub license: String,
    /// Languages as ISO 639-1 codes, the main ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// In what form the authors released it.
    pub release: Release,
    /// Other forms of the same model by the same authors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_releases: Vec<Release>,
    /// Where the files of `release` can be had, best first.
    #[serde(default, with = "serde_yaml::with::singleton_map_recursive")]
    pub sources: Vec<Source>,
    /// How it was trained: the name of a recipe that it shares with others, or the recipe itself.
    pub recipe: Option<Reference<Recipe>>,
    /// What its training has different from that recipe: keys of a [`Stage`](super::recipe::Stage), and under
    /// `stage` which one, counted from 1, if it is not the first.
    #[serde(default, skip_serializing_if = "Mapping::is_empty")]
    pub training: Mapping,
    /// The name of the prompt template that it was tuned with; `none` for a model of plain text.
    pub prompt: Option<String>,
    /// What ends an answer.
    pub stop: Option<CardStop>,
    /// Whether a BOS token goes before a text.
    #[serde(default)]
    pub bos: Bos,
    /// Scores that others have published; those that contradict each other stand side by side.
    #[serde(
        default,
        deserialize_with = "super::published::deserialize",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub published: Vec<Published>,
    /// How the authors let users check the rebuilt weights.
    pub integrity: Option<Integrity>,
    /// What a user should know, one paragraph each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What is from memory, derived or contradictory, one paragraph each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// Where the facts were read, unless a group of them has its own mark.
    pub src: Option<String>,
    /// The file the card was read from.
    #[serde(skip)]
    pub origin: CardOrigin,
}

impl Card {
    /// A card for a repository of a hub that has none: `org/name`, or `org/name@revision`; `None` if the text is no
    /// such name. What it does not say, the repository's own files do.
    pub fn of_hub(text: &str) -> Option<Card> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        let is_revision = revision.split('/').all(|part| is_word(part, "._-"));
        if !repo.contains('/') || !is_repo(repo) || !is_revision {
            return None;
        }
        let id = repo.to_lowercase().replace('/', "--");
        let name = repo.rsplit('/').next().expect("a text has a last part");
        let yaml = format!(
            "{{id: {id:?}, name: {name:?}, family: {HUB_FAMILY}, license: {:?}, release: {{kind: full}}, \
             sources: [{{hub: {{repo: {repo:?}, revision: {revision:?}}}}}]}}",
            format!("see the page of {repo} on the hub")
        );
        Some(serde_yaml::from_str(&yaml).expect("names of repositories are plain text"))
    }

    /// Whether it was made of a repository's name, and nobody wrote it.
    pub fn is_made(&self) -> bool {
        self.origin.file.is_empty() && self.family == HUB_FAMILY
    }

    /// The card with what the repository's own files tell: the network, and the licence.
    pub fn described(self, config: Option<&ModelConfig>, license: Option<String>) -> Card {
        let network = config.map(ArchitectureRecord::of_config);
        Card {
            parameters: self.parameters.or_else(|| network.as_ref()?.parameters),
            context: self.context.or_else(|| network.as_ref().map(|network| network.max_context)),
            architecture: self.architecture.or_else(|| Some(Reference::Inline(Box::new(network?)))),
            license: license.unwrap_or(self.license),
            ..self
        }
    }

    /// All names by which it is found or thought of: its id, its other names, and its family.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.id, &self.family].into_iter().chain(&self.aliases).map(String::as_str)
    }

    /// All forms in which it was released, the main one first.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        std::iter::once(&self.release).chain(&self.other_releases)
    }

    /// The card as if the first of its releases that has a rule were its main one, with the sources of that; `None`
    /// if nothing has to be rebuilt.
    pub fn to_rebuild(&self) -> Option<(Rule, Card)> {
        let release = self.releases().find(|release| release.rule.is_some())?;
        let mut card = self.clone();
        if let Some(repo) = &release.hub {
            let hub =
                HubSource { repo: repo.clone(), revision: "main".to_owned(), files: Vec::new(), note: None };
            card.sources = vec![Source::Hub(hub)];
        }
        card.release = release.clone();
        Some((release.rule?, card))
    }

    /// Whether what `sources` offers can be run as it is: whole weights, and a place to get them.
    pub fn is_available(&self) -> bool {
        self.release.kind == ReleaseKind::Full && !self.sources.is_empty()
    }

    /// The model whose weights the released files are to be applied to.
    pub fn release_base(&self) -> Option<&str> {
        match self.release.kind {
            ReleaseKind::Full | ReleaseKind::Unreleased => None,
            _ => self.release.base.as_deref().or(self.base.as_deref()),
        }
    }

    /// What a user must bring before the model can run, as a sentence; `None` if it can be fetched.
    pub fn to_bring(&self) -> Option<String> {
        let id = &self.id;
        if let Some(bring) = &self.release.bring {
            return Some(bring.trim().to_owned());
        }
        match self.release.kind {
            ReleaseKind::Full if self.sources.is_empty() => Some(format!(
                "the weights cannot be fetched: bring them with --weights PATH (zoo eval {id} --weights PATH)"
            )),
            ReleaseKind::Full => None,
            ReleaseKind::Unreleased => {
                Some("no weights are public: bring your own with --weights PATH".to_owned())
            }
            kind => Some(format!(
                "what is released is {}, not a model: rebuild it from {} or bring the finished weights with --weights PATH",
                kind.phrase(),
                self.release_base().unwrap_or("its base"),
            )),
        }
    }
}

/// What ends an answer, beside the end of the context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardStop {
    /// Token ids.
    #[serde(default)]
    pub ids: Vec<u32>,
    /// Texts.
    #[serde(default)]
    pub strings: Vec<String>,
    /// A regular expression; the match and what follows are cut.
    pub regex: Option<String>,
}

/// Whether the BOS token is put before a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bos {
    /// As the tokenizer's own files say.
    #[default]
    Tokenizer,
    /// Always, once at the start.
    Always,
    /// Before each turn of a conversation (a question and its answer).
    EachTurn,
    /// Before each message of a conversation.
    EachMessage,
    /// Never.
    Never,
}

/// A check on rebuilt weights that the authors published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// The sum of all elements of all tensors.
    pub sum: f64,
    /// By how much it may differ.
    pub atol: f64,
    /// What to know about the check.
    pub note: Option<String>,
    /// Where it was read.
    pub src: Option<String>,
}

/// Where a card was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardOrigin {
    /// The file, for messages: `zoo/x.yaml` if it is part of the binary, else its path.
    pub file: String,
    /// The folder of a card on disk: `path:` sources start here. `None` if it is part of the binary.
    pub folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LlamaConfig;

    #[test]
    fn a_repository_of_the_hub_has_a_card() {
        let source = |text: &str| match Card::of_hub(text)?.sources.as_slice() {
            [Source::Hub(hub)] => Some((hub.repo.clone(), hub.revision.clone())),
            _ => None,
        };
        let wanted = |repo: &str, revision: &str| Some((repo.to_owned(), revision.to_owned()));
        assert_eq!(source("Org/My-Model"), wanted("Org/My-Model", "main"));
        assert_eq!(source("o/n@v1.5"), wanted("o/n", "v1.5"));
        assert_eq!(source("o/n@refs/pr/3"), wanted("o/n", "refs/pr/3"));
        let card = Card::of_hub("Org/My-Model").unwrap();
        assert_eq!((card.id.as_str(), card.name.as_str()), ("org--my-model", "My-Model"));
        assert!(card.is_available() && card.to_bring().is_none() && card.is_made());
        let config = LlamaConfig::SMOLLM2_135M.into();
        let told = card.clone().described(Some(&config), Some("mit".to_owned()));
        assert_eq!((told.parameters, told.context), (Some(config.parameters()), Some(8192)));
        assert_eq!(told.license, "mit");
        assert!(card.described(None, None).license.contains("the page of Org/My-Model"));
        for text in ["llama", "./models/x", "a/b/c", "../x", "/etc", "o/n@", "o/..", "~/m", "o/n@../x"] {
            assert!(Card::of_hub(text).is_none(), "{text}");
        }
    }
}
