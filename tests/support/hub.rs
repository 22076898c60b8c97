//! A hub of one process: a loopback HTTP server that answers from a table and misbehaves on request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use zoo::base::digest::sha256;
use zoo::hub::{HubConfig, Token};

/// One request as the server saw it; header names in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// One answer; `cut` sends only so many bytes of the body and closes, `drip` waits so long before each byte of it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub cut: Option<usize>,
    pub drip: Option<Duration>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, headers: Vec::new(), body: body.into(), cut: None, drip: None }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

pub type Handler = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server that lives as long as the process; every request is kept.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, log): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let handler = Arc::clone(&handler);
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(stream, &*handler, &log));
            }
        });
        Server { url, seen }
    }

    /// Servers that were started already, by their addresses.
    pub fn at(url: String) -> Self {
        Server { url, seen: Arc::default() }
    }

    /// The requests so far whose path has `part`.
    pub fn seen(&self, part: &str) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }
}

fn serve(stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Request>>) {
    // Wait for the client to close, so that nothing unread resets the connection.
    let after = stream.try_clone().unwrap();
    serve_on(stream, handler, log);
    let _ = after.shutdown(std::net::Shutdown::Write);
    let _ = after.set_read_timeout(Some(Duration::from_millis(200)));
    let _ = (&after).read(&mut [0; 64]);
}

/// Reads one request of a connection, and answers it.
pub fn serve_on(stream: impl Read + Write, handler: &Handler, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let Some(path) = line.split(' ').nth(1).map(str::to_owned) else { return };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let request = Request { path, headers, body };
    let answer = handler(&request);
    log.lock().unwrap().push(request);
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    if !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = reader.into_inner();
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len())];
    let _ = stream.write_all(head.as_bytes()).and_then(|()| match answer.drip {
        Some(pause) => body.chunks(1).try_for_each(|byte| {
            std::thread::sleep(pause);
            stream.write_all(byte)
        }),
        None => stream.write_all(body),
    });
    let _ = stream.flush();
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The files of one repository of a hub (`models` or `datasets`).
#[derive(Clone)]
pub struct Files {
    pub id: String,
    pub dataset: bool,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Files {
    pub fn model(id: &str, files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Files { id: id.to_owned(), dataset: false, files }
    }

    pub fn listing(&self) -> String {
        let entry = |(name, bytes): &(String, Vec<u8>)| {
            let size = bytes.len();
            let oid = sha256(bytes);
            format!(
                r#"{{"type":"file","path":{name:?},"size":{size},"oid":"x","lfs":{{"oid":"{oid}","size":{size}}}}}"#
            )
        };
        let entries: Vec<String> = self.files.iter().map(entry).collect();
        format!(r#"[{{"type":"directory","path":"d","oid":"x","size":0}},{}]"#, entries.join(","))
    }

    /// What a well-behaved hub answers.
    pub fn answer(&self, request: &Request) -> Answer {
        let (api, prefix) = if self.dataset { ("datasets", "/datasets") } else { ("models", "") };
        let path = request.path.as_str();
        if path == format!("/api/{api}/{}/revision/main", self.id) {
            return Answer::new(200, format!(r#"{{"sha":"{COMMIT}"}}"#));
        }
        if path == format!("/api/{api}/{}/tree/{COMMIT}?recursive=true", self.id) {
            return Answer::new(200, self.listing());
        }
        let file = path.strip_prefix(&format!("{prefix}/{}/resolve/{COMMIT}/", self.id));
        match self.files.iter().find(|(name, _)| Some(name.as_str()) == file) {
            Some((_, bytes)) => ranged(request, bytes, &sha256(bytes)),
            None => Answer::new(404, r#"{"error":"Entry not found"}"#).with("X-Error-Code", "EntryNotFound"),
        }
    }
}

/// A file, or the asked range of it if the validator still fits.
pub fn ranged(request: &Request, bytes: &[u8], etag: &str) -> Answer {
    let etag = format!("\"{etag}\"");
    let start = request
        .header("range")
        .filter(|_| request.header("if-range") == Some(&etag))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let answer = match start {
        Some(start) if start >= bytes.len() => Answer::new(416, ""),
        Some(start) => Answer::new(206, &bytes[start..])
            .with("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
        None => Answer::new(200, bytes),
    };
    answer.with("ETag", etag)
}

/// A configuration for tests: this endpoint, short pauses.
pub fn config(home: &std::path::Path, endpoint: &str, token: Option<&str>) -> HubConfig {
    let mut config = HubConfig::at(home).unwrap();
    config.endpoint = endpoint.parse().unwrap();
    config.token = token.map(|token| Token::new(token, "test").unwrap());
    config.backoff = Duration::from_millis(1);
    config.timeout = Duration::from_secs(10);
    config.pip = Vec::new();
    config
}
