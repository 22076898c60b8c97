//! Byte-level BPE vocabularies of GGUF files, rebuilt in the form of a `tokenizer.json`.
//!
//! A GGUF file holds tokens and merges, but of the way a text is cut into words only a name,
//! `tokenizer.ggml.pre`. What each name means is llama.cpp's definition (`llama-vocab.cpp`, the table of regular
//! expressions); where it agrees with the original tokenizer's components, those are used.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::TokenizerError;
use super::vocabulary::PieceKind;

/// One way to cut text into words, with the rules that hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    words: Words,
    /// A word that is itself a token is taken whole, before any merge.
    ignore_merges: bool,
    /// BOS is added unless the file says otherwise.
    pub add_bos: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// GPT-2's words.
    Gpt2,
    /// Each digit alone, then GPT-2's words.
    Digits,
    /// One expression, every match and every gap a word.
    One(&'static str),
    /// llama.cpp's fallback: several expressions, each cutting the words of the one before.
    Fallback,
}

/// LLaMA 3: up to three digits together.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen 2: the same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// BLOOM: words end at white space and sentence marks of several scripts.
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";

/// GPT-2's expression, for use between others.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const fn plain(words: Words) -> PreTokenizer {
    PreTokenizer { words, ignore_merges: false, add_bos: false }
}

const LLAMA3_RULE: PreTokenizer =
    PreTokenizer { words: Words::One(LLAMA3), ignore_merges: true, add_bos: true };

/// Every known value of `tokenizer.ggml.pre`.
const KNOWN: [(&str, PreTokenizer); 23] = [
    ("bloom", plain(Words::One(BLOOM))),
    ("codeshell", plain(Words::Digits)),
    ("command-r", plain(Words::Digits)),
    ("default", plain(Words::Fallback)),
    ("exaone", plain(Words::Digits)),
    ("falcon3", LLAMA3_RULE),
    ("gpt-2", plain(Words::Gpt2)),
    ("gpt3-finnish", plain(Words::One(BLOOM))),
    ("jais", plain(Words::Gpt2)),
    ("llama-bpe", LLAMA3_RULE),
    ("llama-v3", LLAMA3_RULE),
    ("llama3", LLAMA3_RULE),
    ("megrez", plain(Words::One(QWEN2))),
    ("minerva-7b", plain(Words::Digits)),
    ("mpt", plain(Words::Gpt2)),
    ("olmo", plain(Words::Gpt2)),
    ("phi-2", plain(Words::Gpt2)),
    ("poro-chat", plain(Words::One(BLOOM))),
    ("qwen2", plain(Words::One(QWEN2))),
    ("refact", plain(Words::Digits)),
    ("smollm", plain(Words::Digits)),
    ("stablelm2", plain(Words::One(QWEN2))),
    ("starcoder", plain(Words::Digits)),
];

/// Of names for the same rule, the one that llama.cpp's converter writes for the model that brought it.
const NAMED_FIRST: [&str; 5] = ["llama-bpe", "gpt-2", "smollm", "qwen2", "bloom"];

/// The parts of a pre-tokenizer with what decides how text is cut, defaults filled in. `None` for a part that no
/// rule here has.
fn components(pre_tokenizer: &Value) -> Option<Vec<Value>> {
    let flag =
        |name: &str, default: bool| pre_tokenizer.get(name).and_then(Value::as_bool).unwrap_or(default);
    let text = |name: &str| pre_tokenizer.get(name).and_then(Value::as_str);
    Some(match text("type")? {
        "Sequence" => {
            let parts = pre_tokenizer.get("pretokenizers")?.as_array()?.iter().map(components);
            parts.collect::<Option<Vec<_>>>()?.concat()
        }
        "ByteLevel" if !flag("add_prefix_space", true) => vec![json!(["ByteLevel", flag("use_regex", true)])],
        "Digits" => vec![json!(["Digits", flag("individual_digits", false)])],
        "Split" if text("behavior") == Some("Isolated") && !flag("invert", false) => {
            vec![json!(["Split", pre_tokenizer.get("pattern")?.get("Regex")?])]
        }
        _ => return None,
    })
}

