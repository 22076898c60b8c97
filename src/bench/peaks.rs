//! Peak speeds of the processor and its memory.

use std::hint::black_box;
use std::time::Duration;

use rayon::prelude::*;

use super::Goes;
use crate::base::machine::{Memory, last_cache_bytes};
use crate::base::progress::Progress;
use crate::engine::rates;
use crate::kernels::{Aligned, Isa, Precision, peaks, products_of_tiles};
use crate::weights::Dtype;

/// How long each peak is measured.
const TIME: Duration = Duration::from_millis(300);
/// Rounds of one go: well above what starting it on all threads takes.
const ROUNDS: u64 = 500_000;
/// The buffer that is read is so many times the last cache,
const CACHES: u64 = 4;
/// and within these bounds.
const BUFFER: std::ops::RangeInclusive<u64> = 64 << 20..=1 << 30;

/// How many things are measured at most; each is one step of progress.
pub const MEASUREMENTS: u64 = 6;

/// Operations or bytes a second; the highest of several goes is the peak, since what disturbs only slows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// The instruction set they were measured on.
    pub isa: Isa,
    /// Threads of all peaks but [`one_thread`](Self::one_thread).
    pub threads: usize,
    /// Multiply-adds of f32, two operations each.
    pub multiply_add: Goes,
    /// The same on one thread alone.
    pub one_thread: Goes,
    /// Products of bf16 numbers, added up in f32, where one instruction does it; two operations each.
    pub bf16: Option<Goes>,
    /// Products of tiles of bf16 numbers, where products are made of them; two operations for each product of two numbers.
    pub tiles: Option<Goes>,
    /// Products of small integers, added up; two operations each.
    pub integer: Goes,
    /// Bytes read from memory.
    pub memory: Goes,
}

impl Peaks {
    /// Measures on all threads of the pool, for a little more than a second; at most [`MEASUREMENTS`] steps of progress.
    pub fn measure(progress: &dyn Progress) -> Self {
        let isa = Isa::best();
        let threads = rayon::current_num_threads();
        let everywhere = |kernel: fn(Isa, u64) -> u64| {
            let work = || rayon::broadcast(|_| kernel(isa, ROUNDS)).iter().sum::<u64>() as f64;
            let goes = goes(work);
            progress.advance(1);
            goes
        };
        let multiply_add = everywhere(peaks::multiply_adds);
        let integer = everywhere(peaks::integer_products);
        let has_dot_products = isa.vectors().has_bf16_products();
        let bf16 = has_dot_products.then(|| everywhere(peaks::bf16_products));
        // Tiles in plain Rust have no peak worth knowing.
        let tiles = (isa == Isa::AmxBf16).then(|| everywhere(peaks::tile_products));
        let one_thread = goes(|| peaks::multiply_adds(isa, ROUNDS) as f64);
        progress.advance(1);
        let numbers = buffer();
        let numbers = numbers.as_slice();
        let part = numbers.len().div_ceil(threads).max(1);
        let memory = goes(|| {
            let sum: u64 = numbers.par_chunks(part).map(peaks::sum).reduce(|| 0, u64::wrapping_add);
            black_box(sum);
            size_of_val(numbers) as f64
        });
        progress.advance(1);
        Self { isa, threads, multiply_add, one_thread, bf16, tiles, integer, memory }
    }

    /// The peak that products of a precision with weights of a type can reach, in operations a second.
    ///
    /// Products in bf16 can be made of multiply-adds in f32, so their peak is at least that of f32, whether there is an
    /// instruction for them or not. [Exact products of tiles](products_of_tiles) are several of bf16 numbers each, so their useful
    /// peak is a part of the tiles'.
    pub fn products(&self, precision: Precision, weights: Dtype) -> f64 {
        let bf16 = self.bf16.map_or(0.0, |goes| goes.max);
        let tiles = self.tiles.map_or(0.0, |goes| goes.max);
        match precision {
            Precision::Exact => {
                let of_tiles = products_of_tiles(weights).map_or(0.0, |products| tiles / products as f64);
                self.multiply_add.max.max(of_tiles)
            }
            Precision::Bf16 => bf16.max(tiles).max(self.multiply_add.max),
            Precision::Int8 => self.integer.max,
        }
    }
}

/// Numbers that do not fit into the caches, in memory as weights have it, which every thread has touched.
fn buffer() -> Aligned<u64> {
    let wanted = last_cache_bytes().unwrap_or(0).saturating_mul(CACHES).clamp(*BUFFER.start(), *BUFFER.end());
    let free = Memory::read().map_or(u64::MAX, |memory| memory.available / 4);
    let mut numbers = Aligned::zeros((wanted.min(free) / 8) as usize);
    numbers.as_mut_slice().par_chunks_mut(1 << 16).for_each(|chunk| chunk.fill(1));
    numbers
}

/// What all goes of some work come to.
fn goes(work: impl FnMut() -> f64) -> Goes {
    Goes::new(rates(TIME, work)).expect("one go at least")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Silent;

    #[test]
    fn peaks_are_numbers_above_zero() {
        let peaks = Peaks::measure(&Silent);
        for goes in [peaks.multiply_add, peaks.one_thread, peaks.integer, peaks.memory] {
            assert!(goes.min > 1e3 && goes.max.is_finite(), "{peaks:?}");
            assert!(goes.min <= goes.median && goes.median <= goes.max, "{peaks:?}");
        }
        assert_eq!(peaks.bf16.is_some(), peaks.isa.vectors().has_bf16_products());
        assert_eq!(peaks.tiles.is_some(), peaks.isa == Isa::AmxBf16);
        let goes = |max| Goes { median: max, min: max, max };
        let bf16 = |most: Option<f64>| {
            Peaks { bf16: most.map(goes), tiles: None, ..peaks }.products(Precision::Bf16, Dtype::BF16)
        };
        // A dot product that is slower than multiply-adds is no peak.
        let f32 = peaks.multiply_add.max;
        assert_eq!([bf16(None), bf16(Some(0.5 * f32)), bf16(Some(2.0 * f32))], [f32, f32, 2.0 * f32]);
        assert_eq!(peaks.products(Precision::Int8, Dtype::BF16), peaks.integer.max);
        let tiles = Peaks { tiles: Some(goes(30.0 * f32)), ..peaks };
        let exact = [Dtype::BF16, Dtype::F16, Dtype::F32, Dtype::Q4_0];
        let exact = exact.map(|dtype| (tiles.products(Precision::Exact, dtype) / f32).round());
        assert_eq!(exact, [10.0, 6.0, 5.0, 1.0]);
        assert_eq!(tiles.products(Precision::Bf16, Dtype::F32), 30.0 * f32);
    }
}
