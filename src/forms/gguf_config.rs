//! What a GGUF file says about its model, as the `config.json` that `transformers` would have.
//!
//! Keys that a GGUF file has no word for come from the tensors: the rows of the embedding, whether there is an
//! output matrix, which projections have biases. Numbers that were f32 are written as the shortest decimal that
//! means the same f32, so ε is `1e-5` again and not `0.000009999999747378752`.
//! Source: the key names of llama.cpp's `gguf-py` constants; defaults of `llama-model.cpp`.

use serde_json::{Map, Value, json};

use crate::config::Llama3Rule;
use crate::forms::GgufAsHf;
use crate::weights::gguf::MetadataKindError;
use crate::weights::{Dtype, Fault, FaultKind, GgufFile, TensorSource, WeightsError};

/// The content of `config.json` of the model in `source`. No tensor data is read but explicit rotary factors.
///
/// # Errors
/// [`WeightsError::Fault`] with the key and what was expected there: a size that is missing, a head width that
/// the rotary width contradicts, a rotary rule that `config.json` has no name for, biases on some projections only.
pub fn config_from_gguf(source: &GgufAsHf) -> Result<Map<String, Value>, WeightsError> {
    let keys = Keys { file: source.gguf() };
    let hidden = keys.required("llama.embedding_length")?;
    let heads = keys.required("llama.attention.head_count")?;
    let head_dim = head_dim(&keys, hidden, heads)?;
    let theta = keys.float("llama.rope.freq_base")?.unwrap_or(10_000.0);
    let eps_key = "llama.attention.layer_norm_rms_epsilon";
    let eps = keys.float(eps_key)?.ok_or_else(|| keys.missing(eps_key, "a number"))?;
    let positions = keys.required("llama.context_length")?;

    let mut config = Map::new();
    let mut set = |key: &str, value: Value| {
        config.insert(key.to_owned(), value);
    };
    set("architectures", json!(["LlamaForCausalLM"]));
    set("model_type", json!("llama"));
    set("hidden_act", json!("silu"));
    set("vocab_size", json!(embedding_rows(&keys, source)?));
    set("hidden_size", json!(hidden));
    set("intermediate_size", json!(keys.required("llama.feed_forward_length")?));
    set("num_hidden_layers", json!(keys.required("llama.block_count")?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(keys.count("llama.attention.head_count_kv")?.unwrap_or(heads)));
    if head_dim.checked_mul(heads) != Some(hidden) {
        set("head_dim", json!(head_dim));
    }
    set("max_position_embeddings", json!(positions));
    set("rms_norm_eps", json!(eps));
    set("rope_theta", json!(theta));
    set("rope_scaling", scaling(&keys, source, theta, head_dim)?);
    set("tie_word_embeddings", json!(!has(source, "lm_head.weight")));
    set(
        "attention_bias",
        json!(biases(&keys, source, "self_attn", &["q_proj", "k_proj", "v_proj", "o_proj"])?),
    );
    set("mlp_bias", json!(biases(&keys, source, "mlp", &["gate_proj", "up_proj", "down_proj"])?));
    for (field, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("eos_token_id", "tokenizer.ggml.eos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        if let Some(id) = keys.count(key)? {
            set(field, json!(id));
        }
    }
    if let Some(dtype) = plain_dtype(source) {
        set("torch_dtype", json!(dtype));
    }
    Ok(config)
}

/// Metadata with errors that name file and key.
struct Keys<'a> {
    file: &'a GgufFile,
}

impl Keys<'_> {
    fn fault(
        &self,
        key: &str,
        kind: FaultKind,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Fault> {
        Fault::new(self.file.path(), kind, expected, found).at(format!("metadata {key:?}"))
    }

    fn missing(&self, key: &str, expected: &str) -> Box<Fault> {
        self.fault(key, FaultKind::MissingData, expected, "no such key")
            .advice("fetch a file of a newer converter, or the model as safetensors")
    }

    fn kind(&self, error: MetadataKindError) -> Box<Fault> {
        self.fault(&error.key, FaultKind::InconsistentHeader, error.expected, error.found)
    }

    fn count(&self, key: &str) -> Result<Option<u64>, Box<Fault>> {
        self.file.metadata().unsigned(key).map_err(|e| self.kind(e))
    }

    fn required(&self, key: &str) -> Result<u64, Box<Fault>> {
        self.count(key)?.ok_or_else(|| self.missing(key, "a whole number"))
    }

    /// A number, as the shortest decimal of its f32.
    fn float(&self, key: &str) -> Result<Option<f64>, Box<Fault>> {
        let value = self.file.metadata().float(key).map_err(|e| self.kind(e))?;
        Ok(value.map(|x| (x as f32).to_string().parse().unwrap_or(x)))
    }

    fn string(&self, key: &str) -> Result<Option<&str>, Box<Fault>> {
        self.file.metadata().string(key).map_err(|e| self.kind(e))
    }
}

