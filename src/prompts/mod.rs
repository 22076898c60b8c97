//! Prompt templates: conversations to text and token ids, exactly as each family was trained.
//!
//! A template is one file of `zoo/prompts/`: patterns for each role, which special tokens stand where, what
//! is stripped or refused, how the text is encoded, when an answer ends, and golden conversations that the
//! file itself is tested with. Rendering gives [`PromptSegment`]s, text or special tokens, so that a user who
//! types `</s>` never ends a turn. [`chat_template`] runs the Jinja templates that checkpoints bring along and
//! says where they differ from the card's.

pub mod chat_template;

mod chat;
mod check;
mod conversation;
mod encode;
mod error;
mod load;
mod parsed;
mod pattern;
mod render;
mod sample;
mod stop;
mod template;
mod writing;

pub use chat::{ChatFormat, WriteChat, WrittenChat};
pub use conversation::{End, Message, PromptSegment, Role, Special, text};
pub use encode::encode;
pub use error::PromptError;
pub use load::{PromptTemplates, embedded_names, find, load, parse};
pub use pattern::{Pattern, PatternPiece};
pub use sample::{RenderedSample, sample};
pub use stop::{StopRegex, StopRules, cut};
pub use template::{
    BosRule, EmptySystem, EncodeMode, Golden, InputWhen, NamedText, PromptTemplate, Sampling, TemplateKind,
    TemplateLayout,
};
pub use writing::Writing;
