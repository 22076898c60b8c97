//! The tokenizer of a model folder: `tokenizer.json` if there is one, else `tokenizer.model`, of SentencePiece or of tiktoken.
//!
//! What encoding adds by default: for `tokenizer.json` what its post-processor says, except that Llama tokenizer
//! classes follow `add_bos_token` (true if not stated) and `add_eos_token`; for `tokenizer.model` BOS unless
//! `add_bos_token` is false. See [`super::class`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error;
use super::from_gguf::json_of_ranks;
use super::gguf::whole_tokens;
use super::library::Library;
use super::model_proto::ModelProto;
use super::sentencepiece::{SentencePiece, TextRules};
use super::settings::{Named, ReadFile, Settings, read_file};
use super::specials::{AddedToken, SpecialTokens};
use super::tiktoken::{Ranks, is_tiktoken};
use super::vocabulary::Vocabulary;
use super::{BosEos, Engine, SpecialIds, Tokenizer, TokenizerError};
use crate::base::digest::sha256;

/// The tokenizer of a folder.
pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, TokenizerError> {
    let read = |name: &str| read_file(&folder.join(name));
    let found = tokenizer_of_files(folder, &read);
    if matches!(found, Err(TokenizerError::Missing { .. }))
        && folder.join("params.json").is_file()
        && let Some(file) = above(folder)
        && let Some(bytes) = read_file(&file)?
    {
        return from_model(&file, &bytes, &Settings::read(folder, &read)?);
    }
    found
}

/// The `tokenizer.model` that Meta's releases keep beside the folders of the sizes.
fn above(folder: &Path) -> Option<PathBuf> {
    Some(folder.canonicalize().ok()?.parent()?.join("tokenizer.model"))
}

