//! Vocabularies out of GGUF metadata (`tokenizer.ggml.*`).
//!
//! Source: the GGUF specification's tokenizer keys, and llama.cpp's `llama-vocab.cpp` for the defaults of absent
//! keys: a `llama` (SentencePiece) vocabulary adds BOS, a `gpt2` (byte-level) one does not unless its
//! pre-tokenizer is LLaMA 3's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::byte_level::{PreTokenizer, tokenizer_json};
use super::library::Library;
use super::model_proto::ModelProto;
use super::model_writer::model_file;
use super::sentencepiece::{SentencePiece, TextRules};
use super::specials::{AddedToken, SpecialTokens};
use super::vocabulary::{MAX_PIECES, Piece, PieceKind, Vocabulary};
use super::{BosEos, Engine, SpecialIds, SpecialNames, Tokenizer, TokenizerError};
use crate::base::digest::sha256;
use crate::weights::gguf::Metadata;

/// How errors name the source.
const PLACE: &str = "GGUF metadata";

/// The tokenizer that the metadata describes.
pub(super) fn tokenizer(meta: &Metadata) -> Result<Tokenizer, TokenizerError> {
    let model =
        meta.string("tokenizer.ggml.model")?.ok_or_else(|| missing("tokenizer.ggml.model", "a tokenizer"))?;
    match model {
        "llama" => sentencepiece(meta),
        "gpt2" => byte_level(meta),
        other => Err(TokenizerError::unsupported(
            PLACE,
            "tokenizer.ggml.model",
            format!("{other:?}"),
            "\"llama\" (SentencePiece BPE), \"gpt2\" (byte-level BPE)",
        )),
    }
}

fn missing(key: &str, expected: &str) -> TokenizerError {
    TokenizerError::field(PLACE, key, expected, "no such key")
}

/// The token list, checked for size.
fn tokens(meta: &Metadata) -> Result<&[String], TokenizerError> {
    let key = "tokenizer.ggml.tokens";
    let tokens = meta.strings(key)?.ok_or_else(|| missing(key, "the list of tokens"))?;
    TokenizerError::check_limit(PLACE, "number of tokens", MAX_PIECES, tokens.len())?;
    Ok(tokens)
}

/// One kind per token; all normal if the key is absent.
fn kinds(meta: &Metadata, count: usize) -> Result<Option<Vec<PieceKind>>, TokenizerError> {
    let key = "tokenizer.ggml.token_type";
    let Some(numbers) = meta.integers(key)? else { return Ok(None) };
    check_count(key, count, numbers.len())?;
    let kind = |(id, &number): (usize, &i64)| {
        let place = || format!("{key}[{id}]");
        PieceKind::from_number(number).ok_or_else(|| {
            TokenizerError::field(PLACE, place(), "a token type from 1 to 6", number.to_string())
        })
    };
    numbers.iter().enumerate().map(kind).collect::<Result<_, _>>().map(Some)
}

fn check_count(key: &str, expected: usize, found: usize) -> Result<(), TokenizerError> {
    if expected == found {
        return Ok(());
    }
    Err(TokenizerError::field(PLACE, key, format!("{expected} entries, one per token"), format!("{found}")))
}

/// The special tokens that the metadata names; `defaults` for absent keys.
fn special_ids(meta: &Metadata, count: usize, defaults: SpecialIds) -> Result<SpecialIds, TokenizerError> {
    let id = |key: &str, default: Option<u32>| special_id(meta, key, count, default);
    Ok(SpecialIds {
        bos: id("tokenizer.ggml.bos_token_id", defaults.bos)?,
        eos: id("tokenizer.ggml.eos_token_id", defaults.eos)?,
        unk: id("tokenizer.ggml.unknown_token_id", defaults.unk)?,
        pad: id("tokenizer.ggml.padding_token_id", defaults.pad)?,
    })
}

fn special_id(
    meta: &Metadata,
    key: &str,
    count: usize,
    default: Option<u32>,
) -> Result<Option<u32>, TokenizerError> {
    match meta.unsigned(key)? {
        None => Ok(default.filter(|&id| (id as usize) < count)),
        Some(id) if id < count as u64 => Ok(Some(id as u32)),
        Some(id) => Err(TokenizerError::field(PLACE, key, format!("an id below {count}"), id.to_string())),
    }
}

/// The ids at which a model stops writing beside the EOS: the ends of a turn and of a message.
fn more_ends(meta: &Metadata, count: usize) -> Result<Vec<u32>, TokenizerError> {
    let ids =
        ["eot", "eom"].map(|key| special_id(meta, &format!("tokenizer.ggml.{key}_token_id"), count, None));
    ids.into_iter().filter_map(Result::transpose).collect()
}

