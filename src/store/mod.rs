//! Writing a model: tensor by tensor, restartably, and never something that looks complete and is not.
//!
//! All work happens in `.NAME.zoo-partial` beside the target:
//!
//! ```text
//! .NAME.zoo-partial/lock       held while a process works here
//!                   journal    what the work is, and every tensor that is safely on the disk with its SHA-256
//!                   model/     becomes the target in one rename, when all of it is on the disk
//! ```
//!
//! A tensor is written down in the journal after its bytes were synced, so a journal is believed after a crash of the
//! machine too; what it claims is hashed again anyway before it is kept. Headers of safetensors files are written
//! last, so no part of an unfinished build passes for a model.

mod digest;
mod gguf_out;
mod journal;
mod lock;
mod meta;
mod meta_out;
mod place;
mod proof;
mod single;
mod small;
mod stream;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::prelude::*;

pub use self::digest::{TensorDigest, digest_tensors, tensors_sha256};
pub use self::gguf_out::{GgufFileType, GgufPlan, GgufReport};
use self::journal::{Start, TensorJournal};
pub use self::lock::{LOCK_FILE, Lock, LockedFile, LockedInput};
pub use self::meta::write_meta_folder;
pub use self::meta_out::{MetaPlan, MetaReport};
use self::place::ClaimedTarget;
pub use self::place::{check_target, place_of_work};
pub use self::single::{WrittenFile, write_gguf_file};
use self::stream::TensorSlot;
use crate::base::digest::{Sha256, of_reader};
use crate::base::fault::Refusal;
use crate::base::progress::{self, Progress, Silent, Unit};
use crate::config::{LlamaConfig, ModelConfig};
use crate::forms::{
    Cast, FormError, HfModel, about_other_head, has_other_head, refuse_unread, without_buffers,
};
use crate::rebuild::{BuildRecord, InputFile, InputRecord};
use crate::weights::safetensors::{FileLayout, PlannedTensor};
use crate::weights::{self, Dtype, TensorInfo, TensorSource, WeightsError};

/// The hub's customary limit of one file.
pub const SHARD_BYTES: u64 = 5_000_000_000;
/// Finished bytes that are synced and written down at once. A killed build loses at most about as much.
const SYNC_BYTES: u64 = 64 << 20;
/// Room for headers, tokenizer and lock, beside the tensors.
const SMALL_FILES: u64 = 64 << 20;
/// The key of the digest in the header of every file.
const DIGEST_KEY: &str = "zoo_tensors_sha256";

/// How a model is written.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The type of float tensors: F32, F16 or BF16; `None` leaves each its own.
    pub dtype: Option<Dtype>,
    /// Most bytes of tensors in one file.
    pub shard_bytes: u64,
    /// Whether a finished earlier build may be replaced.
    pub force: bool,
    /// Finished bytes after which they are synced and written down.
    pub sync_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { dtype: None, shard_bytes: SHARD_BYTES, force: false, sync_bytes: SYNC_BYTES }
    }
}

/// A last look at the tensors of a finished model; an error keeps it from getting its name.
pub type ModelCheck<'a> = &'a dyn Fn(&dyn TensorSource) -> Result<(), FormError>;

/// For models that nothing more is known about.
pub fn no_check(_: &dyn TensorSource) -> Result<(), FormError> {
    Ok(())
}

