//! Vocabularies of tiktoken: what Meta calls `tokenizer.model` since Llama 3.
//!
//! Each line is a token's bytes in base64 and its rank, which is its id and the order in which pairs are merged. How a text is
//! cut into words and what the special tokens are, the file does not say: Llama 3's code does, for its only vocabulary of this
//! kind. The file is read as the byte-level vocabulary of the same ids, with a merge for each way in which two tokens make one,
//! as transformers has it; so everything that knows such vocabularies knows this one.
//! Source: `tokenizer.py` of Meta's `llama-models` (words, special tokens), `load_tiktoken_bpe` of tiktoken (the file),
//! `TikTokenConverter` of transformers (the merges).

use std::collections::HashMap;

use super::vocabulary::{MAX_PIECES, PieceKind};
use super::{SpecialIds, TokenizerError};
use crate::weights::gguf::{Metadata, Value};

/// Longest token in bytes, as long as Llama 3's longest. Every way to cut one in two is looked at.
const MAX_TOKEN: usize = 128;
/// Most merges that the tokens may stand for; Llama 3's stand for 280147.
const MAX_MERGES: usize = 1 << 20;
/// Most bytes of their texts, which are a few to a merge: a file of long runs of a few characters has far more of both than bytes.
const MAX_MERGE_BYTES: usize = 8 << 20;
/// Special tokens behind the ranks, named or not.
const SPECIALS: usize = 256;
/// Those that have names, by their places, as Meta's code lists them for Llama 3 and later. Each release has names for other
/// reserved places; all have those of these places that end a text, a header or a turn.
const NAMED: [(usize, &str); 10] = [
    (0, "<|begin_of_text|>"),
    (1, "<|end_of_text|>"),
    (4, "<|finetune_right_pad_id|>"),
    (5, "<|step_id|>"),
    (6, "<|start_header_id|>"),
    (7, "<|end_header_id|>"),
    (8, "<|eom_id|>"),
    (9, "<|eot_id|>"),
    (10, "<|python_tag|>"),
    (11, "<|image|>"),
];
/// Places of the special tokens at which Meta's code stops writing: the ends of a text, of a message and of a turn.
const ENDS: [u32; 3] = [1, 8, 9];

/// Whether a file is a list of tokens in base64 with their ranks. No SentencePiece model begins so.
pub(super) fn is_tiktoken(bytes: &[u8]) -> bool {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line(first).is_some_and(|(token, _)| !token.is_empty())
}

/// The tokens of a file in the order of their ranks, complete and each once.
#[derive(Debug)]
pub(super) struct Ranks {
    tokens: Vec<Vec<u8>>,
}

impl Ranks {
    /// Reads a whole file; `place` names it in errors.
    pub fn parse(place: &str, bytes: &[u8]) -> Result<Ranks, TokenizerError> {
        let mut tokens: Vec<Option<Vec<u8>>> = Vec::new();
        let mut count = 0;
        // A rank takes room for all below it, which a file of few lines does not have.
        let lines = bytes.split(|&byte| byte == b'\n').count();
        for (index, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if text.trim_ascii_end().is_empty() {
                continue;
            }
            let wrong = |expected: &str, found: String| {
                Err(TokenizerError::field(place, format!("line {}", index + 1), expected, found))
            };
            let Some((token, rank)) = line(text) else {
                return wrong("a token in base64 and its rank", format!("{} other bytes", text.len()));
            };
            TokenizerError::check_limit(place, "number of tokens", MAX_PIECES, count + 1)?;
            if token.is_empty() || token.len() > MAX_TOKEN {
                return wrong(
                    &format!("a token of 1 to {MAX_TOKEN} bytes"),
                    format!("one of {} bytes", token.len()),
                );
            }
            let Some(place_of) = usize::try_from(rank).ok().filter(|&rank| rank < lines.min(MAX_PIECES))
            else {
                let most = lines.min(MAX_PIECES);
                return wrong(&format!("a rank below {most}, the number of lines"), rank.to_string());
            };
            if tokens.len() <= place_of {
                tokens.resize(place_of + 1, None);
            }
            if tokens[place_of].replace(token).is_some() {
                return wrong("each rank once", format!("rank {rank} again"));
            }
            count += 1;
        }
        let ranks = tokens.len();
        let tokens: Vec<Vec<u8>> = tokens.into_iter().flatten().collect();
        if tokens.len() != ranks {
            let found = format!("{} of them", tokens.len());
            return Err(TokenizerError::field(place, "ranks", format!("all from 0 to {}", ranks - 1), found));
        }
        let ranks = Ranks { tokens };
        ranks.check(place)?;
        Ok(ranks)
    }

