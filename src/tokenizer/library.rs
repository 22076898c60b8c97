//! Vocabularies that the `tokenizers` library runs: `tokenizer.json` files, and byte-level vocabularies rebuilt in
//! the same form.
//!
//! The library trusts its input in a few places where a damaged file would end the program: merges whose result is
//! longer than any token, templates that name tokens or texts that are not there, ids near the end of 32 bits,
//! replacements whose results are replaced by longer and longer ones. Those are checked here first. Truncation and padding that a file may ask for are dropped: the reference harness drops
//! them too, and a cut prompt would be scored without a sign.

use std::collections::HashMap;

use serde_json::{Map, Value};
use tokenizers::tokenizer::{Model as _, Normalizer as _, PreTokenizer as _};
use tokenizers::{NormalizedString, OffsetType, PreTokenizedString};

use super::TokenizerError;
use super::clean_up::cleaned;
use super::library_parts::{self, objects};
use super::specials::AddedToken;
use super::vocabulary::MAX_PIECES;

/// A tokenizer of the library with the name of its file for errors.
#[derive(Debug)]
pub(super) struct Library {
    place: String,
    inner: tokenizers::Tokenizer,
    /// Apply the old clean-up of spaces before punctuation when decoding.
    clean_up: bool,
    decodes_in_pieces: bool,
    vocab_size: usize,
    /// The ids that the file's post-processor puts around a text.
    around: Vec<u64>,
}

impl Library {
    /// Builds the tokenizer from the content of a `tokenizer.json`.
    pub fn new(place: &str, mut json: Value, clean_up: bool) -> Result<Library, TokenizerError> {
        check(place, &json)?;
        library_parts::check(place, &json)?;
        let around = library_parts::ids_around(&json);
        let decodes_in_pieces = library_parts::decodes_in_pieces(json.get("decoder"));
        json["truncation"] = Value::Null;
        json["padding"] = Value::Null;
        let inner: tokenizers::Tokenizer =
            serde_json::from_value(json).map_err(|error| TokenizerError::library(place, error))?;
        let last = inner.get_vocab(true).into_values().max();
        let vocab_size = last.map_or(0, |id| id as usize + 1);
        Ok(Library { place: place.to_owned(), inner, clean_up, decodes_in_pieces, vocab_size, around })
    }

    /// Makes sure that each text is a token with its id (any id if `None`) and is found in text as a whole.
    /// New tokens get the ids after the last one, in the order given.
    pub fn add_tokens(&mut self, tokens: &[(AddedToken, Option<u32>)]) -> Result<(), TokenizerError> {
        let vocabulary = self.inner.get_added_vocabulary();
        let known = |token: &AddedToken| {
            let id = vocabulary.get_vocab().get(&token.text)?;
            vocabulary.get_added_tokens_decoder().get(id)
        };
        let new = tokens.iter().filter_map(|(token, _)| {
            let known = known(token);
            if known.is_some() && !token.is_stated {
                return None;
            }
            let stated = tokenizers::AddedToken::from(token.text.clone(), token.special)
                .normalized(is_normalized(token, known))
                .lstrip(token.lstrip)
                .rstrip(token.rstrip)
                .single_word(token.single_word);
            (known != Some(&stated)).then_some(stated)
        });
        let new: Vec<tokenizers::AddedToken> = new.collect();
        if !new.is_empty() {
            self.inner.add_tokens(new).map_err(|error| self.error(&error))?;
        }
        for (token, id) in tokens {
            let got = self.inner.token_to_id(&token.text);
            if let Some(id) = id
                && got != Some(*id)
            {
                return Err(TokenizerError::field(
                    &self.place,
                    format!("added token {:?}", token.text),
                    format!("id {id}, as the folder's settings state"),
                    got.map_or("no id".to_owned(), |got| format!("id {got}")),
                ));
            }
            self.vocab_size = self.vocab_size.max(got.map_or(0, |got| got as usize + 1));
        }
        Ok(())
    }

    /// Refuses a post-processor that would put ids around a text which are no tokens.
    pub fn check_around(&self) -> Result<(), TokenizerError> {
        let is_token = |id: &u64| u32::try_from(*id).is_ok_and(|id| self.inner.id_to_token(id).is_some());
        match self.around.iter().find(|id| !is_token(id)) {
            None => Ok(()),
            Some(id) => {
                let expected = "ids of tokens";
                Err(TokenizerError::field(&self.place, "post_processor", expected, id.to_string()))
            }
        }
    }

