//! The tokenizer files of a GGUF file, as a Hugging Face folder has them.
//!
//! A SentencePiece vocabulary becomes `tokenizer.model`, a byte-level one `tokenizer.json` with a template that adds
//! what encoding adds; beside either stands a `tokenizer_config.json` with the special tokens and the chat template. Reading them
//! gives the ids that the GGUF file gives.

use serde_json::{Map, Value, json};

use super::gguf::{ByteLevel, sentencepiece_model, sentencepiece_specials, text_rules};
use super::tiktoken::{Ranks, is_tiktoken};
use super::vocabulary::PieceKind;
use super::{BosEos, SpecialIds, TokenizerError};
use crate::weights::gguf::Metadata;

/// File names with their contents; none if the metadata have no vocabulary (`no_vocab`, or no key at all).
///
/// Errors: a vocabulary of an unknown kind, or a damaged one.
pub fn tokenizer_files(meta: &Metadata) -> Result<Vec<(String, Vec<u8>)>, TokenizerError> {
    let (name, content, ids, added, class) = match meta.string("tokenizer.ggml.model")? {
        None | Some("no_vocab") => return Ok(Vec::new()),
        Some("gpt2") => {
            let (content, ids, added) = byte_level(meta)?;
            ("tokenizer.json", content, ids, added, "PreTrainedTokenizerFast")
        }
        // Of other kinds this says that they are unknown.
        Some(_) => {
            let content = sentencepiece_model(meta)?;
            if text_rules(meta)?.remove_extra_whitespaces {
                let key = "tokenizer.ggml.remove_extra_whitespaces";
                let supported = "false: files of Hugging Face's form have no such rule";
                return Err(TokenizerError::unsupported("GGUF metadata", key, "true", supported));
            }
            let (ids, added) = sentencepiece_specials(meta)?;
            ("tokenizer.model", content, ids, added, "LlamaTokenizer")
        }
    };
    let config = config(meta, ids, added, class)?;
    let pretty = |value: &Value| format!("{value:#}\n").into_bytes();
    Ok(vec![(name.to_owned(), content), ("tokenizer_config.json".to_owned(), pretty(&config))])
}

/// Files by name.
pub type NamedFiles = Vec<(String, Vec<u8>)>;

/// The same files for a `tokenizer.model` of tiktoken's; `None` if `bytes` are none. `place` names the file in errors.
///
/// # Errors
/// A line that is none, ranks with holes, bytes that no token spells.
pub fn tiktoken_files(place: &str, bytes: &[u8]) -> Option<Result<NamedFiles, TokenizerError>> {
    is_tiktoken(bytes).then(|| tokenizer_files(&Ranks::parse(place, bytes)?.metadata(place)?))
}

/// The content of the `tokenizer.json` of a vocabulary of tiktoken's, which puts BOS first; `place` names the file in errors.
pub(super) fn json_of_ranks(place: &str, ranks: &Ranks) -> Result<Value, TokenizerError> {
    let (content, ..) = byte_level(&ranks.metadata(place)?)?;
    Ok(serde_json::from_slice(&content).expect("what was written as JSON"))
}

fn token(meta: &Metadata, id: Option<u32>) -> Result<Option<&str>, TokenizerError> {
    let Some(id) = id else { return Ok(None) };
    let tokens = meta.strings("tokenizer.ggml.tokens")?.expect("ids were read beside the tokens");
    Ok(Some(tokens.get(id as usize).expect("ids were checked against the number of tokens")))
}

fn config(meta: &Metadata, ids: SpecialIds, added: BosEos, class: &str) -> Result<Value, TokenizerError> {
    let mut config = json!({
        "tokenizer_class": class,
        "bos_token": token(meta, ids.bos)?,
        "eos_token": token(meta, ids.eos)?,
        "unk_token": token(meta, ids.unk)?,
        "pad_token": token(meta, ids.pad)?,
        "add_bos_token": added.0.is_some(),
        "add_eos_token": added.1.is_some(),
        "clean_up_tokenization_spaces": false,
        // Each text between special tokens has a prefix of its own, as this program reads GGUF vocabularies.
        "legacy": true,
    });
    if class == "LlamaTokenizer" {
        config["add_prefix_space"] = json!(text_rules(meta)?.add_dummy_prefix);
    }
    if let Some(template) = meta.string("tokenizer.chat_template")? {
        config["chat_template"] = json!(template);
    }
    Ok(config)
}

