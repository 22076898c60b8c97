//! `zoo card check`: checks a new card before it goes into a folder.

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;

use super::{Global, models};
use crate::registry::{Card, Registry};
use crate::report::numbers::short_count;

/// Work on model cards.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(Check),
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
    let Verb::Check(Check { files }) = &args.verb;
    let own = models::own_folder(global);
    let registry = match Registry::check_files(files, own.as_deref()) {
        Ok(registry) => registry,
        Err(faults) => {
            for fault in &faults {
                let cause = std::error::Error::source(fault);
                eprintln!("{fault}{}", cause.map_or_else(String::new, |cause| format!(": {cause}")));
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
