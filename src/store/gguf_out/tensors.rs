//! Which tensors a GGUF file has, under which names, and where their data come from.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{GgufFileType, LlamaShape};
use crate::forms::rows::{has_heads, pairs_from_halves};
use crate::forms::{HfModel, Refusal, is_buffer};
use crate::weights::{TensorInfo, TensorSource, WeightsError};

/// One tensor of the file and where it comes from.
pub(super) struct Tensor {
    /// Its Hugging Face name.
    pub origin: String,
    pub info: TensorInfo,
    /// The heads within which rows are reordered.
    heads: Option<usize>,
}

impl Tensor {
    /// The length of its data.
    pub fn bytes(&self) -> u64 {
        self.info.dtype.bytes_for(self.info.elements()).unwrap_or(0) as u64
    }

    /// Its data in the type of the file, with the rows in Hugging Face's order.
    pub fn data<'a>(&self, source: &'a dyn TensorSource) -> Result<Cow<'a, [u8]>, WeightsError> {
        source.tensor(&self.origin)?.cast(self.info.dtype)
    }

    /// The same with the rows in GGUF's order. Blocks lie within rows, so rows move whole.
    pub fn in_file_order<'a>(&self, data: &'a [u8]) -> Cow<'a, [u8]> {
        match self.heads {
            None => Cow::Borrowed(data),
            Some(heads) => {
                let rows = self.info.shape.first().copied().unwrap_or(1);
                Cow::Owned(pairs_from_halves(data, rows, heads))
            }
        }
    }
}

/// The tensors of the file, in the order in which a forward pass needs them.
pub(super) fn plan(
    model: &HfModel,
    shape: &LlamaShape,
    file_type: GgufFileType,
) -> Result<Vec<Tensor>, Box<Refusal>> {
    let mut tensors: Vec<((usize, usize), Tensor)> = Vec::new();
    for info in model.tensors.tensors() {
        if is_buffer(&info.name) || (shape.tied && info.name == "lm_head.weight") {
            continue;
        }
        let place = || format!("{}: tensor {:?}", model.path.display(), info.name);
        let Some((order, name, heads)) = counterpart(&info.name, shape) else {
            let found = format!("shape {:?} under this name", info.shape);
            let advice = "write this model as safetensors, or remove the tensor if it is left over";
            return Err(Refusal::new(place(), "a tensor of a dense LLaMA", found, advice));
        };
        if !info.dtype.is_widenable() {
            let (expected, found) = ("floating-point values", info.dtype.to_string());
            return Err(Refusal::new(place(), expected, found, "convert the model with its own tools first"));
        }
        let fits = |heads: usize| {
            has_heads(&info.shape, heads) && info.shape.first().copied() == heads.checked_mul(shape.head_dim)
        };
        if let Some(heads) = heads.filter(|&heads| !fits(heads)) {
            let width = shape.head_dim;
            let expected = format!("{heads} whole heads of {width} rows, as {} says", model.config_name);
            let found = format!("shape {:?}", info.shape);
            let advice = "weights and configuration do not belong together: fetch both again";
            return Err(Refusal::new(place(), expected, found, advice));
        }
        let is_output = name == "output.weight" || (shape.tied && name == "token_embd.weight");
        let dtype = file_type.of_tensor(&info.shape, is_output);
        let written = TensorInfo { name, dtype, shape: info.shape.clone() };
        tensors.push((order, Tensor { origin: info.name.clone(), info: written, heads }));
    }
    tensors.sort_by(|a, b| (a.0, &a.1.info.name).cmp(&(b.0, &b.1.info.name)));
    let tensors: Vec<Tensor> = tensors.into_iter().map(|(_, tensor)| tensor).collect();
    require_all(model, shape, &tensors)?;
    Ok(tensors)
}

/// Modules of a layer in Hugging Face's and in GGUF's names, in the order of the forward pass.
const MODULES: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// The place in the file, the GGUF name, and the heads within which rows are reordered; `None` if there is none.
fn counterpart(name: &str, shape: &LlamaShape) -> Option<((usize, usize), String, Option<usize>)> {
    match name {
        "model.embed_tokens.weight" => return Some(((0, 0), "token_embd.weight".into(), None)),
        "model.norm.weight" => return Some(((usize::MAX, 0), "output_norm.weight".into(), None)),
        "lm_head.weight" => return Some(((usize::MAX, 1), "output.weight".into(), None)),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let number: usize = layer.parse().ok().filter(|&number| number < shape.layers)?;
    if number.to_string() != layer {
        return None;
    }
    let (module, parameter) = part.rsplit_once('.')?;
    let (index, (_, gguf)) = MODULES.iter().enumerate().find(|(_, (hf, _))| *hf == module)?;
    if parameter != "weight" && (parameter != "bias" || module.ends_with("norm")) {
        return None;
    }
    let heads = match *gguf {
        "attn_q" => Some(shape.heads),
        "attn_k" => Some(shape.kv_heads),
        _ => None,
    };
    Some(((number + 1, index), format!("blk.{number}.{gguf}.{parameter}"), heads))
}

/// A file that lacks a tensor would be complete in form and unusable.
fn require_all(model: &HfModel, shape: &LlamaShape, tensors: &[Tensor]) -> Result<(), Box<Refusal>> {
    let of_layer =
        |layer: usize| MODULES.iter().map(move |(module, _)| format!("model.layers.{layer}.{module}.weight"));
    let head = (!shape.tied).then_some("lm_head.weight");
    let outer = ["model.embed_tokens.weight", "model.norm.weight"].into_iter().chain(head).map(str::to_owned);
    let present: HashSet<&str> = tensors.iter().map(|tensor| tensor.origin.as_str()).collect();
    match outer.chain((0..shape.layers).flat_map(of_layer)).find(|name| !present.contains(name.as_str())) {
        None => Ok(()),
        Some(missing) => {
            let expected = format!("the tensor {missing:?}, as {} says", model.config_name);
            let advice = "fetch the rest of the model, or rebuild it from its parts first";
            Err(Refusal::new(model.path.display().to_string(), expected, "no such tensor", advice))
        }
    }
}
