//! Decrypting all files of a release into a folder.
//!
//! The key is tried before any large file is touched: by its published digest if there is one, then on the smallest
//! file of more than 64 bytes. (All files that PyTorch writes begin alike, so that a file of a few bytes fits any of
//! them as key.) Each file gets its name only after its digest was found right and its bytes are on the disk; a
//! file that is already there with the right digest is kept, so that a stopped run goes on where it was.

use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use super::name::EncryptedName;
use super::{BLOCK, Key, combine};
use crate::base::digest::{Digest as _, Sha256, hex, sha256_of_file};
use crate::base::fault::{Fault, FaultKind, Refusal};
use crate::base::machine::free_bytes;
use crate::base::progress::{self, Progress, Unit};
use crate::base::whole;
use crate::forms::FormError;
use crate::weights::WeightsError;

/// Bytes of the digest that a file begins with.
const DIGEST: usize = 32;
/// A plain file must be longer than this to tell keys apart.
const TELLING: u64 = 64;

/// What was decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decrypted {
    /// The folder with the plain files.
    pub folder: PathBuf,
    /// Its files, by name.
    pub files: Vec<DecryptedFile>,
    /// Files of the release that are not encrypted, which were left alone.
    pub ignored: Vec<String>,
}

/// One plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptedFile {
    /// The file's name in the result.
    pub name: String,
    /// Its SHA-256, which was compared.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether an earlier run had made it.
    pub kept: bool,
}

/// An encrypted file of a release.
#[derive(Debug)]
struct Encrypted {
    path: PathBuf,
    name: EncryptedName,
    /// Bytes of the plain file.
    bytes: u64,
}

/// What speaks for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Nothing yet.
    None,
    /// Its published digest.
    Digest,
    /// A file that it decrypted.
    Files,
}

/// Decrypts every `.enc` file of `release` with the file `key` into `out`. `key_sha256` is the key's published
/// digest in hexadecimal.
///
/// # Errors
/// [`FormError::Refused`] for a key with another digest, a file in the way, two files of one name or none at all;
/// [`FormError::Weights`] with a fault of kind `DigestMismatch` if the key does not fit or a file is damaged;
/// input and output errors. No file of a wrong digest is left behind.
pub fn decrypt_folder(
    release: &Path,
    key: &Path,
    out: &Path,
    key_sha256: Option<&str>,
    progress: &dyn Progress,
) -> Result<Decrypted, FormError> {
    let (files, ignored) = list(release)?;
    let mut key = Key::open(key)?;
    let mut proof = Proof::None;
    if let Some(expected) = key_sha256 {
        check_key(&key, expected, progress)?;
        proof = Proof::Digest;
    }
    check_space(&files, out)?;
    let fresh = !out.exists();
    fs::create_dir_all(out).map_err(|e| FormError::io(out, "create", e))?;
    let total = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.bytes));
    let mut done = Vec::new();
    let result = progress::during(progress, "decrypting", Some(total), Unit::Bytes, || {
        for file in &files {
            let plain = one(file, &mut key, out, proof, progress)?;
            if !plain.kept && plain.bytes > TELLING {
                proof = Proof::Files;
            }
            done.push(plain);
        }
        Ok(())
    });
    if let Err(error) = result {
        if fresh {
            // Fails, as it should, if good files are in it.
            let _ = fs::remove_dir(out);
        }
        return Err(error);
    }
    sync_folder(out);
    done.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Decrypted { folder: out.to_owned(), files: done, ignored })
}

/// Whether `key` decrypts the smallest telling file of `release`; nothing is written.
///
/// # Errors
/// As [`decrypt_folder`], but a wrong key is no error.
pub fn key_fits(release: &Path, key: &Path) -> Result<bool, FormError> {
    let (files, _) = list(release)?;
    let mut key = Key::open(key)?;
    let Some(file) = files.first() else { return Ok(false) };
    let mut source = Source::open(file)?;
    let mut hasher = Sha256::new();
    let mut block = Vec::new();
    while source.next(&mut key, &mut block)? {
        hasher.update(&block);
    }
    Ok(hex(hasher.finalize()) == file.name.sha256)
}

