//! A model as one GGUF file, complete or absent.
//!
//! The file is made in `.NAME.zoo-partial` beside the target, like a folder, read back there, and moves out of it in one
//! rename. Work that is interrupted is not gone on with: the next call removes what is left of it.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::place::{ClaimedTarget, move_new, parent, sync_folder};
use super::{SMALL_FILES, proof};
use crate::base::fault::Refusal;
use crate::base::progress::Progress;
use crate::base::whole;
use crate::forms::{FormError, GgufAsHf, HfModel, prevailing};
use crate::rebuild::InputRecord;
use crate::store::gguf_out::GgufPlan;
use crate::store::{GgufFileType, TensorDigest, tensors_sha256};
use crate::weights::{Dtype, GgufFile};

/// What every GGUF file begins with.
const MAGIC: &[u8; 4] = b"GGUF";

/// A model that was written as one file.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    /// The file that was written, under its last name.
    pub file: PathBuf,
    /// The digests of its tensors under Hugging Face's names and in its row order, as a reader gives them.
    pub tensors: Vec<TensorDigest>,
    /// The digest over all of them.
    pub tensors_sha256: String,
    /// The type of most elements.
    pub dtype: Dtype,
    /// Bytes of all its tensors.
    pub tensor_bytes: u64,
    /// What a user should know: what the format could not say.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Writes `model` as a GGUF file of type `file_type`, reads it back and compares every tensor. `inputs` are never
/// replaced; another GGUF file is, with `force`. One tensor at a time is in memory.
///
/// # Errors
/// [`FormError::Refused`] if `out` is anything but a new name (or, with `force`, a GGUF file), if another process
/// works on it or the disk has no room; those of [`GgufPlan::new`] and [`GgufPlan::write`]. Nothing is left then.
pub fn write_gguf_file(
    model: &HfModel,
    out: &Path,
    file_type: GgufFileType,
    force: bool,
    inputs: &[InputRecord],
    progress: &dyn Progress,
) -> Result<WrittenFile, FormError> {
    let began = Instant::now();
    let plan = GgufPlan::new(model, file_type)?;
    let place = ClaimedTarget::claim(out, "file", inputs, || check_target(out, force))?;
    let file = place.model.join("model.gguf");
    let report = place.starting_over(|| {
        place.check_room(plan.bytes() + SMALL_FILES)?;
        let report = plan.write(&file, progress)?;
        proof::read_back(&GgufAsHf::new(GgufFile::open(&file)?)?, &report.digests, progress)?;
        // Somebody else may have made it meanwhile.
        let replaces = check_target(out, force)?;
        let moved = if replaces { fs::rename(&file, out) } else { move_new(&file, out) };
        moved.map_err(|e| FormError::io(out, "move the finished file to", e))?;
        sync_folder(parent(out))?;
        Ok(report)
    })?;
    place.remove();
    Ok(WrittenFile {
        file: out.to_owned(),
        tensors_sha256: tensors_sha256(&report.digests),
        dtype: prevailing(report.digests.iter().map(|tensor| (tensor.dtype, tensor.shape.as_slice()))),
        tensors: report.digests,
        tensor_bytes: plan.bytes(),
        notes: report.notes,
        elapsed: began.elapsed(),
    })
}

/// Whether there is a file that may be replaced.
fn check_target(target: &Path, force: bool) -> Result<bool, FormError> {
    let refuse = |found: String, advice: &str| {
        let place = target.display().to_string();
        Err(FormError::from(Refusal::new(place, "a file that does not exist yet", found, advice)))
    };
    let about = match fs::symlink_metadata(target) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FormError::io(target, "look at", error)),
    };
    if !about.is_file() {
        let found = if about.is_dir() { "a folder" } else { "a link or a device" };
        return refuse(found.to_owned(), "choose another name with --out");
    }
    let mut head = Vec::new();
    let read = whole::open(target).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    read.map_err(|e| FormError::io(target, "read", e))?;
    if head != MAGIC {
        return refuse("a file that is no GGUF file".to_owned(), "choose another name with --out");
    }
    if !force {
        let found = format!("a GGUF file of {} bytes", about.len());
        return refuse(found, "use it, choose another name with --out, or replace it with --force");
    }
    Ok(true)
}
