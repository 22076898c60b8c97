//! How alike two texts are: BLEU and ROUGE, to the last digit as the reference harness computes them.

mod bleu;
mod rouge;

pub use bleu::{BleuCounts, BleuTokenizer, corpus_score, sentence_bleu};
pub use rouge::{Rouge, rouge};
