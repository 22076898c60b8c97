//! One file from a hub to the disk: resumed, checked, and named only when it is whole.
//!
//! Until then it is `<name>.<digest>.part`, with the server's ETag beside it. A further attempt asks
//! for the rest by `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2): a server whose file has
//! changed, or that knows no ranges, sends the whole file instead.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{StatusCode, Url};

use super::cache::{self, Entry, Manifest};
use super::digest::{Mismatch, StreamDigests};
use super::http::{Http, Wanted};
use super::listing::{RemoteFile, Repo};
use super::missing::Missing;
use super::{HubConfig, HubError, names};
use crate::base::http::host;
use crate::base::own;
use crate::base::progress::{self, Progress, Unit};
use crate::base::whole;

/// How often a whole file with a wrong digest is fetched anew before it counts as damaged at its source.
const MAX_RESTARTS: u32 = 1;
const BUFFER: usize = 1 << 17;
/// The longest ETag that is remembered, in bytes.
const MAX_ETAG: u64 = 1 << 14;

/// A file that grows towards its promised size, with the digests of what is there.
struct PartialFile {
    path: PathBuf,
    /// The file's name for progress bars.
    label: String,
    file: File,
    size: u64,
    length: u64,
    digests: StreamDigests,
    etag: Option<HeaderValue>,
}

/// How one attempt ended.
enum Outcome {
    Complete,
    /// Broke off, and why.
    Broken(String),
}

/// Whether a file grows, measured over the time in which the other side may be silent.
struct Pace {
    since: Instant,
    from: u64,
}

impl Pace {
    fn from(length: u64) -> Self {
        Pace { since: Instant::now(), from: length }
    }

    /// Whether so many bytes a second have come since it was begun.
    fn holds(&self, length: u64, least_rate: u64) -> bool {
        let wanted = self.since.elapsed().as_millis().saturating_mul(u128::from(least_rate)) / 1000;
        u128::from(length.saturating_sub(self.from)) > wanted
    }
}

impl PartialFile {
    /// Opens the part and digests what an earlier run has left; without an ETag nothing of it is used.
    fn open(path: PathBuf, label: &str, size: u64) -> Result<Self, HubError> {
        let mut options = File::options();
        let file = own::open(options.create(true).truncate(false).read(true).write(true), &path);
        let file = file.map_err(HubError::io("create", &path))?;
        let etag = whole::read(&etag_path(&path), MAX_ETAG)
            .ok()
            .and_then(|text| HeaderValue::from_bytes(&text).ok());
        let length = file.metadata().map_err(HubError::io("read", &path))?.len();
        let label = label.to_owned();
        let digests = StreamDigests::new(size);
        let mut part = PartialFile { path, label, file, size, length: 0, digests, etag };
        if length == 0 || length > size || part.etag.is_none() {
            part.reset()?;
            return Ok(part);
        }
        let there = io::copy(&mut (&part.file).take(length), &mut part.digests);
        part.length = there.map_err(HubError::io("read", &part.path))?;
        if part.length < length {
            part.reset()?;
        }
        Ok(part)
    }

    fn reset(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::io("shorten", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(HubError::io("rewind", &self.path))?;
        self.digests = StreamDigests::new(self.size);
        self.length = 0;
        self.etag = None;
        match fs::remove_file(etag_path(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HubError::io("remove", etag_path(&self.path))(error))
            }
            _ => Ok(()),
        }
    }

    /// From the first byte again, the shown progress too.
    fn restart(&mut self, progress: &dyn Progress) -> Result<(), HubError> {
        if self.length > 0 {
            progress.end();
            progress.begin(&self.label, Some(self.size), Unit::Transfer);
        }
        self.reset()
    }

