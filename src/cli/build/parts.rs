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
    Ok(wanted.into_iter().map(|part| (part, place(&part))).collect())
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
        path,
        can_be_fetched: part.can_be_fetched(),
    };
    let mut states: Vec<PartState<'a>> =
        found(card, rule, registry, given, config)?.into_iter().map(state).collect();
    states.reverse();
    Ok(states)
}

impl Wanted<'_> {
    /// A key is one file of the original release, which no hub has.
    fn can_be_fetched(&self) -> bool {
        self.role != PartRole::Key && !self.card.sources.is_empty()
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
        PartRole::Released | PartRole::Adapter => cached(),
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
    Usage(format!("{id} has to be built, and {parts} is not on this machine{key}; name it: {flags}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, path: &Path) -> Given {
        Given { name: name.to_owned(), path: path.to_owned() }
    }

    fn offline(home: &Path) -> HubConfig {
        HubConfig { offline: true, ..HubConfig::at(home).unwrap() }
    }

    #[test]
    fn parts_are_named_by_model_alias_or_role() {
        let folder = tempfile::tempdir().unwrap();
        let config = offline(folder.path());
        let (registry, places) =
            (Registry::load(None).unwrap(), PartSources { config: &config, fetch: None });
        let card = registry.card("vicuna-7b-v0").unwrap();
        let (base, delta) = (folder.path().join("base"), folder.path().join("delta"));
        let both = [given("llama-7b", &base), given("vicuna-7b-v0", &delta)];
        let parts = BuildParts::of_card(card, Rule::VicunaDeltaV0, &registry, &both, places).unwrap();
        assert_eq!(parts.one(PartRole::Base).unwrap(), base);
        assert_eq!(parts.one(PartRole::Released).unwrap(), delta);
        let roles = [given("delta", &delta), given("base", &base)];
        assert_eq!(BuildParts::of_card(card, Rule::VicunaDeltaV0, &registry, &roles, places).unwrap(), parts);
    }

    #[test]
    fn what_is_missing_or_strange_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let config = offline(folder.path());
        let (registry, places) =
            (Registry::load(None).unwrap(), PartSources { config: &config, fetch: None });
        let of = |id: &str, given: &[Given]| {
            let card = registry.card(id).unwrap();
            BuildParts::of_card(card, card.release.rule.unwrap(), &registry, given, places)
                .unwrap_err()
                .to_string()
        };
        let here = folder.path();
        let base = given("llama-7b", folder.path());
        let error = of("vicuna-7b-v0", &[]);
        assert!(error.contains("--from llama-7b=PATH --from vicuna-7b-v0=PATH"), "{error}");
        let error = of("vicuna-7b-v0", &[base.clone(), given("llama-13b", here)]);
        assert!(error.contains("made of llama-7b (base) and vicuna-7b-v0 (delta)"), "{error}");
        let error = of("vicuna-7b-v0", &[base.clone(), given("base", here)]);
        assert!(error.contains("twice"), "{error}");
        let error = of("chinese-alpaca-plus-7b", &[base]);
        assert!(
            error.contains("--from chinese-llama-plus-7b=PATH --from chinese-alpaca-plus-7b=PATH"),
            "{error}"
        );
        let error = of("belle-llama-7b-2m", &[]);
        assert!(error.contains("llama-7b (key)") && error.contains("byte for byte"), "{error}");
    }

    #[test]
    fn a_part_without_a_card_is_an_error_also_among_several_models() {
        let registry = Registry::load(None).unwrap();
        let given = [given("llama-7b", Path::new("."))];
        let mut card = registry.card("chinese-alpaca-plus-7b").unwrap().clone();
        assert_eq!(given_for(&card, &registry, &given).unwrap(), given);
        card.release.merge_order.push("nobody".to_owned());
        let error = given_for(&card, &registry, &given).unwrap_err().to_string();
        assert!(error.contains("no card is called nobody"), "{error}");
    }

    #[test]
    fn without_a_card_parts_are_named_by_role() {
        let here = Path::new(".");
        let parts = [given("base", here), given("adapter", here), given("adapter", here)];
        let parts = BuildParts::by_role(Rule::PeftLora, &parts).unwrap();
        assert_eq!(parts.all(PartRole::Adapter).count(), 2);
        let error = |rule, parts: &[Given]| BuildParts::by_role(rule, parts).unwrap_err().to_string();
        let text = error(Rule::VicunaDelta, &[given("base", here)]);
        assert!(text.contains("needs the part delta: give --from base=PATH --from delta=PATH"), "{text}");
        assert!(error(Rule::AlpacaDiff, &[given("delta", here)]).contains("--from diff=PATH"));
        assert!(error(Rule::VicunaDelta, &[given("base", here), given("base", here)]).contains("twice"));
    }

    #[test]
    fn from_is_a_name_and_a_path_that_exists() {
        assert_eq!("base=.".parse::<Given>(), Ok(given("base", Path::new("."))));
        for text in ["base", "=x", "base=", " =."] {
            assert!(text.parse::<Given>().unwrap_err().contains("NAME=PATH"), "{text}");
        }
        assert!("base=./no/such".parse::<Given>().unwrap_err().contains("no such"));
    }
}