/// The encrypted files, those first that tell most about the key for the least work; and the names of the others.
fn list(release: &Path) -> Result<(Vec<Encrypted>, Vec<String>), FormError> {
    let list = |e| FormError::io(release, "list", e);
    let (mut files, mut ignored) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(release).map_err(list)? {
        let path = entry.map_err(list)?.path();
        let about = fs::metadata(&path).map_err(|e| FormError::io(&path, "open", e))?;
        let name =
            if about.is_file() { EncryptedName::parse(&path).map_err(WeightsError::from)? } else { None };
        let Some(name) = name else {
            ignored.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            continue;
        };
        let Some(bytes) = about.len().checked_sub(DIGEST as u64) else {
            let found = format!("{} bytes", about.len());
            let expected = "at least the 32 bytes of a digest";
            return Err(WeightsError::from(Fault::new(&path, FaultKind::Truncated, expected, found)).into());
        };
        files.push(Encrypted { path, name, bytes });
    }
    ignored.sort();
    files.sort_by(|a, b| a.name.plain.cmp(&b.name.plain));
    for pair in files.windows(2) {
        if let [a, b] = pair
            && a.name.plain == b.name.plain
        {
            let found = format!("{} and {}", a.path.display(), b.path.display());
            let advice = "they are of two revisions: keep one folder per revision";
            let expected = "one file of each plain name";
            return Err(Refusal::new(release.display().to_string(), expected, found, advice).into());
        }
    }
    if files.is_empty() {
        let advice = "fetch the release, or name the folder with its .enc files";
        let place = release.display().to_string();
        return Err(Refusal::new(place, "files ending in .enc", "none", advice).into());
    }
    files.sort_by_key(|file| (file.bytes <= TELLING, file.bytes));
    Ok((files, ignored))
}

/// Refuses if the disk has no room for what is not there yet.
fn check_space(files: &[Encrypted], out: &Path) -> Result<(), FormError> {
    let missing = files.iter().filter(|file| !out.join(&file.name.plain).exists());
    let needed = missing.fold(0u64, |sum, file| sum.saturating_add(file.bytes));
    match free_bytes(out) {
        Some(free) if free < needed => {
            let found = format!("{free} bytes");
            let expected = format!("{needed} free bytes for the plain files");
            let advice = "free some space, or choose a folder on another disk";
            Err(Refusal::new(out.display().to_string(), expected, found, advice).into())
        }
        _ => Ok(()),
    }
}

/// Compares the key's digest.
fn check_key(key: &Key, expected: &str, progress: &dyn Progress) -> Result<(), FormError> {
    let digest = progress::during(progress, "hashing the key", Some(key.length), Unit::Bytes, || {
        sha256_of_file(&key.path, progress)
    });
    let digest = digest.map_err(|e| FormError::io(&key.path, "read", e))?;
    if digest.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let expected = format!("the key with SHA-256 {expected}");
    let found = format!("{} bytes with SHA-256 {digest}", key.length);
    Err(Refusal::new(key.path.display().to_string(), expected, found, KEY_ADVICE).into())
}

/// What users take for the key and is not.
const KEY_ADVICE: &str = "the key is LLaMA 1's original consolidated.00.pth, byte for byte: Hugging Face files, a .pth \
                          that was saved again, and those of Llama 2 or Chinese-LLaMA do not work";

/// An encrypted file that is being read.
struct Source<'a> {
    file: &'a Encrypted,
    reader: File,
    block: u64,
}

