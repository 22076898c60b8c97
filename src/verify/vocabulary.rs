//! The tokenizer against the matrices of the vocabulary and against the card's tokenizer record.

use std::path::Path;

use serde_json::{Map, Value};

use super::files::{FileSum, unreadable};
use super::{Check, Finding};
use crate::config::ConfigError;
use crate::config::hf::read_map;
use crate::registry::{TokenizerDifference, TokenizerRecord};
use crate::tokenizer::{Tokenizer, TokenizerError};
use crate::weights::TensorSource;

/// Ids of LLaMA's special tokens unk, bos and eos: what its SentencePiece model has, whatever a configuration says.
const LLAMA_IDS: [Option<u32>; 3] = [Some(0), Some(1), Some(2)];

/// What there is to compare with.
pub(super) struct Vocabulary<'a> {
    /// The tokenizer, or why there is none.
    pub tokenizer: &'a Result<Tokenizer, TokenizerError>,
    /// The folder with its files; `None` for a GGUF file.
    pub folder: Option<&'a Path>,
    /// Weights under Hugging Face's names.
    pub tensors: &'a dyn TensorSource,
    /// `config.json`, if there is one.
    pub config: Option<&'a Map<String, Value>>,
    /// The record of the card's tokenizer.
    pub record: Option<&'a TokenizerRecord>,
}

