//! Files of `torch.save`: `.bin`, `.pth`, `.pt`.
//!
//! Such a file is a pickle, a program for Python, with the numbers beside it. It is read without Python and without
//! running anything: the pickle is followed by a machine that knows tensors and containers only
//! (`pickle`), and the tensors are slices of the mapped file, or gathered from it where they are strided.
//! Read are the zip container of PyTorch 1.6 and later (`base::zip`) and the one before it (`old`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::mapped::MappedFile;
use super::{Access, Fault, FaultKind, TensorInfo, TensorSource, TensorView, WeightsError};
use crate::base::fault::quoted;
use crate::base::zip;
use crate::weights::place_of;
use layout::Layout;
use value::{Objects, Value};

mod construct;
mod cursor;
mod layout;
mod machine;
mod old;
mod pickle;
mod recognise;
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
#[derive(Debug)]
pub struct TorchFile {
    file: MappedFile,
    /// Sorted by name.
    infos: Vec<TensorInfo>,
    /// Where the elements of each of `infos` lie.
    layouts: Vec<Layout>,
}

/// What either container holds: the state dict's objects, and where its storages are.
struct Parsed {
    objects: Objects,
    root: Value,
    storages: BTreeMap<String, Place>,
}

/// The bytes of a storage.
struct Place {
    data: Range<usize>,
}

impl TorchFile {
    /// Maps the file and reads its description; no tensor data is read.
    ///
    /// A dictionary of several state dicts gives names with dots (`model.…`, `ema.…`); where all tensors lie in one
    /// inner dictionary, its key is no part of their names.
    ///
    /// # Errors
    /// [`WeightsError::Fault`]: `Forbidden` if the pickle names anything that tensors do not need, `MissingData`
    /// for a Git LFS pointer, `Unsupported` for other kinds of files, and the other kinds for damaged ones.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::open(path.as_ref())?)
    }

    /// The same for a file that is in memory; `path` names it in messages.
    ///
    /// # Errors
    /// [`WeightsError::Fault`], as [`TorchFile::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::from_bytes(path, bytes))
    }

    fn of(file: MappedFile) -> Result<Self, WeightsError> {
        let (path, bytes) = (file.path(), file.bytes());
        let parsed = if zip::is_zip(bytes) {
            read_zip(path, bytes)?
        } else if old::is_pickle(bytes) {
            old::read(path, bytes)?
        } else {
            return Err(recognise::other_kind(path, bytes).into());
        };
        let (infos, layouts) = tensors(path, bytes, &parsed)?;
        Ok(TorchFile { file, infos, layouts })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    fn find(&self, name: &str) -> Option<(&TensorInfo, &Layout)> {
        let index = place_of(&self.infos, name)?;
        self.infos.get(index).zip(self.layouts.get(index))
    }
}

impl TensorSource for TorchFile {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let missing = || WeightsError::MissingTensor { file: self.path().to_owned(), name: name.to_owned() };
        let (info, layout) = self.find(name).ok_or_else(missing)?;
        let bytes = self.file.bytes();
        let data = match layout {
            Layout::Contiguous(range) => Cow::Borrowed(bytes.get(range.clone()).ok_or_else(missing)?),
            Layout::Strided(strided) => Cow::Owned(strided.gather(bytes)),
        };
        Ok(TensorView { info, data })
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path().to_owned()]
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some((_, layout)) = self.find(name) {
            self.file.hint(layout.span(), access);
        }
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
            Some((key, Place { data: member.data.clone() }))
        })
        .collect();
    Ok(Parsed { objects: unpickled.objects, root: unpickled.root, storages })
}

/// The named tensors, sorted, with their layouts.
fn tensors(file: &Path, bytes: &[u8], parsed: &Parsed) -> Result<(Vec<TensorInfo>, Vec<Layout>), Box<Fault>> {
    let Parsed { objects, root, storages } = parsed;
    let mut tensors = Vec::new();
    let mut total = 0u64;
    for (name, tensor) in state::named_tensors(file, objects, *root)? {
        let about = |fault: Box<Fault>| fault.tensor(&name);
        let storage = tensor.storage;
        let key = objects.text(storage.key).expect("a storage is made with a text as its key");
        let Some(place) = storages.get(key) else {
            let (expected, found) = (format!("storage {}", quoted(key)), "no such storage in the file");
            return Err(about(
                Fault::new(file, FaultKind::MissingData, expected, found)
                    .advice("the file is damaged: fetch it again and compare its digest"),
            ));
        };
        let length = layout::storage_bytes(file, storage.elements, storage.dtype).map_err(about)?;
        if length != place.data.len() {
            let kind =
                if length > place.data.len() { FaultKind::Truncated } else { FaultKind::InconsistentHeader };
            let expected = format!("{length} bytes of storage {}", quoted(key));
            return Err(about(Fault::new(file, kind, expected, place.data.len().to_string())));
        }
        let (shape, layout) =
            layout::resolve(file, objects, &tensor, place.data.clone(), bytes.len()).map_err(about)?;
        let info = TensorInfo { name, dtype: tensor.dtype, shape };
        total = total.saturating_add(info.dtype.bytes_for(info.elements()).unwrap_or(usize::MAX) as u64);
        tensors.push((info, layout));
    }
    let limit = (bytes.len() as u64).saturating_mul(MAX_TOTAL_GROWTH).max(SMALL);
    if total > limit {
        let expected = format!("tensors of at most {limit} bytes, {MAX_TOTAL_GROWTH} times the file");
        return Err(Fault::new(file, FaultKind::LimitExceeded, expected, total.to_string()));
    }
    tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    for pair in tensors.windows(2) {
        if let [(first, _), (second, _)] = pair
            && first.name == second.name
        {
            let found = format!("{} twice", quoted(&first.name));
            return Err(
                Fault::new(file, FaultKind::InconsistentHeader, "each name once", found).tensor(&first.name)
            );
        }
    }
    Ok(tensors.into_iter().unzip())
}
