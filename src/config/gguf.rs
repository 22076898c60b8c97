//! Metadata of a GGUF file of architecture `llama` → [`LlamaConfig`].
//!
//! Keys are those that llama.cpp writes: `llama.block_count`, `llama.embedding_length`, …

use super::ConfigError;
use crate::base::fault::Refusal;
use crate::config::{LlamaConfig, RopeScaling};
use crate::weights::gguf::Metadata;
use crate::weights::quoted;

/// What the metadata cannot say and the tensors do.
#[derive(Debug, Clone, Copy)]
pub struct FromTensors {
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Whether there is an output matrix of its own.
    pub has_output: bool,
    /// Whether the file carries explicit rotary factors.
    pub has_rope_factors: bool,
}

/// Reads and checks the configuration; `file` names the source in errors.
pub fn read(metadata: &Metadata, tensors: FromTensors, file: &str) -> Result<LlamaConfig, ConfigError> {
    let wrong = |field: &str, expected: &str, found: String| {
        ConfigError::from(Refusal::of_field(file, field, expected, found))
    };
    match metadata.string("general.architecture")? {
        Some("llama") => {}
        other => {
            return Err(ConfigError::Unsupported {
                source_file: file.to_owned(),
                field: "general.architecture".to_owned(),
                found: other.map_or("missing".to_owned(), quoted),
                supported: "GGUF files of architecture llama".to_owned(),
            });
        }
    }
    let optional = |key: &str| -> Result<Option<usize>, ConfigError> {
        let value = metadata.unsigned(key)?;
        value.map(|n| usize::try_from(n).map_err(|_| wrong(key, "a size", n.to_string()))).transpose()
    };
    let required = |key: &str| optional(key)?.ok_or_else(|| wrong(key, "a value", "nothing".to_owned()));

    let hidden_size = required("llama.embedding_length")?;
    let num_attention_heads = required("llama.attention.head_count")?;
    let head_dim = match optional("llama.attention.key_length")? {
        Some(given) => given,
        None if num_attention_heads == 0 || hidden_size % num_attention_heads != 0 => {
            return Err(wrong(
                "llama.attention.head_count",
                &format!("a divisor of embedding_length ({hidden_size})"),
                num_attention_heads.to_string(),
            ));
        }
        None => hidden_size / num_attention_heads,
    };
    if let Some(rotated) = optional("llama.rope.dimension_count")?
        && rotated != head_dim
    {
        return Err(wrong(
            "llama.rope.dimension_count",
            &format!("the head's width ({head_dim})"),
            rotated.to_string(),
        ));
    }
    if tensors.has_rope_factors {
        return Err(ConfigError::Unsupported {
            source_file: file.to_owned(),
            field: "rope_freqs.weight".to_owned(),
            found: "explicit rotary factors".to_owned(),
            supported: "linear scaling from the metadata; use the safetensors form of this model".to_owned(),
        });
    }
    let config = LlamaConfig {
        vocab_size: tensors.vocab_size,
        hidden_size,
        intermediate_size: required("llama.feed_forward_length")?,
        num_hidden_layers: required("llama.block_count")?,
        num_attention_heads,
        num_key_value_heads: optional("llama.attention.head_count_kv")?.unwrap_or(num_attention_heads),
        head_dim,
        max_position_embeddings: required("llama.context_length")?,
        rms_norm_eps: metadata.float("llama.attention.layer_norm_rms_epsilon")?.ok_or_else(|| {
            wrong("llama.attention.layer_norm_rms_epsilon", "a number", "nothing".to_owned())
        })?,
        rope_theta: metadata.float("llama.rope.freq_base")?.unwrap_or(10_000.0),
        rope_scaling: scaling(metadata, file)?,
        tie_word_embeddings: !tensors.has_output,
        attention_bias: false,
        mlp_bias: false,
    };
    config.check(file)?;
    Ok(config)
}

fn scaling(metadata: &Metadata, file: &str) -> Result<RopeScaling, ConfigError> {
    let linear = |factor: Option<f64>| match factor {
        Some(factor) if factor != 1.0 && factor != 0.0 => RopeScaling::Linear { factor },
        _ => RopeScaling::None,
    };
    match metadata.string("llama.rope.scaling.type")? {
        Some("none") => Ok(RopeScaling::None),
        Some("linear") => Ok(linear(metadata.float("llama.rope.scaling.factor")?)),
        // Files before 2023-10 have only the factor.
        None => Ok(linear(metadata.float("llama.rope.scale_linear")?)),
        Some(other) => Err(ConfigError::Unsupported {
            source_file: file.to_owned(),
            field: "llama.rope.scaling.type".to_owned(),
            found: quoted(other),
            supported: "none and linear in GGUF files".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::gguf::*;
    use crate::weights::gguf::Value;

    const TENSORS: FromTensors = FromTensors { vocab_size: 512, has_output: false, has_rope_factors: false };

    fn metadata() -> Metadata {
        let mut m = Metadata::default();
        m.0.insert("general.architecture".into(), Value::String("llama".into()));
        for (key, value) in [
            ("embedding_length", 64),
            ("attention.head_count", 8),
            ("attention.head_count_kv", 4),
            ("feed_forward_length", 172),
            ("block_count", 5),
            ("context_length", 512),
        ] {
            m.0.insert(format!("llama.{key}"), Value::Unsigned(value));
        }
        m.0.insert("llama.attention.layer_norm_rms_epsilon".into(), Value::Float(1e-5));
        m
    }

    #[test]
    fn a_small_model_is_read() {
        let config = read(&metadata(), TENSORS, "x.gguf").unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads, config.vocab_size), (8, 4, 512));
        assert!(config.tie_word_embeddings);
        assert_eq!(config.rope_scaling, RopeScaling::None);
    }

    #[test]
    fn linear_scaling_is_read_and_other_kinds_are_refused() {
        let mut m = metadata();
        m.0.insert("llama.rope.scaling.type".into(), Value::String("linear".into()));
        m.0.insert("llama.rope.scaling.factor".into(), Value::Float(4.0));
        assert_eq!(read(&m, TENSORS, "x").unwrap().rope_scaling, RopeScaling::Linear { factor: 4.0 });
        m.0.insert("llama.rope.scaling.type".into(), Value::String("yarn".into()));
        let message = read(&m, TENSORS, "x.gguf").unwrap_err().to_string();
        assert!(message.contains("yarn") && message.contains("x.gguf"), "{message}");
        let explicit = FromTensors { has_rope_factors: true, ..TENSORS };
        assert!(read(&metadata(), explicit, "x").is_err());
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_named() {
        for key in ["llama.block_count", "llama.attention.layer_norm_rms_epsilon", "general.architecture"] {
            let mut m = metadata();
            m.0.remove(key);
            let message = read(&m, TENSORS, "x.gguf").unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
        let mut m = metadata();
        m.0.insert("llama.block_count".into(), Value::Bool(true));
        assert!(read(&m, TENSORS, "x.gguf").unwrap_err().to_string().contains("block_count"));
    }
}
