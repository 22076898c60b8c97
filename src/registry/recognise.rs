//! Which record a tokenizer on the disk has.

use std::cmp::Reverse;
use std::path::Path;

use super::{Registry, TokenizerRecord};
use crate::tokenizer::Tokenizer;

impl Registry {
    /// The record of a tokenizer whose files, if it has some, are in `folder`; `None` where nothing proves which one it is:
    /// a vocabulary of the same size with the same special tokens may be anyone's. A file's digest proves it, and so do
    /// pieces that the record names.
    pub fn tokenizer_like(&self, tokenizer: &Tokenizer, folder: Option<&Path>) -> Option<&TokenizerRecord> {
        let fits = |record: &&TokenizerRecord| record.differences(tokenizer).is_empty();
        let proofs = |record: &TokenizerRecord| {
            let has_file = folder.is_some_and(|folder| record.has_file_in(folder));
            (has_file, record.added.len() + record.landmarks.len())
        };
        let proven = self.tokenizers().filter(fits).map(|record| (proofs(record), record));
        let mut proven: Vec<_> = proven.filter(|(proofs, _)| *proofs > (false, 0)).collect();
        proven.sort_by_key(|(proofs, _)| Reverse(*proofs));
        match proven.as_slice() {
            [(first, _), (second, _), ..] if first == second => None,
            [(_, record), ..] => Some(*record),
            [] => None,
        }
    }
}
