//! A folder's tokenizer as the metadata of a GGUF file (`tokenizer.ggml.*`).
//!
//! A SentencePiece vocabulary becomes its pieces with scores and kinds, the added tokens after them, and
//! placeholders up to the rows of the embedding, since llama.cpp asks for as many tokens as rows. A byte-level
//! vocabulary becomes tokens, merges and the name of its pre-tokenizer; one that llama.cpp has no name for is
//! refused, because a wrong name gives wrong ids without a sign.
//! Source: the GGUF specification's tokenizer keys; scores of added tokens as llama.cpp's converter sets them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value as Json;

use super::byte_level::PreTokenizer;
use super::error;
use super::folder::{SettledModel, from_json, from_model};
use super::from_gguf::json_of_ranks;
use super::library::merge_parts;
use super::settings::{ReadFile, Settings};
use super::specials::AddedToken;
use super::tiktoken::{Ranks, is_tiktoken};
use super::vocabulary::{MAX_PIECES, Piece, PieceKind};
use super::{AddSpecials, SpecialIds, Tokenizer, TokenizerError};
use crate::weights::gguf::{Metadata, Value};

/// Score of a token that is no piece; merging never makes it.
const ADDED_SCORE: f32 = -1000.0;
/// Score of an entry that only fills up the list.
const PLACEHOLDER_SCORE: f32 = -10_000.0;

/// The `tokenizer.ggml.*` keys of the tokenizer whose files `read` gives by name, with exactly `rows` tokens; `None`
/// if there is neither `tokenizer.model` nor `tokenizer.json`. `folder` names the files in errors.
///
/// Errors: what reading the files finds; more tokens than `rows`; a kind of tokenizer that GGUF cannot say.
pub fn gguf_vocabulary(
    folder: &Path,
    read: &ReadFile<'_>,
    rows: usize,
) -> Result<Option<Metadata>, TokenizerError> {
    let settings = Settings::read(folder, read)?;
    let (model, json) = (folder.join("tokenizer.model"), folder.join("tokenizer.json"));
    let bytes = read("tokenizer.model")?;
    if let Some(bytes) = bytes.as_ref().filter(|bytes| !is_tiktoken(bytes)) {
        return sentencepiece(&model, bytes, &settings, rows).map(Some);
    }
    if let Some(bytes) = read("tokenizer.json")? {
        let content = error::from_json(&json, &bytes)?;
        let tokenizer = from_json(&json, &bytes, &settings)?;
        return byte_level(&json, &content, &tokenizer, &settings, rows).map(Some);
    }
    let Some(bytes) = bytes else { return Ok(None) };
    let place = model.display().to_string();
    let content = json_of_ranks(&place, &Ranks::parse(&place, &bytes)?)?;
    let tokenizer = from_model(&model, &bytes, &settings)?;
    byte_level(&model, &content, &tokenizer, &settings, rows).map(Some)
}

/// The keys that are being collected.
#[derive(Default)]
struct Keys(Metadata);

impl Keys {
    fn set(&mut self, key: &str, value: Value) {
        self.0.0.insert(format!("tokenizer.ggml.{key}"), value);
    }

    fn set_pieces(&mut self, pieces: &[Piece]) {
        self.set("tokens", Value::Strings(pieces.iter().map(|piece| piece.text.clone()).collect()));
        let kinds = pieces.iter().map(|piece| i64::from(piece.kind.number())).collect();
        self.set("token_type", Value::Integers(kinds));
    }

    fn set_specials(&mut self, ids: SpecialIds, add_bos: bool, add_eos: bool) {
        for (key, id) in [
            ("bos_token_id", ids.bos),
            ("eos_token_id", ids.eos),
            ("unknown_token_id", ids.unk),
            ("padding_token_id", ids.pad),
        ] {
            if let Some(id) = id {
                self.set(key, Value::Unsigned(id.into()));
            }
        }
        self.set("add_bos_token", Value::Bool(add_bos));
        self.set("add_eos_token", Value::Bool(add_eos));
    }

