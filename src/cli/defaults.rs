//! Values of flags that a file gives where the command line says nothing. They go in front of clap as its own defaults, so
//! each is read, checked and shown in `--help` like what a person types, and whatever is typed wins.

use std::ffi::OsString;

use clap::{Arg, Command};

/// One flag, by its name in snake case, and its values as a person would type them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagDefault {
    /// `num_fewshot`
    pub flag: String,
    /// Several for a list.
    pub values: Vec<OsString>,
}

impl FlagDefault {
    /// A flag with one value.
    pub fn one(flag: &str, value: impl Into<OsString>) -> Self {
        Self { flag: flag.to_owned(), values: vec![value.into()] }
    }
}

/// The command with these defaults in place of its own, for every verb that has the flag, or for `verb` alone.
pub fn apply(command: Command, defaults: &[FlagDefault], verb: Option<&str>) -> Command {
    let command = if verb.is_none() { put(command, defaults) } else { command };
    command.mut_subcommands(|own| {
        if verb.is_none_or(|verb| own.get_name() == verb) { put(own, defaults) } else { own }
    })
}

fn put(command: Command, defaults: &[FlagDefault]) -> Command {
    defaults.iter().fold(command, |command, default| {
        if command.get_arguments().any(|arg| arg.get_id() == default.flag.as_str()) {
            command.mut_arg(&default.flag, |arg| set(arg, default))
        } else {
            command
        }
    })
}

/// The help of a flag says what it does without a value in words; clap says the value that takes its place.
fn set(arg: Arg, default: &FlagDefault) -> Arg {
    let help = arg.get_help().map(ToString::to_string);
    let arg = match help.as_deref().and_then(|help| help.split_once(" [default: ")) {
        Some((help, _)) => arg.help(help.to_owned()),
        None => arg,
    };
    arg.default_values(default.values.clone())
}