    fn error(&self, error: &tokenizers::Error) -> TokenizerError {
        TokenizerError::library(&self.place, error)
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The id of a token's text.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The text of a token as the vocabulary spells it.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The ids of `text`, with those that the file's post-processor adds if `post_process`.
    pub fn encode(&self, text: &str, post_process: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = self.inner.encode_fast(text, post_process).map_err(|error| self.error(&error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of `text`, all of which is ordinary text.
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let run = || -> tokenizers::Result<Vec<u32>> {
            let mut normalized = NormalizedString::from(text);
            if let Some(normalizer) = self.inner.get_normalizer() {
                normalizer.normalize(&mut normalized)?;
            }
            let mut parts = PreTokenizedString::from(normalized);
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut parts)?;
            }
            let model = self.inner.get_model();
            parts.tokenize(|part| model.tokenize(part.get()))?;
            Ok(parts.into_encoding(None, 0, OffsetType::None)?.get_ids().to_vec())
        };
        run().map_err(|error| self.error(&error))
    }

    /// Whether decoding gives something for an id.
    pub fn is_shown(&self, id: u32, skip_specials: bool) -> bool {
        let added = self.inner.get_added_vocabulary();
        self.inner.id_to_token(id).is_some_and(|token| !(skip_specials && added.is_special_token(&token)))
    }

    /// Whether a text is cleaned up after decoding.
    pub fn cleans_up(&self) -> bool {
        self.clean_up
    }

    /// Whether what a token adds to the text depends on the last token before it alone, but for bytes of one character.
    pub fn decodes_in_pieces(&self) -> bool {
        self.decodes_in_pieces
    }

    /// The text of the ids. Ids without a token give nothing.
    pub fn decode(&self, ids: &[u32], skip_specials: bool) -> Result<String, TokenizerError> {
        let text = self.decode_as_it_is(ids, skip_specials)?;
        Ok(if self.clean_up { cleaned(&text) } else { text })
    }

    /// The same without a clean-up.
    pub fn decode_as_it_is(&self, ids: &[u32], skip_specials: bool) -> Result<String, TokenizerError> {
        // Some decoders do not survive an empty list.
        if !ids.iter().any(|&id| self.is_shown(id, skip_specials)) {
            return Ok(String::new());
        }
        self.inner.decode(ids, skip_specials).map_err(|error| self.error(&error))
    }
}

/// Whether a token is looked for in normalised text that the settings state and the vocabulary may know otherwise. With
/// transformers 4.57 a special one stays as it is there, and any other is there twice: as it is written, if either says so.
fn is_normalized(token: &AddedToken, known: Option<&tokenizers::AddedToken>) -> bool {
    match known {
        Some(known) => known.normalized && (known.special || token.is_normalized()),
        None => token.is_normalized(),
    }
}

/// Refuses content that the library would not survive, or that would not give the same ids twice.
fn check(place: &str, json: &Value) -> Result<(), TokenizerError> {
    let field = |name: &str, expected: &str, found: String| {
        TokenizerError::field(place, name.to_owned(), expected.to_owned(), found)
    };
    let model = json.get("model").unwrap_or(&Value::Null);
    if !model.is_object() {
        return Err(field("model", "an object", kind(model)));
    }
    // Files of the first releases have no type; only byte-pair models have merges.
    match model.get("type").and_then(Value::as_str) {
        Some("BPE") => {}
        None if model.get("merges").is_some() => {}
        other => {
            let found = format!("a {} model", other.unwrap_or("nameless"));
            return Err(TokenizerError::unsupported(place, "model.type", found, "BPE"));
        }
    }
    let dropout = model.get("dropout").unwrap_or(&Value::Null);
    if !dropout.is_null() && dropout.as_f64() != Some(0.0) {
        let expected = "null, so that a text has the same ids each time";
        return Err(field("model.dropout", expected, dropout.to_string()));
    }
    let vocab = vocab(place, model)?;
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    for (index, merge) in model.get("merges").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let known = merge_parts(merge).is_some_and(|(left, right)| {
            let tail = right.strip_prefix(prefix);
            vocab.contains_key(left)
                && vocab.contains_key(right)
                && tail.is_some_and(|tail| vocab.contains_key(format!("{left}{tail}").as_str()))
        });
        if !known {
            let expected = "two tokens of the vocabulary whose concatenation is one too";
            return Err(field(&format!("model.merges[{index}]"), expected, merge.to_string()));
        }
    }
    let added = json.get("added_tokens").and_then(Value::as_array).map_or(0, Vec::len);
    TokenizerError::check_limit(place, "added tokens", MAX_PIECES, added)?;
    let is_map = |part: &&Map<String, Value>| part.get("type").is_some_and(|kind| kind == "Precompiled");
    if objects(json.get("normalizer")).iter().any(is_map) {
        let supported = "normalizers without a character map";
        return Err(TokenizerError::unsupported(place, "normalizer", "type \"Precompiled\"", supported));
    }
    check_template(place, json.get("post_processor").unwrap_or(&Value::Null), 0)
}

