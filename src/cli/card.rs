//! `zoo card`: writes a first card for a model, and checks cards before they go into a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;

use super::exit::Usage;
use super::{Global, models, screen};
use crate::registry::{Card, Draft, Registry};
use crate::report::numbers::short_count;
use crate::run::name_of;
use crate::{forms, hub};

/// Work on model cards.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(Check),
    New(New),
}

/// Write a first card for a model on the disk, from its configuration.
///
/// What the files do not tell, prompt and recipe above all, can be added by hand. The licence is that of the folder's
/// own README.md, if that states one. The tokenizer is named where its files or its tokens prove which of the registry's
/// it is (zoo/tokenizers).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo card new ./my-model
  zoo card new ./my-model --base llama-2-7b --out my-zoo/my-model.yaml")]
struct New {
    /// The model: a folder or a file of weights
    #[arg(value_name = "PATH")]
    model: PathBuf,
    /// The model that it was trained from: a registry id or alias
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Check cards, architectures, tokenizers and recipes of your own.
///
/// Each file is checked by itself and against all others: names, ancestors, shapes, vocabularies. A file
/// stands in for the built-in one of the same name. Files in folders named architectures,
/// tokenizers or recipes are records, others are cards.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo card check my-model.yaml
  zoo card check my-zoo/*.yaml my-zoo/tokenizers/*.yaml

Exit code 0 if all files are right, 1 if one is not.")]
struct Check {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Check(Check { files }) => check(files, global),
        Verb::New(new) => write_new(new, global),
    }
}

fn write_new(new: &New, global: &Global) -> anyhow::Result<()> {
    let New { model, base, out } = new;
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        bail!(Usage(format!("{}: there is a file already; name another one", out.display())));
    }
    let registry = models::registry(global)?;
    let base = base.as_deref().map(|name| models::find(&registry, name)).transpose()?;
    let place = hub::snapshot(model)?.unwrap_or_else(|| model.clone());
    hub::refuse_changed(&place)?;
    let opened = forms::open(&place)?;
    let config = opened.config()?;
    let path = place.canonicalize().with_context(|| format!("cannot read {}", place.display()))?;
    let path = path.to_str().with_context(|| format!("{}: expected a path that is text", path.display()))?;
    let tokenizer = match opened.tokenizer.read() {
        Ok(tokenizer) => registry.tokenizer_like(&tokenizer, opened.tokenizer.folder()),
        Err(error) => {
            models::note(global, &format!("the card names no tokenizer: {error}"));
            None
        }
    };
    let license = hub::stated_license(Path::new(path));
    let name = name_of(&place);
    let draft = Draft { name: &name, path, config: &config, tokenizer, base, license: license.as_deref() };
    models::deliver(&draft.yaml(&registry)?, out.as_deref())
}

fn check(files: &[PathBuf], global: &Global) -> anyhow::Result<()> {
    let own = models::own_folder(global);
    let registry = match Registry::check_files(files, own.as_deref()) {
        Ok(registry) => registry,
        Err(faults) => {
            for fault in &faults {
                let cause = std::error::Error::source(fault);
                screen::say(&format!(
                    "{fault}{}",
                    cause.map_or_else(String::new, |cause| format!(": {cause}"))
                ));
            }
            bail!("{} in {}", count(faults.len(), "fault"), count(files.len(), "file"));
        }
    };
    let line = |file: &PathBuf| {
        let name = file.display().to_string();
        match registry.cards().iter().find(|card| card.origin.file == name) {
            Some(card) => format!("{name}: card {}\n", summary(card)),
            None => format!("{name}: record\n"),
        }
    };
    models::deliver(&(files.iter().map(line).collect::<String>() + "all right\n"), None)
}

/// `1 fault`, `2 faults`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What stands after the checks, so that a slip in a number is seen.
fn summary(card: &Card) -> String {
    let mut facts = vec![card.id.clone()];
    facts.extend(card.parameters.map(|n| format!("{} parameters", short_count(n))));
    facts.extend(card.context.map(|n| format!("context {n}")));
    facts.push(format!("release {}", card.release.kind.as_str()));
    facts.extend(card.base.as_ref().map(|base| format!("from {base}")));
    facts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_what_was_filled_in() {
        let registry = Registry::load(None).unwrap();
        let card = registry.find("vicuna-7b").unwrap();
        assert_eq!(
            summary(card),
            "vicuna-7b-v1.5, 6.74B parameters, context 4096, release full, from llama-2-7b"
        );
    }
}
