//! `zoo eval`: score models on suites and write the tables.

mod args;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

pub use args::{Args, Format, Overlong};
pub(super) use args::{at_least_one, parse_limit};

use super::exit::Usage;
use super::{Global, bar};
use crate::base::machine::cpu_name;
use crate::evaluate::{self, EvaluateError};
use crate::records::{RunSettings, TaskSettings};
use crate::run::asked::{Asked, AskedTask, refuse_overlong};
use crate::run::output::{Effort, Run, Shown};
use crate::run::subject::{Subject, refuse_unused_parts};
use crate::run::variants::{self, Variant};
use crate::run::{against, complete, dry_run, folder};
use crate::tasks::{Index, OutputType, Suite, Task, TaskError};

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
    let variants = variants::variants(&subjects, &suites, args, global)?;
    refuse_overlong(args, &subjects, &variants)?;
    let mut compared = Vec::new();
    for (subject, own) in subjects.iter().zip(&variants) {
        let ask = |variant| Asked::new(subject, variant, args);
        let asked: Vec<Asked> = own.iter().map(ask).collect::<anyhow::Result<_>>()?;
        let tasks: Vec<AskedTask> = asked.iter().flat_map(Asked::tasks).collect();
        if args.dry_run {
            dry_run::print(subject, &tasks, asked.iter().flat_map(|asked| &asked.findings))?;
            continue;
        }
        // Not before the first model's texts are tokens: what fails until then leaves no folder.
        if !run.is_open() {
            run.open(&settings(args, &subjects, &variants)?, args.resume)?;
        }
        let (mut ledger, reused) = run.ledger(subject, &tasks, &args.reuse)?;
        let progress = bar(global);
        let begun = Instant::now();
        let (mut evaluated, loading) = match args.against {
            Some(against) => {
                let (evaluated, rows) =
                    against::evaluate(subject, against.into(), &tasks, &mut ledger, &progress)?;
                compared.extend(rows);
                (evaluated, Duration::ZERO)
            }
            None => {
                let model = subject.model(&ledger, &tasks, &progress)?;
                let loading = begun.elapsed();
                (evaluate::evaluate(&*model, &tasks, &mut ledger, &progress)?, loading)
            }
        };
        ledger.sync()?;
        let mut effort = Effort { reused, loading, scoring: begun.elapsed() - loading };
        for asked in asked {
            let own = evaluated.take_first(asked.tasks.len());
            run.add(subject, asked, &suites, own, std::mem::take(&mut effort))?;
        }
    }
    if args.dry_run {
        return Ok(());
    }
    if let (Some(folder), false) = (run.folder(), compared.is_empty()) {
        against::write(folder, &compared)?;
    }
    run.finish(shown, &suites, global)?;
    if shown.format == Format::Table && !compared.is_empty() {
        print!("\n{}", against::table(&compared));
    }
    Ok(())
}

/// What a run's numbers depend on; one with other settings is another run.
fn settings(args: &Args, subjects: &[Subject], variants: &[Vec<Variant>]) -> anyhow::Result<RunSettings> {
    // All models are asked the same, but for what their own chat templates make of it; those are theirs.
    let variants = variants.first().map(Vec::as_slice).unwrap_or_default();
    let tasks = variants.iter().flat_map(|variant| {
        let named = if variants.len() > 1 {
            format!(" ({}{})", variant.protocol.name, variant.suffix)
        } else {
            String::new()
        };
        variant.tasks.iter().map(move |task| TaskSettings {
            task: format!("{}{named}", task.task.name),
            num_fewshot: task.num_fewshot,
            documents: task.docs.len(),
            data_sha256: task.data_sha256.clone(),
        })
    });
    Ok(RunSettings {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: cpu_name(),
        options: args.options()?,
        models: subjects.iter().map(Subject::settings).collect::<Result<_, _>>()?,
        tasks: tasks.collect(),
    })
}

/// Threads of everything that runs in parallel; all cores if `None`.
pub(super) fn set_threads(threads: Option<usize>) -> anyhow::Result<()> {
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build_global().context("cannot set the number of threads")?;
    }
    Ok(())
}

/// The suites of these names; an unknown one is wrong usage.
pub(crate) fn find_suites(index: &Index, names: &[String]) -> anyhow::Result<Vec<Suite>> {
    let find = |name: &String| {
        index.resolve(name).map_err(|error| match error {
            unknown @ TaskError::UnknownSuite { .. } => Usage(unknown.to_string()).into(),
            other => anyhow::Error::from(other),
        })
    };
    names.iter().map(find).collect()
}

/// The tasks that can be run: those whose answers are written are left out, and it is said.
pub(crate) fn written_left_out(suites: &[Suite]) -> anyhow::Result<Vec<Arc<Task>>> {
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
        return Err(EvaluateError::Generates { tasks: names }.into());
    }
    tracing::warn!(
        "{names}: left out, since writing answers (generate_until) comes with a later version; groups that hold such \
         tasks get no number of their own"
    );
    Ok(scored)
}
