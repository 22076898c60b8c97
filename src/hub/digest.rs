//! Digests of what is fetched: SHA-256, and the SHA-1 by which git names a blob.
//!
//! A hub names large files by SHA-256. Small ones it names by git's blob id, the SHA-1 of
//! `"blob <size>\0"` and the bytes (FIPS 180-4, section 6.1). That is good enough against damage on
//! the way, which is all it is used for.

use crate::base::digest::{Digest, Sha1, Sha256, hex};

/// Both digests of a stream whose length is known beforehand.
pub(super) struct Digests {
    sha256: Sha256,
    git: Sha1,
}

impl Digests {
    /// Digests of a file of `size` bytes.
    pub(super) fn new(size: u64) -> Self {
        let mut git = Sha1::new();
        git.update(format!("blob {size}\0").as_bytes());
        Digests { sha256: Sha256::new(), git }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.git.update(bytes);
    }

    /// (SHA-256, git blob id), both in hexadecimal.
    pub(super) fn finish(self) -> (String, String) {
        (hex(self.sha256.finalize()), hex(self.git.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_named_as_git_names_them() {
        let digests = |bytes: &[u8]| {
            let mut digests = Digests::new(bytes.len() as u64);
            digests.update(bytes);
            digests.finish()
        };
        assert_eq!(digests(b"").1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(digests(b"hello\n").1, "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests(b"abc").0, sha256);
    }
}
