//! `zoo pull`: fetches models and the data of suites, so that later verbs need no network.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;

use super::exit::Usage;
use super::{Global, absent, bar, models};
use crate::hub::{HubConfig, cached_dataset, fetch_dataset};
use crate::registry::{Card, Registry};
use crate::tasks::data::{HubData, hub_data};
use crate::tasks::{Index, TaskError};

/// Fetch models and the data of suites.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo pull smollm2-135m
  zoo pull suite:mmlu
  zoo pull vicuna-13b mmlu hellaswag
  HF_TOKEN=hf_… zoo pull my-gated-model

The paths of what was fetched go to stdout. An interrupted transfer is resumed by the next call.
HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected; ZOO_HOME is the cache folder.")]
pub struct Args {
    /// Registry ids or aliases, and names of suites, tasks or tags; model: or suite: before a name says which it is
    #[arg(required = true, value_name = "NAME")]
    what: Vec<String>,
    /// A folder of your own suites, read beside the built-in ones
    #[arg(long, value_name = "DIR")]
    include_path: Vec<PathBuf>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing<'a> {
    Model(&'a str),
    Suite(&'a str),
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let (registry, index) = (models::registry(global)?, Index::load(&args.include_path)?);
    // All names are understood before the first thing is fetched.
    let things = args.what.iter().map(|name| thing(name, &registry, &index));
    let things: Vec<Thing<'_>> = things.collect::<Result<_, _>>()?;
    let config = HubConfig::from_env()?;
    let mut out = io::stdout().lock();
    let mut failures = Vec::new();
    // One thing that fails does not keep the others back; data comes first.
    let suites = things.iter().filter(|thing| matches!(thing, Thing::Suite(_)));
    let models = things.iter().filter(|thing| matches!(thing, Thing::Model(_)));
    for thing in suites.chain(models) {
        let paths = match thing {
            Thing::Suite(name) => suite(name, &index, &config, global)?,
            Thing::Model(name) => {
                let card = models::find_or_make(&registry, name)?;
                vec![absent::fetch_all(&card, &registry, &config, global)]
            }
        };
        for paths in paths {
            match paths {
                Ok(paths) => paths.iter().try_for_each(|path| writeln!(out, "{}", path.display()))?,
                Err(error) => failures.push(error),
            }
        }
        out.flush()?;
    }
    if failures.len() > 1 {
        let lines: String = failures.iter().map(|error| format!("\n  {error:#}")).collect();
        bail!("{} things could not be fetched:{lines}", failures.len());
    }
    failures.pop().map_or(Ok(()), Err)
}

/// What the user means by a name: a model or a suite, and not both.
fn thing<'a>(name: &'a str, registry: &Registry, index: &Index) -> anyhow::Result<Thing<'a>> {
    if let Some(suite) = name.strip_prefix("suite:") {
        return Ok(Thing::Suite(suite));
    }
    if let Some(model) = name.strip_prefix("model:") {
        return Ok(Thing::Model(model));
    }
    // A suite that cannot be read is one too: its error is said when it is fetched.
    let is_suite = !matches!(index.choose(&[name.to_owned()]), Err(TaskError::UnknownSuite { .. }));
    match (registry.card(name).is_some() || Card::of_hub(name).is_some(), is_suite) {
        (true, false) => Ok(Thing::Model(name)),
        (false, true) => Ok(Thing::Suite(name)),
        (true, true) => {
            let advice = "say which: zoo pull model:";
            bail!(Usage(format!("{name} is a model and a suite; {advice}{name} or zoo pull suite:{name}")))
        }
        (false, false) => {
            let error = registry.find(name).expect_err("no card has this name");
            bail!(Usage(format!("{error}; no suite is called so either (zoo suites)")))
        }
    }
}

/// Fetches the data of every task of a suite, each data set by itself.
fn suite(
    name: &str,
    index: &Index,
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<Vec<anyhow::Result<Vec<PathBuf>>>> {
    let suites = index.choose(&[name.to_owned()]).map_err(|error| match error {
        unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
        other => anyhow::Error::from(other),
    })?;
    let tasks: Vec<_> = suites.iter().flat_map(|suite| suite.tasks()).collect();
    let needed = hub_data(tasks.iter().map(AsRef::as_ref));
    if needed.is_empty() {
        models::note(global, &format!("{name} needs no data from a hub"));
    }
    let progress = bar(global);
    let fetch = |data: &HubData| {
        let configs = data.config_names();
        if configs.iter().all(|config_name| cached_dataset(&data.repo, *config_name, config).is_some()) {
            models::note(global, &format!("{} is here already", data.repo));
        }
        Ok(vec![fetch_dataset(&data.repo, &configs, config, &progress)?])
    };
    Ok(needed.iter().map(fetch).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_model_or_a_suite() {
        let (registry, index) = (Registry::load(None).unwrap(), Index::load(&[]).unwrap());
        let of = |name| thing(name, &registry, &index).map_err(|error| error.to_string());
        assert_eq!(of("vicuna-13b"), Ok(Thing::Model("vicuna-13b")));
        assert_eq!(of("mmlu"), Ok(Thing::Suite("mmlu")));
        assert_eq!(of("suite:mmlu"), Ok(Thing::Suite("mmlu")));
        assert_eq!(of("model:mmlu"), Ok(Thing::Model("mmlu")));
        let neither = of("mmmlu-13b").unwrap_err();
        assert!(neither.contains("no suite is called so") && neither.contains("mmmlu-13b"), "{neither}");
    }
}
