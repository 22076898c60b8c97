//! A Hugging Face model as a GGUF file: names, row order, element types, metadata, vocabulary.
//!
//! The inverse of [`GgufAsHf`](crate::forms::GgufAsHf) and its configuration. Tensors are
//! converted one at a time and streamed to a temporary file that takes its name when it is complete.
//! Source: the names and metadata keys of llama.cpp's converter; the choice of types per tensor of its `quantize`,
//! but for one: where llama.cpp stores the output matrix of a Q4_0 file as Q6_K, it is Q8_0 here.

mod metadata;
mod tensors;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;

use crate::base::atomic::AtomicFile;
use crate::base::progress::{self, Progress, Unit};
use crate::forms::{FormError, HfModel, ROPE_FACTORS};
use crate::store::{TensorDigest, llama};
use crate::weights::gguf::{GgufWriter, Metadata};
use crate::weights::{Dtype, TensorInfo, in_turn};
use tensors::GgufTensor;

/// What the matrices of a GGUF file are stored as. Vectors are always F32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufFileType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// 8-bit blocks; F16 where a row is no whole number of blocks.
    Q8_0,
    /// 4-bit blocks, Q8_0 for the output matrix; F16 where a row is no whole number of blocks.
    Q4_0,
}

impl GgufFileType {
    /// The type whose matrices have the type `dtype`, if there is one.
    pub fn of(dtype: Dtype) -> Option<GgufFileType> {
        Some(match dtype {
            Dtype::F32 => GgufFileType::F32,
            Dtype::F16 => GgufFileType::F16,
            Dtype::BF16 => GgufFileType::BF16,
            Dtype::Q8_0 => GgufFileType::Q8_0,
            Dtype::Q4_0 => GgufFileType::Q4_0,
            _ => return None,
        })
    }

    /// Its number in `general.file_type` (`llama_ftype` of llama.cpp).
    fn number(self) -> u64 {
        match self {
            GgufFileType::F32 => 0,
            GgufFileType::F16 => 1,
            GgufFileType::Q4_0 => 2,
            GgufFileType::Q8_0 => 7,
            GgufFileType::BF16 => 32,
        }
    }

    fn is_blocks(self) -> bool {
        matches!(self, GgufFileType::Q8_0 | GgufFileType::Q4_0)
    }

    /// The type of one tensor. `is_output` says that its rows make the logits.
    fn of_tensor(self, shape: &[usize], is_output: bool) -> Dtype {
        let &[_, columns] = shape else { return Dtype::F32 };
        let blocks = match self {
            GgufFileType::F32 => return Dtype::F32,
            GgufFileType::F16 => return Dtype::F16,
            GgufFileType::BF16 => return Dtype::BF16,
            GgufFileType::Q4_0 if !is_output => Dtype::Q4_0,
            GgufFileType::Q4_0 | GgufFileType::Q8_0 => Dtype::Q8_0,
        };
        if columns.is_multiple_of(blocks.block_size()) { blocks } else { Dtype::F16 }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufReport {
    /// The tensors in the order of the file.
    pub tensors: Vec<TensorInfo>,
    /// Digests of the tensors under Hugging Face's names and in its row order, as a reader gives them back.
    pub digests: Vec<TensorDigest>,
    /// What a user should know: what the format could not say.
    pub notes: Vec<String>,
}

/// A model whose GGUF file is laid out; nothing of its tensors is read yet.
pub struct GgufPlan<'a> {
    model: &'a HfModel,
    tensors: Vec<GgufTensor>,
    /// Of the whole file, in its order.
    infos: Vec<TensorInfo>,
    /// The tensor that GGUF has for LLaMA 3.1's rotary scaling; the first in the file.
    factors: Option<Vec<f32>>,
    metadata: Metadata,
    notes: Vec<String>,
}

impl<'a> GgufPlan<'a> {
    /// Plans `model` as one GGUF file of this type.
    ///
    /// # Errors
    /// [`FormError::Refused`] for a model that is no LLaMA, lacks tensors or has other ones;
    /// [`FormError::Tokenizer`] if the vocabulary has more tokens than the embedding rows or is of a kind that GGUF
    /// cannot say; [`FormError::Io`] if a tokenizer file cannot be read.
    pub fn new(model: &'a HfModel, file_type: GgufFileType) -> Result<Self, FormError> {
        let config = llama(model, "GGUF")?;
        let tensors = tensors::plan(model, &config, file_type)?;
        let mut notes = Vec::new();
        let mut metadata = metadata::of_model(model, &config, file_type, &mut notes)?;
        metadata.0.extend(metadata::vocabulary(model, &tensors, &mut notes)?.0);
        let whole = |info: &TensorInfo| info.shape.len() != 2 || info.dtype.block_size() > 1;
        let plain = tensors.iter().filter(|tensor| !whole(&tensor.info)).count();
        if file_type.is_blocks() && plain > 0 {
            notes.push(format!("{plain} matrices are F16, since their rows are no whole blocks"));
        }
        let factors = config.rope_scaling.factors(config.rope_theta, config.head_dim);
        let of_factors = |factors: &Vec<f32>| TensorInfo {
            name: ROPE_FACTORS.into(),
            dtype: Dtype::F32,
            shape: vec![factors.len()],
        };
        let infos = factors.iter().map(of_factors).chain(tensors.iter().map(|tensor| tensor.info.clone()));
        let infos = infos.collect();
        Ok(GgufPlan { model, tensors, infos, factors, metadata, notes })
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.info.bytes() as u64).sum()
    }

    /// Writes the file at `out`. One tensor at a time is in memory.
    ///
    /// # Errors
    /// [`FormError::Weights`] for what the source reports and for values that the type cannot hold;
    /// [`FormError::Io`].
    pub fn write(&self, out: &Path, progress: &dyn Progress) -> Result<GgufReport, FormError> {
        let io = |error| FormError::io(out, "write", error);
        let mut file = AtomicFile::create(out).map_err(io)?;
        let mut writer = GgufWriter::new(&mut file, out, &self.metadata, self.infos.clone())?;
        let digests = progress::during(progress, "writing GGUF", Some(self.bytes()), Unit::Bytes, || {
            self.write_tensors(&mut writer, progress)
        })?;
        writer.finish()?.flush().map_err(io)?;
        file.commit().map_err(io)?;
        Ok(GgufReport { tensors: self.infos.clone(), digests, notes: self.notes.clone() })
    }

    fn write_tensors<W: Write>(
        &self,
        writer: &mut GgufWriter<W>,
        progress: &dyn Progress,
    ) -> Result<Vec<TensorDigest>, FormError> {
        if let Some(factors) = &self.factors {
            writer.write(&factors.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
        }
        let mut digests = Vec::with_capacity(self.tensors.len());
        in_turn(
            &self.model.tensors,
            &self.tensors,
            |tensor| &tensor.origin,
            |tensor, view| {
                let data = view.cast(tensor.info.dtype)?;
                writer.write(&tensor.in_file_order(&data))?;
                digests.push(TensorDigest::of(&tensor.origin, &tensor.info, &data));
                progress.advance(data.len() as u64);
                Ok::<_, FormError>(())
            },
        )?;
        Ok(digests)
    }
}
