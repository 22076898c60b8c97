//! Releases of XORed files: what can be checked without the key.
//!
//! A file is called `<name>.<SHA-256 of the plain file>.enc` and begins with the same digest as 32 bytes.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::files::files_in;
use super::{Check, Finding};
use crate::base::digest::{hex, is_hex};
use crate::base::whole;

/// Bytes of the digest at the start of a file.
const DIGEST: usize = 32;

/// The `.enc` files of a folder, sorted; the path itself if it is one.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let is_encrypted = |file: &Path| file.extension().is_some_and(|ending| ending == "enc");
    if path.is_dir() {
        return files_in(path, is_encrypted);
    }
    Some(path.to_owned()).filter(|path| is_encrypted(path)).into_iter().collect()
}

/// Names and first bytes.
pub(super) fn check(files: &[PathBuf]) -> Vec<Finding> {
    let findings: Vec<Finding> = files.iter().filter_map(|file| wrong(file)).collect();
    if !findings.is_empty() {
        return findings;
    }
    let found =
        format!("{} encrypted files, each with the digest of its name in its first bytes", files.len());
    vec![
        Finding::ok(Check::Form, found)
            .advice("building it needs the original file of the base as key, and proves every digest"),
    ]
}

fn wrong(path: &Path) -> Option<Finding> {
    let place = path.display().to_string();
    let advice = "rename it as it was published, or fetch it again";
    let Some(announced) = digest_in_name(path) else {
        let finding = Finding::failure(Check::Form, "inconsistent header", "another name");
        let expected = "a name like NAME.SHA256.enc with 64 hexadecimal digits";
        return Some(finding.at(place).expected(expected).advice(advice));
    };
    let mut head = [0; DIGEST];
    if let Err(error) = whole::open(path).and_then(|mut file| file.read_exact(&mut head)) {
        let finding = Finding::failure(Check::Form, "truncated", error.to_string());
        return Some(finding.at(place).expected("a digest of 32 bytes first").advice(advice));
    }
    let found = hex(head);
    (found != announced).then(|| {
        Finding::failure(Check::Form, "digest mismatch", format!("{found} in the first 32 bytes"))
            .at(place)
            .expected(format!("{announced}, as its name says"))
            .advice(advice)
    })
}

fn digest_in_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".enc")?;
    let (plain, digest) = name.rsplit_once('.')?;
    let is_digest = is_hex(&digest.to_ascii_lowercase(), 2 * DIGEST);
    (is_digest && !plain.is_empty()).then(|| digest.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn name_and_first_bytes_must_agree() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: String, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write(format!("config.json.{}.enc", "07".repeat(32)), &[7; 40]);
        let right = check(&files(folder.path()));
        assert!(right.len() == 1 && right[0].text().contains("1 encrypted files"), "{right:?}");

        write(format!("a.json.{}.enc", "08".repeat(32)), &[7; 40]);
        write(format!("b.json.{}.enc", "07".repeat(32)), &[7; 31]);
        write("c.json.abc.enc".into(), &[7; 40]);
        let classes: Vec<_> = check(&files(folder.path())).into_iter().filter_map(|f| f.class).collect();
        assert_eq!(classes, ["digest mismatch", "truncated", "inconsistent header"]);
    }
}
