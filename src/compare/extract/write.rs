//! Low-rank updates, computed and written in PEFT's format.
//!
//! One module is in memory at a time. The weights are written first and the configuration last, each under a temporary
//! name that is then changed: a folder with a configuration is whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use serde_json::json;

use super::{ExtractOptions, ExtractionPlan};
use crate::base::atomic::{AtomicFile, write_atomically};
use crate::base::fault::Refusal;
use crate::base::progress::{self, Progress, Unit};
use crate::base::whole;
use crate::compare::spectrum::{Difference, SpectrumMethod, truncated};
use crate::compare::{TensorKind, TensorPlace};
use crate::forms::FormError;
use crate::rebuild::{TOKENIZER_FILES, add_update};
use crate::weights::safetensors::FileLayout;
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, TensorView, WeightsError};

/// The weights in an adapter's folder.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";
/// The configuration in an adapter's folder.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// What PEFT puts before the names of the model.
const PREFIX: &str = "base_model.model.";
/// What it puts behind them, for the two matrices of an update.
const LORA_A: &str = ".lora_A.weight";
const LORA_B: &str = ".lora_B.weight";
/// Elements of a block when residuals are summed.
const BLOCK: usize = 1 << 20;

/// What [`ExtractionPlan::write`] did.
#[derive(Debug, Clone, Default)]
pub struct Extraction {
    /// The updates of low rank.
    pub modules: Vec<Extracted>,
    /// Names of the tokenizer files that were copied.
    pub tokenizer: Vec<&'static str>,
}

/// One update of low rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// Path of the linear layer.
    pub module: String,
    /// `‖Δ‖_F`.
    pub delta_norm: f64,
    /// `‖Δ − B A‖_F`, with B and A as they are stored.
    pub residual_norm: f64,
    /// `1 − ‖Δ − B A‖² / ‖Δ‖²`.
    pub energy: f64,
    /// The type of the base's weight.
    pub base_dtype: Dtype,
    /// What is left of the change once the update is merged and the sum has the base's type, `‖tuned − (base + B A)‖_F`:
    /// a change of the size of the type's steps comes back only where it is rounded to the right one. `None` for a base
    /// of a type that sums are not stored in.
    pub merged_residual_norm: Option<f64>,
    /// How it was found.
    pub method: SpectrumMethod,
}

impl Extracted {
    /// The share of the squared change that a merged model has; below 0 where merging does more harm than good.
    pub fn merged_energy(&self) -> Option<f64> {
        self.merged_residual_norm.map(|rest| kept(rest, self.delta_norm))
    }
}

/// `1 − rest² / delta²`.
fn kept(rest: f64, delta: f64) -> f64 {
    if delta > 0.0 { 1.0 - (rest / delta).powi(2) } else { 1.0 }
}

impl Extraction {
    /// `‖Δ‖_F` over all updated modules.
    pub fn delta_norm(&self) -> f64 {
        self.modules.iter().map(|m| m.delta_norm * m.delta_norm).sum::<f64>().sqrt()
    }

    /// `‖Δ − B A‖_F` over all updated modules.
    pub fn residual_norm(&self) -> f64 {
        self.modules.iter().map(|m| m.residual_norm * m.residual_norm).sum::<f64>().sqrt()
    }

    /// The share of the squared change of all updated modules that the updates hold.
    pub fn energy(&self) -> f64 {
        kept(self.residual_norm(), self.delta_norm())
    }

    /// The same for a merged model; `None` where a module cannot be merged.
    pub fn merged_energy(&self) -> Option<f64> {
        let squares: Option<f64> = self.modules.iter().map(|m| m.merged_residual_norm.map(|r| r * r)).sum();
        squares.map(|rest| kept(rest.sqrt(), self.delta_norm()))
    }
}

