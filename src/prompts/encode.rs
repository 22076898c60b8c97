//! Segments to token ids.
//!
//! A SentencePiece vocabulary puts a space (the dummy prefix) before a text, and where it does so changes
//! the ids: `</s>USER` is `</s>`, `▁USER` for the tokenizers of 2023 and `</s>`, `USER` for later ones.

use super::conversation::{PromptSegment, Special};
use super::error::PromptError;
use super::template::{BosRule, EncodeMode, PromptTemplate};
use crate::tokenizer::Tokenizer;

/// The ids of the segments; nothing is added.
///
/// Errors: a special token that the vocabulary lacks, a failure of the tokenizer.
pub fn encode(
    segments: &[PromptSegment],
    tokenizer: &Tokenizer,
    mode: EncodeMode,
) -> Result<Vec<u32>, PromptError> {
    let joined;
    let segments = if mode == EncodeMode::PerSegment {
        segments
    } else {
        joined = join_texts(segments);
        &joined
    };
    let mut ids = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        match segment {
            PromptSegment::Special(special) => ids.push(special_id(special, tokenizer)?),
            PromptSegment::Text(text) if mode == EncodeMode::NonLegacy && i > 0 => {
                ids.extend(encode_without_prefix(text, tokenizer)?);
            }
            PromptSegment::Text(text) => ids.extend(tokenizer.encode_raw(text)?),
        }
    }
    Ok(ids)
}

impl PromptTemplate {
    /// The ids of rendered segments in this template's mode, with the BOS that its rule asks for.
    ///
    /// Errors: as [`encode`].
    pub fn encode(&self, segments: &[PromptSegment], tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
        let ids = encode(segments, tokenizer, self.encode)?;
        let bos = tokenizer.bos().filter(|_| self.adds_bos(segments) && tokenizer.adds_bos());
        Ok(bos.into_iter().chain(ids).collect())
    }

    /// Whether a tokenizer that adds a BOS by itself does so here. Never a second one.
    pub(super) fn adds_bos(&self, segments: &[PromptSegment]) -> bool {
        self.bos == BosRule::Tokenizer && segments.first() != Some(&PromptSegment::Special(Special::Bos))
    }
}

/// Neighbouring texts as one.
fn join_texts(segments: &[PromptSegment]) -> Vec<PromptSegment> {
    let mut joined: Vec<PromptSegment> = Vec::with_capacity(segments.len());
    for segment in segments {
        match (joined.last_mut(), segment) {
            (Some(PromptSegment::Text(last)), PromptSegment::Text(text)) => last.push_str(text),
            _ => joined.push(segment.clone()),
        }
    }
    joined
}

/// The id of a special token.
fn special_id(special: &Special, tokenizer: &Tokenizer) -> Result<u32, PromptError> {
    let missing = |token: &str| PromptError::NoToken { token: token.to_owned() };
    match special {
        Special::Bos => tokenizer.bos().ok_or_else(|| missing("BOS (<s>)")),
        Special::Eos => tokenizer.eos().ok_or_else(|| missing("EOS (</s>)")),
        Special::Token(text) => {
            let ids = tokenizer.encode(text, crate::tokenizer::AddSpecials::None)?;
            // A vocabulary that spells the token with several pieces, or in other words, does not have it.
            let id = ids.iter().copied().find(|&id| tokenizer.token_text(id).as_deref() == Some(text));
            id.filter(|_| ids.len() == 1).ok_or_else(|| missing(text))
        }
    }
}

