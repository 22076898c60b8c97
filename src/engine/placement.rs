//! Placement of a model's blocks and size of its waves: decided from headers before anything is loaded, and kept.

use crate::model::{Footprint, Residence};

/// What a run needs beside weights, waves and a layer's buffers: the program, prompts, answers, buffers of threads. It is
/// set aside whoever plans.
pub(super) const REST: u64 = 192 << 20;
/// Activations of a wave whose model is in memory; larger waves gain nothing.
const RESIDENT_WAVE: u64 = 512 << 20;
/// The smallest default wave in tokens, and the largest for a model in memory and for one that is read for every wave.
const LEAST_TOKENS: u64 = 512;
const RESIDENT_TOKENS: u64 = 16_384;
const STREAMED_TOKENS: u64 = 65_536;

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Where the blocks are.
    pub residence: Residence,
    /// Distinct tokens of a wave, at most.
    pub wave_tokens: usize,
    /// What weights take: all of them, or two blocks, one tensor on its way and the ends.
    pub weights: u64,
    /// Everything together, with waves of that size.
    pub total: u64,
}

/// Too little memory even for one small wave, with every term of what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model needs {} of memory{}: weights {}, a wave of {wave_tokens} tokens {}, buffers of a layer {}, the program, prompts \
     and answers {}; {} may be used; close other programs, raise --memory, or take smaller waves (--batch-tokens) or a \
     smaller model",
    amount(*needed),
    if *residence == Residence::Disk { " even when its layers are read from the disk for every pass" } else { "" },
    amount(*weights),
    amount(*wave),
    amount((*buffers).into()),
    amount(REST.into()),
    amount((*available).into())
)]
pub struct TooLarge {
    /// The least that would do, the sum of the terms.
    pub needed: u128,
    /// What may be used.
    pub available: u64,
    /// Where the layers would be.
    pub residence: Residence,
    /// Bytes of weights.
    pub weights: u128,
    /// Tokens of the smallest wave.
    pub wave_tokens: usize,
    /// Bytes of its activations.
    pub wave: u128,
    /// Bytes of a layer's buffers.
    pub buffers: u64,
}

impl Placement {
    /// Puts the model into memory if it fits into `available` bytes, else leaves its blocks on the disk and takes waves as
    /// large as the rest of the memory allows. `wave_tokens` and `residence` are what the user insists on.
    pub fn decide(
        footprint: &Footprint,
        available: u64,
        wave_tokens: Option<usize>,
        residence: Option<Residence>,
    ) -> Result<Self, TooLarge> {
        let with = |residence| Self::with(footprint, available, wave_tokens, residence);
        match residence {
            Some(residence) => with(residence),
            None => with(Residence::Memory).or_else(|_| with(Residence::Disk)),
        }
    }

    fn with(
        footprint: &Footprint,
        available: u64,
        wave_tokens: Option<usize>,
        residence: Residence,
    ) -> Result<Self, TooLarge> {
        let wide = u128::from;
        let weights = match residence {
            Residence::Memory => wide(footprint.layers),
            Residence::Disk => 2 * wide(footprint.largest_layer) + wide(footprint.largest_tensor),
        };
        let weights = weights + wide(footprint.ends);
        let fixed = weights + wide(footprint.buffers) + wide(REST);
        // Nothing, where what is fixed takes all of it.
        let room = wide(available).saturating_sub(fixed) as u64;
        let wave_tokens = wave_tokens.unwrap_or_else(|| wave_tokens_in(room, footprint.per_token, residence));
        let wave = wide(footprint.per_token) * wave_tokens as u128;
        let total = fixed + wave;
        match (u64::try_from(weights), u64::try_from(total)) {
            (Ok(weights), Ok(total)) if total <= available => {
                Ok(Self { residence, wave_tokens, weights, total })
            }
            _ => {
                let (needed, buffers) = (total, footprint.buffers);
                Err(TooLarge { needed, available, residence, weights, wave_tokens, wave, buffers })
            }
        }
    }
}

/// Distinct tokens of a wave by default, where activations of so many bytes for each may take `room` bytes.
fn wave_tokens_in(room: u64, per_token: u64, residence: Residence) -> usize {
    let tokens = match residence {
        Residence::Memory => (room.min(RESIDENT_WAVE) / per_token).clamp(LEAST_TOKENS, RESIDENT_TOKENS),
        // A tenth stays free: scored rows of the output, answers on their way.
        Residence::Disk => ((room - room / 10) / per_token).clamp(LEAST_TOKENS, STREAMED_TOKENS),
    };
    tokens as usize
}

