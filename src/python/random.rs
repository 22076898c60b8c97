//! Python's `random.Random`, bit by bit, so that examples are drawn as the reference harness draws them.
//!
//! The generator is MT19937 (Matsumoto and Nishimura 1998, "Mersenne Twister") with `init_by_array`
//! seeding; how integers, samples and choices are made from it follows CPython 3.11's `random` module.

const N: usize = 624;
const M: usize = 397;

/// A random generator that gives the numbers of Python's `random.Random(seed)`.
#[derive(Clone)]
pub struct PyRandom {
    state: [u32; N],
    next: usize,
}

impl std::fmt::Debug for PyRandom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PyRandom").field("next", &self.next).finish_non_exhaustive()
    }
}

impl PyRandom {
    /// `random.Random(seed)` for a seed that is not negative.
    pub fn new(seed: u64) -> Self {
        let low = seed as u32; // the low word, on purpose
        let high = (seed >> 32) as u32;
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        let mut random = Self { state: [0; N], next: N };
        random.seed_word(19_650_218);
        random.seed_array(key);
        random
    }

    fn seed_word(&mut self, seed: u32) {
        let mut last = seed;
        for (i, word) in self.state.iter_mut().enumerate() {
            if i > 0 {
                last = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
            }
            *word = last;
        }
    }

    fn seed_array(&mut self, key: &[u32]) {
        let state = &mut self.state;
        let mix = |word: u32, last: u32, factor: u32| word ^ (last ^ (last >> 30)).wrapping_mul(factor);
        let mut i = 1;
        let step = |state: &mut [u32; N], i: &mut usize| {
            *i += 1;
            if *i >= N {
                state[0] = state[N - 1];
                *i = 1;
            }
        };
        for (j, word) in key.iter().enumerate().cycle().take(N.max(key.len())) {
            state[i] = mix(state[i], state[i - 1], 1_664_525).wrapping_add(*word).wrapping_add(j as u32);
            step(state, &mut i);
        }
        for _ in 0..N - 1 {
            state[i] = mix(state[i], state[i - 1], 1_566_083_941).wrapping_sub(i as u32);
            step(state, &mut i);
        }
        state[0] = 0x8000_0000;
        self.next = N;
    }

    fn refill(&mut self) {
        let state = &mut self.state;
        for i in 0..N {
            let y = (state[i] & 0x8000_0000) | (state[(i + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            state[i] = state[(i + M) % N] ^ (y >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// The next 32 bits, as `random.getrandbits(32)` gives them.
    pub fn next_u32(&mut self) -> u32 {
        if self.next >= N {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// `getrandbits(k)` for `k` up to 64; 0 for no bits.
    pub fn getrandbits(&mut self, k: u32) -> u64 {
        match k {
            0 => 0,
            1..=32 => u64::from(self.next_u32() >> (32 - k)),
            _ => {
                let low = u64::from(self.next_u32());
                low | (u64::from(self.next_u32() >> (64 - k.min(64))) << 32)
            }
        }
    }

    /// A number in `0..n`, all alike likely; 0 for an empty range.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let bits = u64::BITS - n.leading_zeros();
        loop {
            let drawn = self.getrandbits(bits);
            if drawn < n {
                // Below a `usize`, so nothing is lost.
                return drawn as usize;
            }
        }
    }

    /// `random()`: a number in `0..1` with 53 random bits.
    pub fn random(&mut self) -> f64 {
        let a = f64::from(self.next_u32() >> 5);
        let b = f64::from(self.next_u32() >> 6);
        (a * 67_108_864.0 + b) / 9_007_199_254_740_992.0
    }

    /// The positions that `sample(population, k)` takes from a population of `n`; none if `k > n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        // A list is copied for small populations, a set of positions kept for large ones.
        let mut set_size = 21usize;
        if k > 5 {
            let mut power = 1usize;
            // A population that fits memory is far from the end of the numbers.
            while power < k * 3 {
                power *= 4;
            }
            set_size += power;
        }
        let mut taken = Vec::with_capacity(k);
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            for _ in 0..k {
                taken.push(pool.swap_remove(self.below(pool.len())));
            }
        } else {
            let mut chosen = std::collections::HashSet::with_capacity(k);
            for _ in 0..k {
                let mut at = self.below(n);
                while !chosen.insert(at) {
                    at = self.below(n);
                }
                taken.push(at);
            }
        }
        Some(taken)
    }

    /// The positions that `choices(population, k=k)` takes from a population of `n`, with repetition.
    pub fn choices(&mut self, n: usize, k: usize) -> Vec<usize> {
        (0..k).map(|_| (self.random() * n as f64) as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with CPython 3.11.
    #[test]
    fn first_words_and_floats() {
        let mut random = PyRandom::new(0);
        assert_eq!(random.getrandbits(32), 3_626_764_237);
        assert_eq!(random.getrandbits(32), 1_654_615_998);
        let mut random = PyRandom::new(42);
        assert_eq!(random.random(), 0.6394267984578837);
        assert_eq!(random.random(), 0.025010755222666936);
    }

    #[test]
    fn samples_of_a_large_population() {
        let mut random = PyRandom::new(1234);
        let draws: Vec<Vec<usize>> = (0..3).map(|_| random.sample(7473, 5).unwrap()).collect();
        let wanted =
            [[6374, 3610, 957, 61, 742], [7462, 6610, 4769, 286, 5501], [5677, 687, 806, 6279, 2905]];
        assert_eq!(draws, wanted);
    }

    #[test]
    fn choices_repeat() {
        assert_eq!(PyRandom::new(0).choices(10, 10), [8, 7, 4, 2, 5, 4, 7, 3, 4, 5]);
    }

    #[test]
    fn samples_of_a_small_population_and_of_too_many() {
        assert_eq!(PyRandom::new(1234).sample(5, 5).unwrap(), [3, 0, 4, 2, 1]);
        assert_eq!(PyRandom::new(1234).sample(100, 6).unwrap(), [99, 56, 14, 0, 11, 74]);
        assert_eq!(PyRandom::new(0).sample(21, 3).unwrap(), [12, 13, 1]);
        assert_eq!(
            PyRandom::new(1099511627781).sample(50, 10).unwrap(),
            [32, 33, 17, 42, 1, 48, 2, 10, 5, 8]
        );
        assert_eq!(PyRandom::new(3).getrandbits(50), 667254256254973);
        assert_eq!(PyRandom::new(1).sample(3, 4), None);
        assert_eq!(PyRandom::new(1).sample(0, 0), Some(vec![]));
    }

    #[test]
    fn every_sample_is_without_repetition() {
        for (n, k) in [(1, 1), (21, 21), (85, 10), (86, 10), (300, 30)] {
            let mut taken = PyRandom::new(7).sample(n, k).unwrap();
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken.len(), k);
            assert!(taken.iter().all(|at| *at < n));
        }
    }
}
