//! One prompt template as its file states it: layout, special tokens, stop rules, sampling, sources and doubts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::conversation::{Message, Role};
use super::pattern::Pattern;
use super::stop::StopRules;

/// A prompt template (`zoo/prompts/NAME.yaml`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTemplate {
    /// The name by which cards refer to it; also the name of the file.
    pub name: String,
    /// What it can render.
    pub kind: TemplateKind,
    /// What it is, in a sentence or two.
    pub description: String,
    /// Where the facts were read (provenance tags of the cards).
    pub src: String,
    /// Models that it belongs to, in words.
    #[serde(default)]
    pub applies_to: Option<String>,
    /// Names of this template in other projects.
    #[serde(default)]
    pub known_as: Vec<String>,
    /// The system text if a conversation brings none; `None`: no system part then.
    #[serde(default)]
    pub default_system: Option<String>,
    /// Other system texts that were in use, by name.
    #[serde(default)]
    pub other_systems: BTreeMap<String, NamedText>,
    /// What is written for each message.
    pub layout: TemplateLayout,
    /// Roles whose contents lose the white space at both ends (as Python's `strip` does).
    #[serde(default)]
    pub strip: Vec<Role>,
    /// Texts that no message may hold.
    #[serde(default)]
    pub forbidden: Vec<String>,
    /// Whether a BOS stands before the whole prompt.
    pub bos: BosRule,
    /// Where a dummy prefix goes when the text is encoded.
    pub encode: EncodeMode,
    /// When an answer ends.
    #[serde(default)]
    pub stop: StopRules,
    /// The sampling that its authors recommend.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Traps and remarks.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is from memory, derived, or told differently by different sources.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Conversations with the exact text (and ids) they must give.
    pub golden: Vec<Golden>,
}

/// What a template can render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateKind {
    /// Raw text that the model continues.
    Completion,
    /// One instruction, one answer.
    Instruction,
    /// Any number of turns.
    Chat,
}

/// The patterns of a template.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateLayout {
    /// In front of everything, from the system text.
    #[serde(default)]
    pub system: Option<Pattern>,
    /// Instead of `system`: the first user message with the system text folded in; text only.
    #[serde(default)]
    pub system_in_user: Option<Pattern>,
    /// What an empty system text does.
    #[serde(default)]
    pub empty_system: EmptySystem,
    /// A user message.
    pub user: Pattern,
    /// A user message with a second text, its input.
    #[serde(default)]
    pub user_with_input: Option<Pattern>,
    /// When `user_with_input` is taken.
    #[serde(default)]
    pub input_when: InputWhen,
    /// An answer; a template without one renders no answers.
    #[serde(default)]
    pub assistant: Option<Pattern>,
    /// What follows the last user message when the model shall answer.
    #[serde(default)]
    pub generation: Pattern,
    /// What stands before each user message but the first.
    #[serde(default)]
    pub between: Pattern,
}

/// What an empty system text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptySystem {
    /// It is filled in like any other.
    #[default]
    Keep,
    /// The system part is left out.
    Omit,
}

/// When the pattern with an input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputWhen {
    /// The input has at least one character.
    #[default]
    NonEmpty,
    /// There is an input, be it empty.
    Present,
}

/// Whether a BOS stands before the whole prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BosRule {
    /// If the tokenizer puts one there by itself.
    Tokenizer,
    /// None is added: the layout writes its own, or the model was trained without.
    Never,
}

/// Where texts get a dummy prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodeMode {
    /// Every text segment is encoded by itself, also after a cut (Meta's code, BELLE, Ziya).
    PerSegment,
    /// Every text between special tokens gets one, cuts are ignored (transformers in 2023, `legacy=True`).
    Legacy,
    /// Only a text at the very start gets one, cuts are ignored (`legacy=False`).
    NonLegacy,
}

/// A text with its source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedText {
    /// What was written, word by word.
    pub text: String,
    /// Where it was in use.
    #[serde(default)]
    pub note: Option<String>,
    /// Where it was read.
    pub src: String,
}

/// Recommended sampling.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Softmax temperature.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Nucleus mass, in (0, 1].
    #[serde(default)]
    pub top_p: Option<f64>,
    /// Tokens kept before sampling.
    #[serde(default)]
    pub top_k: Option<u32>,
    /// Divisor of the logits of tokens that have been seen.
    #[serde(default)]
    pub repetition_penalty: Option<f64>,
    /// Tokens of an answer at most.
    #[serde(default)]
    pub max_new_tokens: Option<u32>,
    /// Where it was read.
    pub src: String,
}

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
