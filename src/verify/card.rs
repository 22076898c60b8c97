//! The configuration against the architecture record of the model's card.
//!
//! Published configurations contradict what models were trained with: an epsilon of early downloads, a context that
//! the converter did not know, a theta that changed under the same name. The registry wins, and every difference is said.

use super::{Check, Finding};
use crate::config::{BloomConfig, LlamaConfig, ModelConfig, RopeScaling};
use crate::registry::{ArchitectureRecord, Card, RopeScalingRecord};

/// Relative difference below which two constants are the same.
const SAME: f64 = 1e-9;
/// What to do where shapes differ.
const OTHER_MODEL: &str = "this is another model: name the right card with --as";

/// One value of both: field, what the card says, what the configuration says, and whether it shapes tensors.
struct Compared {
    field: &'static str,
    card: String,
    config: String,
    shapes: bool,
}

/// Compares; one finding if nothing differs.
pub(super) fn check(
    card: &Card,
    record: &ArchitectureRecord,
    config: &ModelConfig,
    place: &str,
) -> Vec<Finding> {
    let record_type = record.model_type.as_str();
    if record_type != config.model_type() {
        return vec![
            Finding::failure(Check::Card, "shape mismatch", config.model_type())
                .at(format!("{place}: model_type"))
                .expected(format!("{record_type}, as card {} says", card.id))
                .advice(OTHER_MODEL),
        ];
    }
    let compared = match config {
        ModelConfig::Llama(config) => llama(record, config),
        ModelConfig::Bloom(config) => bloom(record, config),
    };
    let number = compared.len();
    let findings: Vec<Finding> = compared
        .into_iter()
        .filter(|c| c.card != c.config)
        .map(|c| {
            let finding = if c.shapes {
                Finding::failure(Check::Card, "shape mismatch", c.config).advice(OTHER_MODEL)
            } else {
                Finding::warning(Check::Card, c.config).advice(
                    "the card's value is the one that the model was trained with: correct the configuration",
                )
            };
            let expected = format!("{}, as card {} says", c.card, card.id);
            finding.at(format!("{place}: {}", c.field)).expected(expected)
        })
        .collect();
    if findings.is_empty() {
        return vec![Finding::ok(Check::Card, format!("{number} values as card {} says", card.id))];
    }
    findings
}

/// A number or a flag that shapes tensors.
fn shaping(field: &'static str, card: impl ToString, config: impl ToString) -> Compared {
    Compared { field, card: card.to_string(), config: config.to_string(), shapes: true }
}

/// A constant that the record may not know.
fn constant(field: &'static str, card: Option<f64>, config: f64) -> Option<Compared> {
    let card = card?;
    // Configurations of GGUF files are stored as f32.
    let same = (card - config).abs() <= SAME * card.abs().max(config.abs())
        || f64::from(card as f32) == f64::from(config as f32);
    let config = if same { card } else { config };
    Some(Compared { field, card: shown(card), config: shown(config), shapes: false })
}

/// 1e-6 as such, 10000 without a point.
fn shown(x: f64) -> String {
    if x != 0.0 && x.abs() < 1e-3 { format!("{x:e}") } else { x.to_string() }
}

fn positions(record: &ArchitectureRecord, config: usize) -> Compared {
    let card = record.max_position_embeddings.unwrap_or(record.max_context);
    Compared { shapes: false, ..shaping("max_position_embeddings", card, config) }
}

fn llama(record: &ArchitectureRecord, config: &LlamaConfig) -> Vec<Compared> {
    let mut all = vec![
        shaping("hidden_size", record.hidden_size, config.hidden_size),
        shaping("intermediate_size", record.intermediate_size, config.intermediate_size),
        shaping("num_hidden_layers", record.num_hidden_layers, config.num_hidden_layers),
        shaping("num_attention_heads", record.num_attention_heads, config.num_attention_heads),
        shaping("num_key_value_heads", record.kv_heads(), config.num_key_value_heads),
        shaping("head_dim", record.head_size(), config.head_dim),
        shaping("vocab_size", record.vocab_size, config.vocab_size),
        shaping("tie_word_embeddings", record.tie_word_embeddings, config.tie_word_embeddings),
        shaping("attention_bias", record.attention_bias, config.attention_bias),
        shaping("mlp_bias", record.mlp_bias, config.mlp_bias),
        positions(record, config.max_position_embeddings),
        Compared {
            field: "rope_scaling",
            card: scaling_of_card(record.rope_scaling.as_ref()),
            config: scaling(config.rope_scaling),
            shapes: false,
        },
    ];
    all.extend(constant("rms_norm_eps", record.rms_norm_eps, config.rms_norm_eps));
    all.extend(constant("rope_theta", record.rope_theta, config.rope_theta));
    all
}

