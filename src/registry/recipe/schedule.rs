//! The learning rate at any step: linear warm-up from zero, perhaps some time at the peak, then a cosine, a line or a constant.
//!
//! The rule is the one of the LLaMA papers (cosine to a fraction of the peak, 2000 warm-up steps) and,
//! with a final fraction of zero, that of the `get_cosine_schedule_with_warmup` and
//! `get_linear_schedule_with_warmup` functions that the fine-tuned members used.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The shape of the curve after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Half a cosine wave from the peak to the final rate.
    Cosine,
    /// A straight line from the peak to the final rate.
    Linear,
    /// The peak until the end.
    Constant,
}

/// A learning-rate curve with all its numbers known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Schedule {
    /// The learning rate at the end of the warm-up.
    pub peak: f64,
    /// What follows the warm-up.
    pub decay: Decay,
    /// Steps from a rate of zero to the peak.
    pub warmup_steps: u64,
    /// Steps at the peak between the warm-up and what follows.
    pub hold_steps: u64,
    /// Steps of the whole training, warm-up included.
    pub total_steps: u64,
    /// The last rate as a fraction of the peak.
    pub final_fraction: f64,
}

impl Schedule {
    /// The learning rate of the update number `step`, counted from 0; after the last step the final rate.
    ///
    /// During the warm-up it is `peak * step / warmup_steps`. A warm-up as long as the training leaves no
    /// room for a decay: the peak is then reached at the last step.
    pub fn lr(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step as f64 / self.warmup_steps as f64);
        }
        let last = self.peak * self.final_fraction;
        let start = self.warmup_steps.saturating_add(self.hold_steps);
        if self.decay == Decay::Constant || self.total_steps <= self.warmup_steps || step < start {
            return self.peak;
        }
        if step >= self.total_steps {
            return last;
        }
        let progress = (step - start) as f64 / (self.total_steps - start) as f64;
        let height = match self.decay {
            Decay::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            Decay::Linear => 1.0 - progress,
            Decay::Constant => 1.0,
        };
        // Weighted this way, both ends come out exactly.
        self.peak * height + last * (1.0 - height)
    }

    /// `points` steps from 0 to the last one, evenly spread and without repetition; both ends are in it.
    pub fn steps(&self, points: usize) -> Vec<u64> {
        let gaps = points.max(2) as u128 - 1;
        let step = |i| (i * u128::from(self.total_steps) + gaps / 2) / gaps;
        let mut steps: Vec<u64> =
            (0..=gaps).map(|i| u64::try_from(step(i)).expect("no step is beyond the last")).collect();
        steps.dedup();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative error allowed where the expected value was worked out by hand.
    const CLOSE: f64 = 1e-14;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= CLOSE * expected.abs(), "found {found:e}, expected {expected:e}");
    }

    /// LLaMA 2 7B: 2·10^12 tokens in batches of 4·10^6 are 500 000 steps.
    const LLAMA_2_7B: Schedule = Schedule {
        peak: 3e-4,
        decay: Decay::Cosine,
        warmup_steps: 2000,
        hold_steps: 0,
        total_steps: 500_000,
        final_fraction: 0.1,
    };

    #[test]
    fn the_llama_2_schedule_is_exact() {
        assert_eq!(LLAMA_2_7B.lr(0), 0.0);
        close(LLAMA_2_7B.lr(1), 1.5e-7);
        close(LLAMA_2_7B.lr(1000), 1.5e-4);
        close(LLAMA_2_7B.lr(2000), 3e-4);
        // Half-way: the mean of the peak and a tenth of it.
        close(LLAMA_2_7B.lr(251_000), 1.65e-4);
        // A third and two thirds of the way the cosine is at 1/2 and -1/2.
        close(LLAMA_2_7B.lr(168_000), 3e-5 + 2.7e-4 * 0.75);
        close(LLAMA_2_7B.lr(334_000), 3e-5 + 2.7e-4 * 0.25);
        close(LLAMA_2_7B.lr(500_000), 3e-5);
        close(LLAMA_2_7B.lr(u64::MAX), 3e-5);
    }

    #[test]
    fn the_warm_up_rises_and_the_rest_falls() {
        let rates: Vec<f64> = LLAMA_2_7B.steps(1001).into_iter().map(|step| LLAMA_2_7B.lr(step)).collect();
        let top = rates.iter().copied().fold(0.0, f64::max);
        let at = rates.iter().position(|&rate| rate == top).unwrap();
        assert!(rates[..=at].is_sorted() && rates[at..].is_sorted_by(|a, b| a >= b));
        close(top, 3e-4);
    }

    #[test]
    fn a_line_ends_at_its_final_rate_and_a_constant_stays() {
        // BELLE on BLOOMZ: 3e-6, a tenth of the steps warm-up, linear to zero.
        let line = Schedule {
            peak: 3e-6,
            decay: Decay::Linear,
            warmup_steps: 100,
            hold_steps: 0,
            total_steps: 1000,
            final_fraction: 0.0,
        };
        close(line.lr(50), 1.5e-6);
        close(line.lr(100), 3e-6);
        close(line.lr(550), 1.5e-6);
        assert_eq!(line.lr(1000), 0.0);
        let flat = Schedule { decay: Decay::Constant, ..line };
        assert_eq!((flat.lr(100), flat.lr(1000), flat.lr(5000)), (3e-6, 3e-6, 3e-6));
        let held = Schedule { hold_steps: 700, ..line };
        assert_eq!((held.lr(100), held.lr(500), held.lr(800), held.lr(1000)), (3e-6, 3e-6, 3e-6, 0.0));
        close(held.lr(900), 1.5e-6);
    }

    #[test]
    fn degenerate_lengths_give_no_nan() {
        for (warmup_steps, total_steps) in [(0, 0), (0, 1), (10, 10), (10, 5)] {
            for decay in [Decay::Cosine, Decay::Linear, Decay::Constant] {
                let short = Schedule {
                    peak: 1.0,
                    decay,
                    warmup_steps,
                    hold_steps: 3,
                    total_steps,
                    final_fraction: 0.0,
                };
                for step in [0, 1, 5, 10, 11] {
                    assert!((0.0..=1.0).contains(&short.lr(step)), "{short:?} at {step}");
                }
            }
        }
        let none = Schedule { warmup_steps: 0, ..LLAMA_2_7B };
        assert_eq!(none.lr(0), 3e-4);
    }

    #[test]
    fn steps_hold_both_ends() {
        assert_eq!(LLAMA_2_7B.steps(6), [0, 100_000, 200_000, 300_000, 400_000, 500_000]);
        assert_eq!(LLAMA_2_7B.steps(0), [0, 500_000]);
        let short = Schedule { total_steps: 2, ..LLAMA_2_7B };
        assert_eq!(short.steps(100), [0, 1, 2]);
        let long = Schedule { total_steps: u64::MAX, ..LLAMA_2_7B };
        assert_eq!(long.steps(3).last(), Some(&u64::MAX));
    }
}
