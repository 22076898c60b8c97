//! Two SentencePiece models made one: how the Chinese vocabularies of the family were built.
//!
//! The base's pieces keep their ids; each piece of the other model that the base does not have follows, in that model's
//! order, as an ordinary piece. Trainer and normaliser settings, and every byte of the base's file besides, stay as
//! they are, so a published tokenizer comes out byte for byte. Chinese-LLaMA gives the new pieces the score 0,
//! BELLE's extended models let them keep their own.
//! Sources: `merge_tokenizers.py` of Chinese-LLaMA-Alpaca and of BELLE.

use std::collections::HashSet;

use super::TokenizerError;
use super::model_proto::{ModelProto, parts};
use super::model_writer::put_piece;
use super::tiktoken::{Ranks, is_tiktoken};
use super::vocabulary::PieceKind;

/// The score that appended pieces get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendedScore {
    /// 0: they are merged before every piece of LLaMA, whose scores are negative.
    Zero,
    /// That of the model they come from.
    Own,
}

/// A `tokenizer.model`, and its name in errors.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile<'a> {
    /// How errors call it.
    pub place: &'a str,
    /// The whole file.
    pub bytes: &'a [u8],
}

impl ModelFile<'_> {
    /// The number of pieces, or of ids of a vocabulary of tiktoken; added tokens of other files are not among them.
    ///
    /// # Errors
    /// [`TokenizerError`] for a damaged file, or a model of another kind than LLaMA's.
    pub fn count(self) -> Result<usize, TokenizerError> {
        if self.is_tiktoken() {
            return Ranks::parse(self.place, self.bytes).map(|ranks| ranks.count());
        }
        ModelProto::parse(self.place, self.bytes).map(|model| model.vocabulary.len())
    }

    /// What texts begin with, and the ids at which a model stops writing.
    ///
    /// # Errors
    /// As [`ModelFile::count`].
    pub fn begin_and_ends(self) -> Result<(Option<u32>, Vec<u32>), TokenizerError> {
        if self.is_tiktoken() {
            return Ranks::parse(self.place, self.bytes)
                .map(|ranks| (ranks.ids().bos, ranks.ends().to_vec()));
        }
        ModelProto::parse(self.place, self.bytes).map(|model| (model.bos, model.eos.into_iter().collect()))
    }

    /// Whether it is a list of tiktoken's and no SentencePiece model.
    pub fn is_tiktoken(self) -> bool {
        is_tiktoken(self.bytes)
    }
}

/// The file of `base` with the pieces of `other` that it lacks, then with the texts of `added` (`[PAD]` for
/// Chinese-Alpaca), which get the score 0. `other` may be a model of any type: only its pieces are used.
///
/// # Errors
/// [`TokenizerError`] for a damaged file, a base that is no byte-pair model, and an added text that is already a
/// piece.
pub fn merge_models(
    base: ModelFile,
    other: ModelFile,
    score: AppendedScore,
    added: &[&str],
) -> Result<Vec<u8>, TokenizerError> {
    ModelProto::parse(base.place, base.bytes)?;
    let base_parts = parts(base.place, base.bytes)?;
    let other_pieces = parts(other.place, other.bytes)?.pieces;
    let known: HashSet<&str> = base_parts.pieces.iter().map(|piece| piece.text.as_str()).collect();
    let (head, tail) = base.bytes.split_at(base_parts.end);
    let mut file = Vec::with_capacity(base.bytes.len() + other.bytes.len());
    file.extend_from_slice(head);
    for piece in other_pieces.iter().filter(|piece| !known.contains(piece.text.as_str())) {
        let score = match score {
            AppendedScore::Zero => 0.0,
            AppendedScore::Own => piece.score,
        };
        put_piece(&mut file, &piece.text, score, PieceKind::Normal);
    }
    for text in added {
        put_piece(&mut file, text, 0.0, PieceKind::Normal);
    }
    file.extend_from_slice(tail);
    // What cannot be a vocabulary (a text twice, an empty one) is said of the result.
    ModelProto::parse(&format!("{} merged with {}", base.place, other.place), &file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::model_proto::tests::{NORMALIZER, TRAINER, model_file};
    use super::super::vocabulary::tests::pieces as vocabulary;
    use super::*;

    fn merged(added: &[&str], score: AppendedScore) -> Result<Vec<u8>, TokenizerError> {
        let base = model_file(&vocabulary(&[("a", -1.0), ("b", -2.0)]), TRAINER, NORMALIZER);
        // A unigram model.
        let other = model_file(&vocabulary(&[("中", -3.5), ("b", -9.0), ("国", -4.5)]), &[(3, 1)], &[]);
        let file = |place, bytes| ModelFile { place, bytes };
        merge_models(file("base", &base), file("other", &other), score, added)
    }

    #[test]
    fn new_pieces_follow_in_order_and_the_rest_is_kept() {
        let file = merged(&["[PAD]"], AppendedScore::Zero).unwrap();
        let model = ModelProto::parse("merged", &file).unwrap();
        let new: Vec<(&str, f32)> =
            model.vocabulary.pieces()[259..].iter().map(|p| (p.text.as_str(), p.score)).collect();
        assert_eq!(new, [("a", -1.0), ("b", -2.0), ("中", 0.0), ("国", 0.0), ("[PAD]", 0.0)]);
        let base = model_file(&vocabulary(&[("a", -1.0), ("b", -2.0)]), TRAINER, NORMALIZER);
        let settings = model_file(&[], TRAINER, NORMALIZER);
        assert!(file.ends_with(&settings) && file.starts_with(&base[..base.len() - settings.len()]));
        let own = ModelProto::parse("merged", &merged(&[], AppendedScore::Own).unwrap()).unwrap();
        assert_eq!(own.vocabulary.pieces()[261].score, -3.5);
    }

    #[test]
    fn unusable_parts_are_refused() {
        let text = merged(&["中"], AppendedScore::Zero).unwrap_err().to_string();
        assert!(text.contains("base merged with other") && text.contains("each text once"), "{text}");
        let unigram = model_file(&vocabulary(&[]), &[(3, 1)], &[]);
        let file = |bytes| ModelFile { place: "x", bytes };
        assert!(merge_models(file(&unigram), file(&unigram), AppendedScore::Zero, &[]).is_err());
        let good = model_file(&vocabulary(&[]), TRAINER, NORMALIZER);
        assert!(merge_models(file(&good), file(&[0x0a, 0x05]), AppendedScore::Zero, &[]).is_err());
    }
}
