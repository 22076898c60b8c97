//! Reader of SentencePiece's `tokenizer.model`, a protobuf `ModelProto`: a checked vocabulary and its rules.
//!
//! Source: `sentencepiece_model.proto` of the SentencePiece project (field numbers and defaults). Only what LLaMA's
//! family uses is accepted: byte-pair models without a character map. Anything else is refused by name, since
//! encoding it with the wrong rules would give wrong ids without a sign.

use std::path::Path;

use super::TokenizerError;
use super::model_writer::{BPE, DENORMALIZER, NORMALIZER, PIECES, TRAINER};
use super::tiktoken::is_tiktoken;
use super::vocabulary::{MAX_PIECES, Piece, PieceKind, Vocabulary};
use super::wire::{WireError, WireField, WireReader, WireValue};
use crate::base::fault::FaultKind;
use crate::base::recognise::stand_in;

/// The vocabulary of a model file and how text is prepared for it.
#[derive(Debug)]
pub(super) struct ModelProto {
    pub vocabulary: Vocabulary,
    pub add_dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub unk: u32,
    /// The control pieces that the file names as special tokens, if it has them.
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub pad: Option<u32>,
}

/// The parts of trainer and normaliser specification that decide ids, with the format's defaults.
struct Spec {
    model_type: u64,
    vocab_size: Option<u64>,
    byte_fallback: bool,
    whitespace_as_suffix: bool,
    bos_piece: String,
    eos_piece: String,
    pad_piece: String,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
    normalizer_name: String,
    character_map: usize,
}

impl ModelProto {
    /// Reads a whole file. `place` names it in errors.
    pub fn parse(place: &str, bytes: &[u8]) -> Result<ModelProto, TokenizerError> {
        if let Some(stand_in) = stand_in(bytes).filter(|_| !bytes.is_empty()) {
            return Err(stand_in.fault(Path::new(place), "a SentencePiece model").into());
        }
        if is_tiktoken(bytes) {
            let (field, found) = ("the whole file", "a vocabulary of tiktoken (Llama 3 or later)");
            return Err(TokenizerError::unsupported(place, field, found, "SentencePiece models"));
        }
        let Parts { pieces, spec, .. } = parts(place, bytes)?;
        if pieces.is_empty() {
            let expected = "the pieces of a vocabulary";
            let found = "no pieces";
            let error = WireError::new(FaultKind::Truncated, bytes.len(), expected, found);
            return Err(TokenizerError::wire(place, error));
        }
        spec.check(place, pieces.len())?;
        let unk = only_unknown(place, &pieces)?;
        let vocabulary = Vocabulary::new(place, pieces, Some(unk), spec.byte_fallback)?;
        let control = |text: &str| {
            vocabulary
                .id(text)
                .filter(|&id| vocabulary.piece(id).is_some_and(|piece| piece.kind == PieceKind::Control))
        };
        Ok(ModelProto {
            add_dummy_prefix: spec.add_dummy_prefix,
            remove_extra_whitespaces: spec.remove_extra_whitespaces,
            unk,
            bos: control(&spec.bos_piece),
            eos: control(&spec.eos_piece),
            pad: control(&spec.pad_piece),
            vocabulary,
        })
    }
}

/// What stands in the file of a model of any type.
#[derive(Default)]
pub(super) struct Parts {
    pub pieces: Vec<Piece>,
    /// The offset behind the last piece.
    pub end: usize,
    spec: Spec,
}