    /// Every byte is a token, so that every text has ids; none is there twice or spells a special token.
    fn check(&self, place: &str) -> Result<(), TokenizerError> {
        let known = self.by_token();
        if known.len() != self.tokens.len() {
            let found = format!("{} different ones of {}", known.len(), self.tokens.len());
            return Err(TokenizerError::field(place, "tokens", "each token once", found));
        }
        let absent = (0..=u8::MAX).filter(|byte| !known.contains_key([*byte].as_slice())).count();
        if absent > 0 {
            let found =
                format!("a vocabulary of tiktoken without {absent} of them; it is cut or made for a test");
            return Err(TokenizerError::field(place, "tokens", "a token for each of the 256 bytes", found));
        }
        match (0..SPECIALS).map(special).find(|name| known.contains_key(name.as_bytes())) {
            Some(name) => {
                let expected = "no token that spells a special one";
                Err(TokenizerError::field(place, "tokens", expected, format!("{name:?}")))
            }
            None => Ok(()),
        }
    }

    fn by_token(&self) -> HashMap<&[u8], usize> {
        self.tokens.iter().enumerate().map(|(rank, token)| (token.as_slice(), rank)).collect()
    }

    /// Number of ids, special tokens included.
    pub fn count(&self) -> usize {
        self.tokens.len() + SPECIALS
    }

    fn special_id(&self, place: u32) -> u32 {
        u32::try_from(self.tokens.len()).expect("ranks are below their limit") + place
    }

    /// What begins and ends a text.
    pub fn ids(&self) -> SpecialIds {
        SpecialIds { bos: Some(self.special_id(0)), eos: Some(self.special_id(1)), unk: None, pad: None }
    }

    /// The ids at which Llama 3 stops writing.
    pub fn ends(&self) -> [u32; 3] {
        ENDS.map(|place| self.special_id(place))
    }

    /// The same vocabulary as the keys of a GGUF file say it, whose readers make everything else of it; `place` names the file in
    /// errors.
    ///
    /// # Errors
    /// Tokens that stand for more merges than any real vocabulary's.
    pub fn metadata(&self, place: &str) -> Result<Metadata, TokenizerError> {
        let spelled: Vec<String> = self.tokens.iter().map(|token| spelling(token)).collect();
        let merges = self.merges(place, &spelled)?;
        let specials = (0..SPECIALS).map(special);
        let kinds = [(PieceKind::Normal, spelled.len()), (PieceKind::Control, SPECIALS)];
        let kinds = kinds.into_iter().flat_map(|(kind, n)| std::iter::repeat_n(i64::from(kind.number()), n));
        let kinds = Value::Integers(kinds.collect());
        let tokens = Value::Strings(spelled.iter().cloned().chain(specials).collect());
        let id = |place: u32| Value::Unsigned(self.special_id(place).into());
        let keys = [
            ("model", Value::String("gpt2".into())),
            ("pre", Value::String("llama-bpe".into())),
            ("tokens", tokens),
            ("token_type", kinds),
            ("merges", Value::Strings(merges)),
            ("bos_token_id", id(0)),
            ("eos_token_id", id(1)),
            ("eom_token_id", id(ENDS[1])),
            ("eot_token_id", id(ENDS[2])),
            ("add_bos_token", Value::Bool(true)),
            ("add_eos_token", Value::Bool(false)),
        ];
        Ok(Metadata(keys.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect()))
    }

