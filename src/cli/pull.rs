//! `zoo pull`: fetches models and the data of suites, so that later verbs need no network.

use std::path::PathBuf;

use anyhow::bail;

use super::exit::Usage;
use super::flags::TaskFolders;
use super::interrupted::{kept_in_cache, listen_for_again};
use super::{Global, absent, bar, models, screen};
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
    /// Registry ids or aliases, org/name[@revision] of the hub, and names of suites, tasks or tags; model: or suite: before a
    /// name says which it is
    #[arg(required = true, value_name = "NAME")]
    what: Vec<String>,
    #[command(flatten)]
    tasks: TaskFolders,
}

/// What a name means.
enum Thing<'a> {
    Model(Box<Card>),
    /// The name, and what its tasks need.
    Suite(&'a str, Vec<HubData>),
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let (registry, index) = (models::registry(global)?, Index::load(&args.tasks.include_path)?);
    // All names are understood before the first thing is fetched.
    let things = args.what.iter().map(|name| thing(name, &registry, &index));
    let things: Vec<Thing<'_>> = things.collect::<Result<_, _>>()?;
    let config = HubConfig::from_env()?;
    let kept = kept_in_cache(&config);
    listen_for_again(move || kept.clone())?;
    let mut failures = Vec::new();
    // One thing that fails does not keep the others back; data comes first.
    let (suites, models): (Vec<Thing<'_>>, _) =
        things.into_iter().partition(|thing| matches!(thing, Thing::Suite(..)));
    for thing in suites.into_iter().chain(models) {
        let paths = match thing {
            Thing::Suite(name, needed) => fetch_data(name, &needed, &config, global),
            Thing::Model(card) => vec![absent::fetch_all(&card, &registry, &config, global)],
        };
        for paths in paths {
            match paths {
                Ok(paths) => {
                    paths.iter().try_for_each(|path| screen::print(&format!("{}\n", path.display())))?
                }
                Err(error) => failures.push(error),
            }
        }
    }
    if failures.len() > 1 {
        let lines: String = failures.iter().map(|error| format!("\n  {error:#}")).collect();
        bail!("{} things could not be fetched:{lines}", failures.len());
    }
    failures.pop().map_or(Ok(()), Err)
}

/// What the user means by a name: a model or a suite, and not both.
fn thing<'a>(name: &'a str, registry: &Registry, index: &Index) -> anyhow::Result<Thing<'a>> {
    if let Some(name) = name.strip_prefix("suite:") {
        return suite(name, index);
    }
    if let Some(name) = name.strip_prefix("model:") {
        return model(name, registry);
    }
    let is_model = registry.card(name).is_some() || Card::of_hub(name).is_some();
    // A suite that cannot be read is one too, and its error is said.
    let is_suite = !matches!(index.choose(&[name.to_owned()]), Err(TaskError::UnknownSuite { .. }));
    match (is_model, is_suite) {
        (true, false) => model(name, registry),
        (false, true) => suite(name, index),
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

fn model<'a>(name: &str, registry: &Registry) -> anyhow::Result<Thing<'a>> {
    Ok(Thing::Model(Box::new(models::find_or_make(registry, name)?.into_owned())))
}

/// A suite, and what its tasks need.
fn suite<'a>(name: &'a str, index: &Index) -> anyhow::Result<Thing<'a>> {
    let suites = index.choose(&[name.to_owned()]).map_err(|error| match error {
        unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
        other => anyhow::Error::from(other),
    })?;
    let tasks: Vec<_> = suites.iter().flat_map(|suite| suite.tasks()).collect();
    Ok(Thing::Suite(name, hub_data(tasks.iter().map(AsRef::as_ref))))
}

/// Fetches what the tasks of a suite need, each data set by itself.
fn fetch_data(
    name: &str,
    needed: &[HubData],
    config: &HubConfig,
    global: &Global,
) -> Vec<anyhow::Result<Vec<PathBuf>>> {
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
    needed.iter().map(fetch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_model_or_a_suite() {
        let (registry, index) = (Registry::load(None).unwrap(), Index::load(&[]).unwrap());
        let of = |name: &str| match thing(name, &registry, &index) {
            Ok(Thing::Model(card)) => Ok(format!("model {}", card.id)),
            Ok(Thing::Suite(name, needed)) => Ok(format!("suite {name}, {}", needed[0].repo)),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(of("vicuna-13b").unwrap(), "model vicuna-13b-v1.5");
        assert_eq!(of("Org/Name@v2").unwrap(), "model org--name");
        assert_eq!(of("mmlu").unwrap(), "suite mmlu, cais/mmlu");
        assert_eq!(of("suite:mmlu").unwrap(), "suite mmlu, cais/mmlu");
        // Before anything of other names is fetched.
        assert!(of("model:mmlu").is_err() && of("suite:vicuna-13b").is_err());
        let neither = of("mmmlu-13b").unwrap_err();
        assert!(neither.contains("no suite is called so") && neither.contains("mmmlu-13b"), "{neither}");
    }
}
