//! The parts that a model is rebuilt from, and where they are: what `--from` says, the cache, an earlier build, the
//! hub.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};

use super::built;
use crate::base::progress::Progress;
use crate::cli::exit::Usage;
use crate::hub::{self, HubConfig};
use crate::registry::{Card, Registry, Release, ReleaseKind, Rule};
use crate::run::name_of;

/// One `--from NAME=PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl FromStr for Given {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.trim().is_empty() && !path.is_empty() => {
                let path = PathBuf::from(path);
                if !path.exists() {
                    return Err(format!("{}: no such file or folder", path.display()));
                }
                Ok(Given { name: name.trim().to_owned(), path })
            }
            _ => Err("expected NAME=PATH, for example llama-13b=/models/llama/13B".to_owned()),
        }
    }
}

/// What a part is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRole {
    /// The weights that something is added to.
    Base,
    /// What is added to them, or is encrypted with a file of theirs.
    Released,
    /// One adapter of a chain.
    Adapter,
    /// The file that encrypted files are read with.
    Key,
}

impl PartRole {
    /// The name by which `--from` and messages know it.
    fn word(self, rule: Rule) -> &'static str {
        match self {
            PartRole::Base => "base",
            PartRole::Adapter => "adapter",
            PartRole::Key => "key",
            PartRole::Released => match rule.kind() {
                ReleaseKind::Xor => "encrypted",
                ReleaseKind::Diff => "diff",
                _ => "delta",
            },
        }
    }
}

/// A part and the place where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPart {
    /// What it is to the model.
    pub role: PartRole,
    /// The id of the model it belongs to, or the name of its folder where no card says more.
    pub name: String,
    /// Folder or file.
    pub path: PathBuf,
}

/// A part that is still to be found.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    role: PartRole,
    /// The card of the model it belongs to.
    card: &'a Card,
}

/// Everything that one build needs.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildParts {
    /// How the parts become weights.
    pub rule: Rule,
    /// The parts, the base or the key first, adapters in their order.
    parts: Vec<FoundPart>,
}

/// Where parts are looked for beside `--from`.
#[derive(Clone, Copy)]
pub struct PartSources<'a> {
    /// The cache and the hub.
    pub config: &'a HubConfig,
    /// Shows downloads; without it nothing is fetched.
    pub fetch: Option<&'a dyn Progress>,
}

impl BuildParts {
    /// The place of the only part of this role.
    pub fn one(&self, role: PartRole) -> anyhow::Result<&Path> {
        let found = self.all(role).next().map(|part| part.path.as_path());
        found.with_context(|| format!("no {} was given", role.word(self.rule)))
    }

    /// The parts of this role, in order.
    pub fn all(&self, role: PartRole) -> impl Iterator<Item = &FoundPart> {
        self.parts.iter().filter(move |part| part.role == role)
    }

    /// The parts of a build without a card: `--from base=…`, `--from delta=…`, `--from adapter=…`, `--from key=…`.
    pub fn by_role(rule: Rule, given: &[Given]) -> anyhow::Result<Self> {
        let words: Vec<&str> = roles_of(rule).iter().map(|role| role.word(rule)).collect();
        let flags = || words.iter().map(|word| format!("--from {word}=PATH")).collect::<Vec<_>>().join(" ");
        if let Some(stray) = given.iter().find(|given| !words.contains(&given.name.as_str())) {
            let name = &stray.name;
            bail!(Usage(format!("--from {name}=…: the rule {} is given {}", rule.as_str(), flags())));
        }
        let mut parts = Vec::new();
        for &role in roles_of(rule) {
            let word = role.word(rule);
            let own: Vec<&Given> = given.iter().filter(|given| given.name == word).collect();
            if own.is_empty() {
                bail!(Usage(format!("the rule {} needs the part {word}: give {}", rule.as_str(), flags())));
            }
            if own.len() > 1 && role != PartRole::Adapter {
                bail!(Usage(format!("--from {word}=… was given twice; expected one")));
            }
            let part =
                |given: &&Given| FoundPart { role, name: name_of(&given.path), path: given.path.clone() };
            parts.extend(own.iter().map(part));
        }
        Ok(BuildParts { rule, parts })
    }

