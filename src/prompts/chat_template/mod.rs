//! The Jinja chat templates of checkpoints (`chat_template` in `tokenizer_config.json`).
//!
//! They run in the environment that transformers' `apply_chat_template` gives them: blocks are trimmed, an
//! undefined name prints nothing, values print as Python prints them, strings have Python's methods, and
//! `raise_exception`, `strftime_now`, `tojson`, loop controls and `{% generation %}` are known. A template
//! comes from a stranger's file, so its work, depth and size are bounded.

mod clock;
mod compare;
mod files;

use std::sync::LazyLock;
use std::time::SystemTime;

use minijinja::{Error, ErrorKind, Value, context};
use regex::Regex;

pub use compare::{TemplateComparison, compare};
pub use files::{ChatTemplate, ChatTemplates};

use super::conversation::{End, Message};
use super::error::PromptError;
use crate::base::printable::in_one_line;
use crate::python::jinja::{Program, Template};
use crate::tokenizer::SpecialNames;

/// Characters of what a template says when it refuses a conversation.
const MAX_WORDS: usize = 600;

/// A chat template in Jinja, with the spellings of the special tokens that it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jinja {
    pub(super) source: String,
    pub(super) specials: SpecialNames,
}

impl Jinja {
    /// The text of a conversation. An instruction's `input` is not known to these templates and is left out.
    ///
    /// Errors: faulty Jinja, a failing or too expensive template, one that calls `raise_exception` (its words are the
    /// message), a last message that cannot be found again in the text.
    pub(super) fn render(&self, messages: &[Message], end: End) -> Result<String, PromptError> {
        self.render_at(SystemTime::now(), messages, end)
    }

    /// The same, where `strftime_now` prints the time `now`, in UTC.
    fn render_at(&self, now: SystemTime, messages: &[Message], end: End) -> Result<String, PromptError> {
        let template = compiled(&self.source, now).map_err(|error| described(&error))?;
        let context = context! {
            messages => messages
                .iter()
                .map(|message| context! { role => message.role.to_string(), content => message.content.as_str() })
                .collect::<Vec<Value>>(),
            tools => (),
            documents => (),
            add_generation_prompt => end == End::Answer,
            additional_special_tokens => some(&self.specials.additional),
            ..Value::from_pairs(self.specials.tokens.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        };
        let rendered = template.render(&context).map_err(|error| described(&error))?;
        match messages.last() {
            Some(last) if end == End::Open => continued(rendered, &last.content),
            _ => Ok(rendered),
        }
    }
}

/// A list that templates know only if something is in it.
fn some(list: &[String]) -> Value {
    if list.is_empty() { Value::UNDEFINED } else { list.iter().map(String::as_str).collect() }
}

/// The template with the functions that transformers gives it.
fn compiled(source: &str, now: SystemTime) -> Result<Template, Error> {
    let refused = |message| Error::new(ErrorKind::InvalidOperation, message);
    let mut template = Template::new(&without_generation_tags(source), Program::Transformers)?;
    let env = template.environment();
    env.add_function("raise_exception", move |message: String| -> Result<Value, Error> {
        Err(refused(message))
    });
    env.add_function("strftime_now", move |format: &str| clock::strftime(format, now).map_err(refused));
    Ok(template)
}

/// The template without the `{% generation %}` tags, which mark the trained text and print nothing. What they trim
/// around them stays trimmed.
fn without_generation_tags(source: &str) -> String {
    static TAGS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
        ["generation", "endgeneration"]
            .map(|name| Regex::new(&format!(r"\{{%([-+]?)\s*{name}\s*([-+]?)%\}}")).expect("a tag's pattern"))
    });
    let [opening, closing] = &*TAGS;
    let opened = opening.replace_all(source, "{%$1 if true $2%}");
    closing.replace_all(&opened, "{%$1 endif $2%}").into_owned()
}

/// The text up to the end of the last message's content, by the rule of transformers.
fn continued(mut rendered: String, content: &str) -> Result<String, PromptError> {
    let missing =
        "expected the content of the last message in the rendered text to go on after it, found none";
    let at = rendered.rfind(content.trim()).ok_or_else(|| fault(missing.to_owned()))?;
    let kept =
        if rendered[at..].starts_with(content.trim_start()) { content.trim_start() } else { content.trim() };
    rendered.truncate(at + kept.len());
    Ok(rendered)
}

fn fault(message: String) -> PromptError {
    PromptError::ChatTemplate { line: None, message }
}

fn described(error: &Error) -> PromptError {
    let message = match error.detail() {
        Some(detail) if error.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    // These are the words of whoever wrote the template.
    PromptError::ChatTemplate { line: error.line(), message: in_one_line(&message, MAX_WORDS).into_owned() }
}

#[cfg(test)]
mod tests;
