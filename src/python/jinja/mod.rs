//! Jinja as Python programs run it: values print as Python prints them, texts have Python's methods, and nothing
//! is escaped.
//!
//! What differs between programs is said by [`Program`]. `\r\n` and `\r` in a template's own text become `\n`. A template
//! from a stranger's file is bounded in its steps and its nesting, though not in the memory of its texts.

mod filters;

use std::fmt::Write as _;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::{methods, print};

/// Instructions that one rendering may use, and about 64 bytes of data each: one bound for the prompts of task files, which
/// use a few hundred, and for chat templates, which use some thousands for a conversation with examples as turns.
const FUEL: u64 = 2_000_000;
/// How deep blocks and macros may nest.
const RECURSION: usize = 64;
/// The name under which an environment holds its one template.
const NAME: &str = "template";

/// The Python programs whose Jinja is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// lm-evaluation-harness, `utils.py`, its environment for prompts: printing an undefined name is an error
    /// (`StrictUndefined`), line ends around blocks and at the end stay, and `tojson` is Jinja's own, with sorted keys
    /// and made for HTML.
    LmEval,
    /// transformers, `chat_template_utils.py`, its environment for chat templates: an undefined name prints nothing, a
    /// line with a block alone on it leaves nothing (`trim_blocks`, `lstrip_blocks`), nor does a line end at the end, and
    /// `tojson` is `json.dumps` with all of its arguments, and `ensure_ascii=False` by default.
    Transformers,
}

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    env: Environment<'static>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong with its syntax.
    pub fn new(source: &str, program: Program) -> Result<Self, Error> {
        let mut env = Environment::new();
        let trims = program == Program::Transformers;
        env.set_undefined_behavior(match program {
            Program::LmEval => UndefinedBehavior::Strict,
            Program::Transformers => UndefinedBehavior::Lenient,
        });
        let syntax = SyntaxConfig::builder()
            .trim_blocks(trims)
            .lstrip_blocks(trims)
            .keep_trailing_newline(!trims)
            .build()?;
        env.set_syntax(syntax);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(RECURSION);
        env.set_unknown_method_callback(methods::method);
        env.set_formatter(|out, state, value| out.write_str(&text_of(state, value)?).map_err(Error::from));
        filters::install(&mut env, program);
        env.add_template_owned(NAME, source.replace("\r\n", "\n").replace('\r', "\n"))?;
        Ok(Self { env })
    }

    /// The environment, for functions that a program adds.
    pub fn environment(&mut self) -> &mut Environment<'static> {
        &mut self.env
    }

    /// Fills the template with variables (a map).
    ///
    /// # Errors
    /// Undefined names, failing methods, too much work.
    pub fn render(&self, variables: &Value) -> Result<String, Error> {
        self.env.get_template(NAME)?.render(variables.clone())
    }
}

/// `str(value)` in a template. An undefined one is nothing, or an error where the options say so.
fn text_of(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.is_undefined() {
        true if state.undefined_behavior() == UndefinedBehavior::Strict => {
            Err(Error::from(ErrorKind::UndefinedError))
        }
        true => Ok(String::new()),
        false => print::to_str(value).map_err(invalid),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The error with the line of the template, without the name of the template that users never gave.
pub fn describe(error: &Error) -> String {
    let mut said = error.kind().to_string();
    if let Some(detail) = error.detail() {
        let _ = write!(said, ": {detail}");
    }
    if let Some(line) = error.line() {
        let _ = write!(said, " (template line {line})");
    }
    if error.kind() == ErrorKind::UndefinedError && error.detail().is_none() {
        said.push_str("; the template names a field that the document does not have");
    }
    said
}

#[cfg(test)]
mod tests;
