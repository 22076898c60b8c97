use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::library::Library;
use super::super::library::tests::small_json;
use super::super::sentencepiece::{SentencePiece, TextRules};
use super::super::specials::{AddedToken, SpecialTokens};
use super::super::vocabulary::tests::with_bytes;
use super::super::{SpecialIds, SpecialNames};
use super::*;

const BYTE: u32 = 3;

/// After the special tokens and bytes: ▁=259 a=260 b=261 ▁a=262 ▁▁=263 中=264 .=265 �=266, and the added tokens [PAD], which is
/// special, and [A].
fn sentencepiece(add_dummy_prefix: bool) -> Tokenizer {
    let texts = ["▁", "a", "b", "▁a", "▁▁", "中", ".", "�"];
    let vocabulary = with_bytes(&texts.map(|text| (text, -1.0)));
    let tokens = [(1, "<s>", true), (2, "</s>", true), (300, "[PAD]", true), (301, "[A]", false)];
    let tokens = tokens.map(|(id, text, special)| (id, AddedToken::new(text, special)));
    let specials = SpecialTokens::new("test", tokens.into(), str::to_owned).unwrap();
    let rules = TextRules { add_dummy_prefix, prefix_at_start_only: false, remove_extra_whitespaces: false };
    of(Engine::SentencePiece(Box::new(SentencePiece::new(vocabulary, specials, rules))))
}

fn of(engine: Engine) -> Tokenizer {
    let (names, sha256) = (SpecialNames::default(), String::new());
    Tokenizer::new(engine, SpecialIds::default(), None, names, sha256).unwrap()
}

fn library(vocabulary: &[&str], decoder: &Value, clean_up: bool) -> Tokenizer {
    let mut json = small_json();
    let tokens = ["<s>"].iter().chain(vocabulary).zip(0u32..);
    json["model"]["vocab"] = tokens.map(|(token, id)| ((*token).to_owned(), json!(id))).collect();
    json["model"]["merges"] = json!([]);
    json["decoder"] = decoder.clone();
    of(Engine::Library(Box::new(Library::new("t.json", json, clean_up).unwrap())))
}

/// Bytes of a line end and of 中 (E4 B8 AD) in all groups, a byte that is never text (FF), and plain words.
fn byte_level(clean_up: bool) -> Tokenizer {
    let vocabulary =
        ["a", "Ġ", "Ġa", ".", "ä", "¸", "Ń", "Ċ", "Ċä", "¸Ń", "Ńa", "ä¸", "ÿ", "Ġ'", "s", "n't", "中"];
    let decoder = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    library(&vocabulary, &decoder, clean_up)
}

/// The pieces of a SentencePiece vocabulary, as far as they matter here.
fn pieces(decoder: &Value) -> Tokenizer {
    let vocabulary = ["▁", "a", "▁a", "▁▁", "<0x20>", "<0x0A>", "<0xE4>", "<0xB8>", "<0xAD>", "<0xFF>", "中"];
    library(&vocabulary, decoder, false)
}

