//! Base plus difference: Vicuna, Alpaca, Ziya.
//!
//! One mechanism, and rules as data: which tensors the release brings whole, which row the base's vocabulary
//! gets first, and in which type the sum is made. The published scripts load both models in that type, so an
//! operand of another type is rounded to it before it is added, and the sum is rounded once. Buffers of rotary
//! frequencies, which releases of 2023 still carry, are computed by every program today and are left out.
//! Sources: FastChat `apply_delta.py` (both versions), Stanford Alpaca `weight_diff.py`, Fengshenbang `apply_delta.py`.

mod check;
mod mean;
mod sum;

use std::borrow::Cow;
use std::path::PathBuf;

pub use sum::{SumCheck, SumVerdict, Summed};

use crate::forms::{FormError, HfModel};
use crate::rebuild::arithmetic::{Operand, add};
use crate::registry::Rule;
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, TensorView, WeightsError, is_buffer};

/// The embedding, `[vocabulary, hidden]`.
pub(super) const EMBEDDING: &str = "model.embed_tokens.weight";
/// The output layer, `[vocabulary, hidden]`.
pub(super) const OUTPUT: &str = "lm_head.weight";

/// How a difference and its base become a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaRule {
    /// The word used in cards and lock files.
    pub name: &'static str,
    /// Tensors whose names contain one of these are the released ones, not sums.
    pub replaced: &'static [&'static str],
    /// The row that embedding and output layer of the base get before anything is added.
    pub appended: AppendedRow,
    /// The type of the operands and of the result.
    pub dtype: Dtype,
    /// What is computed, in a sentence for the record of a build.
    pub arithmetic: &'static str,
}

/// A row that a base's vocabulary gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendedRow {
    /// No row.
    None,
    /// A row of zeros.
    Zero,
    /// The mean of all other rows of the same matrix.
    Mean,
}

impl DeltaRule {
    /// Vicuna's first version: a row of zeros for its padding token.
    pub const VICUNA_V0: DeltaRule = DeltaRule {
        name: "vicuna_delta_v0",
        replaced: &[],
        appended: AppendedRow::Zero,
        dtype: Dtype::F16,
        arithmetic: "f16(f32(base) + f32(delta)), after one row of zeros was appended to the base's embedding and \
                     output layer",
    };
    /// Vicuna 1.1, and every plain difference in half precision.
    pub const VICUNA: DeltaRule = DeltaRule {
        name: "vicuna_delta",
        replaced: &[],
        appended: AppendedRow::None,
        dtype: Dtype::F16,
        arithmetic: "f16(f32(base) + f32(delta))",
    };
    /// Alpaca: the padding token's row is the mean of the others, and all arithmetic is in single precision.
    pub const ALPACA: DeltaRule = DeltaRule {
        name: "alpaca_diff",
        replaced: &[],
        appended: AppendedRow::Mean,
        dtype: Dtype::F32,
        arithmetic: "f32(base) + f32(diff), after one row, the mean of the others, was appended to the base's \
                     embedding and output layer",
    };
    /// Ziya: embedding and output layer are released whole, with another vocabulary.
    pub const ZIYA: DeltaRule = DeltaRule {
        name: "ziya_delta",
        replaced: &["embed_tokens", "lm_head.weight", "self_attn.rotary_emb.inv_freq"],
        appended: AppendedRow::None,
        dtype: Dtype::F16,
        arithmetic: "f16(f32(base) + f32(delta)); embedding and output layer are the released ones",
    };

    /// The rule of differences that cards call `rule`.
    ///
    /// # Panics
    /// For a rule of other releases.
    pub(super) fn of(rule: Rule) -> DeltaRule {
        let all = [Self::VICUNA_V0, Self::VICUNA, Self::ALPACA, Self::ZIYA];
        all.into_iter().find(|known| known.name == rule.as_str()).expect("a rule of differences")
    }

