//! `params.json` of Meta's releases → [`LlamaConfig`].
//!
//! The width of the MLP is not stored but computed, and the size of the vocabulary is usually -1, "ask the
//! tokenizer". The length of the context is not there at all (see `context`), nor is the factor of scaled positions.
//! Source: `ModelArgs`, `FeedForward` and `apply_scaling` of Meta's `llama`, `llama3` and `llama-models`; the `transformers` LLaMA
//! conversion script.

use serde_json::Value;

use super::fields::{self, JsonFields};
use super::limits::{MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH};
use super::{ConfigError, LlamaConfig, RopeScaling};

/// Base of the rotary frequencies of LLaMA and Llama 2.
const THETA: f64 = 10_000.0;
/// The same of Code Llama, which was trained further with it.
const CODE_LLAMA_THETA: f64 = 1e6;
/// The same of Llama 3 and later.
const LLAMA_3_THETA: f64 = 500_000.0;
/// Rows of Llama 3's vocabulary.
const LLAMA_3_VOCABULARY: usize = 128_256;
/// The special tokens among them, which are the last.
const LLAMA_3_SPECIALS: usize = 256;
/// Keys of later code that change what a network computes and are not followed here, unless they are null or false: experts,
/// norms of queries and keys, other scalings, stored integers, adapters, layers without positions, images.
const NOT_FOLLOWED: [&str; 11] = [
    "moe",
    "moe_args",
    "use_qk_norm",
    "rope_scaling",
    "quantization_args",
    "lora_args",
    "nope_layer_interval",
    "attention_chunk_size",
    "attn_temperature_tuning",
    "vision_args",
    "vision_num_layers",
];
/// The file's name.
pub const PARAMS_FILE: &str = "params.json";

/// Checks the text of a `params.json`; `rows` of the embedding count where it leaves the vocabulary to the tokenizer,
/// `tiktoken` whether the tokenizer beside it is of the kind that Meta's releases have since Llama 3 (`None`: there is none), and
/// `file` says in errors where it is from.
///
/// # Errors
/// A value that no model has, or one of a model that is no release of Meta's.
pub fn read(
    bytes: &[u8],
    rows: usize,
    tiktoken: Option<bool>,
    file: &str,
) -> Result<LlamaConfig, ConfigError> {
    let map = fields::object(bytes, file)?;
    let fields = JsonFields { file, prefix: "", map: &map };
    let required = |key: &str, limit: usize| {
        let expected = format!("a whole number from 1 to {limit}");
        fields.within(key, limit)?.ok_or_else(|| fields.wrong(key, &expected, "nothing"))
    };
    for key in NOT_FOLLOWED {
        if let Some(value) =
            fields.get(key).filter(|value| !matches!(value, Value::Null | Value::Bool(false)))
        {
            return Err(fields.unsupported(
                key,
                &value.to_string(),
                "Meta's files of LLaMA models without it",
            ));
        }
    }
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
    let num_hidden_layers = required("n_layers", MAX_LAYERS)?;
    let is_third = is_third(&fields, rope_theta, vocabulary.unwrap_or(rows), tiktoken)?;
    let rope_scaling = scaling(&fields, is_third, hidden_size, num_hidden_layers)?;
    let is_later = kv_heads.is_some() || multiplier.is_some();
    let max_position_embeddings = match (is_third, rope_scaling) {
        (true, RopeScaling::None) => 8192,
        (true, _) => 131_072,
        (false, _) => context(hidden_size, rms_norm_eps, rope_theta, is_later),
    };
    let config = LlamaConfig {
        vocab_size: vocabulary.unwrap_or(rows),
        hidden_size,
        intermediate_size,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads: kv_heads.unwrap_or(num_attention_heads),
        head_dim: hidden_size / num_attention_heads,
        max_position_embeddings,
        rms_norm_eps,
        rope_theta,
        rope_scaling,
        tie_word_embeddings: is_third && is_llama_3_2(hidden_size, num_hidden_layers),
        attention_bias: false,
        mlp_bias: false,
    };
    config.check(file)?;
    Ok(config)
}

