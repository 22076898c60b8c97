//! An adapter over its base.
//!
//! The product `B A` is made in f32, multiplied by the scale, added to the widened weight, and the sum is rounded once
//! to the base's type: what the PEFT library does by default. (With `safe_merge` it rounds the product to f16 first,
//! which differs in the last bit of about one element in ten; of an embedding's update it always does so, and so does this.)
//! Saved modules replace the base's. Rows are computed in
//! parallel blocks; an element's sum over the rank has one order, whatever the blocks.

use std::borrow::Cow;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde_json::Value;

use super::adapter::{Adapter, Pair, TOKENIZER_FILES, VocabularySize};
use crate::base::fault::Refusal;
use crate::forms::{FormError, HfModel};
use crate::kernels::gemm;
use crate::rebuild::delta::{EMBEDDING, OUTPUT};
use crate::rebuild::{layer_of, layers};
use crate::registry::Rule;
use crate::weights::{Access, Dtype, TensorInfo, TensorSource, TensorView, WeightsError, is_buffer};

/// Elements of one parallel block of rows.
const BLOCK: usize = 1 << 18;
/// Rows that a padded embedding has more than its tokenizer has tokens, at most.
const PADDING: usize = 128;
/// Padded embeddings have a multiple of this many rows.
const PADDED_TO: usize = 8;

/// Merges one adapter into a model, which may itself be merged. The tokenizer's files and the size of the vocabulary
/// are the adapter's where it brings them. By [`Rule::ChineseLora`] there is exactly one row per token, by any other an
/// embedding may be padded to a multiple of 8. Notes come back beside the model. Only headers and the adapter are read.
///
/// # Errors
/// [`FormError::Refused`] if the adapter does not fit the model: other shapes, layers or modules, a vocabulary that
/// would shrink, or rows without tokens.
pub fn merge(base: HfModel, adapter: Adapter, rule: Rule) -> Result<(HfModel, Vec<String>), FormError> {
    let fit = Fit { base: &base, adapter: &adapter };
    fit.check_tied()?;
    fit.check_modules()?;
    fit.check_coverage()?;
    fit.check_saved()?;
    let mut notes = adapter.notes.clone();
    notes.extend(fit.check_tokens(rule)?);

    let mut infos = Vec::new();
    for info in base.tensors.tensors().iter().filter(|info| !is_buffer(info)) {
        let shape = adapter.info_of_saved(&info.name).map_or(&info.shape, |saved| &saved.shape);
        infos.push(TensorInfo { shape: shape.clone(), ..info.clone() });
    }
    let HfModel { tensors, mut config, config_name, mut sidecars, .. } = base;
    if let Some(rows) = adapter.info_of_saved(EMBEDDING).and_then(|info| info.shape.first()) {
        config.insert("vocab_size".to_owned(), Value::from(*rows));
    }
    if !adapter.sidecars.is_empty() {
        sidecars.retain(|sidecar| !TOKENIZER_FILES.contains(&sidecar.name.as_str()));
        sidecars.extend(adapter.sidecars.iter().cloned());
    }
    let path = adapter.path.clone();
    let tensors = Box::new(Merged { base: tensors, adapter, infos });
    Ok((HfModel { path, tensors, config, config_name, sidecars }, notes))
}

/// A base and an adapter that may belong together.
struct Fit<'a> {
    base: &'a HfModel,
    adapter: &'a Adapter,
}

