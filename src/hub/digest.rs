//! Digests of what is fetched: SHA-256, and the SHA-1 by which git names a blob.
//!
//! A hub names large files by SHA-256. Small ones it names by git's blob id, the SHA-1 of
//! `"blob <size>\0"` and the bytes (FIPS 180-4, section 6.1). That is good enough against damage on
//! the way, which is all it is used for.

use std::io;

use crate::base::digest::{Digest, Sha1, Sha256, hex};

/// The digest by which the hub knows a file, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    /// Of a large file.
    Sha256(String),
    /// git's blob id of a small file.
    Git(String),
}

impl Promise {
    pub(super) fn digits(&self) -> &str {
        match self {
            Promise::Sha256(digits) | Promise::Git(digits) => digits,
        }
    }
}

/// Another digest than the promised one.
pub(super) struct Mismatch {
    pub algorithm: &'static str,
    pub found: String,
}

/// Both digests of a stream whose length is known beforehand.
pub(super) struct StreamDigests {
    sha256: Sha256,
    git: Sha1,
}

impl StreamDigests {
    /// Digests of a file of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let mut git = Sha1::new();
        git.update(format!("blob {size}\0").as_bytes());
        StreamDigests { sha256: Sha256::new(), git }
    }

    /// The SHA-256 of what keeps the promise.
    pub(super) fn compare(self, promise: &Promise) -> Result<String, Mismatch> {
        let (sha256, git) = self.finish();
        let (algorithm, found) = match promise {
            Promise::Sha256(_) => ("SHA-256", &sha256),
            Promise::Git(_) => ("git SHA-1", &git),
        };
        if found == promise.digits() { Ok(sha256) } else { Err(Mismatch { algorithm, found: found.clone() }) }
    }

    /// (SHA-256, git blob id), both in hexadecimal.
    pub(super) fn finish(self) -> (String, String) {
        (hex(self.sha256.finalize()), hex(self.git.finalize()))
    }
}

impl io::Write for StreamDigests {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha256.update(bytes);
        self.git.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn blobs_are_named_as_git_names_them() {
        let digests = |bytes: &[u8]| {
            let mut digests = StreamDigests::new(bytes.len() as u64);
            digests.write_all(bytes).unwrap();
            digests.finish()
        };
        assert_eq!(digests(b"").1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(digests(b"hello\n").1, "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests(b"abc").0, sha256);
    }
}