impl<'a> Source<'a> {
    /// Opens a file and compares the two digests that it brings.
    fn open(file: &'a Encrypted) -> Result<Source<'a>, FormError> {
        let mut reader = whole::open(&file.path).map_err(|e| FormError::io(&file.path, "open", e))?;
        let mut digest = [0; DIGEST];
        reader.read_exact(&mut digest).map_err(|e| FormError::io(&file.path, "read", e))?;
        let inside = hex(digest);
        if inside != file.name.sha256 {
            let expected =
                format!("the digest of the file's name in its first 32 bytes, {}", file.name.sha256);
            let fault = Fault::new(&file.path, FaultKind::DigestMismatch, expected, inside);
            return Err(WeightsError::from(fault).into());
        }
        Ok(Source { file, reader, block: 0 })
    }

    /// Reads and decrypts the next block; `false` at the end.
    fn next(&mut self, key: &mut Key, out: &mut Vec<u8>) -> Result<bool, FormError> {
        out.clear();
        let read = (&mut self.reader).take(BLOCK as u64).read_to_end(out);
        if read.map_err(|e| FormError::io(&self.file.path, "read", e))? == 0 {
            return Ok(false);
        }
        combine(out, key.block(self.block)?);
        self.block += 1;
        Ok(true)
    }
}

/// A file under a temporary name, removed unless it is given its own.
struct Partial {
    temporary: PathBuf,
    finished: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn one(
    file: &Encrypted,
    key: &mut Key,
    out: &Path,
    proof: Proof,
    progress: &dyn Progress,
) -> Result<DecryptedFile, FormError> {
    let target = out.join(&file.name.plain);
    let plain = |kept| DecryptedFile {
        name: file.name.plain.clone(),
        sha256: file.name.sha256.clone(),
        bytes: file.bytes,
        kept,
    };
    let mut source = Source::open(file)?;
    if target.exists() {
        let found = sha256_of_file(&target, progress).map_err(|e| FormError::io(&target, "read", e))?;
        if found == file.name.sha256 {
            return Ok(plain(true));
        }
        let expected = format!("no file, or the plain file with SHA-256 {}", file.name.sha256);
        let found = format!("another one with SHA-256 {found}");
        let advice = "remove it, or name an empty folder";
        return Err(Refusal::new(target.display().to_string(), expected, found, advice).into());
    }
    // What a killed run left under this name goes; a new file is never a link to somewhere else.
    let temporary = out.join(format!(".{}.partial", file.name.plain));
    let _ = fs::remove_file(&temporary);
    let writer = File::create_new(&temporary).map_err(|e| FormError::io(&temporary, "create", e))?;
    let mut partial = Partial { temporary, finished: false };
    let found = stream(&mut source, key, &writer, &target, progress)?;
    if found != file.name.sha256 {
        let expected = format!("a plain file with SHA-256 {}", file.name.sha256);
        let fault = Fault::new(&file.path, FaultKind::DigestMismatch, expected, found);
        let advice = match proof {
            Proof::Files => "the key fits other files, so this one is damaged: fetch it again".to_owned(),
            Proof::Digest => {
                "the key has its published digest, so this file is damaged or of another release: fetch \
                              it again"
                    .to_owned()
            }
            Proof::None => {
                format!("{} is the wrong key, or this file is damaged; {KEY_ADVICE}", key.path.display())
            }
        };
        return Err(WeightsError::from(fault.advice(advice)).into());
    }
    writer.sync_all().map_err(|e| FormError::io(&target, "write", e))?;
    fs::rename(&partial.temporary, &target).map_err(|e| FormError::io(&target, "rename", e))?;
    partial.finished = true;
    Ok(plain(false))
}

/// Decrypts block after block; while one is hashed and written, the next is read and decrypted. Returns the digest.
fn stream(
    source: &mut Source,
    key: &mut Key,
    mut writer: &File,
    target: &Path,
    progress: &dyn Progress,
) -> Result<String, FormError> {
    let mut hasher = Sha256::new();
    let (mut ready, mut next) = (Vec::new(), Vec::new());
    let mut more = source.next(key, &mut ready)?;
    while more {
        let (written, read) = rayon::join(
            || {
                hasher.update(&ready);
                writer.write_all(&ready)
            },
            || source.next(key, &mut next),
        );
        written.map_err(|e| FormError::io(target, "write", e))?;
        progress.advance(ready.len() as u64);
        more = read?;
        std::mem::swap(&mut ready, &mut next);
    }
    Ok(hex(hasher.finalize()))
}

/// Puts the names themselves on the disk; where folders cannot be synced, nothing is lost but a little safety.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
