//! `config.json` of a Hugging Face checkpoint → [`ModelConfig`].
//!
//! Both spellings of rotary settings are read: `rope_theta` + `rope_scaling` of 2023–2025 files, and the
//! newer `rope_parameters`, where theta and scaling sit in one object. Defaults are those of
//! transformers' `LlamaConfig` and `BloomConfig`; keys that these know nothing of change nothing there, nor here. Code named
//! by `auto_map` is never looked at. Which version of transformers decides is said in `evals/README.md`.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::ConfigError;
use super::fields::{self, JsonFields};
use crate::base::recognise::dangling;
use crate::base::whole::{self, TooLarge};
use crate::config::{BloomConfig, LlamaConfig, ModelConfig, RopeScaling};

/// No config file comes near; a larger one is not a config.
const MAX_BYTES: u64 = 16 << 20;

/// The one activation of this family under the names that transformers has for it.
const SILU: [&str; 2] = ["silu", "swish"];

/// Base of the rotary frequencies where a file says nothing.
const DEFAULT_THETA: f64 = 10_000.0;

/// Reads and checks `config.json`.
pub fn read(path: &Path) -> Result<ModelConfig, ConfigError> {
    from_map(&read_map(path)?, &path.display().to_string())
}

/// The content of a `config.json`, or of another small file like it, as it stands: an object, and nothing else is known.
pub fn read_map(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let file = path.display().to_string();
    let unreadable = |e: std::io::Error| match e.kind() {
        ErrorKind::NotFound => match dangling(path) {
            Some(target) => {
                let reason = format!("it is a link to {}, where there is nothing", target.display());
                ConfigError::Unreadable { file: file.clone(), reason }
            }
            None => ConfigError::Missing { file: file.clone() },
        },
        _ => ConfigError::Unreadable { file: file.clone(), reason: e.to_string() },
    };
    let bytes = whole::read(path, MAX_BYTES).map_err(|error| match TooLarge::of(&error) {
        Some(&TooLarge { bytes: found, limit }) => {
            ConfigError::Limit { source_file: file.clone(), field: "size in bytes".to_owned(), limit, found }
        }
        None => unreadable(error),
    })?;
    fields::object(&bytes, &file)
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
        && !SILU.contains(&activation)
    {
        return Err(fields.unsupported("hidden_act", activation, "silu, also called swish"));
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

/// Theta and scaling, in either spelling. An older `rope_scaling` that says anything replaces a newer `rope_parameters` as a
/// whole, theta included: transformers 4.57 knows it alone, and 5.24 does so in `convert_rope_params_to_dict`.
fn rope(fields: &JsonFields, max_position_embeddings: usize) -> Result<(f64, RopeScaling), ConfigError> {
    turns_whole_heads(fields)?;
    let older = fields.object("rope_scaling")?.filter(|older| !older.map.is_empty());
    let outer = fields.number("rope_theta")?;
    let Some(rope) = older.or(fields.object("rope_parameters")?) else {
        return Ok((outer.unwrap_or(DEFAULT_THETA), condensed(fields, RopeScaling::None)?));
    };
    let theta = rope.number("rope_theta")?.or(outer).unwrap_or(DEFAULT_THETA);
    Ok((theta, condensed(fields, scaling(fields, &rope, max_position_embeddings)?)?))
}

/// LongChat's word for linear scaling, which FastChat follows. transformers does not know it and makes garbage of a model whose
/// file says nothing else.
/// Source: `llama_condense_monkey_patch.py` and `LongChatAdapter` of FastChat.
fn condensed(fields: &JsonFields, scaling: RopeScaling) -> Result<RopeScaling, ConfigError> {
    let key = "rope_condense_ratio";
    match (fields.number(key)?.filter(|&ratio| ratio != 1.0), scaling) {
        (None, scaling) => Ok(scaling),
        (Some(factor), RopeScaling::None) => Ok(RopeScaling::Linear { factor }),
        (Some(ratio), RopeScaling::Linear { factor }) if factor == ratio => Ok(scaling),
        (Some(ratio), _) => {
            let expected = format!("the factor of rope_scaling ({scaling})");
            Err(fields.wrong(key, &expected, &ratio.to_string()))
        }
    }
}

/// LLaMA turns whole heads; versions of transformers disagree about files that say otherwise.
fn turns_whole_heads(fields: &JsonFields) -> Result<(), ConfigError> {
    match fields.number("partial_rotary_factor")?.filter(|&share| share != 1.0) {
        Some(share) => {
            let supported = "LLaMA models, which turn whole heads (1.0)";
            Err(fields.unsupported("partial_rotary_factor", &share.to_string(), supported))
        }
        None => Ok(()),
    }
}

/// The rule of an object. What transformers takes for "no scaling" without a word, a factor without a type, is refused: one of
/// the two was meant.
fn scaling(
    outer: &JsonFields,
    rope: &JsonFields,
    max_position_embeddings: usize,
) -> Result<RopeScaling, ConfigError> {
    for key in ["rope_type", "type"] {
        if rope.map.get(key).is_some_and(Value::is_null) {
            return Err(rope.wrong(key, "the name of a scaling, or no such key", "null"));
        }
    }
    let kind = match (rope.text("rope_type")?, rope.text("type")?) {
        // Which of the two counts depends on the version of transformers.
        (Some(kind), Some(other)) if kind != other => {
            return Err(rope.wrong("type", &format!("{kind:?} as rope_type says"), &format!("{other:?}")));
        }
        (kind, other) => kind.or(other),
    };
    turns_whole_heads(rope)?;
    let Some(kind) = kind else {
        let silent = |key: &&String| !matches!(key.as_str(), "rope_theta" | "partial_rotary_factor");
        return match rope.map.keys().find(silent) {
            None => Ok(RopeScaling::None),
            Some(key) => {
                let expected = "the name of the scaling that the other keys belong to";
                Err(rope.wrong("rope_type", expected, &format!("nothing beside {key}")))
            }
        };
    };
    let needed = |key: &str| rope.number(key)?.ok_or_else(|| rope.wrong(key, "a number", "nothing"));
    Ok(match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: needed("factor")? },
        "dynamic" => RopeScaling::Dynamic { factor: needed("factor")? },
        "llama3" => {
            let trained = "original_max_position_embeddings";
            let (own, beside) = (rope.number(trained)?, outer.number(trained)?);
            if let (Some(own), Some(beside)) = (own, beside)
                && own != beside
            {
                return Err(outer.wrong(trained, &format!("{own} as the scaling says"), &beside.to_string()));
            }
            RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_max_position_embeddings: own.or(beside).unwrap_or(max_position_embeddings as f64),
            }
        }
        other => {
            return Err(rope.unsupported("type", other, "default, linear, dynamic and llama3 scaling"));
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

    /// Checked with transformers 5.24, as 4.57 knows no `rope_parameters` and no theta in a scaling: the theta and first
    /// frequencies of `LlamaForCausalLM` for the same files.
    #[test]
    fn an_older_scaling_replaces_newer_parameters_as_a_whole() {
        let newer = json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0});
        let linear = |factor| RopeScaling::Linear { factor };
        for (changes, theta, scaling) in [
            (json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), 10_000.0, linear(2.0)),
            (
                json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 300.0}),
                300.0,
                linear(2.0),
            ),
            (json!({"rope_scaling": {"rope_type": "default"}}), 10_000.0, RopeScaling::None),
            (
                json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "rope_theta": 77.0}, "rope_theta": 300.0}),
                77.0,
                linear(2.0),
            ),
            (json!({"rope_scaling": null, "rope_theta": 300.0}), 5000.0, linear(4.0)),
            (json!({"rope_scaling": {}}), 5000.0, linear(4.0)),
        ] {
            let mut both = changes.clone();
            both["rope_parameters"] = newer.clone();
            let config = parse(both).unwrap();
            assert_eq!((config.rope_theta, config.rope_scaling), (theta, scaling), "{changes}");
        }
    }

    #[test]
    fn what_is_absent_takes_the_defaults_of_transformers() {
        let config = parse(json!({"num_key_value_heads": null, "rms_norm_eps": null})).unwrap();
        assert_eq!((config.num_key_value_heads, config.head_dim), (8, 8));
        assert_eq!((config.rms_norm_eps, config.rope_theta), (1e-6, 10_000.0));
        assert!(!config.tie_word_embeddings);
        assert_eq!(
            parse(json!({"hidden_act": "swish"})).unwrap(),
            parse(json!({"hidden_act": "silu"})).unwrap()
        );
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
            (json!({"rope_scaling": {"factor": 2.0}}), "rope_scaling.rope_type"),
            (json!({"rope_parameters": {"factor": 2.0, "rope_theta": 1e4}}), "rope_parameters.rope_type"),
            (json!({"rope_scaling": {"type": null, "factor": 2.0}}), "rope_scaling.type"),
            (
                json!({"rope_scaling": {"rope_type": null, "type": "linear", "factor": 2.0}}),
                "rope_scaling.rope_type",
            ),
            (
                json!({"rope_scaling": {"rope_type": "linear", "type": "dynamic", "factor": 2}}),
                "rope_scaling.type",
            ),
            (
                json!({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4}}}),
                "full_attention",
            ),
            (
                json!({"rope_parameters": {"partial_rotary_factor": 0.5}}),
                "rope_parameters.partial_rotary_factor",
            ),
            (
                json!({"rope_scaling": {"type": "default"}, "partial_rotary_factor": 0.25}),
                "partial_rotary_factor",
            ),
            (
                json!({"original_max_position_embeddings": 4096, "rope_scaling": {"rope_type": "llama3", "factor": 8,
                       "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}),
                "original_max_position_embeddings",
            ),
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