impl PreTokenizer {
    /// The rule with this name. Errors: an unknown name; the message lists the known ones.
    pub fn named(place: &str, name: &str) -> Result<PreTokenizer, TokenizerError> {
        KNOWN.iter().find(|(known, _)| *known == name).map(|&(_, rule)| rule).ok_or_else(|| {
            let names: Vec<&str> = KNOWN.iter().map(|(known, _)| *known).collect();
            TokenizerError::unsupported(
                place,
                "tokenizer.ggml.pre",
                format!("pre-tokenizer {name:?}"),
                format!("{}; or use the model's folder with tokenizer.json", names.join(", ")),
            )
        })
    }

    /// The name that llama.cpp gives to the pre-tokenizer of a `tokenizer.json`; `None` if it has none for it.
    pub fn name_of(pre_tokenizer: &Value, ignore_merges: bool) -> Option<&'static str> {
        let wanted = components(pre_tokenizer)?;
        let of_name = |name: &str| KNOWN.iter().find(|(known, _)| *known == name).map(|&(_, rule)| rule);
        NAMED_FIRST.into_iter().find(|name| {
            of_name(name).is_some_and(|rule| {
                rule.ignore_merges == ignore_merges
                    && components(&rule.json()).is_some_and(|own| own == wanted)
            })
        })
    }

    fn json(self) -> Value {
        let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
        let split = |regex: &str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let parts = match self.words {
            Words::Gpt2 => vec![byte_level(true)],
            Words::Digits => vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true)],
            Words::One(regex) => vec![split(regex), byte_level(false)],
            Words::Fallback => vec![
                split(r"[\p{P}\$\+<=>\^~\|]+"),
                split(GPT2),
                split(r"\p{N}+"),
                split("[0-9][0-9][0-9]"),
                byte_level(false),
            ],
        };
        json!({"type": "Sequence", "pretokenizers": parts})
    }
}