fn vocab<'a>(place: &str, model: &'a Value) -> Result<HashMap<&'a str, u64>, TokenizerError> {
    let Some(entries) = model.get("vocab").and_then(Value::as_object) else {
        let found = kind(model.get("vocab").unwrap_or(&Value::Null));
        return Err(TokenizerError::field(place, "model.vocab", "an object of token: id", found));
    };
    TokenizerError::check_limit(place, "number of tokens", MAX_PIECES, entries.len())?;
    let mut vocab = HashMap::with_capacity(entries.len());
    let mut owners: HashMap<u64, &str> = HashMap::with_capacity(entries.len());
    for (token, id) in entries {
        let wrong = |expected: &str, found: String| {
            TokenizerError::field(place, format!("model.vocab[{token:?}]"), expected, found)
        };
        let Some(id) = id.as_u64().filter(|&id| id < 2 * MAX_PIECES as u64) else {
            return Err(wrong(&format!("an id below {}", 2 * MAX_PIECES), id.to_string()));
        };
        if let Some(owner) = owners.insert(id, token) {
            return Err(wrong("an id of its own", format!("{id}, the id of {owner:?}")));
        }
        vocab.insert(token.as_str(), id);
    }
    Ok(vocab)
}

/// A merge as `"a b"` or `["a", "b"]`.
pub(super) fn merge_parts(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(text) => text.split_once(' '),
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(left), Value::String(right)] => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

