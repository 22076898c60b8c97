//! Requests to a hub: one client, the token for one host only, attempts with growing pauses, and HTTP
//! statuses turned into sentences.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::{Client, Response};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;

use super::{HubConfig, HubError};
use crate::base::http::{
    MAX_CONNECTS, MAX_ERROR_BYTES, MAX_PAUSE, QUIET, host, innermost, install_encryption, is_loopback,
    passes, pause_after, retry_after, same_host, short,
};
use crate::base::waiting::Waiting;

const MAX_REDIRECTS: usize = 10;

/// What a request is for, in words for errors.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// "model org/name", "config.json of model org/name".
    pub what: String,
    /// The repository's page.
    pub page: String,
}

/// A client for one hub.
pub(super) struct Http<'c> {
    pub config: &'c HubConfig,
    client: Client,
}

impl<'c> Http<'c> {
    /// A client; an error if the system has no usable certificates.
    pub(super) fn new(config: &'c HubConfig) -> Result<Self, HubError> {
        install_encryption();
        let mut builder = Client::builder()
            .user_agent(concat!("zoo/", env!("CARGO_PKG_VERSION")))
            .timeout(config.timeout)
            .connect_timeout(config.timeout)
            .referer(false)
            .redirect(Policy::custom(|attempt| {
                let from_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
                if from_https && attempt.url().scheme() != "https" {
                    attempt.error("a redirect from https to http")
                } else if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("too many redirects")
                } else {
                    attempt.follow()
                }
            }));
        if is_loopback(&config.endpoint) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| HubError::NoNetwork {
            host: host(&config.endpoint),
            what: "anything".to_owned(),
            message: format!("no HTTP client: {}", innermost(&error)),
        })?;
        Ok(Http { config, client })
    }

    /// An address below the endpoint; every part is escaped.
    pub(super) fn url<'p>(&self, parts: impl IntoIterator<Item = &'p str>) -> Url {
        let mut url = self.config.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// GET with attempts, for at most as long as the hub's patience. The answer's status is a success or 416; all else is an
    /// error. The body may come as slowly as it likes, if the other side is never silent.
    pub(super) fn get(&self, url: &Url, headers: &HeaderMap, wanted: &Wanted) -> Result<Response, HubError> {
        self.ask(url, headers, wanted, &Deadline::new(self.config.patience), None)
    }

    /// GET with attempts before the deadline; the whole of an answer comes in the time of `whole`, if that is set.
    fn ask(
        &self,
        url: &Url,
        headers: &HeaderMap,
        wanted: &Wanted,
        deadline: &Deadline,
        whole: Option<Duration>,
    ) -> Result<Response, HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut request = self.client.get(url.clone()).headers(headers.clone());
            if let Some(whole) = whole {
                request = request.timeout(whole.min(deadline.left()));
            }
            if let Some(token) = self.config.token.as_ref().filter(|_| same_host(url, &self.config.endpoint))
            {
                request = request.bearer_auth(token.secret());
            }
            let pause = match noting(&host(url), || request.send()) {
                Ok(answer) if answer.status().is_success() || answer.status().as_u16() == 416 => {
                    return Ok(answer);
                }
                Ok(answer) => {
                    let status = answer.status();
                    let asked = retry_after(answer.headers());
                    if !passes(status.as_u16()) {
                        return Err(self.refusal(answer, wanted));
                    }
                    if attempt >= self.config.attempts || asked.is_some_and(|pause| pause > MAX_PAUSE) {
                        let message = message(answer);
                        let what = wanted.what.clone();
                        let status = status.as_u16();
                        return Err(HubError::Refused { what, status, attempts: attempt, message });
                    }
                    asked
                }
                Err(error) => {
                    let most = if error.is_connect() { MAX_CONNECTS } else { u32::MAX };
                    if error.is_redirect() || error.is_builder() || attempt >= self.config.attempts.min(most)
                    {
                        return Err(self.unreachable(url, wanted, innermost(&error)));
                    }
                    None
                }
            };
            self.pause_before(deadline, attempt, pause, url, wanted)?;
        }
    }

    /// The JSON value at an address, at most `limit` bytes long, before the deadline.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        limit: u64,
        wanted: &Wanted,
        deadline: &Deadline,
    ) -> Result<(T, HeaderMap), HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = self.ask(url, &HeaderMap::new(), wanted, deadline, Some(self.config.timeout))?;
            let headers = answer.headers().clone();
            let mut text = Vec::new();
            match noting(&host(url), || answer.take(limit + 1).read_to_end(&mut text)) {
                Ok(_) if text.len() as u64 <= limit => {
                    let value = serde_json::from_slice(&text).map_err(|error| {
                        let found = format!("something else ({error}); check HF_ENDPOINT");
                        HubError::bad_answer(&wanted.what, "the JSON of the hub's API", found)
                    })?;
                    return Ok((value, headers));
                }
                Ok(_) => {
                    return Err(HubError::bad_answer(&wanted.what, format!("at most {limit} bytes"), "more"));
                }
                Err(error) if attempt >= self.config.attempts => {
                    return Err(self.unreachable(url, wanted, error.to_string()));
                }
                Err(_) => self.pause_before(deadline, attempt, None, url, wanted)?,
            }
        }
    }

    /// Waits before the next attempt, if it is to begin before the deadline.
    fn pause_before(
        &self,
        deadline: &Deadline,
        attempt: u32,
        asked: Option<Duration>,
        url: &Url,
        wanted: &Wanted,
    ) -> Result<(), HubError> {
        if self.length_of_pause(attempt, asked) < deadline.left() {
            self.pause(attempt, asked, &host(url));
            return Ok(());
        }
        let message = format!("no whole answer in {} s", deadline.length.as_secs());
        Err(self.unreachable(url, wanted, message))
    }

    fn length_of_pause(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        pause_after(attempt, self.config.backoff, asked)
    }

    /// Waits before the next attempt: as long as the server asks, or twice as long as the last time.
    pub(super) fn pause(&self, attempt: u32, asked: Option<Duration>, host: &str) {
        let pause = self.length_of_pause(attempt, asked);
        if pause > QUIET {
            tracing::warn!("{host} asks for a pause; trying again in {} s", pause.as_secs());
        } else {
            tracing::info!("trying again in {} ms", pause.as_millis());
        }
        thread::sleep(pause);
    }

    /// The error for a connection that failed or broke too often.
    pub(super) fn unreachable(&self, url: &Url, wanted: &Wanted, message: String) -> HubError {
        let message = short(&message, 300);
        HubError::NoNetwork { host: host(url), what: wanted.what.clone(), message }
    }

    /// The error for a refusal that another attempt would not change.
    fn refusal(&self, answer: Response, wanted: &Wanted) -> HubError {
        let what = wanted.what.clone();
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let code = header("x-error-code").to_owned();
        let has_token = self.config.token.is_some();
        if !same_host(answer.url(), &self.config.endpoint) {
            return HubError::Refused { what, status, attempts: 1, message: message(answer) };
        }
        match (status, code.as_str()) {
            (401 | 404, "RepoNotFound") => {
                let message = "no such repository".to_owned();
                HubError::NotFound { what, message, maybe_private: !has_token || status == 401 }
            }
            (401, code) if has_token && code != "GatedRepo" => HubError::BadToken { what },
            (401 | 403, _) => HubError::Gated { what, has_token, page: wanted.page.clone() },
            (404, "RevisionNotFound") => {
                HubError::NotFound { what, message: "no such revision".to_owned(), maybe_private: false }
            }
            (404, _) => HubError::NotFound { what, message: message(answer), maybe_private: false },
            _ => HubError::Refused { what, status, attempts: 1, message: message(answer) },
        }
    }
}

