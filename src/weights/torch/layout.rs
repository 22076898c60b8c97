//! Where the elements of a tensor lie in its storage: checked, borrowed where they are contiguous, gathered where
//! they are not.
//!
//! A PyTorch tensor is a view: offset, size and stride over a storage that others may share. Elements are counted
//! before any memory is asked for, since a stride of 0 makes any number of elements out of one.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use super::value::{Objects, TensorRef, Value};
use crate::base::fault::{Fault, FaultKind};
use crate::weights::Dtype;
use crate::weights::file::DataPlace;

/// Most axes of a tensor.
const MAX_RANK: usize = 16;
/// A tensor that is not contiguous may have this many times the bytes of its file, and a small file a mebibyte.
const MAX_GROWTH: u64 = 4;
const SMALL: u64 = 1 << 20;
/// More bytes than any file has.
const MAX_STORAGE: u64 = 1 << 48;
/// Bytes that one task gathers.
const TASK_BYTES: usize = 1 << 18;

/// The place of a tensor's elements in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLayout {
    /// Row-major and without gaps.
    Contiguous(Range<usize>),
    /// Anything else.
    Strided(Strided),
}

/// Elements at distances; everything is in bytes of the file and inside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strided {
    /// The first element's byte.
    start: usize,
    /// From the first byte of any element to the last.
    span: Range<usize>,
    /// Bytes that lie together: an element, or a whole row.
    run: usize,
    /// Number of runs and bytes between them, outermost axis first.
    axes: Vec<(usize, usize)>,
}

impl DataPlace for StorageLayout {
    fn span(&self) -> Range<usize> {
        match self {
            StorageLayout::Contiguous(range) => range.clone(),
            StorageLayout::Strided(strided) => strided.span.clone(),
        }
    }

    fn data<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            StorageLayout::Contiguous(range) => Cow::Borrowed(&bytes[range.clone()]),
            StorageLayout::Strided(strided) => Cow::Owned(strided.gather(bytes)),
        }
    }
}

/// Shape and layout of a tensor whose storage is at the bytes `storage` of a file of `file_bytes` bytes.
pub(super) fn resolve(
    file: &Path,
    objects: &Objects,
    tensor: &TensorRef,
    storage: Range<usize>,
    file_bytes: usize,
) -> Result<(Vec<usize>, StorageLayout), Box<Fault>> {
    let check = Check { file, objects };
    let size = check.axes("size", tensor.size)?;
    let stride = check.axes("stride", tensor.stride)?;
    if size.len() != stride.len() {
        let (expected, found) =
            (format!("a stride for each of {} axes", size.len()), stride.len().to_string());
        return Err(check.inconsistent(expected, found));
    }
    let offset = check.number("offset", tensor.offset)?;
    let width = tensor.dtype.block_bytes();
    let elements = size
        .iter()
        .try_fold(1u64, |product, &dim| product.checked_mul(dim))
        .filter(|&elements| elements <= i64::MAX as u64)
        .ok_or_else(|| check.too_large("a number of elements that fits into 64 bits", &size))?;
    let shape: Vec<usize> = size
        .iter()
        .map(|&dim| usize::try_from(dim))
        .collect::<Result<_, _>>()
        .map_err(|_| check.too_large("axes that fit into memory", &size))?;
    if elements == 0 {
        return Ok((shape, StorageLayout::Contiguous(storage.start..storage.start)));
    }

    let last = size.iter().zip(&stride).try_fold(offset, |last, (&dim, &step)| {
        (dim - 1).checked_mul(step).and_then(|reach| last.checked_add(reach))
    });
    let last = last.ok_or_else(|| check.too_large("strides that stay inside the storage", &stride))?;
    let first = tensor.storage.view.checked_add(offset);
    let last = tensor.storage.view.checked_add(last);
    let bytes = last.and_then(|last| last.checked_add(1)?.checked_mul(width as u64));
    let (Some(first), Some(last), Some(0..=MAX_STORAGE)) = (first, last, bytes) else {
        return Err(check.too_large("strides that stay inside the storage", &stride));
    };
    let available = (storage.len() / width) as u64;
    if last >= available {
        let expected = format!("elements inside the {available} of the storage");
        return Err(check.inconsistent(expected, format!("element {last}")));
    }
    // Both are elements of the storage, whose bytes are in memory.
    let span = storage.start + first as usize * width..storage.start + (last as usize + 1) * width;

    let (run, axes) = runs(&shape, &stride, width);
    if axes.is_empty() {
        return Ok((shape, StorageLayout::Contiguous(span)));
    }
    let bytes = elements.saturating_mul(width as u64);
    let limit = (file_bytes as u64).saturating_mul(MAX_GROWTH).max(SMALL);
    if bytes > limit {
        let expected = format!("a view of at most {limit} bytes, {MAX_GROWTH} times the file");
        let kind = FaultKind::LimitExceeded;
        return Err(Fault::new(file, kind, expected, format!("{bytes} bytes, shape {shape:?}")));
    }
    Ok((shape, StorageLayout::Strided(Strided { start: span.start, span, run, axes })))
}

