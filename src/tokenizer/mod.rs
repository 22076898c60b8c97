//! Text to token ids and back: SentencePiece and byte-level vocabularies, special tokens, the harness' rule for the
//! BOS.
//!
//! One type, [`Tokenizer`], hides three origins: a folder with `tokenizer.json` (run by the `tokenizers` library), a
//! folder with SentencePiece's `tokenizer.model` (own reader and encoder), and the metadata of a GGUF file (either
//! kind). Llama 3's `tokenizer.model` is a list of tiktoken's, which is read as a byte-level vocabulary. Sources: Kudo and Richardson, "SentencePiece" (2018); the GGUF specification; lm-evaluation-harness 0.4.13
//! for when special tokens are added.

mod byte_level;
mod class;
mod clean_up;
mod error;
mod folder;
mod from_gguf;
mod gguf;
mod library;
mod library_parts;
mod literals;
mod merge;
mod merge_models;
mod model_proto;
mod model_writer;
mod names;
mod sentencepiece;
mod settings;
mod specials;
mod stream;
#[cfg(test)]
mod tests;
mod tiktoken;
mod to_gguf;
mod vocabulary;
mod wire;

use std::path::Path;

pub use error::TokenizerError;
pub use folder::meta_model;
pub use from_gguf::{NamedFiles, tiktoken_files, tokenizer_files};
pub use gguf::sentencepiece_model;
use library::Library;
pub use merge_models::{AppendedScore, ModelFile, merge_models};
pub use names::SpecialNames;
use sentencepiece::SentencePiece;
pub use settings::ReadFile;
pub use stream::TextStream;
#[cfg(test)]
pub(crate) use tiktoken::tests::file as tiktoken_file;
pub use to_gguf::gguf_vocabulary;

use crate::weights::gguf::Metadata;

/// Whether encoding adds the special tokens that the tokenizer adds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddSpecials {
    /// What the tokenizer does by default: LLaMA puts BOS first, GPT-2 and BLOOM add nothing.
    Default,
    /// Only the ids of the text.
    None,
}

/// Turns text into token ids and back. Safe to share between threads.
#[derive(Debug)]
pub struct Tokenizer {
    engine: Engine,
    ids: SpecialIds,
    /// What encoding adds by default; `None` leaves it to the post-processor of `tokenizer.json`.
    added: Option<BosEos>,
    adds_bos: bool,
    prefix_text: Option<String>,
    names: SpecialNames,
    /// At which a model stops writing, the EOS first.
    ends: Vec<u32>,
    sha256: String,
}

/// What does the work.
#[derive(Debug)]
enum Engine {
    Library(Box<Library>),
    SentencePiece(Box<SentencePiece>),
}

/// The ids that encoding puts before and after a text.
type BosEos = (Option<u32>, Option<u32>);

/// Ids of the special tokens, where the vocabulary has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct SpecialIds {
    bos: Option<u32>,
    eos: Option<u32>,
    unk: Option<u32>,
    pad: Option<u32>,
}

impl SpecialIds {
    fn all(self) -> impl Iterator<Item = u32> {
        [self.bos, self.eos, self.unk, self.pad].into_iter().flatten()
    }

    fn contains(self, id: u32) -> bool {
        self.all().any(|special| special == id)
    }
}

impl Tokenizer {
    /// The tokenizer of a model folder: `tokenizer.json`, else `tokenizer.model` (for Meta's layout also that of the
    /// folder above), with the settings files beside it.
    ///
    /// Errors: no tokenizer in the folder, an unreadable or damaged file, an unsupported kind, contradicting ids.
    pub fn from_folder(folder: &Path) -> Result<Tokenizer, TokenizerError> {
        folder::tokenizer(folder)
    }

    /// The tokenizer of the files that `read` gives by name; `folder` names them in errors.
    ///
    /// Errors: as [`Tokenizer::from_folder`].
    pub fn from_files(folder: &Path, read: &ReadFile<'_>) -> Result<Tokenizer, TokenizerError> {
        folder::tokenizer_of_files(folder, read)
    }

    /// The tokenizer in the metadata of a GGUF file (`tokenizer.ggml.*`).
    ///
    /// Errors: missing keys, lists of different lengths, an unsupported model or pre-tokenizer, ids out of range.
    pub fn from_gguf(meta: &Metadata) -> Result<Tokenizer, TokenizerError> {
        gguf::tokenizer(meta)
    }

    fn new(
        engine: Engine,
        ids: SpecialIds,
        added: Option<BosEos>,
        names: SpecialNames,
        sha256: String,
    ) -> Result<Tokenizer, TokenizerError> {
        let ends = ids.eos.into_iter().collect();
        let mut tokenizer =
            Tokenizer { engine, ids, added, adds_bos: false, prefix_text: None, names, ends, sha256 };
        let mut names = std::mem::take(&mut tokenizer.names);
        names.complete(ids, |id| tokenizer.token_text(id));
        tokenizer.names = names;
        let first = tokenizer.encode("", AddSpecials::Default)?.first().copied();
        tokenizer.adds_bos = first.is_some() && first == ids.bos;
        tokenizer.prefix_text = tokenizer.prefix_token().map(|id| tokenizer.decode(&[id])).transpose()?;
        Ok(tokenizer)
    }

    /// The same, whose model also stops writing at these ids.
    fn ending_at(mut self, ends: &[u32]) -> Tokenizer {
        for id in ends {
            if !self.ends.contains(id) {
                self.ends.push(*id);
            }
        }
        self
    }