    fn replaces(&self, name: &str) -> bool {
        self.replaced.iter().any(|part| name.contains(part))
    }

    fn appends_to(&self, name: &str) -> bool {
        self.appended != AppendedRow::None && (name == EMBEDDING || name == OUTPUT)
    }
}

/// The sum of a base and a released difference; each tensor is computed when it is asked for.
pub struct Delta {
    base: Box<dyn TensorSource>,
    released: Box<dyn TensorSource>,
    path: PathBuf,
    rule: DeltaRule,
    infos: Vec<TensorInfo>,
}

impl Delta {
    /// Joins the two after checking that they belong together: names, shapes, and by the magnitude of the
    /// normalisation weights that the one is a model and the other a difference. Notes that are no reason to stop
    /// come back beside it. Reads headers and a few small tensors only.
    ///
    /// # Errors
    /// [`FormError::Refused`] with the accident that the shapes or magnitudes tell; reading errors.
    pub fn new(base: HfModel, released: HfModel, rule: DeltaRule) -> Result<(Delta, Vec<String>), FormError> {
        let warnings = check::check(&base, &released, &rule)?;
        let kept = released.tensors.tensors().iter().filter(|info| !is_buffer(info));
        let infos = kept.map(|info| TensorInfo { dtype: rule.dtype, ..info.clone() }).collect();
        let path = released.path;
        let delta = Delta { base: base.tensors, released: released.tensors, path, rule, infos };
        Ok((delta, warnings))
    }

    /// Embedding or output layer of the base with its new row, plus the release.
    fn sum_with_row(
        &self,
        base: &TensorView<'_>,
        released: &TensorView<'_>,
        out: &mut [u8],
    ) -> Result<(), WeightsError> {
        let &[_, columns] = base.info.shape.as_slice() else {
            panic!("{}: that what gets a row is a matrix was checked", base.info.name);
        };
        let row: Vec<u8> = match self.rule.appended {
            AppendedRow::Mean => mean::mean_row(base)?.iter().flat_map(|x| x.to_le_bytes()).collect(),
            AppendedRow::Zero => vec![0; columns * size_of::<f32>()],
            AppendedRow::None => panic!("{}: the rule adds no row", base.info.name),
        };
        let old = |dtype: Dtype| dtype.bytes_for(base.info.elements()).expect("types of whole elements");
        let (released_rows, released_row) = released.data.split_at(old(released.info.dtype));
        let (rows, last) = out.split_at_mut(old(self.rule.dtype));
        let operand = |dtype, bytes| Operand { dtype, bytes };
        let (dtype, released) = (self.rule.dtype, released.info.dtype);
        add(operand(base.info.dtype, &base.data), operand(released, released_rows), dtype, rows)?;
        add(operand(Dtype::F32, &row), operand(released, released_row), dtype, last)
    }
}

impl TensorSource for Delta {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let Some(info) = self.info(name) else {
            return Err(WeightsError::MissingTensor { file: self.path.clone(), name: name.to_owned() });
        };
        let released = self.released.tensor(name)?;
        if self.rule.replaces(name) {
            return Ok(TensorView { info, data: released.cast(info.dtype)? });
        }
        let base = self.base.tensor(name)?;
        // Not larger than the released tensor in f32: its size was checked against the file.
        let mut out =
            vec![0; info.dtype.bytes_for(info.elements()).expect("sums have types of whole elements")];
        if self.rule.appends_to(name) {
            self.sum_with_row(&base, &released, &mut out)?;
        } else {
            add(Operand::of(&base), Operand::of(&released), info.dtype, &mut out)?;
        }
        Ok(TensorView { info, data: Cow::Owned(out) })
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.base.files();
        files.extend(self.released.files());
        files
    }

    fn hint(&self, name: &str, access: Access) {
        self.released.hint(name, access);
        if !self.rule.replaces(name) {
            self.base.hint(name, access);
        }
    }
}

#[cfg(test)]
mod tests;
