//! Which part of a run a process is.

use std::str::FromStr;

use crate::run::{RunError, Scheduled, scheduled};
use crate::tasks::Shard;

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFlag {
    /// What the scheduler's variables say.
    Auto {
        /// How many there are, for schedulers that say only which one this is.
        of: Option<usize>,
    },
    /// This one.
    Given(Shard),
}

impl FromStr for ShardFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto { of: None });
        }
        let Some(of) = text.strip_prefix("auto/") else { return text.parse().map(Self::Given) };
        let first = format!("0/{of}").parse::<Shard>();
        let first =
            first.map_err(|_| format!("expected auto/n, such as auto/8 for eight shards; found {text:?}"))?;
        Ok(Self::Auto { of: Some(first.of()) })
    }
}

impl ShardFlag {
    /// The shard, and what said so if nobody typed it.
    ///
    /// # Errors
    /// As [`scheduled`].
    pub fn shard(self) -> Result<(Shard, Option<String>), RunError> {
        match self {
            Self::Given(shard) => Ok((shard, None)),
            Self::Auto { of } => {
                let Scheduled { shard, by } = scheduled(|name| std::env::var(name).ok(), of)?;
                Ok((shard, Some(by)))
            }
        }
    }
}
