//! Buffers and wrappers: what checkpoints hold beside weights and every program computes itself, and what training tools put
//! around names.
//!
//! There is one list of each. A tensor that is neither a weight that a network reads nor one of these buffers is an error
//! wherever a model is opened. Sources: `_keys_to_ignore_on_load_unexpected` of transformers 4.0 to 5.24 (LLaMA, BLOOM,
//! GPT-2 and their kin), Meta's `llama/model.py`, `gguf-py`'s names of llama.cpp.

use std::path::Path;

use super::{TensorInfo, TensorSource, WeightsError};
use crate::base::fault::{Fault, FaultKind, quoted};

/// Ends of the names of buffers, after a dot or as a whole: frequencies and tables of the rotary embedding, numbers of positions,
/// causal masks and what they fill in.
const BUFFERS: [&str; 12] = [
    "rotary_emb.inv_freq",
    "rotary_emb.original_inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    "position_ids",
    "attn.masked_bias",
    "attention.masked_bias",
    "self_attention.masked_bias",
    "inner_attention.rope.freqs",
    "rope.freqs",
    "freqs_cis",
    "attn_rot_embd.weight",
];
/// The same of causal masks, whose names a real bias could have as well: these have four axes.
const MASKS: [&str; 3] = ["attn.bias", "attention.bias", "self_attention.bias"];
/// Axes of a causal mask, `[1, 1, positions, positions]`.
const MASK_AXES: usize = 4;

/// What training tools put before every name of a model that is saved while it is wrapped: the mark, who puts it there, and
/// what to do.
const WRAPPERS: [(&str, &str, &str); 6] = [
    ("module.", "DataParallel or DeepSpeed", "save model.module.state_dict()"),
    ("_orig_mod.", "torch.compile", "save the state_dict() of the module that was compiled, model._orig_mod"),
    ("_fsdp_wrapped_module.", "FSDP", "save a full state dict, as FSDP.state_dict_type sets it"),
    (
        "_checkpoint_wrapped_module.",
        "activation checkpointing",
        "save the state_dict() of the model before its layers were wrapped",
    ),
    (
        "base_model.model.",
        "PEFT",
        "save model.merge_and_unload() to have the whole model, or the adapter alone with save_pretrained",
    ),
    ("_forward_module.", "Lightning", "save the module's own state_dict()"),
];

/// The names of a model that was saved while a tool had wrapped it.
pub struct Wrapped {
    /// What is odd about them, and who did it.
    pub found: String,
    /// What to do.
    pub advice: &'static str,
}

/// Whether a tensor is a buffer that follows from the configuration.
pub fn is_buffer(info: &TensorInfo) -> bool {
    let ends = |end: &&str| {
        info.name.strip_suffix(*end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    BUFFERS.iter().any(ends) || info.shape.len() == MASK_AXES && MASKS.iter().any(ends)
}

/// Whether `source` was saved while a tool had wrapped the model: its mark stands before all names, or, where single layers
/// were wrapped, somewhere in one. `adapter` is a file whose names PEFT's prefix belongs to.
pub fn wrapper(source: &dyn TensorSource, adapter: bool) -> Option<Wrapped> {
    let names = || source.tensors().iter().map(|info| info.name.as_str());
    let first = names().next()?;
    let known = |&&(mark, ..): &&(&str, &str, &str)| !(adapter && mark == "base_model.model.");
    let before = WRAPPERS.iter().filter(known).find(|(mark, ..)| first.starts_with(mark));
    if let Some(&(mark, who, advice)) = before.filter(|(mark, ..)| names().all(|name| name.starts_with(mark)))
    {
        return Some(Wrapped {
            found: format!("names that all begin with {mark:?}: {who} put it there"),
            advice,
        });
    }
    // No model has a part that is called so.
    let inner = WRAPPERS.iter().filter(|(mark, ..)| mark.starts_with('_'));
    inner.into_iter().find_map(|&(mark, who, advice)| {
        let has_it = |name: &&str| name.starts_with(mark) || name.contains(&format!(".{mark}"));
        let name = names().find(has_it)?;
        Some(Wrapped { found: format!("{}: {who} put {mark:?} into names", quoted(name)), advice })
    })
}

/// Tensors of shape `[0]` stand for weights that were elsewhere when the file was written.
///
/// # Errors
/// A fault of kind `MissingData` that names the first.
pub fn refuse_placeholders(source: &dyn TensorSource, path: &Path) -> Result<(), WeightsError> {
    let mut empty = source.tensors().iter().filter(|info| info.shape == [0]);
    let Some(first) = empty.next() else { return Ok(()) };
    let more = empty.count();
    let found = format!("shape {:?}, and {more} more tensors without a value", first.shape);
    let advice = "DeepSpeed's ZeRO-3 saved the model while its weights lay on other processes: save it again with \
                  stage3_gather_16bit_weights_on_model_save, or run zero_to_fp32.py on the checkpoint";
    Err(Fault::new(path, FaultKind::MissingData, "tensors with values", found)
        .tensor(&first.name)
        .advice(advice)
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Dtype;

    fn info(name: &str, axes: usize) -> TensorInfo {
        TensorInfo { name: name.to_owned(), dtype: Dtype::F32, shape: vec![1; axes] }
    }

    #[test]
    fn buffers_are_known_by_whole_parts_of_their_names() {
        for name in [
            "model.layers.0.self_attn.rotary_emb.inv_freq",
            "model.rotary_emb.inv_freq",
            "rotary_emb.inv_freq",
            "model.embeddings.position_ids",
            "h.0.attn.masked_bias",
            "transformer.h.0.self_attention.masked_bias",
            "layers.0.attention.inner_attention.rope.freqs",
        ] {
            assert!(is_buffer(&info(name, 1)), "{name}");
        }
        assert!(is_buffer(&info("h.0.attn.bias", 4)));
        for name in [
            "h.0.attn.bias",
            "model.layers.0.self_attn.q_norm.weight",
            "model.layers.0.self_attn.q_proj.bias",
            "model.layers.0.xposition_ids",
            "inv_freq",
        ] {
            assert!(!is_buffer(&info(name, 1)), "{name}");
        }
    }
}
