//! Files of lines that only grow: appended whole or not at all, synced, and cut where a crash tore the last line.
//!
//! What the lines say and how they are checked is the caller's affair; [`checksum`] is what both journals of this
//! program put into them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::digest::{Digest as _, Sha256, hex};
use super::own;

/// The first 16 hexadecimal digits of the SHA-256 of `parts` one after the other.
pub fn checksum(parts: &[&[u8]]) -> String {
    let hasher = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part));
    hex(&hasher.finalize()[..8])
}

/// A file that grows behind its good bytes.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    /// Bytes that are good.
    length: u64,
    /// How much work a loss of power may cost; a killed program loses nothing that was appended.
    sync_every: Duration,
    /// Opened with the first append.
    file: Option<File>,
    synced: Instant,
}

impl LineFile {
    /// A journal of which the first `length` bytes are kept, the rest cut with the first append. There need not be a
    /// file yet.
    pub fn after(path: &Path, length: u64, sync_every: Duration) -> Self {
        Self { path: path.to_owned(), length, sync_every, file: None, synced: Instant::now() }
    }

    /// The same, written to another file.
    #[cfg(test)]
    pub(crate) fn into_file(self, file: File) -> Self {
        Self { file: Some(file), ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds whole lines, or nothing.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let length = self.length;
        let file = self.opened()?;
        own::check_there(file)?;
        if let Err(error) = file.write_all(lines) {
            // If this fails too, the piece is a torn line, which the next reader knows about.
            let _ = file.set_len(length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        if self.synced.elapsed() >= self.sync_every { self.sync() } else { Ok(()) }
    }

    /// Cuts the file behind its good bytes now, before anything is appended.
    pub fn cut(&mut self) -> io::Result<()> {
        self.opened().map(|_| ())
    }

    fn opened(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            closed => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder)?;
                }
                let file = own::open(OpenOptions::new().create(true).append(true), &self.path)?;
                // A line that was torn would run into the next one.
                file.set_len(self.length)?;
                Ok(closed.insert(file))
            }
        }
    }

    /// Sees to it that everything appended is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_the_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/journal");
        let mut journal = LineFile::after(&path, 0, Duration::ZERO);
        assert!(journal.is_empty() && !path.exists());
        journal.append(b"one\n").unwrap();
        journal.append(b"two\n").unwrap();
        fs::write(&path, "one\ntwo\ntor").unwrap();
        let mut again = LineFile::after(&path, 8, Duration::ZERO);
        again.append(b"three\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
        assert!(!again.is_empty());
    }

    #[test]
    fn a_file_that_is_removed_is_missed_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("journal"), folder.path().join("link"));
        let mut journal = LineFile::after(&path, 0, Duration::ZERO);
        journal.append(b"one\n").unwrap();
        fs::remove_file(&path).unwrap();
        assert!(journal.append(b"two\n").unwrap_err().to_string().contains("was removed"));
        fs::write(&path, "theirs").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(LineFile::after(&link, 0, Duration::ZERO).append(b"one\n").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            let file = OpenOptions::new().write(true).open(full).unwrap();
            let mut journal = LineFile::after(full, 0, Duration::ZERO).into_file(file);
            assert!(journal.append(b"line\n").is_err() && journal.is_empty());
        }
    }

    #[test]
    fn checksums_are_the_beginning_of_a_digest() {
        assert_eq!(checksum(&[b"a", b"bc"]), "ba7816bf8f01cfea");
    }
}