    /// The parts of a card's main release. What is not on this machine is fetched, but only if all that cannot be
    /// fetched is there.
    pub fn of_card(
        card: &Card,
        rule: Rule,
        registry: &Registry,
        given: &[Given],
        places: PartSources<'_>,
    ) -> anyhow::Result<Self> {
        let found = found(card, rule, registry, given, places.config)?;
        let can_fetch = |part: &Wanted<'_>| places.fetch.is_some() && part.can_be_fetched();
        let absent = found.iter().filter(|(part, path)| path.is_none() && !can_fetch(part));
        let absent: Vec<Wanted<'_>> = absent.map(|(part, _)| *part).collect();
        if !absent.is_empty() {
            bail!(missing(card, rule, &absent));
        }
        let mut parts = Vec::new();
        for (Wanted { role, card }, path) in found {
            let path = match path {
                Some(path) => path,
                None => {
                    let progress = places.fetch.expect("what cannot be fetched was refused");
                    hub::fetch_model(card, places.config, progress)
                        .with_context(|| format!("cannot get the files of {}", card.id))?
                }
            };
            parts.push(FoundPart { role, name: card.id.clone(), path });
        }
        Ok(BuildParts { rule, parts })
    }
}

/// The parts of a card's main release, each with its place if it is given or on this machine.
fn found<'a>(
    card: &'a Card,
    rule: Rule,
    registry: &'a Registry,
    given: &[Given],
    config: &HubConfig,
) -> anyhow::Result<Vec<(Wanted<'a>, Option<PathBuf>)>> {
    let wanted = wanted(card, rule, registry)?;
    refuse_strays(card, rule, registry, given, &wanted)?;
    let place = |part: &Wanted<'_>| match given.iter().find(|given| is_called(given, part, rule, registry)) {
        Some(given) => Some(given.path.clone()),
        None => on_this_machine(part, &card.release, config),
    };
    let placed = |part: Wanted<'a>| {
        let path = place(&part);
        path.as_deref().map_or(Ok(()), hub::refuse_changed)?;
        Ok((part, path))
    };
    wanted.into_iter().map(placed).collect()
}

/// A part of a card's release, as it is known before anything is fetched.
pub struct PartState<'a> {
    /// The card of the model that it belongs to.
    pub card: &'a Card,
    /// `base`, `delta`, `adapter`, …
    pub word: &'static str,
    /// Where it is, if it is given or on this machine.
    pub path: Option<PathBuf>,
    /// Whether it can be fetched; else the user has to bring it.
    pub can_be_fetched: bool,
    /// What the user has to bring, where the card says it.
    pub bring: Option<String>,
}

/// The parts of a card's release; what is released comes first, then what it is added to.
///
/// # Errors
/// Parts that the registry does not know, and a `--from` that means none of them.
pub fn part_states<'a>(
    card: &'a Card,
    rule: Rule,
    registry: &'a Registry,
    given: &[Given],
    config: &HubConfig,
) -> anyhow::Result<Vec<PartState<'a>>> {
    let state = |(part, path): (Wanted<'a>, Option<PathBuf>)| PartState {
        card: part.card,
        word: part.role.word(rule),
        bring: part.bring().map(str::to_owned),
        path,
        can_be_fetched: part.can_be_fetched(),
    };
    let mut states: Vec<PartState<'a>> =
        found(card, rule, registry, given, config)?.into_iter().map(state).collect();
    states.reverse();
    Ok(states)
}

impl Wanted<'_> {
    /// A key is one file of the original release, which no hub has; and what a user has to bring is not what a hub has.
    fn can_be_fetched(&self) -> bool {
        self.role != PartRole::Key && !self.card.sources.is_empty() && self.bring().is_none()
    }

    /// What a user must bring in place of released files that are not read here.
    fn bring(&self) -> Option<&str> {
        let is_released = matches!(self.role, PartRole::Released | PartRole::Adapter);
        self.card.release.bring.as_deref().filter(|_| is_released).map(str::trim)
    }
}

/// The parts of a rule, in the order in which they are used.
fn roles_of(rule: Rule) -> &'static [PartRole] {
    match rule.kind() {
        ReleaseKind::Xor => &[PartRole::Key, PartRole::Released],
        ReleaseKind::Lora => &[PartRole::Base, PartRole::Adapter],
        _ => &[PartRole::Base, PartRole::Released],
    }
}

