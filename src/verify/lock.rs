//! A build against its lock file: the same files, the same tensors, bit for bit.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::FileSum;
use super::finding::and_more;
use super::form::Opened;
use super::pass::Pass;
use super::{Check, Finding};
use crate::base::progress::Silent;
use crate::registry::Card;
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
    pub fn find(opened: &Opened, findings: &mut Vec<Finding>) -> Option<Locked> {
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
    pub fn headers(&self, opened: &Opened, card: Option<&Card>, fast: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let infos: BTreeMap<&str, &TensorInfo> =
            opened.tensors.tensors().iter().map(|info| (info.name.as_str(), info)).collect();
        for tensor in &self.lock.tensors {
            let (class, found) = match infos.get(tensor.name.as_str()) {
                Some(info) if info.dtype == tensor.dtype && info.shape == tensor.shape => continue,
                Some(info) => ("shape mismatch", format!("{} {:?}", info.dtype, info.shape)),
                None => ("missing data", "no such tensor".to_owned()),
            };
            findings.push(
                Finding::failure(Check::Lock, class, found)
                    .at(format!("tensor {:?}", tensor.name))
                    .expected(format!("{} {:?}, as {} says", tensor.dtype, tensor.shape, self.place))
                    .advice(ADVICE),
            );
        }
        let known = |name: &str| self.lock.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).is_ok();
        if let Some(extra) = infos.keys().find(|name| !known(name)) {
            findings.push(
                Finding::failure(
                    Check::Lock,
                    "inconsistent header",
                    format!("tensor {extra:?}, which it does not list"),
                )
                .at(self.place.clone())
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
                Ok(_) => {
                    let sha256 = file.sha256.as_ref().filter(|_| !fast)?;
                    let published =
                        crate::registry::FileDigest { sha256: Some(sha256.clone()), ..Default::default() };
                    match FileSum::of(&path, &Silent) {
                        Ok(sum) => {
                            let (expected, found) = sum.differs(&published)?;
                            ("digest mismatch", expected, found)
                        }
                        Err(error) => ("missing data", "the file".to_owned(), error.to_string()),
                    }
                }
            };
            let finding = Finding::failure(Check::Lock, class, found).at(path.display().to_string());
            Some(finding.expected(format!("{expected}, as {} says", self.place)).advice(ADVICE))
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
        Finding::failure(Check::Lock, "digest mismatch", format!("{found}{more}"))
            .at(format!("tensor {name:?}"))
            .expected(format!("SHA-256 {expected}, as {} says", self.place))
            .advice(ADVICE)
    }
}
