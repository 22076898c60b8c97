//! Computing, hashing, writing and syncing tensors, each on its own thread, so that none waits for another longer than
//! it must.
//!
//! The thread that computes hands a tensor to those that hash and write and goes on with the next. It cannot get
//! further ahead, since the channels hold nothing: two tensors are in memory at most. Syncing happens on a fourth
//! thread, which writes a tensor down in the journal once its bytes are on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use super::journal::Journal;
use super::place::cannot_write;
use crate::base::digest::sha256;
use crate::base::progress::Progress;
use crate::forms::{LineageError, Refusal};
use crate::store::TensorDigest;
use crate::weights::{Access, TensorInfo, TensorSource, TensorView};

/// Bytes written with one call.
const BLOCK: usize = 8 << 20;

/// Where a tensor goes.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Position of its file.
    pub(super) file: usize,
    /// Its first byte there.
    pub(super) offset: u64,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// Name, type and shape.
    pub(super) info: TensorInfo,
}

impl Slot {
    pub(super) fn digest(&self, sha256: String) -> TensorDigest {
        let TensorInfo { name, dtype, shape } = self.info.clone();
        TensorDigest { name, dtype, shape, sha256 }
    }
}

/// The files that are written.
pub(super) struct Output<'a> {
    /// Open for writing.
    pub(super) files: &'a [File],
    /// Their names, for errors.
    pub(super) paths: &'a [PathBuf],
    /// Finished bytes after which they are synced.
    pub(super) sync_bytes: u64,
}

/// A tensor in memory. The last thread that is done with it says so to the source.
struct Loaded<'a> {
    source: &'a dyn TensorSource,
    view: TensorView<'a>,
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        self.source.hint(&self.view.info.name, Access::Done);
    }
}

/// A tensor for another thread, with its position in the list of work.
type Handed<'a> = (usize, Arc<Loaded<'a>>);

/// What happened to the tensor at a position.
enum Event {
    Hashed(usize, String),
    Written(usize),
}

/// Computes and writes the tensors of `slots` in this order; returns their digests. After an error, those that were
/// finished are in the journal all the same.
pub(super) fn run(
    source: &dyn TensorSource,
    slots: &[&Slot],
    output: &Output<'_>,
    journal: &mut Journal,
    progress: &dyn Progress,
) -> Result<Vec<TensorDigest>, LineageError> {
    thread::scope(|scope| {
        let (to_hasher, hasher_input) = sync_channel::<Handed>(0);
        let (to_writer, writer_input) = sync_channel::<Handed>(0);
        let (events, committer_input) = channel();
        let hashed = events.clone();
        scope.spawn(move || {
            for (i, tensor) in hasher_input {
                let sha256 = sha256(&tensor.view.data);
                drop(tensor);
                if hashed.send(Event::Hashed(i, sha256)).is_err() {
                    return;
                }
            }
        });
        let writer = scope.spawn(move || {
            for (i, tensor) in writer_input {
                if let Some(slot) = slots.get(i) {
                    write(slot, &tensor.view.data, output, progress)?;
                }
                drop(tensor);
                if events.send(Event::Written(i)).is_err() {
                    break;
                }
            }
            Ok::<(), LineageError>(())
        });
        let committer = scope.spawn(move || commit(&committer_input, slots, output, journal));

        let computed = compute(source, slots, &to_hasher, &to_writer);
        drop((to_hasher, to_writer));
        let written = result_of(writer);
        let digests = result_of(committer);
        // A thread that fails stops the others, so the first error to look at is its own.
        written?;
        let digests = digests?;
        computed?;
        Ok(digests)
    })
}

/// What a thread returned; its panic is this thread's.
fn result_of<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn compute<'a>(
    source: &'a dyn TensorSource,
    slots: &[&Slot],
    to_hasher: &SyncSender<Handed<'a>>,
    to_writer: &SyncSender<Handed<'a>>,
) -> Result<(), LineageError> {
    for (i, slot) in slots.iter().enumerate() {
        if let Some(next) = slots.get(i.saturating_add(1)) {
            source.hint(&next.info.name, Access::Soon);
        }
        let view = source.tensor(&slot.info.name)?;
        if *view.info != slot.info || view.data.len() as u64 != slot.bytes {
            let found = format!("{} {:?}, {} bytes", view.info.dtype, view.info.shape, view.data.len());
            let expected = format!("{} {:?}, {} bytes", slot.info.dtype, slot.info.shape, slot.bytes);
            let advice = "an input changed while it was read; start again";
            return Err(Refusal::new(slot.info.name.clone(), expected, found, advice).into());
        }
        let tensor = Arc::new(Loaded { source, view });
        if to_writer.send((i, Arc::clone(&tensor))).is_err() || to_hasher.send((i, tensor)).is_err() {
            // The thread at the other end failed, and says why.
            return Ok(());
        }
    }
    Ok(())
}

fn write(slot: &Slot, data: &[u8], output: &Output<'_>, progress: &dyn Progress) -> Result<(), LineageError> {
    let Some((file, path)) = output.files.get(slot.file).zip(output.paths.get(slot.file)) else {
        return Ok(());
    };
    let mut offset = slot.offset;
    for block in data.chunks(BLOCK) {
        write_at(file, offset, block).map_err(|e| cannot_write(path, e))?;
        offset = offset.saturating_add(block.len() as u64);
        progress.advance(block.len() as u64);
    }
    Ok(())
}

/// Waits until tensors are hashed and written, and writes them down after syncing their files.
fn commit(
    events: &Receiver<Event>,
    slots: &[&Slot],
    output: &Output<'_>,
    journal: &mut Journal,
) -> Result<Vec<TensorDigest>, LineageError> {
    let (mut digests, mut hashes, mut written) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let (mut batch, mut batch_bytes) = (Vec::new(), 0u64);
    for event in events {
        let i = match event {
            Event::Hashed(i, sha256) => {
                hashes.insert(i, sha256);
                i
            }
            Event::Written(i) => {
                written.insert(i);
                i
            }
        };
        let Some(slot) = slots.get(i).filter(|_| written.contains(&i)) else { continue };
        let Some(sha256) = hashes.remove(&i) else { continue };
        digests.push(slot.digest(sha256.clone()));
        batch.push((*slot, sha256));
        batch_bytes = batch_bytes.saturating_add(slot.bytes);
        if batch_bytes >= output.sync_bytes {
            sync(&batch, output, journal)?;
            batch.clear();
            batch_bytes = 0;
        }
    }
    sync(&batch, output, journal)?;
    Ok(digests)
}

fn sync(batch: &[(&Slot, String)], output: &Output<'_>, journal: &mut Journal) -> Result<(), LineageError> {
    let files: BTreeSet<usize> = batch.iter().map(|(slot, _)| slot.file).collect();
    for file in files {
        if let Some((file, path)) = output.files.get(file).zip(output.paths.get(file)) {
            file.sync_data().map_err(|e| cannot_write(path, e))?;
        }
    }
    let lines: Vec<_> = batch.iter().map(|(slot, sha256)| (slot.info.name.clone(), sha256.clone())).collect();
    if lines.is_empty() { Ok(()) } else { journal.finished(&lines) }
}

/// Writes at a place of a file. One thread writes, so moving the file's position is safe.
pub(super) fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// A reader of a part of a file.
pub(super) fn range(mut file: File, offset: u64, bytes: u64) -> io::Result<impl Read> {
    file.seek(SeekFrom::Start(offset))?;
    Ok(file.take(bytes))
}
