//! Metadata of a GGUF file of architecture `llama` → [`LlamaConfig`].
//!
//! What the metadata have no word for comes from the tensors: the rows of the embedding, whether there is an
//! output matrix, which projections have biases, and LLaMA 3.1's rotary rule, which is a tensor of factors.
//! Source: the key names of llama.cpp's `gguf-py` constants; defaults of `llama-model.cpp`.

use super::{ConfigError, LlamaConfig, RopeScaling};
use crate::base::fault::{Refusal, quoted, shown};
use crate::weights::TensorInfo;
use crate::weights::gguf::{Metadata, Value};
use crate::weights::place_of;

/// What the keys of the architecture begin with.
const PREFIX: &str = "llama.";
/// The keys of the architecture that are honoured, and those that change no number of a file of this architecture: the size of
/// the vocabulary, which is the embedding's, and what is said of the training.
const HONOURED: [&str; 20] = [
    "embedding_length",
    "feed_forward_length",
    "block_count",
    "context_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    // Of a layer norm and of group norms, which this architecture has not.
    "attention.layer_norm_epsilon",
    "attention.group_norm_epsilon",
    "attention.group_norm_groups",
];
/// Values that say what is done anyway, by the key. Every other key is neutral where it is zero, false or empty: llama.cpp takes
/// that for "not there".
const NEUTRAL: [(&str, Value); 6] = [
    ("attention.causal", Value::Bool(true)),
    ("rope.scaling.attn_factor", Value::Float(1.0)),
    ("logit_scale", Value::Float(1.0)),
    ("residual_scale", Value::Float(1.0)),
    ("embedding_scale", Value::Float(1.0)),
    ("expert_weights_scale", Value::Float(1.0)),
];
/// The one order of rows that files of this architecture have, and the key that may say it.
const LAYOUT: (&str, &str) = ("tensor_data_layout", "Meta AI original pth");
/// What to do about a model that a GGUF file cannot say in full.
const ELSEWHERE: &str = "use the safetensors form of this model";

/// Reads and checks the configuration. `tensors` are those of the file under Hugging Face's names, sorted;
/// `rope_factors` the explicit divisors of the rotary frequencies, if it has some; `file` names the source in errors.
pub fn read(
    metadata: &Metadata,
    tensors: &[TensorInfo],
    rope_factors: Option<&[f32]>,
    file: &str,
) -> Result<LlamaConfig, ConfigError> {
    let keys = Keys { metadata, tensors, file };
    match metadata.string("general.architecture")? {
        Some("llama") => {}
        other => {
            let found = other.map_or("missing".to_owned(), quoted);
            return Err(keys.unsupported("general.architecture", found, "GGUF files of architecture llama"));
        }
    }
    keys.refuse_unhonoured()?;
    let hidden_size = keys.required("llama.embedding_length")?;
    let num_attention_heads = keys.required("llama.attention.head_count")?;
    let head_dim = keys.head_dim(hidden_size, num_attention_heads)?;
    let eps = "llama.attention.layer_norm_rms_epsilon";
    let rms_norm_eps = metadata.float(eps)?.ok_or_else(|| keys.wrong(eps, "a number", "no such key"))?;
    let rope_theta = metadata.float("llama.rope.freq_base")?.unwrap_or(10_000.0);
    let config = LlamaConfig {
        vocab_size: keys.embedding_rows()?,
        hidden_size,
        intermediate_size: keys.required("llama.feed_forward_length")?,
        num_hidden_layers: keys.required("llama.block_count")?,
        num_attention_heads,
        num_key_value_heads: keys.count("llama.attention.head_count_kv")?.unwrap_or(num_attention_heads),
        head_dim,
        max_position_embeddings: keys.required("llama.context_length")?,
        rms_norm_eps,
        rope_theta,
        rope_scaling: keys.scaling(rope_factors, rope_theta, head_dim)?,
        tie_word_embeddings: keys.tensor("lm_head.weight").is_none(),
        attention_bias: keys.biases("self_attn", &["q_proj", "k_proj", "v_proj", "o_proj"])?,
        mlp_bias: keys.biases("mlp", &["gate_proj", "up_proj", "down_proj"])?,
    };
    config.check(file)?;
    Ok(config)
}

