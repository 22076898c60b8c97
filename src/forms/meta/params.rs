//! `params.json` of Meta's releases, checked, and the `config.json` that says the same.
//!
//! The width of the MLP is not stored but computed, and the size of the vocabulary is usually -1, "ask the
//! tokenizer". The length of the context is not there at all: see [`MetaParams::context`].
//! Source: `ModelArgs` and `FeedForward` of `llama/model.py`; the `transformers` LLaMA conversion script.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::weights::{Dtype, Fault, FaultKind, WeightsError};

/// The file's name.
pub(super) const PARAMS_FILE: &str = "params.json";
/// Largest file that is read; real ones have 150 bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Bounds of sizes, far beyond any model, so that products stay within a machine word.
const MAX_LAYERS: usize = 1024;
const MAX_WIDTH: usize = 1 << 20;
const MAX_VOCABULARY: usize = 1 << 24;

/// Shape and constants of a model in Meta's form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MetaParams {
    pub path: PathBuf,
    pub dim: usize,
    pub n_layers: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    /// Whether the file spells out the key and value heads.
    grouped: bool,
    multiple_of: usize,
    ffn_dim_multiplier: Option<f64>,
    norm_eps: f64,
    /// `None` if the tokenizer says it.
    pub vocab_size: Option<usize>,
    rope_theta: Option<f64>,
}

impl MetaParams {
    /// Reads and checks the file of a folder.
    ///
    /// # Errors
    /// [`WeightsError::Fault`]: `MissingData` if it is not there, `InvalidConfig` for a value that no model has.
    pub(super) fn read(folder: &Path) -> Result<Self, WeightsError> {
        let path = folder.join(PARAMS_FILE);
        let Some(about) = fs::metadata(&path).ok().filter(|about| about.is_file()) else {
            return Err(Fault::new(folder, FaultKind::MissingData, PARAMS_FILE, "no such file")
                .advice("fetch it from the release of the weights; it is a small file")
                .into());
        };
        if about.len() > MAX_BYTES {
            let expected = format!("at most {MAX_BYTES} bytes");
            let found = about.len().to_string();
            return Err(Fault::new(&path, FaultKind::LimitExceeded, expected, found).into());
        }
        let bytes = fs::read(&path).map_err(|source| WeightsError::Io {
            file: path.clone(),
            action: "read",
            source,
        })?;
        Ok(Self::parse(&path, &bytes)?)
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Box<Fault>> {
        let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
            Fault::new(path, FaultKind::InvalidConfig, "a JSON object", error.to_string())
        })?;
        let fields = Fields { path, map: &map };
        if map.get("use_scaled_rope").is_some_and(|value| *value != Value::Bool(false)) {
            let expected = "rotary positions without scaling, as in LLaMA and Llama 2";
            return Err(Fault::new(path, FaultKind::Unsupported, expected, "use_scaled_rope")
                .advice("fetch this model as safetensors"));
        }
        let dim = fields.required("dim", MAX_WIDTH)?;
        let n_heads = fields.required("n_heads", MAX_WIDTH)?;
        let n_kv_heads = fields.count("n_kv_heads", MAX_WIDTH)?;
        // Heads rotate pairs of dimensions.
        if !dim.is_multiple_of(n_heads) || !(dim / n_heads).is_multiple_of(2) {
            let expected = format!("a divisor of dim ({dim}) that leaves heads of even width");
            return Err(fields.wrong("n_heads", expected, n_heads));
        }
        if let Some(kv_heads) = n_kv_heads
            && !n_heads.is_multiple_of(kv_heads)
        {
            let expected = format!("a divisor of n_heads ({n_heads})");
            return Err(fields.wrong("n_kv_heads", expected, kv_heads));
        }
        // Below 1, as in the configuration that is made of it.
        let norm_eps = fields.number("norm_eps", f64::MIN_POSITIVE, 1.0_f64.next_down())?;
        let vocab_size = match map.get("vocab_size").and_then(Value::as_i64) {
            Some(-1) => None,
            _ => fields.count("vocab_size", MAX_VOCABULARY)?,
        };
        let params = MetaParams {
            path: path.to_owned(),
            dim,
            n_layers: fields.required("n_layers", MAX_LAYERS)?,
            n_heads,
            n_kv_heads: n_kv_heads.unwrap_or(n_heads),
            grouped: n_kv_heads.is_some(),
            multiple_of: fields.count("multiple_of", MAX_WIDTH)?.unwrap_or(256),
            ffn_dim_multiplier: fields.number("ffn_dim_multiplier", 1e-3, 1e3)?,
            norm_eps: norm_eps.unwrap_or(1e-5),
            vocab_size,
            rope_theta: fields.number("rope_theta", 1.0, 1e12)?,
        };
        if params.intermediate_size() > MAX_WIDTH {
            let expected = format!("an MLP of at most {MAX_WIDTH} units");
            return Err(fields.wrong("ffn_dim_multiplier", expected, params.intermediate_size()));
        }
        Ok(params)
    }

    /// Units of the MLP: two thirds of four times the width, by the multiplier if there is one, rounded up.
    pub(super) fn intermediate_size(&self) -> usize {
        let units = 2 * (4 * self.dim) / 3;
        let units = match self.ffn_dim_multiplier {
            Some(multiplier) => (multiplier * units as f64) as usize,
            None => units,
        };
        units.div_ceil(self.multiple_of).saturating_mul(self.multiple_of)
    }

    /// Tokens of the context that the model was trained on, as far as the file betrays its generation: LLaMA had 2048.
    /// Llama 2 has 4096; its 70B names key and value heads, and its 7B and 13B have the ε that only the 65B of
    /// the first generation had. Code Llama, with its own theta, has 16384.
    pub(super) fn context(&self) -> usize {
        let small_llama_2 = self.norm_eps == 1e-5 && matches!(self.dim, 4096 | 5120);
        match self.rope_theta {
            Some(theta) if theta > 10_000.0 => 16_384,
            _ if self.grouped || self.ffn_dim_multiplier.is_some() || small_llama_2 => 4096,
            _ => 2048,
        }
    }

    /// The content of `config.json` for weights of type `dtype` with `vocab_size` rows of the embedding.
    pub(super) fn config(&self, vocab_size: usize, dtype: Dtype) -> Map<String, Value> {
        let dtype = match dtype {
            Dtype::F32 => "float32",
            Dtype::BF16 => "bfloat16",
            _ => "float16",
        };
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| {
            config.insert(key.to_owned(), value);
        };
        set("architectures", json!(["LlamaForCausalLM"]));
        set("bos_token_id", json!(1));
        set("eos_token_id", json!(2));
        set("hidden_act", json!("silu"));
        set("hidden_size", json!(self.dim));
        set("initializer_range", json!(0.02));
        set("intermediate_size", json!(self.intermediate_size()));
        set("max_position_embeddings", json!(self.context()));
        set("model_type", json!("llama"));
        set("num_attention_heads", json!(self.n_heads));
        set("num_hidden_layers", json!(self.n_layers));
        set("num_key_value_heads", json!(self.n_kv_heads));
        set("rms_norm_eps", json!(self.norm_eps));
        set("rope_theta", json!(self.rope_theta.unwrap_or(10_000.0)));
        set("tie_word_embeddings", json!(false));
        set("torch_dtype", json!(dtype));
        set("use_cache", json!(true));
        set("vocab_size", json!(vocab_size));
        config
    }
}

