//! How large the next wave is: by the time that the waves before it took.
//!
//! A wave that is interrupted is lost, and its scores reach the disk at its end, so waves should be short; each wave reads
//! all weights and computes the prefix at its beginning anew, so they should be large. In memory twenty seconds are both:
//! an interruption costs less than half a minute, and what is computed twice is below a hundredth. Layers that are read
//! from the disk for every wave decide otherwise: a wave that computes for less time than the disk needs wastes the rest.
//!
//! Nothing here looks at a clock.

use crate::model::Residence;

/// Tokens of the first wave: enough for a measurement, done in a second or two by most.
const FIRST_TOKENS: usize = 256;
/// The same of a model whose layers are read for it, in which time a processor could compute some hundred tokens.
const FIRST_STREAMED_TOKENS: usize = 1024;
/// What the second wave should take in seconds, and then twice as much each time until the last is reached.
const FIRST_SECONDS: f64 = 2.0;
const SECONDS: f64 = 20.0;
/// A wave is at most so many times as large as the one before it: short waves say little about long ones.
const GROWTH: f64 = 4.0;
/// Waiting for the disk for a smaller part of the time than this cannot be avoided: the first layer is always waited for.
const WAITING: f64 = 0.1;

/// How waves are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// As large as they may be, and always over the same requests: for products whose last bits depend on their shape.
    AsPlanned,
    /// By the time they take, over the requests whose answers are missing.
    ByTime {
        /// Where layers are.
        residence: Residence,
        /// Tokens of a prefix, at most, whose keys and values are kept from one wave to the next.
        kept_tokens: usize,
    },
}

/// What a wave took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Took {
    /// Its tokens.
    pub tokens: usize,
    /// Seconds from its beginning to its scores.
    pub seconds: f64,
    /// Seconds of these that were spent on waiting for layers from the disk.
    pub waited: f64,
}

/// The size of the next wave.
#[derive(Debug, Clone)]
pub struct Pace {
    streamed: bool,
    next: usize,
    goal: f64,
    /// From so many tokens on the disk is as fast as the processor, as far as is known.
    break_even: f64,
}

impl Pace {
    /// Before the first wave.
    pub fn new(residence: Residence) -> Self {
        let streamed = residence == Residence::Disk;
        let next = if streamed { FIRST_STREAMED_TOKENS } else { FIRST_TOKENS };
        Self { streamed, next, goal: FIRST_SECONDS, break_even: 0.0 }
    }

    /// Distinct tokens that the next wave should have; what memory allows may be less.
    pub fn tokens(&self) -> usize {
        self.next
    }

    /// Takes in what a wave took.
    pub fn took(&mut self, Took { tokens, seconds, waited }: Took) {
        assert!(tokens > 0 && seconds >= waited && waited >= 0.0, "a wave has tokens and takes time");
        let tokens = tokens as f64;
        // Clocks have a resolution; nothing takes no time.
        let seconds = seconds.max(1e-6);
        if self.streamed && waited > WAITING * seconds {
            let computed = (seconds - waited).max(1e-3 * seconds);
            self.break_even = self.break_even.max(tokens * seconds / computed);
        }
        let by_time = (tokens / seconds * self.goal).min(tokens.max(self.next as f64) * GROWTH);
        self.next = by_time.max(self.break_even).max(1.0) as usize;
        self.goal = (2.0 * self.goal).min(SECONDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waves of a machine: tokens and seconds of each, until they stay the same.
    fn waves(residence: Residence, most: usize, took: impl Fn(usize) -> (f64, f64)) -> Vec<(usize, f64)> {
        let mut pace = Pace::new(residence);
        let one = |_| {
            let tokens = pace.tokens().min(most);
            let (seconds, waited) = took(tokens);
            pace.took(Took { tokens, seconds, waited });
            (tokens, seconds)
        };
        (0..12).map(one).collect()
    }

    #[test]
    fn waves_in_memory_become_long_and_stay_below_half_a_minute() {
        // A large model on a small machine, and a small one on a large machine.
        for rate in [3.0, 40.0, 700.0, 20_000.0] {
            let all = waves(Residence::Memory, 1 << 30, |tokens| (tokens as f64 / rate, 0.0));
            let first = all[0].1;
            assert!(all[1].1 <= 2.0_f64.max(first * GROWTH), "{all:?}");
            assert!(all[1..].iter().all(|&(_, seconds)| seconds <= 20.5), "{all:?}");
            assert!(all[11].1 > 19.0, "{all:?}");
        }
        // Memory has the last word.
        let bounded = waves(Residence::Memory, 500, |tokens| (tokens as f64 / 700.0, 0.0));
        assert!(bounded.iter().all(|&(tokens, _)| tokens <= 500) && bounded[11].0 == 500);
    }

    #[test]
    fn a_machine_that_becomes_slow_gets_smaller_waves() {
        let mut pace = Pace::new(Residence::Memory);
        for _ in 0..9 {
            let tokens = pace.tokens();
            pace.took(Took { tokens, seconds: tokens as f64 / 100.0, waited: 0.0 });
        }
        let large = pace.tokens();
        pace.took(Took { tokens: large, seconds: large as f64 / 10.0, waited: 0.0 });
        assert!((1900..=2000).contains(&large) && (190..=200).contains(&pace.tokens()));
    }

    #[test]
    fn waves_from_the_disk_compute_as_long_as_the_disk_reads() {
        // 90 s for all layers, and 20 tokens a second: the disk is hidden from 1800 tokens on.
        let disk = 90.0;
        let all = waves(Residence::Disk, 65_536, |tokens| {
            let computing = tokens as f64 / 20.0;
            let waited = (disk - computing).max(0.03 * disk);
            (computing + waited, waited)
        });
        let (tokens, _) = all[11];
        assert!((1600..=2100).contains(&tokens), "{all:?}");
        // A fast disk leaves the size to the clock.
        let fast = waves(Residence::Disk, 65_536, |tokens| (tokens as f64 / 100.0 + 0.02, 0.02));
        assert!((18.0..=20.5).contains(&fast[11].1), "{fast:?}");
        // Less memory than break-even: as large as it may be.
        let small = waves(Residence::Disk, 700, |tokens| (90.0, 90.0 - tokens as f64 / 20.0));
        assert_eq!(small[11].0, 700);
    }
}
