//! How servers are reached: the key, certificates, and how patiently.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::RemoteError;
use crate::base::http::{MAX_PAUSE, QUIET};
use crate::hub::Token;

/// Holds the key that servers are shown.
const KEY: &str = "OPENAI_API_KEY";
/// How long one request may take, its time in the server's queue included, in seconds.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How long an answer about the server itself may take, such as its models or the tokens of a text, in seconds.
const MAX_ABOUT_WAIT: Duration = Duration::from_secs(30);
/// How often a request is made before it counts as failed.
const ATTEMPTS: u32 = 7;

/// How servers are reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// Shown to the servers that are named, and to no other.
    pub key: Option<Token>,
    /// Certificates that are trusted beside the system's.
    pub certificates: Option<PathBuf>,
    /// How often a request is made before it counts as failed; at least 1.
    pub attempts: u32,
    /// Pause before the second attempt; doubles with each further one.
    pub backoff: Duration,
    /// The longest pause that a server gets, whatever it asks for.
    pub longest_pause: Duration,
    /// How long an answer may take.
    pub wait: Duration,
    /// How long one about the server itself may take, which does no work for it.
    pub about_wait: Duration,
    /// After how long a silence of the server is said, when it is asked about itself.
    pub quiet: Duration,
}

impl Default for Access {
    /// Without a key.
    fn default() -> Self {
        let backoff = Duration::from_millis(500);
        Self {
            key: None,
            certificates: None,
            attempts: ATTEMPTS,
            backoff,
            longest_pause: MAX_PAUSE,
            wait: MAX_WAIT,
            about_wait: MAX_ABOUT_WAIT,
            quiet: QUIET,
        }
    }
}

impl Access {
    /// With the key of the environment, if there is one.
    ///
    /// # Errors
    /// A key that cannot be one; it is not repeated.
    pub fn from_env(certificates: Option<PathBuf>) -> Result<Self, RemoteError> {
        let key = env::var(KEY).ok().filter(|key| !key.trim().is_empty());
        let key = key.map(|key| Token::new(&key, KEY)).transpose().map_err(|_| RemoteError::Setting {
            name: KEY.to_owned(),
            reason: "expected a key of visible ASCII characters".to_owned(),
        })?;
        Ok(Self { key, certificates, ..Self::default() })
    }
}