    /// The ids at which the model stops writing beside the EOS. GGUF has keys for two of them, the ends of a turn and of a
    /// message, which readers treat alike; the message's is named after its token.
    fn set_ends(&mut self, place: &str, eos: Option<u32>, ends: &[u32], pieces: &[Piece]) {
        let is_message = |id: u32| pieces[id as usize].text == "<|eom_id|>";
        let others = ends.iter().copied().filter(|&id| Some(id) != eos && (id as usize) < pieces.len());
        let (message, turn): (Vec<u32>, Vec<u32>) = others.partition(|&id| is_message(id));
        let (mut message, mut turn) = (message.into_iter(), turn.into_iter());
        for (key, id) in [("eot", turn.next()), ("eom", message.next().or_else(|| turn.next()))] {
            if let Some(id) = id {
                self.set(&format!("{key}_token_id"), Value::Unsigned(id.into()));
            }
        }
        let left: Vec<u32> = turn.chain(message).collect();
        if !left.is_empty() {
            tracing::warn!(
                "{place}: the model stops writing at more tokens than a GGUF file has keys for; readers of it will not stop at \
                 {left:?}"
            );
        }
    }
}

fn sentencepiece(
    file: &Path,
    bytes: &[u8],
    settings: &Settings,
    rows: usize,
) -> Result<Metadata, TokenizerError> {
    let place = file.display().to_string();
    let model = SettledModel::new(&place, bytes, settings)?;
    let pieces = with_added(&place, model.vocabulary.pieces().to_vec(), &model.tokens, rows)?;
    let mut keys = Keys::default();
    keys.set("model", Value::String("llama".into()));
    keys.set("pre", Value::String("default".into()));
    keys.set("scores", Value::Floats(pieces.iter().map(|piece| piece.score).collect()));
    keys.set_pieces(&pieces);
    keys.set_specials(model.ids, model.added.0.is_some(), model.added.1.is_some());
    keys.set_ends(&place, model.ids.eos, &settings.ends, &pieces);
    keys.set("add_space_prefix", Value::Bool(model.rules.add_dummy_prefix));
    if model.rules.remove_extra_whitespaces {
        keys.set("remove_extra_whitespaces", Value::Bool(true));
    }
    Ok(keys.0)
}

/// The pieces with their added tokens, filled up to `rows` entries.
fn with_added(
    place: &str,
    mut pieces: Vec<Piece>,
    added: &BTreeMap<u32, AddedToken>,
    rows: usize,
) -> Result<Vec<Piece>, TokenizerError> {
    let needed = added.keys().next_back().map_or(0, |&id| id as usize + 1).max(pieces.len());
    if needed > rows || rows > MAX_PIECES {
        return Err(TokenizerError::field(
            place,
            "number of tokens",
            format!("at most the {rows} rows of the embedding (and {MAX_PIECES})"),
            format!("{needed}; the tokenizer belongs to another model, or the embedding was not resized"),
        ));
    }
    let taken: HashSet<String> = pieces
        .iter()
        .map(|piece| piece.text.clone())
        .chain(added.values().map(|token| token.text.clone()))
        .collect();
    let first_new = pieces.len();
    pieces.extend((first_new..rows).map(|id| Piece {
        text: placeholder(id, &taken),
        score: PLACEHOLDER_SCORE,
        kind: PieceKind::Unused,
    }));
    for (&id, token) in added {
        let piece = pieces.get_mut(id as usize).expect("there are rows for all added tokens");
        let kind = if token.special { PieceKind::Control } else { PieceKind::UserDefined };
        if id as usize >= first_new {
            *piece = Piece { text: token.text.clone(), score: ADDED_SCORE, kind };
        } else if matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined | PieceKind::Unused) {
            piece.kind = kind;
        }
    }
    Ok(pieces)
}

/// A text for an id without a token that no token has.
fn placeholder(id: usize, taken: &HashSet<String>) -> String {
    let mut text = format!("[PAD{id}]");
    while taken.contains(&text) {
        text.insert(0, '[');
        text.push(']');
    }
    text
}

