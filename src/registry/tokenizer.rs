//! What is known of a tokenizer without its files: `zoo/tokenizers/NAME.yaml`. It tells one vocabulary
//! from another before a model is loaded with the wrong one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ReleaseDigests;
use crate::base::digest::sha256_of_file;
use crate::base::progress::Silent;
use crate::tokenizer::Tokenizer;

/// Sizes, special tokens and digests of a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerRecord {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// How it cuts text.
    pub kind: TokenizerKind,
    /// The name of the tokenizer that it extends: all pieces of that one keep their ids.
    pub base: Option<String>,
    /// Number of tokens, added ones included.
    pub vocab_size: u64,
    /// Pieces in the SentencePiece file, where tokens were added outside of it.
    pub sentencepiece_pieces: Option<u64>,
    /// Rows of the embedding of models that use it, where they have more rows than it has tokens.
    pub embedding_rows: Option<u64>,
    /// Id of the unknown token.
    pub unk: Option<u32>,
    /// Id of the token that begins a text.
    pub bos: Option<u32>,
    /// Id of the token that ends a text.
    pub eos: Option<u32>,
    /// Id of the padding token, if it has one.
    pub pad: Option<u32>,
    /// Whether its configuration puts BOS before a text.
    pub add_bos_token: Option<bool>,
    /// Whether its configuration puts EOS after a text.
    pub add_eos_token: Option<bool>,
    /// Tokens added to the vocabulary of the base, with their ids.
    #[serde(default)]
    pub added: BTreeMap<String, u32>,
    /// Some pieces with ids that no other vocabulary of the family has: a quick test of identity.
    #[serde(default)]
    pub landmarks: BTreeMap<String, u32>,
    /// First and last id of the 256 byte tokens.
    pub byte_fallback: Option<[u32; 2]>,
    /// Whether each digit is a token of its own.
    pub split_digits: Option<bool>,
    /// Whether a space is put before a text.
    pub add_dummy_prefix: Option<bool>,
    /// Whether runs of spaces become one.
    pub remove_extra_whitespaces: Option<bool>,
    /// What happens to a text before it is cut: `identity`, …
    pub normalizer: Option<String>,
    /// How its vocabulary was made.
    pub construction: Option<String>,
    /// Digests of its files.
    pub digests: Option<ReleaseDigests>,
    /// What to know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is from memory, derived or contradictory.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Where it was read.
    pub src: Option<String>,
}

impl TokenizerRecord {
    /// Rows of the embedding that go with it.
    pub fn rows(&self) -> u64 {
        self.embedding_rows.unwrap_or(self.vocab_size)
    }

    /// In what a tokenizer is not what the record says: its size, its special tokens, the pieces that the record names.
    pub fn differences(&self, tokenizer: &Tokenizer) -> Vec<TokenizerDifference> {
        let mut differences = Vec::new();
        let mut differ =
            |what, expected, found| differences.push(TokenizerDifference { what, expected, found });
        let tokens = tokenizer.vocab_size() as u64;
        // Padded token lists, as GGUF files need them, have as many entries as the embedding has rows.
        if tokens != self.vocab_size && tokens != self.rows() {
            differ("size".to_owned(), format!("{} tokens", self.vocab_size), tokens.to_string());
        }
        let word = |id: Option<u32>| id.map_or("none".to_owned(), |id| id.to_string());
        for (token, expected, found) in [
            ("unk", self.unk, tokenizer.unk()),
            ("bos", self.bos, tokenizer.bos()),
            ("eos", self.eos, tokenizer.eos()),
        ] {
            if expected.is_some() && expected != found {
                differ(token.to_owned(), format!("id {}", word(expected)), word(found));
            }
        }
        for (text, id) in self.added.iter().chain(&self.landmarks) {
            let found = tokenizer.token_text(*id);
            if found.as_deref() != Some(text) {
                let found = found.map_or("no token".to_owned(), |found| format!("{found:?}"));
                differ(format!("id {id}"), format!("{text:?}"), found);
            }
        }
        differences
    }

    /// Whether a file in this folder is one of the tokenizer's own, by its digest.
    pub(super) fn has_file_in(&self, folder: &Path) -> bool {
        let files = self.digests.iter().flat_map(|digests| &digests.files);
        let mut own = files.filter_map(|(name, digest)| Some((folder.join(name), digest.sha256.as_ref()?)));
        own.any(|(path, sha256)| sha256_of_file(&path, &Silent).is_ok_and(|found| found == *sha256))
    }
}

/// Something in which a tokenizer is not what a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerDifference {
    /// What: `size`, `bos`, `id 32000`.
    pub what: String,
    /// As the record has it.
    pub expected: String,
    /// As the tokenizer has it.
    pub found: String,
}

/// Kinds of tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Pairs of pieces merged by score, spaces as `▁`, bytes as the last resort.
    SentencepieceBpe,
    /// Pairs of byte strings merged by rank.
    ByteLevelBpe,
}
