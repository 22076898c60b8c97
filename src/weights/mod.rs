//! Files ↔ named tensors.
//!
//! Every released form is read through one trait, [`TensorSource`]: named, typed, row-major tensors
//! whose bytes are borrowed from a memory-mapped file where the format allows it. This room knows
//! files and block formats, and nothing about transformers.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

mod blocks;
mod buffers;
mod cast;
mod digest;
mod dtype;
mod error;
mod file;
mod finite;
pub mod gguf;
mod json;
mod mapped;
mod meta;
mod open;
pub mod safetensors;
mod sharded;
mod table;
pub(crate) mod torch;

pub use buffers::is_buffer;
pub(crate) use buffers::{Wrapped, refuse_placeholders, wrapper};
pub use digest::FileDigests;
pub use dtype::Dtype;
pub use error::WeightsError;
pub use finite::NonFinite;
pub use gguf::{GgufFile, MetadataKindError};
pub(crate) use mapped::MappedFile;
pub use meta::{Join, MetaShards, join, verify_checklist};
pub use open::{
    INDEX_FILE, SINGLE_FILE, TORCH_INDEX_FILE, TORCH_SINGLE_FILE, is_gguf, is_hf_layout, is_weights, open,
};
pub use safetensors::SafetensorsFile;
pub use sharded::ShardedWeights;
pub use torch::TorchFile;

/// The type of most weights, by their bytes; `None` where there are none.
pub fn type_of_most(tensors: &[TensorInfo]) -> Option<Dtype> {
    let mut bytes: Vec<(Dtype, usize)> = Vec::new();
    for info in tensors {
        match bytes.iter_mut().find(|(dtype, _)| *dtype == info.dtype) {
            Some((_, sum)) => *sum += info.bytes(),
            None => bytes.push((info.dtype, info.bytes())),
        }
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(dtype, _)| dtype)
}

/// What a file says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name as the file spells it.
    pub name: String,
    /// How its elements are stored.
    pub dtype: Dtype,
    /// Row-major shape, outermost axis first (`[rows, columns]` of a linear layer: `[out, in]`).
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// Number of elements; 1 for a scalar. Readers have checked that the product does not overflow.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of its data. Readers and those who plan tensors have checked that they are whole blocks and can be counted.
    pub fn bytes(&self) -> usize {
        self.dtype.bytes_for(self.elements()).expect("the size of a tensor was checked when it was described")
    }
}

/// One tensor with its bytes, little-endian and contiguous in row-major order.
#[derive(Debug, Clone)]
pub struct TensorView<'a> {
    /// Name, type and shape.
    pub info: &'a TensorInfo,
    /// Exactly the bytes of the tensor: borrowed from the mapped file, or owned where a source
    /// has to rearrange them.
    pub data: Cow<'a, [u8]>,
}

impl TensorView<'_> {
    /// Widens the whole tensor to f32 in row-major order.
    pub fn to_f32(&self) -> Result<Vec<f32>, WeightsError> {
        let mut out = vec![0.0; self.info.elements()];
        self.info.dtype.widen(&self.data, &mut out)?;
        Ok(out)
    }

    /// Widens the elements from number `first` on, as many as `out` holds.
    ///
    /// # Errors
    /// As [`Dtype::widen`], and for data that are not those of the whole tensor.
    ///
    /// # Panics
    /// If they are no whole blocks, or not all in the tensor.
    pub fn widen_from(&self, first: usize, out: &mut [f32]) -> Result<(), WeightsError> {
        let dtype = self.info.dtype;
        let bytes = |elements| dtype.bytes_for(elements).expect("whole blocks inside the tensor");
        dtype.check_length(self.info.elements(), self.data.len())?;
        dtype.widen(&self.data[bytes(first)..bytes(first + out.len())], out)
    }
}

/// A set of named tensors, from one file or many.
pub trait TensorSource: Send + Sync {
    /// All tensors, sorted by name.
    fn tensors(&self) -> &[TensorInfo];

    /// What is said of the tensor called `name`, without reading it.
    fn info(&self, name: &str) -> Option<&TensorInfo> {
        place_of(self.tensors(), name).map(|place| &self.tensors()[place])
    }

    /// The tensor called `name`; [`WeightsError::MissingTensor`] if there is none.
    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError>;

    /// The files the tensors come from, in the order in which they are read.
    fn files(&self) -> Vec<PathBuf>;

    /// Says how a tensor will be used, so that long work over many tensors stays in bounded memory and its
    /// disk reads run ahead of it. Only speed and memory depend on it; an unknown name is no error.
    fn hint(&self, name: &str, access: Access) {
        let _ = (name, access);
    }

    /// What the reader found odd and did not refuse.
    fn warnings(&self) -> &[String] {
        &[]
    }
}

/// Reads the tensors that `items` name, one after the other: the next one is read ahead meanwhile, and the memory of one
/// that is done with is given back.
pub(crate) fn in_turn<T, E: From<WeightsError>>(
    source: &dyn TensorSource,
    items: &[T],
    name: impl Fn(&T) -> &str,
    mut each: impl FnMut(&T, TensorView<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for (i, item) in items.iter().enumerate() {
        if let Some(next) = items.get(i + 1) {
            source.hint(name(next), Access::Soon);
        }
        each(item, source.tensor(name(item))?)?;
        source.hint(name(item), Access::Done);
    }
    Ok(())
}

/// Where the tensor called `name` is among tensors that are sorted by name.
pub(crate) fn place_of(infos: &[TensorInfo], name: &str) -> Option<usize> {
    infos.binary_search_by(|info| info.name.as_str().cmp(name)).ok()
}

/// A pointer to a source is one.
macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<S: TensorSource + ?Sized> TensorSource for $pointer {
            fn tensors(&self) -> &[TensorInfo] {
                (**self).tensors()
            }

            fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
                (**self).tensor(name)
            }

            fn files(&self) -> Vec<PathBuf> {
                (**self).files()
            }

            fn hint(&self, name: &str, access: Access) {
                (**self).hint(name, access);
            }

            fn warnings(&self) -> &[String] {
                (**self).warnings()
            }
        }
    )+};
}

forward!(&S, Box<S>, Arc<S>);

/// How a tensor will be used; see [`TensorSource::hint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its bytes are needed next: read ahead.
    Soon,
    /// Its bytes are not needed any more: the pages that hold them may go.
    Done,
    /// The same, and they may leave the machine's cache too: whoever reads more than the memory holds, again and again,
    /// would only drive out what others have there.
    Forget,
}
