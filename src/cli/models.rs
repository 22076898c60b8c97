//! Finding the model that a command line names: what `list`, `show`, `pull` and `eval` share.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exit::Usage;
use super::{Global, screen};
use crate::hub::zoo_home;
use crate::prompts::{self, PromptTemplates};
use crate::registry::{Card, Registry};

/// The embedded cards and the user's own: from `--zoo-dir`, else from `$ZOO_HOME/zoo` if there is one.
pub(crate) fn registry(global: &Global) -> anyhow::Result<Registry> {
    Registry::load(own_folder(global).as_deref()).context("the model cards cannot be loaded")
}

/// The embedded prompt templates and the user's own.
pub(crate) fn prompts(global: &Global) -> anyhow::Result<PromptTemplates> {
    prompts::load(own_folder(global).as_deref()).context("the prompt templates cannot be loaded")
}

/// The folder of the user's own cards, if there is one.
pub(crate) fn own_folder(global: &Global) -> Option<PathBuf> {
    let default = || zoo_home().ok().map(|home| home.join("zoo")).filter(|folder| folder.is_dir());
    global.zoo_dir.clone().or_else(default)
}

/// Writes a result to a file, or to standard output if none is named.
pub(crate) fn deliver(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    if let Some(path) = file {
        return std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    Ok(screen::print(text)?)
}

/// The card of a name; an unknown one is wrong usage, with the nearest names.
pub(crate) fn find<'r>(registry: &'r Registry, name: &str) -> anyhow::Result<&'r Card> {
    registry.find(name).map_err(|error| Usage(error.to_string()).into())
}

/// The card of a name, or of a repository that is named as on the hub (`org/name@revision`): the registry's, if one has it
/// as a source, else a new one.
pub(crate) fn find_or_make<'r>(registry: &'r Registry, name: &str) -> anyhow::Result<Cow<'r, Card>> {
    let Some(made) = Card::of_hub(name) else { return find(registry, name).map(Cow::Borrowed) };
    let has = |card: &&Card| card.sources.iter().any(|source| made.sources.contains(source));
    Ok(registry.cards().iter().find(has).map_or_else(|| Cow::Owned(made.clone()), Cow::Borrowed))
}

/// A remark on stderr, unless `--quiet`.
pub(crate) fn note(global: &Global, text: &str) {
    if !global.quiet && !text.is_empty() {
        screen::say(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_cards_too() {
        let registry = Registry::load(None).unwrap();
        let id = |name: &str| find_or_make(&registry, name).map(|card| card.id.clone());
        assert_eq!(id("vicuna-13b-v1.5").unwrap(), "vicuna-13b-v1.5");
        assert_eq!(id("lmsys/vicuna-13b-v1.5").unwrap(), "vicuna-13b-v1.5");
        assert_eq!(id("lmsys/vicuna-13b-v1.5@abc").unwrap(), "lmsys--vicuna-13b-v1.5");
        assert_eq!(id("zz/own").unwrap(), "zz--own");
        assert!(id("no-such-model").is_err());
    }

    #[test]
    fn a_folder_that_is_named_must_exist() {
        let zoo_dir = Some(PathBuf::from("/nonexistent/cards"));
        let error = registry(&Global { zoo_dir, verbose: 0, quiet: false, progress: Default::default() })
            .unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/cards"), "{error:#}");
    }
}
