//! A build against its lock file: the same files, the same tensors, bit for bit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::FileSum;
use super::finding::and_more;
use super::form::OpenedPath;
use super::pass::Pass;
use super::{Check, Finding};
use crate::base::progress::Silent;
use crate::registry::{Card, FileDigest};
use crate::store::{LOCK_FILE, Lock};
use crate::weights::TensorInfo;

/// What to do about a build that is not what its lock says.
const ADVICE: &str = "the build was changed or damaged after it was made: build it again";

/// The lock of a folder.
pub(super) struct Locked {
    lock: Lock,
    folder: PathBuf,
    place: String,
}

impl Locked {
    /// The lock of the folder that was opened, if there is one; one that cannot be read is a finding.
    pub fn find(opened: &OpenedPath, findings: &mut Vec<Finding>) -> Option<Locked> {
        let folder = opened.folder.as_deref()?;
        match Lock::find(folder) {
            Ok(lock) => lock.map(|lock| Locked {
                lock,
                folder: folder.to_owned(),
                place: folder.join(LOCK_FILE).display().to_string(),
            }),
            Err(error) => {
                findings.push(Finding::of_lineage(Check::Lock, &error));
                None
            }
        }
    }

    /// Names, types and shapes of the tensors, and the other files; digests of those only if not `fast`.
    pub fn headers(&self, opened: &OpenedPath, card: Option<&Card>, fast: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let infos: BTreeMap<&str, &TensorInfo> =
            opened.tensors.tensors().iter().map(|info| (info.name.as_str(), info)).collect();
        for tensor in &self.lock.tensors {
            let (class, found) = match infos.get(tensor.name.as_str()) {
                Some(info) if info.dtype == tensor.dtype && info.shape == tensor.shape => continue,
                Some(info) => ("shape mismatch", format!("{} {:?}", info.dtype, info.shape)),
                None => ("missing data", "no such tensor".to_owned()),
            };
            let (at, expected) =
                (format!("tensor {:?}", tensor.name), format!("{} {:?}", tensor.dtype, tensor.shape));
            findings.push(self.differs(class, at, &expected, found));
        }
        let known = |name: &str| self.lock.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).is_ok();
        if let Some(extra) = infos.keys().find(|name| !known(name)) {
            let found = format!("tensor {extra:?}, which it does not list");
            findings.push(
                Finding::failure(Check::Lock, "inconsistent header", found)
                    .at(&self.place)
                    .expected("only the tensors of the build")
                    .advice(ADVICE),
            );
        }
        // A part of the lists says enough.
        findings.truncate(5);
        findings.extend(self.lock.files.iter().filter_map(|file| {
            let path = self.folder.join(&file.name);
            let (class, expected, found) = match std::fs::metadata(&path) {
                Err(error) => ("missing data", "the file".to_owned(), error.to_string()),
                Ok(about) if about.len() != file.size => {
                    ("digest mismatch", format!("{} bytes", file.size), format!("{} bytes", about.len()))
                }
                Ok(_) if fast || file.sha256.is_none() => return None,
                Ok(_) => match FileSum::of(&path, &Silent) {
                    Ok(sum) => {
                        let locked = FileDigest { sha256: file.sha256.clone(), ..FileDigest::default() };
                        let (expected, found) = sum.differs(&locked)?;
                        ("digest mismatch", expected, found)
                    }
                    Err(error) => ("missing data", "the file".to_owned(), error.to_string()),
                },
            };
            Some(self.differs(class, path.display().to_string(), &expected, found))
        }));
        if let (Some(card), Some(model)) = (card, &self.lock.model)
            && card.id != *model
        {
            findings.push(
                Finding::warning(Check::Lock, format!("a build of {model}"))
                    .at(self.place.clone())
                    .expected(format!("a build of {}", card.id))
                    .advice("name the right card with --as"),
            );
        }
        findings
    }

    /// Every tensor's digest, computed again, against the lock.
    pub fn tensors(&self, pass: &Pass) -> Finding {
        let seen: BTreeMap<&str, &str> =
            pass.tensors.iter().filter_map(|t| Some((t.name.as_str(), t.sha256.as_deref()?))).collect();
        let changed: Vec<(&str, &str, &str)> = self
            .lock
            .tensors
            .iter()
            .filter_map(|t| Some((t.name.as_str(), t.sha256.as_str(), *seen.get(t.name.as_str())?)))
            .filter(|(_, expected, found)| expected != found)
            .collect();
        let Some((name, expected, found)) = changed.first() else {
            let rule =
                format!("{} by rule {}, zoo {}", self.lock.tensors_sha256, self.lock.rule, self.lock.zoo);
            return Finding::ok(
                Check::Lock,
                format!("the digests of {} tensors as locked ({rule})", seen.len()),
            );
        };
        let more = and_more(changed.len(), "tensors differ");
        let at = format!("tensor {name:?}");
        let expected = format!("SHA-256 {expected}");
        self.differs("digest mismatch", at, &expected, format!("{found}{more}"))
    }

    fn differs(&self, class: &str, at: String, expected: &str, found: String) -> Finding {
        Finding::failure(Check::Lock, class, found)
            .at(at)
            .expected(format!("{expected}, as {} says", self.place))
            .advice(ADVICE)
    }
}
