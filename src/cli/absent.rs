//! A model of the registry that is not on this machine: what of it is missing, and what its small files tell.

use std::path::{Path, PathBuf};

use super::build::{Given, PartState, built, nothing_to_build, part_states};
use super::{Global, bar, models};
use crate::config::hf;
use crate::hub::{HubConfig, HubError, Missing, Outlook, cached_model, outlook, small_files, stated_license};
use crate::registry::{Card, Registry, ReleaseKind, Rule};
use crate::run::{AbsentModel, Need, stored_in_gguf};
use crate::weights::{Dtype, is_gguf};

/// What is not here of the model that the registry or the hub calls `name`; `None` for one that is here.
pub fn look(
    name: &str,
    given: impl FnOnce(&Card, &Registry) -> anyhow::Result<Vec<Given>>,
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<Option<AbsentModel>> {
    let registry = models::registry(global)?;
    let card = models::find_or_make(&registry, name)?;
    let given = given(&card, &registry)?;
    let model = of_card(&card, &registry, &given, config, global)?;
    Ok(model.map(|model| AbsentModel { asked: name.to_owned(), ..model }))
}

/// What is not here of a card's model, as [`super::source::locate`] would look for it.
fn of_card(
    card: &Card,
    registry: &Registry,
    given: &[Given],
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<Option<AbsentModel>> {
    if built(card, config).is_some() {
        return Ok(None);
    }
    let is_whole = card.release.kind == ReleaseKind::Full;
    if !given.is_empty() || (!is_whole && card.to_rebuild().is_some()) {
        let (rule, card) = card.to_rebuild().ok_or_else(|| nothing_to_build(card))?;
        return of_parts(&card, rule, registry, given, config, global).map(Some);
    }
    if cached_model(card, config).is_some() {
        return Ok(None);
    }
    let mut model = outline(card, registry)?;
    if let Some(bring) = card.to_bring() {
        let need =
            Need::of_model(&card.id, card.release.kind.as_str(), &card.license, Ok(Default::default()));
        model.needs.push(Need { bytes: None, obstacle: Some(bring), ..need });
        return Ok(Some(model));
    }
    let found = outlook(card, config, &bar(global));
    let small = match &found {
        Ok(Outlook { small, .. }) => small.clone(),
        Err(_) => None,
    };
    let small = small.map_or_else(|| small_files(card, config), |small| Ok(Some(small)))?;
    if let Some(folder) = small {
        let path = folder.join("config.json");
        if path.is_file() {
            model.config = Some(hf::read(&path)?);
        }
        model.tokenizer = Some(folder).filter(|folder| has_tokenizer(folder));
    }
    let missing = found.map(|outlook| outlook.missing);
    if let Ok(Missing { license: Some(license), .. }) = &missing {
        model.card.license.clone_from(license);
    }
    if let Ok(missing) = &missing
        && let (true, Some(bytes), Some(config)) =
            (is_gguf(Path::new(&missing.name)), missing.bytes, &model.config)
    {
        model.stored = stored_in_gguf(bytes, config);
    }
    model.needs.push(Need::of_model(&card.id, "weights", &card.license, missing));
    Ok(Some(model))
}

/// A card that was made of a repository's name, with what the repository's own small files tell: those that are here, else as
/// the hub has them.
///
/// # Errors
/// A hub that does not have the repository, or does not give it to this user.
pub fn described(card: Card, config: &HubConfig, global: &Global) -> anyhow::Result<Card> {
    let folder = match small_files(&card, config)? {
        Some(folder) => Some(folder),
        None => match outlook(&card, config, &bar(global)) {
            Ok(found) => found.small,
            Err(error @ HubError::Offline { .. }) => {
                models::note(global, &format!("what the hub has of it is not known: {error}"));
                None
            }
            Err(error) => return Err(error.into()),
        },
    };
    let Some(folder) = folder else { return Ok(card) };
    let path = folder.join("config.json");
    let network = path.is_file().then(|| hf::read(&path)).transpose();
    if let Err(error) = &network {
        models::note(global, &format!("its shape is not known: {error}"));
    }
    Ok(card.described(network.ok().flatten().as_ref(), stated_license(&folder)))
}

/// What is not here of the parts that a model is built of; it is then absent even if all of them are here.
fn of_parts(
    card: &Card,
    rule: Rule,
    registry: &Registry,
    given: &[Given],
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<AbsentModel> {
    let mut model = AbsentModel { is_built: true, ..outline(card, registry)? };
    for PartState { card: part, word, path, can_be_fetched, bring } in
        part_states(card, rule, registry, given, config)?
    {
        let folder = match path {
            Some(path) => Some(path),
            None if can_be_fetched => {
                let found = outlook(part, config, &bar(global));
                let small = found.as_ref().ok().and_then(|outlook| outlook.small.clone());
                let missing = found.map(|outlook| outlook.missing);
                model.needs.push(Need::of_model(&part.id, word, &part.license, missing));
                small.map_or_else(|| small_files(part, config), |small| Ok(Some(small)))?
            }
            None => {
                let bring =
                    bring.unwrap_or_else(|| "it cannot be fetched, so you have to bring it".to_owned());
                let need = Need::of_model(&part.id, word, &part.license, Ok(Default::default()));
                model.needs.push(Need { bytes: None, obstacle: Some(bring), ..need });
                None
            }
        };
        // The released files have the tokenizer that the model was tuned with, where they have one.
        model.tokenizer = model.tokenizer.or_else(|| folder.filter(|folder| has_tokenizer(folder)));
    }
    Ok(model)
}

/// What the card tells.
fn outline(card: &Card, registry: &Registry) -> anyhow::Result<AbsentModel> {
    let record = registry.architecture_of(card);
    Ok(AbsentModel {
        asked: card.id.clone(),
        card: card.clone(),
        needs: Vec::new(),
        config: record.map(|record| record.config()).transpose()?,
        tokenizer: None,
        stored: if card.release.is_f32() { Dtype::F32 } else { Dtype::F16 },
        is_built: false,
    })
}

fn has_tokenizer(folder: &Path) -> bool {
    ["tokenizer.json", "tokenizer.model"].iter().any(|name| folder.join(name).is_file())
}

/// The paths of everything that a card's model is made of, fetched; what the user has to bring is said.
pub fn fetch_all(
    card: &Card,
    registry: &Registry,
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<Vec<PathBuf>> {
    let whole = card.release.kind == ReleaseKind::Full;
    let Some((rule, view)) = card.to_rebuild().filter(|_| !whole) else {
        return Ok(vec![fetch(card, config, global)?]);
    };
    let mut paths = Vec::new();
    for PartState { card: part, word, path, can_be_fetched, bring } in
        part_states(&view, rule, registry, &[], config)?
    {
        match path {
            Some(path) => {
                models::note(global, &format!("{} ({word}) is here already", part.id));
                paths.push(path);
            }
            None if can_be_fetched => paths.push(fetch(part, config, global)?),
            None => {
                let id = &card.id;
                let bring = bring.map_or_else(String::new, |bring| format!("; {bring}"));
                models::note(
                    global,
                    &format!(
                        "{id} is built with {} ({word}), which cannot be fetched: zoo eval {id} --from {}=PATH{bring}",
                        part.id, part.id
                    ),
                );
            }
        }
    }
    Ok(paths)
}

fn fetch(card: &Card, config: &HubConfig, global: &Global) -> anyhow::Result<PathBuf> {
    if cached_model(card, config).is_some() {
        models::note(global, &format!("{} is here already", card.id));
    }
    Ok(crate::hub::fetch_model(card, config, &bar(global))?)
}
