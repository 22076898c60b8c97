//! What the other forms of a LLaMA model need from its `config.json`.
//!
//! The forward pass reads the configuration by itself (`model`); here are only the numbers that GGUF's metadata and
//! Meta's `params.json` state again. Defaults are those of `LlamaConfig` of `transformers`; both spellings of the
//! rotary settings are read.

use serde_json::{Map, Value};

use crate::config::Llama3Rule;
use crate::forms::{HfModel, Refusal};

/// Largest size that is believed; beyond it a configuration is damaged.
const MAX_SIZE: u64 = 1 << 24;
/// Most layers that are believed.
const MAX_LAYERS: usize = 1024;

/// How rotary frequencies are stretched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scaling {
    None,
    Linear { factor: f64 },
    Dynamic { factor: f64 },
    Llama3(Llama3Rule),
}

/// Shape and constants of a LLaMA model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LlamaShape {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub positions: usize,
    pub eps: f64,
    pub theta: f64,
    pub scaling: Scaling,
    pub tied: bool,
}

impl LlamaShape {
    /// Reads the configuration of a model that is to be written as `format` (a name for messages).
    ///
    /// # Errors
    /// A refusal that names the key: another architecture, a size that is missing or impossible, an unknown scaling.
    pub(crate) fn of(model: &HfModel, format: &str) -> Result<LlamaShape, Box<Refusal>> {
        let fields = Fields { file: &model.config_name, map: &model.config };
        match fields.get("model_type").and_then(Value::as_str) {
            Some("llama") => {}
            other => {
                let found = other.map_or("no such key".to_owned(), |kind| format!("{kind:?}"));
                let advice =
                    format!("only LLaMA models are written as {format}: write this one as safetensors");
                return Err(Refusal::new(fields.place("model_type"), "\"llama\"", found, advice));
            }
        }
        let (hidden_size, heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
        let head_dim = match fields.get("head_dim") {
            Some(_) => fields.size("head_dim")?,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                let expected = format!("a divisor of hidden_size ({hidden_size})");
                return Err(fields.wrong("num_attention_heads", expected, heads.to_string()));
            }
        };
        let kv_heads = fields.optional_size("num_key_value_heads")?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) || !head_dim.is_multiple_of(2) {
            let expected = format!("a divisor of num_attention_heads ({heads}), and heads of an even width");
            let found = format!("{kv_heads}, and a width of {head_dim}");
            return Err(fields.wrong("num_key_value_heads", expected, found));
        }
        let layers = fields.size("num_hidden_layers")?;
        if layers > MAX_LAYERS {
            return Err(fields.wrong(
                "num_hidden_layers",
                format!("at most {MAX_LAYERS}"),
                layers.to_string(),
            ));
        }
        let positions = fields.optional_size("max_position_embeddings")?.unwrap_or(2048);
        let (theta, scaling) = fields.rope(positions)?;
        Ok(LlamaShape {
            vocab_size: fields.size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            layers,
            heads,
            kv_heads,
            head_dim,
            positions,
            eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            theta,
            scaling,
            tied: fields.get("tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

struct Fields<'a> {
    file: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn place(&self, key: &str) -> String {
        format!("{}: {key}", self.file)
    }

    fn wrong(&self, key: &str, expected: impl Into<String>, found: impl Into<String>) -> Box<Refusal> {
        Refusal::new(self.place(key), expected, found, "fetch the model's own config.json")
    }

    fn size(&self, key: &str) -> Result<usize, Box<Refusal>> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "a whole number", "no such key"))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, Box<Refusal>> {
        let size = |value: &Value| {
            let size = value.as_u64().filter(|size| (1..=MAX_SIZE).contains(size));
            let size = size.and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| self.wrong(key, format!("a whole number from 1 to {MAX_SIZE}"), short(value)))
        };
        self.get(key).map(size).transpose()
    }

    fn number(&self, key: &str) -> Result<Option<f64>, Box<Refusal>> {
        let number = |value: &Value| {
            let number = value.as_f64().filter(|x| x.is_finite() && *x > 0.0);
            number.ok_or_else(|| self.wrong(key, "a positive number", short(value)))
        };
        self.get(key).map(number).transpose()
    }

