//! The suites that a command line asks for: names, patterns, files and folders, and what an unknown name may have meant.
//!
//! Patterns are those of the reference harness (`fnmatch` over all tasks, groups and tags). Of what a pattern or a folder
//! names, only the outermost counts: a task inside of a group that is named too is asked once, within the group.

use std::collections::BTreeSet;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use super::error::TaskError;
use super::index::Index;
use super::schema::Location;
use super::suite::Suite;
use crate::base::glob::Glob;
use crate::base::names;

/// Suites that are offered for an unknown name, at most.
const OFFERED: usize = 3;

impl Index {
    /// Indexes the embedded suites, folders of one's own, and the folders among the `wanted` suites.
    ///
    /// # Errors
    /// As [`Index::load`].
    pub fn load_for(include_paths: &[PathBuf], wanted: &[String]) -> Result<Index, TaskError> {
        let folders = wanted.iter().map(|name| name.trim()).filter(|name| is_folder(name)).map(PathBuf::from);
        Index::load(&include_paths.iter().cloned().chain(folders).collect::<Vec<PathBuf>>())
    }

    /// The suites that a list on a command line stands for: names in any case, patterns (`mmlu_*`), files of tasks or
    /// groups, and folders of them, which [`Index::load_for`] has read. Spaces around names and empty names are left out.
    ///
    /// # Errors
    /// Unknown names, with those that may have been meant; patterns that fit nothing; what is wrong in the files.
    pub fn choose(&self, wanted: &[String]) -> Result<Vec<Suite>, TaskError> {
        let mut suites: Vec<Suite> = Vec::new();
        for name in wanted.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            for suite in self.chosen(name)? {
                if !suites.iter().any(|known| known.name() == suite.name()) {
                    suites.push(suite);
                }
            }
        }
        if suites.is_empty() {
            return Err(self.unknown(""));
        }
        Ok(suites)
    }

    fn chosen(&self, name: &str) -> Result<Vec<Suite>, TaskError> {
        if is_folder(name) && !self.is_known(name) {
            let found = self.outermost(|_, file| file.is_some_and(|file| is_below(file, Path::new(name))))?;
            return match found.is_empty() {
                true => {
                    let expected =
                        "expected .yaml files with the key `task` or `group`, found none that can be read";
                    Err(TaskError::wrong(name, format!("{expected}{}", self.unreadable())))
                }
                false => Ok(found),
            };
        }
        if Glob::is_pattern(name) && !self.is_known(name) {
            // Names have no folders, so a pattern's signs stand for any character, as in `fnmatch`.
            let glob = Glob::new(&name.to_lowercase())
                .map_err(|error| TaskError::wrong("suites", error.to_string()))?;
            let found = self.outermost(|name, _| glob.fits(&name.to_lowercase()))?;
            return if found.is_empty() { Err(self.unknown(name)) } else { Ok(found) };
        }
        self.resolve(self.in_any_case(name).unwrap_or(name)).map(|suite| vec![suite])
    }

    /// The name that differs only in case, if it is the only one.
    fn in_any_case(&self, name: &str) -> Option<&str> {
        let mut like = self.all_names().filter(|known| known.eq_ignore_ascii_case(name));
        match (self.is_known(name), like.next(), like.next()) {
            (false, Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// The suites that fit, in order of their names, without those that stand inside of another one of them.
    fn outermost(&self, fits: impl Fn(&str, Option<&Location>) -> bool) -> Result<Vec<Suite>, TaskError> {
        let names: Vec<&str> = self.all_names().filter(|name| fits(name, self.file(name))).collect();
        let suites: Vec<Suite> = names.iter().map(|name| self.resolve(name)).collect::<Result<_, _>>()?;
        let mut inner = BTreeSet::new();
        suites.iter().for_each(|suite| names_below(suite, &mut inner));
        Ok(suites.into_iter().filter(|suite| !inner.contains(suite.name())).collect())
    }

    /// What may have been meant by a name, the likeliest first: suites whose name begins so, graded ones first, then those that
    /// contain it, then those that are spelled like it.
    pub(super) fn meant(&self, name: &str) -> Vec<String> {
        let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
        let wanted = plain(name.trim_matches(['*', '?']));
        let graded = |suite: &Suite| suite.tasks().iter().any(|task| !task.config.metrics().is_empty());
        let tests: [&dyn Fn(&str) -> bool; 3] =
            [&|known| plain(known) == wanted, &|known| plain(known).starts_with(&wanted), &|known| {
                plain(known).contains(&wanted)
            }];
        for test in tests.iter().filter(|_| wanted.len() > 1) {
            let Ok(mut found) = self.outermost(|known, _| test(known)) else { continue };
            found.sort_by_key(|suite| (!graded(suite), suite.name().len()));
            if !found.is_empty() {
                return found.iter().take(OFFERED).map(|suite| suite.name().to_owned()).collect();
            }
        }
        names::nearest(&wanted, self.all_names(), 0.8).into_iter().take(1).collect()
    }
}

/// Whether a name of a suite is a folder on the disk.
fn is_folder(name: &str) -> bool {
    (name.contains([MAIN_SEPARATOR, '/']) || !name.contains(['*', '?'])) && Path::new(name).is_dir()
}

fn is_below(file: &Location, folder: &Path) -> bool {
    matches!(file, Location::Disk(path) if path.starts_with(folder))
}

fn names_below(suite: &Suite, names: &mut BTreeSet<String>) {
    let Suite::Group(group) = suite else { return };
    for child in &group.children {
        names.insert(child.name().to_owned());
        names_below(child, names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[&str]) -> Result<Vec<String>, String> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        let index = Index::load_for(&[], &wanted).unwrap();
        let suites = index.choose(&wanted).map_err(|error| error.to_string())?;
        Ok(suites.iter().map(|suite| suite.name().to_owned()).collect())
    }

    #[test]
    fn names_come_in_any_case_with_spaces_around_them() {
        assert_eq!(names(&["MMLU", " arc_easy ", "", "Arc_Easy"]).unwrap(), ["mmlu", "arc_easy"]);
        assert!(names(&[" ", ""]).unwrap_err().starts_with("no suite is named \"\""));
    }

    #[test]
    fn patterns_choose_what_is_outermost() {
        assert_eq!(names(&["arc_*"]).unwrap(), ["arc_challenge", "arc_easy"]);
        let all = names(&["mmlu_*"]).unwrap();
        for group in ["mmlu_stem", "mmlu_humanities", "mmlu_other", "mmlu_social_sciences"] {
            assert!(all.contains(&group.to_owned()), "{group} in {all:?}");
        }
        assert!(!all.contains(&"mmlu_anatomy".to_owned()) && !all.contains(&"mmlu".to_owned()), "{all:?}");
        assert_eq!(names(&["ARC_[ec]*", "arc_?asy"]).unwrap(), ["arc_challenge", "arc_easy"]);
        assert!(names(&["nothing_*"]).unwrap_err().starts_with("no suite is named \"nothing_*\""));
        assert!(names(&["hela*swag"]).unwrap_err().contains("did you mean \"hellaswag\"?"));
    }

    #[test]
    fn folders_stand_for_the_suites_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("inner")).unwrap();
        std::fs::write(path("a.yaml"), "task: zz_a\n").unwrap();
        std::fs::write(path("inner/b.yml"), "task: zz_b\n").unwrap();
        std::fs::write(path("c.yaml"), "task: zz_c\n").unwrap();
        std::fs::write(path("g.yaml"), "group: zz_g\ntask: [zz_a, arc_easy]\n").unwrap();
        let folder = dir.path().to_str().unwrap();
        assert_eq!(names(&[folder]).unwrap(), ["zz_b", "zz_c", "zz_g"]);
        assert_eq!(names(&[path("inner/b.yml").to_str().unwrap()]).unwrap(), ["zz_b"]);
        std::fs::create_dir(path("empty")).unwrap();
        assert!(names(&[path("empty").to_str().unwrap()]).unwrap_err().contains("found none"));
    }

    #[test]
    fn suggestions_are_those_of_a_person() {
        let index = Index::load(&[]).unwrap();
        let meant = |name: &str| index.meant(name);
        assert_eq!(meant("ceval")[0], "ceval-valid");
        let mut arc = meant("arc");
        arc.sort();
        assert_eq!(arc, ["arc_challenge", "arc_easy"]);
        assert_eq!(meant("arc-easy"), ["arc_easy"]);
        assert_eq!(meant("helaswag"), ["hellaswag"]);
        assert_eq!(meant("social_qa"), ["social_iqa"]);
        assert_eq!(meant("zzz"), Vec::<String>::new());
    }
}