fn byte_level(
    file: &Path,
    json: &Json,
    tokenizer: &Tokenizer,
    settings: &Settings,
    rows: usize,
) -> Result<Metadata, TokenizerError> {
    let place = file.display().to_string();
    let model = json.get("model").unwrap_or(&Json::Null);
    let pre = pre_tokenizer(&place, json, model)?;
    let vocab = model.get("vocab").and_then(Json::as_object).expect("the vocabulary was read");
    let id = |id: &Json| id.as_u64().expect("the ids were checked") as usize;
    let mut known: BTreeMap<usize, String> =
        vocab.iter().map(|(text, value)| (id(value), text.clone())).collect();
    let mut added = settings.added.clone();
    for token in json.get("added_tokens").and_then(Json::as_array).into_iter().flatten() {
        let id = token.get("id").and_then(Json::as_u64).and_then(|id| u32::try_from(id).ok());
        if let (Some(id), Some(text)) = (id, token.get("content").and_then(Json::as_str)) {
            let special = token.get("special").and_then(Json::as_bool).unwrap_or(false);
            added.entry(id).or_insert_with(|| AddedToken::new(text, special));
        }
    }
    let taken: HashSet<String> =
        known.values().cloned().chain(added.values().map(|token| token.text.clone())).collect();
    let length = known.keys().next_back().map_or(0, |&id| id + 1);
    let pieces: Vec<Piece> = (0..length)
        .map(|id| match known.remove(&id) {
            Some(text) => Piece { text, score: 0.0, kind: PieceKind::Normal },
            None => Piece { text: placeholder(id, &taken), score: 0.0, kind: PieceKind::Unused },
        })
        .collect();
    let mut pieces = with_added(&place, pieces, &added, rows)?;
    for (&id, token) in &added {
        // An id without a piece of its own has a placeholder until here.
        pieces[id as usize].text = token.text.clone();
    }

    let mut keys = Keys::default();
    keys.set("model", Value::String("gpt2".into()));
    keys.set("pre", Value::String(pre.into()));
    keys.set_pieces(&pieces);
    keys.set("merges", Value::Strings(merges(&place, model)?));
    let nothing = tokenizer.encode("", AddSpecials::Default)?;
    let ids = tokenizer.ids;
    let add_bos = tokenizer.adds_bos;
    let add_eos = nothing.len() > usize::from(add_bos) && nothing.last().copied() == ids.eos;
    keys.set_specials(ids, add_bos, add_eos);
    keys.set_ends(&place, ids.eos, tokenizer.ends(), &pieces);
    Ok(keys.0)
}

/// llama.cpp's name of the way in which text is cut into words.
fn pre_tokenizer(place: &str, json: &Json, model: &Json) -> Result<&'static str, TokenizerError> {
    let unsupported = |field: &str, found: &str| {
        let supported = "byte-level BPE without a normalizer as LLaMA 3, GPT-2, SmolLM, Qwen 2 and BLOOM have it, \
                         or a tokenizer.model of SentencePiece beside it";
        TokenizerError::unsupported(place, field, found, supported)
    };
    let flag = |name: &str| model.get(name).and_then(Json::as_bool).unwrap_or(false);
    if model.get("type").and_then(Json::as_str).is_some_and(|kind| kind != "BPE") || flag("byte_fallback") {
        return Err(unsupported("model", "another model than byte-level BPE"));
    }
    if json.get("normalizer").is_some_and(|normalizer| !normalizer.is_null()) {
        return Err(unsupported("normalizer", "a normalizer"));
    }
    let parts = json.get("pre_tokenizer").unwrap_or(&Json::Null);
    PreTokenizer::name_of(parts, flag("ignore_merges"))
        .ok_or_else(|| unsupported("pre_tokenizer", "a way of cutting words that llama.cpp has no name for"))
}

