//! The tokenizer of a model folder: `tokenizer.json` if there is one, else SentencePiece's `tokenizer.model`.
//!
//! What encoding adds by default: for `tokenizer.json` what its post-processor says, except that Llama tokenizer
//! classes follow an explicit `add_bos_token` or `add_eos_token` (transformers' `LlamaTokenizerFast` rebuilds the
//! post-processor from them); for `tokenizer.model` the start mark unless `add_bos_token` is false.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::gguf::marked_tokens;
use super::library::Library;
use super::model_proto::ModelProto;
use super::sentencepiece::{SentencePiece, TextRules};
use super::settings::{Mark, ReadFile, Settings, read_bounded};
use super::specials::{AddedToken, SpecialTokens};
use super::vocabulary::Vocabulary;
use super::{Engine, Parts, SpecialIds, TokenizerError};
use crate::base::digest::sha256;

/// Bytes of a vocabulary file that are read at most; the largest known (`tokenizer.json` of 256,000 tokens) has 34 MB.
const MAX_VOCABULARY_FILE: u64 = 256 << 20;

/// The vocabulary and marks that a folder describes.
pub(super) fn parts(folder: &Path) -> Result<Parts, TokenizerError> {
    let settings = Settings::read(folder)?;
    let file = folder.join("tokenizer.json");
    if let Some(bytes) = read_bounded(&file, MAX_VOCABULARY_FILE)? {
        return from_json(&file, &bytes, &settings);
    }
    for file in model_files(folder) {
        if let Some(bytes) = read_bounded(&file, MAX_VOCABULARY_FILE)? {
            return from_model(&file, &bytes, &settings);
        }
    }
    Err(TokenizerError::Missing { folder: folder.to_owned() })
}

/// The same for the files that `read` gives by name; `folder` names them in errors.
pub(super) fn parts_of_files(folder: &Path, read: &ReadFile<'_>) -> Result<Parts, TokenizerError> {
    let settings = Settings::read_with(folder, read)?;
    if let Some(bytes) = read("tokenizer.json")? {
        return from_json(&folder.join("tokenizer.json"), &bytes, &settings);
    }
    if let Some(bytes) = read("tokenizer.model")? {
        return from_model(&folder.join("tokenizer.model"), &bytes, &settings);
    }
    Err(TokenizerError::Missing { folder: folder.to_owned() })
}

/// Meta's releases keep one `tokenizer.model` beside the folders of the sizes.
fn model_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join("tokenizer.model")];
    if folder.join("params.json").is_file() {
        let above = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_owned));
        files.extend(above.map(|above| above.join("tokenizer.model")));
    }
    files
}

/// The tokenizer of a `tokenizer.json`.
pub(super) fn from_json(file: &Path, bytes: &[u8], settings: &Settings) -> Result<Parts, TokenizerError> {
    let place = file.display().to_string();
    let json = serde_json::from_slice(bytes)
        .map_err(|source| TokenizerError::Json { file: file.to_owned(), source })?;
    let mut engine = Library::new(&place, json, settings.clean_up_tokenization_spaces)?;
    let mut added: Vec<(AddedToken, Option<u32>)> =
        settings.added.iter().map(|(&id, token)| (token.clone(), Some(id))).collect();
    let marks = [&settings.bos, &settings.eos, &settings.unk, &settings.pad];
    let texts = marks.iter().filter_map(|mark| match mark {
        Mark::Text(text) => Some(text),
        _ => None,
    });
    let known = texts.chain(&settings.additional).filter(|text| engine.id(text).is_some());
    added.extend(known.map(|text| (AddedToken::new(text.clone(), true), None)));
    engine.add_tokens(&added)?;
    engine.check_around()?;
    let ids =
        special_ids(&place, settings, None, |text| engine.id(text), |id| engine.token_text(id).is_some())?;
    let llama = settings.tokenizer_class.as_deref().is_some_and(|class| class.contains("LlamaTokenizer"));
    let explicit = settings.add_bos_token.is_some() || settings.add_eos_token.is_some();
    let marks = if llama && explicit { Some(added_marks(&place, settings, ids)?) } else { None };
    Ok(Parts { engine: Engine::Library(Box::new(engine)), ids, marks, sha256: sha256(bytes) })
}

/// A SentencePiece model with what the settings around it add.
pub(super) struct SettledModel {
    pub vocabulary: Vocabulary,
    pub rules: TextRules,
    pub ids: SpecialIds,
    /// All tokens that are found in text as a whole, by id; ids after the pieces are new ones.
    pub tokens: BTreeMap<u32, AddedToken>,
    /// The marks that encoding adds: `(bos, eos)`.
    pub marks: (Option<u32>, Option<u32>),
}