    fn remember(&mut self, etag: Option<&HeaderValue>) -> Result<(), HubError> {
        // A weak ETag does not promise the same bytes.
        if let Some(etag) = etag.filter(|etag| etag.as_bytes().starts_with(b"\"")) {
            let path = etag_path(&self.path);
            let written = own::create(&path).and_then(|mut file| file.write_all(etag.as_bytes()));
            written.map_err(HubError::io("write", path))?;
            self.etag = Some(etag.clone());
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(HubError::io("write", &self.path))?;
        self.digests.write_all(bytes).expect("digests take any bytes");
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Where a file grows until it is whole.
fn part_path(path: &Path, file: &RemoteFile) -> PathBuf {
    let short: String = file.digest.digits().chars().take(16).collect();
    path.with_added_extension(format!("{short}.part"))
}

fn etag_path(part: &Path) -> PathBuf {
    part.with_added_extension("etag.part")
}

/// A folder of the cache that is being filled with files of one commit; whoever has it holds the folder's lock.
pub(super) struct Filling<'a> {
    pub http: &'a Http<'a>,
    pub repo: &'a Repo<'a>,
    pub commit: &'a str,
    pub folder: &'a Path,
    pub manifest: Manifest,
    pub progress: &'a dyn Progress,
}

impl Filling<'_> {
    /// Fetches what is not there yet of the files that were asked for as `set`. They are listed before the first one
    /// comes, so that a set of which some are there is not taken for a whole one.
    pub(super) fn fetch_set(&mut self, set: &str, files: &[&RemoteFile]) -> Result<(), HubError> {
        let missing = files.iter().filter(|file| self.manifest.has(self.folder, &file.path).is_none());
        cache::check_room(self.folder, missing.map(|file| file.size))?;
        let paths = files.iter().map(|file| file.path.clone()).collect();
        self.manifest.sets.insert(set.to_owned(), paths);
        self.manifest.save(self.folder)?;
        files.iter().try_for_each(|file| self.fetch(file))
    }

    /// Adds a file to what is missing, unless it is there; of one that broke off, the rest.
    pub(super) fn count(&self, file: &RemoteFile, missing: &mut Missing) {
        let path = self.folder.join(&file.path);
        let has = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        let here = if self.manifest.has(self.folder, &file.path).is_some() || has(&path) == file.size {
            file.size
        } else {
            has(&part_path(&path, file)).min(file.size)
        };
        if here < file.size {
            missing.add(1, Some(file.size - here));
        }
    }

    /// Fetches one file, unless it is there, and lists it.
    pub(super) fn fetch(&mut self, file: &RemoteFile) -> Result<(), HubError> {
        if self.manifest.has(self.folder, &file.path).is_none() {
            let entry = self.download(file)?;
            self.manifest.files.insert(file.path.clone(), entry);
            self.manifest.save(self.folder)?;
        }
        Ok(())
    }

    /// Fetches one file under its own path, or takes it as it is there already.
    fn download(&self, file: &RemoteFile) -> Result<Entry, HubError> {
        let path = self.folder.join(&file.path);
        if let Some(entry) = already_there(&path, file)? {
            return Ok(entry);
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(HubError::io("create", parent))?;
        }
        let label = file.path.rsplit('/').next().unwrap_or(&file.path);
        let mut part = PartialFile::open(part_path(&path, file), label, file.size)?;
        let sha256 = progress::during(self.progress, label, Some(file.size), Unit::Transfer, || {
            self.progress.advance(part.length);
            self.fill(file, &mut part)
        })?;
        cache::publish(&part.path, &path)?;
        remove_leftovers(&path);
        Ok(Entry { size: file.size, sha256 })
    }

    /// Attempts until the part is whole and right; then its SHA-256.
    fn fill(&self, file: &RemoteFile, part: &mut PartialFile) -> Result<String, HubError> {
        let wanted = self.repo.wanted(self.http, Some(&file.path));
        let url = self.repo.file_url(self.http, self.commit, &file.path);
        let (mut failures, mut restarts) = (0, 0);
        let mut pace = Pace::from(part.length);
        loop {
            if part.length < part.size
                && let Outcome::Broken(message) = self.attempt(&url, part, &wanted)?
            {
                // A line may break as often as it likes while the file grows.
                let grows = pace.holds(part.length, self.http.config.least_rate);
                failures = if grows { 1 } else { failures + 1 };
                pace = Pace::from(part.length.max(pace.from));
                if failures >= self.http.config.attempts {
                    return Err(self.http.unreachable(&url, &wanted, message));
                }
                tracing::info!("{}: {message} at byte {} of {}", wanted.what, part.length, part.size);
                self.http.pause(failures, None, &host(&url));
                continue;
            }
            let digests = std::mem::replace(&mut part.digests, StreamDigests::new(part.size));
            let Mismatch { algorithm, found } = match digests.compare(&file.digest) {
                Ok(sha256) => {
                    part.file.sync_all().map_err(HubError::io("write", &part.path))?;
                    return Ok(sha256);
                }
                Err(mismatch) => mismatch,
            };
            let what = wanted.what.clone();
            let expected = file.digest.digits().to_owned();
            let error = HubError::Digest { what, algorithm, expected, found };
            part.restart(self.progress)?;
            if restarts >= MAX_RESTARTS {
                let _ = fs::remove_file(&part.path);
                return Err(error);
            }
            restarts += 1;
            tracing::warn!("{error}; fetching it again");
        }
    }

    /// One request: the rest of the file, or all of it.
    fn attempt(&self, url: &Url, part: &mut PartialFile, wanted: &Wanted) -> Result<Outcome, HubError> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = part.etag.as_ref().filter(|_| part.length > 0) {
            let range = HeaderValue::from_str(&format!("bytes={}-", part.length));
            headers.insert(RANGE, range.expect("digits are a header's value"));
            headers.insert(IF_RANGE, etag.clone());
        }
        let answer = self.http.get(url, &headers, wanted)?;
        let header = |name| answer.headers().get(name);
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if part.length > 0 => {
                if range_of(&answer) != Some((part.length, part.size)) {
                    let found = header(CONTENT_RANGE).map(|range| format!("{range:?}"));
                    part.restart(self.progress)?;
                    return Ok(Outcome::Broken(format!("another range than the one asked for: {found:?}")));
                }
            }
            StatusCode::OK => {
                let length = header(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
                if let Some(length) = length.filter(|length| *length != part.size) {
                    let expected = format!("the listed {} bytes", part.size);
                    return Err(HubError::bad_answer(&wanted.what, expected, format!("{length} bytes")));
                }
                part.restart(self.progress)?;
                part.remember(header(ETAG))?;
            }
            StatusCode::RANGE_NOT_SATISFIABLE if part.length > 0 => {
                part.restart(self.progress)?;
                return Ok(Outcome::Broken("the range was refused".to_owned()));
            }
            other => return Err(HubError::bad_answer(&wanted.what, "the file", format!("status {other}"))),
        }
        self.receive(answer, part, wanted)
    }