fn has(source: &GgufAsHf, name: &str) -> bool {
    source.tensors().binary_search_by(|info| info.name.as_str().cmp(name)).is_ok()
}

fn embedding_rows(keys: &Keys<'_>, source: &GgufAsHf) -> Result<usize, Box<Fault>> {
    let embedding = source.tensors().iter().find(|info| info.name == "model.embed_tokens.weight");
    embedding.and_then(|info| info.shape.first().copied()).ok_or_else(|| {
        let expected = "the matrix token_embd.weight";
        Fault::new(keys.file.path(), FaultKind::MissingData, expected, "no tensor of that name")
            .tensor("token_embd.weight")
    })
}

fn head_dim(keys: &Keys<'_>, hidden: u64, heads: u64) -> Result<u64, Box<Fault>> {
    let inconsistent = |key: &str, expected: String, found: u64| {
        keys.fault(key, FaultKind::InconsistentHeader, expected, found.to_string())
    };
    let width = match (keys.count("llama.attention.key_length")?, hidden.checked_rem(heads)) {
        (Some(given), _) => given,
        (None, Some(0)) => hidden / heads,
        (None, _) => {
            let expected = format!("a divisor of llama.embedding_length ({hidden})");
            return Err(inconsistent("llama.attention.head_count", expected, heads));
        }
    };
    for key in ["llama.rope.dimension_count", "llama.attention.value_length"] {
        if let Some(other) = keys.count(key)?.filter(|&other| other != width) {
            return Err(inconsistent(key, format!("the width of a head ({width})"), other));
        }
    }
    Ok(width)
}

/// The value of `rope_scaling`: null, linear, or LLaMA 3.1's.
fn scaling(keys: &Keys<'_>, source: &GgufAsHf, theta: f64, head_dim: u64) -> Result<Value, WeightsError> {
    let factor = match keys.string("llama.rope.scaling.type")? {
        Some("none") => None,
        Some("linear") => keys.float("llama.rope.scaling.factor")?,
        // Files before October 2023 have only the factor.
        None => keys.float("llama.rope.scale_linear")?,
        Some(other) => {
            let expected = "\"none\" or \"linear\"";
            let fault =
                keys.fault("llama.rope.scaling.type", FaultKind::Unsupported, expected, format!("{other:?}"));
            return Err(fault.advice("fetch this model as safetensors").into());
        }
    };
    let factor = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
    let Some(factors) = source.rope_factors()? else {
        return Ok(factor.map_or(
            Value::Null,
            |factor| json!({"rope_type": "linear", "type": "linear", "factor": factor}),
        ));
    };
    let rule =
        usize::try_from(head_dim).ok().and_then(|width| Llama3Rule::of_factors(&factors, theta, width));
    match (rule, factor) {
        (Some(rule), None) => Ok(json!({
            "rope_type": "llama3",
            "factor": rule.factor,
            "low_freq_factor": rule.low_freq_factor,
            "high_freq_factor": rule.high_freq_factor,
            "original_max_position_embeddings": rule.original_max_position_embeddings as u64,
        })),
        _ => {
            let expected = "the factors of LLaMA 3.1's rule, without another scaling";
            let found = format!("{} other factors", factors.len());
            let fault = Fault::new(keys.file.path(), FaultKind::Unsupported, expected, found);
            Err(fault.tensor("rope_freqs.weight").advice("fetch this model as safetensors").into())
        }
    }
}

/// Whether the projections of `module` have biases; all of them or none, as `config.json` can say no more.
fn biases(
    keys: &Keys<'_>,
    source: &GgufAsHf,
    module: &str,
    projections: &[&str],
) -> Result<bool, Box<Fault>> {
    let with = |projection: &&&str| has(source, &format!("model.layers.0.{module}.{projection}.bias"));
    let found: Vec<&str> = projections.iter().filter(with).copied().collect();
    if found.is_empty() || found.len() == projections.len() {
        return Ok(!found.is_empty());
    }
    let expected = format!("biases on all of {} or on none", projections.join(", "));
    Err(Fault::new(keys.file.path(), FaultKind::Unsupported, expected, format!("on {}", found.join(", ")))
        .tensor(&format!("model.layers.0.{module}"))
        .advice("fetch this model as safetensors"))
}