impl ExtractionPlan {
    /// Computes the updates and writes [`ADAPTER_FILE`] and [`CONFIG_FILE`] into `folder`, which is made if need be.
    ///
    /// # Errors
    /// [`FormError::Refused`] if LAPACK is missing or fails, or a value does not fit into the type asked for;
    /// [`FormError::Io`] and [`FormError::Weights`] for reading and writing.
    pub fn write(
        &self,
        a: &dyn TensorSource,
        b: &dyn TensorSource,
        options: &ExtractOptions,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Extraction, FormError> {
        fs::create_dir_all(folder).map_err(|e| FormError::io(folder, "create", e))?;
        let modules = Some(self.modules.len() as u64);
        let mut done = progress::during(progress, "extracting", modules, Unit::Items, || {
            self.write_weights(a, b, options, &folder.join(ADAPTER_FILE), progress)
        })?;
        if let Some(from) = options.tokenizer_from.as_deref().filter(|_| self.saves_vocabulary()) {
            done.tokenizer = copy_tokenizer(from, folder)?;
        }
        let path = folder.join(CONFIG_FILE);
        let text = format!("{:#}\n", self.config(options));
        write_atomically(&path, text.as_bytes()).map_err(|e| FormError::io(&path, "write", e))?;
        Ok(done)
    }

    /// Whether rows of the vocabulary are among what is saved whole.
    pub fn saves_vocabulary(&self) -> bool {
        self.saved.iter().any(|module| TensorPlace::of(&format!("{module}.weight")).kind == TensorKind::Embed)
    }

    fn write_weights(
        &self,
        a: &dyn TensorSource,
        b: &dyn TensorSource,
        options: &ExtractOptions,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Extraction, FormError> {
        let failed = |e| FormError::io(path, "write", e);
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let layout = FileLayout::plan(&self.infos(a, b, options)?, u64::MAX, &metadata)?;
        let mut file = AtomicFile::create(path).map_err(failed)?;
        let mut done = Extraction::default();
        // The matrix B of the module whose A is written: they follow each other, so both are computed at once.
        let mut second = None;
        for planned in &layout.files {
            file.write_all(&planned.header(&metadata)?).map_err(failed)?;
            for tensor in &planned.tensors {
                let name = tensor.info.name.strip_prefix(PREFIX).expect("every name was made with it");
                let written = if let Some(module) = name.strip_suffix(LORA_A) {
                    let ([first, other], report) = factor(a, b, module, options)?;
                    done.modules.push(report);
                    progress.advance(1);
                    second = Some(other);
                    file.write_all(&first)
                } else if name.ends_with(LORA_B) {
                    file.write_all(&second.take().expect("B follows A"))
                } else {
                    let written = file.write_all(&b.tensor(name)?.data);
                    b.hint(name, Access::Done);
                    written
                };
                written.map_err(failed)?;
            }
        }
        file.commit().map_err(failed)?;
        Ok(done)
    }

    /// The tensors of the file, the matrices of one module side by side.
    fn infos(
        &self,
        a: &dyn TensorSource,
        b: &dyn TensorSource,
        options: &ExtractOptions,
    ) -> Result<Vec<TensorInfo>, FormError> {
        let mut infos = Vec::new();
        for module in &self.modules {
            let &[rows, columns] = find(a, &format!("{module}.weight"))?.shape.as_slice() else {
                panic!("{module}: a linear layer is a matrix");
            };
            for (half, shape) in [(LORA_A, vec![options.rank, columns]), (LORA_B, vec![rows, options.rank])] {
                let name = format!("{PREFIX}{module}{half}");
                infos.push(TensorInfo { name, dtype: options.dtype, shape });
            }
        }
        for module in &self.saved {
            let info = find(b, &format!("{module}.weight"))?;
            let name = format!("{PREFIX}{}", info.name);
            infos.push(TensorInfo { name, dtype: info.dtype, shape: info.shape.clone() });
        }
        Ok(infos)
    }

    /// `adapter_config.json`. Alpha is the rank, so that the scale is 1.
    fn config(&self, options: &ExtractOptions) -> serde_json::Value {
        json!({
            "base_model_name_or_path": options.base_model,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": options.rank,
            "lora_dropout": 0.0,
            "modules_to_save": (!self.modules_to_save.is_empty()).then_some(&self.modules_to_save),
            "peft_type": "LORA",
            "r": options.rank,
            "target_modules": self.target_modules,
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": false,
        })
    }
}

fn find<'s>(source: &'s dyn TensorSource, name: &str) -> Result<&'s TensorInfo, WeightsError> {
    source.info(name).ok_or_else(|| WeightsError::MissingTensor {
        file: source.files().into_iter().next().unwrap_or_default(),
        name: name.to_owned(),
    })
}

/// The update of one module, A and B rounded to the type that is stored, and what it leaves out.
fn factor(
    a: &dyn TensorSource,
    b: &dyn TensorSource,
    module: &str,
    options: &ExtractOptions,
) -> Result<([Vec<u8>; 2], Extracted), FormError> {
    let name = format!("{module}.weight");
    let (base, tuned) = (a.tensor(&name)?, b.tensor(&name)?);
    let Some(difference) = Difference::new(&base, &tuned) else {
        let found = format!(
            "{} {:?} and {} {:?}",
            base.info.dtype, base.info.shape, tuned.info.dtype, tuned.info.shape
        );
        return Err(Refusal::new(name, "two matrices of numbers", found, "name other models").into());
    };
    let found = truncated(&difference, options.rank)?;
    let (rows, columns, rank) = (difference.rows(), difference.columns(), options.rank);
    let root = |i: usize| found.s.get(i).copied().unwrap_or(0.0).max(0.0).sqrt();
    // A matrix smaller than the rank leaves rows and columns of zeros: the rank is one for all modules.
    let down = Array2::from_shape_fn((rank, columns), |(i, j)| {
        found.vt.get((i, j)).map_or(0.0, |v| (root(i) * v) as f32)
    });
    let up = Array2::from_shape_fn((rows, rank), |(i, j)| {
        found.u.get((i, j)).map_or(0.0, |u| (root(j) * u) as f32)
    });
    let (a_bytes, down) = stored(options.dtype, &down, &name)?;
    let (b_bytes, up) = stored(options.dtype, &up, &name)?;
    let [total, rest] = residual(&difference, &up.mapv(f64::from), &down.mapv(f64::from))?;
    let merged_residual_norm = merged_residual(&base, &tuned, [up.view(), down.view()])?;
    a.hint(&name, Access::Done);
    b.hint(&name, Access::Done);
    let report = Extracted {
        module: module.to_owned(),
        delta_norm: total.sqrt(),
        residual_norm: rest.sqrt(),
        energy: if total > 0.0 { (1.0 - rest / total).clamp(0.0, 1.0) } else { 1.0 },
        base_dtype: base.info.dtype,
        merged_residual_norm,
        method: found.method,
    };
    Ok(([a_bytes, b_bytes], report))
}