/// Templates may use only the text and the special tokens that they define.
fn check_template(place: &str, processor: &Value, depth: usize) -> Result<(), TokenizerError> {
    let bad =
        |expected: &str, found: &str| Err(TokenizerError::field(place, "post_processor", expected, found));
    if depth > 8 {
        return bad("at most 8 nested processors", "more");
    }
    for inner in processor.get("processors").and_then(Value::as_array).into_iter().flatten() {
        check_template(place, inner, depth + 1)?;
    }
    let items = || processor.get("single").and_then(Value::as_array).into_iter().flatten();
    if items().filter(|item| item.get("Sequence").is_some()).count() > 1 {
        return bad("the text once in the template for one text", "more often");
    }
    for item in items() {
        let sequence = item.get("Sequence").and_then(|piece| piece.get("id")).and_then(Value::as_str);
        if sequence.is_some_and(|id| id != "A") {
            return bad("only the text A in the template for one text", "text B");
        }
        let token = item.get("SpecialToken").and_then(|piece| piece.get("id")).and_then(Value::as_str);
        if let Some(token) = token
            && processor.get("special_tokens").and_then(|tokens| tokens.get(token)).is_none()
        {
            return bad(
                "templates of tokens listed in special_tokens",
                &format!("{token:?}, which is not listed"),
            );
        }
    }
    Ok(())
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
    .to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Letters a, b, the pair ab, and a BOS that the template adds.
    pub fn small_json() -> Value {
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
            "padding": null,
            "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                              "normalized": false, "special": true}],
            "normalizer": null,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "vocab": {"<s>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "Ġa": 5, "<": 6, "s": 7, ">": 8, ".": 9},
                "merges": ["a b", "Ġ a"]}
        })
    }

    fn small() -> Library {
        Library::new("t.json", small_json(), false).unwrap()
    }

    #[test]
    fn encodes_with_and_without_what_the_file_adds() {
        let library = small();
        assert_eq!(library.encode("ab a", true).unwrap(), [0, 3, 5]);
        assert_eq!(library.encode("ab a", false).unwrap(), [3, 5]);
        assert_eq!(library.encode("<s>a", false).unwrap(), [0, 1]);
        assert_eq!(library.encode_raw("<s>a").unwrap(), [6, 7, 8, 1]);
        assert_eq!(library.decode(&[0, 3, 5], false).unwrap(), "<s>ab a");
        assert_eq!(library.decode(&[0, 3, 5], true).unwrap(), "ab a");
        assert_eq!(library.vocab_size(), 10);
    }

    #[test]
    fn old_clean_up_is_applied_only_when_asked_for() {
        let clean = Library::new("t.json", small_json(), true).unwrap();
        assert_eq!(clean.decode(&[1, 4, 9], false).unwrap(), "a.");
        assert_eq!(small().decode(&[1, 4, 9], false).unwrap(), "a .");
    }

    #[test]
    fn tokens_can_be_added_but_not_moved() {
        let mut library = small();
        library.add_tokens(&[(AddedToken::new("[PAD]", true), Some(10))]).unwrap();
        assert_eq!(library.encode("a[PAD]", false).unwrap(), [1, 10]);
        assert_eq!(library.vocab_size(), 11);
        let message = library.add_tokens(&[(AddedToken::new("<s>", true), Some(5))]).unwrap_err().to_string();
        assert!(message.contains("id 5, as the folder's settings state, found id 0"), "{message}");
    }

    /// What transformers 4.57 makes of the same two files: a token that both have differently counts as either.
    #[test]
    fn settings_say_whether_a_token_is_looked_for_in_normalised_text() {
        let is_found = |in_file: bool, stated: Option<bool>, special: bool| {
            let mut json = small_json();
            json["normalizer"] = json!({"type": "Prepend", "prepend": "Ġ"});
            json["pre_tokenizer"] = Value::Null;
            json["added_tokens"].as_array_mut().unwrap().push(json!({"id": 10, "content": "<m>",
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": in_file, "special": special}));
            let mut library = Library::new("t.json", json, false).unwrap();
            let token = AddedToken { normalized: stated, is_stated: true, ..AddedToken::new("<m>", special) };
            let stated: &[_] = if stated.is_some() { &[(token, Some(10))] } else { &[] };
            library.add_tokens(stated).unwrap();
            assert!(library.encode("<m>", false).unwrap().contains(&10), "at the beginning it always is");
            library.encode("a<m>", false).unwrap().contains(&10)
        };
        for special in [true, false] {
            assert!(!is_found(true, None, special) && !is_found(true, Some(true), special));
            assert!(is_found(false, None, special) && is_found(false, Some(true), special));
            assert!(is_found(false, Some(false), special));
        }
        assert!(is_found(true, Some(false), false) && !is_found(true, Some(false), true));
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let mut json = small_json();
        change(&mut json);
        Library::new("t.json", json, false).unwrap_err().to_string()
    }

    #[test]
    fn refuses_files_that_the_library_would_not_survive() {
        let merge = refused(|json| json["model"]["merges"] = json!(["ab Ġa"]));
        assert!(merge.contains("model.merges[0]"), "{merge}");
        let prefix = refused(|json| json["model"]["continuing_subword_prefix"] = json!("####"));
        assert!(prefix.contains("model.merges[0]"), "{prefix}");
        let template = refused(|json| json["post_processor"]["special_tokens"] = json!({}));
        assert!(template.contains("not listed"), "{template}");
        let text_b = refused(|json| json["post_processor"]["single"][1]["Sequence"]["id"] = json!("B"));
        assert!(text_b.contains("text B"), "{text_b}");
        let id = refused(|json| json["model"]["vocab"]["a"] = json!(u32::MAX));
        assert!(id.contains("an id below"), "{id}");
        let twice = refused(|json| json["model"]["vocab"]["a"] = json!(2));
        assert!(twice.contains("an id of its own"), "{twice}");
        let kind = refused(|json| json["model"]["type"] = json!("Unigram"));
        assert!(kind.contains("a Unigram model is not supported"), "{kind}");
        let random = refused(|json| json["model"]["dropout"] = json!(0.1));
        assert!(random.contains("same ids each time"), "{random}");
        let map = refused(|json| {
            json["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "Precompiled"}]});
        });
        assert!(map.contains("Precompiled"), "{map}");
        let replace = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
        let grows = refused(|json| {
            json["normalizer"] = json!({"type": "Sequence", "normalizers": [replace, replace, replace]});
        });
        assert!(grows.contains("at most 64 times longer, found up to 1000 times"), "{grows}");
        let between = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "a".repeat(100)});
        assert!(refused(|json| json["decoder"] = between.clone()).contains("up to 101 times"));
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let often = refused(|json| json["post_processor"]["single"] = json!([text, text]));
        assert!(often.contains("the text once"), "{often}");
        assert!(refused(|json| *json = json!([])).contains("model: expected an object, found nothing"));
    }
}