impl Fit<'_> {
    fn base_info(&self, name: &str) -> Option<&TensorInfo> {
        self.base.tensors.info(name)
    }

    fn refuse(&self, what: &str, expected: String, found: String, advice: &str) -> Box<Refusal> {
        Refusal::new(format!("{}: {what}", self.adapter.path.display()), expected, found, advice)
    }

    /// Of a base whose output matrix is its embedding, no adapter can update one of the two: run as it is, it would be changed
    /// alone, merged by PEFT both are. An embedding that was trained whole takes the place of both. A base is such a one by its
    /// configuration, though its file has both matrices, or by a file without the output matrix.
    fn check_tied(&self) -> Result<(), Box<Refusal>> {
        let shape = self.base.configuration().ok().map(|config| config.shape());
        let embedding = shape
            .as_ref()
            .map_or(EMBEDDING.to_owned(), |shape| format!("{}{}.weight", shape.prefix, shape.embedding.name));
        let is_tied = shape.is_some_and(|shape| shape.tie_word_embeddings)
            || self.base_info(OUTPUT).is_none() && self.base_info(&embedding).is_some();
        let is_updated = |name: &&str| self.adapter.pairs.contains_key(name.trim_end_matches(".weight"));
        let changed = [embedding.as_str(), OUTPUT].into_iter().find(is_updated);
        let changed = changed.or(Some(OUTPUT).filter(|name| self.adapter.saved.contains_key(*name)));
        match changed.filter(|_| is_tied) {
            None => Ok(()),
            Some(name) => {
                let expected =
                    "updates of other modules only, since the base's output matrix is its embedding";
                let advice = "untie the base first: save it with an lm_head.weight of its own and tie_word_embeddings \
                              false, then merge the adapter into that";
                let found = format!("one of {name}, which would have to change the other as well");
                Err(self.refuse(name, expected.to_owned(), found, advice))
            }
        }
    }

    /// Each module of the adapter must be a matrix of the base, of the adapter's shape.
    fn check_modules(&self) -> Result<(), Box<Refusal>> {
        for (module, pair) in &self.adapter.pairs {
            let Some(info) = self.base_info(&format!("{module}.weight")) else {
                let expected = format!("a module that {} has", self.base.path.display());
                let found = match layer_of(module) {
                    Some(layer) => format!(
                        "one of layer {layer}; the base has {} layers",
                        layers(self.base.tensors.as_ref())
                    ),
                    None => "another one".to_owned(),
                };
                let advice = "the adapter belongs to another model: take the base that it was trained on";
                return Err(self.refuse(module, expected, found, advice));
            };
            self.check_type(module, info)?;
            let length = |name: &str, axis: usize| {
                self.adapter.tensors.info(name).and_then(|info| info.shape.get(axis).copied())
            };
            // The weight below an update may be the adapter's own.
            let weight = self.adapter.info_of_saved(&info.name).unwrap_or(info);
            let (mut inputs, mut outputs) = (length(&pair.a, 1), length(&pair.b, 0));
            if pair.of_embedding {
                std::mem::swap(&mut inputs, &mut outputs);
            }
            let (&[rows, columns], Some(inputs), Some(outputs)) = (weight.shape.as_slice(), inputs, outputs)
            else {
                let expected = "a matrix in the base".to_owned();
                return Err(self.refuse(
                    module,
                    expected,
                    format!("{:?}", info.shape),
                    "take the right base",
                ));
            };
            let advice =
                "the adapter belongs to a model of another size: take the base that it was trained on";
            if inputs != columns {
                let expected =
                    format!("lora_A with {columns} columns, as the base's weight [{rows}, {columns}]");
                return Err(self.refuse(module, expected, format!("{inputs} columns"), advice));
            }
            if outputs != rows {
                let expected = format!("lora_B with {rows} rows, as the base's weight [{rows}, {columns}]");
                return Err(self.refuse(module, expected, format!("{outputs} rows"), advice));
            }
        }
        Ok(())
    }

    /// What changes must be of a type that results are written in.
    fn check_type(&self, what: &str, info: &TensorInfo) -> Result<(), Box<Refusal>> {
        if info.dtype.is_narrowable() {
            return Ok(());
        }
        let expected = "a base in F16, BF16 or F32".to_owned();
        let advice = "fetch the unquantised files: a sum with rounded weights is another model";
        Err(self.refuse(what, expected, info.dtype.to_string(), advice))
    }

    /// Every module of the base that the configuration targets must have its update.
    fn check_coverage(&self) -> Result<(), Box<Refusal>> {
        let config = &self.adapter.config;
        let wanted = |module: &str| {
            config.includes(module)
                && (self.adapter.pairs.contains_key(module)
                    || !self.adapter.saved.contains_key(&format!("{module}.weight")))
        };
        let matrices = self.base.tensors.tensors().iter().filter(|info| info.shape.len() == 2);
        let modules: Vec<&str> = matrices
            .filter_map(|info| info.name.strip_suffix(".weight"))
            .filter(|module| wanted(module))
            .collect();
        let hit = |name: &&String| modules.iter().any(|module| super::targets::is_or_ends(module, name));
        if let Some(name) = config.target_names().iter().find(|name| !hit(name)) {
            let expected = "target_modules that the base has".to_owned();
            let advice = "the adapter belongs to another architecture: take the base that it was trained on";
            return Err(self.refuse("target_modules", expected, format!("{name:?}"), advice));
        }
        let missing: Vec<&&str> = modules.iter().filter(|m| !self.adapter.pairs.contains_key(**m)).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        let expected = format!("updates of {} modules, as target_modules asks", modules.len());
        let found = format!("{} of them, none for {first}", modules.len() - missing.len());
        let advice = "the adapter is incomplete, or its configuration is of another one: fetch both again";
        Err(self.refuse("target_modules", expected, found, advice))
    }

    /// Saved modules must fit; vocabularies only grow.
    fn check_saved(&self) -> Result<(), Box<Refusal>> {
        for name in self.adapter.saved.keys() {
            let saved = &self.adapter.info_of_saved(name).expect("it is one of those saved").shape;
            let Some(info) = self.base_info(name) else {
                let expected = format!("a module that {} has", self.base.path.display());
                let advice = "the adapter belongs to another model: take the base that it was trained on";
                return Err(self.refuse(name, expected, "no such tensor".to_owned(), advice));
            };
            self.check_type(name, info)?;
            let vocabulary = name == EMBEDDING || name == OUTPUT;
            if saved.len() != info.shape.len()
                || saved.get(1..) != info.shape.get(1..)
                || (!vocabulary && *saved != info.shape)
            {
                let advice =
                    "the adapter belongs to a model of another size: take the base that it was trained on";
                let expected = format!("shape {:?}, as in the base", info.shape);
                return Err(self.refuse(name, expected, format!("{saved:?}"), advice));
            }
            if let (Some(rows), Some(old)) = (saved.first(), info.shape.first())
                && rows < old
            {
                let expected = format!("at least the {old} rows that the model already has");
                let advice = "vocabularies only grow: merge the adapters in their order (Chinese-LLaMA before \
                              Chinese-Alpaca), and start from the original base";
                return Err(self.refuse(name, expected, format!("{rows} rows"), advice));
            }
        }
        let rows = |name: &str| {
            let info = self.adapter.info_of_saved(name).or_else(|| self.base_info(name));
            info.and_then(|info| info.shape.first().copied())
        };
        match (rows(EMBEDDING), rows(OUTPUT)) {
            (Some(embedding), Some(output)) if embedding != output => {
                let expected = format!("{embedding} rows in lm_head too");
                let advice = "the adapter brings only one of embedding and output layer: fetch it again";
                Err(self.refuse(OUTPUT, expected, format!("{output} rows"), advice))
            }
            _ => Ok(()),
        }
    }

    /// Each row of the embedding needs a token; returns a note where it may be padding.
    fn check_tokens(&self, rule: Rule) -> Result<Option<String>, FormError> {
        let old = self.base_info(EMBEDDING).and_then(|info| info.shape.first().copied());
        let saved = self.adapter.info_of_saved(EMBEDDING).and_then(|info| info.shape.first().copied());
        let Some(rows) = saved.or(old) else { return Ok(None) };
        let advice = "put the adapter's own tokenizer files into its folder: ids of another vocabulary mean other text";
        let Some(VocabularySize { all: tokens, needed }) = self.adapter.tokens else {
            if saved.is_none() || saved == old {
                return Ok(None);
            }
            let before = old.map_or("another number of".to_owned(), |old| old.to_string());
            let expected = format!("a tokenizer of {rows} tokens, one for each row of embed_tokens");
            let found = format!("no tokenizer in the adapter, and {before} rows before it");
            return Err(self.refuse("tokenizer.model", expected, found, advice).into());
        };
        // An adapter without an embedding of its own uses the base's, whose padding is not its affair.
        let spare = rows.checked_sub(tokens);
        let padded = rows.is_multiple_of(PADDED_TO) && spare.is_some_and(|spare| spare < PADDING);
        if tokens == rows || (saved.is_none() && tokens < rows) {
            return Ok(None);
        }
        if padded && rule != Rule::ChineseLora {
            return Ok(Some(format!(
                "{}: {rows} rows for {tokens} tokens; taken as padding to a multiple of {PADDED_TO}",
                self.adapter.path.display()
            )));
        }
        if tokens > rows && needed <= rows {
            return Ok(Some(format!(
                "{}: {tokens} tokens for {rows} rows; the one more is the padding token, which no text becomes",
                self.adapter.path.display()
            )));
        }
        let expected = format!("as many tokens as rows of embed_tokens, {rows}");
        Err(self.refuse("tokenizer", expected, format!("{tokens} tokens"), advice).into())
    }
}

