//! Digests of bytes, readers and files, as lower-case hexadecimal digits.
//!
//! What is hashed piece by piece uses a [`Digest`] itself and ends with [`hex`].

use std::io::{self, Read, Write};
use std::path::Path;

pub use md5::Md5;
pub use sha1::Sha1;
pub use sha2::{Digest, Sha256};

use super::progress::Progress;
use super::whole;

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// Bytes, or a finished digest, as lower-case hexadecimal digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether a text is `digits` hexadecimal digits as [`hex`] writes them.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256 of bytes: 64 digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(Sha256::digest(bytes))
}

/// MD5 of bytes: 32 digits.
pub fn md5(bytes: impl AsRef<[u8]>) -> String {
    hex(Md5::digest(bytes))
}

/// The digest `D` of all that a reader gives; `progress` advances by the bytes read.
pub fn of_reader<D: Digest>(mut reader: impl Read, progress: &dyn Progress) -> io::Result<String> {
    let mut digest = D::new();
    let mut block = vec![0; BLOCK];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(hex(digest.finalize())),
            Ok(read) => {
                digest.update(&block[..read]);
                progress.advance(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A reader or a writer whose bytes are digested as they pass.
#[derive(Debug)]
pub struct Digested<T> {
    inner: T,
    digest: Sha256,
}

impl<T> Digested<T> {
    /// Nothing has passed yet.
    pub fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new() }
    }

    /// What was wrapped, and SHA-256 of the bytes that have passed.
    pub fn finish(self) -> (T, String) {
        (self.inner, hex(self.digest.finalize()))
    }
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.digest.update(&out[..count]);
        Ok(count)
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.digest.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// SHA-256 of a file; `progress` advances by the bytes read.
pub fn sha256_of_file(path: &Path, progress: &dyn Progress) -> io::Result<String> {
    of_reader::<Sha256>(whole::open(path)?, progress)
}

#[cfg(test)]
mod tests {
    use super::super::progress::Silent;
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_those_of_the_standards() {
        assert_eq!((sha256("abc").as_str(), md5("abc").as_str()), (ABC, "900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(hex([0, 9, 0xa0, 0xff]), "0009a0ff");
    }

    #[test]
    fn readers_and_files_have_the_digests_of_their_bytes() {
        let bytes: Vec<u8> = (0..BLOCK + 7).map(|i| (i % 251) as u8).collect();
        // A reader that gives what it likes at a time.
        let (head, tail) = bytes.split_at(12_345);
        assert_eq!(of_reader::<Sha256>(head.chain(tail), &Silent).unwrap(), sha256(&bytes));
        assert_eq!(of_reader::<Md5>(bytes.as_slice(), &Silent).unwrap(), md5(&bytes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(sha256_of_file(file.path(), &Silent).unwrap(), ABC);
        let mut copied = Digested::new(Vec::new());
        let mut reader = Digested::new(bytes.as_slice());
        io::copy(&mut reader, &mut copied).unwrap();
        assert_eq!((reader.finish().1, copied.finish()), (sha256(&bytes), (bytes.clone(), sha256(&bytes))));
    }

    #[test]
    fn only_lower_case_digits_count() {
        assert!(is_hex(ABC, 64) && is_hex("", 0));
        assert!(!is_hex(ABC, 63) && !is_hex(&ABC.to_uppercase(), 64) && !is_hex("0g", 2) && !is_hex("é", 2));
    }
}
