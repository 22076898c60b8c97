//! What a run needs that is not on this machine, found out and said before anything large is fetched.

use rayon::prelude::*;

use super::absent::AbsentModel;
use super::need::{Need, NeedKind, WithoutData, listed, needs_table, total};
use super::variants::Asked;
use super::{Options, RunError, World};
use crate::base::machine::free_bytes;
use crate::hub::{HubError, cached_dataset, fetch_dataset, missing_of_dataset};
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
    /// Tasks whose data no hub has, and why.
    helpless: Vec<(String, String)>,
    /// Where the first data that is missing was looked for.
    searched: Vec<String>,
    /// The models that are not here.
    pub absent: Vec<AbsentModel>,
}

impl Needs {
    /// What these tasks and models need. Nothing large is fetched; without a network sizes are not known.
    ///
    /// # Errors
    /// Names that nobody knows, and files that cannot be used.
    pub fn find(asked: &[Asked], options: &Options, world: &World<'_>) -> Result<Self, RunError> {
        let mut absent = Vec::new();
        for name in &options.models {
            if let Some(model) = (world.look)(name)? {
                absent.push(model);
            }
        }
        let store = DataStore::from_env(options.places.data_dir.as_deref());
        let mut missing: Vec<(&Task, String)> = Vec::new();
        let mut searched = Vec::new();
        for task in asked.iter().flat_map(|asked| &asked.tasks) {
            if let Some(why) = store.missing(task, options.num_fewshot)? {
                missing.push((task, why.to_string()));
                if let (true, TaskError::MissingData { searched: places, .. }) = (searched.is_empty(), why) {
                    searched = places;
                }
            }
        }
        let hub = world.hub;
        // What was fetched and is not there all the same is not there for anyone.
        let is_cached = |data: &HubData| {
            data.config_names().iter().all(|config| cached_dataset(&data.repo, *config, hub).is_some())
        };
        let data: Vec<HubData> = hub_data(missing.iter().map(|(task, _)| *task))
            .into_iter()
            .filter(|data| !is_cached(data))
            .collect();
        let mut helpless: Vec<(String, String)> = Vec::new();
        for (task, why) in missing {
            let fetched = data.iter().any(|data| data.tasks.contains(&task.name));
            if !fetched && helpless.iter().all(|(known, _)| *known != task.name) {
                helpless.push((task.name.clone(), why));
            }
        }
        let of_data = |data: &HubData| {
            Need::of_data(data).with(missing_of_dataset(&data.repo, &data.config_names(), hub))
        };
        let mut all: Vec<Need> = data.par_iter().map(of_data).collect();
        for need in absent.iter().flat_map(|model: &AbsentModel| &model.needs) {
            // Two models may be made of the same base.
            if !all.contains(need) {
                all.push(need.clone());
            }
        }
        Ok(Self { all, data, helpless, searched, absent })
    }

    /// Refuses what cannot become a run, says what is missing, and fetches the data. Models come when they are opened.
    /// What cannot be had is left out, if that is wanted.
    ///
    /// # Errors
    /// What is missing and may not or cannot be fetched; too little room or memory.
    pub fn meet(&self, options: &Options, world: &World<'_>) -> Result<Vec<WithoutData>, RunError> {
        let skip = options.places.skip_missing_data;
        let mut left: Vec<WithoutData> =
            self.helpless.iter().map(|(task, why)| left_out(task, why)).collect();
        let (data, models) = self.all.split_at(self.data.len());
        // Without a network nobody knows of obstacles but those that no network removes.
        let own = models.iter().chain(data.iter().filter(|_| !skip));
        let obstacles: Vec<&Need> = own.filter(|need| need.obstacle.is_some()).collect();
        if !obstacles.is_empty() {
            return Err(self.refused(&obstacles));
        }
        if world.hub.offline && (!models.is_empty() || (!data.is_empty() && !skip)) {
            return Err(self.offline(options, world));
        }
        if let (false, Some(first)) = (skip, left.first()) {
            let more = left.len() - 1;
            let more = if more > 0 { format!("\nand {more} more tasks without data") } else { String::new() };
            return Err(RunError::room(format!("{}{more}", first.why)));
        }
        self.check_room(world)?;
        self.absent.iter().try_for_each(|model| model.check_memory(&options.computing))?;
        if !world.hub.offline && !self.all.is_empty() {
            (world.say)(&self.said(world));
        }
        for (data, need) in self.data.iter().zip(data) {
            let why = if world.hub.offline {
                format!("data set {} is not on this machine, and fetching is forbidden", data.repo)
            } else if let Some(obstacle) = &need.obstacle {
                obstacle.clone()
            } else {
                match fetch_dataset(&data.repo, &data.config_names(), world.hub, world.progress) {
                    Ok(_) => continue,
                    Err(error) if skip => error.to_string(),
                    Err(error) => {
                        return Err(RunError::During {
                            doing: format!("cannot fetch the data of {}", listed(&data.tasks)),
                            source: error.into(),
                        });
                    }
                }
            };
            left.extend(data.tasks.iter().map(|task| left_out(task, &why)));
        }
        Ok(left)
    }

    /// Why not all tasks can be prepared, whatever is fetched.
    pub fn without_data(&self) -> Option<String> {
        self.helpless.first().map(|(_, why)| why.clone())
    }

    /// Fetches the data alone.
    ///
    /// # Errors
    /// The first data set that cannot be had.
    pub fn fetch_data(&self, world: &World<'_>) -> Result<(), HubError> {
        let fetch =
            |data: &HubData| fetch_dataset(&data.repo, &data.config_names(), world.hub, world.progress);
        self.data.iter().try_for_each(|data| fetch(data).map(|_| ()))
    }

    /// What is missing and where it goes.
    fn said(&self, world: &World<'_>) -> String {
        let home = &world.hub.home;
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
        let suites = options.suite.iter().filter(|_| !self.data.is_empty());
        let models = options
            .models
            .iter()
            .filter(|name| self.absent.iter().any(|model| model.asked == **name && !model.needs.is_empty()));
        let names: Vec<String> =
            models.cloned().chain(suites.map(|suite| format!("suite:{suite}"))).collect();
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
             fetches all of it: zoo pull {}{}{advice}",
            table.trim_end(),
            names.join(" "),
            world.flags
        ))
    }

    fn refused(&self, obstacles: &[&Need]) -> RunError {
        let line = |need: &&Need| {
            format!("\n  {} ({}): {}", need.name, need.what, need.obstacle.as_deref().unwrap_or_default())
        };
        let lines: String = obstacles.iter().map(line).collect();
        let others = self.all.len() - obstacles.len();
        let others = match others {
            0 => String::new(),
            _ => format!("\nThe other {others} of what is missing would be fetched."),
        };
        let data = obstacles.iter().any(|need| need.kind == NeedKind::Data);
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
    fn check_room(&self, world: &World<'_>) -> Result<(), RunError> {
        let fetched: u64 = self.all.iter().filter_map(|need| need.bytes).sum();
        let built: u64 = self.absent.iter().filter_map(AbsentModel::built_bytes).sum();
        let home = &world.hub.home;
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

fn left_out(task: &str, why: &str) -> WithoutData {
    WithoutData { task: task.to_owned(), why: why.to_owned() }
}