    fn receive(
        &self,
        mut answer: Response,
        part: &mut PartialFile,
        wanted: &Wanted,
    ) -> Result<Outcome, HubError> {
        let HubConfig { timeout, least_rate, .. } = *self.http.config;
        let mut buffer = vec![0; BUFFER];
        let mut pace = Pace::from(part.length);
        loop {
            let n = match answer.read(&mut buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Outcome::Broken(names::printable(&error.to_string(), 200))),
            };
            if n == 0 {
                if part.length == part.size {
                    return Ok(Outcome::Complete);
                }
                return Ok(Outcome::Broken("the connection was closed early".to_owned()));
            }
            if part.length + n as u64 > part.size {
                part.reset()?;
                let expected = format!("the listed {} bytes", part.size);
                return Err(HubError::bad_answer(&wanted.what, expected, "more"));
            }
            part.append(&buffer[..n])?;
            self.progress.advance(n as u64);
            if part.length < part.size && pace.since.elapsed() >= timeout {
                if !pace.holds(part.length, least_rate) {
                    return Ok(Outcome::Broken(format!("fewer than {least_rate} bytes a second")));
                }
                pace = Pace::from(part.length);
            }
        }
    }
}

/// Start and total length of a `Content-Range: bytes a-b/total` that reaches to the end of the file.
fn range_of(answer: &Response) -> Option<(u64, u64)> {
    let range = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (span, total) = range.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, total): (u64, u64, u64) =
        (first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?);
    (last.checked_add(1)? == total).then_some((first, total))
}

/// A file that is there under its final name and has the promised digest.
fn already_there(path: &Path, file: &RemoteFile) -> Result<Option<Entry>, HubError> {
    let Ok(found) = fs::metadata(path) else { return Ok(None) };
    if !found.is_file() || found.len() != file.size {
        return Ok(None);
    }
    let mut there = whole::open(path).map_err(HubError::io("read", path))?;
    let mut digests = StreamDigests::new(file.size);
    io::copy(&mut there, &mut digests).map_err(HubError::io("read", path))?;
    Ok(digests.compare(&file.digest).ok().map(|sha256| Entry { size: file.size, sha256 }))
}

/// Removes parts of this file, also those of its older versions.
fn remove_leftovers(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let prefix = format!("{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&prefix) && found.ends_with(".part") {
            // A leftover costs room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}
