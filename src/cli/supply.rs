//! What `zoo eval` and `zoo plan` give to a run: the models that a command line names, and the hub.

use std::cell::OnceCell;
use std::path::PathBuf;

use anyhow::bail;

use super::build::{Given, given_for};
use super::exit::{Usage, run_error};
use super::flags::{ModelSources, TaskFolders};
use super::{Global, absent, bar, models, source};
use crate::base::shell::quoted;
use crate::base::stop::Stop;
use crate::hub::{HubConfig, HubError};
use crate::registry::{Card, Registry};
use crate::run::{AbsentModel, LocatedModel, RunError, World};

/// Where models come from.
pub struct Supply<'a> {
    /// All models of the command line.
    pub models: &'a [String],
    /// Where they come from.
    pub sources: &'a ModelSources,
    /// Where its task files are.
    pub tasks: &'a TaskFolders,
    /// Whether the work is to end early.
    pub stop: &'a Stop,
    /// Flags of every verb.
    pub global: &'a Global,
}

impl Supply<'_> {
    /// Does some work in the world as it is supplied.
    ///
    /// # Errors
    /// Those of the work, and settings that cannot be used.
    pub fn with<T>(&self, work: impl FnOnce(&World<'_>) -> Result<T, RunError>) -> anyhow::Result<T> {
        self.check()?;
        let known = OnceCell::new();
        let hub = || self.hub(&known);
        let progress = bar(self.global);
        let find = |name: &str| self.find(name, &known).map_err(run_error);
        let tokenizer = |name: &str| self.tokenizer(name, &known).map_err(run_error);
        let look = |name: &str| self.look(name, &known).map_err(run_error);
        let say = |text: &str| models::note(self.global, text);
        let world = World {
            find: &find,
            tokenizer: &tokenizer,
            look: &look,
            hub: &hub,
            say: &say,
            flags: self.flags(),
            progress: &progress,
            stop: self.stop,
        };
        Ok(work(&world)?)
    }

    /// The hub and the cache as the environment and `--offline` say, looked up once.
    fn hub<'h>(&self, known: &'h OnceCell<HubConfig>) -> Result<&'h HubConfig, HubError> {
        if let Some(hub) = known.get() {
            return Ok(hub);
        }
        let mut hub = HubConfig::from_env()?;
        hub.offline |= self.sources.offline;
        Ok(known.get_or_init(|| hub))
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.sources.weights.is_some() && self.models.len() > 1 {
            bail!(Usage("--weights goes with a single model".to_owned()));
        }
        if !self.sources.from.is_empty() {
            self.refuse_unused_parts(&models::registry(self.global)?)?;
        }
        Ok(())
    }

    /// Resolves `name`: an existing path, or a model of the registry, which is fetched or built if need be.
    fn find(&self, name: &str, hub: &OnceCell<HubConfig>) -> anyhow::Result<LocatedModel> {
        source::find_with(name, self.global, |card, registry| match &self.sources.weights {
            Some(path) => Ok(path.clone()),
            None => source::locate(card, registry, &self.given(card, registry)?, self.hub(hub)?, self.global),
        })
    }

    /// Finds the tokenizer of `name`: of an existing path, or of a model of the registry, of which nothing large is fetched.
    fn tokenizer(&self, name: &str, hub: &OnceCell<HubConfig>) -> anyhow::Result<LocatedModel> {
        if source::existing_path(name)?.is_some() {
            return source::find(name, self.global);
        }
        let absent = absent::look(name, |_, _| Ok(Vec::new()), self.hub(hub)?, self.global)?;
        let Some(AbsentModel { card, tokenizer, .. }) = absent else {
            return source::find(name, self.global);
        };
        match tokenizer {
            Some(path) => Ok(LocatedModel { name: card.id.clone(), card: Some(card), path }),
            None => bail!(Usage(format!(
                "{name}: its tokenizer is not on this machine and cannot be fetched; name a folder that has tokenizer.json or \
                 tokenizer.model"
            ))),
        }
    }

    /// What of `name` is not on this machine.
    fn look(&self, name: &str, hub: &OnceCell<HubConfig>) -> anyhow::Result<Option<AbsentModel>> {
        if self.sources.weights.is_some() || source::existing_path(name)?.is_some() {
            return Ok(None);
        }
        absent::look(name, |card, registry| self.given(card, registry), self.hub(hub)?, self.global)
    }

    /// The parts that are meant for one of the models. A stray part is refused by name where it can only be meant for this one.
    fn given(&self, card: &Card, registry: &Registry) -> anyhow::Result<Vec<Given>> {
        let (models, ModelSources { from, .. }) = (self.models, self.sources);
        if models.len() > 1 { given_for(card, registry, from) } else { Ok(from.clone()) }
    }

    /// Refuses a `--from` that is part of none of the models.
    fn refuse_unused_parts(&self, registry: &Registry) -> anyhow::Result<()> {
        let (models, ModelSources { from, .. }) = (self.models, self.sources);
        let cards: Vec<&Card> = models.iter().filter_map(|name| registry.find(name).ok()).collect();
        let used: Vec<Vec<Given>> =
            cards.iter().map(|card| given_for(card, registry, from)).collect::<Result<_, _>>()?;
        match from.iter().find(|given| !used.iter().any(|used| used.contains(given))) {
            Some(Given { name, .. }) => {
                let models = models.join(", ");
                bail!(Usage(format!("--from {name}=…: nothing that {models} is built from is called {name}")))
            }
            None => Ok(()),
        }
    }

    /// What `zoo pull` has to be told to know the same models and suites.
    fn flags(&self) -> String {
        let flag = |name: &str, path: &PathBuf| format!(" {name} {}", quoted(&path.display().to_string()));
        let zoo_dir = self.global.zoo_dir.iter().map(|path| flag("--zoo-dir", path));
        zoo_dir.chain(self.tasks.include_path.iter().map(|path| flag("--include-path", path))).collect()
    }
}
