//! Keys and values that outlive a wave, in blocks of positions that sequences share.
//!
//! A sequence's past is a [`BlockTable`]: its blocks in the order of positions, each for [`BLOCK`] positions from a multiple of
//! it on, as in paged attention (Kwon et al. 2023, vLLM). Whole blocks are shared by all sequences that begin alike and freed
//! when the last one leaves; a block that two sequences fill differently is two. Attention takes keys in the same blocks, so a
//! block is stored as a product reads it and nothing is gathered: keys of a head turned over `[head_dim, BLOCK]`, values
//! `[BLOCK, head_dim]`, the latter filled up to whole steps of columns; where attention multiplies pairs of bf16 numbers, both
//! are [stored in pairs](crate::kernels::pair_rows). Rotary positions are already in the keys.

use half::bf16;
use ndarray::{ArrayView2, ArrayViewMut2};
use rayon::prelude::*;

use super::rows;
use crate::config::Shape;
use crate::kernels::{Aligned, PagePool, Precision, column_step, multiplies_pairs, prefetch};

/// Positions of a block. Attention's blocks of keys are the same, and a multiple of every panel's width.
pub const BLOCK: usize = 64;
/// Rows that are worth more than one thread.
const ROWS_FOR_THREADS: usize = 64;

/// Whether attention multiplies pairs of bf16 numbers.
pub(super) fn in_pairs(precision: Precision, head_dim: usize) -> bool {
    precision != Precision::Exact && head_dim.is_multiple_of(2) && multiplies_pairs()
}

/// The keys, turned over `[head_dim, BLOCK]`, and values `[BLOCK, head_dim in whole steps of columns]` of a head in a block.
#[derive(Clone, Copy)]
pub(super) enum Operands<'a> {
    /// Numbers of f32.
    Numbers { keys: &'a [f32], values: &'a [f32] },
    /// Pairs of rows, rounded to bf16.
    Pairs { keys: &'a [u32], values: &'a [u32] },
}

/// Where a token's keys and values are, in all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The block.
    block: u32,
    /// The position within it.
    lane: u32,
}

/// The blocks of one sequence, which hold its positions `0..len`.
///
/// It is made, shared and given back by a [`KvCache`]; one that is dropped instead keeps its blocks taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BlockTable {
    blocks: Vec<u32>,
    len: usize,
    /// Blocks that it had from the table it branched from.
    inherited: usize,
}

impl BlockTable {
    /// Positions that it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first position that is in a block of its own: what was there when it branched from another table begins before it.
    pub fn first_own(&self) -> usize {
        self.inherited * BLOCK
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Leaves the first `len` positions, and what comes after them to be filled again.
    ///
    /// # Panics
    /// If they are more than there are, or end in a block that it had from another table.
    pub fn shorten(&mut self, len: usize) {
        assert!(len <= self.len && len >= self.first_own(), "{len} positions of {}", self.len);
        self.len = len;
    }

    /// Its first blocks.
    pub(super) fn first_blocks(&self, count: usize) -> &[u32] {
        &self.blocks[..count]
    }

    /// The block of the positions from `index * BLOCK` on.
    pub(super) fn block(&self, index: usize) -> usize {
        self.blocks[index] as usize
    }

    /// Where `position` is.
    ///
    /// # Panics
    /// If the table does not hold it.
    pub fn slot(&self, position: usize) -> Slot {
        assert!(position < self.len, "position {position} of {}", self.len);
        Slot { block: self.blocks[position / BLOCK], lane: (position % BLOCK) as u32 }
    }
}

/// What a pass takes from the cache and leaves there.
#[derive(Debug, Clone, Default)]
pub struct CacheUse<'t> {
    /// Where the keys and values of the wave's given rows are, one for each.
    pub given: Vec<Slot>,
    /// Rows of the wave, given ones among them, and where their keys and values go, in the order of slots; a row may go to
    /// several.
    pub keep: Vec<(usize, Slot)>,
    /// For each segment of the wave the table that holds everything it sees, itself included; empty for a wave whose segments
    /// see each other.
    pub tables: Vec<&'t BlockTable>,
}

/// Blocks of keys and values of all layers, taken as they are needed.
#[derive(Debug, Default)]
pub struct KvCache {
    layout: Layout,
    /// Each `[layer][keys, values][head][…]`, numbers of f32 or pairs of bf16.
    blocks: Vec<Aligned<u32>>,
    pool: PagePool,
    /// How many tables have a block.
    readers: Vec<u32>,
    free: Vec<u32>,
}

/// How a block is laid out.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    layers: usize,
    heads: usize,
    head_dim: usize,
    /// `head_dim` in whole steps of columns.
    padded: usize,
    /// Whether two numbers of a column are one word.
    in_pairs: bool,
}

