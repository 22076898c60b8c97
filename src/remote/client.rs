//! One server's HTTP: JSON there and back, within a size and a time, attempts with growing pauses, the key to this host alone.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::identity::{Another, Identity, Signed};
use super::{Access, RemoteError};
use crate::base::http::{
    MAX_CONNECTS, MAX_ERROR_BYTES, QUIET, host, innermost, install_encryption, is_loopback, passes,
    pause_after, retry_after, short,
};
use crate::base::waiting::Waiting;
use crate::base::whole;

/// The largest answer: log-probabilities of 128 thousand tokens take a quarter of it.
const MAX_ANSWER_BYTES: u64 = 128 << 20;
/// The largest answer about the server itself, such as a list of models.
const MAX_ABOUT_BYTES: u64 = 8 << 20;
/// What every answer may have, and how many bytes more for each byte of the question: a token takes five there, and two to four
/// hundred with its log-probability. What is read takes more memory than its bytes, and many answers are read at a time.
const MAX_SHORT_BYTES: u64 = 1 << 20;
/// See [`MAX_SHORT_BYTES`].
const BYTES_FOR_BYTE: u64 = 256;
/// The largest file of certificates; those of all authorities together take a fifth of a megabyte.
const MAX_CERTIFICATES: u64 = 8 << 20;
/// How long a connection may take to come about.
const MAX_CONNECTING: Duration = Duration::from_secs(10);
/// A question about itself that a server lets pass is asked so often.
const ABOUT_ATTEMPTS: u32 = 2;
/// A text takes longer than an answer about the server: so many times as long until its silence is said.
const LONGER: u32 = 4;
/// The most characters of a server's words in an error.
const WORDS: usize = 300;
/// What may stand before a key.
const BEARER: &str = "Bearer ";

/// One server.
#[derive(Debug)]
pub struct Client {
    base: Url,
    http: Http,
    access: Arc<Access>,
    /// How often it has refused because there was too much to do.
    overloads: AtomicU64,
    waiting: Waiting,
    identity: Mutex<Identity>,
}

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the whole of it.
    wait: Duration,
    /// How often, if it does not come.
    attempts: u32,
    /// Until the silence is said.
    quiet: Duration,
}

/// What came of an attempt that another one may better.
struct Passing {
    pause: Option<Duration>,
    most: u32,
    error: RemoteError,
}

