//! What everyone who asks a server over HTTP has to know: which host that is, which refusals pass, how long to wait, and what
//! went wrong in the end.

use std::error::Error as _;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::printable::is_obeyed;

/// Nobody waits longer for a server that asks for a pause.
pub const MAX_PAUSE: Duration = Duration::from_secs(120);
/// Whoever waits longer than this is told what for.
pub const QUIET: Duration = Duration::from_secs(5);
/// The largest error answer that is read for its message.
pub const MAX_ERROR_BYTES: u64 = 16 << 10;
/// A host that cannot be connected to is tried this often at most: more seldom helps.
pub const MAX_CONNECTS: u32 = 3;

/// Sees to it that there is somebody who can encrypt. Another part of the process may have installed one already: any will do.
pub fn install_encryption() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether a refusal with this status may pass by itself; every other one would come again.
pub fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// The pause that a server asks for, where it says one in seconds.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long to wait after an attempt, the first being 1: as long as the server asks, else twice as long as the last time.
pub fn pause_after(attempt: u32, first: Duration, asked: Option<Duration>) -> Duration {
    let growing = first.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    asked.unwrap_or(growing).min(MAX_PAUSE)
}

/// The innermost cause, which is the one that says something ("Connection refused").
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    // The error's own text may repeat the address with a signature in its query.
    text.unwrap_or_else(|| if error.is_timeout() { "timed out" } else { "the request failed" }.to_owned())
}

/// The host of an address as people write it.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the server");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether two addresses are of one server.
pub fn same_host(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme()
        && a.host_str() == b.host_str()
        && a.port_or_known_default() == b.port_or_known_default()
}

/// A server on this machine is never asked through a proxy.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Text of a server or of another program for an error message: one line, printable, short.
pub fn short(text: &str, limit: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() || is_obeyed(c) { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.chars().count() <= limit {
        return clean.to_owned();
    }
    clean.chars().take(limit).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_with_scheme_and_port() {
        let url = |text| Url::parse(text).unwrap();
        assert!(same_host(&url("https://h/a"), &url("https://h:443/b")));
        for other in ["http://h/", "https://h:444/", "https://sub.h/"] {
            assert!(!same_host(&url("https://h/"), &url(other)), "{other}");
        }
        for here in ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]:2/"] {
            assert!(is_loopback(&url(here)), "{here}");
        }
        assert!(!is_loopback(&url("http://127.0.0.1.example/")));
    }

    #[test]
    fn pauses_grow_unless_the_server_says_how_long() {
        let second = Duration::from_secs(1);
        let pauses: Vec<u64> = (1..=9).map(|n| pause_after(n, second, None).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(pause_after(7, second, Some(3 * second)), 3 * second);
        let asked = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!((asked(" 7 "), asked("soon"), asked("-1")), (Some(7 * second), None, None));
    }

    #[test]
    fn some_refusals_pass() {
        assert!([408, 429, 500, 503, 599].into_iter().all(passes));
        assert!(![200, 301, 400, 401, 404, 413, 422].into_iter().any(passes));
    }

    #[test]
    fn messages_of_servers_are_one_short_line() {
        assert_eq!(short(" a\nb\u{1b}[31m ", 20), "a b [31m");
        assert_eq!(short("abcdef", 3), "abc…");
    }
}