/// The type of the matrices by its name in PyTorch; `None` for block formats and mixtures.
fn plain_dtype(source: &GgufAsHf) -> Option<&'static str> {
    let mut matrices = source.tensors().iter().filter(|info| info.shape.len() == 2).map(|info| info.dtype);
    let first = matrices.next()?;
    matrices.all(|dtype| dtype == first).then_some(())?;
    Some(match first {
        Dtype::F32 => "float32",
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::testing::Builder;

    fn read(builder: &Builder) -> Result<Map<String, Value>, WeightsError> {
        let (_folder, path) = builder.write();
        config_from_gguf(&GgufAsHf::new(GgufFile::open(path)?)?)
    }

    /// All keys that are needed but those in `without`, and an embedding of 10 rows.
    fn small(without: &[&str]) -> Builder {
        let mut builder = Builder::new().string("general.architecture", "llama");
        for (key, value) in [
            ("llama.embedding_length", 8),
            ("llama.attention.head_count", 2),
            ("llama.attention.head_count_kv", 1),
            ("llama.feed_forward_length", 12),
            ("llama.block_count", 1),
            ("llama.context_length", 512),
        ] {
            if !without.contains(&key) {
                builder = builder.u32(key, value);
            }
        }
        let eps = "llama.attention.layer_norm_rms_epsilon";
        if !without.contains(&eps) {
            builder = f32_key(builder, eps, 1e-5);
        }
        builder.f32("token_embd.weight", &[10, 8], &[0.0; 80])
    }

    fn f32_key(builder: Builder, key: &str, value: f32) -> Builder {
        builder.raw(key, 6, &value.to_le_bytes())
    }

    #[test]
    fn a_small_model_has_the_configuration_of_transformers() {
        let config = read(&small(&[]).u32("tokenizer.ggml.eos_token_id", 2)).unwrap();
        let expected = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 10,
            "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "rope_scaling": null, "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false,
            "eos_token_id": 2, "torch_dtype": "float32",
        });
        assert_eq!(Value::Object(config), expected);
    }

    #[test]
    fn what_the_tensors_say_is_taken_from_them() {
        let builder = ["q", "k", "v", "output"].iter().fold(small(&[]), |builder, part| {
            builder.f32(&format!("blk.0.attn_{part}.bias"), &[4], &[0.0; 4])
        });
        let builder = builder.f32("output.weight", &[10, 8], &[0.0; 80]).u32("llama.attention.key_length", 6);
        let config = read(&builder).unwrap();
        assert_eq!(config["attention_bias"], json!(true));
        assert_eq!(config["tie_word_embeddings"], json!(false));
        assert_eq!(config["head_dim"], json!(6));
        let message = read(&small(&[]).f32("blk.0.attn_q.bias", &[4], &[0.0; 4])).unwrap_err().to_string();
        assert!(
            message.contains("all of q_proj, k_proj, v_proj, o_proj") && message.contains("on q_proj"),
            "{message}"
        );
    }

    #[test]
    fn linear_scaling_has_an_old_and_a_new_key() {
        let linear = json!({"rope_type": "linear", "type": "linear", "factor": 4.0});
        let new = f32_key(small(&[]), "llama.rope.scaling.factor", 4.0);
        assert_eq!(
            read(&new.clone().string("llama.rope.scaling.type", "linear")).unwrap()["rope_scaling"],
            linear
        );
        assert_eq!(
            read(&new.clone().string("llama.rope.scaling.type", "none")).unwrap()["rope_scaling"],
            Value::Null
        );
        let old = f32_key(small(&[]), "llama.rope.scale_linear", 4.0);
        assert_eq!(read(&old).unwrap()["rope_scaling"], linear);
        let message = read(&new.string("llama.rope.scaling.type", "yarn")).unwrap_err().to_string();
        assert!(message.contains("llama.rope.scaling.type") && message.contains("\"yarn\""), "{message}");
    }

    #[test]
    fn explicit_factors_are_the_rule_that_makes_them() {
        let rule = Llama3Rule {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        let builder = f32_key(small(&[]).u32("llama.attention.key_length", 64), "llama.rope.freq_base", 5e5);
        let factors = rule.factors(5e5, 64);
        let config = read(&builder.clone().f32("rope_freqs.weight", &[32], &factors)).unwrap();
        assert_eq!(config["rope_scaling"]["rope_type"], json!("llama3"));
        assert_eq!(config["rope_scaling"]["factor"], json!(32.0));
        let message = read(&builder.f32("rope_freqs.weight", &[32], &[2.0; 32])).unwrap_err().to_string();
        assert!(message.contains("rope_freqs.weight") && message.contains("32 other factors"), "{message}");
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        for key in ["llama.block_count", "llama.context_length", "llama.attention.layer_norm_rms_epsilon"] {
            let message = read(&small(&[key])).unwrap_err().to_string();
            assert!(message.contains(key) && message.contains("no such key"), "{message}");
        }
        for (builder, key) in [
            (small(&[]).u32("llama.rope.dimension_count", 2), "llama.rope.dimension_count"),
            (
                small(&["llama.embedding_length"]).u32("llama.embedding_length", 7),
                "llama.attention.head_count",
            ),
            (small(&["llama.block_count"]).string("llama.block_count", "1"), "llama.block_count"),
        ] {
            let message = read(&builder).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
    }
}
