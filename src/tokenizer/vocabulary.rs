//! A SentencePiece vocabulary, checked: pieces with scores and kinds, and the tables that encoding needs.

use std::collections::HashMap;

use super::TokenizerError;
use super::literals::Literals;

/// More pieces than any released vocabulary has (the largest are near 262,000).
pub(super) const MAX_PIECES: usize = 1 << 20;

/// What a piece is for. The numbers are those of SentencePiece's `ModelProto` and of `tokenizer.ggml.token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// 1: ordinary text, built by merging.
    Normal,
    /// 2: stands for what the vocabulary cannot spell.
    Unknown,
    /// 3: a special token such as `<s>`, never found in text by the encoder itself.
    Control,
    /// 4: found in text as a whole, never merged with its neighbours.
    UserDefined,
    /// 5: takes part in merging, is taken apart again in the result.
    Unused,
    /// 6: one byte, spelled `<0x00>` to `<0xFF>`.
    Byte,
}

impl PieceKind {
    const ALL: [PieceKind; 6] = [
        PieceKind::Normal,
        PieceKind::Unknown,
        PieceKind::Control,
        PieceKind::UserDefined,
        PieceKind::Unused,
        PieceKind::Byte,
    ];

    /// The kind with this number in `ModelProto` or GGUF.
    pub fn from_number<N: PartialEq + From<u8>>(number: N) -> Option<PieceKind> {
        Self::ALL.into_iter().find(|kind| number == N::from(kind.number()))
    }

    /// Its number in `ModelProto` and GGUF.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Whether merging may produce the piece.
    fn merges(self) -> bool {
        matches!(self, PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused)
    }
}

/// One entry of the vocabulary; its id is its index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: PieceKind,
}

/// Pieces and lookup tables.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pieces: Vec<Piece>,
    by_text: HashMap<String, u32>,
    bytes: Option<Box<[u32; 256]>>,
    unk: Option<u32>,
    longest: usize,
    user_defined: Option<Literals>,
}

impl Vocabulary {
    /// Checks `pieces` and builds the tables. `unk` is the id for text that cannot be spelled; `byte_fallback`
    /// asks for all 256 byte pieces. `place` names the file in errors.
    ///
    /// Errors: no pieces or too many, an empty piece, a piece twice, a score that is not finite, a byte piece
    /// that is no byte, an incomplete set of byte pieces.
    pub fn new(
        place: &str,
        pieces: Vec<Piece>,
        unk: Option<u32>,
        byte_fallback: bool,
    ) -> Result<Vocabulary, TokenizerError> {
        let bad = |id: usize, piece: &Piece, expected: &str, found: String| {
            TokenizerError::field(place, format!("piece {id} ({:?})", piece.text), expected, found)
        };
        if pieces.is_empty() {
            return Err(TokenizerError::field(place, "pieces", "a vocabulary", "no pieces"));
        }
        TokenizerError::check_limit(place, "number of pieces", MAX_PIECES, pieces.len())?;
        let mut by_text = HashMap::with_capacity(pieces.len());
        let mut byte_ids = [None; 256];
        let mut user_defined = Vec::new();
        let mut longest = 0;
        for (id, piece) in pieces.iter().enumerate() {
            if piece.text.is_empty() {
                return Err(bad(id, piece, "a text", "an empty one".to_owned()));
            }
            if !piece.score.is_finite() {
                return Err(bad(id, piece, "a finite score", piece.score.to_string()));
            }
            if let Some(first) = by_text.insert(piece.text.clone(), id as u32) {
                return Err(bad(id, piece, "each text once", format!("the text of piece {first} again")));
            }
            match piece.kind {
                PieceKind::Byte => {
                    let byte = parse_byte(&piece.text).ok_or_else(|| {
                        bad(id, piece, "<0x00> to <0xFF> for a byte piece", "another text".into())
                    })?;
                    byte_ids[usize::from(byte)] = Some(id as u32);
                }
                PieceKind::UserDefined => user_defined.push((piece.text.clone(), id as u32)),
                _ => {}
            }
            if piece.kind.merges() {
                longest = longest.max(piece.text.len());
            }
        }
        let bytes = if byte_fallback { Some(Box::new(all_bytes(place, &byte_ids)?)) } else { None };
        if bytes.is_none() && unk.is_none() {
            return Err(TokenizerError::field(
                place,
                "pieces",
                "an unknown piece or 256 byte pieces, so that every text can be encoded",
                "neither",
            ));
        }
        if let Some(unk) = unk.filter(|&unk| unk as usize >= pieces.len()) {
            let found = format!("{unk} of {} pieces", pieces.len());
            return Err(TokenizerError::field(place, "unknown id", "an id in the vocabulary", found));
        }
        let user_defined = Literals::new(place, user_defined)?;
        Ok(Vocabulary { pieces, by_text, bytes, unk, longest, user_defined })
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The piece with this id.
    pub fn piece(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(id as usize)
    }

    /// All pieces in id order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The id of the piece with exactly this text, whatever its kind.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.by_text.get(text).copied()
    }

