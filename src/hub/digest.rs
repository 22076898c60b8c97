//! Digests of what is fetched: SHA-256, and the SHA-1 by which git names a blob.
//!
//! A hub names large files by SHA-256. Small ones it names by git's blob id, the SHA-1 of
//! `"blob <size>\0"` and the bytes (FIPS 180-4, section 6.1). That is good enough against damage on
//! the way, which is all it is used for.

use sha2::{Digest, Sha256};

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

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
        (hex(&self.sha256.finalize()), hex(&self.git.finish()))
    }
}

/// SHA-1, block by block.
struct Sha1 {
    state: [u32; 5],
    /// Bytes that do not fill a block yet.
    pending: Vec<u8>,
    length: u64,
}

impl Sha1 {
    fn new() -> Self {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        Sha1 { state, pending: Vec::with_capacity(64), length: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if !self.pending.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(64 - self.pending.len()));
            self.pending.extend_from_slice(head);
            bytes = rest;
            if self.pending.len() < 64 {
                return;
            }
            let block = std::mem::take(&mut self.pending);
            if let Some(block) = block.first_chunk() {
                self.block(block);
            }
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        blocks.iter().for_each(|block| self.block(block));
        self.pending.extend_from_slice(rest);
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = self.length.wrapping_mul(8);
        let mut tail = vec![0x80];
        tail.resize(1 + (119 - self.pending.len()) % 64, 0);
        tail.extend_from_slice(&bits.to_be_bytes());
        self.update(&tail);
        let mut out = [0; 20];
        for (bytes, word) in out.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn block(&mut self, block: &[u8; 64]) {
        let mut w = [0_u32; 80];
        for (word, bytes) in w.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for t in 16..80 {
            w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (t, word) in w.into_iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, value) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha1(bytes: &[u8], step: usize) -> String {
        let mut sha1 = Sha1::new();
        bytes.chunks(step).for_each(|chunk| sha1.update(chunk));
        hex(&sha1.finish())
    }

    #[test]
    fn sha1_matches_the_examples_of_the_standard() {
        assert_eq!(sha1(b"abc", 1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sha1(b"", 1), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for step in [1, 7, 56, 64, 100] {
            assert_eq!(sha1(two, step), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
        }
        let million = vec![b'a'; 1_000_000];
        for step in [999, 64, 65_536] {
            assert_eq!(sha1(&million, step), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
        }
    }

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
