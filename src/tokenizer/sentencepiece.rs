//! Encoding and decoding with a SentencePiece vocabulary, with special tokens split out of the text.
//!
//! Raw encoding follows the SentencePiece library. Around it, special tokens and decoding follow what
//! `LlamaTokenizerFast` does with the same vocabulary, since published ids and scores come from there: text after a
//! special token gets a dummy prefix of its own (`legacy`), or only the start of the whole text gets one.

use std::fmt::Write as _;

use super::TokenizerError;
use super::merge;
use super::specials::{SpecialTokens, Split};
use super::vocabulary::{PieceKind, Vocabulary, parse_byte};

/// What stands for a space in pieces.
const SPACE: char = '▁';

/// Bytes of text that one call encodes at most; offsets are kept in 32 bits, and spaces become 3 bytes.
const MAX_TEXT: usize = 512 << 20;

/// How text is prepared before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextRules {
    /// Put a space before text, so that a word has the same pieces at the start as after another word.
    pub add_dummy_prefix: bool,
    /// Only the start of the text gets that space, and only if it does not begin with one (`legacy: false`).
    pub prefix_at_start_only: bool,
    /// Drop leading, trailing and repeated spaces.
    pub remove_extra_whitespaces: bool,
}

impl TextRules {
    /// An added token of normalised text as it stands there.
    pub fn normalized(self, token: &str) -> String {
        if self.prefix_at_start_only { token.to_owned() } else { self.prepare(token, true) }
    }

    /// The text as the pieces spell it: spaces as `▁`, a dummy prefix where the rules put one.
    fn prepare(self, text: &str, at_start: bool) -> String {
        let mut prepared = String::with_capacity(text.len() + text.len() / 4 + 3);
        if self.remove_extra_whitespaces {
            for word in text.split(' ').filter(|word| !word.is_empty()) {
                if !prepared.is_empty() {
                    prepared.push(SPACE);
                }
                prepared.push_str(word);
            }
            prepared.truncate(prepared.trim_end_matches(SPACE).len());
        } else {
            prepared.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        }
        let prefix = self.add_dummy_prefix
            && !prepared.is_empty()
            && (!self.prefix_at_start_only || at_start && !prepared.starts_with(SPACE));
        if prefix {
            prepared.insert(0, SPACE);
        }
        prepared
    }
}

/// A vocabulary with its rules.
#[derive(Debug)]
pub(super) struct SentencePiece {
    vocabulary: Vocabulary,
    specials: SpecialTokens,
    rules: TextRules,
}

impl SentencePiece {
    /// Joins the parts. Ids of `specials` that are in the vocabulary have the same text there.
    pub fn new(vocabulary: Vocabulary, specials: SpecialTokens, rules: TextRules) -> SentencePiece {
        SentencePiece { vocabulary, specials, rules }
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        let added = self.specials.last_id().map_or(0, |id| id as usize + 1);
        self.vocabulary.len().max(added)
    }

    /// The text of a token as the vocabulary spells it (with `▁` for a space).
    pub fn token_text(&self, id: u32) -> Option<&str> {
        let added = self.specials.get(id).map(|token| token.text.as_str());
        added.or_else(|| self.vocabulary.piece(id).map(|piece| piece.text.as_str()))
    }

