//! What each form calls the tensors of a LLaMA: one table, read in both directions.
//!
//! Source: `LlamaForCausalLM` of `transformers`; `gguf-py`'s tensor names of llama.cpp; Meta's `llama/model.py`.

use crate::base::names::number_in_name;

/// Whose names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Hugging Face's.
    Hf = 0,
    /// llama.cpp's.
    Gguf = 1,
    /// Meta's, whose LLaMA has no biases.
    Meta = 2,
}

/// Tensors outside of the layers: embedding, last norm, output matrix.
const OUTER: [[&str; 3]; 3] = [
    ["model.embed_tokens.weight", "token_embd.weight", "tok_embeddings.weight"],
    ["model.norm.weight", "output_norm.weight", "norm.weight"],
    ["lm_head.weight", "output.weight", "output.weight"],
];
/// What stands before the number of a layer.
const LAYERS: [&str; 3] = ["model.layers.", "blk.", "layers."];
/// Modules of a layer, in the order of the forward pass.
const MODULES: [[&str; 3]; 9] = [
    ["input_layernorm", "attn_norm", "attention_norm"],
    ["self_attn.q_proj", "attn_q", "attention.wq"],
    ["self_attn.k_proj", "attn_k", "attention.wk"],
    ["self_attn.v_proj", "attn_v", "attention.wv"],
    ["self_attn.o_proj", "attn_output", "attention.wo"],
    ["post_attention_layernorm", "ffn_norm", "ffn_norm"],
    ["mlp.gate_proj", "ffn_gate", "feed_forward.w1"],
    ["mlp.up_proj", "ffn_up", "feed_forward.w3"],
    ["mlp.down_proj", "ffn_down", "feed_forward.w2"],
];

/// A tensor of a LLaMA, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TensorRole {
    Embedding,
    Norm,
    Head,
    /// One of a layer.
    Layer {
        /// The layer's number.
        layer: usize,
        /// Which of the modules, in the order of the forward pass.
        module: Module,
        /// The bias, not the weight.
        bias: bool,
    },
}

/// A module of a layer, in the order of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Module {
    AttentionNorm,
    Query,
    Key,
    Value,
    Output,
    MlpNorm,
    Gate,
    Up,
    Down,
}

impl Module {
    const ALL: [Module; 9] = [
        Module::AttentionNorm,
        Module::Query,
        Module::Key,
        Module::Value,
        Module::Output,
        Module::MlpNorm,
        Module::Gate,
        Module::Up,
        Module::Down,
    ];
}

impl TensorRole {
    /// What `name` is; `None` if a LLaMA has none such.
    pub fn parse(name: &str, spelling: Spelling) -> Option<TensorRole> {
        let column = spelling as usize;
        if let Some(index) = OUTER.iter().position(|names| names[column] == name) {
            return Some([TensorRole::Embedding, TensorRole::Norm, TensorRole::Head][index]);
        }
        let (digits, rest) = name.strip_prefix(LAYERS[column])?.split_once('.')?;
        let layer = number_in_name(digits)?;
        let (module, parameter) = rest.rsplit_once('.')?;
        let index = MODULES.iter().position(|names| names[column] == module)?;
        let part = TensorRole::Layer { layer, module: Module::ALL[index], bias: parameter == "bias" };
        // The name again, so that nothing is taken for what it is not.
        (part.name(spelling)? == name).then_some(part)
    }

    /// Its name; `None` for a bias that no such form has.
    pub fn name(self, spelling: Spelling) -> Option<String> {
        let column = spelling as usize;
        let outer = |index: usize| Some(OUTER[index][column].to_owned());
        match self {
            TensorRole::Embedding => outer(0),
            TensorRole::Norm => outer(1),
            TensorRole::Head => outer(2),
            TensorRole::Layer { module, bias: true, .. }
                if spelling == Spelling::Meta
                    || matches!(module, Module::AttentionNorm | Module::MlpNorm) =>
            {
                None
            }
            TensorRole::Layer { layer, module, bias } => {
                let (begin, module) = (LAYERS[column], MODULES[module as usize][column]);
                Some(format!("{begin}{layer}.{module}.{}", if bias { "bias" } else { "weight" }))
            }
        }
    }

    /// The heads within which its rows have another order in GGUF's and Meta's forms; `None` where rows stay.
    pub fn heads(self, queries: usize, keys: usize) -> Option<usize> {
        match self {
            TensorRole::Layer { module: Module::Query, .. } => Some(queries),
            TensorRole::Layer { module: Module::Key, .. } => Some(keys),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_has_a_name_in_every_form_and_is_found_by_it() {
        let layer = |module| TensorRole::Layer { layer: 12, module, bias: false };
        let outer = [TensorRole::Embedding, TensorRole::Norm, TensorRole::Head];
        for part in Module::ALL.into_iter().map(layer).chain(outer) {
            for spelling in [Spelling::Hf, Spelling::Gguf, Spelling::Meta] {
                let name = part.name(spelling).unwrap();
                assert_eq!(TensorRole::parse(&name, spelling), Some(part), "{name}");
            }
        }
        let named = |name: &str| TensorRole::parse(name, Spelling::Gguf)?.name(Spelling::Hf);
        for (gguf, hf) in [
            ("blk.12.ffn_down.weight", "model.layers.12.mlp.down_proj.weight"),
            ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
            ("blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias"),
            ("output.weight", "lm_head.weight"),
        ] {
            assert_eq!(named(gguf).as_deref(), Some(hf));
        }
        let meta = TensorRole::parse("model.layers.3.mlp.up_proj.weight", Spelling::Hf).unwrap();
        assert_eq!(meta.name(Spelling::Meta).unwrap(), "layers.3.feed_forward.w3.weight");
    }

    #[test]
    fn other_names_are_no_tensors_of_a_llama() {
        for (name, spelling) in [
            ("blk.0.ffn_gate_exps.weight", Spelling::Gguf),
            ("blk.00.attn_q.weight", Spelling::Gguf),
            ("blk.+1.attn_q.weight", Spelling::Gguf),
            ("blk.0.attn_norm.bias", Spelling::Gguf),
            ("blk.", Spelling::Gguf),
            ("x", Spelling::Hf),
            ("model.layers.0.self_attn.q_proj.lora_A.weight", Spelling::Hf),
            ("layers.0.attention.wq.bias", Spelling::Meta),
            ("layers.0.attention.wx.weight", Spelling::Meta),
        ] {
            assert_eq!(TensorRole::parse(name, spelling), None, "{name}");
        }
    }

    #[test]
    fn rows_of_queries_and_keys_move_with_their_biases() {
        let heads = |name: &str| TensorRole::parse(name, Spelling::Gguf).unwrap().heads(8, 2);
        assert_eq!((heads("blk.0.attn_q.bias"), heads("blk.0.attn_k.weight")), (Some(8), Some(2)));
        assert_eq!((heads("blk.0.attn_v.weight"), heads("output.weight")), (None, None));
    }
}