/// Whether a file is of Llama 3 or later: see [`is_llama_3`]. A theta that no release of Meta's has is refused, since its file has
/// no word for the context; and so is Llama 3's vocabulary with another one, because the code of each generation has a default
/// of its own.
fn is_third(
    fields: &JsonFields,
    theta: f64,
    vocabulary: usize,
    tiktoken: Option<bool>,
) -> Result<bool, ConfigError> {
    match theta {
        LLAMA_3_THETA => Ok(is_llama_3(theta, vocabulary, tiktoken)),
        THETA | CODE_LLAMA_THETA if vocabulary != LLAMA_3_VOCABULARY => Ok(false),
        THETA | CODE_LLAMA_THETA => {
            let expected =
                format!("{LLAMA_3_THETA}, as in the files of all models with {vocabulary} rows (Llama 3)");
            Err(fields.wrong("rope_theta", &expected, &theta.to_string()))
        }
        _ => {
            let supported = "Meta's files of LLaMA, Llama 2, Code Llama and Llama 3; fetch this model as safetensors, in the layout \
                             of Hugging Face";
            Err(fields.unsupported("rope_theta", &theta.to_string(), supported))
        }
    }
}

/// LLaMA 3.1's rule, if the file asks for it. By how much frequencies are divided it does not say, unless it is of a later
/// generation: see [`scaled_by`].
fn scaling(
    fields: &JsonFields,
    is_third: bool,
    dim: usize,
    layers: usize,
) -> Result<RopeScaling, ConfigError> {
    // `null` is false, as in Meta's own `if use_scaled` of `precompute_freqs_cis`.
    if !fields.flag("use_scaled_rope")?.unwrap_or(false) {
        return Ok(RopeScaling::None);
    }
    if !is_third {
        let expected = format!("no scaling, or Llama 3's rope_theta ({LLAMA_3_THETA}) beside it");
        return Err(fields.wrong("use_scaled_rope", &expected, "true"));
    }
    for key in ["rope_scaling_factor", "rope_high_freq_factor"] {
        if let Some(value) = fields.get(key) {
            let supported =
                "files of Llama 3 without it; fetch this model as safetensors, in the layout of Hugging Face";
            return Err(fields.unsupported(key, &value.to_string(), supported));
        }
    }
    Ok(RopeScaling::llama3(scaled_by(dim, layers)))
}

/// The factor of LLaMA 3.1's rule by the model's width and layers: 8, but 32 for the text models of Llama 3.2, as the
/// configurations say that Meta published beside these files. (The constant in Meta's own code is 8 for all of them, which
/// differs for positions that no short text reaches: the frequencies below one turn in 8192 tokens.)
/// Source: `config.json` of the releases on the hub; `convert_llama_weights_to_hf.py` of transformers.
pub fn scaled_by(dim: usize, layers: usize) -> f64 {
    if is_llama_3_2(dim, layers) { 32.0 } else { 8.0 }
}

/// Whether a model has the width and the layers of the text models of Llama 3.2. Their output matrix, which Meta's files hold as
/// well, is their embedding.
fn is_llama_3_2(dim: usize, layers: usize) -> bool {
    matches!((dim, layers), (2048, 16) | (3072, 28))
}

/// Whether a model is of Llama 3's generation, whose code has a context of its own and cuts the embedding by rows, not by columns
/// as before. Its theta alone does not say so: models with LLaMA's tokenizer were trained further with the same. So the
/// tokenizer's kind decides, and without a tokenizer (`None`) the size of the vocabulary, which derived models only extend.
pub fn is_llama_3(theta: f64, vocabulary: usize, tiktoken: Option<bool>) -> bool {
    theta == LLAMA_3_THETA && tiktoken.unwrap_or(vocabulary >= LLAMA_3_VOCABULARY)
}

