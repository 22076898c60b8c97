//! `config.yaml` in `$ZOO_HOME`: what a user sets once for all command lines.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use super::defaults::FlagDefault;
use super::size::ByteSize;
use crate::base::yaml;
use crate::hub::{self, zoo_home};
use crate::kernels::Precision;

/// Its name there.
pub const FILE: &str = "config.yaml";

/// What can be set, by the names of the flags. Folders are relative to the file; `~` is the user's own.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    data_dir: Option<PathBuf>,
    include_path: Vec<PathBuf>,
    zoo_dir: Option<PathBuf>,
    threads: Option<NonZeroUsize>,
    memory: Option<ByteSize>,
    batch_tokens: Option<NonZeroUsize>,
    precision: Option<Precision>,
    offline: bool,
    #[serde(skip)]
    file: PathBuf,
}

impl Config {
    /// The user's own, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, with file, line and key.
    pub fn load() -> anyhow::Result<Option<Self>> {
        let Ok(home) = zoo_home() else { return Ok(None) };
        let file = home.join(FILE);
        if file.is_file() { Self::read(&file).map(Some) } else { Ok(None) }
    }

    fn read(file: &Path) -> anyhow::Result<Self> {
        let read = || yaml::parse(&file.display().to_string(), &yaml::read_text(file, yaml::MAX_BYTES)?);
        let config: Self = read().context("the settings in ZOO_HOME cannot be used")?;
        let file = std::path::absolute(file)?;
        Ok(Self { file, ..config })
    }

    /// Makes what is no flag of every verb hold for all of them.
    pub fn take_effect(&self) {
        if self.offline {
            hub::stay_offline();
        }
    }

    /// What it sets, for every verb that has the flag.
    pub fn defaults(&self) -> Vec<FlagDefault> {
        let folder = |path: &PathBuf| self.place(path).into_os_string();
        let mut defaults = Vec::new();
        let mut add = |flag: &str, value| {
            if let Some(value) = value {
                defaults.push(FlagDefault::one(flag, value));
            }
        };
        add("data_dir", self.data_dir.as_ref().map(folder));
        add("zoo_dir", self.zoo_dir.as_ref().map(folder));
        add("threads", self.threads.map(|threads| threads.to_string().into()));
        add("memory", self.memory.map(|memory| memory.to_string().into()));
        add("batch_tokens", self.batch_tokens.map(|tokens| tokens.to_string().into()));
        add("offline", self.offline.then(|| "true".into()));
        if !self.include_path.is_empty() {
            let values = self.include_path.iter().map(folder).collect();
            defaults.push(FlagDefault { flag: "include_path".to_owned(), values });
        }
        defaults
    }

    /// The precision of scores, of plans for them, and of texts; `zoo bench` measures all of them, whatever is set here.
    pub fn precision(&self) -> Vec<FlagDefault> {
        self.precision.map(|precision| FlagDefault::one("precision", precision.name())).into_iter().collect()
    }

    /// Where it was read, and what it sets: `threads 4, memory 8GiB`.
    pub fn describe(&self) -> String {
        let all = self.defaults().into_iter().chain(self.precision());
        let words = all.map(|FlagDefault { flag, values }| {
            let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
            format!("{} {}", flag.replace('_', "-"), values.join(" "))
        });
        let words: Vec<String> = words.collect();
        let words = if words.is_empty() { "sets nothing".to_owned() } else { words.join(", ") };
        format!("{}: {words}", self.file.display())
    }

    fn place(&self, path: &Path) -> PathBuf {
        let own = path.strip_prefix("~").ok().and_then(|rest| Some(std::env::home_dir()?.join(rest)));
        let folder = self.file.parent().expect("a file is in a folder");
        own.unwrap_or_else(|| folder.join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, text).unwrap();
        let in_place = |config: Config| Config { file: PathBuf::from("/home/zoo").join(FILE), ..config };
        Config::read(&file).map(in_place).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_set_becomes_defaults() {
        let config = read(
            "data-dir: data\ninclude-path: [tasks, /own]\nthreads: 4\nmemory: 8GiB\nprecision: int8\noffline: true\n",
        );
        let config = config.unwrap();
        assert_eq!(
            config.describe(),
            "/home/zoo/config.yaml: data-dir /home/zoo/data, threads 4, memory 8GiB, offline true, \
             include-path /home/zoo/tasks /own, precision int8"
        );
        assert_eq!(read("{}").unwrap().describe(), "/home/zoo/config.yaml: sets nothing");
        let home = read("zoo-dir: ~/cards\n").unwrap().defaults();
        assert_eq!(home[0].values[0], std::env::home_dir().unwrap().join("cards").into_os_string());
    }

    #[test]
    fn a_fault_has_file_line_and_key() {
        for (text, words) in [
            ("threads: 2\nthread: 4\n", ["config.yaml:2", "unknown field `thread`"]),
            ("threads: 0\n", ["config.yaml:1", "threads"]),
            ("\nmemory: 8 apples\n", ["config.yaml:2", "4GiB"]),
            ("precision: fp8\n", ["config.yaml:1", "`exact`, `bf16`, `int8`"]),
            ("include-path: tasks\n", ["config.yaml:1", "include-path"]),
        ] {
            let error = read(text).unwrap_err();
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }
}