impl Client {
    /// A client of one server; nothing is asked yet.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn new(base: &Url, access: &Arc<Access>) -> Result<Self, RemoteError> {
        install_encryption();
        let agent = concat!("zoo/", env!("CARGO_PKG_VERSION"));
        let mut builder = Http::builder()
            .user_agent(agent)
            .connect_timeout(MAX_CONNECTING.min(access.wait))
            .timeout(access.wait)
            .referer(false)
            .redirect(Policy::none());
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        if let Some(path) = &access.certificates {
            let wrong = |reason: String| RemoteError::Setting { name: path.display().to_string(), reason };
            let text = whole::read(path, MAX_CERTIFICATES);
            let text = text.map_err(|error| wrong(format!("cannot read certificates: {error}")))?;
            let found = Certificate::from_pem_bundle(&text).ok().filter(|found| !found.is_empty());
            let found =
                found.ok_or_else(|| wrong("expected certificates in PEM form, found none".to_owned()))?;
            builder = builder.tls_certs_merge(found);
        }
        if access.key.is_some() && base.scheme() == "http" && !is_loopback(base) {
            tracing::warn!(
                "{}: the key of OPENAI_API_KEY goes there unencrypted; https keeps it secret",
                host(base)
            );
        }
        let http = builder.build().map_err(|error| RemoteError::Setting {
            name: host(base),
            reason: format!("no HTTP client: {}", innermost(&error)),
        })?;
        Ok(Self {
            base: base.clone(),
            http,
            access: Arc::clone(access),
            overloads: AtomicU64::new(0),
            waiting: Waiting::new(&host(base)),
            identity: Mutex::default(),
        })
    }

    /// The server, as people write it.
    pub fn host(&self) -> String {
        host(&self.base)
    }

    /// The whole address.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// How often it has refused because there was too much to do.
    pub fn overloads(&self) -> u64 {
        self.overloads.load(Ordering::Relaxed)
    }

    /// The probe is over: all further answers have to be of the server that has answered until now.
    pub fn settle(&self) {
        for what in self.identity.lock().unwrap_or_else(PoisonError::into_inner).settle() {
            tracing::warn!(
                "{}: its answers do not all name one {what}, so nobody sees whether another server takes its place by that",
                self.host()
            );
        }
    }

    /// What is at a path, about the server itself.
    ///
    /// # Errors
    /// A server that cannot be reached, refuses, or answers something else.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.ask(MAX_ABOUT_BYTES, self.about(), || self.http.get(self.at(path)))
    }

    /// The answer to a question that takes the server no work of its model.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.put(path, body, self.about(), 0)
    }

    /// What the model answers, which may have to wait for its turn.
    ///
    /// # Errors
    /// As [`get`](Self::get), and an answer of another server than the one that was probed.
    pub fn complete<T: DeserializeOwned + Signed>(&self, path: &str, body: &Value) -> Result<T, RemoteError> {
        self.complete_for(path, body, 0)
    }

    /// The same for an answer that may list so many things beside what was asked.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn complete_for<T: DeserializeOwned + Signed>(
        &self,
        path: &str,
        body: &Value,
        listed: usize,
    ) -> Result<T, RemoteError> {
        let Access { wait, quiet, .. } = *self.access;
        let patience = Patience { wait, attempts: MAX_CONNECTS, quiet: LONGER * quiet };
        let answer: T = self.put(path, body, patience, listed)?;
        let heard = self.identity.lock().unwrap_or_else(PoisonError::into_inner).hear(answer.signature());
        heard.map_err(|Another { what, before, now }| {
            let [before, now] = [before, now].map(|name| short(&name, WORDS));
            RemoteError::Another { host: self.host(), what, before, now }
        })?;
        Ok(answer)
    }

    fn about(&self) -> Patience {
        let Access { wait, about_wait, quiet, .. } = *self.access;
        Patience { wait: about_wait.min(wait), attempts: ABOUT_ATTEMPTS, quiet }
    }

    fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        patience: Patience,
        listed: usize,
    ) -> Result<T, RemoteError> {
        let text = body.to_string();
        let asked = text.len().saturating_add(listed) as u64;
        let most = MAX_SHORT_BYTES.saturating_add(BYTES_FOR_BYTE.saturating_mul(asked));
        self.ask(most.min(MAX_ANSWER_BYTES), patience, || {
            self.http.post(self.at(path)).header(CONTENT_TYPE, "application/json").body(text.clone())
        })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// The answer of at most `limit` bytes to a request.
    fn ask<T: DeserializeOwned>(
        &self,
        limit: u64,
        patience: Patience,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, RemoteError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let asked = self.waiting.during(
                patience.quiet,
                || self.attempt(request(), limit, patience, attempt),
                |came| !matches!(came, Ok(Err(Passing { error: RemoteError::Unreachable { .. }, .. }))),
            );
            let Passing { pause: asked, most, error } = match asked? {
                Ok(answer) => return read(&self.host(), &answer),
                Err(passing) => passing,
            };
            if attempt >= self.access.attempts.min(most) {
                return Err(error);
            }
            let pause = pause_after(attempt, self.access.backoff, asked).min(self.access.longest_pause);
            let again = again(pause, asked);
            if pause > QUIET || asked.is_some_and(|asked| asked > pause) {
                tracing::warn!("{error}; {again}");
            } else {
                tracing::info!("{error}; {again}");
            }
            thread::sleep(pause);
        }
    }

    /// Asks once. The inner error is one that may pass.
    fn attempt(
        &self,
        request: RequestBuilder,
        limit: u64,
        patience: Patience,
        attempt: u32,
    ) -> Result<Result<Vec<u8>, Passing>, RemoteError> {
        let begun = Instant::now();
        let host = self.host();
        let mut request = request.timeout(patience.wait);
        if let Some(key) = &self.access.key {
            request = request.header("Authorization", format!("{BEARER}{}", key.secret()));
        }
        let broken = |message: String, most: u32| {
            let message = short(&message, WORDS);
            let error = RemoteError::Unreachable { host: host.clone(), attempts: attempt, message };
            Ok(Err(Passing { pause: None, most, error }))
        };
        let answer = match request.send() {
            Ok(answer) => answer,
            Err(error) if error.is_builder() => {
                return Err(RemoteError::Setting { name: host, reason: innermost(&error) });
            }
            Err(error) if error.is_timeout() && !error.is_connect() => {
                return broken(format!("no answer within {} s", patience.wait.as_secs()), patience.attempts);
            }
            Err(error) if error.is_connect() => return broken(innermost(&error), MAX_CONNECTS),
            Err(error) => return broken(innermost(&error), u32::MAX),
        };
        let status = answer.status();
        if status.is_redirection() {
            let to =
                answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("another address");
            return Err(RemoteError::Elsewhere { host, to: short(to, WORDS) });
        }
        if !status.is_success() {
            let (status, pause) = (status.as_u16(), retry_after(answer.headers()));
            let message = message(answer);
            if !passes(status) {
                return Err(RemoteError::Refused { host, status, message });
            }
            if matches!(status, 429 | 503) {
                self.overloads.fetch_add(1, Ordering::Relaxed);
            }
            let error = RemoteError::Overloaded { host, status, attempts: attempt, message };
            return Ok(Err(Passing { pause, most: u32::MAX, error }));
        }
        let mut body = Vec::new();
        match answer.take(limit + 1).read_to_end(&mut body) {
            Ok(_) if body.len() as u64 > limit => Err(RemoteError::Answer {
                host,
                expected: format!("an answer of at most {limit} bytes"),
                found: "more".to_owned(),
            }),
            Ok(_) => Ok(Ok(body)),
            // A server that drips has had its time, and would take it again.
            Err(_) if begun.elapsed() >= patience.wait => {
                broken(format!("no whole answer within {} s", patience.wait.as_secs()), patience.attempts)
            }
            Err(error) => {
                broken(format!("the connection broke in the midst of an answer ({error})"), u32::MAX)
            }
        }
    }
}