/// Bytes as people compare them: in MiB up to 10 GiB, so that two amounts that differ look different.
pub fn amount(bytes: u128) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 10_240.0 {
        format!("{mebibytes:.2} MiB")
    } else {
        format!("{:.2} GiB", mebibytes / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use crate::kernels;

    const GIB: u64 = 1 << 30;

    /// LLaMA-13B in bf16.
    fn thirteen() -> Footprint {
        Footprint {
            layers: 25 * GIB,
            stored_layers: 24 * GIB,
            largest_layer: 635 << 20,
            largest_tensor: 142 << 20,
            ends: 656 << 20,
            per_token: 4 * (4 * 5120 + 128),
            keys_and_values_per_token: 4 * 2 * 5120,
            buffers: 4 * 1536 * (5120 + 2 * 13_824),
        }
    }

    #[test]
    fn what_fits_is_in_memory_and_what_does_not_is_read_for_every_wave() {
        let large = Placement::decide(&thirteen(), 40 * GIB, None, None).unwrap();
        assert_eq!(large.residence, Residence::Memory);
        assert!((512..=16_384).contains(&large.wave_tokens) && large.total < 30 * GIB);
        let small = Placement::decide(&thirteen(), 4 * GIB, None, None).unwrap();
        assert_eq!(small.residence, Residence::Disk);
        assert!(small.wave_tokens > 8_000 && small.total <= 4 * GIB, "{small:?}");
    }

    #[test]
    fn waves_grow_with_the_memory_and_what_is_asked_for_is_kept() {
        let tokens = |available| Placement::decide(&thirteen(), available, None, None).map(|p| p.wave_tokens);
        assert!(tokens(3 * GIB).unwrap() < tokens(6 * GIB).unwrap());
        let asked = Placement::decide(&thirteen(), 4 * GIB, Some(700), Some(Residence::Disk)).unwrap();
        assert_eq!(asked.wave_tokens, 700);
        assert!(Placement::decide(&thirteen(), 4 * GIB, Some(700), Some(Residence::Memory)).is_err());
    }

    #[test]
    fn the_default_wave_fits_its_memory() {
        let small = crate::config::LlamaConfig::SMOLLM2_135M;
        let large = crate::config::LlamaConfig {
            hidden_size: 4096,
            intermediate_size: 11008,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            ..small.clone()
        };
        let tokens = |config: ModelConfig| {
            let footprint = Footprint::new(&[], &config, kernels::default().as_ref()).unwrap();
            Placement::decide(&footprint, 64 * GIB, None, None).unwrap().wave_tokens
        };
        assert_eq!(tokens(small.into()), 16_384);
        assert!((7000..9000).contains(&tokens(large.into())));
        assert!((7000..9000).contains(&tokens(crate::config::tests::bloom_7b().into())));
    }

    #[test]
    fn sizes_beyond_a_word_are_refused() {
        let footprint = Footprint { layers: u64::MAX, ends: 1, ..thirteen() };
        assert!(Placement::decide(&footprint, u64::MAX, None, Some(Residence::Memory)).is_err());
        assert!(Placement::decide(&thirteen(), u64::MAX, Some(usize::MAX), None).is_err());
    }

    #[test]
    fn too_little_is_refused_with_the_numbers() {
        let message = Placement::decide(&thirteen(), GIB, None, None).unwrap_err().to_string();
        for words in [
            "1024.00 MiB may be used",
            "--memory",
            "weights 2068.00 MiB",
            "answers 192.00 MiB",
            "from the disk",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
        let TooLarge { needed, weights, wave, buffers, .. } =
            Placement::decide(&thirteen(), GIB, None, None).unwrap_err();
        assert_eq!(needed, weights + wave + u128::from(buffers + REST), "the terms are the sum");
    }

    #[test]
    fn amounts_that_differ_look_different() {
        let shown = [192 << 20, 200_000_000, 1 << 20, 26 << 30].map(amount);
        assert_eq!(shown, ["192.00 MiB", "190.73 MiB", "1.00 MiB", "26.00 GiB"]);
    }
}
