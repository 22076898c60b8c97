//! Files that are read whole: regular ones, up to a limit.
//!
//! What a file says of its size is no promise: a device says 0 and never ends, a pipe keeps whoever opens it waiting. So a file
//! is opened without waiting, looked at when it is open, and read up to its limit.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// More bytes than are read of such a file: the source of an [`io::Error`] of the kind `FileTooLarge`.
#[derive(Debug, thiserror::Error)]
#[error("{bytes} bytes or more, expected at most {limit}")]
pub struct TooLarge {
    /// How many there are at least.
    pub bytes: u64,
    /// The most that are read.
    pub limit: u64,
}

impl TooLarge {
    /// What an error says of a limit, if that is what it says.
    pub fn of(error: &io::Error) -> Option<&TooLarge> {
        error.get_ref()?.downcast_ref()
    }

    fn error(bytes: u64, limit: u64) -> io::Error {
        io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { bytes, limit })
    }
}

/// What is read until its end, or an error after `limit` bytes.
#[derive(Debug)]
pub struct Bounded<R> {
    reader: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    /// At most `limit` bytes of a reader.
    pub fn new(reader: R, limit: u64) -> Self {
        Bounded { reader, left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !out.is_empty() {
            // A file may end exactly here.
            let more = self.reader.read(&mut [0])?;
            return if more == 0 { Ok(0) } else { Err(TooLarge::error(self.limit + 1, self.limit)) };
        }
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut out[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Opens a regular file, or a link to one, for reading; a pipe that nobody writes to keeps nobody waiting.
///
/// # Errors
/// As [`File::open`]; everything that is no regular file, by what it is.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        return Ok(file);
    }
    let text = format!("expected a regular file, found {}", name_of(kind));
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Opens a regular file of at most `limit` bytes, to be read piece by piece.
///
/// # Errors
/// As [`open`]; `FileTooLarge`, now or while it is read.
pub fn reader(path: &Path, limit: u64) -> io::Result<Bounded<File>> {
    sized(path, limit).map(|(reader, _)| reader)
}

/// The content of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; `FileTooLarge`.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (mut reader, size) = sized(path, limit)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))?;
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`read`]; bytes that are no UTF-8.
pub fn text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn sized(path: &Path, limit: u64) -> io::Result<(Bounded<File>, u64)> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Err(TooLarge::error(size, limit));
    }
    Ok((Bounded::new(file, limit), size))
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!((read(&path, 3).unwrap(), text(&path, 9).unwrap().as_str()), (b"abc".to_vec(), "abc"));
        let error = read(&path, 2).unwrap_err();
        assert!(matches!(TooLarge::of(&error), Some(TooLarge { bytes: 3, limit: 2 })), "{error}");
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(text(&path, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&folder.path().join("b"), 3).unwrap_err().kind(), io::ErrorKind::NotFound);
        // Its size is known to nobody before it is read.
        let limit = std::fs::read("/proc/self/stat").unwrap().len() as u64 / 2;
        assert!(TooLarge::of(&read(Path::new("/proc/self/stat"), limit).unwrap_err()).is_some());
    }

    #[test]
    fn what_has_no_end_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        symlink("/dev/zero", &link).unwrap();
        for (path, found) in [
            (folder.path(), "a folder"),
            (&pipe, "a pipe"),
            (&link, "a device"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path, 9).unwrap_err().to_string();
            assert_eq!(error, format!("expected a regular file, found {found}"));
        }
    }

    #[test]
    fn a_reader_ends_with_its_input_or_in_an_error() {
        let of = |limit| {
            let mut out = Vec::new();
            Bounded::new(&b"abcd"[..], limit).read_to_end(&mut out).map(|_| out)
        };
        assert_eq!((of(4).unwrap(), of(9).unwrap()), (b"abcd".to_vec(), b"abcd".to_vec()));
        assert!(TooLarge::of(&of(3).unwrap_err()).is_some());
        assert!(TooLarge::of(&of(0).unwrap_err()).is_some());
    }
}
