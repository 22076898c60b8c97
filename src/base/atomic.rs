//! Files that are complete or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::own;

/// A file under a temporary name; [`commit`](Self::commit) gives it its own. Dropped before that, it is removed.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Opens a temporary file beside `target`; folders are made as needed.
    pub fn create(target: &Path) -> io::Result<Self> {
        let folder = target.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(|e| at(folder, e))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let file = own::create(&temporary).map_err(|e| at(&temporary, e))?;
        let writer = Some(BufWriter::new(file));
        Ok(Self { target: target.to_owned(), temporary, writer })
    }

    /// Flushes everything to the disk and moves the file to its place.
    pub fn commit(mut self) -> io::Result<()> {
        let writer = self.writer.take().expect("a file is committed once");
        let file = writer.into_inner().map_err(|e| at(&self.target, e.into_error()))?;
        file.sync_all().map_err(|e| at(&self.target, e))?;
        drop(file);
        fs::rename(&self.temporary, &self.target).map_err(|e| at(&self.target, e))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes).map_err(|e| at(&self.target, e)),
            None => Err(io::Error::other("the file was closed")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.flush().map_err(|e| at(&self.target, e)),
            None => Ok(()),
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        self.writer = None;
        // After a commit there is nothing left under this name, and that is fine.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes a whole small file.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(target)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Removes the temporary files that a killed program left in `folder` and below; returns how many there were.
///
/// Call it only where nobody else is writing. Links are not followed.
pub fn remove_leftovers(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(|e| at(folder, e))? {
        let entry = entry.map_err(|e| at(folder, e))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|e| at(folder, e))?;
        if kind.is_dir() {
            removed += remove_leftovers(&path)?;
        } else if kind.is_file() && is_temporary(&entry.file_name().to_string_lossy()) {
            fs::remove_file(&path).map_err(|e| at(&path, e))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a name is one that [`AtomicFile::create`] gives.
fn is_temporary(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let process = inner.and_then(|inner| inner.rsplit_once('.')).map(|(_, process)| process);
    process.is_some_and(|process| !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()))
}

fn at(path: &Path, error: io::Error) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space or choose another folder with --out, then run again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder you may write to with --out"
        }
        _ => "",
    };
    io::Error::new(error.kind(), format!("{}: {error}{advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_committed_file_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a/b.txt");
        write_atomically(&target, b"one").unwrap();
        write_atomically(&target, b"two").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_at_the_temporary_name_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, target) = (folder.path().join("theirs"), folder.path().join("b.txt"));
        fs::write(&theirs, "precious").unwrap();
        let temporary = folder.path().join(format!(".b.txt.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink(&theirs, &temporary).unwrap();
        write_atomically(&target, b"new").unwrap();
        assert_eq!(
            (fs::read(&theirs).unwrap(), fs::read(&target).unwrap()),
            (b"precious".to_vec(), b"new".to_vec())
        );
    }

    #[test]
    fn an_abandoned_file_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("b.txt");
        write_atomically(&target, b"old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_program_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for name in ["a/.b.txt.123.tmp", ".c.9.tmp", ".c.tmp", "c.9.tmp", ".c.9x.tmp", "a/b.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 2);
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 0);
        assert!(folder.path().join("a/b.txt").exists() && folder.path().join(".c.tmp").exists());
    }

    #[test]
    fn a_full_disk_is_said_with_the_file_and_leaves_nothing() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            eprintln!("SKIPPED: no /dev/full on this system");
            return;
        }
        // Every write to /dev/full fails as on a full disk.
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("results.csv");
        let mut file = AtomicFile::create(&target).unwrap();
        file.writer = Some(BufWriter::with_capacity(4, OpenOptions::new().write(true).open(full).unwrap()));
        let message = file.write_all(b"more than the buffer holds").unwrap_err().to_string();
        assert!(message.contains("results.csv") && message.contains("free some space"), "{message}");
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
