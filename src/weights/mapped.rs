//! A file mapped into memory, read-only.
//!
//! Weights are larger than most memories and each byte is needed at most once per wave, so the
//! operating system's page cache is the right buffer. This is the only place of the room with
//! `unsafe`. Bytes that are in memory already, such as those of a fuzzer, take the same way.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap};

use super::{Access, WeightsError};
use crate::base::fault::{Fault, FaultKind};
use crate::base::recognise::dangling_fault;
use crate::base::whole;

/// A regular file and its bytes.
///
/// The file must not be shortened while it is mapped; the system would end the process with SIGBUS.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Mapped(Mmap, File),
    Owned(Vec<u8>),
}

impl MappedFile {
    /// Maps a regular file. Devices, pipes and folders are refused before they are opened.
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let about = std::fs::metadata(path).map_err(|error| match dangling_fault(path) {
            Some(fault) => fault.into(),
            None => WeightsError::io(path, "open", error),
        })?;
        if !about.is_file() {
            let found = if about.is_dir() { "a folder" } else { "a device, pipe or socket" };
            return Err(Fault::new(path, FaultKind::Unsupported, "a regular file", found)
                .advice("name a weights file")
                .into());
        }
        let file = whole::open(path).map_err(|e| WeightsError::io(path, "open", e))?;
        let map = map_read_only(&file).map_err(|e| WeightsError::io(path, "map", e))?;
        Ok(MappedFile { path: path.to_owned(), content: Content::Mapped(map, file) })
    }

    /// A file that is in memory already; `path` names it in messages.
    pub(crate) fn from_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        MappedFile { path: path.to_owned(), content: Content::Owned(bytes) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Mapped(map, _) => map,
            Content::Owned(bytes) => bytes,
        }
    }

    /// Tells the system how a range of the file will be used. What it makes of that is its own affair, so a
    /// refusal is no error.
    pub(crate) fn hint(&self, range: Range<usize>, access: Access) {
        let Content::Mapped(map, file) = &self.content else { return };
        let range = range.start.min(map.len())..range.end.min(map.len());
        if range.is_empty() {
            return;
        }
        let result = match access {
            Access::Soon => map.advise_range(Advice::WillNeed, range.start, range.len()),
            Access::Done => release(map, range),
            Access::Forget => release(map, range.clone()).and_then(|()| forget(file, range)),
        };
        if let Err(error) = result {
            tracing::trace!("{}: {access:?}: {error}", self.path.display());
        }
    }
}

/// Drops the pages of a range from this process's memory; the next access reads the file again.
#[cfg(unix)]
#[allow(unsafe_code)]
fn release(map: &Mmap, range: Range<usize>) -> std::io::Result<()> {
    // SAFETY: the pages of a read-only file mapping hold what the file holds and are read again on the next
    // access, so dropping them changes no byte that anyone sees.
    unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) }
}

#[cfg(not(unix))]
fn release(_: &Mmap, _: Range<usize>) -> std::io::Result<()> {
    Ok(())
}

/// Tells the system that nobody needs its copy of a range.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn forget(file: &File, range: Range<usize>) -> std::io::Result<()> {
    let length = std::num::NonZeroU64::new(range.len() as u64);
    Ok(rustix::fs::fadvise(file, range.start as u64, length, rustix::fs::Advice::DontNeed)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn forget(_: &File, _: Range<usize>) -> std::io::Result<()> {
    Ok(())
}

#[allow(unsafe_code)]
fn map_read_only(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is private and read-only, and only handed out as `&[u8]` that borrows it. What Rust
    // cannot rule out is another process changing the file meanwhile: tensor data are plain numbers whose
    // every value is valid, and the readers copy all text of a header before they check it.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn maps_what_the_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        for bytes in [&b""[..], b"x", &[7; 10_000]] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(MappedFile::open(&path).unwrap().bytes(), bytes);
            let owned = MappedFile::from_bytes(&path, bytes.to_vec());
            owned.hint(0..bytes.len(), Access::Done);
            assert_eq!(owned.bytes(), bytes);
        }
    }

    #[test]
    fn released_pages_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let file = MappedFile::open(&path).unwrap();
        for range in [0..100_000, 5..70_001, 99_999..100_000, 7..7, 90_000..usize::MAX] {
            file.hint(range.clone(), Access::Soon);
            assert_eq!(file.bytes(), bytes);
            for access in [Access::Done, Access::Forget] {
                file.hint(range.clone(), access);
                assert_eq!(file.bytes(), bytes);
            }
        }
    }

    #[test]
    fn refuses_folders_devices_and_absent_files() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: &Path| MappedFile::open(path).unwrap_err().fault_kind();
        assert_eq!(kind(folder.path()), Some(FaultKind::Unsupported));
        #[cfg(unix)]
        assert_eq!(kind(Path::new("/dev/zero")), Some(FaultKind::Unsupported));
        let absent = folder.path().join("absent");
        assert!(matches!(MappedFile::open(&absent), Err(WeightsError::Io { .. })));
    }
}