/// The `tokenizer.model` of a folder in Meta's layout, with its content.
///
/// # Errors
/// A file that cannot be read.
pub fn meta_model(folder: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, TokenizerError> {
    let above = if folder.join("tokenizer.json").is_file() { None } else { above(folder) };
    for file in [Some(folder.join("tokenizer.model")), above].into_iter().flatten() {
        if let Some(bytes) = read_file(&file)? {
            return Ok(Some((file, bytes)));
        }
    }
    Ok(None)
}

/// The same for the files that `read` gives by name; `folder` names them in errors.
pub(super) fn tokenizer_of_files(folder: &Path, read: &ReadFile<'_>) -> Result<Tokenizer, TokenizerError> {
    let settings = Settings::read(folder, read)?;
    let model = || -> Result<Option<Tokenizer>, TokenizerError> {
        let Some(bytes) = read("tokenizer.model")? else { return Ok(None) };
        from_model(&folder.join("tokenizer.model"), &bytes, &settings).map(Some)
    };
    if settings.prefers_model()
        && let Some(tokenizer) = model()?
    {
        return Ok(tokenizer);
    }
    if let Some(bytes) = read("tokenizer.json")? {
        return from_json(&folder.join("tokenizer.json"), &bytes, &settings);
    }
    model()?.ok_or_else(|| TokenizerError::Missing { folder: folder.to_owned() })
}

/// The tokenizer of a `tokenizer.json`.
pub(super) fn from_json(file: &Path, bytes: &[u8], settings: &Settings) -> Result<Tokenizer, TokenizerError> {
    of_json(file, error::from_json(file, bytes)?, settings, None, sha256(bytes))
}

/// The tokenizer of a vocabulary of tiktoken.
fn from_tiktoken(file: &Path, bytes: &[u8], settings: &Settings) -> Result<Tokenizer, TokenizerError> {
    let place = file.display().to_string();
    let ranks = Ranks::parse(&place, bytes)?;
    let tokenizer =
        of_json(file, json_of_ranks(&place, &ranks)?, settings, Some(ranks.ids()), sha256(bytes))?;
    Ok(tokenizer.ending_at(&ranks.ends()))
}

/// The tokenizer of the content of a `tokenizer.json`, or of a file that says the same; `own` are the special tokens that such
/// a file has by itself.
fn of_json(
    file: &Path,
    mut json: Value,
    settings: &Settings,
    own: Option<SpecialIds>,
    sha256: String,
) -> Result<Tokenizer, TokenizerError> {
    let place = file.display().to_string();
    settings.adapt(&place, &mut json)?;
    let mut engine = Library::new(&place, json, settings.clean_up_tokenization_spaces)?;
    let mut tokens: Vec<(AddedToken, Option<u32>)> =
        settings.added.iter().map(|(&id, token)| (token.clone(), Some(id))).collect();
    let named = [&settings.bos, &settings.eos, &settings.unk, &settings.pad];
    let texts = named.iter().filter_map(|named| match named {
        Named::Text(text) => Some(text),
        _ => None,
    });
    let known = texts.filter(|text| engine.id(text).is_some());
    // Additional tokens that the vocabulary lacks get the ids after its last.
    tokens.extend(known.chain(&settings.additional).map(|text| (AddedToken::new(text.clone(), true), None)));
    engine.add_tokens(&tokens)?;
    engine.check_around()?;
    let ids =
        special_ids(&place, settings, own, |text| engine.id(text), |id| engine.token_text(id).is_some())?;
    let added = if settings.class().adds_specials() { Some(added(&place, settings, ids)?) } else { None };
    let engine = Engine::Library(Box::new(engine));
    Ok(Tokenizer::new(engine, ids, added, settings.names.clone(), sha256)?.ending_at(&settings.ends))
}

/// A SentencePiece model with what the settings around it add.
pub(super) struct SettledModel {
    pub vocabulary: Vocabulary,
    pub rules: TextRules,
    pub ids: SpecialIds,
    /// All tokens that are found in text as a whole, by id; ids after the pieces are new ones.
    pub tokens: BTreeMap<u32, AddedToken>,
    pub added: BosEos,
}

impl SettledModel {
    /// Reads a `tokenizer.model` and settles which of its pieces and the added tokens are special. `place` names it
    /// in errors.
    pub fn new(place: &str, bytes: &[u8], settings: &Settings) -> Result<SettledModel, TokenizerError> {
        settings.check_model_class()?;
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
        let mut tokens = whole_tokens(&vocabulary, ids);
        for (&id, token) in &settings.added {
            check_added(place, &vocabulary, id, token)?;
            let known = tokens.get(&id);
            let special = token.special || known.is_some_and(|known| known.special) || ids.contains(id);
            // A piece that is taken out of text as it is stays one, whatever is said of normalised text.
            let normalized = if known.is_some() { Some(false) } else { token.normalized };
            tokens.insert(id, AddedToken { special, normalized, ..token.clone() });
        }
        for text in &settings.additional {
            let new = tokens.keys().next_back().map_or(0, |&id| id + 1).max(vocabulary.len() as u32);
            let known = vocabulary.id(text).or_else(|| added_id(text));
            let known =
                known.or_else(|| tokens.iter().find(|(_, token)| token.text == *text).map(|(&id, _)| id));
            let token = tokens.entry(known.unwrap_or(new));
            token.or_insert_with(|| AddedToken::new(text.clone(), true)).special = true;
        }
        let rules = TextRules {
            add_dummy_prefix: settings.dummy_prefix(model.add_dummy_prefix),
            prefix_at_start_only: settings.legacy == Some(false),
            remove_extra_whitespaces: settings.drops_spaces(model.remove_extra_whitespaces),
        };
        let added = added(place, settings, ids)?;
        Ok(SettledModel { vocabulary, rules, ids, tokens, added })
    }
}

/// The tokenizer of a `tokenizer.model` of either kind.
pub(super) fn from_model(
    file: &Path,
    bytes: &[u8],
    settings: &Settings,
) -> Result<Tokenizer, TokenizerError> {
    if is_tiktoken(bytes) {
        return from_tiktoken(file, bytes, settings);
    }
    let place = file.display().to_string();
    let SettledModel { vocabulary, rules, ids, tokens, added } = SettledModel::new(&place, bytes, settings)?;
    let tokens = SpecialTokens::new(&place, tokens, |text| rules.normalized(text))?;
    let engine = SentencePiece::new(vocabulary, tokens, rules);
    let engine = Engine::SentencePiece(Box::new(engine));
    let tokenizer = Tokenizer::new(engine, ids, Some(added), settings.names.clone(), sha256(bytes))?;
    Ok(tokenizer.ending_at(&settings.ends))
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

/// The ids of the special tokens: as the settings name them, else the model's own. A padding or unknown token that is not
/// in the vocabulary is left out; one for start or end that is not is an error.
fn special_ids(
    place: &str,
    settings: &Settings,
    own: Option<SpecialIds>,
    id_of: impl Fn(&str) -> Option<u32>,
    exists: impl Fn(u32) -> bool,
) -> Result<SpecialIds, TokenizerError> {
    // A Llama class has these texts for what the files do not name.
    let of_class = |text: &str| if settings.class().adds_specials() { id_of(text) } else { None };
    let own = own.unwrap_or_else(|| SpecialIds {
        bos: of_class("<s>"),
        eos: of_class("</s>"),
        unk: of_class("<unk>"),
        pad: None,
    });
    let find = |named: &Named, own: Option<u32>| match (named, own) {
        (Named::Text(text), _) => id_of(text),
        (Named::None, _) => None,
        (Named::Unmentioned | Named::Id(_), Some(own)) => Some(own),
        (&Named::Id(id), None) => Some(id).filter(|&id| exists(id)),
        (Named::Unmentioned, None) => None,
    };
    let needed = |name: &str, named: &Named, own: Option<u32>| match (find(named, own), named) {
        (None, Named::Text(text)) => Err(TokenizerError::field(
            place,
            name,
            "a token of the vocabulary",
            format!("{text:?}, which is not in it; the settings belong to another tokenizer"),
        )),
        (id, _) => Ok(id),
    };
    Ok(SpecialIds {
        bos: needed("bos_token", &settings.bos, own.bos)?,
        eos: needed("eos_token", &settings.eos, own.eos)?,
        unk: find(&settings.unk, own.unk),
        pad: find(&settings.pad, own.pad),
    })
}

/// What encoding adds: BOS unless the settings say no, EOS if they say yes.
fn added(place: &str, settings: &Settings, ids: SpecialIds) -> Result<BosEos, TokenizerError> {
    let wanted = |stated: Option<bool>, default: bool, id: Option<u32>, name: &str| match (stated, id) {
        (Some(true), None) => {
            let expected = format!("{name}, which the settings ask to add");
            Err(TokenizerError::field(place, format!("add_{name}"), expected, "no such token"))
        }
        (stated, id) => Ok(id.filter(|_| stated.unwrap_or(default))),
    };
    Ok((
        wanted(settings.add_bos_token, true, ids.bos, "bos_token")?,
        wanted(settings.add_eos_token, false, ids.eos, "eos_token")?,
    ))
}
