//! Random weights of any shape, made when they are asked for.

use std::borrow::Cow;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::config::Shape;
use crate::weights::place_of;
use crate::weights::{Dtype, TensorInfo, TensorSource, TensorView, WeightsError};

/// Bytes that one seed is for.
const PIECE: usize = 1 << 16;
/// 1 in bf16.
const ONE: u16 = 0x3f80;

/// Random bf16 weights of a network under Hugging Face's names. A tensor has the same values each time.
#[derive(Debug)]
pub struct RandomTensors {
    /// Sorted by name.
    infos: Vec<TensorInfo>,
}

impl RandomTensors {
    /// The tensors that a network of this shape reads.
    pub fn new(shape: &Shape) -> Self {
        let info = |(name, shape)| TensorInfo { name, dtype: Dtype::BF16, shape };
        let mut infos: Vec<TensorInfo> = shape.tensors().map(info).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Self { infos }
    }
}

impl TensorSource for RandomTensors {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let missing =
            || WeightsError::MissingTensor { file: PathBuf::from("random weights"), name: name.to_owned() };
        let index = place_of(&self.infos, name).ok_or_else(missing)?;
        let info = &self.infos[index];
        let data = match info.shape.as_slice() {
            &[_, columns] => values(info.elements(), columns, index as u64),
            // Norms; a bias of one does no harm.
            _ => ONE.to_le_bytes().repeat(info.elements()),
        };
        Ok(TensorView { info, data: Cow::Owned(data) })
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// bf16 numbers of either sign, whose magnitude is about one over the root of `columns`, so that sums over a row stay near 1.
fn values(count: usize, columns: usize, seed: u64) -> Vec<u8> {
    let exponent = (127 - columns.max(1).ilog2() / 2) as u64;
    let exponents = (exponent << 7) * 0x0001_0001_0001_0001;
    let mut bytes = vec![0u8; 2 * count];
    bytes.par_chunks_mut(PIECE).enumerate().for_each(|(piece, bytes)| {
        // Never zero, where xorshift would stay.
        let mut state = (seed << 32 | piece as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for four in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Sign and mantissa are random.
            let numbers = (state & 0x807f_807f_807f_807f) | exponents;
            four.copy_from_slice(&numbers.to_le_bytes()[..four.len()]);
        }
    });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LlamaConfig;

    #[test]
    fn the_tensors_are_those_of_the_shape() {
        let config = LlamaConfig { num_hidden_layers: 2, vocab_size: 64, ..LlamaConfig::SMOLLM2_135M };
        let source = RandomTensors::new(&config.shape());
        let elements: usize = source.tensors().iter().map(TensorInfo::elements).sum();
        assert_eq!(elements as u64, config.shape().parameters());
        assert!(source.tensor("lm_head.weight").is_err());
        let untied =
            LlamaConfig { tie_word_embeddings: false, attention_bias: true, mlp_bias: true, ..config };
        let elements: usize =
            RandomTensors::new(&untied.shape()).tensors().iter().map(TensorInfo::elements).sum();
        assert_eq!(elements as u64, untied.shape().parameters());
    }

    #[test]
    fn values_are_small_and_of_both_signs_and_the_same_again() {
        let config = LlamaConfig { num_hidden_layers: 1, vocab_size: 64, ..LlamaConfig::SMOLLM2_135M };
        let source = RandomTensors::new(&config.shape());
        let values = source.tensor("model.layers.0.mlp.down_proj.weight").unwrap().to_f32().unwrap();
        assert_eq!(values.len(), 576 * 1536);
        assert!(values.iter().all(|value| (1.0 / 64.0..0.125).contains(&value.abs())), "{:?}", &values[..8]);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 1e-3, "{mean}");
        assert_eq!(source.tensor("model.layers.0.mlp.down_proj.weight").unwrap().to_f32().unwrap(), values);
        assert_eq!(source.tensor("model.norm.weight").unwrap().to_f32().unwrap(), vec![1.0; 576]);
    }
}
