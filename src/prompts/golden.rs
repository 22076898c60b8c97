//! Golden conversations: what a template must render, byte for byte, and the ids it must give.

use serde::Deserialize;

use super::encode::EncodeMode;
use super::error::PromptError;
use super::render::{Message, RenderOptions, Segment, text};
use super::template::PromptTemplate;
use crate::tokenizer::Tokenizer;

/// A conversation with its exact rendering.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The conversation.
    pub messages: Vec<Message>,
    /// Whether the generation prompt follows.
    #[serde(default = "yes")]
    pub add_generation_prompt: bool,
    /// The rendering as text, special tokens spelled out.
    pub text: String,
    /// The texts that are encoded one by one, where special tokens or cuts lie between them.
    #[serde(default)]
    pub parts: Option<Vec<String>>,
    /// The ids with `tokenizer`, BOS rule included.
    #[serde(default)]
    pub ids: Option<Vec<u32>>,
    /// Name of the tokenizer of `ids`.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// The mode of `ids`, if not the template's.
    #[serde(default)]
    pub encode: Option<EncodeMode>,
    /// Where it was read or how it was found.
    pub src: String,
}

fn yes() -> bool {
    true
}

impl PromptTemplate {
    /// Compares the renderings of all golden conversations.
    ///
    /// Errors: the first difference, or a conversation that does not render.
    pub fn check_golden(&self) -> Result<(), PromptError> {
        for (index, golden) in (1..).zip(&self.golden) {
            let segments = self.render_golden(golden)?;
            let found = text(&segments);
            if found != golden.text {
                return Err(self.differs(index, "text", &golden.text, &found));
            }
            let parts = segments.iter().filter_map(|segment| match segment {
                Segment::Text(text) => Some(text.as_str()),
                Segment::Special(_) => None,
            });
            let parts: Vec<&str> = parts.collect();
            if let Some(wanted) = golden.parts.as_ref().filter(|wanted| **wanted != parts) {
                return Err(self.differs(index, "parts", wanted, &parts));
            }
        }
        Ok(())
    }

    /// Compares the ids of all golden conversations that state ids for the named tokenizer; gives their number.
    ///
    /// Errors: the first difference, a conversation that does not render or encode.
    pub fn check_golden_ids(&self, name: &str, tokenizer: &Tokenizer) -> Result<usize, PromptError> {
        let mut compared = 0;
        for (index, golden) in (1..).zip(&self.golden) {
            let Some(ids) = golden.ids.as_ref().filter(|_| golden.tokenizer.as_deref() == Some(name)) else {
                continue;
            };
            let segments = self.render_golden(golden)?;
            let found = self.encode_as(&segments, tokenizer, golden.encode.unwrap_or(self.encode))?;
            if found != *ids {
                return Err(self.differs(index, "ids", ids, &found));
            }
            compared += 1;
        }
        Ok(compared)
    }

    /// The segments of a golden conversation.
    ///
    /// Errors: as [`PromptTemplate::render`].
    pub fn render_golden(&self, golden: &Golden) -> Result<Vec<Segment>, PromptError> {
        let options =
            RenderOptions { add_generation_prompt: golden.add_generation_prompt, ..RenderOptions::default() };
        self.render(&golden.messages, options)
    }

    fn differs(
        &self,
        index: usize,
        what: &'static str,
        expected: impl std::fmt::Debug,
        found: impl std::fmt::Debug,
    ) -> PromptError {
        PromptError::Golden {
            template: self.name.clone(),
            index,
            what,
            expected: format!("{expected:?}"),
            found: format!("{found:?}"),
        }
    }
}
