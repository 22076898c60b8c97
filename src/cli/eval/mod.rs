//! `zoo eval`: score models on suites and write the tables.

mod args;
mod complete;
mod folder;
mod output;
mod subject;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

pub(super) use args::parse_limit;
pub use args::{Args, Format};
pub(super) use complete::read_record;
use output::Scores;
pub(super) use output::{Run, Shown, new_record};
use subject::{Subject, refuse_unused_parts};

use super::exit::Usage;
use super::{Global, bar};
use crate::engine::Plan;
use crate::evaluate::{self, EncodedTask};
use crate::machine::cpu_name;
use crate::records::{RunSettings, TaskSettings};
use crate::tasks::{DataStore, Index, OutputType, PreparedTask, Suite, Task, TaskError, prepare};

/// Whose prompts, tokens and metrics the numbers are.
pub const PROTOCOL: &str = "lm-eval-0.4.13";

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    set_threads(args.threads)?;
    let shown = Shown { format: args.format, all_tasks: args.all_tasks };
    if let (true, Some(folder)) = (args.resume && !args.dry_run, &args.out)
        && folder::state(folder) == folder::State::Complete
    {
        return complete::show(folder, args, shown, global);
    }
    let mut run = Run::begin(args)?;
    let suites = find_suites(&Index::load(&args.include_path)?, &args.suite)?;
    refuse_unused_parts(args, global)?;
    // Every model is found before the first one is computed.
    let subjects: Vec<Subject> =
        args.models.iter().map(|name| Subject::find(name, args, global)).collect::<Result<_, _>>()?;
    let tasks = prepare_tasks(&suites, args)?;
    if !args.dry_run {
        run.open(&settings(args, &subjects, &tasks)?, args.resume)?;
    }
    for subject in subjects {
        let tokenizer = subject.tokenizer()?;
        let encoded = evaluate::encode(tokenizer, &tasks, subject.limits().max_length)?;
        if args.dry_run {
            print_plan(&subject, &tasks, &encoded)?;
            continue;
        }
        let (mut ledger, reused) = run.ledger(&subject, &encoded, &args.reuse)?;
        let progress = bar(global);
        let begun = Instant::now();
        let model = subject.model(&ledger, &encoded, &progress)?;
        let loading = begun.elapsed();
        let evaluated = evaluate::evaluate(&*model, &tasks, &encoded, &mut ledger, &progress)?;
        ledger.sync()?;
        let scores = Scores { evaluated, reused, loading, scoring: begun.elapsed() - loading };
        run.add(&subject, tokenizer, &suites, scores)?;
    }
    if args.dry_run { Ok(()) } else { run.finish(shown, global) }
}

/// What a run's numbers depend on; one with other settings is another run.
fn settings(args: &Args, subjects: &[Subject], tasks: &[PreparedTask]) -> anyhow::Result<RunSettings> {
    let task = |task: &PreparedTask| TaskSettings {
        task: task.task.name.clone(),
        num_fewshot: task.num_fewshot,
        documents: task.docs.len(),
        data_sha256: task.data_sha256.clone(),
    };
    Ok(RunSettings {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: cpu_name(),
        options: args.options()?,
        models: subjects.iter().map(Subject::settings).collect::<Result<_, _>>()?,
        tasks: tasks.iter().map(task).collect(),
    })
}

fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().context("cannot set the number of threads")?;
    }
    Ok(())
}

/// The suites of these names; an unknown one is wrong usage.
pub(super) fn find_suites(index: &Index, names: &[String]) -> anyhow::Result<Vec<Suite>> {
    let find = |name: &String| {
        index.resolve(name).map_err(|error| match error {
            unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
            other => anyhow::Error::from(other),
        })
    };
    names.iter().map(find).collect()
}

/// Documents and prompts of every task, each task once.
fn prepare_tasks(suites: &[Suite], args: &Args) -> anyhow::Result<Vec<PreparedTask>> {
    let data = DataStore::from_env(args.data_dir.as_deref());
    let options = args.prepare_options();
    let mut prepared: Vec<PreparedTask> = Vec::new();
    for task in written_left_out(suites)? {
        if prepared.iter().all(|known| known.task.name != task.name) {
            let task = prepare(&task, &data, &options)?;
            for warning in &task.warnings {
                tracing::warn!("{}: {warning}", task.task.name);
            }
            prepared.push(task);
        }
    }
    Ok(prepared)
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
fn print_plan(subject: &Subject, tasks: &[PreparedTask], encoded: &[EncodedTask]) -> anyhow::Result<()> {
    use std::io::Write;
    let requests: Vec<_> = encoded.iter().flat_map(EncodedTask::requests).cloned().collect();
    let plan = Plan::new(&requests, subject.limits())?;
    let documents: usize = tasks.iter().map(|task| task.docs.len()).sum();
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
