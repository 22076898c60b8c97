//! `zoo completions`, and manual pages: made from the same description of the command line as `--help`.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Global, models};

/// Print what makes a shell complete zoo's command lines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo completions bash > ~/.local/share/bash-completion/completions/zoo
  zoo completions zsh > \"${fpath[1]}/_zoo\"
  zoo completions fish > ~/.config/fish/completions/zoo.fish

Manual pages are written by: zoo man DIR")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: &Args, _global: &Global) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zoo", &mut script);
    models::deliver(&String::from_utf8(script).expect("a script of texts is text"), None)
}

/// Write a manual page for zoo and for each verb.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// The folder, made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn man(args: &ManArgs, _global: &Global) -> anyhow::Result<()> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("cannot write the manual pages to {}", folder.display()))
}