impl Vocabulary<'_> {
    /// All findings; one if all is well.
    pub fn check(&self) -> Vec<Finding> {
        let tokenizer = match self.tokenizer {
            Ok(tokenizer) => tokenizer,
            Err(TokenizerError::Missing { folder }) => {
                let found = format!("no tokenizer in {}", folder.display());
                return vec![
                    Finding::note(Check::Vocabulary, found)
                        .advice("fetch the tokenizer files to have the vocabulary checked"),
                ];
            }
            Err(error) => {
                return vec![Finding::failure(Check::Vocabulary, error.class(), error.to_string())];
            }
        };
        let mut findings = self.rows(tokenizer.vocab_size(), tokenizer.rows_needed());
        findings.extend(self.special_tokens(tokenizer));
        findings.extend(self.empty_texts());
        findings.extend(self.record.into_iter().flat_map(|record| self.against(record, tokenizer)));
        if findings.is_empty() {
            let found = format!(
                "{} tokens for {} rows, special tokens unk {}, bos {}, eos {}",
                tokenizer.vocab_size(),
                self.matrices().first().map_or(0, |(_, rows)| *rows),
                id(tokenizer.unk()),
                id(tokenizer.bos()),
                id(tokenizer.eos())
            );
            findings.push(Finding::ok(Check::Vocabulary, found));
        }
        findings
    }

    /// Name and rows of embedding and output layer.
    fn matrices(&self) -> Vec<(&str, usize)> {
        let infos = self.tensors.tensors().iter();
        infos
            .filter(|info| super::pass::is_vocabulary(&info.name))
            .filter_map(|info| Some((info.name.as_str(), *info.shape.first()?)))
            .collect()
    }

    /// Every token needs a row; rows beyond are padding, or the rows of another tokenizer.
    fn rows(&self, tokens: usize, needed: usize) -> Vec<Finding> {
        let padded = self.record.map(|record| record.rows());
        let wrong = |(name, rows): (&str, usize)| {
            let finding = if rows < tokens && rows >= needed {
                let found = format!("{rows} rows: all but the padding token, which no text becomes");
                Finding::note(Check::Vocabulary, found)
            } else if rows < tokens {
                Finding::failure(Check::Vocabulary, "shape mismatch", format!("{rows} rows"))
                    .advice("take the tokenizer that was released with these weights")
            } else if rows == tokens || padded == Some(rows as u64) {
                // The card's own check compares the rows with the record.
                return None;
            } else {
                let found = format!("{rows} rows, {} more than tokens", rows - tokens);
                Finding::warning(Check::Vocabulary, found).class("shape mismatch").advice(
                    "rows without a token are harmless padding in some releases and the sign of another \
                     tokenizer in others: name the card with --as to tell them apart",
                )
            };
            let expected = format!("a row for each of {tokens} tokens");
            Some(finding.at(format!("tensor {name:?}")).expected(expected))
        };
        self.matrices().into_iter().filter_map(wrong).collect()
    }

    /// Special tokens of the tokenizer against LLaMA's own and against `config.json`.
    fn special_tokens(&self, tokenizer: &Tokenizer) -> Vec<Finding> {
        let mut findings = Vec::new();
        let model = self.folder.is_some_and(|folder| folder.join("tokenizer.model").is_file());
        if model && tokenizer.is_sentencepiece() && self.record.is_none() {
            let own = special_ids(tokenizer).into_iter().zip(LLAMA_IDS);
            findings.extend(own.filter(|((_, found), expected)| found != expected).map(
                |((token, found), expected)| {
                    Finding::warning(Check::Vocabulary, id(found))
                        .at(format!("tokenizer: {token}"))
                        .expected(format!("id {}, as in every LLaMA vocabulary", id(expected)))
                        .advice("old conversions wrote wrong or empty special tokens: correct tokenizer_config.json")
                },
            ));
        }
        for (token, found) in &special_ids(tokenizer)[1..] {
            let key = format!("{token}_token_id");
            let says = self.config.and_then(|config| config.get(&key)).and_then(Value::as_u64);
            if let (Some(says), Some(found)) = (says, found)
                && says != u64::from(*found)
            {
                findings.push(
                    Finding::warning(Check::Vocabulary, format!("{key} {says}"))
                        .at("config.json")
                        .expected(format!("id {found}, the tokenizer's {token}"))
                        .advice("texts would begin or end with the wrong token: correct the configuration"),
                );
            }
        }
        findings
    }

    /// Special tokens that a settings file gives as empty text.
    fn empty_texts(&self) -> Vec<Finding> {
        let Some(folder) = self.folder else { return Vec::new() };
        let mut findings = Vec::new();
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            let path = folder.join(file);
            let object = match read_map(&path) {
                Ok(object) => object,
                Err(ConfigError::Missing { .. }) => continue,
                Err(error) => {
                    findings.push(Finding::warning(Check::Vocabulary, error.to_string()));
                    continue;
                }
            };
            let empty: Vec<&str> = ["bos_token", "eos_token", "unk_token"]
                .into_iter()
                .filter(|key| {
                    let value = object.get(*key);
                    let text = value.and_then(Value::as_str).or_else(|| value?.get("content")?.as_str());
                    text == Some("")
                })
                .collect();
            if !empty.is_empty() {
                findings.push(
                    Finding::warning(Check::Vocabulary, format!("empty text for {}", empty.join(", ")))
                        .at(path.display().to_string())
                        .expected("<s>, </s> and <unk>")
                        .advice(
                            "a build of zoo puts LLaMA's special tokens there; other programs fall back on nothing",
                        ),
                );
            }
        }
        findings
    }

    /// Size, special tokens, landmarks and digests of the record.
    fn against(&self, record: &TokenizerRecord, tokenizer: &Tokenizer) -> Vec<Finding> {
        let finding = |TokenizerDifference { what, expected, found }: TokenizerDifference| {
            Finding::failure(Check::Vocabulary, "shape mismatch", found)
                .at(format!("tokenizer: {what}"))
                .expected(format!("{expected}, as tokenizer record {} says", record.name))
                .advice("this is another tokenizer: take the one that was released with these weights")
        };
        let mut findings: Vec<Finding> = record.differences(tokenizer).into_iter().map(finding).collect();
        let files = self.folder.into_iter().flat_map(|folder| {
            let digests = record.digests.iter().flat_map(|digests| &digests.files);
            digests.map(move |(name, digest)| (folder.join(name), digest))
        });
        for (path, digest) in files.filter(|(path, _)| path.is_file()) {
            match FileSum::of(&path, &crate::base::progress::Silent) {
                Ok(sum) => findings.extend(sum.differs(digest).map(|(expected, found)| {
                    Finding::warning(Check::Vocabulary, found)
                        .class("digest mismatch")
                        .at(path.display().to_string())
                        .expected(format!("{expected}, as tokenizer record {} says", record.name))
                        .advice("compare the file with the publisher's; a re-saved one may cut texts in another way")
                })),
                Err(error) => findings.push(unreadable(Check::Vocabulary, &path, &error)),
            }
        }
        findings
    }
}

/// The special tokens unk, bos and eos.
fn special_ids(tokenizer: &Tokenizer) -> [(&'static str, Option<u32>); 3] {
    [("unk", tokenizer.unk()), ("bos", tokenizer.bos()), ("eos", tokenizer.eos())]
}

fn id(id: Option<u32>) -> String {
    id.map_or("none".to_owned(), |id| id.to_string())
}
