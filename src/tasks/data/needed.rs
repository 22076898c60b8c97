//! Which data sets of a hub tasks need, and which of them are not on this machine; nothing is read.

use super::{DataStore, DatasetRef};
use crate::tasks::embedded::FILES;
use crate::tasks::error::TaskError;
use crate::tasks::known::known_dataset;
use crate::tasks::splits::splits_read;
use crate::tasks::suite::Task;

/// A data set of a hub, with those of its configurations that some tasks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubData {
    /// `organisation/name`.
    pub repo: String,
    /// The configurations, each once; `None` for the default one.
    pub configs: Vec<Option<String>>,
    /// The tasks that need it.
    pub tasks: Vec<String>,
}

/// The hub's data sets of tasks; those in the binary and files of the user's own are not among them.
pub fn hub_data<'t>(tasks: impl IntoIterator<Item = &'t Task>) -> Vec<HubData> {
    let mut all: Vec<HubData> = Vec::new();
    for task in tasks {
        let Some(repo) = task.config.dataset_path.as_deref().filter(|path| is_of_hub(path)) else { continue };
        let place = all.iter().position(|known| known.repo == repo).unwrap_or_else(|| {
            all.push(HubData { repo: repo.to_owned(), configs: Vec::new(), tasks: Vec::new() });
            all.len() - 1
        });
        let known = &mut all[place];
        if !known.configs.contains(&task.config.dataset_name) {
            known.configs.push(task.config.dataset_name.clone());
        }
        if !known.tasks.contains(&task.name) {
            known.tasks.push(task.name.clone());
        }
    }
    all.sort_by(|a, b| a.repo.cmp(&b.repo));
    all
}

/// Whether a `dataset_path` can be fetched from a hub.
fn is_of_hub(path: &str) -> bool {
    let own = ["json", "csv", "parquet"].contains(&path)
        || path.starts_with(['.', '/'])
        || known_dataset(path).is_some_and(|known| known.bring.is_some());
    let folder = format!("data/{path}/");
    !own && FILES.below(&folder).next().is_none()
}

/// The bytes of all files of these data sets; `None` where one is not known.
pub fn download_bytes(data: &[HubData]) -> Option<u64> {
    let of_config = |repo: &str, config: Option<&str>| known_dataset(repo)?.download.get(config?).copied();
    let all = data.iter().flat_map(|data| data.config_names().into_iter().map(|config| (&data.repo, config)));
    all.map(|(repo, config)| of_config(repo, config)).sum()
}

impl HubData {
    /// Its configurations as they are asked for.
    pub fn config_names(&self) -> Vec<Option<&str>> {
        self.configs.iter().map(Option::as_deref).collect()
    }
}

impl DataStore {
    /// Why a task cannot be prepared from what is on this machine, given what the user says of examples; `None` if all files
    /// that it reads are here.
    ///
    /// # Errors
    /// What fetching would not mend: a task file or a data set's card that cannot be used.
    pub fn missing(&self, task: &Task, num_fewshot: Option<usize>) -> Result<Option<TaskError>, TaskError> {
        let Some(dataset) = DatasetRef::of(task) else { return Ok(None) };
        for split in splits_read(task, num_fewshot)? {
            match self.locate(&dataset, split) {
                Ok(_) => {}
                Err(missing @ TaskError::MissingData { .. }) => return Ok(Some(missing)),
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Index;

    fn needed(suite: &str) -> Vec<HubData> {
        let tasks = Index::load(&[]).unwrap().resolve(suite).unwrap().tasks();
        hub_data(tasks.iter().chain(&tasks).map(AsRef::as_ref))
    }

    #[test]
    fn a_suite_needs_each_configuration_once() {
        let [mmlu] = needed("mmlu").try_into().unwrap();
        assert_eq!((mmlu.repo.as_str(), mmlu.configs.len(), mmlu.tasks.len()), ("cais/mmlu", 57, 57));
        assert!(mmlu.config_names().contains(&Some("anatomy")));
        let several: Vec<String> = needed("open-llm-v1").into_iter().map(|data| data.repo).collect();
        assert!(several.len() > 3 && several.is_sorted(), "{several:?}");
    }

    #[test]
    fn embedded_data_is_not_fetched() {
        assert_eq!(needed("basics"), []);
    }

    #[test]
    fn what_a_user_brings_is_not_fetched() {
        assert_eq!(needed("mt-bench"), []);
        let index = Index::load(&[]).unwrap();
        let task = index.resolve("mt-bench").unwrap().tasks().remove(0);
        let missing = DataStore::new(None, None).missing(&task, None).unwrap().unwrap().to_string();
        assert!(missing.contains("--data-dir") && missing.contains("FastChat"), "{missing}");
        assert!(!missing.contains("zoo pull"), "{missing}");
    }

    #[test]
    fn what_is_not_here_is_found_without_reading() {
        let index = Index::load(&[]).unwrap();
        let store = DataStore::new(None, None);
        let task = |name: &str| index.resolve(name).unwrap().tasks().remove(0);
        assert!(store.missing(&task("basics_letters_en"), Some(5)).unwrap().is_none());
        let missing = store.missing(&task("mmlu_anatomy"), None).unwrap().unwrap().to_string();
        assert!(missing.contains("cais/mmlu") && missing.contains("anatomy"), "{missing}");
        // Examples are looked for where there are any.
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("datasets/cais/mmlu/anatomy");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("test-00000-of-00001.parquet"), "").unwrap();
        let store = DataStore::new(None, Some(home.path()));
        assert!(store.missing(&task("mmlu_anatomy"), None).unwrap().is_none());
        let missing = store.missing(&task("mmlu_anatomy"), Some(5)).unwrap().unwrap().to_string();
        assert!(missing.contains("\"dev\"") || missing.contains("dev"), "{missing}");
    }

    #[test]
    fn bytes_are_known_of_all_or_of_none() {
        let index = Index::load(&[]).unwrap();
        let bytes = |suites: &[&str]| {
            let suites: Vec<_> = suites.iter().map(|name| index.resolve(name).unwrap()).collect();
            let tasks: Vec<_> = suites.iter().flat_map(|suite| suite.tasks()).collect();
            download_bytes(&hub_data(tasks.iter().map(AsRef::as_ref)))
        };
        assert_eq!(bytes(&["gsm8k"]), Some(2_725_633));
        // Two tasks of the same data.
        assert_eq!(bytes(&["gsm8k", "gsm8k_cot", "arc_challenge"]), Some(2_725_633 + 449_460));
        assert_eq!(bytes(&["arc_challenge", "arc_easy"]), None);
        assert_eq!(bytes(&["basics"]), Some(0), "nothing is to be fetched");
    }
}