/// Merges the innermost axes that lie together into runs; returns bytes per run, and the axes left over.
fn runs(shape: &[usize], stride: &[u64], width: usize) -> (usize, Vec<(usize, usize)>) {
    let mut run = width;
    let mut axes: Vec<(usize, usize)> = Vec::new();
    for (&dim, &step) in shape.iter().zip(stride).rev() {
        // The caller has checked that every stride of more than one element stays inside the storage.
        let step = if dim > 1 { step as usize * width } else { 0 };
        match () {
            () if dim == 1 => {}
            () if axes.is_empty() && step == run => run *= dim,
            () => axes.push((dim, step)),
        }
    }
    axes.reverse();
    (run, axes)
}

impl Strided {
    /// The elements in row-major order. `bytes` is the whole file.
    pub(super) fn gather(&self, bytes: &[u8]) -> Vec<u8> {
        let count: usize = self.axes.iter().map(|(dim, _)| dim).product();
        let mut out = vec![0; count * self.run];
        if out.len() <= TASK_BYTES {
            self.gather_part(bytes, 0, &mut out);
            return out;
        }
        let per_task = (TASK_BYTES / self.run).max(1);
        out.par_chunks_mut(per_task * self.run).enumerate().for_each(|(task, chunk)| {
            self.gather_part(bytes, task * per_task, chunk);
        });
        out
    }

    /// Fills `out` with the runs from number `first` on.
    fn gather_part(&self, bytes: &[u8], first: usize, out: &mut [u8]) {
        // The index along each axis, like an odometer, and the byte it leads to.
        let mut index = vec![0; self.axes.len()];
        let (mut rest, mut place) = (first, self.start);
        for (digit, (dim, step)) in index.iter_mut().zip(&self.axes).rev() {
            *digit = rest % dim;
            rest /= dim;
            place += *digit * step;
        }
        for run in out.chunks_exact_mut(self.run) {
            if let Some(from) = bytes.get(place..place + self.run) {
                run.copy_from_slice(from);
            }
            for (digit, (dim, step)) in index.iter_mut().zip(&self.axes).rev() {
                *digit += 1;
                place += step;
                if *digit < *dim {
                    break;
                }
                *digit = 0;
                place -= dim * step;
            }
        }
    }
}

struct Check<'a> {
    file: &'a Path,
    objects: &'a Objects,
}

impl Check<'_> {
    fn number(&self, what: &str, value: Value) -> Result<u64, Box<Fault>> {
        let Some(number) = self.objects.integer(value) else {
            return Err(self.inconsistent(format!("an integer as {what}"), self.objects.describe(value)));
        };
        u64::try_from(number).map_err(|_| {
            let kind = if number < 0 { FaultKind::InconsistentHeader } else { FaultKind::LimitExceeded };
            Fault::new(self.file, kind, format!("{what} of 0 or more, in 64 bits"), number.to_string())
        })
    }

    fn axes(&self, what: &str, value: Value) -> Result<Vec<u64>, Box<Fault>> {
        let Some(items) = self.objects.items(value) else {
            return Err(self.inconsistent(format!("a tuple as {what}"), self.objects.describe(value)));
        };
        if items.len() > MAX_RANK {
            let expected = format!("at most {MAX_RANK} axes");
            let found = items.len().to_string();
            return Err(Fault::new(self.file, FaultKind::LimitExceeded, expected, found));
        }
        items.iter().map(|item| self.number(what, *item)).collect()
    }

    fn inconsistent(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        Fault::new(self.file, FaultKind::InconsistentHeader, expected, found)
    }

    fn too_large(&self, expected: &str, found: &[u64]) -> Box<Fault> {
        Fault::new(self.file, FaultKind::LimitExceeded, expected, format!("{found:?}"))
    }
}

/// The bytes of a storage of `elements` elements.
pub(super) fn storage_bytes(file: &Path, elements: u64, dtype: Option<Dtype>) -> Result<usize, Box<Fault>> {
    let width = dtype.map_or(1, Dtype::block_bytes) as u64;
    let bytes = elements.checked_mul(width).filter(|&bytes| bytes <= MAX_STORAGE);
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        let (expected, found) =
            (format!("a storage of at most {MAX_STORAGE} bytes"), format!("{elements} elements"));
        Fault::new(file, FaultKind::LimitExceeded, expected, found)
    })
}
