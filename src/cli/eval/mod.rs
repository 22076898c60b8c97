//! `zoo eval`: score models on suites and write the tables.

mod args;
mod chat;
mod output;
mod subject;
mod variants;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

pub use args::Args;
use output::Run;
use subject::Subject;
use variants::Variant;

use super::exit::Usage;
use super::{Global, bar};
use crate::engine::Plan;
use crate::evaluate::{self, EncodedTask};
use crate::tasks::{Index, OutputType, PreparedTask, Suite, Task, TaskError};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    set_threads(args.threads)?;
    let mut run = Run::begin(args)?;
    let suites = find_suites(args)?;
    // Every model is found before the first one is computed.
    let subjects: Vec<Subject> =
        args.models.iter().map(|name| Subject::find(name, args, global)).collect::<Result<_, _>>()?;
    let variants = variants::variants(&subjects, &suites, args, global)?;
    for (subject, variants) in subjects.iter().zip(&variants) {
        let tokenizer = subject.tokenizer()?;
        let max_length = subject.limits().max_length;
        let encode = |variant: &Variant| evaluate::encode(&tokenizer, &variant.tasks, max_length);
        let encoded: Vec<Vec<EncodedTask>> = variants.iter().map(encode).collect::<Result<_, _>>()?;
        let tasks =
            variants.iter().zip(&encoded).flat_map(|(variant, encoded)| variant.tasks.iter().zip(encoded));
        let asked: Vec<(&PreparedTask, &EncodedTask)> = tasks.collect();
        if args.dry_run {
            print_plan(subject, &asked)?;
            continue;
        }
        let progress = bar(global);
        let loading = Instant::now();
        let model = subject.load(&progress)?;
        let scoring = Instant::now();
        let mut rest = evaluate::evaluate(&model, &asked, &progress)?;
        let times = Times { loading: scoring - loading, scoring: scoring.elapsed() };
        for variant in variants {
            let own = rest.take_first(variant.tasks.len());
            run.add(subject, variant, &tokenizer, &suites, own, times)?;
        }
    }
    if args.dry_run { Ok(()) } else { run.finish(args, global) }
}

/// How long one model took, all its variants together.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Reading the weights.
    pub loading: Duration,
    /// Computing the scores.
    pub scoring: Duration,
}

fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().context("cannot set the number of threads")?;
    }
    Ok(())
}

fn find_suites(args: &Args) -> anyhow::Result<Vec<Suite>> {
    let index = Index::load(&args.include_path)?;
    let find = |name: &String| {
        index.resolve(name).map_err(|error| match error {
            unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
            other => anyhow::Error::from(other),
        })
    };
    args.suite.iter().map(find).collect()
}

/// The tasks that can be run: those whose answers are written are left out, and it is said.
fn written_left_out(suites: &[Suite]) -> anyhow::Result<Vec<Arc<Task>>> {
    let tasks = suites.iter().flat_map(Suite::tasks);
    let (written, scored): (Vec<_>, Vec<_>) =
        tasks.partition(|task| task.config.output_type == OutputType::GenerateUntil);
    if written.is_empty() {
        return Ok(scored);
    }
    let names: Vec<&str> = written.iter().map(|task| task.name.as_str()).collect();
    let names = match names[..] {
        [first, _, _, _, ..] => format!("{first} and {} more", names.len() - 1),
        _ => names.join(", "),
    };
    if scored.is_empty() {
        return Err(evaluate::EvaluateError::Generates { tasks: names }.into());
    }
    tracing::warn!(
        "{names}: left out, since writing answers (generate_until) comes with a later version; groups that hold such \
         tasks get no number of their own"
    );
    Ok(scored)
}

/// What a run would compute, without computing it.
fn print_plan(subject: &Subject, tasks: &[(&PreparedTask, &EncodedTask)]) -> anyhow::Result<()> {
    use std::io::Write;
    let requests: Vec<_> = tasks.iter().flat_map(|(_, encoded)| encoded.requests()).cloned().collect();
    let plan = Plan::new(&requests, subject.limits())?;
    let documents: usize = tasks.iter().map(|(task, _)| task.docs.len()).sum();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", subject.name)?;
    for (label, value) in [
        ("tasks", tasks.len() as u64),
        ("documents", documents as u64),
        ("requests", requests.len() as u64),
        ("tokens asked", plan.tokens.asked),
        ("tokens distinct", plan.tokens.distinct),
        ("tokens to compute", plan.tokens.computed),
        ("forward passes", plan.waves.len() as u64),
    ] {
        writeln!(out, "  {label:<18} {value:>14}")?;
    }
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    writeln!(
        out,
        "  {:<18} {:>10.2} GiB",
        "weights in f32",
        gib(4 * subject.checkpoint.config.parameters())
    )?;
    Ok(())
}
