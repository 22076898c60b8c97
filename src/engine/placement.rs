//! Where a model's blocks are and how large its waves: decided from headers before anything is loaded, and kept.

use crate::model::{Footprint, Residence};

/// What a run needs beside weights and waves: programs, prompts, answers, buffers of threads.
const REST: u64 = 192 << 20;
/// Activations of a wave whose model is in memory; larger waves gain nothing.
const RESIDENT_WAVE: u64 = 512 << 20;
/// Bounds of the default wave in tokens, for a model in memory and for one that is read for every wave.
const RESIDENT_TOKENS: std::ops::RangeInclusive<u64> = 512..=16_384;
const STREAMED_TOKENS: std::ops::RangeInclusive<u64> = 512..=65_536;

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

/// Too little memory even for one small wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model needs {} of memory even when its layers are read from the disk for every pass, and {} may be used; \
     close other programs, raise --memory, or take smaller waves (--batch-tokens) or a smaller model",
    gibibytes(*needed), gibibytes(*available)
)]
pub struct TooLarge {
    /// The least that would do.
    pub needed: u64,
    /// What may be used.
    pub available: u64,
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
        let resident = Self::with(footprint, available, wave_tokens, Residence::Memory);
        let streamed = Self::with(footprint, available, wave_tokens, Residence::Disk);
        let chosen = match residence {
            Some(Residence::Memory) => resident,
            Some(Residence::Disk) => streamed,
            None if resident.total <= available => resident,
            None => streamed,
        };
        if chosen.total > available {
            return Err(TooLarge { needed: chosen.total, available });
        }
        Ok(chosen)
    }

    fn with(footprint: &Footprint, available: u64, wave_tokens: Option<usize>, residence: Residence) -> Self {
        let weights = match residence {
            Residence::Memory => footprint.layers.saturating_add(footprint.ends),
            Residence::Disk => footprint
                .largest_layer
                .saturating_mul(2)
                .saturating_add(footprint.largest_tensor)
                .saturating_add(footprint.ends),
        };
        let fixed = weights.saturating_add(footprint.buffers).saturating_add(REST);
        let per_token = footprint.per_token.max(1);
        let room = available.saturating_sub(fixed);
        let fitting = match residence {
            Residence::Memory => {
                (room.min(RESIDENT_WAVE) / per_token).clamp(*RESIDENT_TOKENS.start(), *RESIDENT_TOKENS.end())
            }
            // A tenth stays free: scored rows of the output, answers on their way.
            Residence::Disk => (room - room / 10)
                .checked_div(per_token)
                .unwrap_or(0)
                .clamp(*STREAMED_TOKENS.start(), *STREAMED_TOKENS.end()),
        };
        let wave_tokens = wave_tokens.unwrap_or(fitting as usize);
        let total = fixed.saturating_add(per_token.saturating_mul(wave_tokens as u64));
        Self { residence, wave_tokens, weights, total }
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// LLaMA-13B in bf16.
    fn thirteen() -> Footprint {
        Footprint {
            layers: 25 * GIB,
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
    fn too_little_is_refused_with_the_numbers() {
        let message = Placement::decide(&thirteen(), GIB, None, None).unwrap_err().to_string();
        assert!(message.contains("1.0 GiB may be used") && message.contains("--memory"), "{message}");
    }
}