impl SettledModel {
    /// Reads a `tokenizer.model` and settles which of its pieces and the added tokens are marks. `place` names it
    /// in errors.
    pub fn new(place: &str, bytes: &[u8], settings: &Settings) -> Result<SettledModel, TokenizerError> {
        let model = ModelProto::parse(place, bytes)?;
        let own = SpecialIds { bos: model.bos, eos: model.eos, unk: Some(model.unk), pad: model.pad };
        let vocabulary = model.vocabulary;
        let added_id =
            |text: &str| settings.added.iter().find(|(_, token)| token.text == text).map(|(&id, _)| id);
        let ids = special_ids(
            place,
            settings,
            Some(own),
            |text| vocabulary.id(text).or_else(|| added_id(text)),
            |id| vocabulary.piece(id).is_some() || settings.added.contains_key(&id),
        )?;
        let mut tokens = marked_tokens(&vocabulary, ids);
        for (&id, token) in &settings.added {
            check_added(place, &vocabulary, id, token)?;
            let special =
                token.special || tokens.get(&id).is_some_and(|known| known.special) || ids.contains(id);
            tokens.insert(id, AddedToken { special, ..token.clone() });
        }
        for text in &settings.additional {
            if let Some(id) = vocabulary.id(text).or_else(|| added_id(text)) {
                tokens.entry(id).or_insert_with(|| AddedToken::new(text.clone(), true)).special = true;
            }
        }
        let rules = TextRules {
            add_dummy_prefix: model.add_dummy_prefix,
            prefix_at_start_only: settings.legacy == Some(false),
            remove_extra_whitespaces: model.remove_extra_whitespaces,
        };
        let marks = added_marks(place, settings, ids)?;
        Ok(SettledModel { vocabulary, rules, ids, tokens, marks })
    }
}

fn from_model(file: &Path, bytes: &[u8], settings: &Settings) -> Result<Parts, TokenizerError> {
    let place = file.display().to_string();
    let SettledModel { vocabulary, rules, ids, tokens, marks } = SettledModel::new(&place, bytes, settings)?;
    let engine = SentencePiece::new(vocabulary, SpecialTokens::new(&place, tokens)?, rules);
    Ok(Parts {
        engine: Engine::SentencePiece(Box::new(engine)),
        ids,
        marks: Some(marks),
        sha256: sha256(bytes),
    })
}

/// An added token is either a new id after the pieces or the piece of that id.
fn check_added(
    place: &str,
    vocabulary: &Vocabulary,
    id: u32,
    token: &AddedToken,
) -> Result<(), TokenizerError> {
    let conflict = match (vocabulary.piece(id), vocabulary.id(&token.text)) {
        (Some(piece), _) if piece.text != token.text => format!("id {id} for the piece {:?}", piece.text),
        (None, Some(piece)) => format!("a piece of that text with id {piece}"),
        _ => return Ok(()),
    };
    Err(TokenizerError::field(
        place,
        format!("added token {:?} with id {id}", token.text),
        "an id after the pieces, or the same text as its piece",
        format!("{conflict}; the settings belong to another tokenizer"),
    ))
}

/// The ids of the marks: as the settings name them, else the model's own. A padding or unknown token that is not in
/// the vocabulary is left out; a start or end mark that is not is an error.
fn special_ids(
    place: &str,
    settings: &Settings,
    own: Option<SpecialIds>,
    id_of: impl Fn(&str) -> Option<u32>,
    exists: impl Fn(u32) -> bool,
) -> Result<SpecialIds, TokenizerError> {
    let find = |mark: &Mark, own: Option<u32>| match (mark, own) {
        (Mark::Text(text), _) => id_of(text),
        (Mark::None, _) => None,
        (Mark::Unmentioned | Mark::Id(_), Some(own)) => Some(own),
        (&Mark::Id(id), None) => Some(id).filter(|&id| exists(id)),
        (Mark::Unmentioned, None) => None,
    };
    let needed = |name: &str, mark: &Mark, own: Option<u32>| match (find(mark, own), mark) {
        (None, Mark::Text(text)) => Err(TokenizerError::field(
            place,
            name,
            "a token of the vocabulary",
            format!("{text:?}, which is not in it; the settings belong to another tokenizer"),
        )),
        (id, _) => Ok(id),
    };
    Ok(SpecialIds {
        bos: needed("bos_token", &settings.bos, own.and_then(|own| own.bos))?,
        eos: needed("eos_token", &settings.eos, own.and_then(|own| own.eos))?,
        unk: find(&settings.unk, own.and_then(|own| own.unk)),
        pad: find(&settings.pad, own.and_then(|own| own.pad)),
    })
}

/// The marks that encoding adds: `(bos, eos)`. The start mark unless the settings say no, the end mark if they say yes.
fn added_marks(
    place: &str,
    settings: &Settings,
    ids: SpecialIds,
) -> Result<(Option<u32>, Option<u32>), TokenizerError> {
    let wanted = |stated: Option<bool>, default: bool, id: Option<u32>, name: &str| match (stated, id) {
        (Some(true), None) => {
            let expected = format!("{name}, which the settings ask to add");
            Err(TokenizerError::field(place, format!("add_{name}"), expected, "no such mark"))
        }
        (stated, id) => Ok(id.filter(|_| stated.unwrap_or(default))),
    };
    Ok((
        wanted(settings.add_bos_token, true, ids.bos, "bos_token")?,
        wanted(settings.add_eos_token, false, ids.eos, "eos_token")?,
    ))
}
