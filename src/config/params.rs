//! `params.json` of Meta's releases → [`LlamaConfig`].
//!
//! The width of the MLP is not stored but computed, and the size of the vocabulary is usually -1, "ask the
//! tokenizer". The length of the context is not there at all: see `context`.
//! Source: `ModelArgs` and `FeedForward` of `llama/model.py`; the `transformers` LLaMA conversion script.

use serde_json::Value;

use super::fields::{self, JsonFields};
use super::limits::{MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH};
use super::{ConfigError, LlamaConfig, RopeScaling};

/// Base of the rotary frequencies of LLaMA and Llama 2.
const THETA: f64 = 10_000.0;
/// The same of Code Llama, which was trained further with it.
const CODE_LLAMA_THETA: f64 = 1e6;
/// Rows of Llama 3's vocabulary.
const LLAMA_3_VOCABULARY: usize = 128_256;
/// The file's name.
pub const PARAMS_FILE: &str = "params.json";

/// Checks the text of a `params.json`; `rows` of the embedding count where it leaves the vocabulary to the tokenizer,
/// and `file` says in errors where it is from.
///
/// # Errors
/// A value that no model has, or scaled positions, which other forms say in full.
pub fn read(bytes: &[u8], rows: usize, file: &str) -> Result<LlamaConfig, ConfigError> {
    let map = fields::object(bytes, file)?;
    let fields = JsonFields { file, prefix: "", map: &map };
    // `null` is false, as in Meta's own `if use_scaled` of `precompute_freqs_cis`.
    if let Some(scaled) = fields.get("use_scaled_rope").filter(|value| **value != Value::Bool(false)) {
        let supported = "files of Meta's without it; fetch this model as safetensors";
        return Err(fields.unsupported("use_scaled_rope", &scaled.to_string(), supported));
    }
    let required = |key: &str, limit: usize| {
        let expected = format!("a whole number from 1 to {limit}");
        fields.within(key, limit)?.ok_or_else(|| fields.wrong(key, &expected, "nothing"))
    };
    let hidden_size = required("dim", MAX_WIDTH)?;
    let num_attention_heads = required("n_heads", MAX_WIDTH)?;
    let kv_heads = fields.within("n_kv_heads", MAX_WIDTH)?;
    // Heads rotate pairs of dimensions.
    if !hidden_size.is_multiple_of(num_attention_heads)
        || !(hidden_size / num_attention_heads).is_multiple_of(2)
    {
        let expected = format!("a divisor of dim ({hidden_size}) that leaves heads of even width");
        return Err(fields.wrong("n_heads", &expected, &num_attention_heads.to_string()));
    }
    if let Some(kv_heads) = kv_heads.filter(|&kv_heads| !num_attention_heads.is_multiple_of(kv_heads)) {
        let expected = format!("a divisor of n_heads ({num_attention_heads})");
        return Err(fields.wrong("n_kv_heads", &expected, &kv_heads.to_string()));
    }
    // Below 1, as every configuration's.
    let rms_norm_eps = fields.between("norm_eps", f64::MIN_POSITIVE, 1.0_f64.next_down())?.unwrap_or(1e-5);
    let vocabulary = match fields.get("vocab_size").and_then(Value::as_i64) {
        Some(-1) => None,
        _ => fields.within("vocab_size", MAX_VOCABULARY)?,
    };
    let multiple_of = fields.within("multiple_of", MAX_WIDTH)?.unwrap_or(256);
    let multiplier = fields.between("ffn_dim_multiplier", 1e-3, 1e3)?;
    let intermediate_size = intermediate_size(hidden_size, multiple_of, multiplier);
    if intermediate_size > MAX_WIDTH {
        let expected = format!("an MLP of at most {MAX_WIDTH} units");
        return Err(fields.wrong("ffn_dim_multiplier", &expected, &intermediate_size.to_string()));
    }
    let rope_theta = fields.between("rope_theta", 1.0, 1e12)?.unwrap_or(THETA);
    refuse_llama_3(&fields, rope_theta, vocabulary.unwrap_or(rows))?;
    let is_later = kv_heads.is_some() || multiplier.is_some();
    let config = LlamaConfig {
        vocab_size: vocabulary.unwrap_or(rows),
        hidden_size,
        intermediate_size,
        num_hidden_layers: required("n_layers", MAX_LAYERS)?,
        num_attention_heads,
        num_key_value_heads: kv_heads.unwrap_or(num_attention_heads),
        head_dim: hidden_size / num_attention_heads,
        max_position_embeddings: context(hidden_size, rms_norm_eps, rope_theta, is_later),
        rms_norm_eps,
        rope_theta,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: false,
        attention_bias: false,
        mlp_bias: false,
    };
    config.check(file)?;
    Ok(config)
}

/// Llama 3 has another context, other special ids and a vocabulary in another format than every earlier release of Meta's, and
/// its file says none of it.
fn refuse_llama_3(fields: &JsonFields, theta: f64, vocabulary: usize) -> Result<(), ConfigError> {
    let supported = "Meta's files of LLaMA, Llama 2 and Code Llama; fetch this model (Llama 3 or later) as safetensors, in the \
                     layout of Hugging Face";
    if vocabulary == LLAMA_3_VOCABULARY {
        return Err(fields.unsupported("vocab_size", &vocabulary.to_string(), supported));
    }
    if theta != THETA && theta != CODE_LLAMA_THETA {
        return Err(fields.unsupported("rope_theta", &theta.to_string(), supported));
    }
    Ok(())
}

