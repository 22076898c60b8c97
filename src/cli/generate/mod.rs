//! `zoo generate`: a model's answers to prompts, as text while it comes or as JSON lines.

mod args;
mod print;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, bail};

pub use args::Args;
use print::{Objects, Printed, Texts};

use super::Global;
use super::exit::{Interrupted, Usage};
use super::flags::TaskFolders;
use super::interrupted::listen;
use super::models;
use super::supply::Supply;
use crate::base::stop::Stop;
use crate::base::whole::Bounded;
use crate::run::{self, Generated, read_prompts};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    args.machine.threads.apply()?;
    let prompts = prompts(args)?;
    let asked = prompts.len();
    let options = args.options(prompts, global)?;
    let mut printed: Box<dyn Printed> = match &args.out {
        Some(file) => Box::new(Objects::to_file(file)?),
        None if args.writes_objects() => Box::new(Objects::to_stdout()),
        None => Box::new(Texts::new(&options.prompts)),
    };
    let stop = Stop::default();
    // At a second signal, and at any before the weights are asked for.
    let said = "the answers are not complete; what was fetched and built until now is kept";
    listen(&stop, |_| Interrupted(said.to_owned()).to_string())?;
    let supply = Supply {
        models: std::slice::from_ref(&args.model),
        sources: &args.sources,
        tasks: &TaskFolders::default(),
        stop: &stop,
        global,
    };
    let done = supply.with(|world| Ok(run::generate(&options, world, printed.audience())));
    // Where nobody reads any more is said before what came of it.
    printed.finish(matches!(done, Ok(Ok(_))))?;
    let Generated { model, complete, prompt_tokens, tokens, took, is_stopped } = done??;
    let seconds = took.as_secs_f64();
    let speed = if tokens > 0 && seconds > 0.0 {
        format!(", {:.1} a second", tokens as f64 / seconds)
    } else {
        String::new()
    };
    models::note(
        global,
        &format!(
            "{model}: {tokens} tokens written after {prompt_tokens} of prompts in {seconds:.1} s{speed}"
        ),
    );
    if is_stopped {
        let kept = match &args.out {
            Some(file) => format!(", and kept in {} with what was begun", file.display()),
            None => String::new(),
        };
        bail!(Interrupted(format!("{complete} of {asked} answers are complete{kept}")));
    }
    Ok(())
}

/// The most bytes of prompts that are read.
const MAX_PROMPTS: u64 = 1 << 30;

/// What the model is asked.
fn prompts(args: &Args) -> anyhow::Result<Vec<String>> {
    let Some(file) = &args.prompts else { return Ok(args.prompt.clone().into_iter().collect()) };
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        let mut input = Bounded::new(std::io::stdin().lock(), MAX_PROMPTS);
        input.read_to_end(&mut bytes).context("standard input cannot be read")?;
        return Ok(read_prompts("standard input", &bytes)?);
    }
    // A pipe will do, as the shell makes one for `<(command)`.
    let read = File::open(file).and_then(|file| Bounded::new(file, MAX_PROMPTS).read_to_end(&mut bytes));
    read.map_err(|error| {
        let expected = "expected a file of prompts, one a line, or - for standard input";
        Usage(format!("--prompts {}: {expected}: {error}", file.display()))
    })?;
    Ok(read_prompts(&file.display().to_string(), &bytes)?)
}