/// The ids of a text that goes on after others: a line end is put before it, which takes the dummy prefix and is
/// its own token in every SentencePiece vocabulary of the family, and then taken away.
fn encode_without_prefix(text: &str, tokenizer: &Tokenizer) -> Result<Vec<u32>, PromptError> {
    let anchor = tokenizer.encode_raw("\n")?;
    let prefixed = match anchor.as_slice() {
        [space, _] => tokenizer.token_text(*space).as_deref() == Some("▁"),
        _ => false,
    };
    if prefixed {
        let ids = tokenizer.encode_raw(&format!("\n{text}"))?;
        if let Some(rest) = ids.strip_prefix(anchor.as_slice()) {
            return Ok(rest.to_vec());
        }
    }
    Ok(tokenizer.encode_raw(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::{End, Message, load, sample};
    use serde_json::json;

    /// Letters as tokens, a dummy prefix, line ends as bytes, `<human>` and `<bot>` as single tokens.
    fn tokenizer(adds_bos: bool) -> Tokenizer {
        let mut vocab = serde_json::Map::new();
        let marks = ["<unk>", "<s>", "</s>", "<0x0A>", "▁"].map(str::to_owned);
        let letters = (' '..='~').filter(|c| *c != ' ').map(|c| c.to_string());
        for piece in marks.into_iter().chain(letters) {
            vocab.insert(piece, json!(vocab.len()));
        }
        let size = vocab.len();
        let added = |id: usize, content: &str| {
            json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false})
        };
        let tokens = [(0, "<unk>"), (1, "<s>"), (2, "</s>"), (size, "<human>"), (size + 1, "<bot>")];
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": tokens.map(|(id, content)| added(id, content)),
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "pre_tokenizer": null,
            "post_processor": null,
            "decoder": null,
            "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocab,
                      "merges": []},
        });
        let config = json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                            "unk_token": "<unk>", "add_bos_token": adds_bos, "add_eos_token": false});
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        Tokenizer::from_folder(folder.path()).unwrap()
    }

    fn spelled(ids: &[u32], tokenizer: &Tokenizer) -> String {
        let tokens = ids.iter().map(|id| tokenizer.token_text(*id).unwrap());
        tokens.collect::<String>().replace("<0x0A>", "\n")
    }

    fn shown(name: &str, mode: EncodeMode, adds_bos: bool) -> String {
        let tokenizer = tokenizer(adds_bos);
        let mut template = load(None).unwrap()[name].clone();
        template.encode = mode;
        let messages = [Message::user("a"), Message::assistant("b"), Message::user("\nc")];
        let segments = template.render(&messages, End::Answer).unwrap();
        let ids = template.encode(&segments, &tokenizer).unwrap();
        spelled(&ids, &tokenizer)
    }

    #[test]
    fn modes_put_the_dummy_prefix_in_different_places() {
        let belle = |mode| shown("belle-train-v2", mode, true);
        let apart = "▁Human:▁\na\n\nAssistant:▁\n▁b</s>▁Human:▁\n\nc\n\nAssistant:▁\n";
        assert_eq!(belle(EncodeMode::PerSegment), apart);
        assert_eq!(belle(EncodeMode::Legacy), apart.replace("▁b", "b"));
        assert_eq!(belle(EncodeMode::NonLegacy), apart.replace("▁b", "b").replace("</s>▁", "</s>"));
    }

    #[test]
    fn a_bos_is_added_once_and_only_where_the_rule_says() {
        let coati = |adds_bos| shown("coati-serve", EncodeMode::Legacy, adds_bos);
        assert!(coati(true).starts_with("<s>▁Below") && coati(false).starts_with("▁Below"));
        assert!(shown("belle-train-v2", EncodeMode::Legacy, true).starts_with("▁Human"));
        let turns = shown("llama-2-chat", EncodeMode::PerSegment, true);
        assert_eq!(turns, "<s>▁[INST]▁a▁[/INST]▁b▁</s><s>▁[INST]▁c▁[/INST]");
    }

    #[test]
    fn named_tokens_are_single_ids_and_typed_ones_are_text() {
        let tokenizer = tokenizer(true);
        let templates = load(None).unwrap();
        let ziya = &templates["ziya"];
        let segments = ziya.render(&[Message::user("<bot></s>")], End::Answer).unwrap();
        let ids = ziya.encode(&segments, &tokenizer).unwrap();
        let human = u32::try_from(tokenizer.vocab_size()).unwrap() - 2;
        assert_eq!(ids.first(), Some(&human));
        assert_eq!(ids.iter().filter(|id| **id == human + 1).count(), 1);
        assert!(!ids.contains(&2));
        assert_eq!(spelled(&ids, &tokenizer), "<human>▁:<bot></s>\n<bot>▁:");
        let shown = sample(ziya, Some(&tokenizer)).unwrap().tokens.unwrap();
        let specials: Vec<&str> = shown
            .iter()
            .map(|(_, text)| text.as_str())
            .filter(|text| text.starts_with('<') && *text != "<0x0A>")
            .collect();
        assert_eq!(specials, ["<human>", "<bot>", "</s>", "<human>", "<bot>"]);
    }

    #[test]
    fn a_token_that_the_vocabulary_lacks_is_named() {
        let segments = [PromptSegment::Special(Special::Token("<robot>".to_owned()))];
        let message = encode(&segments, &tokenizer(true), EncodeMode::Legacy).unwrap_err().to_string();
        assert!(message.contains("no token <robot>"), "{message}");
    }
}
