//! How far long work is, on stderr: a bar on a terminal, else a line now and then.

mod reporter;
mod state;
mod terminal;
mod text;

use std::io::IsTerminal;

use clap::ValueEnum;

use super::Global;
pub use reporter::Reporter;

/// Forms of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A bar on a terminal, else lines
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line after ten seconds, and then one every minute; one for each file that is fetched
    Lines,
    /// One JSON object a line when work begins and ends, and every second between
    Json,
    /// Nothing
    None,
}

/// What shows the progress of a verb; silent with `--quiet`.
pub fn bar(global: &Global) -> Reporter {
    let form = match global.progress {
        _ if global.quiet => Form::None,
        Form::Auto if std::io::stderr().is_terminal() => Form::Bar,
        Form::Auto => Form::Lines,
        form => form,
    };
    Reporter::new(form)
}