/// The special tokens that only chat templates know.
fn names(meta: &Metadata) -> Result<SpecialNames, TokenizerError> {
    let tokens = tokens(meta)?;
    let mut names = SpecialNames::default();
    for (name, key) in [("sep_token", "seperator"), ("cls_token", "cls"), ("mask_token", "mask")] {
        let id = special_id(meta, &format!("tokenizer.ggml.{key}_token_id"), tokens.len(), None)?;
        names.tokens.extend(id.map(|id| (name.to_owned(), tokens[id as usize].clone())));
    }
    Ok(names)
}

/// What encoding adds.
fn added(meta: &Metadata, ids: SpecialIds, add_bos: bool) -> Result<BosEos, TokenizerError> {
    let wanted = |key: &str, default: bool, id: Option<u32>, id_key: &str| {
        let stated = meta.boolean(key)?;
        match (stated.unwrap_or(default), id) {
            (true, None) if stated == Some(true) => {
                Err(missing(id_key, "the special token that is to be added"))
            }
            (true, id) => Ok(id),
            (false, _) => Ok(None),
        }
    };
    Ok((
        wanted("tokenizer.ggml.add_bos_token", add_bos, ids.bos, "tokenizer.ggml.bos_token_id")?,
        wanted("tokenizer.ggml.add_eos_token", false, ids.eos, "tokenizer.ggml.eos_token_id")?,
    ))
}

/// The pieces of a SentencePiece vocabulary.
fn pieces(meta: &Metadata) -> Result<Vec<Piece>, TokenizerError> {
    let tokens = tokens(meta)?;
    let key = "tokenizer.ggml.scores";
    let scores = meta.floats(key)?.ok_or_else(|| missing(key, "one score per token"))?;
    check_count(key, tokens.len(), scores.len())?;
    let kinds = kinds(meta, tokens.len())?
        .ok_or_else(|| missing("tokenizer.ggml.token_type", "one type per token"))?;
    let piece = |((text, &score), kind): ((&String, &f32), _)| Piece { text: text.clone(), score, kind };
    Ok(tokens.iter().zip(scores).zip(kinds).map(piece).collect())
}

/// The special tokens that a SentencePiece vocabulary has where the metadata do not say: LLaMA's.
const LLAMA_IDS: SpecialIds = SpecialIds { bos: Some(1), eos: Some(2), unk: Some(0), pad: None };

/// How the metadata have text prepared.
pub(super) fn text_rules(meta: &Metadata) -> Result<TextRules, TokenizerError> {
    Ok(TextRules {
        add_dummy_prefix: meta.boolean("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
        prefix_at_start_only: false,
        remove_extra_whitespaces: meta.boolean("tokenizer.ggml.remove_extra_whitespaces")?.unwrap_or(false),
    })
}

/// The `tokenizer.model` of a GGUF file's SentencePiece vocabulary: its pieces with their ids, and its rules.
///
/// Errors: a vocabulary of another kind, or one that is damaged.
pub fn sentencepiece_model(meta: &Metadata) -> Result<Vec<u8>, TokenizerError> {
    let key = "tokenizer.ggml.model";
    let model = meta.string(key)?.ok_or_else(|| missing(key, "a tokenizer"))?;
    if model != "llama" {
        return Err(TokenizerError::unsupported(
            PLACE,
            key,
            format!("{model:?}"),
            "\"llama\" (SentencePiece BPE)",
        ));
    }
    let pieces = pieces(meta)?;
    let ids = special_ids(meta, pieces.len(), LLAMA_IDS)?;
    let file = model_file(&pieces, ids, text_rules(meta)?);
    // The metadata may hold what no model file can (two unknown pieces, for example): said now, not by its reader.
    ModelProto::parse(PLACE, &file)?;
    Ok(file)
}

/// The special tokens of a SentencePiece vocabulary, and those that encoding adds.
pub(super) fn sentencepiece_specials(meta: &Metadata) -> Result<(SpecialIds, BosEos), TokenizerError> {
    let ids = special_ids(meta, tokens(meta)?.len(), LLAMA_IDS)?;
    Ok((ids, added(meta, ids, true)?))
}

fn sentencepiece(meta: &Metadata) -> Result<Tokenizer, TokenizerError> {
    let pieces = pieces(meta)?;
    let byte_fallback = pieces.iter().any(|piece| piece.kind == PieceKind::Byte);
    let (ids, (bos, eos)) = sentencepiece_specials(meta)?;
    let ends = more_ends(meta, pieces.len())?;
    let vocabulary = Vocabulary::new(PLACE, pieces, ids.unk, byte_fallback)?;
    let rules = text_rules(meta)?;
    let tokens = whole_tokens(&vocabulary, ids);
    let specials = SpecialTokens::new(PLACE, tokens, |text| rules.normalized(text))?;
    let engine = SentencePiece::new(vocabulary, specials, rules);
    let mut description = "zoo gguf vocabulary 1: llama\n".to_owned();
    engine.describe(&mut description);
    describe_special_tokens(ids, (bos, eos), &mut description);
    let tokenizer = Tokenizer::new(
        Engine::SentencePiece(Box::new(engine)),
        ids,
        Some((bos, eos)),
        names(meta)?,
        sha256(description),
    )?;
    Ok(tokenizer.ending_at(&ends))
}

/// Appends the special tokens and those that encoding adds, for a digest. Ledgers of scores and descriptions of runs hold such
/// digests, so this text stays as it is, whatever becomes of the types.
fn describe_special_tokens(ids: SpecialIds, (bos, eos): BosEos, out: &mut String) {
    let said = |id: Option<u32>| id.map_or_else(|| "None".to_owned(), |id| format!("Some({id})"));
    let _ = writeln!(
        out,
        "SpecialIds {{ bos: {}, eos: {}, unk: {}, pad: {} }} {} {}",
        said(ids.bos),
        said(ids.eos),
        said(ids.unk),
        said(ids.pad),
        said(bos),
        said(eos)
    );
}

/// The pieces that are split out of text: control and user-defined ones, and those the file names as special.
pub(super) fn whole_tokens(vocabulary: &Vocabulary, ids: SpecialIds) -> BTreeMap<u32, AddedToken> {
    let mut tokens = BTreeMap::new();
    for (id, piece) in vocabulary.pieces().iter().enumerate() {
        if matches!(piece.kind, PieceKind::Control | PieceKind::UserDefined) {
            let token = AddedToken::new(piece.text.clone(), piece.kind == PieceKind::Control);
            tokens.insert(id as u32, AddedToken { normalized: Some(false), ..token });
        }
    }
    for id in ids.all() {
        if let Some(piece) = vocabulary.piece(id) {
            tokens.insert(id, AddedToken::new(piece.text.clone(), true));
        }
    }
    tokens
}

/// A byte-level vocabulary as the metadata has it.
pub(super) struct ByteLevel<'a> {
    pub tokens: &'a [String],
    pub kinds: Vec<PieceKind>,
    pub merges: &'a [String],
    /// The name of the pre-tokenizer, and what it means.
    pub name: &'a str,
    pub pre: PreTokenizer,
    pub ids: SpecialIds,
    pub added: BosEos,
}