    /// Appends the ids of `text`; spelled special tokens become themselves.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        check_length(text)?;
        for segment in self.specials.split(text) {
            match segment {
                Split::Token(id) => ids.push(id),
                Split::Text(start, part) => self.encode_between(part, start == 0, ids),
            }
        }
        Ok(())
    }

    /// Appends the ids of a text between special tokens. Added tokens of normalised text are looked for in it as the fast
    /// tokenizers do: with a prefix for every text, one of them is found only where it has that prefix too, at the beginning
    /// or after a space, which belongs to it then.
    fn encode_between(&self, text: &str, at_start: bool, ids: &mut Vec<u32>) {
        if self.rules.prefix_at_start_only {
            for segment in self.specials.split_normalized(text) {
                match segment {
                    Split::Token(id) => ids.push(id),
                    Split::Text(start, part) => self.encode_part(part, at_start && start == 0, ids),
                }
            }
            return;
        }
        let prepared = self.rules.prepare(text, at_start);
        for segment in self.specials.split_normalized(&prepared) {
            match segment {
                Split::Token(id) => ids.push(id),
                Split::Text(_, part) => drop(merge::encode(&self.vocabulary, part, ids)),
            }
        }
    }

    /// Appends the ids of `text`, all of which is ordinary text.
    pub fn encode_raw(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        check_length(text)?;
        self.encode_part(text, true, ids);
        Ok(())
    }

    fn encode_part(&self, text: &str, at_start: bool, ids: &mut Vec<u32>) {
        merge::encode(&self.vocabulary, &self.rules.prepare(text, at_start), ids);
    }

    /// Whether decoding gives something for an id.
    pub fn is_shown(&self, id: u32, skip_specials: bool) -> bool {
        let special = self.specials.get(id).is_some_and(|token| token.special);
        self.token_text(id).is_some() && !(skip_specials && special)
    }

    /// The text of the ids. Byte pieces in a row are one UTF-8 text, or one U+FFFD each if they are not UTF-8; one
    /// leading space, the dummy prefix, is dropped. Ids without a token give nothing.
    pub fn decode(&self, ids: &[u32], skip_specials: bool) -> String {
        let mut text = String::new();
        let mut bytes = Vec::new();
        for &id in ids.iter().filter(|&&id| self.is_shown(id, skip_specials)) {
            let is_byte = self.vocabulary.piece(id).is_some_and(|piece| piece.kind == PieceKind::Byte);
            let token = self.token_text(id).expect("what is shown is a token");
            if let Some(byte) = is_byte.then(|| parse_byte(token)).flatten() {
                bytes.push(byte);
                continue;
            }
            flush(&mut bytes, &mut text);
            text.extend(token.chars().map(|c| if c == SPACE { ' ' } else { c }));
        }
        flush(&mut bytes, &mut text);
        if self.rules.add_dummy_prefix && text.starts_with(' ') {
            text.remove(0);
        }
        text
    }

    /// Appends all that decides ids, for a digest.
    pub fn describe(&self, out: &mut String) {
        for piece in self.vocabulary.pieces() {
            let _ = writeln!(
                out,
                "{} {} {:08x} {}",
                piece.text.len(),
                piece.text,
                piece.score.to_bits(),
                piece.kind as u8
            );
        }
        let TextRules { add_dummy_prefix, prefix_at_start_only, remove_extra_whitespaces } = self.rules;
        // The names are part of digests that stand in files.
        let _ = writeln!(
            out,
            "TextRules {{ add_dummy_prefix: {add_dummy_prefix}, prefix_at_start_only: {prefix_at_start_only}, \
             remove_extra_whitespaces: {remove_extra_whitespaces} }}"
        );
    }
}

fn check_length(text: &str) -> Result<(), TokenizerError> {
    TokenizerError::check_limit("text to encode", "bytes", MAX_TEXT, text.len())
}