/// Metadata and tensors, with errors that name file and key.
struct Keys<'a> {
    metadata: &'a Metadata,
    tensors: &'a [TensorInfo],
    file: &'a str,
}

impl Keys<'_> {
    fn wrong(&self, field: &str, expected: &str, found: &str) -> ConfigError {
        Refusal::of_field(self.file, field, expected, found).into()
    }

    fn unsupported(&self, field: &str, found: String, supported: &str) -> ConfigError {
        let source_file = self.file.to_owned();
        let field = field.to_owned();
        ConfigError::Unsupported { source_file, field, found, supported: supported.to_owned() }
    }

    /// A key of the architecture that changes the arithmetic and is not followed here (experts, a scale of the logits, a
    /// sliding window …) is no detail: another model would be run under this one's name.
    fn refuse_unhonoured(&self) -> Result<(), ConfigError> {
        let own =
            self.metadata.0.iter().filter_map(|(key, value)| Some((key, key.strip_prefix(PREFIX)?, value)));
        for (key, name, value) in own {
            let is_done_anyway = match value {
                _ if HONOURED.contains(&name) => true,
                Value::String(layout) if name == LAYOUT.0 => layout == LAYOUT.1,
                value => match NEUTRAL.iter().find(|(known, _)| *known == name) {
                    Some((_, done)) => {
                        done == value || (value.is_nothing() && !matches!(value, Value::Bool(_)))
                    }
                    None => value.is_nothing(),
                },
            };
            if !is_done_anyway {
                let supported = format!("GGUF files of dense LLaMA models without this key; {ELSEWHERE}");
                return Err(self.unsupported(&shown(key.as_str()), value.to_string(), &supported));
            }
        }
        Ok(())
    }

    fn count(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let size = |n: u64| usize::try_from(n).map_err(|_| self.wrong(key, "a size", &n.to_string()));
        self.metadata.unsigned(key)?.map(size).transpose()
    }

    fn required(&self, key: &str) -> Result<usize, ConfigError> {
        self.count(key)?.ok_or_else(|| self.wrong(key, "a whole number", "no such key"))
    }

    fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        place_of(self.tensors, name).map(|place| &self.tensors[place])
    }

    fn embedding_rows(&self) -> Result<usize, ConfigError> {
        let rows = self.tensor("model.embed_tokens.weight").and_then(|info| info.shape.first().copied());
        rows.ok_or_else(|| self.wrong("token_embd.weight", "the matrix of this name", "no such tensor"))
    }

    /// The width of a head, which several keys have to agree about.
    fn head_dim(&self, hidden: usize, heads: usize) -> Result<usize, ConfigError> {
        let width = match (self.count("llama.attention.key_length")?, hidden.checked_rem(heads)) {
            (Some(given), _) => given,
            (None, Some(0)) => hidden / heads,
            (None, _) => {
                let expected = format!("a divisor of llama.embedding_length ({hidden})");
                return Err(self.wrong("llama.attention.head_count", &expected, &heads.to_string()));
            }
        };
        for key in ["llama.rope.dimension_count", "llama.attention.value_length"] {
            if let Some(other) = self.count(key)?.filter(|&other| other != width) {
                let expected = format!("the width of a head ({width})");
                return Err(self.wrong(key, &expected, &other.to_string()));
            }
        }
        Ok(width)
    }

    /// Linear scaling from the metadata, or the rule that the factors come from. As in llama.cpp, a factor without a type
    /// is one of linear scaling, and files before October 2023 have only `scale_linear`.
    fn scaling(
        &self,
        factors: Option<&[f32]>,
        theta: f64,
        head_dim: usize,
    ) -> Result<RopeScaling, ConfigError> {
        let key = "llama.rope.scaling.type";
        let factor = match self.metadata.string(key)? {
            Some("none") => None,
            Some("linear") | None => match self.metadata.float("llama.rope.scaling.factor")? {
                None => self.metadata.float("llama.rope.scale_linear")?,
                factor => factor,
            },
            Some(other) => {
                let supported = format!("none and linear in GGUF files; {ELSEWHERE}");
                return Err(self.unsupported(key, quoted(other), &supported));
            }
        };
        let factor = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
        let Some(factors) = factors else {
            return Ok(factor.map_or(RopeScaling::None, |factor| RopeScaling::Linear { factor }));
        };
        let rule = RopeScaling::of_factors(factors, theta, head_dim).filter(|_| factor.is_none());
        rule.ok_or_else(|| {
            let supported = format!("the factors of LLaMA 3.1's rule, without another scaling; {ELSEWHERE}");
            self.unsupported("rope_freqs.weight", format!("{} other factors", factors.len()), &supported)
        })
    }

    /// Whether the projections of `module` have biases: all of them or none, as a configuration can say no more. A layer
    /// without its own is missed when it is loaded.
    fn biases(&self, module: &str, projections: &[&str]) -> Result<bool, ConfigError> {
        let with = |projection: &&&str| {
            let end = format!(".{module}.{projection}.bias");
            self.tensors.iter().any(|info| info.name.ends_with(&end))
        };
        let found: Vec<&str> = projections.iter().filter(with).copied().collect();
        if found.is_empty() || found.len() == projections.len() {
            return Ok(!found.is_empty());
        }
        let supported = format!(
            "biases on all of {} or on none, since the configuration of a LLaMA has one word for all of them (Qwen2's network has \
             them on q, k and v alone, whatever a file calls it); {ELSEWHERE}, if that is a LLaMA",
            projections.join(", ")
        );
        let found = format!("biases on {} alone", found.join(", "));
        Err(self.unsupported(module, found, &supported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Dtype;

    /// Metadata of a small model.
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

    fn with(key: &str, value: Value) -> Metadata {
        let mut m = metadata();
        m.0.insert(key.to_owned(), value);
        m
    }

    /// An embedding of 512 rows and what `more` names.
    fn tensors(more: &[&str]) -> Vec<TensorInfo> {
        let names = more.iter().copied().chain(["model.embed_tokens.weight"]);
        let info = |name: &str| TensorInfo { name: name.into(), dtype: Dtype::F32, shape: vec![512, 64] };
        let mut infos: Vec<TensorInfo> = names.map(info).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos
    }

    fn plain(metadata: &Metadata) -> Result<LlamaConfig, ConfigError> {
        read(metadata, &tensors(&[]), None, "x.gguf")
    }

    #[test]
    fn a_small_model_is_read() {
        let config = plain(&metadata()).unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads, config.vocab_size), (8, 4, 512));
        assert!(config.tie_word_embeddings && !config.attention_bias && !config.mlp_bias);
        assert_eq!(config.rope_scaling, RopeScaling::None);
    }

    #[test]
    fn what_the_tensors_say_is_taken_from_them() {
        let biases = ["q", "k", "v", "o"].map(|p| format!("model.layers.0.self_attn.{p}_proj.bias"));
        let all: Vec<&str> = biases.iter().map(String::as_str).chain(["lm_head.weight"]).collect();
        let config = read(&metadata(), &tensors(&all), None, "x.gguf").unwrap();
        assert!(config.attention_bias && !config.mlp_bias && !config.tie_word_embeddings);
        let error = read(&metadata(), &tensors(&all[..1]), None, "x.gguf").unwrap_err().to_string();
        assert!(
            error.contains("all of q_proj, k_proj, v_proj, o_proj") && error.contains("on q_proj"),
            "{error}"
        );
        let message = read(&metadata(), &[], None, "x.gguf").unwrap_err().to_string();
        assert!(message.contains("token_embd.weight"), "{message}");
    }

    #[test]
    fn linear_scaling_has_an_old_and_a_new_key_and_needs_no_type() {
        let (kind, factor) = ("llama.rope.scaling.type", "llama.rope.scaling.factor");
        let scaling = |m: &Metadata| plain(m).unwrap().rope_scaling;
        let linear = RopeScaling::Linear { factor: 4.0 };
        let mut m = with(factor, Value::Float(4.0));
        assert_eq!(scaling(&m), linear, "as llama.cpp reads a file without a type");
        m.0.insert(kind.into(), Value::String("linear".into()));
        assert_eq!(scaling(&m), linear);
        m.0.insert(kind.into(), Value::String("none".into()));
        assert_eq!(scaling(&m), RopeScaling::None);
        assert_eq!(scaling(&with("llama.rope.scale_linear", Value::Float(4.0))), linear);
        m.0.insert(kind.into(), Value::String("yarn".into()));
        let message = plain(&m).unwrap_err().to_string();
        assert!(message.contains("yarn") && message.contains("x.gguf"), "{message}");
    }

    #[test]
    fn keys_that_would_change_the_arithmetic_are_refused_by_name() {
        use Value::{Bool, Float, Integers, Unsigned};
        let layout = |text: &str| Value::String(text.to_owned());
        for (key, neutral, other) in [
            ("expert_count", Unsigned(0), Unsigned(8)),
            ("expert_used_count", Unsigned(0), Unsigned(2)),
            ("attention.scale", Float(0.0), Float(0.25)),
            ("logit_scale", Float(1.0), Float(0.0625)),
            ("residual_scale", Float(0.0), Float(0.22)),
            ("embedding_scale", Float(1.0), Float(12.0)),
            ("attention.sliding_window", Unsigned(0), Unsigned(4096)),
            ("attention.causal", Bool(true), Bool(false)),
            ("attention.clamp_kqv", Float(0.0), Float(8.0)),
            ("attention.max_alibi_bias", Float(0.0), Float(8.0)),
            ("attn_logit_softcapping", Float(0.0), Float(50.0)),
            ("final_logit_softcapping", Float(0.0), Float(30.0)),
            ("rope.scaling.attn_factor", Float(1.0), Float(1.2)),
            ("use_parallel_residual", Bool(false), Bool(true)),
            ("pooling_type", Unsigned(0), Unsigned(1)),
            ("attention.layer_indices", Integers(vec![]), Integers(vec![1])),
            ("tensor_data_layout", layout("Meta AI original pth"), layout("reference")),
        ] {
            let key = format!("llama.{key}");
            assert_eq!(plain(&with(&key, neutral)).unwrap(), plain(&metadata()).unwrap(), "{key}");
            let error = plain(&with(&key, other)).unwrap_err();
            assert!(error.to_string().contains(&key) && error.to_string().contains("x.gguf"), "{error}");
        }
        assert!(plain(&with("llama.rope.scaling.finetuned", Bool(true))).is_ok());
        assert!(plain(&with("qwen2.attention.scale", Float(0.5))).is_ok(), "a key of another architecture");
    }

    #[test]
    fn explicit_factors_are_the_rule_that_makes_them() {
        let rule = RopeScaling::llama3(32.0);
        let mut m = with("llama.attention.key_length", Value::Unsigned(64));
        m.0.insert("llama.rope.freq_base".into(), Value::Float(5e5));
        let factors = rule.factors(5e5, 64).unwrap();
        assert_eq!(read(&m, &tensors(&[]), Some(&factors), "x").unwrap().rope_scaling, rule);
        let odd: Vec<f32> = (0..32).map(|i| if i % 2 == 0 { 2.0 } else { 1.0 }).collect();
        let error = read(&m, &tensors(&[]), Some(&odd), "x").unwrap_err().to_string();
        assert!(error.contains("rope_freqs.weight") && error.contains("32 other factors"), "{error}");
        m.0.insert("llama.rope.scaling.factor".into(), Value::Float(4.0));
        assert!(read(&m, &tensors(&[]), Some(&factors), "x").is_err(), "two scalings at once");
    }

    #[test]
    fn what_is_missing_of_another_kind_or_contradicts_is_named() {
        for key in ["llama.block_count", "llama.attention.layer_norm_rms_epsilon", "general.architecture"] {
            let mut m = metadata();
            m.0.remove(key);
            let message = plain(&m).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
        for (key, value) in [
            ("llama.block_count", Value::Bool(true)),
            ("llama.attention.head_count", Value::Unsigned(7)),
            ("llama.attention.head_count", Value::Unsigned(0)),
            ("llama.rope.dimension_count", Value::Unsigned(2)),
            ("llama.attention.value_length", Value::Unsigned(2)),
        ] {
            let message = plain(&with(key, value)).unwrap_err().to_string();
            assert!(message.contains(key), "{message}");
        }
    }
}