/// Takes a file apart. `place` names it in errors.
pub(super) fn parts(place: &str, bytes: &[u8]) -> Result<Parts, TokenizerError> {
    let wire = |error| TokenizerError::wire(place, error);
    let mut parts = Parts::default();
    let mut reader = WireReader::new(bytes, 0);
    while let Some(field) = reader.next_field().map_err(wire)? {
        let content = bytes_of(&field).map_err(wire)?;
        let message = WireReader::new(content, field.offset);
        match field.number {
            PIECES => {
                TokenizerError::check_limit(place, "number of pieces", MAX_PIECES, parts.pieces.len() + 1)?;
                parts.pieces.push(piece(message).map_err(wire)?);
                parts.end = field.offset + content.len();
            }
            TRAINER | NORMALIZER | DENORMALIZER => parts.spec.read(field.number, message).map_err(wire)?,
            _ => {}
        }
    }
    Ok(parts)
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            model_type: 1,
            vocab_size: None,
            byte_fallback: false,
            whitespace_as_suffix: false,
            bos_piece: "<s>".to_owned(),
            eos_piece: "</s>".to_owned(),
            pad_piece: "<pad>".to_owned(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            normalizer_name: String::new(),
            character_map: 0,
        }
    }
}

impl Spec {
    /// Takes in the specification that is field `part` of the model.
    fn read(&mut self, part: u64, mut message: WireReader<'_>) -> Result<(), WireError> {
        while let Some(field) = message.next_field()? {
            match (part, field.number) {
                (TRAINER, 3) => self.model_type = varint_of(&field)?,
                (TRAINER, 4) => self.vocab_size = Some(varint_of(&field)?),
                (TRAINER, 24) => self.whitespace_as_suffix = varint_of(&field)? != 0,
                (TRAINER, 35) => self.byte_fallback = varint_of(&field)? != 0,
                (TRAINER, 46) => self.bos_piece = text_of(&field)?,
                (TRAINER, 47) => self.eos_piece = text_of(&field)?,
                (TRAINER, 48) => self.pad_piece = text_of(&field)?,
                (NORMALIZER, 1) => self.normalizer_name = text_of(&field)?,
                (NORMALIZER | DENORMALIZER, 2) => {
                    self.character_map = self.character_map.max(bytes_of(&field)?.len());
                }
                (NORMALIZER, 3) => self.add_dummy_prefix = varint_of(&field)? != 0,
                (NORMALIZER, 4) => self.remove_extra_whitespaces = varint_of(&field)? != 0,
                (NORMALIZER, 5) => self.escape_whitespaces = varint_of(&field)? != 0,
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self, place: &str, pieces: usize) -> Result<(), TokenizerError> {
        let unsupported = |field: &str, found: String, supported: &str| {
            Err(TokenizerError::unsupported(place, field, found, supported))
        };
        if self.model_type != BPE {
            let name = match self.model_type {
                1 => "a unigram model".to_owned(),
                3 => "a word model".to_owned(),
                4 => "a character model".to_owned(),
                other => format!("model type {other}"),
            };
            return unsupported("trainer_spec.model_type", name, "byte-pair models (type 2), as LLaMA's");
        }
        if self.character_map > 0 {
            let found =
                format!("normalizer {:?} with {} bytes of map", self.normalizer_name, self.character_map);
            return unsupported("normalizer_spec.precompiled_charsmap", found, "the identity normalizer");
        }
        if self.whitespace_as_suffix {
            return unsupported("trainer_spec.treat_whitespace_as_suffix", "true".into(), "false");
        }
        if !self.escape_whitespaces {
            return unsupported("normalizer_spec.escape_whitespaces", "false".into(), "true");
        }
        if let Some(size) = self.vocab_size.filter(|&size| size > pieces as u64) {
            return Err(TokenizerError::field(
                place,
                "pieces",
                format!("at least the {size} that trainer_spec.vocab_size states"),
                format!("{pieces}; the file is cut or was edited"),
            ));
        }
        Ok(())
    }
}

fn piece(mut message: WireReader<'_>) -> Result<Piece, WireError> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    while let Some(field) = message.next_field()? {
        match (field.number, field.value) {
            (1, _) => piece.text = text_of(&field)?,
            (2, WireValue::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (2, _) => return Err(wrong(&field, "a 32-bit float for a piece's score")),
            (3, _) => {
                piece.kind = PieceKind::from_number(varint_of(&field)?)
                    .ok_or_else(|| wrong(&field, "a piece type from 1 to 6"))?;
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn only_unknown(place: &str, pieces: &[Piece]) -> Result<u32, TokenizerError> {
    let mut unknown = pieces.iter().enumerate().filter(|(_, piece)| piece.kind == PieceKind::Unknown);
    match (unknown.next(), unknown.next()) {
        (Some((id, _)), None) => Ok(id as u32),
        (first, _) => Err(TokenizerError::field(
            place,
            "pieces",
            "exactly one piece of type 2 (unknown)",
            if first.is_none() { "none" } else { "several" },
        )),
    }
}

fn wrong(field: &WireField<'_>, expected: &'static str) -> WireError {
    let found = match field.value {
        WireValue::Varint(value) => format!("the integer {value}"),
        WireValue::Fixed64(_) => "a 64-bit value".to_owned(),
        WireValue::Fixed32(_) => "a 32-bit value".to_owned(),
        WireValue::Bytes(bytes) => format!("{} bytes", bytes.len()),
    };
    WireError::malformed(field.offset, expected, format!("{found} in field {}", field.number))
}

fn bytes_of<'a>(field: &WireField<'a>) -> Result<&'a [u8], WireError> {
    match field.value {
        WireValue::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong(field, "text or a nested message")),
    }
}

fn text_of(field: &WireField<'_>) -> Result<String, WireError> {
    let bytes = bytes_of(field)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let valid = error.valid_up_to();
        WireError::malformed(field.offset + valid, "UTF-8 text", format!("byte 0x{:02x}", bytes[valid]))
    })
}

fn varint_of(field: &WireField<'_>) -> Result<u64, WireError> {
    match field.value {
        WireValue::Varint(value) => Ok(value),
        _ => Err(wrong(field, "an integer")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn put_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
        varint(number << 3 | 2, out);
        varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }

    fn put_integer(number: u64, value: u64, out: &mut Vec<u8>) {
        varint(number << 3, out);
        varint(value, out);
    }

    /// A model file with these pieces, trainer integers and normaliser integers.
    pub fn model_file(pieces: &[Piece], trainer: &[(u64, u64)], normalizer: &[(u64, u64)]) -> Vec<u8> {
        let mut file = Vec::new();
        for piece in pieces {
            let mut message = Vec::new();
            put_bytes(1, piece.text.as_bytes(), &mut message);
            message.push(2 << 3 | 5);
            message.extend_from_slice(&piece.score.to_le_bytes());
            put_integer(3, piece.kind as u64 + 1, &mut message);
            put_bytes(1, &message, &mut file);
        }
        for (number, integers) in [(2, trainer), (3, normalizer)] {
            let mut message = Vec::new();
            for &(field, value) in integers {
                put_integer(field, value, &mut message);
            }
            put_bytes(number, &message, &mut file);
        }
        file
    }

    /// Trainer of a LLaMA model: byte pairs, byte fallback.
    pub const TRAINER: &[(u64, u64)] = &[(3, 2), (35, 1)];
    /// Normaliser of a LLaMA model: a dummy prefix, all spaces kept.
    pub const NORMALIZER: &[(u64, u64)] = &[(3, 1), (4, 0)];

    use super::super::vocabulary::tests::pieces;

    fn refused(trainer: &[(u64, u64)], normalizer: &[(u64, u64)]) -> String {
        let file = model_file(&pieces(&[("a", 0.0)]), trainer, normalizer);
        ModelProto::parse("x.model", &file).unwrap_err().to_string()
    }

    #[test]
    fn reads_a_model() {
        let file = model_file(&pieces(&[("▁a", -1.5)]), TRAINER, NORMALIZER);
        let model = ModelProto::parse("x.model", &file).unwrap();
        assert_eq!(model.vocabulary.len(), 260);
        assert_eq!(
            model.vocabulary.piece(259),
            Some(&Piece { text: "▁a".into(), score: -1.5, kind: PieceKind::Normal })
        );
        assert_eq!((model.unk, model.bos, model.eos, model.pad), (0, Some(1), Some(2), None));
        assert!(model.add_dummy_prefix && !model.remove_extra_whitespaces);
        let file = model_file(&pieces(&[]), &[(3, 2), (35, 1)], &[(3, 0)]);
        let model = ModelProto::parse("x.model", &file).unwrap();
        assert!(!model.add_dummy_prefix && model.remove_extra_whitespaces);
    }

    #[test]
    fn what_is_no_sentencepiece_model_is_named() {
        let refused = |bytes: &[u8]| ModelProto::parse("a/tokenizer.model", bytes).unwrap_err();
        let tiktoken = refused(b"IQ== 0\nIg== 1\nIw== 2\n");
        assert_eq!(tiktoken.class(), FaultKind::Unsupported);
        assert!(
            tiktoken.to_string().contains("tiktoken") && tiktoken.to_string().contains("Llama 3"),
            "{tiktoken}"
        );
        let pointer = refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
        assert!(
            pointer.to_string().contains("a/tokenizer.model") && pointer.to_string().contains("Git LFS"),
            "{pointer}"
        );
        assert!(!is_tiktoken(b"IQ==") && !is_tiktoken(b"\n\x0e\n") && !is_tiktoken(b"a b c"));
    }

    #[test]
    fn refuses_other_kinds_by_name() {
        assert!(refused(&[(3, 1)], &[]).contains("a unigram model is not supported"));
        assert!(refused(&[], &[]).contains("a unigram model is not supported"));
        assert!(refused(&[(3, 2), (24, 1)], &[]).contains("treat_whitespace_as_suffix"));
        assert!(refused(&[(3, 2)], &[(5, 0)]).contains("escape_whitespaces"));
        assert!(refused(&[(3, 2), (4, 600)], &[]).contains("at least the 600"));
        let mut file = model_file(&pieces(&[]), TRAINER, &[]);
        let mut normalizer = Vec::new();
        put_bytes(1, b"nmt_nfkc", &mut normalizer);
        put_bytes(2, b"1234", &mut normalizer);
        put_bytes(3, &normalizer, &mut file);
        let message = ModelProto::parse("x.model", &file).unwrap_err().to_string();
        assert!(message.contains("\"nmt_nfkc\" with 4 bytes of map"), "{message}");
    }

    #[test]
    fn refuses_damaged_files_with_their_offset() {
        let file = model_file(&pieces(&[("a", 0.0)]), TRAINER, NORMALIZER);
        for cut in (0..file.len()).step_by(7) {
            // A cut between two fields can leave a readable message, which then lacks its specification.
            let message = ModelProto::parse("x.model", &file[..cut]).unwrap_err().to_string();
            assert!(message.starts_with("x.model: "), "{message}");
        }
        let mut bad_text = file.clone();
        bad_text[4] = 0xff;
        let message = ModelProto::parse("x.model", &bad_text).unwrap_err().to_string();
        assert!(message.contains("byte 4: expected UTF-8 text, found byte 0xff"), "{message}");
        let mut twice = pieces(&[]);
        twice[1].kind = PieceKind::Unknown;
        let message =
            ModelProto::parse("x", &model_file(&twice, TRAINER, NORMALIZER)).unwrap_err().to_string();
        assert!(message.contains("found several"), "{message}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics_on_changed_bytes(changes in proptest::collection::vec((0usize..3000, 0u8..), 1..8)) {
            let mut file = model_file(&pieces(&[("a", 0.0), ("ab", 0.0)]), TRAINER, NORMALIZER);
            for (at, value) in changes {
                let at = at % file.len();
                file[at] = value;
            }
            let _ = ModelProto::parse("x.model", &file);
        }
    }
}
