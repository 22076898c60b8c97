//! Whole files: which ones hold weights, and their digests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Check, Finding};
use crate::base::digest::{Sha256, of_reader};
use crate::base::fault::FaultKind;
use crate::base::progress::{self, Progress, Unit};
use crate::base::recognise::is_apple_double;
use crate::base::whole;
use crate::registry::{Card, FileDigest};
use crate::weights::{is_weights, verify_checklist};

/// Size and SHA-256 of a file.
pub(super) struct FileSum {
    size: u64,
    /// Lower-case hexadecimal digits.
    sha256: String,
}

impl FileSum {
    /// Reads the file; `progress` advances by its bytes.
    pub fn of(path: &Path, progress: &dyn Progress) -> io::Result<FileSum> {
        let file = whole::open(path)?;
        let size = file.metadata()?.len();
        Ok(FileSum { size, sha256: of_reader::<Sha256>(file, progress)? })
    }

    /// (expected, found) where it is not the file that was published.
    pub fn differs(&self, published: &FileDigest) -> Option<(String, String)> {
        let sha256 = published.sha256.as_deref().filter(|known| !known.eq_ignore_ascii_case(&self.sha256));
        let size = published.size.filter(|known| *known != self.size);
        match (sha256, size) {
            (Some(known), _) => Some((format!("SHA-256 {known}"), self.sha256.clone())),
            (None, Some(known)) => Some((format!("{known} bytes"), format!("{} bytes", self.size))),
            (None, None) => None,
        }
    }
}

/// Files of a folder against the digests that the card gives for any of its releases. `fast` looks at sizes only.
pub(super) fn digests(folder: &Path, card: &Card, fast: bool, progress: &dyn Progress) -> Vec<Finding> {
    let mut published: BTreeMap<&str, Vec<&FileDigest>> = BTreeMap::new();
    for (name, digest) in card.releases().flat_map(|release| release.digests.iter().flat_map(|d| &d.files)) {
        if digest.sha256.is_some() || digest.size.is_some() {
            published.entry(name).or_default().push(digest);
        }
    }
    let mut findings = Vec::new();
    let mut right = Vec::new();
    for (name, published) in published {
        let path = folder.join(name);
        let Some(size) = fs::metadata(&path).ok().filter(|about| about.is_file()).map(|about| about.len())
        else {
            continue;
        };
        if fast {
            let sizes: Vec<u64> = published.iter().filter_map(|digest| digest.size).collect();
            if !sizes.is_empty() && !sizes.contains(&size) {
                let expected = sizes.iter().map(|n| format!("{n} bytes")).collect::<Vec<_>>().join(" or ");
                findings.push(mismatch(&path, card, expected, format!("{size} bytes")));
            }
            continue;
        }
        let sum = progress::during(progress, &format!("hashing {name}"), Some(size), Unit::Bytes, || {
            FileSum::of(&path, progress)
        });
        match sum {
            Ok(sum) if published.iter().any(|digest| sum.differs(digest).is_none()) => right.push(name),
            Ok(sum) => {
                findings.extend(
                    sum.differs(published[0]).map(|(expected, found)| mismatch(&path, card, expected, found)),
                );
            }
            Err(error) => findings.push(unreadable(Check::Digests, &path, &error)),
        }
    }
    if !right.is_empty() {
        findings.push(Finding::ok(Check::Digests, format!("as published: {}", right.join(", "))));
    }
    findings
}

/// Meta's list of digests, where one lies beside the shards. `fast` leaves it out: it needs every byte.
pub(super) fn checklist(folder: &Path, fast: bool, progress: &dyn Progress) -> Option<Finding> {
    let list = folder.join("checklist.chk");
    if fast || !list.is_file() {
        return None;
    }
    Some(match verify_checklist(&list, progress) {
        Ok(files) => Finding::ok(Check::Digests, format!("{files} files as checklist.chk says")),
        Err(error) => Finding::of_weights(Check::Digests, &error),
    })
}

fn mismatch(path: &Path, card: &Card, expected: String, found: String) -> Finding {
    Finding::failure(Check::Digests, FaultKind::DigestMismatch, found)
        .at(path.display().to_string())
        .expected(format!("{expected}, as card {} says", card.id))
        .advice("the file is damaged or of another release: fetch it again")
}

/// A file that is there and cannot be read.
pub(super) fn unreadable(check: Check, path: &Path, error: &io::Error) -> Finding {
    Finding::failure(check, FaultKind::MissingData, format!("cannot be read: {error}"))
        .at(path.display().to_string())
}

/// The files of a folder that hold weights by their names, sorted; the path itself if it is a file.
pub(super) fn weight_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    files_in(path, is_weights)
}

/// The files of a folder that are wanted, sorted; none if there is no such folder.
pub(super) fn files_in(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let wanted = |file: &PathBuf| is_wanted(file) && !is_apple_double(file);
    let files: BTreeSet<PathBuf> = entries.map(|entry| entry.path()).filter(wanted).collect();
    files.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Silent;

    #[test]
    fn a_sum_says_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        let sum = FileSum::of(&path, &Silent).unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest =
            |sha256: &str, size| FileDigest { sha256: Some(sha256.into()), md5: None, size: Some(size) };
        assert_eq!(sum.differs(&digest(abc, 3)), None);
        assert_eq!(sum.differs(&digest(abc, 4)), Some(("4 bytes".into(), "3 bytes".into())));
        assert!(sum.differs(&digest(&"0".repeat(64), 3)).unwrap().1.starts_with("ba78"));
    }
}
