//! Small changes of inputs, in an order that depends on a name alone.

/// Longest input.
pub const MAX_LENGTH: usize = 16_384;
/// Most changes of one input.
const MAX_CHANGES: u64 = 4;

/// Numbers at which readers go wrong: ends of ranges, powers of two.
const NUMBERS: [u64; 12] =
    [0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 40, i64::MAX as u64, u64::MAX];

/// The same for text.
const WORDS: [&str; 16] = [
    "0",
    "-1",
    "1e999",
    "0.5",
    "4294967296",
    "18446744073709551615",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"\\u0000\"",
    "[",
    "}",
    "\\",
    "é",
];

/// A source of changed inputs.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// One that depends on `name`.
    pub fn new(name: &str) -> Self {
        // FNV-1a, so that each reader has other changes.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Mutator { state: name.bytes().fold(0xcbf2_9ce4_8422_2325, hash) }
    }

    /// Marsaglia's xorshift with 64 bits.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below `limit`; 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// One of the seeds with one to a few changes.
    pub fn input(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].to_vec();
        for _ in 0..=self.next() % MAX_CHANGES {
            self.change(&mut input, seeds);
        }
        input.truncate(MAX_LENGTH);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[&[u8]]) {
        let at = self.below(input.len());
        let length = 1 + self.below(16);
        let end = (at + length).min(input.len());
        match self.next() % 9 {
            0 => {
                let bit = self.next() % 8;
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            1 => {
                let new = self.next() as u8;
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte = new);
            }
            2 => {
                let number = NUMBERS[self.below(NUMBERS.len())].to_le_bytes();
                let width = 1 << (self.next() % 4);
                input.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
            }
            3 => {
                let step = self.next() % 3;
                input
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte = byte.wrapping_add(step as u8).wrapping_sub(1));
            }
            4 => drop(input.drain(at..end)),
            5 => {
                let part = input[at..end].to_vec();
                let to = self.below(input.len());
                input.splice(to..to, part);
            }
            6 => {
                let word = WORDS[self.below(WORDS.len())];
                let digits = input[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                input.splice(at..at + digits, word.bytes());
            }
            7 => {
                let other = seeds[self.below(seeds.len())];
                let from = self.below(other.len());
                let part = &other[from..(from + 4 * length).min(other.len())];
                input.splice(at..end, part.iter().copied());
            }
            _ => {
                let count = self.below(64);
                let byte = input.get(at).copied().unwrap_or(0);
                input.splice(at..at, std::iter::repeat_n(byte, count));
            }
        }
    }
}