fn llama_decoder(strips: bool) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let mut decoders = vec![replace, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if strips {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

/// All kinds, and whether a window tells what the whole would.
fn all() -> Vec<(&'static str, Tokenizer, bool)> {
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": false});
    vec![
        ("sentencepiece", sentencepiece(true), true),
        ("sentencepiece without a prefix", sentencepiece(false), true),
        ("byte-level", byte_level(false), true),
        ("byte-level, cleaned up", byte_level(true), true),
        ("llama in tokenizer.json", pieces(&llama_decoder(true)), true),
        ("llama in tokenizer.json without a prefix", pieces(&llama_decoder(false)), true),
        ("metaspace", pieces(&metaspace), true),
        ("no decoder", pieces(&Value::Null), true),
        ("a decoder of another family", pieces(&json!({"type": "BPEDecoder", "suffix": "a"})), false),
    ]
}

/// What a stream gives out after each id.
fn certain(mut stream: TextStream<'_>, ids: &[u32]) -> Vec<String> {
    let mut said = 0;
    let mut one = |id: &u32| {
        stream.push(*id).unwrap();
        let new = stream.certain()[said..].to_owned();
        said += new.len();
        new
    };
    ids.iter().map(&mut one).collect()
}

#[test]
fn text_is_given_out_as_soon_as_it_is_certain() {
    let tokenizer = sentencepiece(true);
    let ids = [262, 2, BYTE + 0xE4, BYTE + 0xB8, BYTE + 0xAD, BYTE + 0x0A, 260, 300, 301];
    assert_eq!(certain(TextStream::alone(&tokenizer), &ids), ["a", "", "", "", "", "", "中\na", "", "[A]"]);
    let mut stream = TextStream::alone(&tokenizer);
    let whole: Vec<String> = ids[..6]
        .iter()
        .map(|&id| {
            stream.push(id).unwrap();
            stream.text().to_owned()
        })
        .collect();
    assert_eq!(whole, ["a", "a", "a\u{fffd}", "a\u{fffd}\u{fffd}", "a中", "a中\n"]);
    // Where bytes are pieces of characters, a line end is one at once, and what follows it waits.
    let tokenizer = byte_level(false);
    let ids = [1, 9, 10, 2];
    assert_eq!(certain(TextStream::alone(&tokenizer), &ids), ["a", "\n", "中", " "]);
    assert_eq!(certain(TextStream::alone(&tokenizer), &[13, 13, 1]), ["", "\u{fffd}", "\u{fffd}a"]);
    // A space may go with what comes after it.
    let tokenizer = byte_level(true);
    assert_eq!(certain(TextStream::alone(&tokenizer), &[1, 2, 4, 3]), ["a", "", ".", " a"]);
}

#[test]
fn a_text_of_its_own_loses_a_space_and_one_that_goes_on_does_not() {
    for tokenizer in [sentencepiece(true), pieces(&llama_decoder(true))] {
        let id = |text: &str| (0..400).find(|&id| tokenizer.token_text(id).as_deref() == Some(text)).unwrap();
        let text = |stream: TextStream<'_>| certain(stream, &[id("▁a")]).concat();
        let after = |prompt: &[u32]| text(TextStream::after(&tokenizer, prompt).unwrap());
        assert_eq!(text(TextStream::alone(&tokenizer)), "a");
        assert_eq!(after(&[id("a")]), " a");
        assert_eq!(after(&[id("▁a"), id("<s>")]), " a");
        assert_eq!(after(&[id("a"), id("<0x0A>")]), " a");
        // Nothing that is seen comes before it.
        assert_eq!(after(&[id("<s>")]), "a");
        assert_eq!(after(&[]), "a");
    }
}

/// A million ids cost a million times as much as one: far below the seconds that their square would take.
#[test]
fn the_window_stays_short() {
    let tokenizer = byte_level(false);
    let mut stream = TextStream::alone(&tokenizer);
    for id in (0..30_000).map(|i| [1, 3, 9, 10, 4][i % 5]) {
        stream.push(id).unwrap();
        assert!(stream.window.len() <= 3, "{:?}", stream.window);
    }
    let tokenizer = sentencepiece(true);
    let mut stream = TextStream::alone(&tokenizer);
    for id in (0..30_000).map(|i| [260, BYTE + 0x0A, 263, 2, 264][i % 5]) {
        stream.push(id).unwrap();
        assert!(stream.window.len() <= 2, "{:?}", stream.window);
    }
}

proptest! {
    #[test]
    fn a_stream_says_what_decoding_everything_says(
        ids in proptest::collection::vec(0u32..400, 0..40),
        shorter in proptest::collection::vec(0u32..18, 0..40),
        cut in 0usize..20,
    ) {
        for (name, tokenizer, comes_in_pieces) in all() {
            let size = tokenizer.vocab_size() as u32;
            // Vocabularies of a few tokens get few ids that they do not have.
            let ids: Vec<u32> = if size < 100 { shorter.clone() } else { ids.iter().map(|id| id % 310).collect() };
            let (prompt, answer) = ids.split_at(cut.min(ids.len()));
            let mut stream = TextStream::alone(&tokenizer);
            prop_assert_eq!(stream.comes_in_pieces(), comes_in_pieces, "{}", name);
            let mut said = String::new();
            for end in 1..=ids.len() {
                stream.push(ids[end - 1]).unwrap();
                let whole = tokenizer.decode_without_specials(&ids[..end]).unwrap();
                prop_assert_eq!(stream.text(), &whole, "{}: {:?}", name, &ids[..end]);
                prop_assert!(stream.certain().starts_with(&said) && whole.starts_with(stream.certain()));
                said = stream.certain().to_owned();
            }
            // A prompt is a text that was encoded: it does not end within a character.
            let before = tokenizer.decode_without_specials(prompt).unwrap();
            let last = prompt.iter().rev().find(|&&id| tokenizer.is_shown(id));
            let is_whole = !before.ends_with(NO_TEXT) && last.is_none_or(|&id| !stream.is_byte(id));
            if is_whole && comes_in_pieces && stream.clean_up.is_none() {
                let mut stream = TextStream::after(&tokenizer, prompt).unwrap();
                answer.iter().for_each(|&id| stream.push(id).unwrap());
                let whole = tokenizer.decode_without_specials(&ids).unwrap();
                prop_assert_eq!(before + stream.text(), whole, "{}: {:?} {:?}", name, prompt, answer);
            }
        }
    }
}
