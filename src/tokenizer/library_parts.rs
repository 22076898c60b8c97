//! The parts of a `tokenizer.json` around its model, checked for what the `tokenizers` library does not survive.
//!
//! The library takes these parts and then ends the program, or asks for any amount of memory, when a text is encoded or
//! decoded; most were found by fuzzing. Tokenizers of this family have no use for them.

use serde_json::{Map, Value, json};

use super::TokenizerError;

/// How many times longer replacements may make a text. Real ones put `▁`, of 3 bytes, for a space.
const MAX_GROWTH: usize = 64;

/// Most patterns of a file. Each may take 10 MB when it is compiled, the limit of the `regex` library.
const MAX_PATTERNS: usize = 16;

/// Checks normalizer, pre-tokenizer and decoder; `place` names the file in errors.
pub(super) fn check(place: &str, json: &Value) -> Result<(), TokenizerError> {
    let mut patterns = 0;
    for field in ["normalizer", "pre_tokenizer", "decoder"] {
        let part = json.get(field);
        check_growth(place, field, part)?;
        for object in objects(part) {
            if let Err((expected, found)) = check_component(field, object) {
                return Err(TokenizerError::field(place, field, expected, found));
            }
            patterns += usize::from(object.contains_key("Regex"));
        }
    }
    TokenizerError::check_limit(place, "patterns", MAX_PATTERNS, patterns)
}

/// What is wrong with one component: what was expected, and what was found. Its keys say what it is, since the library
/// takes a component whose `type` it does not know for the first one that has these keys.
fn check_component(field: &str, object: &Map<String, Value>) -> Result<(), (&'static str, String)> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    match field {
        "normalizer" if text("prepend") == Some("") => Err(("a text to prepend", "an empty one".to_owned())),
        "normalizer" if object.contains_key("precompiled_charsmap") => {
            Err(("normalizers without a character map", "one with a map".to_owned()))
        }
        // Where nothing is replaced by something, the library loses count of the places in the text.
        "normalizer" if text("content").is_some_and(|content| !content.is_empty()) => {
            match object.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str) {
                Some("") => Err(("a text to replace", "an empty one".to_owned())),
                Some(_) => Ok(()),
                None => Err(("replacements of a text, not of a pattern", "a pattern".to_owned())),
            }
        }
        "pre_tokenizer" if number("length") == Some(0) => Err(("a length from 1", "0".to_owned())),
        "decoder" => match number("stop") {
            None | Some(0) => Ok(()),
            Some(stop) => Err(("nothing to strip at the end (stop: 0)", format!("stop {stop}"))),
        },
        _ => Ok(()),
    }
}

/// Refuses a chain of replacements that makes a text many times longer: ten of them that write ten letters for one
/// would turn a letter into gigabytes.
fn check_growth(place: &str, field: &str, part: Option<&Value>) -> Result<(), TokenizerError> {
    let mut growth = 1usize;
    for object in objects(part) {
        if let Some(content) = object.get("content").and_then(Value::as_str) {
            let pattern =
                object.get("pattern").and_then(|pattern| pattern.get("String")).and_then(Value::as_str);
            // A pattern may match between any two letters.
            let factor = match pattern {
                Some(pattern) if !pattern.is_empty() => content.len().div_ceil(pattern.len()),
                _ => content.len().saturating_add(1),
            };
            growth = growth.saturating_mul(factor.max(1));
        }
    }
    if growth > MAX_GROWTH {
        let expected = format!("replacements that make a text at most {MAX_GROWTH} times longer");
        return Err(TokenizerError::field(place, field, expected, format!("up to {growth} times")));
    }
    Ok(())
}

/// All ids that a post-processor can put around a text: those of templates, and the second members of `sep` and `cls`.
pub(super) fn ids_around(json: &Value) -> Vec<u64> {
    let mut ids = Vec::new();
    for object in objects(json.get("post_processor")) {
        ids.extend(
            object.get("ids").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64),
        );
        let pair = |key: &str| object.get(key)?.get(1)?.as_u64();
        ids.extend(["sep", "cls"].into_iter().filter_map(pair));
    }
    ids
}

