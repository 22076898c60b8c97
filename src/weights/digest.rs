//! One digest for the files of a model, remembered from run to run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tracing::debug;

use self::stamp::Stamp;
use crate::base::atomic::write_atomically;
use crate::base::digest::{is_hex, sha256, sha256_of_file};
use crate::base::progress::Silent;
use crate::base::whole;

/// Digests of files, and a folder that remembers those of large ones as long as the files stay as they are.
///
/// A file counts as the same while device, inode, length and the times of its last changes are the same, down to the
/// nanosecond; a file that changed in the last seconds is not remembered, since clocks of file systems are coarse.
#[derive(Debug, Clone, Default)]
pub struct FileDigests {
    folder: Option<PathBuf>,
}

impl FileDigests {
    /// Digests that are remembered in `folder`, if there is one.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The SHA-256 of the one file, or of the lines `<sha256>  <file name>\n` of several, sorted by name: what
    /// `sha256sum * | sha256sum` would print in their folder.
    ///
    /// # Errors
    /// Files that cannot be read. What cannot be remembered or recalled is computed.
    pub fn of(&self, files: &[PathBuf]) -> io::Result<String> {
        self.of_checked(files, |_, _| Ok(()))
    }

    /// The same after every file and its digest have passed a check.
    ///
    /// # Errors
    /// As [`of`](Self::of), and what the check says.
    pub fn of_checked(
        &self,
        files: &[PathBuf],
        check: impl Fn(&Path, &str) -> io::Result<()>,
    ) -> io::Result<String> {
        let mut files: Vec<&PathBuf> = files.iter().collect();
        files.sort();
        let digests: Vec<String> =
            files.par_iter().map(|file| self.of_file(file)).collect::<io::Result<_>>()?;
        files.iter().zip(&digests).try_for_each(|(file, digest)| check(file, digest))?;
        if let [only] = digests.as_slice() {
            return Ok(only.clone());
        }
        let line = |(file, digest): (&&PathBuf, String)| {
            let name = file.file_name().expect("a file that was read has a name").to_string_lossy();
            format!("{digest}  {name}\n")
        };
        Ok(sha256(files.iter().zip(digests).map(line).collect::<String>()))
    }

    fn of_file(&self, path: &Path) -> io::Result<String> {
        let note = self.note_of(path)?;
        let before = Stamp::of(path)?;
        if let Some(note) = &note
            && let Some(known) = recall(note, &before)
        {
            debug!("{}: digest recalled from {}", path.display(), note.display());
            return Ok(known);
        }
        let digest = sha256_of_file(path, &Silent)?;
        if let Some(note) = note
            && before.is_settled()
            && Stamp::of(path)? == before
            && let Err(error) = write_atomically(&note, format!("{before} {digest}\n").as_bytes())
        {
            debug!("the digest of {} is not remembered: {error}", path.display());
        }
        Ok(digest)
    }

    /// Where the digest of a file is remembered: under a name made of its path.
    fn note_of(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = fs::canonicalize(path)?;
        let mut name = sha256(path.as_os_str().as_encoded_bytes());
        name.truncate(32);
        Ok(Some(folder.join(name)))
    }
}

/// The digest in a note, if it was made of a file with this stamp.
fn recall(note: &Path, stamp: &Stamp) -> Option<String> {
    let text = whole::text(note, 1024).ok()?;
    let digest = text.strip_prefix(&format!("{stamp} "))?.strip_suffix('\n')?;
    is_hex(digest, 64).then(|| digest.to_owned())
}

mod stamp {
    use std::fmt;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::time::{SystemTime, UNIX_EPOCH};

    /// Seconds after which a file that changed will have another time when it changes again.
    const SETTLED: i64 = 3;

    /// What changes when a file does.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Stamp {
        device: u64,
        inode: u64,
        length: u64,
        /// Seconds and nanoseconds since 1970.
        modified: (i64, i64),
        /// The same of the last change of content, name or rights.
        changed: (i64, i64),
    }

    impl Stamp {
        /// Of the file that a path leads to.
        pub fn of(path: &Path) -> io::Result<Self> {
            let found = std::fs::metadata(path)?;
            Ok(Self {
                device: found.dev(),
                inode: found.ino(),
                length: found.len(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            })
        }

        /// Whether the last change is some time ago.
        pub fn is_settled(&self) -> bool {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
            now.saturating_sub(self.modified.0.max(self.changed.0)) >= SETTLED
        }
    }

    impl fmt::Display for Stamp {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self { device, inode, length, modified, changed } = self;
            write!(f, "{device} {inode} {length} {}.{} {}.{}", modified.0, modified.1, changed.0, changed.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn one_file_is_its_own_digest_and_several_depend_on_names() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "abc").unwrap();
        fs::write(&b, "").unwrap();
        let digests = FileDigests::default();
        assert_eq!(digests.of(std::slice::from_ref(&a)).unwrap(), ABC);
        let both = digests.of(&[b.clone(), a.clone()]).unwrap();
        assert_eq!(both, digests.of(&[a, b.clone()]).unwrap());
        assert!(both != ABC && both.len() == 64);
        assert!(digests.of(&[b.with_file_name("missing")]).is_err());
    }

    /// A note as a run leaves it, for a file whose last change is too near to leave one.
    fn remember(digests: &FileDigests, file: &Path, digest: &str) -> PathBuf {
        let note = digests.note_of(file).unwrap().unwrap();
        let stamp = Stamp::of(file).unwrap();
        write_atomically(&note, format!("{stamp} {digest}\n").as_bytes()).unwrap();
        note
    }

    #[cfg(unix)]
    #[test]
    fn what_is_remembered_holds_as_long_as_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights");
        fs::write(&file, "abc").unwrap();
        let digests = FileDigests::new(Some(folder.path().join("digests")));
        let of = |digests: &FileDigests| digests.of(std::slice::from_ref(&file)).unwrap();
        assert_eq!(of(&digests), ABC);
        assert!(!folder.path().join("digests").exists(), "the file has just changed");

        let other = "0".repeat(64);
        let note = remember(&digests, &file, &other);
        assert_eq!(of(&digests), other);
        // The same length, another time.
        let time = SystemTime::now() - Duration::from_secs(100);
        File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        assert_eq!(of(&digests), ABC);
        // Notes that were cut or written by somebody else.
        for damaged in ["", "1 2 3", &format!("{} xyz\n", Stamp::of(&file).unwrap())] {
            fs::write(&note, damaged).unwrap();
            assert_eq!(of(&digests), ABC, "{damaged:?}");
        }
        // Another file in the same place.
        remember(&digests, &file, &other);
        fs::write(folder.path().join("new"), "abcd").unwrap();
        fs::rename(folder.path().join("new"), &file).unwrap();
        assert_ne!(of(&digests), other);
    }
}