fn byte_level(meta: &Metadata) -> Result<(Vec<u8>, SpecialIds, BosEos), TokenizerError> {
    let mut vocabulary = ByteLevel::new(meta)?;
    // A special token is found in text as a whole, whatever its type in the file.
    for id in vocabulary.ids.all() {
        if let Some(kind @ PieceKind::Normal) = vocabulary.kinds.get_mut(id as usize) {
            *kind = PieceKind::Control;
        }
    }
    let mut json = vocabulary.json()?;
    let (bos, eos) = vocabulary.added;
    let (bos, eos) = (bos.zip(token(meta, bos)?), eos.zip(token(meta, eos)?));
    if bos.is_some() || eos.is_some() {
        let special = |(_, text): (u32, &str)| json!({"SpecialToken": {"id": text, "type_id": 0}});
        let around = |sequence: &str| {
            let text = json!({"Sequence": {"id": sequence, "type_id": 0}});
            bos.map(special).into_iter().chain([text]).chain(eos.map(special)).collect::<Vec<Value>>()
        };
        let tokens: Map<String, Value> = bos
            .into_iter()
            .chain(eos)
            .map(|(id, text)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
            .collect();
        let pair = [around("A"), around("B")].concat();
        json["post_processor"] = json!({
            "type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens,
        });
    }
    Ok((json.to_string().into_bytes(), vocabulary.ids, vocabulary.added))
}

#[cfg(test)]
mod tests {
    use super::super::vocabulary::tests::pieces;
    use super::super::{AddSpecials, Tokenizer};
    use super::*;
    use crate::weights::gguf::Value as Gguf;

    fn metadata(model: &str, values: Vec<(&str, Gguf)>) -> Metadata {
        let mut all = vec![("model", Gguf::String(model.into()))];
        all.extend(values);
        Metadata(all.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect())
    }

    /// The tokenizer of the files, and that of the metadata.
    fn both(meta: &Metadata) -> [Tokenizer; 2] {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in tokenizer_files(meta).unwrap() {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        [Tokenizer::from_folder(folder.path()).unwrap(), Tokenizer::from_gguf(meta).unwrap()]
    }

    fn assert_same(meta: &Metadata, texts: &[&str]) {
        let [files, own] = both(meta);
        for specials in [AddSpecials::Default, AddSpecials::None] {
            for text in texts {
                let ids = own.encode(text, specials).unwrap();
                assert_eq!(files.encode(text, specials).unwrap(), ids, "{text:?}");
                assert_eq!(files.decode(&ids).unwrap(), own.decode(&ids).unwrap(), "{text:?}");
            }
        }
        let specials = |t: &Tokenizer| (t.bos(), t.eos(), t.unk(), t.pad(), t.adds_bos());
        assert_eq!(specials(&files), specials(&own));
    }

    #[test]
    fn a_sentencepiece_vocabulary_becomes_a_model_file() {
        let mut pieces = pieces(&[("▁", -1.0), ("a", -2.0), ("▁a", -1.5), ("[PAD]", 0.0)]);
        pieces[262].kind = PieceKind::UserDefined;
        for add_bos in [true, false] {
            let meta = metadata(
                "llama",
                vec![
                    ("tokens", Gguf::Strings(pieces.iter().map(|piece| piece.text.clone()).collect())),
                    ("scores", Gguf::Floats(pieces.iter().map(|piece| piece.score).collect())),
                    ("token_type", Gguf::Integers(pieces.iter().map(|p| p.kind.number() as i64).collect())),
                    ("add_bos_token", Gguf::Bool(add_bos)),
                    ("padding_token_id", Gguf::Unsigned(262)),
                ],
            );
            assert_same(&meta, &["", "a a", "<s>a[PAD] é"]);
        }
    }

    #[test]
    fn a_byte_level_vocabulary_becomes_a_json_file() {
        let mut tokens: Vec<String> = ('!'..='~').map(String::from).collect();
        tokens.extend(["Ġ", "ab", "<s>", "</s>"].map(str::to_owned));
        for (add_bos, add_eos) in [(true, false), (false, false), (true, true)] {
            let meta = metadata(
                "gpt2",
                vec![
                    ("tokens", Gguf::Strings(tokens.clone())),
                    ("merges", Gguf::Strings(vec!["a b".into()])),
                    ("pre", Gguf::String("smollm".into())),
                    ("bos_token_id", Gguf::Unsigned(96)),
                    ("eos_token_id", Gguf::Unsigned(97)),
                    ("add_bos_token", Gguf::Bool(add_bos)),
                    ("add_eos_token", Gguf::Bool(add_eos)),
                ],
            );
            assert_same(&meta, &["", "ab 12", "ab</s>c"]);
        }
    }

    #[test]
    fn no_vocabulary_has_no_files() {
        assert!(tokenizer_files(&Metadata::default()).unwrap().is_empty());
        assert!(tokenizer_files(&metadata("no_vocab", vec![])).unwrap().is_empty());
        assert!(tokenizer_files(&metadata("bert", vec![])).unwrap_err().to_string().contains("bert"));
    }
}