impl Layout {
    fn of(shape: &Shape, precision: Precision) -> Self {
        Self {
            layers: shape.num_hidden_layers,
            heads: shape.num_key_value_heads,
            head_dim: shape.head_dim,
            padded: shape.head_dim.next_multiple_of(column_step()),
            in_pairs: in_pairs(precision, shape.head_dim),
        }
    }

    /// Words of the keys of a head.
    fn keys(self) -> usize {
        self.head_dim * BLOCK / self.per_word()
    }

    /// Words of the values of a head.
    fn values(self) -> usize {
        BLOCK * self.padded / self.per_word()
    }

    fn per_word(self) -> usize {
        if self.in_pairs { 2 } else { 1 }
    }

    /// Writes the number of a row and a column of a matrix `width` columns wide.
    fn put(self, words: &mut [u32], width: usize, [row, column]: [usize; 2], number: f32) {
        if self.in_pairs {
            let word = &mut words[row / 2 * width + column];
            let bits = u32::from(bf16::from_f32(number).to_bits());
            *word = if row.is_multiple_of(2) { *word & !0xffff | bits } else { *word & 0xffff | bits << 16 };
        } else {
            words[row * width + column] = number.to_bits();
        }
    }

    /// The number that was written there.
    fn number(self, words: &[u32], width: usize, [row, column]: [usize; 2]) -> f32 {
        match (self.in_pairs, row.is_multiple_of(2)) {
            (false, _) => f32::from_bits(words[row * width + column]),
            (true, true) => f32::from_bits(words[row / 2 * width + column] << 16),
            (true, false) => f32::from_bits(words[row / 2 * width + column] & !0xffff),
        }
    }

    fn layer(self) -> usize {
        self.heads * (self.keys() + self.values())
    }
}

/// How many blocks so many positions take.
pub fn blocks_of(positions: usize) -> usize {
    positions.div_ceil(BLOCK)
}

impl KvCache {
    /// An empty cache of a network of this shape, which multiplies in this precision.
    pub fn new(shape: &Shape, precision: Precision) -> Self {
        Self { layout: Layout::of(shape, precision), ..Self::default() }
    }

    /// Bytes of a block of such a network.
    pub fn block_bytes(shape: &Shape, precision: Precision) -> u64 {
        let layout = Layout::of(shape, precision);
        (layout.layers * layout.layer() * size_of::<u32>()) as u64
    }

    /// Blocks that tables have.
    pub fn taken(&self) -> usize {
        self.blocks.len() - self.free.len()
    }

    /// A table of `len` positions that has the whole blocks of the first `shared` positions of `of`, and new ones for the rest,
    /// which are to be filled from [`first_own`](BlockTable::first_own) on.
    ///
    /// # Panics
    /// If there are no so many positions.
    pub fn branch(&mut self, of: &BlockTable, shared: usize, len: usize) -> BlockTable {
        assert!(shared <= of.len && shared <= len, "{shared} positions of {} and {len}", of.len);
        let blocks = of.blocks[..shared / BLOCK].to_vec();
        blocks.iter().for_each(|&block| self.readers[block as usize] += 1);
        let inherited = blocks.len();
        let mut table = BlockTable { len: inherited * BLOCK, blocks, inherited };
        self.extend(&mut table, len);
        table
    }

    /// A table of the same positions in the same blocks: to read them and to branch from, never to be extended.
    pub fn alias(&mut self, of: &BlockTable) -> BlockTable {
        of.blocks.iter().for_each(|&block| self.readers[block as usize] += 1);
        BlockTable { blocks: of.blocks.clone(), len: of.len, inherited: of.blocks.len() }
    }

    /// Makes room for positions up to `len`.
    pub fn extend(&mut self, table: &mut BlockTable, len: usize) {
        while table.blocks.len() < blocks_of(len) {
            let block = self.take();
            table.blocks.push(block);
        }
        table.len = table.len.max(len);
    }

    /// Gives up a table.
    pub fn release(&mut self, table: BlockTable) {
        for block in table.blocks {
            let readers = &mut self.readers[block as usize];
            *readers = readers.checked_sub(1).expect("a table has its blocks once");
            if *readers == 0 {
                self.free.push(block);
            }
        }
    }

    fn take(&mut self) -> u32 {
        let block = match self.free.pop() {
            Some(block) => {
                // What no key fills is multiplied with 0, and must be a number; the same one always.
                self.blocks[block as usize].as_mut_slice().fill(0);
                block
            }
            None => {
                let block = u32::try_from(self.blocks.len()).expect("fewer blocks than memory has bytes");
                let layout = self.layout;
                self.blocks.push(Aligned::zeros_of(&self.pool, layout.layers * layout.layer()));
                self.readers.push(0);
                block
            }
        };
        self.readers[block as usize] = 1;
        block
    }

