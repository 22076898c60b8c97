//! Computing, hashing, writing and syncing tensors, each on its own thread, so that none waits for another longer than
//! it must.
//!
//! The thread that computes hands a tensor to those that hash and write it, both at once, and goes on with the next. It
//! cannot get further ahead, since the channel holds nothing: two tensors are in memory at most. Syncing happens on a
//! fourth thread, which writes a tensor down in the journal once its bytes are on the disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use super::journal::TensorJournal;
use super::place::cannot_write;
use crate::base::digest::sha256;
use crate::base::fault::Refusal;
use crate::base::progress::Progress;
use crate::forms::FormError;
use crate::store::TensorDigest;
use crate::weights::safetensors::PlannedTensor;
use crate::weights::{Access, TensorInfo, TensorSource, TensorView};

/// Bytes written with one call.
const BLOCK: usize = 8 << 20;

/// Where a tensor goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TensorSlot<'a> {
    /// Position of its file.
    pub(super) file: usize,
    /// What it is, and its place there.
    pub(super) tensor: &'a PlannedTensor,
}

impl TensorSlot<'_> {
    pub(super) fn digest(&self, sha256: String) -> TensorDigest {
        let TensorInfo { name, dtype, shape } = self.tensor.info.clone();
        TensorDigest { name, dtype, shape, sha256 }
    }
}

/// The files that are written.
pub(super) struct Output<'a> {
    /// Open for writing, with their names for errors.
    pub(super) files: &'a [(PathBuf, File)],
    /// Finished bytes after which they are synced.
    pub(super) sync_bytes: u64,
}

/// Computes and writes the tensors of `slots` in this order; returns their digests. After an error, those that were
/// finished are in the journal all the same.
pub(super) fn run(
    source: &dyn TensorSource,
    slots: &[TensorSlot<'_>],
    output: &Output<'_>,
    journal: &mut TensorJournal,
    progress: &dyn Progress,
) -> Result<Vec<TensorDigest>, FormError> {
    thread::scope(|scope| {
        let (to_writer, computed) = sync_channel::<(&TensorSlot, TensorView)>(0);
        let (to_committer, written) = channel();
        let writer = scope.spawn(move || {
            for (slot, view) in computed {
                let sha256 = thread::scope(|scope| {
                    let hasher = scope.spawn(|| sha256(&view.data));
                    write(slot, &view.data, output, progress)?;
                    Ok::<_, FormError>(result_of(hasher))
                })?;
                drop(view);
                source.hint(&slot.tensor.info.name, Access::Done);
                if to_committer.send((slot, sha256)).is_err() {
                    break;
                }
            }
            Ok::<_, FormError>(())
        });
        let committer = scope.spawn(move || commit(&written, output, journal));

        let computed = compute(source, slots, to_writer);
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

/// Hands on one tensor after the other. If the thread at the other end failed, that says why.
fn compute<'a>(
    source: &'a dyn TensorSource,
    slots: &'a [TensorSlot<'_>],
    to_writer: SyncSender<(&'a TensorSlot<'a>, TensorView<'a>)>,
) -> Result<(), FormError> {
    for (i, slot) in slots.iter().enumerate() {
        if let Some(next) = slots.get(i + 1) {
            source.hint(&next.tensor.info.name, Access::Soon);
        }
        let PlannedTensor { info, bytes, .. } = slot.tensor;
        let view = source.tensor(&info.name)?;
        if view.info != info || view.data.len() as u64 != *bytes {
            let found = format!("{} {:?}, {} bytes", view.info.dtype, view.info.shape, view.data.len());
            let expected = format!("{} {:?}, {bytes} bytes", info.dtype, info.shape);
            let advice = "an input changed while it was read; start again";
            return Err(Refusal::new(&info.name, expected, found, advice).into());
        }
        if to_writer.send((slot, view)).is_err() {
            break;
        }
    }
    Ok(())
}

fn write(
    slot: &TensorSlot<'_>,
    data: &[u8],
    output: &Output<'_>,
    progress: &dyn Progress,
) -> Result<(), FormError> {
    let (path, file) = &output.files[slot.file];
    let mut offset = slot.tensor.offset;
    for block in data.chunks(BLOCK) {
        write_at(file, offset, block).map_err(|e| cannot_write(path, e))?;
        offset += block.len() as u64;
        progress.advance(block.len() as u64);
    }
    Ok(())
}

/// Writes tensors down, whose bytes were written, after syncing their files.
fn commit(
    written: &Receiver<(&TensorSlot<'_>, String)>,
    output: &Output<'_>,
    journal: &mut TensorJournal,
) -> Result<Vec<TensorDigest>, FormError> {
    let mut digests = Vec::new();
    let (mut files, mut bytes, mut synced) = (BTreeSet::new(), 0, 0);
    let mut sync = |files: &mut BTreeSet<usize>, batch: &[TensorDigest]| {
        while let Some(file) = files.pop_first() {
            let (path, file) = &output.files[file];
            file.sync_data().map_err(|e| cannot_write(path, e))?;
        }
        journal.finished(batch)
    };
    for (slot, sha256) in written {
        digests.push(slot.digest(sha256));
        files.insert(slot.file);
        bytes += slot.tensor.bytes;
        if bytes >= output.sync_bytes {
            sync(&mut files, &digests[synced..])?;
            (bytes, synced) = (0, digests.len());
        }
    }
    sync(&mut files, &digests[synced..])?;
    Ok(digests)
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
