//! SHA-256 of what a reader gives, with progress.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::base::progress::Progress;

/// Bytes read at a time.
const BLOCK: u64 = 1 << 20;

/// The digest in lower-case hexadecimal; `progress` advances by the bytes read.
pub(crate) fn sha256(mut reader: impl Read, progress: &dyn Progress) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = Vec::new();
    loop {
        block.clear();
        let read = (&mut reader).take(BLOCK).read_to_end(&mut block)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block);
        progress.advance(read as u64);
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