/// The largest file of a tokenizer that is copied, in bytes.
const MAX_TOKENIZER: u64 = 256 << 20;

/// Copies the files of a tokenizer; returns their names.
fn copy_tokenizer(from: &Path, to: &Path) -> Result<Vec<&'static str>, FormError> {
    let mut names = Vec::new();
    for name in TOKENIZER_FILES.into_iter().filter(|name| from.join(name).is_file()) {
        let source = from.join(name);
        let bytes = whole::read(&source, MAX_TOKENIZER).map_err(|e| FormError::io(&source, "read", e))?;
        let target = to.join(name);
        write_atomically(&target, &bytes).map_err(|e| FormError::io(&target, "write", e))?;
        names.push(name);
    }
    Ok(names)
}

/// A matrix as bytes, and the values that those bytes have.
fn stored(dtype: Dtype, values: &Array2<f32>, name: &str) -> Result<(Vec<u8>, Array2<f32>), FormError> {
    let flat: Vec<f32> = values.iter().copied().collect();
    let mut bytes = vec![0; dtype.bytes_for(flat.len()).expect("a plain type")];
    dtype.narrow(&flat, &mut bytes)?;
    let mut back = vec![0.0; flat.len()];
    dtype.widen(&bytes, &mut back)?;
    if let Some(index) = back.iter().position(|x| !x.is_finite()) {
        let found = format!("{:e}", flat[index]);
        let expected = format!("factors that {dtype} can hold");
        return Err(Refusal::new(name, expected, found, "store the adapter with --dtype f32").into());
    }
    Ok((bytes, Array2::from_shape_vec(values.dim(), back).expect("as many values as there were")))
}

/// `‖Δ‖²` and `‖Δ − up · down‖²`.
fn residual(
    difference: &Difference<'_>,
    up: &Array2<f64>,
    down: &Array2<f64>,
) -> Result<[f64; 2], WeightsError> {
    summed(difference, |rows, mut block| {
        let total = square(&block);
        general_mat_mul(-1.0, &up.slice(s![rows, ..]), down, 1.0, &mut block);
        [total, square(&block)]
    })
}

/// What a merged model lacks of `tuned`: the update is added as adapters are merged, and the sum has the base's type.
fn merged_residual(
    base: &TensorView<'_>,
    tuned: &TensorView<'_>,
    update: [ArrayView2<'_, f32>; 2],
) -> Result<Option<f64>, WeightsError> {
    let info = base.info;
    if !info.dtype.is_narrowable() {
        return Ok(None);
    }
    let mut weight = base.data.to_vec();
    add_update(info.dtype, &mut weight, update, 1.0)?;
    let merged = TensorView { info, data: weight.into() };
    let difference = Difference::new(&merged, tuned).expect("it has the base's shape and type");
    let [rest] = summed(&difference, |_, block| [square(&block)])?;
    Ok(Some(rest.sqrt()))
}

fn square(block: &Array2<f64>) -> f64 {
    block.iter().map(|x| x * x).sum()
}

/// Sums over blocks of rows, in an order that does not depend on the number of threads.
fn summed<const N: usize>(
    difference: &Difference<'_>,
    of: impl Fn(Range<usize>, Array2<f64>) -> [f64; N] + Sync,
) -> Result<[f64; N], WeightsError> {
    let (rows, columns) = (difference.rows(), difference.columns());
    let step = (BLOCK / columns).max(1);
    let sums: Vec<[f64; N]> = (0..rows.div_ceil(step))
        .into_par_iter()
        .map(|i| {
            let range = i * step..rows.min((i + 1) * step);
            Ok(of(range.clone(), difference.block(range, 0..columns)?))
        })
        .collect::<Result<_, WeightsError>>()?;
    Ok(sums.iter().fold([0.0; N], |sum, own| std::array::from_fn(|i| sum[i] + own[i])))
}
