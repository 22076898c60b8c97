//! Place of a tensor in a transformer, read from its Hugging Face name.

use std::fmt;

use serde::Serialize;

use crate::base::names::{name_of, number_in_name};

/// What a tensor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorKind {
    /// Token embeddings.
    Embed,
    /// Query projection.
    Q,
    /// Key projection.
    K,
    /// Value projection.
    V,
    /// Query, key and value in one matrix (BLOOM).
    Qkv,
    /// Output projection of attention.
    O,
    /// Gate of the MLP.
    Gate,
    /// First matrix of the MLP.
    Up,
    /// Second matrix of the MLP.
    Down,
    /// Normalisation.
    Norm,
    /// Output projection to the vocabulary.
    Head,
    /// Biases and what has no name here.
    Other,
}

impl TensorKind {
    /// All, in the order in which a token meets them.
    pub const ALL: [TensorKind; 12] = [
        TensorKind::Embed,
        TensorKind::Q,
        TensorKind::K,
        TensorKind::V,
        TensorKind::Qkv,
        TensorKind::O,
        TensorKind::Gate,
        TensorKind::Up,
        TensorKind::Down,
        TensorKind::Norm,
        TensorKind::Head,
        TensorKind::Other,
    ];

    /// Its name in tables.
    pub fn as_str(self) -> &'static str {
        name_of(&self)
    }
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Layer and kind of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorPlace {
    /// The layer; `None` for what stands before or after all layers.
    pub layer: Option<u32>,
    /// What it does.
    pub kind: TensorKind,
}

impl TensorPlace {
    /// Reads the names of LLaMA (`model.layers.3.self_attn.q_proj.weight`) and BLOOM (`h.3.mlp.dense_h_to_4h.weight`).
    pub fn of(name: &str) -> Self {
        let mut parts = name.split('.');
        let layer = parts
            .by_ref()
            .find(|part| matches!(*part, "layers" | "h"))
            .and_then(|_| parts.next())
            .and_then(|number| u32::try_from(number_in_name(number)?).ok());
        let (module, parameter) = name.rsplit_once('.').unwrap_or((name, ""));
        let (parent, last) = module.rsplit_once('.').unwrap_or(("", module));
        let kind = match last {
            last if last.contains("norm") || last == "ln_f" => TensorKind::Norm,
            _ if parameter != "weight" => TensorKind::Other,
            "q_proj" => TensorKind::Q,
            "k_proj" => TensorKind::K,
            "v_proj" => TensorKind::V,
            "query_key_value" => TensorKind::Qkv,
            "o_proj" => TensorKind::O,
            "dense" if parent.ends_with("attention") => TensorKind::O,
            "gate_proj" => TensorKind::Gate,
            "up_proj" | "dense_h_to_4h" => TensorKind::Up,
            "down_proj" | "dense_4h_to_h" => TensorKind::Down,
            "embed_tokens" | "word_embeddings" => TensorKind::Embed,
            "lm_head" => TensorKind::Head,
            _ => TensorKind::Other,
        };
        TensorPlace { layer, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_architectures() {
        let cases = [
            ("model.embed_tokens.weight", None, TensorKind::Embed),
            ("model.layers.12.self_attn.q_proj.weight", Some(12), TensorKind::Q),
            ("model.layers.0.self_attn.k_proj.bias", Some(0), TensorKind::Other),
            ("model.layers.0.self_attn.o_proj.weight", Some(0), TensorKind::O),
            ("model.layers.3.mlp.down_proj.weight", Some(3), TensorKind::Down),
            ("model.layers.3.post_attention_layernorm.weight", Some(3), TensorKind::Norm),
            ("model.norm.weight", None, TensorKind::Norm),
            ("lm_head.weight", None, TensorKind::Head),
            ("transformer.h.7.self_attention.query_key_value.weight", Some(7), TensorKind::Qkv),
            ("h.7.self_attention.dense.weight", Some(7), TensorKind::O),
            ("h.7.mlp.dense_4h_to_h.weight", Some(7), TensorKind::Down),
            ("h.7.input_layernorm.bias", Some(7), TensorKind::Norm),
            ("word_embeddings_layernorm.weight", None, TensorKind::Norm),
            ("ln_f.weight", None, TensorKind::Norm),
            ("x", None, TensorKind::Other),
            ("model.layers.x.y", None, TensorKind::Other),
            ("model.layers.+1.mlp.up_proj.weight", None, TensorKind::Up),
            ("h.00.mlp.dense_4h_to_h.weight", None, TensorKind::Down),
        ];
        for (name, layer, kind) in cases {
            assert_eq!(TensorPlace::of(name), TensorPlace { layer, kind }, "{name}");
        }
    }
}
