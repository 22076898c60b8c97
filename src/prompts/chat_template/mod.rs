//! The Jinja chat templates of checkpoints (`chat_template` in `tokenizer_config.json`).
//!
//! They run in the environment that transformers' `apply_chat_template` gives them: blocks are trimmed, an
//! undefined name prints nothing, values print as Python prints them, strings have Python's methods, and
//! `raise_exception`, `strftime_now`, `tojson`, loop controls and `{% generation %}` are known. A template
//! comes from a stranger's file, so its work, depth and size are bounded.

mod clock;
mod compare;
mod files;

use std::time::SystemTime;

use minijinja::{Error, ErrorKind, Value, context};
use regex::Regex;

pub use compare::{Comparison, compare};
pub use files::{ChatTemplate, ChatTemplates};

use super::error::PromptError;
use super::render::Message;
use crate::python::jinja::{Options, Template};

/// The longest template, in bytes; the longest known ones have some ten thousand.
const MAX_TEMPLATE: usize = 1 << 20;

/// What a chat template is rendered with besides the messages.
#[derive(Debug, Clone, Copy)]
pub struct ChatOptions<'a> {
    /// The text of the start mark.
    pub bos_token: &'a str,
    /// The text of the end mark.
    pub eos_token: &'a str,
    /// Asks the template for the text that makes the model answer.
    pub add_generation_prompt: bool,
    /// Cuts the text after the last message's content, so that the model goes on with it.
    pub continue_final_message: bool,
    /// The time that `strftime_now` prints, in UTC; `None`: now.
    pub now: Option<SystemTime>,
}

impl Default for ChatOptions<'_> {
    fn default() -> Self {
        ChatOptions {
            bos_token: "<s>",
            eos_token: "</s>",
            add_generation_prompt: true,
            continue_final_message: false,
            now: None,
        }
    }
}

/// The text of a conversation by a Jinja chat template. An instruction's `input` is not known to these templates
/// and is left out.
///
/// Errors: faulty Jinja, a failing or too expensive template, one that calls `raise_exception` (its words are the
/// message), both ends asked for at once, a last message that cannot be found again in the text.
pub fn render(source: &str, messages: &[Message], options: &ChatOptions<'_>) -> Result<String, PromptError> {
    if options.add_generation_prompt && options.continue_final_message {
        return Err(fault(
            "expected either a generation prompt or a continued message, found both".to_owned(),
        ));
    }
    if source.len() > MAX_TEMPLATE {
        return Err(fault(format!("expected at most {MAX_TEMPLATE} bytes, found {}", source.len())));
    }
    let now = options.now.unwrap_or_else(SystemTime::now);
    let template = compiled(source, now).map_err(|error| described(&error))?;
    let messages_value: Vec<Value> = messages
        .iter()
        .map(|message| context! { role => message.role.to_string(), content => message.content.as_str() })
        .collect();
    let context = context! {
        messages => messages_value,
        tools => (),
        documents => (),
        bos_token => options.bos_token,
        eos_token => options.eos_token,
        add_generation_prompt => options.add_generation_prompt,
    };
    let rendered = template.render(&context).map_err(|error| described(&error))?;
    match messages.last() {
        Some(last) if options.continue_final_message => continued(rendered, &last.content),
        _ => Ok(rendered),
    }
}

/// The template with the functions that transformers gives it.
fn compiled(source: &str, now: SystemTime) -> Result<Template, Error> {
    let refused = |message| Error::new(ErrorKind::InvalidOperation, message);
    let mut template = Template::new(&without_generation_tags(source), Options::TRANSFORMERS)?;
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
    let tag = |name| Regex::new(&format!(r"\{{%([-+]?)\s*{name}\s*([-+]?)%\}}")).expect("a tag's pattern");
    let opened = tag("generation").replace_all(source, "{%$1 if true $2%}");
    tag("endgeneration").replace_all(&opened, "{%$1 endif $2%}").into_owned()
}

/// The text up to the end of the last message's content, by the rule of transformers.
fn continued(mut rendered: String, content: &str) -> Result<String, PromptError> {
    let Some(at) = rendered.rfind(content.trim()) else {
        let said =
            "expected the content of the last message in the rendered text to go on after it, found none";
        return Err(fault(said.to_owned()));
    };
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
    PromptError::ChatTemplate { line: error.line(), message }
}

#[cfg(test)]
mod tests;