/// What a card's release needs.
fn wanted<'a>(card: &'a Card, rule: Rule, registry: &'a Registry) -> anyhow::Result<Vec<Wanted<'a>>> {
    let release = &card.release;
    let part = |role, name: &str| {
        // The card may be a view of another of its releases.
        let own = if name == card.id { Some(card) } else { registry.card(name) };
        Ok(Wanted { role, card: own.with_context(|| format!("no card is called {name}"))? })
    };
    let base = || card.release_base().with_context(|| format!("{}: no base is known", card.id));
    let of_role = |&role: &PartRole| match role {
        PartRole::Base => Ok(vec![part(role, base()?)?]),
        PartRole::Released => Ok(vec![Wanted { role, card }]),
        PartRole::Key => Ok(vec![part(role, release.key.as_ref().map_or_else(base, |key| Ok(&key.model))?)?]),
        PartRole::Adapter if release.merge_order.is_empty() => Ok(vec![Wanted { role, card }]),
        PartRole::Adapter => release.merge_order.iter().map(|name| part(role, name)).collect(),
    };
    let parts: Vec<_> = roles_of(rule).iter().map(of_role).collect::<anyhow::Result<_>>()?;
    Ok(parts.concat())
}

/// Those of `given` that name a part of this card, for command lines with several models.
///
/// # Errors
/// A card that names no base, or a part that has no card.
pub fn given_for(card: &Card, registry: &Registry, given: &[Given]) -> anyhow::Result<Vec<Given>> {
    let Some((rule, card)) = card.to_rebuild() else { return Ok(Vec::new()) };
    let wanted = wanted(&card, rule, registry)?;
    let is_part = |given: &&Given| wanted.iter().any(|part| is_called(given, part, rule, registry));
    Ok(given.iter().filter(is_part).cloned().collect())
}

/// Whether `--from` means this part: by the id or alias of its model, or by its role where one part has it.
fn is_called(given: &Given, part: &Wanted<'_>, rule: Rule, registry: &Registry) -> bool {
    let id = registry.find(&given.name).map_or(given.name.as_str(), |card| card.id.as_str());
    id == part.card.id || (part.role != PartRole::Adapter && given.name == part.role.word(rule))
}

fn refuse_strays(
    card: &Card,
    rule: Rule,
    registry: &Registry,
    given: &[Given],
    wanted: &[Wanted<'_>],
) -> anyhow::Result<()> {
    let mut taken = Vec::new();
    for one in given {
        let name = &one.name;
        let Some(part) = wanted.iter().position(|part| is_called(one, part, rule, registry)) else {
            let id = &card.id;
            let parts = described(wanted, rule);
            bail!(Usage(format!("--from {name}=…: {id} is made of {parts}; nothing of it is called {name}")));
        };
        if taken.contains(&part) {
            bail!(Usage(format!("--from {name}=… was given twice; expected one path")));
        }
        taken.push(part);
    }
    Ok(())
}

/// `llama-7b (base) and vicuna-7b-v0 (delta)`.
fn described(parts: &[Wanted<'_>], rule: Rule) -> String {
    let one = |part: &Wanted<'_>| format!("{} ({})", part.card.id, part.role.word(rule));
    parts.iter().map(one).collect::<Vec<_>>().join(" and ")
}

/// A part that needs no download.
fn on_this_machine(part: &Wanted<'_>, release: &Release, config: &HubConfig) -> Option<PathBuf> {
    let card = part.card;
    let cached = || hub::cached_model(card, config);
    match part.role {
        PartRole::Base => {
            built(card, config).or_else(|| cached().filter(|_| card.release.kind == ReleaseKind::Full))
        }
        // One file of the original release, byte for byte: no conversion of it serves.
        PartRole::Key => cached().map(|folder| key_in(folder, Some(release))).filter(|file| file.is_file()),
        // Files of a form that is not read may well be in the cache.
        PartRole::Released | PartRole::Adapter => cached().filter(|_| part.bring().is_none()),
    }
}

/// The key's file in a folder, or the file itself.
pub fn key_in(path: PathBuf, release: Option<&Release>) -> PathBuf {
    let key = release.and_then(|release| release.key.as_ref());
    let name = key.map_or("consolidated.00.pth", |key| key.file.as_str());
    if path.is_dir() { path.join(name) } else { path }
}

fn missing(card: &Card, rule: Rule, absent: &[Wanted<'_>]) -> Usage {
    let flags: Vec<String> = absent.iter().map(|part| format!("--from {}=PATH", part.card.id)).collect();
    let key = if absent.iter().any(|part| part.role == PartRole::Key) {
        " (the key is Meta's own file, byte for byte: a folder with it, or the file)"
    } else {
        ""
    };
    let id = &card.id;
    let parts = described(absent, rule);
    let flags = flags.join(" ");
    let (are, them) = if let [_] = absent { ("is", "it") } else { ("are", "them") };
    let mut text =
        format!("{id} has to be built, and {parts} {are} not on this machine{key}; name {them}: {flags}");
    for bring in absent.iter().filter_map(Wanted::bring) {
        text.push('\n');
        text.push_str(bring);
    }
    Usage(text)
}

#[cfg(test)]
mod tests;
