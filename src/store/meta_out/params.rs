//! Meta's `params.json`, from the configuration of Hugging Face.
//!
//! It has no width of the MLP: Meta's code computes one from the model's width, rounds it up to a multiple and may
//! stretch it before. So the rule is searched that gives the width there is, with the numbers that releases use first.
//! Source: `FeedForward` and `ModelArgs` of Meta's `llama` repository (versions 1 and 2) and of `llama-models` (3 and later).

use serde_json::{Map, Value, json};

use crate::base::fault::Refusal;
use crate::config::params::{intermediate_size, scaled_by};
use crate::config::{LlamaConfig, RopeScaling};
use crate::forms::HfModel;

/// Values of `multiple_of` in the order in which they are tried: LLaMA's, those of later releases, smaller ones.
const MULTIPLES: [usize; 13] = [256, 4096, 1024, 2048, 512, 128, 64, 32, 16, 8, 4, 2, 1];
/// The same beside a multiplier: Llama 2's of 70B, Llama 3's, others.
const STRETCHED: [usize; 5] = [4096, 1024, 2048, 512, 256];
/// `ffn_dim_multiplier` of those releases.
const MULTIPLIER: f64 = 1.3;

/// The content of `params.json`. `vocab_size` is −1 where the tokenizer says it.
///
/// # Errors
/// A refusal if the configuration has what Meta's code has no parameter for.
pub(super) fn params(
    model: &HfModel,
    config: &LlamaConfig,
    is_llama_3: bool,
    vocab_from_tokenizer: bool,
) -> Result<Map<String, Value>, Box<Refusal>> {
    let refuse = |key: &str, expected: &str, found: String| {
        let place = format!("{}: {key}", model.config_name);
        Err(Refusal::new(place, expected, found, "write this model as safetensors or GGUF"))
    };
    if config.shape().queries() != config.hidden_size {
        let expected = format!(
            "hidden_size / num_attention_heads ({})",
            config.hidden_size / config.num_attention_heads
        );
        return refuse("head_dim", &expected, config.head_dim.to_string());
    }
    let scaled = RopeScaling::llama3(scaled_by(config.hidden_size, config.num_hidden_layers));
    let is_scaled = config.rope_scaling == scaled && is_llama_3;
    if config.rope_scaling != RopeScaling::None && !is_scaled {
        let expected =
            format!("none, or {scaled} with Llama 3's theta and vocabulary: Meta's code knows no other");
        return refuse("rope_scaling", &expected, config.rope_scaling.to_string());
    }
    let mut params = Map::new();
    let mut set = |key: &str, value: Value| {
        params.insert(key.to_owned(), value);
    };
    let (multiple_of, multiplier) = width_rule(config.hidden_size, config.intermediate_size);
    set("dim", json!(config.hidden_size));
    set("multiple_of", json!(multiple_of));
    if let Some(multiplier) = multiplier {
        set("ffn_dim_multiplier", json!(multiplier));
    }
    set("n_heads", json!(config.num_attention_heads));
    if config.num_key_value_heads != config.num_attention_heads {
        set("n_kv_heads", json!(config.num_key_value_heads));
    }
    set("n_layers", json!(config.num_hidden_layers));
    set("norm_eps", json!(config.rms_norm_eps));
    if config.rope_theta != 10_000.0 {
        set("rope_theta", json!(config.rope_theta));
    }
    if is_scaled {
        set("use_scaled_rope", json!(true));
    }
    // Since Llama 3 it is stated.
    let is_asked = vocab_from_tokenizer && !is_llama_3;
    set("vocab_size", if is_asked { json!(-1) } else { json!(config.vocab_size) });
    Ok(params)
}

/// `multiple_of` and `ffn_dim_multiplier` that give this width: without a multiplier if there are such, else with one
/// of one decimal, else with one that hits it exactly.
fn width_rule(dim: usize, wanted: usize) -> (usize, Option<f64>) {
    let tenths = (1..=60).map(|tenths| f64::from(tenths) / 10.0);
    let multipliers = std::iter::once(MULTIPLIER).chain(tenths).map(Some);
    for multiplier in std::iter::once(None).chain(multipliers) {
        let multiples = if multiplier.is_none() { &MULTIPLES[..] } else { &STRETCHED[..] };
        let fits = |multiple: &&usize| intermediate_size(dim, **multiple, multiplier) == wanted;
        if let Some(&multiple) = multiples.iter().find(fits) {
            return (multiple, multiplier);
        }
    }
    // Half above the integer, so that rounding down finds it again.
    (1, Some((wanted as f64 + 0.5) / (8 * dim / 3) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_widths_have_the_rules_of_their_releases() {
        for (dim, inner, rule) in [
            (4096, 11008, (256, None)),
            (5120, 13824, (256, None)),
            (6656, 17920, (256, None)),
            (8192, 22016, (256, None)),
            (8192, 28672, (4096, Some(1.3))),
            (4096, 14336, (1024, Some(1.3))),
            (64, 172, (4, None)),
        ] {
            assert_eq!(width_rule(dim, inner), rule, "{dim}, {inner}");
            assert_eq!(intermediate_size(dim, rule.0, rule.1), inner);
        }
    }

    #[test]
    fn every_width_has_a_rule() {
        for dim in [2, 6, 64, 576, 4096] {
            for wanted in [1, 7, 40, 1537, 100_003] {
                let (multiple, multiplier) = width_rule(dim, wanted);
                assert_eq!(intermediate_size(dim, multiple, multiplier), wanted, "{dim}, {wanted}");
            }
        }
    }
}