    /// All pairs of tokens that make a token, in the order of what they make, then of their own ranks.
    fn merges(&self, place: &str, spelled: &[String]) -> Result<Vec<String>, TokenizerError> {
        let known = self.by_token();
        let (mut merges, mut bytes) = (Vec::new(), 0);
        for token in &self.tokens {
            let halves = (1..token.len()).filter_map(|at| {
                let (left, right) = token.split_at(at);
                Some((*known.get(left)?, *known.get(right)?))
            });
            let mut halves: Vec<(usize, usize)> = halves.collect();
            halves.sort_unstable();
            // Counted before they are kept: what a small file stands for can be large.
            bytes += halves.iter().map(|&(l, r)| spelled[l].len() + 1 + spelled[r].len()).sum::<usize>();
            let count = merges.len() + halves.len();
            TokenizerError::check_limit(place, "number of merges of its tokens", MAX_MERGES, count)?;
            TokenizerError::check_limit(place, "bytes of merges of its tokens", MAX_MERGE_BYTES, bytes)?;
            merges.extend(halves.iter().map(|&(l, r)| format!("{} {}", spelled[l], spelled[r])));
        }
        Ok(merges)
    }
}

/// The name of a special token by its place; places without a name are counted.
fn special(place: usize) -> String {
    match NAMED.iter().find(|(named, _)| *named == place) {
        Some((_, name)) => (*name).to_owned(),
        None => {
            let before = NAMED.iter().filter(|(named, _)| *named < place).count();
            format!("<|reserved_special_token_{}|>", place - before)
        }
    }
}

/// A line's token and rank.
fn line(text: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (token, rank) = std::str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
    // A sign would be read as part of the number.
    let digits = rank.bytes().all(|byte| byte.is_ascii_digit());
    Some((base64(token)?, rank.parse().ok().filter(|_| digits)?))
}

/// The bytes of a text in base64, with its padding; nothing else is read.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digit = |symbol: u8| match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let symbols = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut out = Vec::with_capacity(symbols.len() * 3 / 4);
    for four in symbols.as_bytes().chunks(4) {
        let bits = four.iter().try_fold(0u32, |bits, &symbol| Some(bits << 6 | u32::from(digit(symbol)?)))?;
        let [_, first, second, third] = (bits << (6 * (4 - four.len()))).to_be_bytes();
        out.extend(&[first, second, third][..four.len() - 1]);
    }
    Some(out)
}

