//! What a model's card knows about its release, as far as putting it together needs it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::digest::sha256_of_file;
use crate::base::fault::{Fault, FaultKind};
use crate::base::progress::{self, Progress, Unit};
use crate::forms::FormError;
use crate::registry::{Card, FileDigest};
use crate::weights::WeightsError;

/// Facts to hold the parts against; all may be unknown.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Digest of the key of encrypted files.
    pub key_sha256: Option<String>,
    /// The sum of all weights.
    pub sum: Option<PublishedSum>,
    /// Rows of the result's vocabulary.
    pub rows: Option<u64>,
    /// The names of the adapters, in the order in which they are merged.
    pub merge_order: Vec<String>,
    /// File name → digests of the released files; of the plain files for encrypted ones.
    pub digests: BTreeMap<String, FileDigest>,
}

/// A published sum of all weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedSum {
    /// The sum over all weights, as the authors published it.
    pub sum: f64,
    /// By how much it may differ.
    pub atol: f64,
}

impl Facts {
    /// What a card says.
    pub fn of(card: &Card) -> Facts {
        let release = &card.release;
        Facts {
            key_sha256: release.key.as_ref().and_then(|key| key.sha256.clone()),
            sum: card.integrity.as_ref().map(|known| PublishedSum { sum: known.sum, atol: known.atol }),
            rows: release.vocabulary.as_ref().and_then(|vocabulary| vocabulary.rows),
            merge_order: release.merge_order.clone(),
            digests: release.digests.as_ref().map(|digests| digests.files.clone()).unwrap_or_default(),
        }
    }

    /// Compares a digest that was computed with the published one.
    ///
    /// # Errors
    /// A fault of kind `DigestMismatch`.
    pub(super) fn check_digest(&self, file: &Path, name: &str, found: &str) -> Result<(), FormError> {
        let expected = self.digests.get(name).and_then(|digest| digest.sha256.as_deref());
        match expected {
            Some(expected) if !expected.eq_ignore_ascii_case(found) => {
                let expected = format!("the published SHA-256 {expected}");
                let fault = Fault::new(file, FaultKind::DigestMismatch, expected, found)
                    .advice("the file is of another revision or damaged: fetch the one that the card names");
                Err(WeightsError::from(fault).into())
            }
            _ => Ok(()),
        }
    }
}

/// Hashes the files of a folder that have a published SHA-256 and compares; returns file name → digest.
///
/// # Errors
/// A fault of kind `DigestMismatch`; [`FormError::Io`].
pub fn check_digests(
    folder: &Path,
    digests: &BTreeMap<String, FileDigest>,
    progress: &dyn Progress,
) -> Result<BTreeMap<String, String>, FormError> {
    let facts = Facts { digests: digests.clone(), ..Facts::default() };
    let mut found = BTreeMap::new();
    for (name, _) in digests.iter().filter(|(_, digest)| digest.sha256.is_some()) {
        let path = folder.join(name);
        let bytes = match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => about.len(),
            // A release can be fetched in part, or in another format.
            _ => continue,
        };
        let digest = progress::during(progress, &format!("hashing {name}"), Some(bytes), Unit::Bytes, || {
            sha256_of_file(&path, progress)
        });
        let digest = digest.map_err(|e| FormError::io(&path, "read", e))?;
        facts.check_digest(&path, name, &digest)?;
        found.insert(name.clone(), digest);
    }
    Ok(found)
}