/// `weight + scale · B A` in place of `weight`, a matrix stored as `dtype`; B is `[rows, r]`, A is `[r, columns]`.
///
/// # Errors
/// [`WeightsError::NotNarrowable`] if sums cannot be stored as that type.
pub(crate) fn add_update(
    dtype: Dtype,
    weight: &mut [u8],
    [b, a]: [ArrayView2<'_, f32>; 2],
    scale: f32,
) -> Result<(), WeightsError> {
    let columns = a.ncols();
    let rows = (BLOCK / columns.max(1)).max(1);
    let row_bytes = dtype.bytes_for(columns).expect("results have types of whole elements").max(1);
    weight.par_chunks_mut(rows * row_bytes).enumerate().try_for_each(|(block, bytes)| {
        let count = bytes.len() / row_bytes;
        let first = block * rows;
        let mut product = Array2::zeros((count, columns));
        gemm(b.slice(ndarray::s![first..first + count, ..]), a, product.view_mut());
        let mut values = vec![0.0; count * columns];
        dtype.widen(bytes, &mut values)?;
        for (value, product) in values.iter_mut().zip(&product) {
            *value += scale * product;
        }
        dtype.narrow(&values, bytes)
    })
}

/// The merged tensors; each is computed when it is asked for.
struct Merged {
    base: Box<dyn TensorSource>,
    adapter: Adapter,
    infos: Vec<TensorInfo>,
}

impl Merged {
    /// The module that a weight belongs to, and its two matrices; `None` for a weight that stays.
    fn pair<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a Pair)> {
        let module = name.strip_suffix(".weight")?;
        Some((module, self.adapter.pairs.get(module)?))
    }

    /// `weight + scale · B A` in place of `weight`.
    fn add_product(
        &self,
        module: &str,
        pair: &Pair,
        info: &TensorInfo,
        weight: &mut [u8],
    ) -> Result<(), WeightsError> {
        let (a, b) = (self.matrix(&pair.a)?, self.matrix(&pair.b)?);
        let (dtype, scale) = (info.dtype, self.adapter.config.scale_of(module));
        if !pair.of_embedding {
            return add_update(dtype, weight, [b.view(), a.view()], scale);
        }
        // (B A)ᵀ = Aᵀ Bᵀ. PEFT rounds the update of an embedding to the base's type before it adds it.
        let left = a.t().as_standard_layout().into_owned();
        let right = b.t().as_standard_layout().into_owned();
        let mut update = vec![0; weight.len()];
        add_update(dtype, &mut update, [left.view(), right.view()], scale)?;
        let block = dtype.bytes_for(BLOCK).expect("results have types of whole elements");
        weight.par_chunks_mut(block).zip(update.par_chunks(block)).try_for_each(|(weight, update)| {
            let elements = weight.len() * BLOCK / block;
            let (mut sum, mut values) = (vec![0.0; elements], vec![0.0; elements]);
            dtype.widen(weight, &mut sum)?;
            dtype.widen(update, &mut values)?;
            sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            dtype.narrow(&sum, weight)
        })
    }

    /// A matrix of the adapter in f32; its shape was checked when the adapter was read.
    fn matrix(&self, name: &str) -> Result<Array2<f32>, WeightsError> {
        let view = self.adapter.tensors.tensor(name)?;
        let &[rows, columns] = view.info.shape.as_slice() else {
            panic!("{name}: the shapes of lora_A and lora_B were checked");
        };
        Ok(Array2::from_shape_vec((rows, columns), view.to_f32()?)
            .expect("values are as many as the shape says"))
    }
}

impl TensorSource for Merged {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let Some(info) = self.info(name) else {
            let file = self.adapter.path.clone();
            return Err(WeightsError::MissingTensor { file, name: name.to_owned() });
        };
        let data = match self.adapter.saved.get(name) {
            Some(saved) => self.adapter.tensors.tensor(saved)?.cast(info.dtype)?,
            None => self.base.tensor(name)?.data,
        };
        let Some((module, pair)) = self.pair(name) else { return Ok(TensorView { info, data }) };
        let mut weight = data.into_owned();
        self.add_product(module, pair, info, &mut weight)?;
        Ok(TensorView { info, data: Cow::Owned(weight) })
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = self.base.files();
        files.extend(self.adapter.tensors.files());
        files
    }

    fn hint(&self, name: &str, access: Access) {
        match self.adapter.saved.get(name) {
            Some(saved) => self.adapter.tensors.hint(saved, access),
            None => self.base.hint(name, access),
        }
        if let Some((_, Pair { a, b, .. })) = self.pair(name) {
            self.adapter.tensors.hint(a, access);
            self.adapter.tensors.hint(b, access);
        }
    }
}
