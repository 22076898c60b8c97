//! Where the cache is, which hub is asked and how: the environment, read once.
//!
//! `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME` and `HF_HUB_OFFLINE` mean what they mean to
//! huggingface_hub; `ZOO_HOME` is this program's own cache.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Url;

use super::HubError;
use crate::base::whole;

/// The hub that is asked if `HF_ENDPOINT` says nothing else.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// How long the other side may be silent, and an answer of the hub's API may take, where nothing else is said.
const MAX_SILENCE: Duration = Duration::from_secs(60);
/// How long one question may take with all attempts and pauses.
const MAX_PATIENCE: Duration = Duration::from_secs(150);
/// Bytes a second that a file brings at least.
const LEAST_RATE: u64 = 1024;
/// A token file larger than this is none.
const MAX_TOKEN_BYTES: u64 = 4096;
/// Whether the user's own settings forbid the network, whatever the environment says.
static OFFLINE: AtomicBool = AtomicBool::new(false);

/// From now on this process uses nothing but what is cached.
pub fn stay_offline() {
    OFFLINE.store(true, Ordering::Relaxed);
}

/// A hub token. It never shows in `Debug` output and goes to the endpoint's own host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token without the white space around it; an error if it cannot be one. `place` says where it
    /// came from.
    pub fn new(text: &str, place: &str) -> Result<Self, HubError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let place = place.to_owned();
            return Err(HubError::Setting { name: place, expected: "a token of visible ASCII characters" });
        }
        Ok(Token(text.to_owned()))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How to fetch.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The cache folder; created when something is fetched.
    pub home: PathBuf,
    /// Scheme, host and perhaps a path of the hub.
    pub endpoint: Url,
    /// Sent to the endpoint's host, never to another one.
    pub token: Option<Token>,
    /// Use nothing but what is cached.
    pub offline: bool,
    /// The commands that may be pip, each with its first arguments; the first one found is used.
    pub pip: Vec<Vec<OsString>>,
    /// How often a request is made before it counts as failed; at least 1.
    pub attempts: u32,
    /// Pause before the second attempt; doubles with each further one.
    pub backoff: Duration,
    /// How long the other side may be silent, and how long an answer of the hub's API may take.
    pub timeout: Duration,
    /// How long one question may take, with all attempts and pauses.
    pub patience: Duration,
    /// Bytes a second that a file brings at least, over the time in which the other side may be silent.
    pub least_rate: u64,
}

impl HubConfig {
    /// The defaults with this cache folder: the public hub, no token.
    pub fn at(home: impl Into<PathBuf>) -> Result<Self, HubError> {
        Ok(HubConfig {
            home: home.into(),
            endpoint: parse_endpoint(DEFAULT_ENDPOINT)?,
            token: None,
            offline: false,
            pip: [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]]
                .iter()
                .map(|words| words.iter().map(OsString::from).collect())
                .collect(),
            attempts: 5,
            backoff: Duration::from_millis(500),
            timeout: MAX_SILENCE,
            patience: MAX_PATIENCE,
            least_rate: LEAST_RATE,
        })
    }

    /// What the environment and [`stay_offline`] say.
    pub fn from_env() -> Result<Self, HubError> {
        let config = Self::from_vars(&|name| std::env::var_os(name))?;
        Ok(Self { offline: config.offline || OFFLINE.load(Ordering::Relaxed), ..config })
    }

    /// What an environment says in which `get` looks variables up. Empty ones count as unset.
    pub fn from_vars(get: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let mut config = Self::at(home_from(&get)?)?;
        if let Some(endpoint) = get("HF_ENDPOINT") {
            config.endpoint = parse_endpoint(&endpoint.to_string_lossy())?;
        }
        config.token = token_from(&get)?;
        config.offline = get("HF_HUB_OFFLINE").is_some_and(|v| {
            matches!(v.to_string_lossy().to_lowercase().as_str(), "1" | "on" | "yes" | "true")
        });
        Ok(config)
    }
}

