//! Vocabularies: SentencePiece's model file, `tokenizer.json`, and the keys of GGUF files.

use super::Seeds;
use crate::tokenizer::{sentencepiece_model, tiktoken_file};
use crate::weights::gguf::testing::Builder;
use crate::weights::gguf::{Metadata, Value};

/// A piece: text, score, number of its kind.
type Piece = (String, f32, i64);

/// The pieces of a small vocabulary after `<unk>`, `<s>` and `</s>`.
fn pieces(rest: &[(&str, f32, i64)]) -> Vec<Piece> {
    let marks = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)];
    let owned = |&(text, score, kind): &(&str, f32, i64)| (text.to_owned(), score, kind);
    marks.iter().chain(rest).map(owned).collect()
}

/// The same with a piece for each byte.
fn with_bytes(rest: &[(&str, f32, i64)]) -> Vec<Piece> {
    let bytes = (0..=255).map(|byte| (format!("<0x{byte:02X}>"), 0.0, 6));
    pieces(rest).into_iter().chain(bytes).collect()
}

const WORDS: [(&str, f32, i64); 9] = [
    ("▁", -1.0, 1),
    ("a", -2.0, 1),
    ("b", -3.0, 1),
    ("▁a", -0.5, 1),
    ("aa", -0.25, 5),
    ("aaaa", -0.75, 1),
    ("中", -9.0, 1),
    ("<user>", 0.0, 4),
    ("ab", 0.0, 1),
];

fn model(pieces: &[Piece]) -> Vec<u8> {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let keys = [
        (key("model"), Value::String("llama".into())),
        (key("tokens"), Value::Strings(pieces.iter().map(|piece| piece.0.clone()).collect())),
        (key("scores"), Value::Floats(pieces.iter().map(|piece| piece.1).collect())),
        (key("token_type"), Value::Integers(pieces.iter().map(|piece| piece.2).collect())),
    ];
    sentencepiece_model(&Metadata(keys.into())).unwrap()
}

