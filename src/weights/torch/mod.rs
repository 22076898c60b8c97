//! Files of `torch.save`: `.bin`, `.pth`, `.pt`.
//!
//! Such a file is a pickle, a program for Python, with the numbers beside it. It is read without Python and without
//! running anything: the pickle is followed by a machine that knows tensors and containers only
//! (`pickle`), and the tensors are slices of the mapped file, or gathered from it where they are strided.
//! Read are the zip container of PyTorch 1.6 and later (`base::zip`) and the one before it (`old`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::file::{self, TensorFile};
use super::table::TensorTable;
use super::{TensorInfo, WeightsError};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::base::recognise::other_format;
use crate::base::zip;
use layout::StorageLayout;
use value::{Objects, Value};

mod construct;
mod cursor;
mod layout;
mod machine;
mod old;
mod pickle;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod value;
mod writer;

pub use writer::TorchWriter;

/// All tensors of a file together may have this many times the bytes of the file, and those of a small file a
/// mebibyte: views may share storages, but a file that unfolds without end is no model.
const MAX_TOTAL_GROWTH: u64 = 16;
const SMALL: u64 = 1 << 20;

/// The tensors of one file of `torch.save`.
///
/// A dictionary of several state dicts gives names with dots (`model.…`, `ema.…`); where all tensors lie in one
/// inner dictionary, its key is no part of their names. Faults are `Forbidden` if the pickle names anything that tensors
/// do not need, `MissingData` for a Git LFS pointer, `Unsupported` for other kinds of files, and the other kinds for
/// damaged ones.
pub type TorchFile = TensorFile<TensorTable<StorageLayout>>;

/// What either container holds: the state dict's objects, and where its storages are.
struct Parsed {
    objects: Objects,
    root: Value,
    /// Their bytes, by name.
    storages: BTreeMap<String, Range<usize>>,
}

impl file::FileHeader for TensorTable<StorageLayout> {
    type Place = StorageLayout;
    const FORMAT: &'static str = "a file of torch.save";

    fn parse(file: &Path, bytes: &[u8]) -> Result<Self, WeightsError> {
        let parsed = if zip::is_zip(bytes) {
            read_zip(file, bytes)?
        } else if old::is_pickle(bytes) {
            old::read(file, bytes)?
        } else {
            return Err(other_format(file, Self::FORMAT, bytes).into());
        };
        Ok(tensors(file, bytes, &parsed)?)
    }

    fn table(&self) -> &Self {
        self
    }
}

/// Finds the pickle and the storages in the zip container.
fn read_zip(file: &Path, bytes: &[u8]) -> Result<Parsed, Box<Fault>> {
    const PICKLE: &str = "data.pkl";
    let members = zip::members(file, bytes)?;
    if let Some((member, method)) = members.iter().find_map(|member| Some((member, member.compression()?))) {
        let found = format!("{} compressed by {method}", quoted(&member.name));
        let expected = "members that are stored, as PyTorch writes them";
        return Err(Fault::new(file, FaultKind::Unsupported, expected, found)
            .advice("unpack the archive and store it again without compression"));
    }
    let is_pickle = |name: &str| name.strip_suffix(PICKLE).is_some_and(|p| p.is_empty() || p.ends_with('/'));
    let pickles: Vec<&zip::Member> = members.iter().filter(|member| is_pickle(&member.name)).collect();
    let [pickle] = pickles.as_slice() else {
        let (kind, found) = match pickles.first() {
            None => (FaultKind::MissingData, "none".to_owned()),
            Some(first) => {
                let found = format!("{} of them, such as {}", pickles.len(), quoted(&first.name));
                (FaultKind::InconsistentHeader, found)
            }
        };
        return Err(Fault::new(file, kind, format!("one {PICKLE} in the archive"), found)
            .advice("only archives of torch.save are read: save the model's state_dict() with it"));
    };
    let prefix = pickle.name.strip_suffix(PICKLE).expect("it was found by this ending");
    let within = |member: &zip::Member| member.name.strip_prefix(prefix).map(str::to_owned);

    let script = |name: &str| name == "constants.pkl" || name.starts_with("code/");
    if members.iter().filter_map(within).any(|name| script(&name)) {
        let expected = "the tensors of a model (torch.save)";
        return Err(Fault::new(file, FaultKind::Unsupported, expected, "a program (torch.jit.save)")
            .advice("load it in PyTorch and save the model's state_dict()"));
    }
    for member in &members {
        let content = &bytes[member.data.clone()];
        if within(member).as_deref() == Some("byteorder") && content != b"little" {
            let found = format!("byteorder {}", quoted(&String::from_utf8_lossy(content)));
            let expected = "numbers in little-endian order";
            return Err(Fault::new(file, FaultKind::Unsupported, expected, found));
        }
    }

    // A slice that ends with the pickle, so that places in messages are those of the file.
    let upto = &bytes[..pickle.data.end];
    let what = format!("member {}", quoted(&pickle.name));
    let unpickled = pickle::unpickle(file, &what, upto, pickle.data.start)?;
    let left = pickle.data.len() - unpickled.length;
    if left > 0 {
        let found = format!("{left} bytes more");
        return Err(
            Fault::new(file, FaultKind::InconsistentHeader, "the pickle's end at STOP", found).at(what)
        );
    }
    let storages = members
        .iter()
        .filter_map(|member| {
            let key = within(member)?.strip_prefix("data/")?.to_owned();
            Some((key, member.data.clone()))
        })
        .collect();
    Ok(Parsed { objects: unpickled.objects, root: unpickled.root, storages })
}

/// The named tensors with their layouts.
fn tensors(file: &Path, bytes: &[u8], parsed: &Parsed) -> Result<TensorTable<StorageLayout>, Box<Fault>> {
    let Parsed { objects, root, storages } = parsed;
    let mut tensors = Vec::new();
    let mut total = 0u64;
    for (name, tensor) in state::named_tensors(file, objects, *root)? {
        let about = |fault: Box<Fault>| fault.tensor(&name);
        let storage = tensor.storage;
        let key = objects.text(storage.key).expect("a storage is made with a text as its key");
        let Some(place) = storages.get(key) else {
            let expected = format!("storage {}", quoted(key));
            let found = "no such storage in the file";
            return Err(about(
                Fault::new(file, FaultKind::MissingData, expected, found)
                    .advice("the file is damaged: fetch it again and compare its digest"),
            ));
        };
        let length = layout::storage_bytes(file, storage.elements, storage.dtype).map_err(about)?;
        if length != place.len() {
            let kind =
                if length > place.len() { FaultKind::Truncated } else { FaultKind::InconsistentHeader };
            let expected = format!("{length} bytes of storage {}", quoted(key));
            return Err(about(Fault::new(file, kind, expected, place.len().to_string())));
        }
        let (shape, layout) =
            layout::resolve(file, objects, &tensor, place.clone(), bytes.len()).map_err(about)?;
        let info = TensorInfo { name, dtype: tensor.dtype, shape };
        // Each was counted; their sum may be beyond any number.
        total = total.saturating_add(info.bytes() as u64);
        tensors.push((info, layout));
    }
    let limit = (bytes.len() as u64).saturating_mul(MAX_TOTAL_GROWTH).max(SMALL);
    if total > limit {
        let expected = format!("tensors of at most {limit} bytes, {MAX_TOTAL_GROWTH} times the file");
        return Err(Fault::new(file, FaultKind::LimitExceeded, expected, total.to_string()));
    }
    TensorTable::new(file, tensors)
}