fn flush(bytes: &mut Vec<u8>, text: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.extend(bytes.iter().map(|_| char::REPLACEMENT_CHARACTER)),
    }
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::super::specials::AddedToken;
    use super::super::vocabulary::tests::with_bytes;
    use super::*;

    const LEGACY: TextRules =
        TextRules { add_dummy_prefix: true, prefix_at_start_only: false, remove_extra_whitespaces: false };

    /// Ids: ▁=259 a=260 b=261 ▁a=262 ▁▁=263.
    fn tokenizer(rules: TextRules) -> SentencePiece {
        let vocabulary = with_bytes(&[("▁", -5.0), ("a", -5.0), ("b", -5.0), ("▁a", -1.0), ("▁▁", -9.0)]);
        let tokens =
            [(1, "<s>"), (2, "</s>"), (300, "[PAD]")].map(|(id, text)| (id, AddedToken::new(text, true)));
        with_tokens(vocabulary, tokens.into(), rules)
    }

    fn with_tokens(
        vocabulary: Vocabulary,
        tokens: std::collections::BTreeMap<u32, AddedToken>,
        rules: TextRules,
    ) -> SentencePiece {
        let tokens = SpecialTokens::new("test", tokens, |text| rules.normalized(text)).unwrap();
        SentencePiece::new(vocabulary, tokens, rules)
    }

    fn ids(tokenizer: &SentencePiece, text: &str) -> Vec<u32> {
        let mut ids = vec![];
        tokenizer.encode(text, &mut ids).unwrap();
        ids
    }

    #[test]
    fn every_text_part_gets_its_own_prefix() {
        let tokenizer = tokenizer(LEGACY);
        assert_eq!(ids(&tokenizer, "a</s>a[PAD]"), [262, 2, 262, 300]);
        assert_eq!(ids(&tokenizer, " a"), [259, 262]);
        assert_eq!(ids(&tokenizer, " "), [263]);
        assert!(ids(&tokenizer, "").is_empty());
        assert_eq!(ids(&tokenizer, "<s>"), [1]);
        let mut raw = vec![];
        tokenizer.encode_raw("<s>", &mut raw).unwrap();
        assert_eq!(raw, [259, 3 + 0x3C, 3 + 0x73, 3 + 0x3E]);
    }

    #[test]
    fn without_legacy_only_the_start_gets_a_prefix() {
        let tokenizer = tokenizer(TextRules { prefix_at_start_only: true, ..LEGACY });
        assert_eq!(ids(&tokenizer, "a</s>a"), [262, 2, 260]);
        assert_eq!(ids(&tokenizer, " a"), [262]);
        assert_eq!(ids(&tokenizer, "<s>a"), [1, 260]);
    }

    /// What transformers 4.57 makes of the same vocabulary with `<m>` as 264, once looked for as it is, once in normalised text.
    #[test]
    fn added_tokens_of_normalised_text_are_found_after_the_others() {
        let texts = [
            "<m></s>a",
            "a<m></s>a",
            "<m>a",
            "a <m>a",
            "</s><m>",
            "</s> <m> a",
            "a<m>",
            "<m><m></s>",
            "<m> </s>",
            "a <m>",
            "  <m>a",
        ];
        let of = |normalized: bool, rules: TextRules| {
            let vocabulary = with_bytes(&[("▁", -5.0), ("a", -5.0), ("b", -5.0), ("▁a", -1.0), ("▁▁", -9.0)]);
            let token = AddedToken { normalized: Some(normalized), ..AddedToken::new("<m>", false) };
            let tokens =
                [(1, AddedToken::new("<s>", true)), (2, AddedToken::new("</s>", true)), (264, token)];
            let tokenizer = with_tokens(vocabulary, tokens.into(), rules);
            texts.map(|text| ids(&tokenizer, text))
        };
        let spelled = [63, 112, 65];
        let normalized = [
            vec![264, 2, 262],
            [&[262], &spelled[..], &[2, 262]].concat(),
            vec![264, 260],
            vec![262, 264, 260],
            vec![2, 264],
            vec![2, 259, 264, 262],
            [&[262], &spelled[..]].concat(),
            [&[264], &spelled[..], &[2]].concat(),
            vec![264, 259, 2],
            vec![262, 264],
            vec![263, 264, 260],
        ];
        assert_eq!(of(true, LEGACY), normalized);
        let literal = [
            vec![264, 2, 262],
            vec![262, 264, 2, 262],
            vec![264, 262],
            vec![262, 259, 264, 262],
            vec![2, 264],
            vec![2, 263, 264, 259, 262],
            vec![262, 264],
            vec![264, 264, 2],
            vec![264, 263, 2],
            vec![262, 259, 264],
            vec![263, 259, 264, 262],
        ];
        assert_eq!(of(false, LEGACY), literal);
        let at_start = [
            vec![264, 2, 260],
            vec![262, 264, 2, 260],
            vec![264, 260],
            vec![262, 259, 264, 260],
            vec![2, 264],
            vec![2, 259, 264, 262],
            vec![262, 264],
            vec![264, 264, 2],
            vec![264, 259, 2],
            vec![262, 259, 264],
            vec![263, 264, 260],
        ];
        let modern = TextRules { prefix_at_start_only: true, ..LEGACY };
        assert_eq!((of(true, modern), of(false, modern)), (at_start.clone(), at_start));
    }

    #[test]
    fn extra_spaces_go_only_if_the_model_says_so() {
        let tokenizer = tokenizer(TextRules { remove_extra_whitespaces: true, ..LEGACY });
        assert_eq!(ids(&tokenizer, "  a   a  "), [262, 262]);
        assert!(ids(&tokenizer, "   ").is_empty());
    }

    #[test]
    fn decoding_drops_one_space_and_joins_bytes() {
        let tokenizer = tokenizer(LEGACY);
        for text in ["a b", " a", "  a  b ", "é🙂\n", ""] {
            assert_eq!(tokenizer.decode(&ids(&tokenizer, text), false), text, "{text:?}");
        }
        // The prefix of a later text stays, as in the fast tokenizers.
        assert_eq!(tokenizer.decode(&ids(&tokenizer, "a</s>a"), false), "a</s> a");
        assert_eq!(tokenizer.decode(&[1, 262, 2, 300], true), "a");
        assert_eq!(tokenizer.decode(&[1, 262, 2], false), "<s> a</s>");
        assert_eq!(
            tokenizer.decode(&[3 + 0xC3, 260, 3 + 0xC3, 3 + 0x28], false),
            "\u{fffd}a\u{fffd}\u{fffd}"
        );
        assert_eq!(tokenizer.decode(&[260, 9999], false), "a");
    }

    #[test]
    fn size_counts_added_tokens() {
        assert_eq!(tokenizer(LEGACY).vocab_size(), 301);
        assert_eq!(tokenizer(LEGACY).token_text(300), Some("[PAD]"));
        assert_eq!(tokenizer(LEGACY).token_text(262), Some("▁a"));
        assert_eq!(tokenizer(LEGACY).token_text(299), None);
    }
}