/// Whether a decoder is one of those of this family, which take tokens one by one, or fuse them at the end: what a token adds
/// to the text then depends on nothing but the token before it, and on bytes that are one character together.
pub(super) fn decodes_in_pieces(decoder: Option<&Value>) -> bool {
    let decoder = decoder.unwrap_or(&Value::Null);
    let parts = match decoder.get("decoders").and_then(Value::as_array) {
        Some(parts) => parts.iter().collect(),
        None if decoder.is_null() => Vec::new(),
        None => vec![decoder],
    };
    let (mut is_fused, mut strips) = (false, 0);
    parts.into_iter().all(|part| {
        let is = |key: &str, value: Value| part.get(key) == Some(&value);
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let fits = match kind {
            "Replace" => is("pattern", json!({"String": "▁"})) && is("content", json!(" ")) && !is_fused,
            "ByteFallback" | "ByteLevel" | "Metaspace" => !is_fused,
            "Fuse" => true,
            "Strip" => is("content", json!(" ")) && (is("start", json!(0)) || is("start", json!(1))),
            _ => false,
        };
        strips += usize::from(kind == "Strip");
        is_fused |= matches!(kind, "Fuse" | "ByteLevel");
        fits && strips < 2
    })
}

/// The objects of a part at any depth.
pub(super) fn objects(part: Option<&Value>) -> Vec<&Map<String, Value>> {
    let (mut objects, mut pending) = (Vec::new(), part.into_iter().collect::<Vec<&Value>>());
    while let Some(value) = pending.pop() {
        match value {
            Value::Object(object) => {
                objects.push(object);
                pending.extend(object.values());
            }
            Value::Array(items) => pending.extend(items),
            _ => {}
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::super::library::tests::small_json;
    use super::*;

    /// The library's answer with another part.
    fn with(field: &str, part: Value) -> Result<Library, String> {
        let mut json = small_json();
        json[field] = part;
        let library = Library::new("t.json", json, false).map_err(|error| error.to_string())?;
        library.check_around().map_err(|error| error.to_string()).map(|()| library)
    }

    #[test]
    fn parts_that_the_library_does_not_survive_are_refused() {
        let pattern = |pattern: Value| json!({"type": "Replace", "pattern": pattern, "content": "x"});
        let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [77], "tokens": ["<s>"]}}});
        let marks = json!({"type": "BertProcessing", "sep": ["a", 1], "cls": ["z", 4_294_967_295u64]});
        let splits = vec![
            json!({"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": false});
            17
        ];
        for (field, part, words) in [
            (
                "normalizer",
                json!({"type": "Prepend", "prepend": ""}),
                "a text to prepend, found an empty one",
            ),
            ("normalizer", pattern(json!({"String": ""})), "a text to replace, found an empty one"),
            ("normalizer", pattern(json!({"Regex": "a*"})), "of a text, not of a pattern"),
            ("normalizer", json!({"type": "?", "prepend": ""}), "a text to prepend, found an empty one"),
            ("normalizer", json!({"type": "?", "precompiled_charsmap": "AAAA"}), "without a character map"),
            ("pre_tokenizer", json!({"type": "FixedLength", "length": 0}), "a length from 1, found 0"),
            ("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": splits}), "at most 16, found 17"),
            ("decoder", json!({"type": "Strip", "content": "a", "start": 0, "stop": 1}), "stop: 0"),
            ("post_processor", template, "post_processor: expected ids of tokens, found 77"),
            ("post_processor", marks, "ids of tokens, found 4294967295"),
        ] {
            let message = with(field, part).unwrap_err();
            assert!(message.contains(words), "{words}: {message}");
        }
    }

    #[test]
    fn parts_of_released_tokenizers_are_read() {
        let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prefix = json!({"type": "Prepend", "prepend": "▁"});
        let both = json!({"type": "Sequence", "normalizers": [prefix, space]});
        assert!(with("normalizer", both).is_ok());
        let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
        let fuse =
            json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, strip]});
        assert!(with("decoder", fuse).is_ok());
        let marks = json!({"type": "BertProcessing", "sep": ["a", 1], "cls": ["b", 2]});
        assert_eq!(with("post_processor", marks).unwrap().encode("ab", true).unwrap(), [2, 3, 1]);
    }

    #[test]
    fn a_decoder_that_needs_a_token_gets_none_to_decode() {
        let library = with("decoder", json!({"type": "BPEDecoder", "suffix": "b"})).unwrap();
        assert_eq!(library.decode(&[], false).unwrap(), "");
        assert_eq!(library.decode(&[99], false).unwrap(), "");
        assert_eq!(library.decode(&[0], true).unwrap(), "");
        assert_eq!(library.decode(&[1], false).unwrap(), "a");
    }
}