/// The merges as `left right`; both spellings of `tokenizer.json` are read.
fn merges(place: &str, model: &Json) -> Result<Vec<String>, TokenizerError> {
    let merges = model.get("merges").and_then(Json::as_array).into_iter().flatten().enumerate();
    let text = |(index, merge): (usize, &Json)| {
        let pair = merge_parts(merge).filter(|(left, right)| !left.contains(' ') && !right.contains(' '));
        pair.map(|(left, right)| format!("{left} {right}")).ok_or_else(|| {
            let field = format!("model.merges[{index}]");
            TokenizerError::field(place, field, "two tokens without spaces", merge.to_string())
        })
    };
    merges.map(text).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::Tokenizer;
    use super::super::model_writer::model_file;
    use super::super::sentencepiece::TextRules;
    use super::super::vocabulary::tests::pieces;
    use super::*;

    const RULES: TextRules =
        TextRules { add_dummy_prefix: true, prefix_at_start_only: false, remove_extra_whitespaces: false };

    /// LLaMA's special tokens and bytes, then `▁`, `a`, `▁a` and `[PAD]` with the ids 259 to 262.
    fn vocabulary(settings: &[(&str, Json)], rows: usize) -> Result<Metadata, TokenizerError> {
        let ids = SpecialIds { bos: Some(1), eos: Some(2), unk: Some(0), pad: None };
        let pieces = pieces(&[("▁", -1.0), ("a", -2.0), ("▁a", -1.5), ("[PAD]", 0.0)]);
        let model = model_file(&pieces, ids, RULES);
        let read = |name: &str| {
            let json = settings.iter().find(|(known, _)| *known == name).map(|(_, json)| json.to_string());
            Ok(if name == "tokenizer.model" { Some(model.clone()) } else { json.map(String::into_bytes) })
        };
        gguf_vocabulary(Path::new("m"), &read, rows).map(Option::unwrap)
    }

    #[test]
    fn pieces_added_tokens_and_placeholders_fill_the_rows() {
        let settings = [
            ("added_tokens.json", json!({"<human>": 264})),
            ("tokenizer_config.json", json!({"pad_token": "[PAD]", "bos_token": ""})),
        ];
        let metadata = vocabulary(&settings, 266).unwrap();
        let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
        assert_eq!(tokens[260..], ["a", "▁a", "[PAD]", "[PAD263]", "<human>", "[PAD265]"]);
        let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap().unwrap();
        assert_eq!((&kinds[..4], &kinds[259..]), (&[2, 3, 3, 6][..], &[1, 1, 1, 3, 5, 4, 5][..]));
        let scores = metadata.floats("tokenizer.ggml.scores").unwrap().unwrap();
        assert_eq!(scores[261..], [-1.5, 0.0, PLACEHOLDER_SCORE, ADDED_SCORE, PLACEHOLDER_SCORE]);
        for (key, id) in [("bos", 1), ("eos", 2), ("unknown", 0), ("padding", 262)] {
            assert_eq!(
                metadata.unsigned(&format!("tokenizer.ggml.{key}_token_id")).unwrap(),
                Some(id),
                "{key}"
            );
        }
        let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
        assert_eq!(tokenizer.encode("a<human>[PAD]", AddSpecials::Default).unwrap(), [1, 261, 264, 262]);
        assert_eq!(tokenizer.encode_raw(" a").unwrap(), [259, 261]);
    }

    #[test]
    fn all_ends_of_an_answer_come_back() {
        let ends = |ids: Json| {
            let metadata =
                vocabulary(&[("generation_config.json", json!({"eos_token_id": ids}))], 264).unwrap();
            Tokenizer::from_gguf(&metadata).unwrap().ends().to_vec()
        };
        assert_eq!(ends(json!(2)), [2]);
        assert_eq!(ends(json!([2, 260])), [2, 260]);
        assert_eq!(ends(json!([260, 2, 261])), [2, 260, 261]);
        // There is no third key; an id that the model does not have is never written.
        assert_eq!(ends(json!([2, 260, 261, 262])), [2, 260, 261]);
        assert_eq!(ends(json!([2, 9999])), [2]);
        // Llama 3's, with the message's end under its own key.
        let file = super::super::tiktoken_file(&["ab"]);
        let read = |name: &str| Ok((name == "tokenizer.model").then(|| file.clone()));
        let metadata = gguf_vocabulary(Path::new("m"), &read, 513).unwrap().unwrap();
        let id = |key: &str| metadata.unsigned(&format!("tokenizer.ggml.{key}_token_id")).unwrap();
        assert_eq!((id("eos"), id("eom"), id("eot")), (Some(258), Some(265), Some(266)));
        let mut ends = Tokenizer::from_gguf(&metadata).unwrap().ends().to_vec();
        ends.sort_unstable();
        assert_eq!(ends, [258, 265, 266]);
    }

    #[test]
    fn more_tokens_than_rows_are_refused() {
        assert!(vocabulary(&[], 263).is_ok());
        let message = vocabulary(&[], 262).unwrap_err().to_string();
        assert!(
            message.contains("at most the 262 rows of the embedding") && message.contains("263;"),
            "{message}"
        );
        let added = [("added_tokens.json", json!({"<human>": 270}))];
        assert!(vocabulary(&added, 270).unwrap_err().to_string().contains("271;"));
    }

    #[test]
    fn a_placeholder_never_is_the_text_of_another_token() {
        let metadata = vocabulary(&[("added_tokens.json", json!({"[PAD264]": 263}))], 265).unwrap();
        let tokens = metadata.strings("tokenizer.ggml.tokens").unwrap().unwrap();
        assert_eq!(tokens[263..], ["[PAD264]", "[[PAD264]]"]);
    }

    #[test]
    fn without_a_tokenizer_there_is_no_vocabulary() {
        assert!(gguf_vocabulary(Path::new("m"), &|_| Ok(None), 10).unwrap().is_none());
    }
}
