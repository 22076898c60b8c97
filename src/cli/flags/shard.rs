//! Which part of a run a process is.

use std::str::FromStr;

use crate::run::{RunError, Scheduled, scheduled};
use crate::tasks::Shard;

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFlag {
    /// What the scheduler's variables say.
    Auto,
    /// This one.
    Given(Shard),
}

impl FromStr for ShardFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Given) }
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
            Self::Auto => {
                let Scheduled { shard, by } = scheduled(|name| std::env::var(name).ok())?;
                Ok((shard, Some(by)))
            }
        }
    }
}
