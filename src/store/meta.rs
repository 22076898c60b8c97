//! A model as a folder of Meta's, complete or absent, with a `zoo.lock.yaml`.
//!
//! The lock has the digests of the tensors under Hugging Face's names and in its row order: then one digest tells the
//! model in both forms. Work that is interrupted is not gone on with: the next call starts over.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::place::{ClaimedTarget, check_target};
use super::{SMALL_FILES, WrittenModel, locked_inputs, proof, small};
use crate::base::digest::sha256_of_file;
use crate::base::progress::{Progress, Silent};
use crate::forms::{FormError, HfModel, MetaAsHf};
use crate::rebuild::BuildRecord;
use crate::store::meta_out::MetaPlan;
use crate::store::{LOCK_FILE, Lock, LockedFile};

/// Files that are hashed for the lock. The weights have their MD5 in `checklist.chk`.
const SMALL: [&str; 3] = ["checklist.chk", "params.json", "tokenizer.model"];

/// Writes `model` as a folder in Meta's form of `shards` files (`None`: as many as the release of its size has), reads
/// it back and compares every tensor. Element types stay as they are. One tensor at a time is in memory.
///
/// # Errors
/// [`FormError::Refused`] if `out` is something else than a new folder (or, with `force`, an earlier build), if
/// another process works on it or the disk has no room; those of [`MetaPlan::new`] and [`MetaPlan::write`]. Nothing is
/// left then; if the target appears while this works, the finished folder stays beside it until the next call.
pub fn write_meta_folder(
    model: &HfModel,
    out: &Path,
    shards: Option<usize>,
    force: bool,
    lineage: &BuildRecord,
    progress: &dyn Progress,
) -> Result<WrittenModel, FormError> {
    let began = Instant::now();
    let plan = MetaPlan::new(model, shards)?;
    let inputs = locked_inputs(&lineage.inputs)?;
    let place = ClaimedTarget::claim(out, "folder", &lineage.inputs, || check_target(out, force))?;
    let (lock, notes) = place.starting_over(|| {
        place.check_room(plan.bytes() + SMALL_FILES)?;
        let report = plan.write(&place.model, progress)?;
        proof::read_back(&MetaAsHf::open(&place.model)?.tensors, &report.tensors, progress)?;
        let files = report.files.iter().map(|name| locked(&place.model, name));
        let files = files.collect::<Result<_, _>>()?;
        let lock = Lock::new(lineage, inputs, report.tensors, files);
        small::write_synced(&place.model.join(LOCK_FILE), lock.to_yaml().as_bytes())?;
        Ok((lock, report.notes))
    })?;
    let folder = place.finish(force)?;
    Ok(WrittenModel { folder, lock, tensor_bytes: plan.bytes(), kept: 0, notes, elapsed: began.elapsed() })
}

fn locked(folder: &Path, name: &str) -> Result<LockedFile, FormError> {
    let path = folder.join(name);
    let read = |e| FormError::io(&path, "read", e);
    let size = fs::metadata(&path).map_err(read)?.len();
    let hashed = SMALL.contains(&name).then(|| sha256_of_file(&path, &Silent));
    let sha256 = hashed.transpose().map_err(read)?;
    Ok(LockedFile { name: name.to_owned(), size, sha256 })
}