    /// The id and piece that merging may produce for this text.
    pub fn mergeable(&self, text: &str) -> Option<(u32, &Piece)> {
        if text.len() > self.longest {
            return None;
        }
        let id = self.id(text)?;
        let piece = self.piece(id)?;
        piece.kind.merges().then_some((id, piece))
    }

    /// Finds the pieces that are taken from text as a whole.
    pub fn user_defined(&self) -> Option<&Literals> {
        self.user_defined.as_ref()
    }

    /// Appends the ids of a text that is no piece: its bytes, else one unknown id, which a run shares.
    pub fn push_unspellable(&self, text: &str, ids: &mut Vec<u32>) {
        match (&self.bytes, self.unk) {
            (Some(bytes), _) => ids.extend(text.bytes().map(|byte| bytes[usize::from(byte)])),
            (None, Some(unk)) if ids.last() != Some(&unk) => ids.push(unk),
            _ => {}
        }
    }
}

/// The byte that a byte piece `<0xHH>` stands for.
pub(super) fn parse_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(digits, 16).ok())?
}

fn all_bytes(place: &str, ids: &[Option<u32>; 256]) -> Result<[u32; 256], TokenizerError> {
    let missing = ids.iter().filter(|id| id.is_none()).count();
    if missing > 0 {
        return Err(TokenizerError::field(
            place,
            "byte_fallback",
            "all 256 byte pieces <0x00> to <0xFF>",
            format!("{missing} of them missing"),
        ));
    }
    Ok(ids.map(|id| id.expect("no byte piece is missing")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A vocabulary of `(text, score)` pieces after `<unk>`, `<s>`, `</s>` and the 256 bytes: the first has id 259.
    pub fn with_bytes(normal: &[(&str, f32)]) -> Vocabulary {
        Vocabulary::new("test", pieces(normal), Some(0), true).unwrap()
    }

    pub fn pieces(normal: &[(&str, f32)]) -> Vec<Piece> {
        let piece = |text: String, score, kind| Piece { text, score, kind };
        let mut all = vec![
            piece("<unk>".into(), 0.0, PieceKind::Unknown),
            piece("<s>".into(), 0.0, PieceKind::Control),
            piece("</s>".into(), 0.0, PieceKind::Control),
        ];
        all.extend((0..=255).map(|b| piece(format!("<0x{b:02X}>"), 0.0, PieceKind::Byte)));
        all.extend(normal.iter().map(|&(text, score)| piece(text.into(), score, PieceKind::Normal)));
        all
    }

    fn refused(pieces: Vec<Piece>, unk: Option<u32>, byte_fallback: bool) -> String {
        Vocabulary::new("x.model", pieces, unk, byte_fallback).unwrap_err().to_string()
    }

    #[test]
    fn refuses_unusable_vocabularies() {
        assert!(refused(vec![], Some(0), false).contains("no pieces"));
        assert!(
            refused(pieces(&[("a", 0.0), ("a", 0.0)]), Some(0), true).contains("text of piece 259 again")
        );
        assert!(refused(pieces(&[("a", f32::NAN)]), Some(0), true).contains("finite score, found NaN"));
        assert!(refused(pieces(&[("", 0.0)]), Some(0), true).contains("an empty one"));
        let few: Vec<Piece> = pieces(&[("a", 0.0)]).into_iter().filter(|p| p.text != "<0x0A>").collect();
        assert!(refused(few, Some(0), true).contains("1 of them missing"));
        let mut wrong = pieces(&[]);
        wrong[3].text = "<0x+1>".into();
        assert!(refused(wrong, Some(0), true).contains("<0x00> to <0xFF>"));
        assert!(refused(pieces(&[]), None, false).contains("found neither"));
        assert!(refused(pieces(&[]), Some(9999), false).contains("9999 of 259"));
    }

    #[test]
    fn control_and_byte_pieces_are_never_merged() {
        let vocabulary = with_bytes(&[("ab", -1.0)]);
        assert_eq!(vocabulary.mergeable("ab").map(|(id, _)| id), Some(259));
        assert_eq!(vocabulary.mergeable("<s>").map(|(id, _)| id), None);
        assert_eq!(vocabulary.mergeable("<0x41>").map(|(id, _)| id), None);
        assert_eq!(vocabulary.id("<s>"), Some(1));
    }

    #[test]
    fn without_bytes_a_run_of_unknown_text_is_one_unknown_id() {
        let vocabulary = Vocabulary::new("test", pieces(&[]), Some(0), false).unwrap();
        let mut ids = vec![];
        vocabulary.push_unspellable("a", &mut ids);
        vocabulary.push_unspellable("b", &mut ids);
        assert_eq!(ids, [0]);
    }
}
