//! What is to be known of data sets before they are fetched: `evals/datasets.yaml`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::embedded::FILES;
use crate::base::embedded::Text;

/// The file's name below `evals/`.
const FILE: &str = "datasets.yaml";

/// A data set that the suites of this program ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownDataset {
    /// Its name on the hub.
    pub dataset: String,
    /// Its licence, as its authors state it.
    pub license: String,
    /// Where they state it.
    pub src: String,
    /// Languages of its questions as ISO 639-1 codes.
    pub languages: Vec<String>,
    /// Where its files are to be taken from, of one that is on no hub: whoever wants it brings it.
    #[serde(default)]
    pub bring: Option<String>,
    /// Bytes of the files of configurations, as far as they are known.
    #[serde(default)]
    pub download: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    datasets: Vec<KnownDataset>,
}

/// What is known of a data set; nothing of a user's own.
pub fn known_dataset(name: &str) -> Option<&'static KnownDataset> {
    static KNOWN: OnceLock<Vec<KnownDataset>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let file = FILES.get(FILE).expect("the file is part of the binary");
        Text::from(file).parse::<File>(FILE).expect("the file is read in a test").datasets
    });
    known.iter().find(|known| known.dataset == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::yaml;
    use crate::tasks::Index;

    #[test]
    fn every_data_set_of_the_suites_is_known_and_no_other() {
        let index = Index::load(&[]).unwrap();
        let suites = index.names().into_iter().map(|name| index.resolve(name).unwrap());
        let used: BTreeSet<String> = suites
            .flat_map(|suite| suite.tasks())
            .filter_map(|task| task.config.dataset_path.clone())
            .collect();
        for name in &used {
            let known = known_dataset(name).unwrap_or_else(|| panic!("{name} is not in {FILE}"));
            let said = [&known.license, &known.src].iter().all(|text| !text.is_empty());
            assert!(said && !known.languages.is_empty(), "{name}");
        }
        let text = FILES.get(FILE).unwrap().text;
        let all: Vec<String> =
            yaml::parse::<File>(FILE, text).unwrap().datasets.into_iter().map(|d| d.dataset).collect();
        assert_eq!(all, used.into_iter().collect::<Vec<_>>(), "in order, each once");
        assert_eq!(known_dataset("somebody/else"), None);
    }
}
