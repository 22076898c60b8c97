//! Where messages come from: a line that is edited on a terminal, or lines of something else.

use std::io::{self, BufRead, StdinLock};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::command::{is_open, words};
use crate::hub::zoo_home;

/// What stands before a message.
const PROMPT: &str = ">>> ";
/// Messages that are remembered.
const REMEMBERED: usize = 1000;
/// Their file in the cache.
const HISTORY: &str = "chat-history";

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Text.
    Text(String),
    /// Ctrl-C.
    Interrupt,
    /// No more comes.
    End,
}

/// Where messages come from.
pub trait Input {
    /// The next one.
    ///
    /// # Errors
    /// What cannot be read, or is no text.
    fn next(&mut self) -> anyhow::Result<Typed>;
}

/// Lines of standard input, each a message.
pub struct Lines(StdinLock<'static>);

impl Lines {
    /// From the beginning.
    pub fn new() -> Self {
        Self(io::stdin().lock())
    }
}

impl Input for Lines {
    fn next(&mut self) -> anyhow::Result<Typed> {
        let mut line = String::new();
        Ok(match self.0.read_line(&mut line)? {
            0 => Typed::End,
            _ => Typed::Text(line),
        })
    }
}

/// A terminal.
pub struct Terminal {
    editor: Editor<Aid, FileHistory>,
    history: Option<PathBuf>,
}

impl Terminal {
    /// With what was typed in earlier conversations.
    ///
    /// # Errors
    /// A terminal that cannot be used.
    pub fn new() -> anyhow::Result<Self> {
        let config = Config::builder()
            .max_history_size(REMEMBERED)?
            // What begins with a blank is not remembered.
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Aid));
        let history = zoo_home().ok().map(|home| home.join(HISTORY));
        if let Some(file) = history.as_ref().filter(|file| file.is_file())
            && let Err(error) = editor.load_history(file)
        {
            tracing::warn!("{}: what was typed before cannot be read: {error}", file.display());
        }
        Ok(Self { editor, history })
    }
}

impl Input for Terminal {
    fn next(&mut self) -> anyhow::Result<Typed> {
        match self.editor.readline(PROMPT) {
            Ok(text) => Ok(Typed::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Terminal {
    /// Remembers what was typed, where there is a cache.
    fn drop(&mut self) {
        let Some(file) = &self.history else { return };
        let is_there = file.parent().is_some_and(|home| std::fs::create_dir_all(home).is_ok());
        if let (true, Err(error)) = (is_there, self.editor.append_history(file)) {
            tracing::warn!("{}: what was typed cannot be kept: {error}", file.display());
        }
    }
}

/// Helps while a line is edited: it goes on where a message is open, and words of the program are completed.
struct Aid;

impl Helper for Aid {}
impl Highlighter for Aid {}
impl Hinter for Aid {
    type Hint = String;
}

impl Validator for Aid {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_open(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Completer for Aid {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let begun = &line[..at];
        let fitting = words().filter(|word| begun.starts_with('/') && word.starts_with(begun));
        Ok((0, fitting.map(str::to_owned).collect()))
    }
}
