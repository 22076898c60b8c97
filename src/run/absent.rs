//! A model that is not on this machine as it would be run: what its card and its small files tell.

use std::path::PathBuf;

use super::RunError;
use super::error::During;
use super::need::Need;
use super::options::Computing;
use super::subject::{budget, matmul};
use crate::config::ModelConfig;
use crate::engine::{Limits, Placement};
use crate::kernels::MatMul;
use crate::model::{Footprint, ModelError, Residence};
use crate::registry::Card;
use crate::weights::{Dtype, TensorInfo};

/// A model that is not here, or of which parts are missing.
#[derive(Debug, Clone)]
pub struct AbsentModel {
    /// What the user calls it.
    pub asked: String,
    /// Its card.
    pub card: Card,
    /// What is missing.
    pub needs: Vec<Need>,
    /// Shape and constants, from its configuration or else from the architecture of its card.
    pub config: Option<ModelConfig>,
    /// A folder with the files of its tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// The type of its weights, or one of that size.
    pub stored: Dtype,
    /// Whether its weights have to be computed from parts.
    pub is_built: bool,
}

impl AbsentModel {
    /// Bytes of what is built of its parts.
    pub fn built_bytes(&self) -> Option<u64> {
        let config = self.config.as_ref().filter(|_| self.is_built)?;
        let weights = usize::try_from(config.parameters()).ok()?;
        Some(self.stored.bytes_for(weights)? as u64)
    }

    /// What it takes in memory, as it would be stored, with products of a kind.
    pub fn footprint(&self, matmul: &dyn MatMul) -> Option<Result<Footprint, ModelError>> {
        self.config.as_ref().map(|config| footprint(config, self.stored, matmul))
    }

    /// Refuses a model that could not be run in the memory that it may have.
    ///
    /// # Errors
    /// As [`Placement::decide`].
    pub fn check_memory(&self, computing: &Computing) -> Result<(), RunError> {
        let Some(footprint) = self.footprint(matmul(computing)?.as_ref()) else { return Ok(()) };
        let decided =
            Placement::decide(&footprint?, budget(computing), computing.batch_tokens, computing.layers);
        decided.map(|_| ()).during(|| format!("{} would not run here, and nothing was fetched", self.card.id))
    }

    /// How to name parts that lie elsewhere, for a model that has to be built.
    pub fn advice(&self) -> Option<String> {
        let flags: Vec<String> = self.needs.iter().map(|need| format!("--from {}=PATH", need.name)).collect();
        let (is_built, id) = (self.is_built && !flags.is_empty(), &self.card.id);
        is_built
            .then(|| format!("{id} has to be built; parts that lie elsewhere are named: {}", flags.join(" ")))
    }

    /// Why nobody can say what it would be asked.
    pub fn why_not_asked(&self) -> String {
        let missing = match (&self.config, &self.tokenizer) {
            (None, _) => "its shape",
            _ => "its tokenizer",
        };
        format!("{missing} is not known before its files are here")
    }
}

/// What a network of this shape takes, stored in `dtype`.
pub fn footprint(config: &ModelConfig, dtype: Dtype, matmul: &dyn MatMul) -> Result<Footprint, ModelError> {
    Footprint::new(&tensors(config, dtype), config, matmul)
}

/// All tensors. Vectors, and matrices whose rows are no whole blocks, are stored as such files store them.
fn tensors(config: &ModelConfig, dtype: Dtype) -> Vec<TensorInfo> {
    let stored = |shape: &[usize]| match shape {
        [_, columns] if columns % dtype.block_size() == 0 => dtype,
        [_, _] => Dtype::F16,
        _ => Dtype::F32,
    };
    let info = |(name, shape): (String, Vec<usize>)| TensorInfo { name, dtype: stored(&shape), shape };
    config.shape().tensors().map(info).collect()
}

/// Bytes for each parameter up to which a GGUF file counts as one of 4 and of 8 bits.
const FOUR_BITS: f64 = 0.75;
const EIGHT_BITS: f64 = 1.25;

/// The type of most weights of a GGUF file of so many bytes, or one of about that size.
pub fn stored_in_gguf(bytes: u64, config: &ModelConfig) -> Dtype {
    match bytes as f64 / config.parameters().max(1) as f64 {
        each if each <= FOUR_BITS => Dtype::Q4_0,
        each if each <= EIGHT_BITS => Dtype::Q8_0,
        _ => Dtype::F16,
    }
}

