//! A model of the registry that is not on this machine: what of it is missing, and what its small files tell.

use std::path::{Path, PathBuf};

use super::build::{Given, PartState, built, nothing_to_build, part_states};
use super::{Global, bar, models};
use crate::config::{ModelConfig, hf};
use crate::hub::{HubConfig, Outlook, cached_model, outlook, small_files};
use crate::registry::{Card, Registry, ReleaseKind, Rule};
use crate::run::{AbsentModel, Need};
use crate::weights::{Dtype, is_gguf};

/// Bytes for each parameter up to which a GGUF file counts as one of 4 and of 8 bits.
const FOUR_BITS: f64 = 0.75;
const EIGHT_BITS: f64 = 1.25;

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
    if let Some(folder) = small.or_else(|| small_files(card, config)) {
        let path = folder.join("config.json");
        if path.is_file() {
            model.config = Some(hf::read(&path)?);
        }
        model.tokenizer = Some(folder).filter(|folder| has_tokenizer(folder));
    }
    let missing = found.map(|outlook| outlook.missing);
    if let Ok(missing) = &missing
        && let (true, Some(bytes), Some(config)) =
            (is_gguf(Path::new(&missing.name)), missing.bytes, &model.config)
    {
        model.stored = gguf_type(bytes, config);
    }
    model.needs.push(Need::of_model(&card.id, "weights", &card.license, missing));
    Ok(Some(model))
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
    for PartState { card: part, word, path, can_be_fetched } in
        part_states(card, rule, registry, given, config)?
    {
        let folder = match path {
            Some(path) => Some(path),
            None if can_be_fetched => {
                let found = outlook(part, config, &bar(global));
                let small = found.as_ref().ok().and_then(|outlook| outlook.small.clone());
                let missing = found.map(|outlook| outlook.missing);
                model.needs.push(Need::of_model(&part.id, word, &part.license, missing));
                small.or_else(|| small_files(part, config))
            }
            None => {
                let bring = "it cannot be fetched, so you have to bring it".to_owned();
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
    let is_wide = matches!(card.release.dtype.as_deref(), Some("fp32" | "f32" | "float32"));
    Ok(AbsentModel {
        asked: card.id.clone(),
        card: card.clone(),
        needs: Vec::new(),
        config: record.map(|record| record.config()).transpose()?,
        tokenizer: None,
        stored: if is_wide { Dtype::F32 } else { Dtype::F16 },
        is_built: false,
    })
}

fn has_tokenizer(folder: &Path) -> bool {
    ["tokenizer.json", "tokenizer.model"].iter().any(|name| folder.join(name).is_file())
}

/// The type of most weights of a GGUF file of so many bytes.
fn gguf_type(bytes: u64, config: &ModelConfig) -> Dtype {
    match bytes as f64 / config.parameters().max(1) as f64 {
        each if each <= FOUR_BITS => Dtype::Q4_0,
        each if each <= EIGHT_BITS => Dtype::Q8_0,
        _ => Dtype::F16,
    }
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
    for PartState { card: part, word, path, can_be_fetched } in
        part_states(&view, rule, registry, &[], config)?
    {
        match path {
            Some(path) => {
                models::note(global, &format!("{} ({word}) is here already", part.id));
                paths.push(path);
            }
            None if can_be_fetched => paths.push(fetch(part, config, global)?),
            None => models::note(
                global,
                &format!(
                    "{} is built with {} ({word}), which cannot be fetched: zoo eval {} --from {}=PATH",
                    card.id, part.id, card.id, part.id
                ),
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantised_files_are_told_by_their_size() {
        let config = ModelConfig::from(crate::config::LlamaConfig::SMOLLM2_135M);
        let parameters = config.parameters();
        assert_eq!(gguf_type(98_362_432, &config), Dtype::Q4_0);
        assert_eq!(gguf_type(parameters * 34 / 32, &config), Dtype::Q8_0);
        assert_eq!(gguf_type(parameters * 2, &config), Dtype::F16);
    }
}