/// The special tokens that a model of Meta's begins and ends texts with where no tokenizer says it, by generation: LLaMA's first
/// pieces, or those behind Llama 3's ranks.
pub fn special_ids(config: &LlamaConfig) -> (u32, Vec<u32>) {
    const FIRST: u32 = (LLAMA_3_VOCABULARY - LLAMA_3_SPECIALS) as u32;
    match is_llama_3(config.rope_theta, config.vocab_size, None) {
        true => (FIRST, vec![FIRST + 1, FIRST + 8, FIRST + 9]),
        false => (1, vec![2]),
    }
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
        read(text.as_bytes(), 32_000, None, PARAMS_FILE)
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
        let error = parse(&scaled).unwrap_err();
        assert_eq!(error.class(), Some(FaultKind::InvalidConfig));
        assert!(error.to_string().contains("use_scaled_rope"), "{error}");
        for unscaled in ["false", "null"] {
            assert_eq!(parse(&scaled.replace("true", unscaled)).unwrap(), parse(good).unwrap(), "{unscaled}");
        }
    }

    #[test]
    fn what_changes_the_arithmetic_and_is_not_followed_is_refused_by_name() {
        let file = |more: &str| parse(&format!(r#"{{"dim": 64, "n_heads": 8, "n_layers": 5, {more}}}"#));
        for (key, value) in [
            ("moe", r#"{"num_experts": 8}"#),
            ("use_qk_norm", "true"),
            ("rope_scaling", r#"{"factor": 8}"#),
            ("quantization_args", r#"{"group_size": 256}"#),
        ] {
            let error = file(&format!("{key:?}: {value}")).unwrap_err();
            assert_eq!(error.class(), Some(FaultKind::Unsupported), "{key}");
            assert!(error.to_string().contains(&format!("params.json: {key} is ")), "{error}");
            assert!(file(&format!("{key:?}: null")).is_ok() && file(&format!("{key:?}: false")).is_ok());
        }
    }

    #[test]
    fn llama_3_is_told_from_code_llama() {
        let file = |more: &str| {
            parse(&format!(r#"{{"dim": 4096, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05, {more}}}"#))
        };
        assert!(file(r#""rope_theta": 1000000.0, "vocab_size": 32016"#).is_ok());
        for params in [r#""vocab_size": 128256"#, r#""vocab_size": 128256, "rope_theta": 1000000.0"#] {
            let error = file(params).unwrap_err();
            assert_eq!(error.class(), Some(FaultKind::InvalidConfig));
            assert!(error.to_string().contains("rope_theta: expected 500000"), "{error}");
        }
        let other = file(r#""rope_theta": 300000.0"#).unwrap_err();
        assert_eq!(other.class(), Some(FaultKind::Unsupported));
        let later = file(
            r#""rope_theta": 500000.0, "use_scaled_rope": true, "rope_scaling_factor": 16, "vocab_size": 128256"#,
        )
        .unwrap_err();
        assert!(later.to_string().contains("rope_scaling_factor is 16"), "{later}");
    }

    #[test]
    fn llama_3_s_theta_with_another_tokenizer_is_not_llama_3() {
        let text = |rows: usize| {
            format!(
                r#"{{"dim": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": {rows}, "norm_eps": 1e-05, "rope_theta": 500000.0}}"#
            )
        };
        for (rows, tiktoken, context, ids) in [
            (65_000, None, 4096, (1, vec![2])),
            (65_000, Some(false), 4096, (1, vec![2])),
            (128_256, Some(false), 4096, (128_000, vec![128_001, 128_008, 128_009])),
            (65_000, Some(true), 8192, (1, vec![2])),
            (128_258, None, 8192, (128_000, vec![128_001, 128_008, 128_009])),
        ] {
            let config = read(text(rows).as_bytes(), rows, tiktoken, PARAMS_FILE).unwrap();
            assert_eq!(config.max_position_embeddings, context, "{rows} {tiktoken:?}");
            // What no tokenizer says.
            assert_eq!(special_ids(&config), ids, "{rows}");
        }
    }

    #[test]
    fn llama_3_has_its_context_and_later_ones_their_scaling() {
        let file = |shape: &str, more: &str| {
            let text = format!(
                r#"{{{shape}, "vocab_size": 128256, "norm_eps": 1e-05, "rope_theta": 500000.0{more}}}"#
            );
            parse(&text).unwrap()
        };
        let large = r#""dim": 4096, "n_heads": 32, "n_layers": 32, "n_kv_heads": 8, "multiple_of": 1024, "ffn_dim_multiplier": 1.3"#;
        let small = r#""dim": 2048, "n_heads": 32, "n_layers": 16, "n_kv_heads": 8, "multiple_of": 256, "ffn_dim_multiplier": 1.5"#;
        let scaled = r#", "use_scaled_rope": true"#;
        let third = file(large, "");
        assert_eq!((third.intermediate_size, third.max_position_embeddings), (14_336, 8192));
        assert_eq!(third.rope_scaling, RopeScaling::None);
        assert_eq!(special_ids(&third), (128_000, vec![128_001, 128_008, 128_009]));
        for (shape, width, factor) in [(large, 14_336, 8.0), (small, 8192, 32.0)] {
            let later = file(shape, scaled);
            assert_eq!((later.intermediate_size, later.max_position_embeddings), (width, 131_072));
            assert_eq!(later.rope_scaling, RopeScaling::llama3(factor));
            assert_eq!(later.tie_word_embeddings, factor == 32.0);
        }
    }
}