/// What the `params.json` of these bytes says, as the content of a `config.json` for weights of type `dtype`. `rows` of
/// the embedding count where the file leaves the vocabulary to the tokenizer; `path` names the file in errors.
///
/// # Errors
/// [`WeightsError::Fault`]: `InvalidConfig` for a value that no model has, `Unsupported` for scaled positions.
pub fn config_from_params(
    path: &Path,
    bytes: &[u8],
    rows: usize,
    dtype: Dtype,
) -> Result<Map<String, Value>, WeightsError> {
    let params = MetaParams::parse(path, bytes)?;
    Ok(params.config(params.vocab_size.unwrap_or(rows), dtype))
}

/// The values of the file, with errors that name their key.
struct Fields<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: String, found: impl ToString) -> Box<Fault> {
        let mut found = found.to_string();
        if let Some((cut, _)) = found.char_indices().nth(100) {
            found.truncate(cut);
        }
        Fault::new(self.path, FaultKind::InvalidConfig, expected, found).at(key)
    }

    fn count(&self, key: &str, limit: usize) -> Result<Option<usize>, Box<Fault>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
        match count.filter(|count| (1..=limit).contains(count)) {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(key, format!("a whole number from 1 to {limit}"), value)),
        }
    }

    fn required(&self, key: &str, limit: usize) -> Result<usize, Box<Fault>> {
        let count = self.count(key, limit)?;
        count.ok_or_else(|| self.wrong(key, format!("a whole number from 1 to {limit}"), "nothing"))
    }

    fn number(&self, key: &str, least: f64, most: f64) -> Result<Option<f64>, Box<Fault>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(key, format!("a number from {least:e} to {most:e}"), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<MetaParams, Box<Fault>> {
        MetaParams::parse(Path::new("params.json"), text.as_bytes())
    }

    fn released(dim: usize, heads: usize, layers: usize, rest: &str) -> MetaParams {
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
            assert_eq!((params.intermediate_size(), params.context()), (units, 2048), "{dim}");
        }
        let params = released(8192, 64, 80, r#""multiple_of": 256, "norm_eps": 1e-05"#);
        assert_eq!((params.intermediate_size(), params.context()), (22016, 2048));
        let params = released(4096, 32, 32, r#""multiple_of": 256, "norm_eps": 1e-05"#);
        assert_eq!(params.context(), 4096);
        let rest = r#""multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_kv_heads": 8, "norm_eps": 1e-05"#;
        let params = released(8192, 64, 80, rest);
        assert_eq!((params.intermediate_size(), params.context(), params.n_kv_heads), (28672, 4096, 8));
        let code = released(4096, 32, 32, r#""norm_eps": 1e-05, "rope_theta": 1000000"#);
        assert_eq!((code.intermediate_size(), code.context()), (11008, 16_384));
    }

    #[test]
    fn config_json_says_the_same() {
        let rest = r#""multiple_of": 4, "norm_eps": 1e-05, "n_kv_heads": 4"#;
        let config = released(64, 8, 5, rest).config(512, Dtype::BF16);
        insta::assert_snapshot!(serde_json::to_string(&config).unwrap());
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
            let fault = parse(&good.replace(from, to)).unwrap_err();
            assert_eq!(fault.kind, FaultKind::InvalidConfig, "{to}");
            assert!(fault.to_string().contains(key), "{to}: {fault}");
        }
        let scaled = good.replace("}", r#", "use_scaled_rope": true}"#);
        assert_eq!(parse(&scaled).unwrap_err().kind, FaultKind::Unsupported);
    }
}
