//! Shapes that can be measured without any file.

use crate::config::{LlamaConfig, RopeScaling};

/// Names that [`shape`] knows, the smallest first.
pub const SHAPES: [&str; 3] = ["smollm2-135m", "tinyllama-1.1b", "llama-7b"];

/// The shape of a name.
pub fn shape(name: &str) -> Option<LlamaConfig> {
    let llama_7b = LlamaConfig {
        vocab_size: 32_000,
        hidden_size: 4096,
        intermediate_size: 11_008,
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 32,
        head_dim: 128,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: false,
        attention_bias: false,
        mlp_bias: false,
    };
    match name {
        "smollm2-135m" => Some(LlamaConfig {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            head_dim: 64,
            max_position_embeddings: 8192,
            rms_norm_eps: 1e-5,
            rope_theta: 1e5,
            tie_word_embeddings: true,
            ..llama_7b
        }),
        "tinyllama-1.1b" => Some(LlamaConfig {
            hidden_size: 2048,
            intermediate_size: 5632,
            num_hidden_layers: 22,
            num_key_value_heads: 4,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            ..llama_7b
        }),
        "llama-7b" => Some(llama_7b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_published_numbers_of_parameters() {
        let parameters = SHAPES.map(|name| shape(name).unwrap().shape().parameters());
        assert_eq!(parameters, [134_515_008, 1_100_048_384, 6_738_415_616]);
        assert!(SHAPES.iter().all(|name| shape(name).unwrap().check(name).is_ok()));
        assert_eq!(shape("llama-8b"), None);
    }
}
