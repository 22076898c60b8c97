//! One file per verb: flags → calls → printing.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::base::address_space;
use crate::sandbox;

mod absent;
mod bench;
pub(crate) mod build;
mod card;
mod chat;
mod completions;
mod config;
mod convert;
mod defaults;
mod diff;
mod doctor;
pub(crate) mod eval;
pub(crate) mod exit;
mod extract_lora;
mod family;
mod filter;
mod flags;
mod forecast;
mod format;
mod generate;
mod interrupted;
mod list;
mod log;
mod merge;
pub(crate) mod models;
mod plan;
mod progress;
mod pull;
mod recipe;
mod report;
mod runs;
mod samples;
pub(crate) mod score;
mod scores;
mod screen;
mod show;
mod size;
pub(crate) mod source;
mod suites;
mod supply;
mod tree;
mod verify;

pub use progress::bar;

/// Rebuild, run and compare the LLaMA family on a CPU.
#[derive(Debug, Parser)]
#[command(
    name = "zoo",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// A folder of your own model cards, read beside the built-in ones [default: $ZOO_HOME/zoo]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub zoo_dir: Option<PathBuf>,
    /// Print more on stderr (-v: what is done, -vv: why)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// How far long work is, on stderr: auto (a bar on a terminal, else lines), bar, lines (one a minute), json (an object
    /// a second), none
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        hide_possible_values = true,
        value_name = "FORM",
        help_heading = "Global options"
    )]
    progress: progress::Form,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Eval(Box<eval::Args>),
    Plan(Box<plan::Args>),
    Score(score::Args),
    Merge(merge::Args),
    Report(report::Args),
    Runs(runs::Args),
    Samples(samples::Args),
    Scores(Box<scores::Args>),
    Generate(Box<generate::Args>),
    Chat(Box<chat::Args>),
    List(list::Args),
    Show(show::Args),
    Tree(tree::Args),
    Recipe(recipe::Args),
    Suites(suites::Args),
    Pull(pull::Args),
    Build(build::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    ExtractLora(extract_lora::Args),
    Card(card::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(completions::ManArgs),
}

/// Parses the command line, runs the verb and turns its end into an exit code:
/// 0 done (a closed pipe included), 1 failed, 2 wrong usage, 130 stopped by a signal.
pub fn main() -> ExitCode {
    if let Some(code) = sandbox::helper(std::env::args_os()) {
        return code;
    }
    address_space::spare();
    exit::code(command_line().and_then(|cli| run(&cli)))
}

/// What was typed; where it says nothing, the run that is repeated and then the user's own settings have the word.
fn command_line() -> anyhow::Result<Cli> {
    let mut command = Cli::command();
    if let Some(own) = config::Config::load()? {
        own.take_effect();
        command = defaults::apply(command, &own.defaults(), None);
        for verb in ["eval", "plan", "generate", "chat"] {
            command = defaults::apply(command, &own.precision(), Some(verb));
        }
    }
    let matches = read(command.clone());
    let repeated = eval::repeated_run(&matches)?;
    let matches = match repeated {
        Some(run) => read(defaults::apply(command, &run, Some("eval"))),
        None => matches,
    };
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| screen::leave(&error)))
}

/// The words of the command line.
fn read(command: clap::Command) -> clap::ArgMatches {
    command.try_get_matches().unwrap_or_else(|error| screen::leave(&error))
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    log::init(&cli.global);
    flags::check_threads_of_environment()?;
    flags::choose_instructions_of_environment()?;
    match &cli.verb {
        Verb::Eval(args) => eval::run(args, &cli.global),
        Verb::Plan(args) => plan::run(args, &cli.global),
        Verb::Score(args) => score::run(args, &cli.global),
        Verb::Merge(args) => merge::run(args, &cli.global),
        Verb::Report(args) => report::run(args, &cli.global),
        Verb::Runs(args) => runs::run(args, &cli.global),
        Verb::Samples(args) => samples::run(args, &cli.global),
        Verb::Scores(args) => scores::run(args, &cli.global),
        Verb::Generate(args) => generate::run(args, &cli.global),
        Verb::Chat(args) => chat::run(args, &cli.global),
        Verb::List(args) => list::run(args, &cli.global),
        Verb::Show(args) => show::run(args, &cli.global),
        Verb::Tree(args) => tree::run(args, &cli.global),
        Verb::Recipe(args) => recipe::run(args, &cli.global),
        Verb::Suites(args) => suites::run(args, &cli.global),
        Verb::Pull(args) => pull::run(args, &cli.global),
        Verb::Diff(args) => diff::run(args, &cli.global),
        Verb::Build(args) => build::run(args, &cli.global),
        Verb::Convert(args) => convert::run(args, &cli.global),
        Verb::ExtractLora(args) => extract_lora::run(args, &cli.global),
        Verb::Card(args) => card::run(args, &cli.global),
        Verb::Verify(args) => verify::run(args, &cli.global),
        Verb::Bench(args) => bench::run(args, &cli.global),
        Verb::Doctor(args) => doctor::run(args, &cli.global),
        Verb::Completions(args) => completions::run(args, &cli.global),
        Verb::Man(args) => completions::man(args, &cli.global),
    }
}
