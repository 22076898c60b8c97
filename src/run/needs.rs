//! What a run needs that is not on this machine, found out and said before anything large is fetched.

use rayon::prelude::*;

use super::absent::AbsentModel;
use super::error::Cause;
use super::need::{Need, NeedKind, known_bytes, listed, needs_table, total};
use super::variants::Asked;
use super::{Options, RunError, World};
use crate::base::machine::free_bytes;
use crate::base::shell::quoted;
use crate::hub::{HubConfig, cached_dataset, fetch_dataset, missing_of_dataset};
use crate::records::MissingData;
use crate::remote::Address;
use crate::report::message_width;
use crate::report::numbers::short_bytes;
use crate::tasks::data::{HubData, hub_data};
use crate::tasks::{DataStore, Task, TaskError};

/// Everything that is not here.
#[derive(Debug, Default)]
pub struct Needs {
    /// Data first, then models.
    pub all: Vec<Need>,
    /// What `all` begins with, to be fetched.
    data: Vec<HubData>,
    /// Tasks whose data no hub has.
    helpless: Vec<MissingData>,
    /// Where the first data that is missing was looked for.
    searched: Vec<String>,
    /// The models that are not here.
    pub absent: Vec<AbsentModel>,
}

impl Needs {
    /// What these tasks and models need. Nothing large is fetched; without a network sizes are not known, and where all is here
    /// no hub is asked for.
    ///
    /// # Errors
    /// Names that nobody knows, and files that cannot be used.
    pub fn find(asked: &[Asked], options: &Options, world: &World<'_>) -> Result<Self, RunError> {
        let here = options.models.iter().filter(|name| !Address::is_one(name));
        let looked = here.map(|name| (world.look)(name));
        let absent = looked.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        let mut needs = Self { absent, ..Self::default() };
        needs.find_data(asked, options, world)?;
        for need in needs.absent.iter().flat_map(|model| &model.needs) {
            // Two models may be made of the same base.
            if !needs.all.contains(need) {
                needs.all.push(need.clone());
            }
        }
        Ok(needs)
    }

