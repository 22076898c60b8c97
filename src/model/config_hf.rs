//! `config.json` of a Hugging Face checkpoint → [`LlamaConfig`].
//!
//! Both spellings of rotary settings are read: `rope_theta` + `rope_scaling` of 2023–2025 files, and the
//! newer `rope_parameters`, where theta and scaling sit in one object. Defaults are those of
//! transformers' `LlamaConfig`. Code named by `auto_map` is never looked at.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::{LlamaConfig, ModelError, RopeScaling};

/// No config file comes near; a larger one is not a config.
const MAX_BYTES: u64 = 16 << 20;

/// Reads and checks `config.json`.
pub fn read(path: &Path) -> Result<LlamaConfig, ModelError> {
    let file = path.display().to_string();
    let unreadable = |reason: String| ModelError::Unreadable { file: file.clone(), reason };
    let size = fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(unreadable(format!("{size} bytes; a model's configuration has at most {MAX_BYTES}")));
    }
    let text = fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| unreadable(format!("not valid JSON: {e}")))?;
    let Value::Object(map) = value else {
        return Err(unreadable("expected a JSON object".to_owned()));
    };
    Fields { file: &file, prefix: "", map: &map }.llama()
}

/// One JSON object with its place, for errors that name file and key.
struct Fields<'a> {
    file: &'a str,
    prefix: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn llama(&self) -> Result<LlamaConfig, ModelError> {
        match self.text("model_type")? {
            Some("llama") => {}
            Some(other) => return Err(self.unsupported("model_type", other, "llama")),
            None => return Err(self.wrong("model_type", "\"llama\"", "nothing")),
        }
        if let Some(activation) = self.text("hidden_act")?
            && activation != "silu"
        {
            return Err(self.unsupported("hidden_act", activation, "silu"));
        }
        if self.map.get("quantization_config").is_some_and(|q| !q.is_null()) {
            return Err(self.unsupported(
                "quantization_config",
                "present",
                "plain weights, and quantised ones in GGUF files",
            ));
        }
        let hidden_size = self.required("hidden_size")?;
        let num_attention_heads = self.required("num_attention_heads")?;
        let head_dim = match self.count("head_dim")? {
            Some(given) => given,
            None if num_attention_heads == 0 || hidden_size % num_attention_heads != 0 => {
                return Err(self.wrong(
                    "num_attention_heads",
                    &format!("a divisor of hidden_size ({hidden_size})"),
                    &num_attention_heads.to_string(),
                ));
            }
            None => hidden_size / num_attention_heads,
        };
        let max_position_embeddings = self.count("max_position_embeddings")?.unwrap_or(2048);
        let (rope_theta, rope_scaling) = self.rope(max_position_embeddings)?;
        let config = LlamaConfig {
            vocab_size: self.required("vocab_size")?,
            hidden_size,
            intermediate_size: self.required("intermediate_size")?,
            num_hidden_layers: self.required("num_hidden_layers")?,
            num_attention_heads,
            num_key_value_heads: self.count("num_key_value_heads")?.unwrap_or(num_attention_heads),
            head_dim,
            max_position_embeddings,
            rms_norm_eps: self.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            tie_word_embeddings: self.flag("tie_word_embeddings")?.unwrap_or(false),
            attention_bias: self.flag("attention_bias")?.unwrap_or(false),
            mlp_bias: self.flag("mlp_bias")?.unwrap_or(false),
        };
        config.check(self.file)?;
        Ok(config)
    }

    /// Theta and scaling, in either spelling.
    fn rope(&self, max_position_embeddings: usize) -> Result<(f64, RopeScaling), ModelError> {
        let newer = self.object("rope_parameters")?;
        let older = self.object("rope_scaling")?;
        let theta = match (&newer, self.number("rope_theta")?) {
            (Some(parameters), outer) => parameters.number("rope_theta")?.or(outer),
            (None, outer) => outer,
        };
        let scaling = match newer.or(older) {
            Some(fields) => fields.scaling(max_position_embeddings)?,
            None => RopeScaling::None,
        };
        Ok((theta.unwrap_or(10_000.0), scaling))
    }

    fn scaling(&self, max_position_embeddings: usize) -> Result<RopeScaling, ModelError> {
        let kind = match self.text("rope_type")? {
            Some(kind) => Some(kind),
            None => self.text("type")?,
        };
        let needed = |key: &str| self.number(key)?.ok_or_else(|| self.wrong(key, "a number", "nothing"));
        Ok(match kind {
            None | Some("default") => RopeScaling::None,
            Some("linear") => RopeScaling::Linear { factor: needed("factor")? },
            Some("dynamic") => RopeScaling::Dynamic { factor: needed("factor")? },
            Some("llama3") => RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_max_position_embeddings: self
                    .number("original_max_position_embeddings")?
                    .unwrap_or(max_position_embeddings as f64),
            },
            Some(other) => {
                return Err(self.unsupported("type", other, "default, linear, dynamic and llama3 scaling"));
            }
        })
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn required(&self, key: &str) -> Result<usize, ModelError> {
        self.count(key)?.ok_or_else(|| self.wrong(key, "a positive integer", "nothing"))
    }

    fn count(&self, key: &str) -> Result<Option<usize>, ModelError> {
        self.get(key)
            .map(|value| {
                value
                    .as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(|| self.wrong(key, "a positive integer", &value.to_string()))
            })
            .transpose()
    }

    fn number(&self, key: &str) -> Result<Option<f64>, ModelError> {
        let wrong = |value: &Value| self.wrong(key, "a number", &value.to_string());
        self.get(key).map(|value| value.as_f64().ok_or_else(|| wrong(value))).transpose()
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        let wrong = |value: &Value| self.wrong(key, "true or false", &value.to_string());
        self.get(key).map(|value| value.as_bool().ok_or_else(|| wrong(value))).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, ModelError> {
        let wrong = |value: &Value| self.wrong(key, "a string", &value.to_string());
        self.get(key).map(|value| value.as_str().ok_or_else(|| wrong(value))).transpose()
    }

    fn object(&self, key: &'static str) -> Result<Option<Fields<'a>>, ModelError> {
        let wrong = |value: &Value| self.wrong(key, "an object", &value.to_string());
        self.get(key)
            .map(|value| match value {
                Value::Object(map) => Ok(Fields { file: self.file, prefix: key, map }),
                other => Err(wrong(other)),
            })
            .transpose()
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    fn wrong(&self, key: &str, expected: &str, found: &str) -> ModelError {
        ModelError::Config {
            source_file: self.file.to_owned(),
            field: self.key(key),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    fn unsupported(&self, key: &str, found: &str, supported: &str) -> ModelError {
        ModelError::Unsupported {
            source_file: self.file.to_owned(),
            field: self.key(key),
            found: found.to_owned(),
            supported: supported.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Value {
        json!({
            "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 172,
            "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
            "rms_norm_eps": 1e-5, "max_position_embeddings": 512
        })
    }

    fn parse(changes: Value) -> Result<LlamaConfig, ModelError> {
        let mut value = base();
        for (key, change) in changes.as_object().unwrap() {
            value[key] = change.clone();
        }
        Fields { file: "config.json", prefix: "", map: value.as_object().unwrap() }.llama()
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
}
