//! Shape and constants of a BLOOM model.

use super::ConfigError;
use super::limits::{self, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY, MAX_WIDTH};
use crate::base::fault::Refusal;

/// Shape and constants of a BLOOM model (Scao et al. 2022); names as in [`LlamaConfig`](super::LlamaConfig)
/// where they mean the same.
#[derive(Debug, Clone, PartialEq)]
pub struct BloomConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Heads; queries, keys and values have one each.
    pub num_attention_heads: usize,
    /// Tokens of the training context. Distances have no end, so longer texts can be computed too.
    pub max_position_embeddings: usize,
    /// ε of every LayerNorm.
    pub layer_norm_epsilon: f64,
    /// Whether the residual is taken behind each norm instead of before it; no released model that zoo knows
    /// does so.
    pub residual_after_norm: bool,
    /// Whether the output matrix is the embedding.
    pub tie_word_embeddings: bool,
}

impl BloomConfig {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Width of the inner layer of the MLP.
    pub fn intermediate_size(&self) -> usize {
        4 * self.hidden_size
    }

    /// Checks that the numbers fit together; `source` names the file in errors.
    pub fn check(&self, source: &str) -> Result<(), ConfigError> {
        limits::check(
            source,
            &[
                ("vocab_size", self.vocab_size, MAX_VOCABULARY),
                ("hidden_size", self.hidden_size, MAX_WIDTH / 4),
                ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
                ("num_attention_heads", self.num_attention_heads, MAX_WIDTH),
                ("seq_length", self.max_position_embeddings, MAX_POSITIONS),
            ],
        )?;
        let fail = |field: &str, expected: String, found: String| {
            Err(Refusal::of_field(source, field, expected, found).into())
        };
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return fail(
                "num_attention_heads",
                format!("a divisor of hidden_size ({})", self.hidden_size),
                self.num_attention_heads.to_string(),
            );
        }
        if !(self.layer_norm_epsilon > 0.0 && self.layer_norm_epsilon < 1.0) {
            return fail(
                "layer_norm_epsilon",
                "between 0 and 1".to_owned(),
                self.layer_norm_epsilon.to_string(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn bloom_7b() -> BloomConfig {
        BloomConfig {
            vocab_size: 250_880,
            hidden_size: 4096,
            num_hidden_layers: 30,
            num_attention_heads: 32,
            max_position_embeddings: 2048,
            layer_norm_epsilon: 1e-5,
            residual_after_norm: false,
            tie_word_embeddings: true,
        }
    }

    #[test]
    fn parameters_match_the_published_count() {
        assert_eq!(bloom_7b().shape().parameters(), 7_069_016_064);
        assert_eq!((bloom_7b().head_dim(), bloom_7b().intermediate_size()), (128, 16_384));
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        let good = bloom_7b();
        assert!(good.check("config.json").is_ok());
        for (field, config) in [
            ("num_attention_heads", BloomConfig { num_attention_heads: 31, ..good.clone() }),
            ("num_attention_heads", BloomConfig { num_attention_heads: 0, ..good.clone() }),
            ("num_hidden_layers", BloomConfig { num_hidden_layers: 1 << 40, ..good.clone() }),
            ("layer_norm_epsilon", BloomConfig { layer_norm_epsilon: f64::NAN, ..good.clone() }),
        ] {
            let message = config.check("config.json").unwrap_err().to_string();
            assert!(message.contains(field) && message.contains("config.json"), "{message}");
        }
    }
}