/// Units of the MLP: two thirds of four times the width, by the multiplier if there is one, rounded up to a multiple.
pub fn intermediate_size(dim: usize, multiple_of: usize, multiplier: Option<f64>) -> usize {
    let units = 8 * dim / 3;
    let units = multiplier.map_or(units, |multiplier| (multiplier * units as f64) as usize);
    units.next_multiple_of(multiple_of)
}

/// Tokens of the context that the model was trained on, as far as the file betrays its generation: LLaMA had 2048.
/// Llama 2 has 4096; its 70B names key and value heads (`is_later`), and its 7B and 13B have the ε that only the 65B of
/// the first generation had. Code Llama, with its own theta, has 16384.
fn context(dim: usize, eps: f64, theta: f64, is_later: bool) -> usize {
    let small_llama_2 = eps == 1e-5 && matches!(dim, 4096 | 5120);
    if theta == CODE_LLAMA_THETA {
        16_384
    } else if is_later || small_llama_2 {
        4096
    } else {
        2048
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fault::FaultKind;

    fn parse(text: &str) -> Result<LlamaConfig, ConfigError> {
        read(text.as_bytes(), 32_000, PARAMS_FILE)
    }

    fn released(dim: usize, heads: usize, layers: usize, rest: &str) -> LlamaConfig {
        parse(&format!(
            r#"{{"dim": {dim}, "n_heads": {heads}, "n_layers": {layers}, "vocab_size": -1, {rest}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn the_released_sizes_have_their_mlp_and_context() {
        let first = r#""multiple_of": 256, "norm_eps": 1e-06"#;
        for (dim, heads, layers, units) in
            [(4096, 32, 32, 11008), (5120, 40, 40, 13824), (6656, 52, 60, 17920)]
        {
            let params = released(dim, heads, layers, first);
            assert_eq!((params.intermediate_size, params.max_position_embeddings), (units, 2048), "{dim}");
        }
        let params = released(8192, 64, 80, r#""multiple_of": 256, "norm_eps": 1e-05"#);
        assert_eq!((params.intermediate_size, params.max_position_embeddings), (22016, 2048));
        let params = released(4096, 32, 32, r#""multiple_of": 256, "norm_eps": 1e-05"#);
        assert_eq!(params.max_position_embeddings, 4096);
        let rest = r#""multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_kv_heads": 8, "norm_eps": 1e-05"#;
        let params = released(8192, 64, 80, rest);
        assert_eq!(
            (params.intermediate_size, params.max_position_embeddings, params.num_key_value_heads),
            (28672, 4096, 8)
        );
        let code = released(4096, 32, 32, r#""norm_eps": 1e-05, "rope_theta": 1000000"#);
        assert_eq!((code.intermediate_size, code.max_position_embeddings), (11008, 16_384));
    }

    #[test]
    fn impossible_values_name_their_key() {
        let good = r#"{"dim": 64, "n_heads": 8, "n_layers": 5, "multiple_of": 4, "norm_eps": 1e-5}"#;
        assert!(parse(good).is_ok());
        for (from, to, key) in [
            (r#""dim": 64"#, r#""dim": 0"#, "dim"),
            (r#""dim": 64"#, r#""dim": 64.5"#, "dim"),
            (r#""dim": 64"#, r#""dim": 1e300"#, "dim"),
            (r#""dim": 64"#, r#""dim": 99999999999"#, "dim"),
            (r#""dim": 64, "#, "", "dim"),
            (r#""n_heads": 8"#, r#""n_heads": 7"#, "n_heads"),
            (r#""n_heads": 8"#, r#""n_heads": 64"#, "n_heads"),
            (r#""n_heads": 8"#, r#""n_heads": 8, "n_kv_heads": 3"#, "n_kv_heads"),
            (r#""n_layers": 5"#, r#""n_layers": -5"#, "n_layers"),
            (r#""multiple_of": 4"#, r#""multiple_of": 0"#, "multiple_of"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": NaN"#, "line 1"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": 0"#, "norm_eps"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": 1"#, "norm_eps"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": "1e-5""#, "norm_eps"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": 1e-5, "vocab_size": -2"#, "vocab_size"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": 1e-5, "ffn_dim_multiplier": 1e9"#, "ffn_dim_multiplier"),
            (r#""norm_eps": 1e-5"#, r#""norm_eps": 1e-5, "rope_theta": 0"#, "rope_theta"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse(&good.replace(from, to)).unwrap_err();
            assert_eq!(error.class(), Some(FaultKind::InvalidConfig), "{to}");
            assert!(error.to_string().contains(key), "{to}: {error}");
        }
        let scaled = good.replace("}", r#", "use_scaled_rope": true}"#);
        assert_eq!(parse(&scaled).unwrap_err().class(), Some(FaultKind::Unsupported));
        for unscaled in ["false", "null"] {
            assert_eq!(parse(&scaled.replace("true", unscaled)).unwrap(), parse(good).unwrap(), "{unscaled}");
        }
    }

    #[test]
    fn llama_3_is_told_from_code_llama() {
        let file = |more: &str| {
            parse(&format!(r#"{{"dim": 4096, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05, {more}}}"#))
        };
        assert!(file(r#""rope_theta": 1000000.0, "vocab_size": 32016"#).is_ok());
        let third = r#""n_kv_heads": 8, "vocab_size": 128256, "multiple_of": 1024, "ffn_dim_multiplier": 1.3,
            "rope_theta": 500000.0"#;
        for params in [third, r#""rope_theta": 500000.0"#, r#""vocab_size": 128256"#] {
            let error = file(params).unwrap_err();
            assert_eq!(error.class(), Some(FaultKind::Unsupported));
            assert!(
                error.to_string().contains("Llama 3") && error.to_string().contains(PARAMS_FILE),
                "{error}"
            );
        }
    }
}
