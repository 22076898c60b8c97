//! The sequence that was written last, with its keys and values: whatever goes on from it, or from a part of it, computes only
//! what is new. This is what a conversation keeps between its turns.

use std::sync::Arc;

use super::plan::{Limits, common};
use crate::model::{BLOCK, BlockTable, KvCache, Network};

/// Tokens, and their keys and values in a cache of their own.
#[derive(Debug)]
pub struct KeptSequence {
    pub(super) cache: KvCache,
    pub(super) table: BlockTable,
    pub(super) tokens: Arc<[u32]>,
}

impl KeptSequence {
    /// Nothing yet, for this network.
    pub fn new(network: &Network) -> Self {
        Self {
            cache: KvCache::new(&network.shape, network.precision),
            table: BlockTable::default(),
            tokens: Arc::from([]),
        }
    }

    /// Tokens whose keys and values are here.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Leaves nothing.
    pub fn forget(&mut self) {
        self.put(BlockTable::default(), Arc::from([]));
    }

    /// Takes these in place of what was there; the table may hold more positions than there are tokens.
    pub(super) fn put(&mut self, table: BlockTable, tokens: Arc<[u32]>) {
        assert!(tokens.len() <= table.len(), "every token has its place");
        self.cache.release(std::mem::replace(&mut self.table, table));
        self.tokens = tokens;
    }

    /// The same of a sequence of which the first `prompt` tokens came at once, and each other one by itself: as much of it as
    /// would be the same if all had come at once.
    pub(super) fn put_written(&mut self, table: BlockTable, tokens: &[u32], prompt: usize, limits: Limits) {
        // Beyond some length positions may depend on the length.
        let most = match limits.length_dependent_beyond {
            Some(limit) if prompt > limit => 0,
            Some(limit) => tokens.len().min(limit),
            None => tokens.len(),
        };
        self.put(table, tokens[..most].into());
    }

    /// Tokens of a prompt that are not computed again when it is [gone on from](super::LocalModel::go_on); the last one always is.
    pub fn known(&self, prompt: &[u32], limits: Limits) -> usize {
        self.kept_for(prompt, limits).min(prompt.len().saturating_sub(1))
    }

    /// Gives up what a sequence that begins with `prompt` has no use for.
    pub(super) fn keep_for(&mut self, prompt: &[u32], limits: Limits) {
        let kept = self.kept_for(prompt, limits);
        if kept < self.tokens.len() {
            let table = self.cache.branch(&self.table, kept, kept);
            self.put(table, self.tokens[..kept].into());
        }
    }

    /// Tokens that a sequence that begins with `prompt` has in common with this one: all of this one, or whole blocks.
    fn kept_for(&self, prompt: &[u32], limits: Limits) -> usize {
        let shared = if limits.group(prompt.len()) == 0 { common(&self.tokens, prompt) } else { 0 };
        if shared < self.tokens.len() { shared / BLOCK * BLOCK } else { shared }
    }
}
