//! Memory that begins at a cache line.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use super::pages::{PagePool, Pages};

/// A cache line of numbers: what vectors are made of begins at a multiple of its size.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct CacheLine([f32; 16]);

// SAFETY: sixteen f32 without padding; any bits are numbers, and all zero is one of them.
unsafe impl bytemuck::Zeroable for CacheLine {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for CacheLine {}

/// Numbers in memory that begins at a cache line; in large pages if they are many.
pub struct Aligned<T> {
    lines: Lines,
    length: usize,
    of: PhantomData<T>,
}

/// Where the numbers are.
enum Lines {
    Heap(Vec<CacheLine>),
    Pages(Pages),
}

/// From so many bytes on, numbers are in large pages.
const LARGE: usize = 256 << 10;

/// Where weights are.
static WEIGHTS: PagePool = PagePool::new();

impl<T> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned({} numbers)", self.length)
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Self { lines: Lines::Heap(Vec::new()), length: 0, of: PhantomData }
    }
}

impl<T: bytemuck::Pod> Aligned<T> {
    /// `length` zeros, beside those of weights.
    pub fn zeros(length: usize) -> Self {
        Self::zeros_of(&WEIGHTS, length)
    }

    /// `length` zeros, beside others of a pool.
    pub fn zeros_of(pool: &PagePool, length: usize) -> Self {
        let bytes = length.checked_mul(size_of::<T>()).expect("a size that memory could have");
        let lines = match bytes {
            LARGE.. => Lines::Pages(pool.zeros(bytes)),
            _ => Lines::Heap(heap(bytes)),
        };
        Self { lines, length, of: PhantomData }
    }

    /// Makes room for `length` numbers and more, whose values are anything.
    pub fn reserve(&mut self, length: usize) -> &mut [T] {
        if self.length < length {
            *self = Self::zeros(length);
        }
        self.as_mut_slice()
    }

    /// All numbers; the first one begins a cache line.
    pub fn as_slice(&self) -> &[T] {
        match &self.lines {
            Lines::Heap(lines) => &bytemuck::cast_slice(lines)[..self.length],
            Lines::Pages(pages) => bytemuck::cast_slice(pages.as_slice()),
        }
    }

    /// All numbers; the first one begins a cache line.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match &mut self.lines {
            Lines::Heap(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.length],
            Lines::Pages(pages) => bytemuck::cast_slice_mut(pages.as_mut_slice()),
        }
    }
}

fn heap(bytes: usize) -> Vec<CacheLine> {
    vec![CacheLine([0.0; 16]); bytes.div_ceil(size_of::<CacheLine>())]
}

/// Numbers in memory that is kept for the next one when it is dropped: fresh pages of the system cost more than what is
/// done with activations.
#[derive(Debug)]
pub struct Recycled<T: bytemuck::Pod> {
    numbers: Aligned<CacheLine>,
    length: usize,
    of: PhantomData<T>,
}

/// Memory that waits.
static FREE: Mutex<Vec<Aligned<CacheLine>>> = Mutex::new(Vec::new());
/// Pieces that wait, at most: as many as one product holds.
const KEPT: usize = 2;

impl<T: bytemuck::Pod> Recycled<T> {
    /// `length` numbers whose values are anything.
    pub fn take(length: usize) -> Self {
        let lines = (length * size_of::<T>()).div_ceil(size_of::<CacheLine>());
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().enumerate().filter(|(_, piece)| piece.length >= lines);
        let found = fitting.min_by_key(|(_, piece)| piece.length).map(|(at, _)| at);
        // A pool of its own: a mapping goes with what it was made for.
        let new = || Aligned::zeros_of(&PagePool::new(), lines);
        let numbers = found.map(|at| free.swap_remove(at)).unwrap_or_else(new);
        Self { numbers, length, of: PhantomData }
    }

    /// All numbers; the first one begins a cache line.
    pub fn as_slice(&self) -> &[T] {
        &bytemuck::cast_slice(self.numbers.as_slice())[..self.length]
    }

    /// All numbers; the first one begins a cache line.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(self.numbers.as_mut_slice())[..self.length]
    }
}

impl<T: bytemuck::Pod> Drop for Recycled<T> {
    fn drop(&mut self) {
        let piece = std::mem::take(&mut self.numbers);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(piece);
        // The smallest go first.
        if free.len() > KEPT {
            let smallest = free.iter().enumerate().min_by_key(|(_, piece)| piece.length);
            if let Some((at, _)) = smallest {
                free.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_a_cache_line() {
        for length in [0, 1, 17, 1000, LARGE / 2 - 1, LARGE / 2, LARGE] {
            let numbers = Aligned::<u16>::zeros(length);
            assert_eq!((numbers.as_slice().as_ptr().align_offset(64), numbers.as_slice().len()), (0, length));
            assert!(numbers.as_slice().iter().all(|&number| number == 0));
        }
    }

    #[test]
    fn memory_comes_back_and_little_of_it_waits() {
        for length in [1000, 10, 0, 5000, 3] {
            let mut some: Vec<Recycled<f32>> = (0..2 * KEPT).map(|_| Recycled::take(length)).collect();
            for numbers in &mut some {
                assert_eq!(numbers.as_slice().len(), length);
                numbers.as_mut_slice().fill(1.0);
            }
            drop(some);
            assert!(FREE.lock().unwrap().len() <= KEPT);
        }
    }
}