    /// Puts the keys and values of a layer at these slots into the first rows of those of a wave.
    pub(super) fn give(&self, layer: usize, slots: &[Slot], [mut k, mut v]: [ArrayViewMut2<f32>; 2]) {
        let layout = self.layout;
        let cached = self.layer(layer);
        for (row, slot) in slots.iter().enumerate() {
            let (block, lane) = (slot.block as usize, slot.lane as usize);
            let heads = k.row_mut(row).into_slice().expect("numbers of a row are neighbours");
            for (head, key) in heads.chunks_exact_mut(layout.head_dim).enumerate() {
                let keys = cached.keys(block, head);
                let numbers = key.iter_mut().enumerate();
                numbers.for_each(|(at, number)| *number = layout.number(keys, BLOCK, [at, lane]));
            }
            let heads = v.row_mut(row).into_slice().expect("numbers of a row are neighbours");
            for (head, value) in heads.chunks_exact_mut(layout.head_dim).enumerate() {
                let values = cached.values(block, head);
                let numbers = value.iter_mut().enumerate();
                numbers.for_each(|(at, number)| *number = layout.number(values, layout.padded, [lane, at]));
            }
        }
    }

    /// Keeps keys and values of rows of a wave; `keep` is sorted by slot.
    pub(super) fn keep(&mut self, layer: usize, keep: &[(usize, Slot)], [k, v]: [ArrayView2<f32>; 2]) {
        let layout = self.layout;
        let store = |block: &mut [u32], own: &[(usize, Slot)]| {
            let block = &mut block[layer * layout.layer()..][..layout.layer()];
            let (keys, values) = block.split_at_mut(layout.heads * layout.keys());
            for &(row, slot) in own {
                let lane = slot.lane as usize;
                let own = rows::row(&k, row).chunks_exact(layout.head_dim);
                for (keys, key) in keys.chunks_exact_mut(layout.keys()).zip(own) {
                    let numbers = key.iter().enumerate();
                    numbers.for_each(|(at, number)| layout.put(keys, BLOCK, [at, lane], *number));
                }
                let own = rows::row(&v, row).chunks_exact(layout.head_dim);
                for (values, value) in values.chunks_exact_mut(layout.values()).zip(own) {
                    let numbers = value.iter().enumerate();
                    numbers.for_each(|(at, number)| layout.put(values, layout.padded, [lane, at], *number));
                }
            }
        };
        if keep.len() < ROWS_FOR_THREADS {
            for own in keep.chunk_by(|(_, a), (_, b)| a.block == b.block) {
                store(self.blocks[own[0].1.block as usize].as_mut_slice(), own);
            }
            return;
        }
        let mut own = keep.chunk_by(|(_, a), (_, b)| a.block == b.block).peekable();
        let mut work = Vec::new();
        for (number, block) in self.blocks.iter_mut().enumerate() {
            if let Some(own) = own.next_if(|own| own[0].1.block as usize == number) {
                work.push((block.as_mut_slice(), own));
            }
        }
        assert!(own.next().is_none(), "rows go to blocks that are there, in their order");
        work.into_par_iter().for_each(|(block, own)| store(block, own));
    }

    /// The keys and values of one layer.
    pub(super) fn layer(&self, layer: usize) -> CachedLayer<'_> {
        CachedLayer { cache: self, layer }
    }
}

/// Keys and values of one layer.
#[derive(Clone, Copy)]
pub struct CachedLayer<'c> {
    cache: &'c KvCache,
    layer: usize,
}

impl<'c> CachedLayer<'c> {
    /// Asks for the keys and values of a head in a block, which are read soon.
    pub(super) fn prefetch(self, block: usize, head: usize) {
        prefetch(self.keys(block, head));
        prefetch(self.values(block, head));
    }

    /// Keys and values of a head in a block, as attention takes them.
    pub(super) fn operands(self, block: usize, head: usize) -> Operands<'c> {
        let (keys, values) = (self.keys(block, head), self.values(block, head));
        match self.cache.layout.in_pairs {
            true => Operands::Pairs { keys, values },
            false => {
                Operands::Numbers { keys: bytemuck::cast_slice(keys), values: bytemuck::cast_slice(values) }
            }
        }
    }

    /// The keys of a block, turned over: `[head_dim, BLOCK]`.
    fn keys(self, block: usize, head: usize) -> &'c [u32] {
        let layout = self.cache.layout;
        let first = self.layer * layout.layer() + head * layout.keys();
        &self.cache.blocks[block].as_slice()[first..][..layout.keys()]
    }

    /// The values of a block: `[BLOCK, head_dim in whole steps of columns]`.
    fn values(self, block: usize, head: usize) -> &'c [u32] {
        let layout = self.cache.layout;
        let first = self.layer * layout.layer() + layout.heads * layout.keys() + head * layout.values();
        &self.cache.blocks[block].as_slice()[first..][..layout.values()]
    }
}

#[cfg(test)]
mod tests;