    /// The ids at which a model stops writing: the EOS, and those of `generation_config.json` or else of `config.json`.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The ids of `text`. Special tokens that are spelled in the text become their ids, as fast tokenizers do; with a
    /// SentencePiece vocabulary each text between them gets its own dummy prefix.
    ///
    /// Errors: a text too long to index, a failure of the library.
    pub fn encode(&self, text: &str, specials: AddSpecials) -> Result<Vec<u32>, TokenizerError> {
        let ((bos, eos), post_process) = match (specials, self.added) {
            (AddSpecials::Default, Some(added)) => (added, false),
            (AddSpecials::Default, None) => ((None, None), true),
            (AddSpecials::None, _) => ((None, None), false),
        };
        let mut ids: Vec<u32> = bos.into_iter().collect();
        match &self.engine {
            Engine::Library(library) => ids.extend(library.encode(text, post_process)?),
            Engine::SentencePiece(model) => model.encode(text, &mut ids)?,
        }
        ids.extend(eos);
        Ok(ids)
    }

    /// The ids of a text segment in which nothing is special: `</s>` is four characters. Nothing is added.
    ///
    /// Errors: as [`Tokenizer::encode`].
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.engine {
            Engine::Library(library) => library.encode_raw(text),
            Engine::SentencePiece(model) => {
                let mut ids = Vec::new();
                model.encode_raw(text, &mut ids)?;
                Ok(ids)
            }
        }
    }

    /// The ids of a prompt as lm-evaluation-harness 0.4.13 makes them: with the tokenizer's default special tokens, but without
    /// any if the text already starts with the text of the prefix token.
    ///
    /// Errors: as [`Tokenizer::encode`].
    pub fn encode_for_model(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let has_prefix =
            self.prefix_text.as_deref().is_some_and(|prefix| !prefix.is_empty() && text.starts_with(prefix));
        self.encode(text, if has_prefix { AddSpecials::None } else { AddSpecials::Default })
    }

    /// The text of the ids, special tokens spelled out. Ids without a token give nothing.
    ///
    /// Errors: a failure of the library's decoder.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.decode_with(ids, false)
    }

    /// The text of the ids without special tokens, as generated text is shown and graded.
    ///
    /// Errors: as [`Tokenizer::decode`].
    pub fn decode_without_specials(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.decode_with(ids, true)
    }

    /// Whether [`decode_without_specials`](Self::decode_without_specials) gives something for an id.
    fn is_shown(&self, id: u32) -> bool {
        match &self.engine {
            Engine::Library(library) => library.is_shown(id, true),
            Engine::SentencePiece(model) => model.is_shown(id, true),
        }
    }

    fn decode_with(&self, ids: &[u32], skip_specials: bool) -> Result<String, TokenizerError> {
        match &self.engine {
            Engine::Library(library) => library.decode(ids, skip_specials),
            Engine::SentencePiece(model) => Ok(model.decode(ids, skip_specials)),
        }
    }

    /// BOS (`<s>`): the start of a text.
    pub fn bos(&self) -> Option<u32> {
        self.ids.bos
    }

    /// EOS (`</s>`): its end.
    pub fn eos(&self) -> Option<u32> {
        self.ids.eos
    }

    /// The token for text that cannot be spelled.
    pub fn unk(&self) -> Option<u32> {
        self.ids.unk
    }

    /// The token that fills up batches.
    pub fn pad(&self) -> Option<u32> {
        self.ids.pad
    }

    /// The special tokens by the names under which chat templates know them.
    pub fn special_names(&self) -> &SpecialNames {
        &self.names
    }

    /// The token that stands before a text that is scored without context: BOS, else EOS.
    pub fn prefix_token(&self) -> Option<u32> {
        self.ids.bos.or(self.ids.eos)
    }

    /// The text of [`Tokenizer::prefix_token`].
    pub fn prefix_text(&self) -> Option<&str> {
        self.prefix_text.as_deref()
    }

    /// Whether [`AddSpecials::Default`] puts BOS first.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Whether its vocabulary is one of SentencePiece's.
    pub fn is_sentencepiece(&self) -> bool {
        matches!(self.engine, Engine::SentencePiece(_))
    }

    /// One token as the vocabulary spells it, with its signs for spaces (`▁`, `Ġ`) and bytes.
    pub fn token_text(&self, id: u32) -> Option<String> {
        match &self.engine {
            Engine::Library(library) => library.token_text(id),
            Engine::SentencePiece(model) => model.token_text(id).map(str::to_owned),
        }
    }

    /// One more than the largest id, added tokens included. A model needs at least as many embedding rows.
    pub fn vocab_size(&self) -> usize {
        match &self.engine {
            Engine::Library(library) => library.vocab_size(),
            Engine::SentencePiece(model) => model.vocab_size(),
        }
    }

    /// Rows of an embedding that texts need: one for each id, but none for a padding token behind all others, which no text
    /// becomes.
    pub fn rows_needed(&self) -> usize {
        let all = self.vocab_size();
        let is_padding = all > 0 && self.pad().is_some_and(|pad| pad as usize == all - 1);
        let has_other_part = [self.bos(), self.eos(), self.unk()].contains(&self.pad());
        if is_padding && !has_other_part { all - 1 } else { all }
    }

    /// SHA-256 in hexadecimal: of `tokenizer.json` or `tokenizer.model`, or of all that decides ids in GGUF metadata.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}