/// When it is tried again, and what the server would rather have.
fn again(pause: Duration, asked: Option<Duration>) -> String {
    let soon = if pause.as_secs() > 0 {
        format!("trying again in {} s", pause.as_secs())
    } else {
        format!("trying again in {} ms", pause.as_millis())
    };
    match asked.filter(|asked| *asked > pause) {
        Some(asked) => format!("{soon}, although it asks for a pause of {} s", asked.as_secs()),
        None => soon,
    }
}

/// What the bytes of an answer say.
///
/// # Errors
/// What is no answer of that kind.
pub fn read<T: DeserializeOwned>(host: &str, body: &[u8]) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| RemoteError::Answer {
        host: host.to_owned(),
        expected: "JSON of the OpenAI-style interface".to_owned(),
        found: format!("{} ({})", quoted(body), short(&error.to_string(), WORDS)),
    })
}

fn quoted(body: &[u8]) -> String {
    format!("{:?}", short(&String::from_utf8_lossy(&body[..body.len().min(200)]), 60))
}

/// The server's own words: `error.message`, `error`, `message` or `detail` of its JSON, else its text.
fn message(answer: Response) -> String {
    let fallback = answer.status().canonical_reason().unwrap_or("no reason given").to_owned();
    let mut text = Vec::new();
    if answer.take(MAX_ERROR_BYTES).read_to_end(&mut text).is_err() {
        return fallback;
    }
    let value: Option<Value> = serde_json::from_slice(&text).ok();
    let said = value.as_ref().and_then(|value| {
        let error = value.get("error");
        let nested = error.and_then(|error| error.get("message"));
        [nested, error, value.get("message"), value.get("detail")]
            .into_iter()
            .flatten()
            .find_map(Value::as_str)
    });
    let plain = String::from_utf8_lossy(&text);
    let said = said.or(Some(&*plain).filter(|text| !text.trim().is_empty() && !text.contains('<')));
    said.map_or(fallback, |words| short(words, WORDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_cut_is_told_with_the_one_that_was_asked_for() {
        let second = Duration::from_secs(1);
        assert_eq!(again(second / 2, None), "trying again in 500 ms");
        assert_eq!(again(7 * second, Some(7 * second)), "trying again in 7 s");
        assert_eq!(
            again(120 * second, Some(300 * second)),
            "trying again in 120 s, although it asks for a pause of 300 s"
        );
    }
}
