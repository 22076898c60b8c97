//! Jinja as Python programs run it: values print as Python prints them, texts have Python's methods, and nothing
//! is escaped.
//!
//! What differs between programs is said by [`Program`]. `\r\n` and `\r` in a template's own text become `\n`. A template
//! from a stranger's file is bounded in its length and nesting before it is compiled (`nesting.rs`), in its steps and in what
//! it makes (`bounded.rs`) and compares (`compared.rs`), in the time that this takes (`deadline.rs`), and in the text that comes of it.

mod bounded;
mod compared;
mod deadline;
mod filters;
mod formats;
pub(super) mod methods;
mod nesting;
mod rewrite;

use std::fmt::Write as _;
use std::sync::Arc;

use minijinja::machinery::{CompiledTemplate, TemplateConfig, eval, make_string_output};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use super::print;

/// Instructions that one rendering may use, and about 64 bytes of data each: one bound for the prompts of task files, which
/// use a few hundred, and for chat templates, which use some thousands for a conversation with examples as turns.
const FUEL: u64 = 2_000_000;
/// The longest template, in bytes; the longest known ones have some ten thousand.
pub const MAX_SOURCE: usize = 1 << 20;
/// The longest text that a template may write, and the longest prompt of a task, in bytes: whole books are shorter, and tokenizing
/// it takes a gigabyte.
pub const MAX_RENDERED: usize = 8 << 20;
/// How deep blocks and macros may nest.
const RECURSION: usize = 64;
/// The name of a template in messages of the engine's, which [`describe`] leaves out.
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

self_cell::self_cell!(
    /// A template's text and what was compiled from it.
    struct Compiled {
        owner: String,
        #[covariant]
        dependent: CompiledTemplate,
    }

    impl {Debug}
);

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    env: Environment<'static>,
    compiled: Arc<Compiled>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// What is wrong with its syntax; a text that is too long or nests too deep.
    pub fn new(source: &str, program: Program) -> Result<Self, Error> {
        if source.len() > MAX_SOURCE {
            return Err(invalid(format!("expected at most {MAX_SOURCE} bytes, found {}", source.len())));
        }
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
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        nesting::check(&source, &syntax)?;
        let config =
            TemplateConfig { syntax_config: syntax, default_auto_escape: Arc::new(|_| AutoEscape::None) };
        let compiled = Compiled::try_new(source, |source| {
            let mut compiled = CompiledTemplate::new(NAME, source, &config)?;
            rewrite::replace(&mut compiled)?;
            Ok::<_, Error>(compiled)
        })?;
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(RECURSION);
        env.set_unknown_method_callback(methods::method);
        env.set_formatter(|out, state, value| {
            deadline::check()?;
            out.write_str(&text_of(state, value)?).map_err(Error::from)
        });
        filters::install(&mut env, program);
        bounded::install(&mut env);
        compared::install(&mut env);
        Ok(Self { env, compiled: Arc::new(compiled) })
    }

    /// The environment, for functions that a program adds.
    pub fn environment(&mut self) -> &mut Environment<'static> {
        &mut self.env
    }

    /// Fills the template with variables (a map).
    ///
    /// # Errors
    /// Undefined names, failing methods, too much work, a text that is too long.
    pub fn render(&self, variables: &Value) -> Result<String, Error> {
        let compiled = self.compiled.borrow_dependent();
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        deadline::begin();
        eval(
            &self.env,
            &compiled.instructions,
            variables.clone(),
            &compiled.blocks,
            &mut output,
            AutoEscape::None,
        )?;
        if text.len() > MAX_RENDERED {
            let found = text.len();
            return Err(invalid(format!("expected a text of at most {MAX_RENDERED} bytes, found {found}")));
        }
        Ok(text)
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
