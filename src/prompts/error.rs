//! What can go wrong with templates, conversations and their tokens, as data.

use super::conversation::Role;
use crate::base::fault::Refusal;
use crate::base::names::nearest_words;
use crate::base::yaml::FileError;
use crate::tokenizer::TokenizerError;

/// Why a template cannot be read, or a conversation cannot be rendered or encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum PromptError {
    /// A file that cannot be read, is no YAML, or says what no template can have.
    #[error(transparent)]
    File(#[from] FileError),
    /// Two files define one template.
    #[error("{file}: the prompt template {name:?} is already defined in {other}; rename one of the two")]
    Duplicate {
        file: String,
        name: String,
        /// The first file.
        other: String,
    },
    /// No template of that name.
    #[error("no prompt template named {name:?}{}", nearest_words(.nearest))]
    Unknown {
        name: String,
        /// The nearest known names, best first.
        nearest: Vec<String>,
    },
    /// A conversation that the template has no form for.
    #[error("prompt template {template}: message {index}: expected {expected}, found {found}")]
    Conversation {
        template: String,
        /// Position of the message, from 1; one past the last if one is missing.
        index: usize,
        expected: String,
        found: String,
    },
    /// A message holds a text that the template keeps for itself.
    #[error(
        "prompt template {template}: message {index} ({role}) holds {text:?}, which the template keeps for itself; \
         remove it from the message"
    )]
    Forbidden {
        template: String,
        /// Position of the message, from 1.
        index: usize,
        role: Role,
        text: String,
    },
    /// A special token that the vocabulary does not have.
    #[error(
        "the vocabulary has no token {token}; use the tokenizer of the model that the template belongs to"
    )]
    NoToken { token: String },
    /// A text cannot be encoded.
    #[error("cannot encode the prompt: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// A checkpoint's Jinja template fails.
    #[error("chat_template{}: {message}", line_words(*.line))]
    ChatTemplate {
        /// Line of the Jinja text, from 1, where known.
        line: Option<usize>,
        message: String,
    },
    /// A checkpoint's settings file is not what it should be.
    #[error(transparent)]
    Settings(#[from] Box<Refusal>),
}

fn line_words(line: Option<usize>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}