impl ByteLevel<'_> {
    /// Reads and checks the keys.
    pub fn new(meta: &Metadata) -> Result<ByteLevel<'_>, TokenizerError> {
        let tokens = tokens(meta)?;
        let kinds = kinds(meta, tokens.len())?.unwrap_or_else(|| vec![PieceKind::Normal; tokens.len()]);
        let key = "tokenizer.ggml.merges";
        let merges = meta.strings(key)?.ok_or_else(|| missing(key, "the list of merges"))?;
        let name = meta.string("tokenizer.ggml.pre")?.unwrap_or_else(|| {
            tracing::warn!(
                "the file does not name its pre-tokenizer (tokenizer.ggml.pre); using llama.cpp's default"
            );
            "default"
        });
        let pre = PreTokenizer::named(PLACE, name)?;
        let ids = special_ids(meta, tokens.len(), SpecialIds::default())?;
        let added = added(meta, ids, pre.add_bos)?;
        Ok(ByteLevel { tokens, kinds, merges, name, pre, ids, added })
    }

    /// The `tokenizer.json` of the vocabulary, without what encoding adds.
    pub fn json(&self) -> Result<serde_json::Value, TokenizerError> {
        tokenizer_json(PLACE, self.tokens, &self.kinds, self.merges, self.pre)
    }
}

fn byte_level(meta: &Metadata) -> Result<Tokenizer, TokenizerError> {
    let vocabulary = ByteLevel::new(meta)?;
    let mut engine = Library::new(PLACE, vocabulary.json()?, false)?;
    let ByteLevel { tokens, kinds, merges, name, ids, added: (bos, eos), .. } = vocabulary;
    let text = |id: u32| tokens.get(id as usize).map(|text| (AddedToken::new(text.clone(), true), Some(id)));
    engine.add_tokens(&ids.all().filter_map(text).collect::<Vec<_>>())?;
    let mut description = format!("zoo gguf vocabulary 1: gpt2 {name}\n");
    for (token, kind) in tokens.iter().zip(&kinds) {
        let _ = writeln!(description, "{} {token} {}", token.len(), *kind as u8);
    }
    for merge in merges {
        let _ = writeln!(description, "{} {merge}", merge.len());
    }
    describe_special_tokens(ids, (bos, eos), &mut description);
    let tokenizer = Tokenizer::new(
        Engine::Library(Box::new(engine)),
        ids,
        Some((bos, eos)),
        names(meta)?,
        sha256(description),
    )?;
    Ok(tokenizer.ending_at(&more_ends(meta, tokens.len())?))
}