pub(super) fn models() -> Seeds {
    let good = model(&pieces(&WORDS));
    // Field 3 of the trainer's specification is the kind of model: 2, byte pairs.
    let kind = good.windows(2).rposition(|part| part == [3 << 3, 2]).unwrap();
    let mut unigram = good.clone();
    unigram[kind + 1] = 1;
    let tiktoken = tiktoken_file(&["ab", " a", "aa"]);
    let piece = |text: &[u8], score: f32| {
        let inner = [&[0x0a, text.len() as u8], text, &[0x15], &score.to_le_bytes()].concat();
        [&[0x0a, inner.len() as u8][..], &inner].concat()
    };
    vec![
        ("good-words", good.clone()),
        ("good-bytes", model(&with_bytes(&WORDS))),
        ("good-marks-only", model(&pieces(&[]))),
        ("bad-unigram", unigram),
        ("bad-cut", good[..good.len() - 2].to_vec()),
        ("bad-piece-twice", [good.clone(), piece(b"a", 0.0)].concat()),
        ("bad-score", [good.clone(), piece(b"x", f32::NAN)].concat()),
        ("bad-text", [good.clone(), piece(b"\xff", 0.0)].concat()),
        ("bad-control", [good.clone(), piece(b"", 0.0), piece(b"\x1b[2J", f32::INFINITY)].concat()),
        ("bad-character-map", [&good[..], &[0x1a, 4, 0x12, 2, 1, 2]].concat()),
        ("bad-varint", [&good[..], &[0x80; 11]].concat()),
        (
            "bad-length",
            [&good[..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat(),
        ),
        ("good-tiktoken", tiktoken.clone()),
        ("bad-tiktoken-cut", tiktoken[..tiktoken.len() / 2].to_vec()),
        ("bad-tiktoken-twice", [&tiktoken[..], b"YWI= 256\n"].concat()),
        ("bad-tiktoken-hole", [&tiktoken[..], b"YWJhYg== 1000000\n"].concat()),
        ("bad-tiktoken-special", [&tiktoken[..], b"PHxlb3RfaWR8Pg== 259\n"].concat()),
        ("bad-tiktoken-long", tiktoken_file(&[&"a".repeat(129)])),
        ("bad-group", vec![0x0b; 16]),
        ("bad-nothing", Vec::new()),
    ]
}

/// `tokenizer.json` with `changes` to top-level members.
fn tokenizer(changes: &[(&str, &str)]) -> Vec<u8> {
    let members = [
        ("version", r#""1.0""#),
        ("truncation", "null"),
        ("padding", "null"),
        (
            "added_tokens",
            r#"[{"id":0,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}]"#,
        ),
        ("normalizer", "null"),
        (
            "pre_tokenizer",
            r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#,
        ),
        ("post_processor", "null"),
        ("decoder", r#"{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}"#),
        (
            "model",
            r#"{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{"<s>":0,"a":1,"b":2,"ab":3,"Ġ":4,"Ġa":5,"Ċ":6},"merges":["a b","Ġ a"]}"#,
        ),
    ];
    let value = |name: &str, own: &str| {
        changes.iter().find(|change| change.0 == name).map_or(own.to_owned(), |change| change.1.to_owned())
    };
    let members: Vec<String> =
        members.iter().map(|(name, own)| format!("{name:?}:{}", value(name, own))).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

pub(super) fn json() -> Seeds {
    let model = |vocab: &str, merges: &str, rest: &str| {
        format!(r#"{{"type":"BPE","vocab":{vocab},"merges":{merges}{rest}}}"#)
    };
    let llama = model(
        r#"{"<unk>":0,"<s>":1,"▁":2,"a":3,"▁a":4,"<0x0A>":5}"#,
        r#"[["▁","a"]]"#,
        r#","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true"#,
    );
    let changed = |member: &str, value: &str| tokenizer(&[(member, value)]);
    let template = |single: &str, tokens: &str| {
        let template = format!(
            r#"{{"type":"TemplateProcessing","single":{single},"pair":[],"special_tokens":{tokens}}}"#
        );
        tokenizer(&[("post_processor", &template)])
    };
    let token = r#"{"<s>":{"id":"<s>","ids":[0],"tokens":["<s>"]}}"#;
    let split = r#"{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{N}{1,3}| ?\\p{L}+|\\s+(?!\\S)"},
        "behavior":"Isolated","invert":false},{"type":"Digits","individual_digits":true}]}"#;
    vec![
        ("good-byte-level", tokenizer(&[])),
        (
            "good-llama",
            tokenizer(&[
                (
                    "normalizer",
                    r#"{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}"#,
                ),
                ("pre_tokenizer", "null"),
                (
                    "decoder",
                    r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
                ),
                ("model", &llama),
            ]),
        ),
        ("good-split", changed("pre_tokenizer", split)),
        (
            "good-template",
            template(
                r#"[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]"#,
                token,
            ),
        ),
        (
            "good-normalizer",
            changed(
                "normalizer",
                r#"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"},{"type":"StripAccents"}]}"#,
            ),
        ),
        (
            "good-metaspace",
            changed(
                "pre_tokenizer",
                r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false}"#,
            ),
        ),
        (
            "good-pair-marks",
            changed(
                "post_processor",
                r#"{"type":"RobertaProcessing","sep":["b",2],"cls":["<s>",0],"trim_offsets":true,"add_prefix_space":false}"#,
            ),
        ),
        ("good-decoder", changed("decoder", r#"{"type":"BPEDecoder","suffix":"b"}"#)),
        (
            "bad-mark-id",
            changed(
                "post_processor",
                r#"{"type":"RobertaProcessing","sep":["b",2],"cls":["<s>",4294967295],"trim_offsets":true,"add_prefix_space":false}"#,
            ),
        ),
        (
            "bad-template-id",
            template(
                r#"[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]"#,
                r#"{"<s>":{"id":"<s>","ids":[77],"tokens":["<s>"]}}"#,
            ),
        ),
        ("bad-prepend", changed("normalizer", r#"{"type":"Prepend","prepend":""}"#)),
        ("bad-replace", changed("normalizer", r#"{"type":"Replace","pattern":{"String":""},"content":"x"}"#)),
        ("bad-fixed-length", changed("pre_tokenizer", r#"{"type":"FixedLength","length":0}"#)),
        ("bad-strip", changed("decoder", r#"{"type":"Strip","content":"a","start":2,"stop":2}"#)),
        ("bad-template", template(r#"[{"SpecialToken":{"id":"<x>","type_id":0}}]"#, token)),
        ("bad-template-text", template(r#"[{"Sequence":{"id":"B","type_id":0}}]"#, token)),
        (
            "bad-growth",
            changed(
                "normalizer",
                &format!(
                    r#"{{"type":"Sequence","normalizers":[{0},{0},{0},{0}]}}"#,
                    r#"{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaa"}"#
                ),
            ),
        ),
        ("bad-merge", changed("model", &model(r#"{"a":0,"b":1}"#, r#"["a b"]"#, ""))),
        ("bad-id-twice", changed("model", &model(r#"{"a":0,"b":0}"#, "[]", ""))),
        ("bad-id", changed("model", &model(r#"{"a":4294967295}"#, "[]", ""))),
        ("bad-unigram", changed("model", r#"{"type":"Unigram","vocab":[["a",0.0]],"unk_id":0}"#)),
        ("bad-dropout", changed("model", &model(r#"{"a":0}"#, "[]", r#","dropout":0.5"#))),
        (
            "bad-regex",
            changed(
                "pre_tokenizer",
                r#"{"type":"Split","pattern":{"Regex":"(("},"behavior":"Isolated","invert":false}"#,
            ),
        ),
        ("bad-precompiled", changed("normalizer", r#"{"type":"Precompiled","precompiled_charsmap":"AAAA"}"#)),
        ("bad-depth", "[".repeat(300).into_bytes()),
        ("bad-cut", tokenizer(&[])[..200].to_vec()),
    ]
}

pub(super) fn gguf() -> Seeds {
    let strings = |texts: &[&str]| {
        let list: Vec<u8> = texts
            .iter()
            .flat_map(|text| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat())
            .collect();
        [&8u32.to_le_bytes()[..], &(texts.len() as u64).to_le_bytes(), &list].concat()
    };
    let numbers = |code: u32, values: &[[u8; 4]]| {
        [&code.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &values.concat()].concat()
    };
    let llama = |pieces: &[Piece]| {
        let texts: Vec<&str> = pieces.iter().map(|piece| piece.0.as_str()).collect();
        let scores: Vec<[u8; 4]> = pieces.iter().map(|piece| piece.1.to_le_bytes()).collect();
        let kinds: Vec<[u8; 4]> = pieces.iter().map(|piece| (piece.2 as i32).to_le_bytes()).collect();
        Builder::new()
            .string("tokenizer.ggml.model", "llama")
            .raw("tokenizer.ggml.tokens", 9, &strings(&texts))
            .raw("tokenizer.ggml.scores", 9, &numbers(6, &scores))
            .raw("tokenizer.ggml.token_type", 9, &numbers(5, &kinds))
    };
    let byte_level = |pre: &str, merges: &[&str]| {
        Builder::new()
            .string("tokenizer.ggml.model", "gpt2")
            .string("tokenizer.ggml.pre", pre)
            .raw("tokenizer.ggml.tokens", 9, &strings(&["a", "b", "ab", "Ġ", "Ġa", "<s>", "</s>"]))
            .raw("tokenizer.ggml.merges", 9, &strings(merges))
            .u32("tokenizer.ggml.bos_token_id", 5)
            .u32("tokenizer.ggml.eos_token_id", 6)
            .raw("tokenizer.ggml.add_bos_token", 7, &[1])
    };
    let words = llama(&pieces(&WORDS));
    vec![
        ("good-llama", words.build()),
        ("good-llama-bytes", llama(&with_bytes(&WORDS)).raw("tokenizer.ggml.add_eos_token", 7, &[1]).build()),
        ("good-llama-3", byte_level("llama-bpe", &["a b", "Ġ a"]).build()),
        (
            "good-smollm",
            byte_level("smollm", &["a b", "Ġ a"]).string("tokenizer.chat_template", "{{ x }}").build(),
        ),
        ("bad-merge", byte_level("smollm", &["a a"]).build()),
        ("bad-pre", byte_level("no such thing", &[]).build()),
        ("bad-mark", words.clone().u32("tokenizer.ggml.bos_token_id", 4_000_000_000).build()),
        ("bad-kind", llama(&pieces(&[("a", 0.0, 7)])).build()),
        ("bad-score", llama(&pieces(&[("a", f32::NAN, 1)])).build()),
        ("bad-control", llama(&pieces(&[("\u{1b}[2J", f32::NAN, 1)])).build()),
        ("bad-model", Builder::new().string("tokenizer.ggml.model", "bert\n\u{7}").build()),
        (
            "bad-count",
            words
                .raw("tokenizer.ggml.scores ", 9, &numbers(6, &[]))
                .u32("tokenizer.ggml.merges", 1)
                .string("tokenizer.ggml.add_bos_token", "x")
                .build(),
        ),
        ("bad-nothing", Builder::new().build()),
    ]
}
