//! Unread tensors: those of a checkpoint that no part of its network would read.
//!
//! A bias that the configuration is silent about, a norm of queries, a layer too many: a network that leaves one of them
//! out runs and gives plausible, wrong numbers. So everything that is neither a weight of the configuration's network nor a
//! known buffer ([`is_buffer`]) is an error, by this one rule, wherever a model is opened to be run, rebuilt, written or
//! verified. `transformers` itself only says it in a log. Whole numbers are no weights either: they are the quants of a matrix
//! whose scales were lost on the way.

use std::collections::HashSet;

use crate::base::fault::{Fault, FaultKind};
use crate::config::{HEAD, Shape};
use crate::weights::{TensorInfo, TensorSource, is_buffer};

/// The tensors that nothing reads, in the order of their names. An output matrix beside a tied embedding is compared with it
/// by those who read both.
pub fn unread<'a>(tensors: &'a dyn TensorSource, shape: &Shape) -> Vec<&'a TensorInfo> {
    let read: HashSet<String> = shape.tensors().map(|(name, _)| name).collect();
    let is_tied_head = |name: &str| shape.tie_word_embeddings && name == format!("{HEAD}.weight");
    let unread =
        |info: &&TensorInfo| !read.contains(&info.name) && !is_tied_head(&info.name) && !is_buffer(info);
    tensors.tensors().iter().filter(unread).collect()
}

/// What to do about a tensor that nothing reads.
pub fn advice_about(name: &str, shape: &Shape) -> &'static str {
    if shape.block_of(name).is_some_and(|block| block >= shape.num_hidden_layers) {
        return "the file has more layers than the configuration: fetch both from one release";
    }
    let last = name.rsplit('.').nth(1).unwrap_or_default();
    if last.ends_with("norm") {
        return "it is a norm of another architecture, which zoo does not run: results without it would be wrong";
    }
    if name.ends_with(".bias") {
        return "if the model has biases, its configuration has to say so (attention_bias, mlp_bias): fetch both from one \
                release";
    }
    if name.contains(".lora_") {
        return "an adapter was saved inside of the model: merge it first (merge_and_unload of PEFT)";
    }
    "weights and configuration do not belong together, or the model is of another architecture: results without it would \
     be wrong"
}

/// The first weight that is made of whole numbers.
pub fn of_integers(tensors: &dyn TensorSource) -> Option<&TensorInfo> {
    tensors.tensors().iter().find(|info| info.dtype.is_integer() && !is_buffer(info))
}

/// What to do about weights of whole numbers.
pub const OF_INTEGERS: &str = "a tool quantised them and their scales are not here, so results would be wrong: fetch the model \
                               in a float type, or as GGUF";

/// Refuses a model with a tensor that nothing reads, or with weights of whole numbers; `config` says in the error where its
/// shape comes from.
///
/// # Errors
/// A fault of kind `ShapeMismatch` or `Unsupported` that names the first of them.
pub fn refuse_unread(tensors: &dyn TensorSource, shape: &Shape, config: &str) -> Result<(), Box<Fault>> {
    let file = || tensors.files().first().cloned().unwrap_or_else(|| "weights".into());
    if let Some(info) = of_integers(tensors) {
        let found = format!("whole numbers ({})", info.dtype);
        return Err(Fault::new(&file(), FaultKind::Unsupported, "weights, such as F16", found)
            .tensor(&info.name)
            .advice(OF_INTEGERS));
    }
    let unread = unread(tensors, shape);
    let Some(first) = unread.first() else { return Ok(()) };
    let more = unread.len() - 1;
    let more = if more > 0 { format!(", and {more} more like it") } else { String::new() };
    let found = format!("a tensor of shape {:?} that no part of the network reads{more}", first.shape);
    let expected = format!("only tensors that {config} speaks of");
    Err(Fault::new(&file(), FaultKind::ShapeMismatch, expected, found)
        .tensor(&first.name)
        .advice(advice_about(&first.name, shape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, hf};
    use crate::forms::sample::{HIDDEN, MemorySource, ROWS, config, tiny};
    use crate::weights::Dtype;

    fn shape() -> Shape {
        let config: ModelConfig = hf::from_map(&config(), "config.json").unwrap();
        config.shape()
    }

    #[test]
    fn every_tensor_that_nothing_reads_is_an_error_with_its_advice() {
        let shape = shape();
        assert!(refuse_unread(&tiny(), &shape, "config.json").is_ok());
        for (name, words) in [
            ("model.layers.1.self_attn.q_norm.weight", "another architecture"),
            ("model.layers.0.self_attn.q_proj.bias", "attention_bias"),
            ("model.layers.2.input_layernorm.weight", "more layers"),
            ("model.layers.0.self_attn.q_proj.lora_A.weight", "merge"),
            ("lm_head.bias", "has to say so"),
            ("score.weight", "another architecture"),
        ] {
            let text = refuse_unread(&tiny().with(name, &[HIDDEN], vec![0.5; HIDDEN]), &shape, "config.json");
            let text = text.unwrap_err().to_string();
            assert!(text.contains(name) && text.contains("config.json") && text.contains(words), "{text}");
        }
    }

    #[test]
    fn weights_of_whole_numbers_are_refused() {
        for dtype in [Dtype::I8, Dtype::U8, Dtype::Bool, Dtype::I32] {
            let name = "model.layers.1.mlp.up_proj.weight";
            let bytes = vec![0; dtype.bytes_for(6 * HIDDEN).unwrap()];
            let source = tiny().without(name).with_bytes(name, dtype, &[6, HIDDEN], bytes);
            let text = refuse_unread(&source, &shape(), "config.json").unwrap_err().to_string();
            assert!(text.contains(name) && text.contains(dtype.name()) && text.contains("scales"), "{text}");
        }
    }

    #[test]
    fn buffers_and_tied_heads_are_no_weights() {
        let mut shape = shape();
        let with_ids =
            |source: MemorySource| source.with_bytes("model.position_ids", Dtype::I64, &[1], vec![0; 8]);
        let source = tiny().with("model.layers.0.self_attn.rotary_emb.inv_freq", &[1], vec![1.0]);
        let more = with_ids(source.with("lm_head.x", &[ROWS], vec![1.0; ROWS]));
        let source = with_ids(source);
        assert!(refuse_unread(&source, &shape, "config.json").is_ok());
        shape.tie_word_embeddings = true;
        assert!(refuse_unread(&source, &shape, "config.json").is_ok());
        let text = refuse_unread(&more, &shape, "c").unwrap_err();
        assert!(text.to_string().contains("lm_head.x"), "{text}");
    }
}