    fn find_data(&mut self, asked: &[Asked], options: &Options, world: &World<'_>) -> Result<(), RunError> {
        let store = DataStore::from_env(options.places.data_dir.as_deref());
        let mut missing: Vec<(&Task, String)> = Vec::new();
        for task in asked.iter().flat_map(|asked| &asked.tasks) {
            if let Some(why) = store.missing(task, options.num_fewshot)? {
                missing.push((task, why.to_string()));
                if let (true, TaskError::MissingData { searched, .. }) = (self.searched.is_empty(), why) {
                    self.searched = searched;
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let hub = (world.hub)()?;
        // What was fetched and is not there all the same is not there for anyone.
        let is_cached = |data: &HubData| {
            data.config_names().iter().all(|config| cached_dataset(&data.repo, *config, hub).is_some())
        };
        self.data = hub_data(missing.iter().map(|(task, _)| *task));
        self.data.retain(|data| !is_cached(data));
        for (task, why) in missing {
            let fetched = self.data.iter().any(|data| data.tasks.contains(&task.name));
            if !fetched && self.helpless.iter().all(|known| known.task != task.name) {
                self.helpless.push(MissingData { task: task.name.clone(), why });
            }
        }
        let of_data = |data: &HubData| {
            Need::of_data(data).with(missing_of_dataset(&data.repo, &data.config_names(), hub))
        };
        self.all = self.data.par_iter().map(of_data).collect();
        Ok(())
    }

    /// Refuses what cannot become a run, says what is missing, and fetches the data. Models come when they are opened.
    /// What cannot be had is left out, if that is wanted.
    ///
    /// # Errors
    /// What is missing and may not or cannot be fetched; too little room or memory.
    pub fn meet(&self, options: &Options, world: &World<'_>) -> Result<Vec<MissingData>, RunError> {
        let skip = options.places.skip_missing_data;
        if self.all.is_empty() && self.absent.is_empty() {
            return self.without_data(skip);
        }
        let hub = (world.hub)()?;
        let (data, models) = self.all.split_at(self.data.len());
        // Without a network nobody knows of obstacles but those that no network removes.
        let own = models.iter().chain(data.iter().filter(|_| !skip));
        let obstacles: Vec<(&Need, &str)> =
            own.filter_map(|need| Some((need, need.obstacle.as_deref()?))).collect();
        if !obstacles.is_empty() {
            return Err(self.refused(&obstacles));
        }
        if hub.offline && (!models.is_empty() || (!data.is_empty() && !skip)) {
            return Err(self.offline(options, world));
        }
        let left = self.without_data(skip)?;
        self.check_room(hub)?;
        self.absent.iter().try_for_each(|model| model.check_memory(&options.computing))?;
        if !hub.offline && !self.all.is_empty() {
            (world.say)(&self.said(hub));
        }
        Ok([left, self.fetch_data(skip, hub, world)?].concat())
    }

    /// The tasks that cannot be prepared, whatever is fetched.
    ///
    /// # Errors
    /// There are some, and they may not be left out.
    pub fn without_data(&self, skip: bool) -> Result<Vec<MissingData>, RunError> {
        let [first, more @ ..] = &self.helpless[..] else { return Ok(Vec::new()) };
        if skip {
            return Ok(self.helpless.clone());
        }
        let more = match more.len() {
            0 => String::new(),
            more => format!("\nand {more} more tasks without data"),
        };
        Err(RunError::room(format!("{}{more}", first.why)))
    }

    /// In a line: what of the data is fetched to count its tokens.
    pub fn said_of_data(&self, hub: &HubConfig) -> String {
        let (data, _) = self.all.split_at(self.data.len());
        let fetched: Vec<Need> = data.iter().filter(|need| need.obstacle.is_none()).cloned().collect();
        let names: Vec<String> = fetched.iter().map(Need::with_licence).collect();
        let (size, home) = (total(&fetched), hub.home.display());
        format!("fetching data to count its tokens, {size} into {home}: {}", names.join(", "))
    }

    /// Fetches the data. Gives the tasks whose data cannot be had, if these may be left out.
    ///
    /// # Errors
    /// The first data set that cannot be had, if it may not be left out.
    pub fn fetch_data(
        &self,
        skip: bool,
        hub: &HubConfig,
        world: &World<'_>,
    ) -> Result<Vec<MissingData>, RunError> {
        let mut left = Vec::new();
        for (data, need) in self.data.iter().zip(&self.all) {
            let refused: Cause = if hub.offline {
                format!("data set {} is not on this machine, and fetching is forbidden", data.repo).into()
            } else if let Some(obstacle) = &need.obstacle {
                obstacle.clone().into()
            } else {
                match fetch_dataset(&data.repo, &data.config_names(), hub, world.progress) {
                    Ok(_) => continue,
                    Err(error) => error.into(),
                }
            };
            if !skip {
                let doing = format!("cannot fetch the data of {}", listed(&data.tasks));
                return Err(RunError::During { doing, source: refused });
            }
            let why = refused.to_string();
            left.extend(data.tasks.iter().map(|task| MissingData { task: task.clone(), why: why.clone() }));
        }
        Ok(left)
    }

    /// What is missing and where it goes.
    fn said(&self, hub: &HubConfig) -> String {
        let home = &hub.home;
        let free =
            free_bytes(home).map_or_else(String::new, |free| format!(", {} free there", short_bytes(free)));
        let all = total(&self.all);
        let table = needs_table(&self.all).text(message_width());
        format!(
            "not on this machine, and fetched now into {} ({all}{free}):\n{}",
            home.display(),
            table.trim_end()
        )
    }

    fn offline(&self, options: &Options, world: &World<'_>) -> RunError {
        let table = needs_table(&self.all).text(message_width());
        let is_needed =
            |name: &&String| self.absent.iter().any(|model| model.asked == **name && !model.needs.is_empty());
        let models: Vec<&str> = options.models.iter().filter(is_needed).map(String::as_str).collect();
        let suites: &[String] = if self.data.is_empty() { &[] } else { &options.suite };
        let command = pull_command(&models, suites, world);
        let searched = match self.searched.as_slice() {
            [] => String::new(),
            places => format!(
                "\ndata was looked for in (--data-dir names another folder):\n  {}",
                places.join("\n  ")
            ),
        };
        let advice = self.advice();
        let error = if advice.is_empty() { RunError::room } else { RunError::Usage };
        error(format!(
            "not on this machine, and --offline (or HF_HUB_OFFLINE) forbids fetching it:\n{}{searched}\nwith a network, this \
             fetches all of it: {command}{advice}",
            table.trim_end()
        ))
    }

    fn refused(&self, obstacles: &[(&Need, &str)]) -> RunError {
        let line = |(need, why): &(&Need, &str)| format!("\n  {} ({}): {why}", need.name, need.what);
        let lines: String = obstacles.iter().map(line).collect();
        let others = match self.all.iter().filter(|need| need.obstacle.is_none()).count() {
            0 => String::new(),
            others => format!("\nThe other {others} of what is missing would be fetched."),
        };
        let data = obstacles.iter().any(|(need, _)| need.kind == NeedKind::Data);
        let skip = if data { "\n--skip-missing-data goes on without that data." } else { "" };
        let advice = self.advice();
        RunError::Usage(format!(
            "nothing was fetched, since this cannot be had:{lines}{others}{skip}{advice}"
        ))
    }

    /// How to name the parts of models that have to be built, in lines.
    fn advice(&self) -> String {
        self.absent.iter().filter_map(AbsentModel::advice).map(|advice| format!("\n{advice}")).collect()
    }

    /// Whether the model that a name means is not here.
    pub fn lacks(&self, name: &str) -> bool {
        self.absent.iter().any(|model| model.asked == name)
    }

    /// Refuses what does not fit on the disk of the cache: all files together, and what is built of them.
    fn check_room(&self, hub: &HubConfig) -> Result<(), RunError> {
        let fetched = known_bytes(self.all.iter().map(|need| need.bytes));
        let built = known_bytes(self.absent.iter().map(AbsentModel::built_bytes));
        let home = &hub.home;
        let Some(free) = free_bytes(home) else { return Ok(()) };
        if fetched.saturating_add(built) <= free {
            return Ok(());
        }
        let built = match built {
            0 => String::new(),
            built => format!(" and {} built of them", short_bytes(built)),
        };
        Err(RunError::room(format!(
            "{} of files{built} have to go to {}, and {} are free there; make room, or set ZOO_HOME to another disk\n{}",
            short_bytes(fetched),
            home.display(),
            short_bytes(free),
            needs_table(&self.all).text(message_width()).trim_end()
        )))
    }
}

/// The command that fetches these models and the data of these suites.
pub fn pull_command(models: &[&str], suites: &[String], world: &World<'_>) -> String {
    let suites = suites.iter().map(|suite| quoted(&format!("suite:{suite}")));
    let names: Vec<String> = models.iter().map(|name| quoted(name)).chain(suites).collect();
    format!("zoo pull {}{}", names.join(" "), world.flags)
}
