//! Which tensors a GGUF file has, under which names, and where their data come from.

use std::borrow::Cow;
use std::collections::HashSet;

use super::GgufFileType;
use crate::base::fault::Refusal;
use crate::config::LlamaConfig;
use crate::forms::HfModel;
use crate::forms::names::{Spelling, TensorRole};
use crate::forms::rows::{has_heads, pairs_from_halves};
use crate::weights::{TensorInfo, TensorSource, is_buffer};

/// One tensor of the file and where it comes from.
pub(super) struct GgufTensor {
    pub origin: String,
    pub info: TensorInfo,
    /// The heads within which rows are reordered.
    heads: Option<usize>,
}

impl GgufTensor {
    /// Data in the type of the file with the rows in GGUF's order. Blocks lie within rows, so rows move whole.
    pub fn in_file_order<'a>(&self, data: &'a [u8]) -> Cow<'a, [u8]> {
        match self.heads {
            None => Cow::Borrowed(data),
            Some(heads) => Cow::Owned(pairs_from_halves(data, self.info.shape[0], heads)),
        }
    }
}

/// The tensors of the file, in the order in which a forward pass needs them.
pub(super) fn plan(
    model: &HfModel,
    config: &LlamaConfig,
    file_type: GgufFileType,
) -> Result<Vec<GgufTensor>, Box<Refusal>> {
    let mut tensors: Vec<((usize, usize), GgufTensor)> = Vec::new();
    for info in model.tensors.tensors() {
        if is_buffer(info) || (config.tie_word_embeddings && info.name == "lm_head.weight") {
            continue;
        }
        let place = || format!("{}: tensor {:?}", model.path.display(), info.name);
        let Some((order, name, heads)) = counterpart(&info.name, config) else {
            let found = format!("shape {:?} under this name", info.shape);
            let advice = "write this model as safetensors, or remove the tensor if it is left over";
            return Err(Refusal::new(place(), "a tensor of a dense LLaMA", found, advice));
        };
        let fits = |heads: usize| {
            has_heads(&info.shape, heads) && info.shape.first() == Some(&(heads * config.head_dim))
        };
        if let Some(heads) = heads.filter(|&heads| !fits(heads)) {
            let width = config.head_dim;
            let expected = format!("{heads} whole heads of {width} rows, as {} says", model.config_name);
            let found = format!("shape {:?}", info.shape);
            let advice = "weights and configuration do not belong together: fetch both again";
            return Err(Refusal::new(place(), expected, found, advice));
        }
        let is_output =
            name == "output.weight" || (config.tie_word_embeddings && name == "token_embd.weight");
        let dtype = file_type.of_tensor(&info.shape, is_output);
        let written = TensorInfo { name, dtype, shape: info.shape.clone() };
        tensors.push((order, GgufTensor { origin: info.name.clone(), info: written, heads }));
    }
    tensors.sort_by(|a, b| (a.0, &a.1.info.name).cmp(&(b.0, &b.1.info.name)));
    let tensors: Vec<GgufTensor> = tensors.into_iter().map(|(_, tensor)| tensor).collect();
    require_all(model, config, &tensors)?;
    Ok(tensors)
}

/// The place in the file, the GGUF name, and the heads within which rows are reordered; `None` if there is none.
fn counterpart(name: &str, config: &LlamaConfig) -> Option<((usize, usize), String, Option<usize>)> {
    let part = TensorRole::parse(name, Spelling::Hf)?;
    let place = match part {
        TensorRole::Embedding => (0, 0),
        TensorRole::Layer { layer, .. } if layer >= config.num_hidden_layers => return None,
        TensorRole::Layer { layer, module, .. } => (layer + 1, module as usize),
        TensorRole::Norm => (usize::MAX, 0),
        TensorRole::Head => (usize::MAX, 1),
    };
    let heads = part.heads(config.num_attention_heads, config.num_key_value_heads);
    Some((place, part.name(Spelling::Gguf)?, heads))
}

/// A file that lacks a tensor would be complete in form and unusable.
fn require_all(model: &HfModel, config: &LlamaConfig, tensors: &[GgufTensor]) -> Result<(), Box<Refusal>> {
    let present: HashSet<&str> = tensors.iter().map(|tensor| tensor.origin.as_str()).collect();
    match config.shape().tensors().find(|(name, _)| !present.contains(name.as_str())) {
        None => Ok(()),
        Some((missing, _)) => {
            let expected = format!("the tensor {missing:?}, as {} says", model.config_name);
            let advice = "fetch the rest of the model, or rebuild it from its parts first";
            Err(Refusal::new(model.path.display().to_string(), expected, "no such tensor", advice))
        }
    }
}