/// The `tokenizer.json` of a byte-level vocabulary. `kinds` has one entry per token; control and user-defined tokens
/// are found in text as a whole.
///
/// Errors: a token twice, a merge without a space in it.
pub(super) fn tokenizer_json(
    place: &str,
    tokens: &[String],
    kinds: &[PieceKind],
    merges: &[String],
    pre: PreTokenizer,
) -> Result<Value, TokenizerError> {
    let mut vocab = Map::with_capacity(tokens.len());
    let mut added = Vec::new();
    for (id, (token, kind)) in tokens.iter().zip(kinds).enumerate() {
        if let Some(first) = vocab.insert(token.clone(), json!(id)) {
            return Err(TokenizerError::field(
                place,
                format!("tokenizer.ggml.tokens[{id}] ({token:?})"),
                "each token once",
                format!("the text of token {first} again"),
            ));
        }
        if matches!(kind, PieceKind::Control | PieceKind::UserDefined) {
            added.push(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == PieceKind::Control,
            }));
        }
    }
    let mut pairs = Vec::with_capacity(merges.len());
    let mut seen = HashSet::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        let Some((left, right)) = merge.split_once(' ').filter(|(l, r)| !l.is_empty() && !r.is_empty())
        else {
            return Err(TokenizerError::field(
                place,
                format!("tokenizer.ggml.merges[{index}]"),
                "two tokens with a space between",
                format!("{merge:?}"),
            ));
        };
        // The first of equal pairs decides.
        if seen.insert((left, right)) {
            pairs.push(json!([left, right]));
        }
    }
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre.json(),
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pre.ignore_merges, "vocab": vocab, "merges": pairs,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::*;

    /// Every printable ASCII byte, the space `Ġ`, the newline `Ċ`, then the given tokens.
    fn library(extra: &[&str], merges: &[&str], pre: &str) -> Library {
        let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
        tokens.extend(["Ġ", "Ċ"].iter().chain(extra).map(|token| (*token).to_owned()));
        let kinds = vec![PieceKind::Normal; tokens.len()];
        let merges: Vec<String> = merges.iter().map(|merge| (*merge).to_owned()).collect();
        let pre = PreTokenizer::named("test", pre).unwrap();
        Library::new("test", tokenizer_json("test", &tokens, &kinds, &merges, pre).unwrap(), false).unwrap()
    }

    fn spelled(library: &Library, text: &str) -> Vec<String> {
        let ids = library.encode(text, false).unwrap();
        ids.iter().map(|&id| library.token_text(id).unwrap()).collect()
    }

    #[test]
    fn every_name_builds_and_an_unknown_one_lists_them() {
        for (name, _) in KNOWN {
            let library = library(&[], &[], name);
            let text = "It's 12 + 3.5 = 15.5!\n\n  (yes) ";
            assert_eq!(library.decode(&library.encode(text, false).unwrap(), false).unwrap(), text, "{name}");
        }
        let message = PreTokenizer::named("m.gguf", "tekken").unwrap_err().to_string();
        assert!(message.contains("\"tekken\" is not supported; supported: bloom, "), "{message}");
        assert!(KNOWN.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn digits_are_grouped_as_the_name_says() {
        let extra = ["11", "1111"];
        let merges = ["1 1", "11 11"];
        assert_eq!(spelled(&library(&extra, &merges, "smollm"), "1111"), ["1", "1", "1", "1"]);
        assert_eq!(spelled(&library(&extra, &merges, "qwen2"), "1111"), ["1", "1", "1", "1"]);
        assert_eq!(spelled(&library(&extra, &merges, "llama-bpe"), "1111"), ["11", "1", "1"]);
        assert_eq!(spelled(&library(&extra, &merges, "default"), "1111"), ["11", "1", "1"]);
        assert_eq!(spelled(&library(&extra, &merges, "gpt-2"), "1111"), ["1111"]);
    }

    #[test]
    fn spaces_and_signs_are_grouped_as_the_name_says() {
        let extra = ["Ġ1", "!a", "Ġ!", "Ġ(", "ĊĊ"];
        let merges = ["Ġ 1", "! a", "Ġ !", "Ġ (", "Ċ Ċ"];
        // Digits are cut off before the space can join them.
        assert_eq!(spelled(&library(&extra, &merges, "smollm"), " 1"), ["Ġ", "1"]);
        assert_eq!(spelled(&library(&extra, &merges, "gpt-2"), " 1"), ["Ġ1"]);
        // LLaMA 3 lets one sign stand before letters; GPT-2 does not.
        assert_eq!(spelled(&library(&extra, &merges, "llama3"), "!a"), ["!a"]);
        assert_eq!(spelled(&library(&extra, &merges, "gpt-2"), "!a"), ["!", "a"]);
        assert_eq!(spelled(&library(&extra, &merges, "gpt-2"), " !"), ["Ġ!"]);
        assert_eq!(spelled(&library(&extra, &merges, "default"), " !"), ["Ġ", "!"]);
        // What BLOOM's expression leaves over is a word of its own.
        assert_eq!(spelled(&library(&extra, &merges, "bloom"), "a !a"), ["a", "Ġ!", "a"]);
        assert_eq!(spelled(&library(&extra, &merges, "qwen2"), "\n\n!"), ["ĊĊ", "!"]);
    }

    #[test]
    fn llama3_takes_a_known_word_whole() {
        assert_eq!(spelled(&library(&["abc"], &[], "llama3"), "abc"), ["abc"]);
        assert_eq!(spelled(&library(&["abc"], &[], "gpt-2"), "abc"), ["a", "b", "c"]);
    }

    #[test]
    fn refuses_double_tokens_and_single_merges() {
        let pre = PreTokenizer::named("m", "gpt-2").unwrap();
        let tokens = ["a".to_owned(), "a".to_owned()];
        let kinds = [PieceKind::Normal; 2];
        let message = tokenizer_json("m", &tokens, &kinds, &[], pre).unwrap_err().to_string();
        assert!(message.contains("tokens[1] (\"a\")"), "{message}");
        let message = tokenizer_json("m", &tokens[..1], &kinds, &["ab".into()], pre).unwrap_err().to_string();
        assert!(message.contains("merges[0]"), "{message}");
    }
}