/// The cache folder: `$ZOO_HOME`, else `$XDG_CACHE_HOME/zoo`, else `~/.cache/zoo`.
pub fn zoo_home() -> Result<PathBuf, HubError> {
    home_from(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn home_from(get: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, HubError> {
    if let Some(home) = get("ZOO_HOME") {
        return Ok(home.into());
    }
    cache_from(get).map(|cache| cache.join("zoo")).ok_or(HubError::NoHome)
}

/// The user's cache folder by the XDG base directory specification, which ignores relative paths.
fn cache_from(get: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    get("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(absolute)
        .or_else(|| get("HOME").map(PathBuf::from).filter(absolute).map(|home| home.join(".cache")))
}

fn token_from(get: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Token>, HubError> {
    if let Some(token) = get("HF_TOKEN") {
        return Token::new(&token.to_string_lossy(), "HF_TOKEN").map(Some);
    }
    let file = get("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| {
        let home = get("HF_HOME").map(PathBuf::from);
        home.or_else(|| cache_from(get).map(|cache| cache.join("huggingface"))).map(|home| home.join("token"))
    });
    let Some(file) = file else { return Ok(None) };
    // What is missing, unreadable or large is none: a token is a convenience.
    let Ok(text) = whole::text(&file, MAX_TOKEN_BYTES) else { return Ok(None) };
    if text.trim().is_empty() {
        return Ok(None);
    }
    Token::new(&text, &file.display().to_string()).map(Some)
}

fn parse_endpoint(text: &str) -> Result<Url, HubError> {
    let wrong = || HubError::Setting {
        name: "HF_ENDPOINT".to_owned(),
        expected: "an http:// or https:// address without user name, query and fragment",
    };
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<HubConfig, HubError> {
        let vars: Vec<(String, OsString)> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        HubConfig::from_vars(&|name| vars.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn the_cache_folder_follows_the_environment() {
        let home = |vars: &[(&str, &str)]| config(vars).map(|c| c.home);
        assert_eq!(home(&[("HOME", "/h")]).unwrap(), Path::new("/h/.cache/zoo"));
        assert_eq!(home(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).unwrap(), Path::new("/c/zoo"));
        assert_eq!(home(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")]).unwrap(), Path::new("/h/.cache/zoo"));
        assert_eq!(home(&[("HOME", "/h"), ("ZOO_HOME", "/z")]).unwrap(), Path::new("/z"));
        assert_eq!(home(&[("HOME", "/h"), ("ZOO_HOME", "")]).unwrap(), Path::new("/h/.cache/zoo"));
        let error = home(&[]).unwrap_err();
        assert!(error.to_string().contains("ZOO_HOME"), "{error}");
    }

    #[test]
    fn the_endpoint_must_be_an_address() {
        let endpoint =
            |text| config(&[("HOME", "/h"), ("HF_ENDPOINT", text)]).map(|c| c.endpoint.to_string());
        assert_eq!(endpoint("http://127.0.0.1:8765/").unwrap(), "http://127.0.0.1:8765/");
        assert_eq!(endpoint("https://mirror.example/hf").unwrap(), "https://mirror.example/hf");
        for wrong in ["mirror.example", "ftp://x", "https://user:secret@x", "https://x?y", "file:///etc"] {
            let error = endpoint(wrong).unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_token_comes_from_the_variable_or_the_file_and_stays_secret() {
        let folder = tempfile::tempdir().unwrap();
        let hf_home = folder.path().to_str().unwrap();
        let token = |vars: &[(&str, &str)]| config(vars).map(|c| c.token);
        assert_eq!(token(&[("HOME", "/none")]).unwrap(), None);
        assert_eq!(token(&[("HOME", "/none"), ("HF_HOME", hf_home)]).unwrap(), None);
        std::fs::write(folder.path().join("token"), "from_file\n").unwrap();
        let found = token(&[("HOME", "/none"), ("HF_HOME", hf_home)]).unwrap().unwrap();
        assert_eq!(found.secret(), "from_file");
        let found =
            token(&[("HOME", "/none"), ("HF_HOME", hf_home), ("HF_TOKEN", " hf_x ")]).unwrap().unwrap();
        assert_eq!(found.secret(), "hf_x");
        assert!(!format!("{found:?}").contains("hf_x"));
        let error = token(&[("HOME", "/none"), ("HF_TOKEN", "a b\nc")]).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("a b"), "{error}");
    }

    #[test]
    fn offline_has_the_usual_spellings() {
        for (value, offline) in [("1", true), ("TRUE", true), ("on", true), ("0", false), ("", false)] {
            assert_eq!(config(&[("HOME", "/h"), ("HF_HUB_OFFLINE", value)]).unwrap().offline, offline);
        }
    }
}