/// GPT-2's spelling of bytes: printable ones as they are, the others as the characters from U+0100 on.
fn spelling(token: &[u8]) -> String {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let shifted = |byte: u8| (0..byte).filter(|&other| !is_printable(other)).count() as u32;
    let spelled = |&byte: &u8| match is_printable(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + shifted(byte)).expect("256 characters from U+0100 on"),
    };
    token.iter().map(spelled).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tokenizer::{AddSpecials, Tokenizer};
    use std::fmt::Write as _;
    use std::path::Path;

    /// A small file whose tokens stand for many merges: runs of a byte, of each length, for `letters` of them.
    fn runs(letters: u8) -> Vec<u8> {
        let mut text = String::from_utf8(file(&[])).unwrap();
        let runs = (0..letters).flat_map(|letter| (2..=MAX_TOKEN).map(move |length| vec![letter; length]));
        for (rank, token) in (256..).zip(runs) {
            writeln!(text, "{} {rank}", encoded(&token)).unwrap();
        }
        text.into_bytes()
    }

    /// The text of a file with a token for each byte, in order, and then `more`.
    pub fn file(more: &[&str]) -> Vec<u8> {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let tokens = bytes.chain(more.iter().map(|token| token.as_bytes().to_vec()));
        let mut text = String::new();
        for (rank, token) in tokens.enumerate() {
            writeln!(text, "{} {rank}", encoded(&token)).unwrap();
        }
        text.into_bytes()
    }

    fn encoded(bytes: &[u8]) -> String {
        let symbols: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let bits =
                three.iter().chain(&[0, 0]).take(3).fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
            for at in 0..4 {
                let symbol = char::from(symbols[(bits >> (18 - 6 * at) & 63) as usize]);
                text.push(if at <= three.len() { symbol } else { '=' });
            }
        }
        text
    }

    fn tokenizer(file: &[u8]) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::from_files(Path::new("x"), &|name| Ok((name == "tokenizer.model").then(|| file.to_vec())))
    }

    #[test]
    fn base64_is_read_as_it_is_written_and_nothing_else() {
        for length in 0..9 {
            let bytes: Vec<u8> = (0..length).map(|i| 251 - 31 * i).collect();
            assert_eq!(base64(&encoded(&bytes)), Some(bytes));
        }
        for text in ["A", "AA", "A===", "AA=A", "AA*=", "====", "ÄÄ"] {
            assert_eq!(base64(text).filter(|bytes| !bytes.is_empty()), None, "{text}");
        }
    }

    #[test]
    fn text_has_the_ids_of_its_longest_merges_and_special_tokens_stand_behind_the_ranks() {
        let tokenizer = tokenizer(&file(&["in", "ing", " s", "sing", "é"])).unwrap();
        let ids = |text: &str| tokenizer.encode(text, AddSpecials::Default).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.bos(), tokenizer.eos()), (517, Some(261), Some(262)));
        assert_eq!(tokenizer.ends(), [262, 269, 270]);
        assert_eq!(ids("sing"), [261, 259]);
        // A word is cut before the space, and merged by rank: "in", "ing", " s".
        assert_eq!(ids("é sing"), [261, 260, 258, 257]);
        assert_eq!(ids("1234"), [261, 49, 50, 51, 52]);
        assert_eq!(ids("<|eot_id|>\n"), [261, 270, 10]);
        assert_eq!(tokenizer.encode_raw("<|eot").unwrap().len(), 5);
        assert_eq!(tokenizer.decode(&ids("é sing\u{7f}🙂")).unwrap(), "<|begin_of_text|>é sing\u{7f}🙂");
        assert_eq!(tokenizer.token_text(266).as_deref(), Some("<|step_id|>"));
        assert_eq!(tokenizer.token_text(516).as_deref(), Some("<|reserved_special_token_245|>"));
    }

    #[test]
    fn tokens_that_stand_for_too_many_merges_are_refused() {
        assert!(tokenizer(&runs(1)).is_ok());
        let small = runs(8);
        let error = tokenizer(&small).unwrap_err().to_string();
        assert!(
            small.len() < 1 << 17 && error.contains("bytes of merges of its tokens expected to be"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_complete_list_is_refused_with_its_line() {
        let good = String::from_utf8(file(&["ab"])).unwrap();
        assert!(Ranks::parse("m", good.replace('\n', "\r\n").as_bytes()).is_ok());
        for (from, to, said) in [
            ("AA== 0\n", "", "all from 0 to 256, found 256"),
            ("AQ== 1\n", "AQ== 0\n", "line 2: expected each rank once, found rank 0 again"),
            ("AQ== 1\n", "AA== 1\n", "each token once"),
            ("AQ== 1\n", "AQ== -1\n", "line 2: expected a token in base64"),
            ("AQ== 1\n", "AQ== 99999999\n", "line 2: expected a rank below"),
            ("AQ== 1\n", "A!== 1\n", "line 2: expected a token in base64"),
            ("AQ== 1\n", " 1\n", "line 2: expected a token of 1 to 128 bytes"),
            ("YWI= 256\n", "PHxlb3RfaWR8Pg== 256\n", "\"<|eot_id|>\""),
            ("/w== 255\nYWI= 256\n", "YWI= 255\n", "without 1 of them"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = tokenizer(good.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{to}: {error}");
        }
    }
}