/// A model that was written.
#[derive(Debug, Clone)]
pub struct WrittenModel {
    /// The folder that was written, under its last name.
    pub folder: PathBuf,
    /// What `zoo.lock.yaml` says there.
    pub lock: Lock,
    /// Bytes of all its tensors.
    pub tensor_bytes: u64,
    /// Tensors that an interrupted build had finished already.
    pub kept: usize,
    /// What a user should know: what the form could not say.
    pub notes: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Writes `model` as a folder in Hugging Face's layout, with `lineage` in its `zoo.lock.yaml`. Buffers are left out.
///
/// At most two tensors are in memory at a time: while one is written and hashed, the next is computed. An interrupted
/// call is gone on with by the next one that asks for the same work, and started over by one that asks for other
/// work; both are said as a warning. `check` sees the tensors as they were written, before they get their name.
///
/// # Errors
/// What `check` finds;
/// [`FormError::Refused`] if `out` is something else than a new folder (or, with `force`, an earlier build), if
/// another process works on it, if the disk has no room, or if a file's name is not one; what the source reports; input
/// and output errors. What is finished then stays for the next call.
pub fn write_model(
    model: &HfModel,
    out: &Path,
    options: &StoreOptions,
    lineage: BuildRecord,
    check: ModelCheck<'_>,
    progress: &dyn Progress,
) -> Result<WrittenModel, FormError> {
    let began = Instant::now();
    // Of a model of another kind nothing is known but its tensors, and these are copied.
    if let Ok(config) = model.configuration() {
        refuse_unread(&model.tensors, &config.shape(), &model.config_name).map_err(WeightsError::from)?;
    }
    let kept = without_buffers(&model.tensors);
    let source: Box<dyn TensorSource + '_> = match options.dtype {
        Some(dtype) => Box::new(Cast::new(kept, dtype)?),
        None => Box::new(kept),
    };
    let metadata = |digest: &str| header_metadata(&lineage, digest);
    let layout =
        FileLayout::plan(&in_layers(source.tensors()), options.shard_bytes, &metadata(&"0".repeat(64)))?;
    let small = small::SmallFiles::of(model, &layout, options.dtype)?;
    let inputs = locked_inputs(&lineage.inputs)?;

    let place = ClaimedTarget::claim(out, "folder", &lineage.inputs, || check_target(out, options.force))?;
    let work = work::describe(&lineage, &layout, &metadata(&"0".repeat(64)))?;
    let (mut journal, start) = TensorJournal::open(&place, &work)?;
    start.say(&place.target, layout.files.iter().map(|file| file.tensors.len()).sum());

    // What an interrupted build holds already is room.
    let size = layout.files.iter().map(|file| file.size).sum::<u64>() + SMALL_FILES;
    place.check_room(size.saturating_sub(place.occupied(&layout)))?;
    let files = place.open_files(&layout)?;
    let planned = layout.files.iter().enumerate();
    let slots: Vec<TensorSlot> = planned
        .flat_map(|(file, planned)| planned.tensors.iter().map(move |tensor| TensorSlot { file, tensor }))
        .collect();

    let what = format!("writing {}", place.target.display());
    let (tensors, kept) = progress::during(progress, &what, Some(layout.total_size), Unit::Bytes, || {
        let finished = confirm(start, &slots, &files, progress)?;
        let kept = finished.len();
        let is_to_do = |slot: &&TensorSlot| !finished.contains_key(&slot.tensor.info.name);
        let todo: Vec<TensorSlot> = slots.iter().filter(is_to_do).copied().collect();
        let output = stream::Output { files: &files, sync_bytes: options.sync_bytes };
        let mut tensors = stream::run(source.as_ref(), &todo, &output, &mut journal, progress)?;
        tensors.extend(finished.into_values());
        Ok::<_, FormError>((tensors, kept))
    })?;

    let notes = metadata(&tensors_sha256(&tensors));
    for ((path, file), planned) in files.iter().zip(&layout.files) {
        let written = stream::write_at(file, 0, &planned.header(&notes)?).and_then(|()| file.sync_all());
        written.map_err(|e| place::cannot_write(path, e))?;
    }
    let weights =
        layout.files.iter().map(|file| LockedFile { name: file.name.clone(), size: file.size, sha256: None });
    let mut listed: Vec<LockedFile> = weights.collect();
    listed.extend(small.write(&place.model)?);
    let lock = Lock::new(&lineage, inputs, tensors, listed);
    small::write_synced(&place.model.join(LOCK_FILE), lock.to_yaml().as_bytes())?;
    check(weights::open(&place.model)?.as_ref())?;
    let folder = place.finish(options.force)?;
    let notes = Vec::new();
    Ok(WrittenModel { folder, lock, tensor_bytes: layout.total_size, kept, notes, elapsed: began.elapsed() })
}