/// A form of the weights, and the memory that a run in it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormMemory {
    /// `f16`, `q8_0`, `streamed f16`.
    pub form: &'static str,
    /// The weights.
    pub weights: u64,
    /// Everything, with waves of the default size; of a streamed model with the smallest ones.
    pub total: u64,
}

/// What a network of this shape takes in memory in the forms that there are, and read from the disk layer by layer.
///
/// # Errors
/// Sizes that add up to more bytes than can be counted.
pub fn memory_of_forms(config: &ModelConfig, matmul: &dyn MatMul) -> Result<Vec<FormMemory>, RunError> {
    let forms = [
        ("f16", Dtype::F16, Residence::Memory, None),
        ("q8_0", Dtype::Q8_0, Residence::Memory, None),
        ("streamed f16", Dtype::F16, Residence::Disk, Some(SMALLEST_WAVE)),
    ];
    let of = |(form, dtype, residence, wave): (_, _, _, Option<usize>)| {
        let placed = Placement::decide(&footprint(config, dtype, matmul)?, u64::MAX, wave, Some(residence))?;
        Ok(FormMemory { form, weights: placed.weights, total: placed.total })
    };
    forms.into_iter().map(of).collect()
}

/// Tokens of a wave with which a streamed model just about works.
const SMALLEST_WAVE: usize = 512;

/// Where a network would be, and how it would be laid out in waves; too large a one as if the memory sufficed.
pub fn placed(
    config: &ModelConfig,
    footprint: &Footprint,
    computing: &Computing,
) -> Result<(Placement, Limits), RunError> {
    let decide = |memory| Placement::decide(footprint, memory, computing.batch_tokens, computing.layers);
    let placement = decide(budget(computing))
        .or_else(|_| Placement::decide(footprint, u64::MAX, Some(SMALLEST_WAVE), Some(Residence::Disk)))?;
    Ok((placement, Limits::new(config, computing.max_length, placement.wave_tokens)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LlamaConfig;
    use crate::config::tests::bloom_7b;
    use crate::kernels;

    const GIB: u64 = 1 << 30;

    /// LLaMA-13B: 40 layers of 317 million weights, and two ends of 164 million.
    fn thirteen() -> ModelConfig {
        let config = LlamaConfig {
            vocab_size: 32_000,
            hidden_size: 5120,
            intermediate_size: 13_824,
            num_hidden_layers: 40,
            num_attention_heads: 40,
            num_key_value_heads: 40,
            head_dim: 128,
            tie_word_embeddings: false,
            ..LlamaConfig::SMOLLM2_135M
        };
        config.into()
    }

    #[test]
    fn thirteen_billion_parameters_take_two_bytes_each_or_one_or_two_layers() {
        let forms = memory_of_forms(&thirteen(), kernels::default().as_ref()).unwrap();
        let [half, eight, streamed] = forms.try_into().unwrap();
        assert_eq!(thirteen().parameters(), 13_015_864_320);
        // Norms are f32.
        let ends = 2 * 2 * 32_000 * 5120;
        assert!(half.weights.abs_diff(2 * 13_015_864_320) < 4 << 20, "{half:?}");
        let per_weight = eight.weights as f64 / 13_015_864_320.0;
        assert!((per_weight - 34.0 / 32.0).abs() < 0.001, "{per_weight}");
        assert!(streamed.weights.abs_diff(ends + 2 * 634_000_000 + ends / 2) < 4 << 20, "{streamed:?}");
        assert!(half.total > half.weights && half.total < half.weights + 2 * GIB, "{half:?}");
        assert!(streamed.total < 3 * GIB, "{streamed:?}");
    }

    #[test]
    fn quantised_files_are_told_by_their_size() {
        let config = ModelConfig::from(LlamaConfig::SMOLLM2_135M);
        let parameters = config.parameters();
        assert_eq!(stored_in_gguf(98_362_432, &config), Dtype::Q4_0);
        assert_eq!(stored_in_gguf(parameters * 34 / 32, &config), Dtype::Q8_0);
        assert_eq!(stored_in_gguf(parameters * 2, &config), Dtype::F16);
    }

    #[test]
    fn every_kind_of_network_has_forms() {
        for config in [ModelConfig::from(bloom_7b()), LlamaConfig::SMOLLM2_135M.into()] {
            let forms = memory_of_forms(&config, kernels::default().as_ref()).unwrap();
            assert!(forms[1].weights < forms[0].weights && forms[2].total < forms[0].total, "{forms:?}");
        }
    }
}
