//! `config.json` of a Hugging Face checkpoint → [`ModelConfig`].
//!
//! Both spellings of rotary settings are read: `rope_theta` + `rope_scaling` of 2023–2025 files, and the
//! newer `rope_parameters`, where theta and scaling sit in one object. Defaults are those of
//! transformers' `LlamaConfig` and `BloomConfig`. Code named by `auto_map` is never looked at.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;
use super::fields::{self, JsonFields};
use crate::config::{BloomConfig, LlamaConfig, ModelConfig, RopeScaling};

/// No config file comes near; a larger one is not a config.
const MAX_BYTES: u64 = 16 << 20;

/// Reads and checks `config.json`.
pub fn read(path: &Path) -> Result<ModelConfig, ConfigError> {
    from_map(&read_map(path)?, &path.display().to_string())
}

/// The content of a `config.json`, or of another small file like it, as it stands: an object, and nothing else is known.
pub fn read_map(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let file = path.display().to_string();
    let unreadable = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => ConfigError::Missing { file: file.clone() },
        _ => ConfigError::Unreadable { file: file.clone(), reason: e.to_string() },
    };
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(ConfigError::Unreadable { file, reason: "it is no regular file".to_owned() });
    }
    if about.len() > MAX_BYTES {
        let field = "size in bytes".to_owned();
        let limit = MAX_BYTES;
        return Err(ConfigError::Limit { source_file: file, field, limit, found: about.len() });
    }
    fields::object(&fs::read(path).map_err(unreadable)?, &file)
}

/// Checks the text of a `config.json`; `file` says in errors where it is from.
pub fn from_bytes(bytes: &[u8], file: &str) -> Result<ModelConfig, ConfigError> {
    from_map(&fields::object(bytes, file)?, file)
}

/// Checks the content of a `config.json`; `file` says in errors where it is from.
pub fn from_map(map: &Map<String, Value>, file: &str) -> Result<ModelConfig, ConfigError> {
    let fields = JsonFields { file, prefix: "", map };
    if fields.get("quantization_config").is_some() {
        return Err(fields.unsupported(
            "quantization_config",
            "present",
            "plain weights, and quantised ones in GGUF files",
        ));
    }
    match fields.text("model_type")? {
        Some("llama") => llama(&fields).map(ModelConfig::Llama),
        Some("bloom") => bloom(&fields).map(ModelConfig::Bloom),
        Some(other) => Err(fields.unsupported("model_type", other, "llama and bloom")),
        None => Err(fields.wrong("model_type", "\"llama\" or \"bloom\"", "nothing")),
    }
}

