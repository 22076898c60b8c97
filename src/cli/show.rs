//! `zoo show`: all that is known about one model: where it comes from, how it was released and trained,
//! how it is spoken to, what it scored, and what is doubtful.

mod page;
mod prompt;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::format::formats;
use super::{Global, absent, models};
use crate::forms::{self, TokenizerSource};
use crate::hub::{HubConfig, cached_model, cached_source, refuse_changed};
use crate::registry::{Card, Registry, Source};
use crate::report::{Format, terminal_width};
use crate::tokenizer::Tokenizer;

use page::Page;

/// Show one model: lineage, release forms, prompt, published scores, doubts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo show vicuna-13b
  zoo show llama2-7b-chat --tokenizer ~/models/llama-2-7b-chat
  zoo show smollm2 --format json
  zoo show org/name@v1.0")]
pub struct Args {
    /// A registry id or alias, or org/name[@revision] of the hub: the card that is made of what the repository says
    model: String,
    /// How to print
    #[arg(long, default_value = "text", value_parser = formats([
        (Format::Text, "For reading"),
        (Format::Json, "The card as an object, with lineage and recipe"),
    ]))]
    format: Format,
    /// A model folder or .gguf file whose tokenizer encodes the prompt [default: the model's own, if it is on this
    /// machine]
    #[arg(long, value_name = "PATH")]
    tokenizer: Option<PathBuf>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let config = HubConfig::from_env();
    if let Err(error) = &config {
        models::note(global, &format!("whether the model is here is not known: {error}"));
    }
    let config = config.ok();
    let card = match (models::find_or_make(&registry, &args.model)?, &config) {
        (Cow::Owned(made), Some(config)) => Cow::Owned(absent::described(made, config, global)?),
        (card, _) => card,
    };
    let card = card.as_ref();
    let text = match args.format {
        Format::Text => {
            let place = |source: &Source| {
                let location = cached_source(card, source, config.as_ref()?)?;
                Some(location.display().to_string())
            };
            let tokenizer = match &args.tokenizer {
                Some(path) => Some(tokenizer_at(path)?),
                None => tokenizer_here(&registry, card, config.as_ref(), global),
            };
            let templates = models::prompts(global)?;
            let page = Page {
                registry: &registry,
                templates: &templates,
                tokenizer: tokenizer.as_ref(),
                place: &place,
                width: terminal_width(),
            }
            .text(card);
            // A folder that the user names, or the model's own where it is a folder.
            let cached = || cached_model(card, config.as_ref()?);
            let folder = args.tokenizer.clone().or_else(cached).filter(|path| path.is_dir());
            folder.as_deref().map_or(Ok(()), refuse_changed)?;
            let own = folder.map(|folder| prompt::own_template(card, &templates, &folder, terminal_width()));
            match own.filter(|text| !text.is_empty()) {
                Some(own) => format!("{page}\nThe checkpoint's prompt\n{own}"),
                None => page,
            }
        }
        _ => {
            let mut object = serde_json::to_value(card)?;
            let line: Vec<&str> = registry.lineage(card).iter().map(|card| card.id.as_str()).collect();
            object["lineage"] = line.into();
            object["to_bring"] = card.to_bring().into();
            object["recipe_in_full"] = serde_json::to_value(registry.recipe_of(card))?;
            format!("{}\n", serde_json::to_string_pretty(&object)?)
        }
    };
    models::deliver(&text, None)
}

/// The tokenizer of a model folder or `.gguf` file that the user names.
fn tokenizer_at(path: &Path) -> anyhow::Result<Tokenizer> {
    if path.is_dir() {
        return Ok(Tokenizer::from_folder(path)?);
    }
    let tokenizer = forms::open(path)?.tokenizer;
    anyhow::ensure!(
        matches!(tokenizer, TokenizerSource::Gguf(_)),
        "{}: expected a model folder or a .gguf file, found another file",
        path.display()
    );
    tokenizer.read().with_context(|| path.display().to_string())
}

/// The tokenizer of the model, or of another one with the same tokenizer record, if one is on this machine.
fn tokenizer_here(
    registry: &Registry,
    card: &Card,
    config: Option<&HubConfig>,
    global: &Global,
) -> Option<Tokenizer> {
    let config = config?;
    let same =
        |other: &&Card| card.tokenizer.is_some() && other.tokenizer == card.tokenizer && other.id != card.id;
    let candidates = std::iter::once(card).chain(registry.cards().iter().filter(same));
    for candidate in candidates {
        let Some(location) = cached_model(candidate, config) else { continue };
        let checked = refuse_changed(&location).map_err(anyhow::Error::from);
        match checked.and_then(|()| tokenizer_at(&location)) {
            Ok(tokenizer) => return Some(tokenizer),
            Err(error) => {
                models::note(global, &format!("the tokenizer of {} cannot be read: {error:#}", candidate.id))
            }
        }
    }
    None
}
