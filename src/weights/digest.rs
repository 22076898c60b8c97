//! One digest for the files of a model.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

/// The SHA-256 of the one file, or of the lines `<sha256>  <file name>\n` of several, sorted by name: what
/// `sha256sum * | sha256sum` would print in their folder.
pub fn files_sha256(files: &[PathBuf]) -> io::Result<String> {
    let mut files: Vec<&PathBuf> = files.iter().collect();
    files.sort();
    let digests: Vec<String> = files.par_iter().map(|file| file_sha256(file)).collect::<io::Result<_>>()?;
    if let [only] = digests.as_slice() {
        return Ok(only.clone());
    }
    let mut all = Sha256::new();
    for (file, digest) in files.iter().zip(digests) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        all.update(format!("{digest}  {name}\n"));
    }
    Ok(hex(all))
}

fn file_sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(hasher)),
            read => hasher.update(&block[..read]),
        }
    }
}

/// What was hashed, as lower-case hexadecimal digits.
pub(crate) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_its_own_digest_and_several_depend_on_names() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "abc").unwrap();
        std::fs::write(&b, "").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(files_sha256(std::slice::from_ref(&a)).unwrap(), abc);
        let both = files_sha256(&[b.clone(), a.clone()]).unwrap();
        assert_eq!(both, files_sha256(&[a, b.clone()]).unwrap());
        assert!(both != abc && both.len() == 64);
        assert!(files_sha256(&[b.with_file_name("missing")]).is_err());
    }
}
