//! The prefix that one wave of a plan leaves to the next: its tokens are computed once, however short waves are.

use ndarray::Array2;

use crate::model::{AfterLayer, BlockTable, CacheUse, Kept, KvCache, ModelError, Network, Wave};

/// Keys and values of the first tokens of the last wave's last sequence.
pub(super) struct KeptPrefix {
    cache: KvCache,
    table: BlockTable,
}

impl KeptPrefix {
    /// Before the first wave of a plan for `network`.
    pub fn new(network: &Network) -> Self {
        Self { cache: KvCache::new(&network.shape, network.precision), table: BlockTable::default() }
    }

    /// [`Network::forward_with`] for the next wave of the plan, which is given what the one before it kept.
    ///
    /// # Errors
    /// Those of the pass; no wave may follow then.
    pub fn forward(
        &mut self,
        network: &Network,
        wave: &Wave,
        kept: Kept<'_>,
        after_layer: &mut AfterLayer<'_>,
    ) -> Result<Array2<f32>, ModelError> {
        // Given rows are positions 0.. of their sequence; the next prefix may leave it before they end.
        let shared = wave.keep.iter().zip(0..wave.given).take_while(|&(&row, given)| row == given).count();
        let next = self.cache.branch(&self.table, shared, wave.keep.len());
        let first = next.first_own();
        let mut keep: Vec<_> = (first..next.len()).map(|at| (wave.keep[at], next.slot(at))).collect();
        keep.sort_by_key(|&(_, slot)| slot);
        let given = (0..wave.given).map(|position| self.table.slot(position)).collect();
        let places = CacheUse { given, keep, tables: Vec::new() };
        let hidden = network.forward_with(&mut self.cache, &places, wave, kept, after_layer)?;
        self.cache.release(std::mem::replace(&mut self.table, next));
        Ok(hidden)
    }
}
