//! A position in the bytes of a GGUF header, with every read bounds-checked.

use std::path::Path;

use crate::base::fault::{Fault, FaultKind};

/// Longest string. Chat templates reach tens of kilobytes; token lists are arrays of short strings.
const MAX_STRING: u64 = 16 << 20;

/// Reads little-endian values from the front of a file.
pub(super) struct Cursor<'a> {
    file: &'a Path,
    bytes: &'a [u8],
    position: usize,
    last: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a Path, bytes: &'a [u8]) -> Self {
        Cursor { file, bytes, position: 0, last: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// A fault of the value that was read last.
    pub(super) fn fault(
        &self,
        kind: FaultKind,
        what: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Fault> {
        Fault::new(self.file, kind, expected, found).at(format!("{what}, byte {}", self.last))
    }

    /// The next `count` bytes; `what` names them in the message.
    pub(super) fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], Box<Fault>> {
        self.last = self.position;
        match self.bytes.get(self.position..).and_then(|rest| rest.get(..count)) {
            Some(bytes) => {
                self.position += count;
                Ok(bytes)
            }
            None => {
                let found = format!("{} bytes before the end of the file", self.remaining());
                Err(self.fault(FaultKind::Truncated, what, format!("{count} bytes"), found))
            }
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Box<Fault>> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Box<Fault>> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Box<Fault>> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of at most `most` things of at least `least` bytes each. A count that the rest of the file
    /// cannot hold is a fault before anything of that size is allocated.
    pub(super) fn count(&mut self, what: &str, least: usize, most: u64) -> Result<usize, Box<Fault>> {
        let count = self.u64(what)?;
        if count > most {
            let expected = format!("at most {most}");
            return Err(self.fault(FaultKind::LimitExceeded, what, expected, count.to_string()));
        }
        let held = self.remaining() / least;
        usize::try_from(count).ok().filter(|&count| count <= held).ok_or_else(|| {
            let expected = format!("data for a count of {count}");
            self.fault(FaultKind::Truncated, what, expected, format!("a file that ends after at most {held}"))
        })
    }

    /// A string with a 64-bit length, checked to be UTF-8 and at most `most` bytes long.
    pub(super) fn string_of(&mut self, what: &str, most: u64) -> Result<String, Box<Fault>> {
        let length = self.u64(what)?;
        let held = self.remaining() as u64;
        let beyond_any_file = length > i64::MAX as u64;
        if beyond_any_file || (length > most && length <= held) {
            let expected = format!("a string of at most {most} bytes");
            return Err(self.fault(FaultKind::LimitExceeded, what, expected, format!("{length} bytes")));
        }
        let bytes = match usize::try_from(length) {
            Ok(length) if length <= self.remaining() => self.take(length, what)?,
            _ => {
                let found = format!("{held} bytes before the end of the file");
                return Err(self.fault(FaultKind::Truncated, what, format!("{length} bytes"), found));
            }
        };
        // Copied before it is checked: the mapped bytes are not ours alone.
        String::from_utf8(bytes.to_vec()).map_err(|error| {
            let first = self.last + error.utf8_error().valid_up_to();
            let found = format!("an invalid byte at {first}");
            self.fault(FaultKind::InconsistentHeader, what, "UTF-8", found)
        })
    }

    /// A string of ordinary length.
    pub(super) fn string(&mut self, what: &str) -> Result<String, Box<Fault>> {
        self.string_of(what, MAX_STRING)
    }
}