    /// Theta and scaling, from `rope_theta` and `rope_scaling` or from `rope_parameters`.
    fn rope(&self, positions: usize) -> Result<(f64, Scaling), Box<Refusal>> {
        let outer_theta = self.number("rope_theta")?;
        let key = if self.get("rope_parameters").is_some() { "rope_parameters" } else { "rope_scaling" };
        let inner = match self.get(key) {
            None => return Ok((outer_theta.unwrap_or(10_000.0), Scaling::None)),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(self.wrong(key, "an object", short(other))),
        };
        let fields = Fields { file: &self.place(key), map: inner };
        let theta = fields.number("rope_theta")?.or(outer_theta).unwrap_or(10_000.0);
        let needed =
            |name: &str| fields.number(name)?.ok_or_else(|| fields.wrong(name, "a number", "no such key"));
        let kind = fields.get("rope_type").or(fields.get("type"));
        let scaling = match kind.map(|kind| kind.as_str().unwrap_or("no string")) {
            None | Some("default") => Scaling::None,
            Some("linear") => Scaling::Linear { factor: needed("factor")? },
            Some("dynamic") => Scaling::Dynamic { factor: needed("factor")? },
            Some("llama3") => Scaling::Llama3(Llama3Rule {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_max_position_embeddings: fields
                    .number("original_max_position_embeddings")?
                    .unwrap_or(positions as f64),
            }),
            Some(other) => {
                let expected = "default, linear, dynamic or llama3";
                return Err(fields.wrong("rope_type", expected, format!("{other:.40?}")));
            }
        };
        if let Scaling::Llama3(rule) = scaling
            && rule.high_freq_factor <= rule.low_freq_factor
        {
            let expected = format!("more than low_freq_factor ({})", rule.low_freq_factor);
            return Err(fields.wrong("high_freq_factor", expected, rule.high_freq_factor.to_string()));
        }
        Ok((theta, scaling))
    }
}

/// A value of a file as it may be shown.
fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::forms::sample::Memory;

    fn shape(changes: Value) -> Result<LlamaShape, Box<Refusal>> {
        let mut config = json!({
            "model_type": "llama", "vocab_size": 10, "hidden_size": 8, "intermediate_size": 12,
            "num_hidden_layers": 1, "num_attention_heads": 2, "rope_theta": 500000.0
        });
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        let model = HfModel {
            path: "m".into(),
            tensors: Box::new(Memory::default()),
            config: config.as_object().unwrap().clone(),
            config_name: "m/config.json".into(),
            sidecars: vec![],
        };
        LlamaShape::of(&model, "GGUF")
    }

    #[test]
    fn what_is_absent_takes_the_defaults_of_transformers() {
        let shape = shape(json!({})).unwrap();
        assert_eq!((shape.kv_heads, shape.head_dim, shape.positions), (2, 4, 2048));
        assert_eq!((shape.eps, shape.theta, shape.scaling, shape.tied), (1e-6, 5e5, Scaling::None, false));
    }

    #[test]
    fn both_spellings_of_rotary_settings_are_read() {
        let older = shape(json!({"rope_scaling": {"type": "linear", "factor": 4}})).unwrap();
        let newer = json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 500000});
        assert_eq!(older, shape(json!({"rope_theta": null, "rope_parameters": newer})).unwrap());
        let llama3 =
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
        let Scaling::Llama3(rule) = shape(json!({"rope_scaling": llama3})).unwrap().scaling else { panic!() };
        assert_eq!(rule.original_max_position_embeddings, 2048.0);
    }

    #[test]
    fn impossible_configurations_are_refused_with_their_key() {
        for (changes, key) in [
            (json!({"model_type": "bloom"}), "model_type"),
            (json!({"hidden_size": 0}), "hidden_size"),
            (json!({"hidden_size": 9}), "num_attention_heads"),
            (json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            (json!({"num_hidden_layers": 5000}), "num_hidden_layers"),
            (json!({"vocab_size": null}), "vocab_size"),
            (json!({"rms_norm_eps": -1.0}), "rms_norm_eps"),
            (json!({"rope_scaling": 4}), "rope_scaling"),
            (json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}), "rope_scaling: rope_type"),
            (json!({"rope_scaling": {"type": "linear"}}), "rope_scaling: factor"),
        ] {
            let refusal = shape(changes).unwrap_err();
            assert_eq!(refusal.place, format!("m/config.json: {key}"));
        }
    }
}
