//! `zoo pull`: fetches a model or a suite's data, so that later verbs need no network.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;

use super::exit::Usage;
use super::{Global, bar, models};
use crate::hub::{HubConfig, cached_dataset, cached_model, fetch_dataset, fetch_model};
use crate::tasks::{Index, Task, TaskError, embedded};

/// Fetch a model or a suite's data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo pull smollm2-135m
  zoo pull suite:mmlu
  HF_TOKEN=hf_… zoo pull my-gated-model

The path of what was fetched goes to stdout. An interrupted transfer is resumed by the next call.
HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected; ZOO_HOME is the cache folder.")]
pub struct Args {
    /// A registry id or alias, or suite: and the name of a suite, task or tag
    #[arg(value_name = "MODEL|suite:NAME")]
    what: String,
    /// A folder of your own suites, read beside the built-in ones
    #[arg(long, value_name = "DIR")]
    include_path: Vec<PathBuf>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    match args.what.strip_prefix("suite:") {
        Some(name) => suite(name, args, global),
        None => model(&args.what, global),
    }
}

fn model(name: &str, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let card = models::find(&registry, name)?;
    let config = HubConfig::from_env()?;
    if cached_model(card, &config).is_some() {
        models::note(global, &format!("{} is here already", card.id));
    }
    let location = fetch_model(card, &config, &bar(global))?;
    models::deliver(&format!("{}\n", location.display()), None)
}

/// Fetches the data of every task of a suite; one data set that fails does not keep the others back.
fn suite(name: &str, args: &Args, global: &Global) -> anyhow::Result<()> {
    let index = Index::load(&args.include_path)?;
    let suite = index.resolve(name).map_err(|error| match error {
        unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
        other => anyhow::Error::from(other),
    })?;
    let tasks = suite.tasks();
    let needed = data_sets(tasks.iter().map(AsRef::as_ref));
    if needed.is_empty() {
        models::note(global, &format!("{name} needs no data from a hub"));
    }
    let config = HubConfig::from_env()?;
    let progress = bar(global);
    let mut failures = Vec::new();
    let mut out = io::stdout().lock();
    for (repo, configs) in &needed {
        if configs.iter().all(|config_name| cached_dataset(repo, *config_name, &config).is_some()) {
            models::note(global, &format!("{repo} is here already"));
        }
        match fetch_dataset(repo, configs, &config, &progress) {
            Ok(folder) => writeln!(out, "{}", folder.display())?,
            Err(error) => failures.push(anyhow::Error::from(error)),
        }
    }
    out.flush()?;
    if failures.len() > 1 {
        let lines: String = failures.iter().map(|error| format!("\n  {error:#}")).collect();
        bail!("{} of {} data sets could not be fetched:{lines}", failures.len(), needed.len());
    }
    failures.pop().map_or(Ok(()), Err)
}

/// The hub's data sets that tasks need, each with its configurations; those in the binary and files of
/// the user's own are not among them.
fn data_sets<'t>(tasks: impl Iterator<Item = &'t Task>) -> BTreeMap<&'t str, Vec<Option<&'t str>>> {
    let mut needed: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for task in tasks {
        let Some(path) = task.config.dataset_path.as_deref() else { continue };
        let own = ["json", "csv", "parquet"].contains(&path) || path.starts_with(['.', '/']);
        if own || is_embedded(path) {
            continue;
        }
        let configs = needed.entry(path).or_default();
        let config_name = task.config.dataset_name.as_deref();
        if !configs.contains(&config_name) {
            configs.push(config_name);
        }
    }
    needed
}

fn is_embedded(path: &str) -> bool {
    let folder = format!("data/{path}/");
    embedded::files().iter().any(|(file, _)| file.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_needs_each_configuration_once() {
        let index = Index::load(&[]).unwrap();
        let mmlu = index.resolve("mmlu").unwrap().tasks();
        let needed = data_sets(mmlu.iter().chain(&mmlu).map(AsRef::as_ref));
        assert_eq!(needed.keys().copied().collect::<Vec<_>>(), ["cais/mmlu"]);
        assert_eq!(needed["cais/mmlu"].len(), 57);
        assert!(needed["cais/mmlu"].contains(&Some("anatomy")));
    }

    #[test]
    fn embedded_data_is_not_fetched() {
        let index = Index::load(&[]).unwrap();
        let basics = index.resolve("basics").unwrap().tasks();
        assert!(!basics.is_empty());
        assert_eq!(data_sets(basics.iter().map(AsRef::as_ref)), BTreeMap::new());
    }
}
