//! Writer of SentencePiece's `tokenizer.model`, the protobuf `ModelProto`.
//!
//! Fields are written in the order of their numbers and ordinary pieces without their kind, the format's default: so
//! does SentencePiece's own serialiser, and the pieces of a vocabulary that went through another form have the bytes
//! of the original file again. Only byte-pair models with the identity normaliser are written, LLaMA's kind.
//! Source: `sentencepiece_model.proto` of the SentencePiece project; the protocol buffers encoding specification.

use super::SpecialIds;
use super::sentencepiece::TextRules;
use super::vocabulary::{Piece, PieceKind};

/// `ModelProto.pieces`.
pub(super) const PIECES: u64 = 1;
/// `ModelProto.trainer_spec`.
pub(super) const TRAINER: u64 = 2;
/// `ModelProto.normalizer_spec`.
pub(super) const NORMALIZER: u64 = 3;
/// `ModelProto.denormalizer_spec`.
pub(super) const DENORMALIZER: u64 = 5;
/// `TrainerSpec.model_type` of a byte-pair model.
pub(super) const BPE: u64 = 2;
/// What SentencePiece prints for an unknown token.
const UNK_SURFACE: &str = " \u{2047} ";

/// The file of a vocabulary with its rules. Special tokens without an id have −1, SentencePiece's way to say none.
pub(super) fn model_file(pieces: &[Piece], ids: SpecialIds, rules: TextRules) -> Vec<u8> {
    let mut file = Vec::new();
    for piece in pieces {
        put_piece(&mut file, &piece.text, piece.score, piece.kind);
    }
    let byte_fallback = pieces.iter().any(|piece| piece.kind == PieceKind::Byte);
    let mut trainer = Vec::new();
    put_integer(&mut trainer, 3, BPE);
    put_integer(&mut trainer, 4, pieces.len() as u64);
    put_integer(&mut trainer, 35, u64::from(byte_fallback));
    let specials = [ids.unk, ids.bos, ids.eos, ids.pad];
    for (number, id) in (40..).zip(specials) {
        // A negative number of 32 bits is written with its sign in all 64.
        put_integer(&mut trainer, number, id.map_or(u64::MAX, u64::from));
    }
    put_bytes(&mut trainer, 44, UNK_SURFACE.as_bytes());
    for (number, id) in (45..).zip(specials) {
        if let Some(piece) = id.and_then(|id| pieces.get(id as usize)) {
            put_bytes(&mut trainer, number, piece.text.as_bytes());
        }
    }
    put_bytes(&mut file, TRAINER, &trainer);
    let mut normalizer = Vec::new();
    put_bytes(&mut normalizer, 1, b"identity");
    put_integer(&mut normalizer, 3, u64::from(rules.add_dummy_prefix));
    put_integer(&mut normalizer, 4, u64::from(rules.remove_extra_whitespaces));
    put_integer(&mut normalizer, 5, 1);
    put_bytes(&mut file, NORMALIZER, &normalizer);
    file
}

/// Appends one piece to a file.
pub(super) fn put_piece(file: &mut Vec<u8>, text: &str, score: f32, kind: PieceKind) {
    let mut piece = Vec::with_capacity(text.len() + 12);
    put_bytes(&mut piece, 1, text.as_bytes());
    put_varint(&mut piece, 2 << 3 | 5);
    piece.extend_from_slice(&score.to_le_bytes());
    if kind != PieceKind::Normal {
        put_integer(&mut piece, 3, kind.number().into());
    }
    put_bytes(file, PIECES, &piece);
}

fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_integer(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::super::model_proto::ModelProto;
    use super::super::vocabulary::tests::pieces;
    use super::*;

    const RULES: TextRules =
        TextRules { add_dummy_prefix: true, prefix_at_start_only: false, remove_extra_whitespaces: false };

    #[test]
    fn what_is_written_is_read_again() {
        let pieces = pieces(&[("▁a", -1.5), ("中", 0.0), ("<pad>", 0.0)]);
        let ids = SpecialIds { bos: Some(1), eos: Some(2), unk: Some(0), pad: None };
        for add_dummy_prefix in [true, false] {
            let rules = TextRules { add_dummy_prefix, remove_extra_whitespaces: !add_dummy_prefix, ..RULES };
            let model = ModelProto::parse("x.model", &model_file(&pieces, ids, rules)).unwrap();
            assert_eq!(model.vocabulary.pieces(), pieces);
            assert_eq!((model.unk, model.bos, model.eos, model.pad), (0, Some(1), Some(2), None));
            assert_eq!(model.add_dummy_prefix, add_dummy_prefix);
            assert_eq!(model.remove_extra_whitespaces, !add_dummy_prefix);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_score_survives(texts: std::collections::BTreeSet<String>, score in -1e9f32..1e9) {
            let texts: Vec<(&str, f32)> = texts
                .iter()
                .filter(|text| !text.is_empty() && !text.starts_with('<'))
                .map(|text| (text.as_str(), score))
                .collect();
            let pieces = pieces(&texts);
            let ids = SpecialIds { bos: Some(1), eos: Some(2), unk: Some(0), pad: None };
            let model = ModelProto::parse("x.model", &model_file(&pieces, ids, RULES)).unwrap();
            proptest::prop_assert_eq!(model.vocabulary.pieces(), pieces.as_slice());
        }
    }
}
