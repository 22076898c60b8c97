//! Files that were released XORed with the bytes of a file of their base, so that only its owners can read them.
//!
//! BELLE published its LLaMA models so (after point-alpaca): every file of a model, configuration and tokenizer
//! included, became `<name>.<SHA-256 of the plain file>.enc`, 32 bytes of that digest and then the cipher. Data and key
//! go in blocks of 10 MiB: block `c` of the data uses block `c mod n` of the key's `n`; a key block that is shorter
//! than the data block, which only the last can be, is repeated inside it.
//! Source: BELLE `models/decrypt.py`, and the cards of the encrypted models.

mod folder;
mod name;

pub use folder::{Decrypted, DecryptedFile, decrypt_folder, key_fits};

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::fault::Refusal;
use crate::base::whole;
use crate::forms::FormError;

/// Bytes of a block.
const BLOCK: usize = 10 << 20;
/// Bytes that one task combines.
const PIECE: usize = 1 << 16;

/// A key file, read one block at a time.
#[derive(Debug)]
struct Key {
    path: PathBuf,
    file: File,
    length: u64,
    /// The block that `bytes` holds.
    loaded: Option<u64>,
    /// A block of the key, repeated up to [`BLOCK`] bytes.
    bytes: Vec<u8>,
}

impl Key {
    fn open(path: &Path) -> Result<Key, FormError> {
        let about = std::fs::metadata(path).map_err(|e| FormError::io(path, "open", e))?;
        if !about.is_file() || about.len() == 0 {
            let found = if about.is_file() { "an empty file" } else { "a folder or device" };
            let advice = "name the original consolidated.00.pth of LLaMA";
            return Err(Refusal::new(path.display().to_string(), "a key file", found, advice).into());
        }
        let file = whole::open(path).map_err(|e| FormError::io(path, "open", e))?;
        Ok(Key { path: path.to_owned(), file, length: about.len(), loaded: None, bytes: Vec::new() })
    }

    /// The bytes that block `number` of the data is combined with.
    fn block(&mut self, number: u64) -> Result<&[u8], FormError> {
        let block = number % self.length.div_ceil(BLOCK as u64);
        if self.loaded != Some(block) {
            self.loaded = None;
            let start = block * BLOCK as u64;
            let length = (self.length - start).min(BLOCK as u64);
            self.bytes.resize(length as usize, 0);
            let read =
                self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(&mut self.bytes));
            read.map_err(|e| FormError::io(&self.path, "read", e))?;
            while self.bytes.len() < BLOCK {
                let more = self.bytes.len().min(BLOCK - self.bytes.len());
                self.bytes.extend_from_within(..more);
            }
            // Doubling a prefix keeps the period: each copy starts at a multiple of the block's length.
            self.loaded = Some(block);
        }
        Ok(&self.bytes)
    }
}

/// `data ^= key`, for a key at least as long.
fn combine(data: &mut [u8], key: &[u8]) {
    assert!(key.len() >= data.len(), "a byte of the key for each of the data");
    data.par_chunks_mut(PIECE).zip(key.par_chunks(PIECE)).for_each(|(data, key)| {
        for (byte, key) in data.iter_mut().zip(key) {
            *byte ^= key;
        }
    });
}

#[cfg(test)]
mod tests;