/// How long something may take from now on.
pub(super) struct Deadline {
    begun: Instant,
    length: Duration,
}

impl Deadline {
    pub(super) fn new(length: Duration) -> Self {
        Deadline { begun: Instant::now(), length }
    }

    /// Another one for a part of the work, not beyond this one.
    pub(super) fn at_most(&self, length: Duration) -> Self {
        Deadline::new(self.left().min(length))
    }

    fn left(&self) -> Duration {
        // No time at all would be no limit to some.
        self.length.saturating_sub(self.begun.elapsed()).max(Duration::from_millis(1))
    }
}

/// Does what may have to wait for a host, and says so when it does.
fn noting<T>(host: &str, work: impl FnOnce() -> T) -> T {
    Waiting::new(host).during(QUIET, work, |_| true)
}

/// The server's own words: its header, or the `error` of its JSON.
fn message(answer: Response) -> String {
    if let Some(words) = answer.headers().get("x-error-message").and_then(|value| value.to_str().ok()) {
        return short(words, 200);
    }
    let fallback = answer.status().canonical_reason().unwrap_or("no reason given").to_owned();
    let mut text = Vec::new();
    if answer.take(MAX_ERROR_BYTES).read_to_end(&mut text).is_err() {
        return fallback;
    }
    let value: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let words = value.as_ref().and_then(|value| value.get("error")).and_then(|error| error.as_str());
    words.map_or(fallback, |words| short(words, 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped_and_stay_below_the_endpoint() {
        let mut config = HubConfig::at("/none").unwrap();
        config.endpoint = Url::parse("https://mirror.example/hf").unwrap();
        let http = Http::new(&config).unwrap();
        let url = http.url(["org", "name", "resolve", "refs/pr/1", "a b?#%.csv"]);
        assert_eq!(
            url.as_str(),
            "https://mirror.example/hf/org/name/resolve/refs%2Fpr%2F1/a%20b%3F%23%25.csv"
        );
    }
}