/// The configuration of a model that is to be written as `format`, which knows nothing but LLaMA.
///
/// # Errors
/// Another kind of model, or a configuration that no model has.
fn llama(model: &HfModel, format: &str) -> Result<LlamaConfig, FormError> {
    match model.configuration()? {
        ModelConfig::Llama(config) => {
            let shape = config.shape();
            refuse_unread(&model.tensors, &shape, &model.config_name).map_err(WeightsError::from)?;
            if has_other_head(&model.tensors, &shape) {
                tracing::warn!("{}: {}", model.path.display(), about_other_head(&model.config_name));
            }
            Ok(config)
        }
        other => {
            let place = format!("{}: model_type", model.config_name);
            let advice = format!("only LLaMA models are written as {format}: write this one as safetensors");
            Err(Refusal::new(place, "\"llama\"", format!("{:?}", other.model_type()), advice).into())
        }
    }
}

/// The strings in every file's header.
fn header_metadata(lineage: &BuildRecord, digest: &str) -> BTreeMap<String, String> {
    let inputs: Vec<String> = lineage.inputs.iter().map(|i| format!("{} {}", i.role, i.name)).collect();
    let mut metadata: BTreeMap<String, String> = [
        ("format", "pt".to_owned()),
        ("zoo_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("zoo_rule", lineage.rule.clone()),
        ("zoo_inputs", inputs.join(", ")),
        (DIGEST_KEY, digest.to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if let Some(model) = &lineage.model {
        metadata.insert("zoo_model".to_owned(), model.clone());
    }
    metadata
}

/// Tensors with the layers in the order of their numbers: then neighbours in the output are neighbours in most
/// inputs, and the first files hold the first layers.
fn in_layers(tensors: &[TensorInfo]) -> Vec<TensorInfo> {
    let mut ordered = tensors.to_vec();
    ordered.sort_by_cached_key(|info| {
        let part = |part: &str| (part.parse::<u64>().ok(), part.to_owned());
        info.name.split('.').map(part).collect::<Vec<_>>()
    });
    ordered
}

/// Names and sizes of the inputs, for the lock.
fn locked_inputs(inputs: &[InputRecord]) -> Result<Vec<LockedInput>, FormError> {
    let file = |file: &InputFile| {
        let about = std::fs::metadata(&file.path).map_err(|e| FormError::io(&file.path, "read", e))?;
        let name = file.path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        Ok(LockedFile { name, size: about.len(), sha256: file.sha256.clone() })
    };
    let input = |input: &InputRecord| {
        let files = input.files.iter().map(file).collect::<Result<_, FormError>>()?;
        Ok(LockedInput { role: input.role.clone(), name: input.name.clone(), files })
    };
    inputs.iter().map(input).collect()
}

/// The tensors that the journal claims and whose bytes on the disk have the digest that it says, by name.
fn confirm(
    start: Start,
    slots: &[TensorSlot<'_>],
    files: &[(PathBuf, File)],
    progress: &dyn Progress,
) -> Result<BTreeMap<String, TensorDigest>, FormError> {
    let Start::Resumed(claims) = start else { return Ok(BTreeMap::new()) };
    let claimed = slots.par_iter().filter_map(|slot| Some((slot, claims.get(&slot.tensor.info.name)?)));
    let confirmed = claimed.map(|(slot, claim)| {
        let (path, _) = &files[slot.file];
        let PlannedTensor { info, offset, bytes } = slot.tensor;
        let file = File::open(path).map_err(|e| FormError::io(path, "open", e))?;
        // The bytes count when they are known to be good.
        let sha256 = stream::range(file, *offset, *bytes).and_then(|part| of_reader::<Sha256>(part, &Silent));
        let sha256 = sha256.map_err(|e| FormError::io(path, "read", e))?;
        if sha256 != *claim {
            tracing::warn!(
                "{}: {}: the bytes left by the interrupted build are not those it wrote; they are written again",
                path.display(),
                info.name
            );
            return Ok(None);
        }
        progress.advance(*bytes);
        Ok(Some((info.name.clone(), slot.digest(sha256))))
    });
    confirmed.filter_map(Result::transpose).collect()
}