fn llama(fields: &JsonFields) -> Result<LlamaConfig, ConfigError> {
    if let Some(activation) = fields.text("hidden_act")?
        && activation != "silu"
    {
        return Err(fields.unsupported("hidden_act", activation, "silu"));
    }
    let hidden_size = fields.required("hidden_size")?;
    let num_attention_heads = fields.required("num_attention_heads")?;
    let head_dim = match fields.count("head_dim")? {
        Some(given) => given,
        None if num_attention_heads == 0 || hidden_size % num_attention_heads != 0 => {
            return Err(fields.wrong(
                "num_attention_heads",
                &format!("a divisor of hidden_size ({hidden_size})"),
                &num_attention_heads.to_string(),
            ));
        }
        None => hidden_size / num_attention_heads,
    };
    let max_position_embeddings = fields.count("max_position_embeddings")?.unwrap_or(2048);
    let (rope_theta, rope_scaling) = rope(fields, max_position_embeddings)?;
    let config = LlamaConfig {
        vocab_size: fields.required("vocab_size")?,
        hidden_size,
        intermediate_size: fields.required("intermediate_size")?,
        num_hidden_layers: fields.required("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: fields.count("num_key_value_heads")?.unwrap_or(num_attention_heads),
        head_dim,
        max_position_embeddings,
        rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
        rope_theta,
        rope_scaling,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(false),
        attention_bias: fields.flag("attention_bias")?.unwrap_or(false),
        mlp_bias: fields.flag("mlp_bias")?.unwrap_or(false),
    };
    config.check(fields.file)?;
    Ok(config)
}

/// Theta and scaling, in either spelling.
fn rope(fields: &JsonFields, max_position_embeddings: usize) -> Result<(f64, RopeScaling), ConfigError> {
    let newer = fields.object("rope_parameters")?;
    let older = fields.object("rope_scaling")?;
    let theta = match (&newer, fields.number("rope_theta")?) {
        (Some(parameters), outer) => parameters.number("rope_theta")?.or(outer),
        (None, outer) => outer,
    };
    let scaling = match newer.or(older) {
        Some(fields) => scaling(&fields, max_position_embeddings)?,
        None => RopeScaling::None,
    };
    Ok((theta.unwrap_or(10_000.0), scaling))
}

fn scaling(fields: &JsonFields, max_position_embeddings: usize) -> Result<RopeScaling, ConfigError> {
    let kind = match fields.text("rope_type")? {
        Some(kind) => Some(kind),
        None => fields.text("type")?,
    };
    let needed = |key: &str| fields.number(key)?.ok_or_else(|| fields.wrong(key, "a number", "nothing"));
    Ok(match kind {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: needed("factor")? },
        Some("dynamic") => RopeScaling::Dynamic { factor: needed("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: needed("factor")?,
            low_freq_factor: needed("low_freq_factor")?,
            high_freq_factor: needed("high_freq_factor")?,
            original_max_position_embeddings: fields
                .number("original_max_position_embeddings")?
                .unwrap_or(max_position_embeddings as f64),
        },
        Some(other) => {
            return Err(fields.unsupported("type", other, "default, linear, dynamic and llama3 scaling"));
        }
    })
}

/// BLOOM's keys, of which some have two names.
fn bloom(fields: &JsonFields) -> Result<BloomConfig, ConfigError> {
    let hidden_size = either(fields, "hidden_size", "n_embed")?;
    if let Some(inner) = fields.count("n_inner")?
        && hidden_size.checked_mul(4) != Some(inner)
    {
        return Err(fields.wrong("n_inner", "null or four times hidden_size", &inner.to_string()));
    }
    let config = BloomConfig {
        vocab_size: fields.required("vocab_size")?,
        hidden_size,
        num_hidden_layers: either(fields, "num_hidden_layers", "n_layer")?,
        num_attention_heads: either(fields, "num_attention_heads", "n_head")?,
        max_position_embeddings: fields.count("seq_length")?.unwrap_or(2048),
        layer_norm_epsilon: fields.number("layer_norm_epsilon")?.unwrap_or(1e-5),
        residual_after_norm: fields.flag("apply_residual_connection_post_layernorm")?.unwrap_or(false),
        tie_word_embeddings: fields.flag("tie_word_embeddings")?.unwrap_or(true),
    };
    config.check(fields.file)?;
    Ok(config)
}

/// A number that stands under one of two keys, or under both with the same value.
fn either(fields: &JsonFields, key: &str, other: &str) -> Result<usize, ConfigError> {
    match (fields.count(key)?, fields.count(other)?) {
        (Some(a), Some(b)) if a != b => {
            Err(fields.wrong(key, &format!("{b} as {other} says"), &a.to_string()))
        }
        (Some(n), _) | (None, Some(n)) => Ok(n),
        (None, None) => Err(fields.wrong(
            key,
            "a positive integer here or under the other name",
            &format!("neither it nor {other}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::base::fault::FaultKind;
    use crate::config::hf::*;
    use serde_json::json;

    fn base() -> Value {
        json!({
            "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 172,
            "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 512
        })
    }

    fn parse(changes: Value) -> Result<LlamaConfig, ConfigError> {
        match parse_as(base(), changes)? {
            ModelConfig::Llama(config) => Ok(config),
            other => panic!("{other:?}"),
        }
    }

    fn parse_as(mut value: Value, changes: Value) -> Result<ModelConfig, ConfigError> {
        for (key, change) in changes.as_object().unwrap() {
            value[key] = change.clone();
        }
        from_map(value.as_object().unwrap(), "config.json")
    }

    #[test]
    fn both_spellings_of_rotary_settings_say_the_same() {
        let older = json!({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}});
        let newer = json!({"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}});
        let (older, newer) = (parse(older).unwrap(), parse(newer).unwrap());
        assert_eq!(older, newer);
        assert_eq!((newer.rope_theta, newer.rope_scaling), (5e5, RopeScaling::Linear { factor: 4.0 }));
    }

    #[test]
    fn what_is_absent_takes_the_defaults_of_transformers() {
        let config = parse(json!({"num_key_value_heads": null, "rms_norm_eps": null})).unwrap();
        assert_eq!((config.num_key_value_heads, config.head_dim), (8, 8));
        assert_eq!((config.rms_norm_eps, config.rope_theta), (1e-6, 10_000.0));
        assert!(!config.tie_word_embeddings);
    }

    #[test]
    fn bad_values_are_refused_with_file_and_key() {
        for (changes, key) in [
            (json!({"hidden_size": "64"}), "hidden_size"),
            (json!({"hidden_size": 64.5}), "hidden_size"),
            (json!({"hidden_size": -64}), "hidden_size"),
            (json!({"num_attention_heads": 7}), "num_attention_heads"),
            (json!({"num_attention_heads": 0}), "num_attention_heads"),
            (json!({"model_type": "gptj"}), "model_type"),
            (json!({"hidden_act": "relu6"}), "hidden_act"),
            (json!({"quantization_config": {}}), "quantization_config"),
            (json!({"rope_scaling": {"type": "magic", "factor": 2.0}}), "rope_scaling.type"),
            (json!({"rope_scaling": {"type": "linear"}}), "rope_scaling.factor"),
            (json!({"rope_scaling": {"type": "linear", "factor": 0}}), "rope_scaling"),
            (json!({"rope_scaling": 4}), "rope_scaling"),
        ] {
            let message = parse(changes).unwrap_err().to_string();
            assert!(message.contains("config.json") && message.contains(key), "{key}: {message}");
        }
    }

    fn bloom_7b1() -> Value {
        json!({
            "model_type": "bloom", "vocab_size": 250880, "n_embed": 4096, "n_layer": 30, "num_attention_heads": 32,
            "layer_norm_epsilon": 1e-5, "seq_length": 2048, "n_inner": null, "offset_alibi": 100
        })
    }

    #[test]
    fn bloom_is_read_in_both_spellings() {
        let newer = json!({
            "n_embed": null, "n_layer": null, "num_attention_heads": null,
            "hidden_size": 4096, "num_hidden_layers": 30, "n_head": 32, "n_inner": 16384
        });
        for changes in [json!({}), newer] {
            let config = parse_as(bloom_7b1(), changes).unwrap();
            assert_eq!(config, crate::config::tests::bloom_7b().into());
        }
    }

    #[test]
    fn what_contradicts_bloom_is_refused() {
        for (changes, words) in [
            (json!({"hidden_size": 1024}), ["hidden_size", "4096 as n_embed says"]),
            (json!({"n_layer": null}), ["num_hidden_layers", "n_layer"]),
            (json!({"n_inner": 4096}), ["n_inner", "four times"]),
            (json!({"num_attention_heads": 5}), ["num_attention_heads", "divisor of hidden_size"]),
            (json!({"layer_norm_epsilon": "small"}), ["layer_norm_epsilon", "a number"]),
            (json!({"quantization_config": {"bits": 4}}), ["quantization_config", "GGUF"]),
        ] {
            let message = parse_as(bloom_7b1(), changes).unwrap_err().to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }

    #[test]
    fn every_error_has_its_class() {
        for (changes, class) in [
            (json!({"hidden_size": 0}), FaultKind::InvalidConfig),
            (json!({"num_hidden_layers": 1u64 << 40}), FaultKind::LimitExceeded),
            (
                json!({"num_attention_heads": 1 << 20, "head_dim": 1 << 20, "num_key_value_heads": 1}),
                FaultKind::LimitExceeded,
            ),
            (json!({"model_type": "gptj"}), FaultKind::Unsupported),
        ] {
            assert_eq!(parse(changes.clone()).unwrap_err().class(), Some(class), "{changes}");
        }
    }
}