fn bloom(record: &ArchitectureRecord, config: &BloomConfig) -> Vec<Compared> {
    let mut all = vec![
        shaping("hidden_size", record.hidden_size, config.hidden_size),
        shaping("num_hidden_layers", record.num_hidden_layers, config.num_hidden_layers),
        shaping("num_attention_heads", record.num_attention_heads, config.num_attention_heads),
        shaping("vocab_size", record.vocab_size, config.vocab_size),
        shaping("tie_word_embeddings", record.tie_word_embeddings, config.tie_word_embeddings),
        Compared { field: "seq_length", ..positions(record, config.max_position_embeddings) },
    ];
    all.extend(constant("layer_norm_epsilon", record.layer_norm_epsilon, config.layer_norm_epsilon));
    all
}

fn scaling(scaling: RopeScaling) -> String {
    match scaling {
        RopeScaling::None => "none".to_owned(),
        RopeScaling::Linear { factor } => format!("linear by {factor}"),
        RopeScaling::Dynamic { factor } => format!("dynamic by {factor}"),
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => format!(
            "llama3 by {factor} between {low_freq_factor} and {high_freq_factor} turns in {original_max_position_embeddings} tokens"
        ),
    }
}

fn scaling_of_card(record: Option<&RopeScalingRecord>) -> String {
    let Some(record) = record else { return "none".to_owned() };
    let by = format!("{} by {}", record.kind.as_str(), record.factor);
    match (record.low_freq_factor, record.high_freq_factor, record.original_max_position_embeddings) {
        (Some(low), Some(high), Some(original)) => {
            format!("{by} between {low} and {high} turns in {original} tokens")
        }
        _ => by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::verify::Level;

    fn config_of(record: &ArchitectureRecord) -> LlamaConfig {
        let n = |n: u64| usize::try_from(n).unwrap();
        LlamaConfig {
            vocab_size: n(record.vocab_size),
            hidden_size: n(record.hidden_size),
            intermediate_size: n(record.intermediate_size),
            num_hidden_layers: n(record.num_hidden_layers),
            num_attention_heads: n(record.num_attention_heads),
            num_key_value_heads: n(record.kv_heads()),
            head_dim: n(record.head_size()),
            max_position_embeddings: n(record.max_position_embeddings.unwrap_or(record.max_context)),
            rms_norm_eps: record.rms_norm_eps.unwrap(),
            rope_theta: record.rope_theta.unwrap(),
            rope_scaling: RopeScaling::None,
            tie_word_embeddings: record.tie_word_embeddings,
            attention_bias: record.attention_bias,
            mlp_bias: record.mlp_bias,
        }
    }

    #[test]
    fn differences_are_said_one_by_one_and_the_card_wins() {
        let registry = Registry::load(None).unwrap();
        let card = registry.card("llama-2-7b").unwrap();
        let record = registry.architecture_of(card).unwrap();
        let right = config_of(record);
        let levels = |config: LlamaConfig| -> Vec<(Level, String)> {
            let findings = check(card, record, &config.into(), "config.json");
            findings.into_iter().map(|f| (f.level, f.text())).collect()
        };
        assert_eq!(levels(right.clone()), [(Level::Ok, "14 values as card llama-2-7b says".to_owned())]);
        let f32_eps = LlamaConfig { rms_norm_eps: f64::from(1e-5f32), ..right.clone() };
        assert_eq!(levels(f32_eps)[0].0, Level::Ok);

        let early = LlamaConfig { rms_norm_eps: 1e-6, max_position_embeddings: 2048, ..right.clone() };
        let found = levels(early);
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [Level::Warning; 2]);
        assert!(
            found[0]
                .1
                .contains("max_position_embeddings: expected 4096, as card llama-2-7b says, found 2048")
        );
        assert!(
            found[1].1.contains("rms_norm_eps: expected 1e-5") && found[1].1.contains("found 1e-6"),
            "{found:?}"
        );

        let grown = LlamaConfig { vocab_size: 32_001, ..right.clone() };
        let found = levels(grown);
        assert!(found[0].0 == Level::Failure && found[0].1.contains("another model"), "{found:?}");

        let scaled = LlamaConfig { rope_scaling: RopeScaling::Linear { factor: 4.0 }, ..right };
        assert!(levels(scaled)[0].1.contains("expected none, as card llama-2-7b says, found linear by 4"));
    }
}
