//! `zoo score --answers FILE`: texts that were written elsewhere, graded here.

use std::sync::Arc;

use super::join::{check_tasks, of_task};
use super::output::{Run, new_record};
use crate::cli::Global;
use crate::cli::eval;
use crate::cli::exit::Usage;
use crate::cli::score::Args;
use crate::evaluate::{ModelIdentity, filter_generation, grade_generation};
use crate::records::{AnswerFile, GradedRecord, read_answers};
use crate::tasks::protocol::DEFAULT_PROTOCOL;
use crate::tasks::{DataStore, Index, OutputType, Suite, Task, prepare};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let files: Vec<AnswerFile> =
        args.answers.iter().map(|path| read_answers(path)).collect::<Result<_, _>>()?;
    let suites = eval::find_suites(&Index::load(&args.include_path)?, &args.suite)?;
    let tasks = written(&suites)?;
    check_tasks(&files, &tasks)?;
    let asked = args.asked();
    let options = asked.prepare_options();
    let data = DataStore::from_env(args.data_dir.as_deref());
    let mut graded = Vec::with_capacity(tasks.len());
    for task in &tasks {
        let prepared = prepare(task, &data, &options)?;
        for warning in &prepared.warnings {
            tracing::warn!("{}: {warning}", task.name);
        }
        let (prepared, answers) = of_task(prepared, &files, tasks.len() == 1, args.skip_missing)?;
        graded.push(match args.predict_only {
            true => filter_generation(&prepared, &answers)?,
            false => grade_generation(&prepared, &answers)?,
        });
    }
    let said = files.iter().find_map(|file| file.model.as_deref());
    let name = args.model.as_deref().or(said.and_then(|name| name.rsplit('/').next())).unwrap_or("answers");
    let identity = ModelIdentity {
        name: name.to_owned(),
        // Nobody knows which weights wrote a text.
        weights_sha256: String::new(),
        protocol: DEFAULT_PROTOCOL.to_owned(),
        metrics: Vec::new(),
        published: Vec::new(),
    };
    let mut record = new_record(args.suite.clone(), args.fewshot_seed);
    record.system_instruction = args.system_instruction.clone();
    record.options = asked.options()?;
    let of_file = |file: &AnswerFile| GradedRecord {
        path: file.path.display().to_string(),
        model: Some(name.to_owned()),
        sha256: Some(file.sha256.clone()),
    };
    record.graded = files.iter().map(of_file).collect();
    let mut run = Run::graded(args.out.as_deref(), record);
    let documents: usize = graded.iter().map(|task| task.samples.len()).sum();
    run.note(&match args.predict_only {
        true => {
            format!("{documents} answers were cut and filtered, and nothing was graded (--predict-only)\n")
        }
        false => format!("{documents} answers of {name} were graded\n"),
    });
    run.add_graded(identity, None, &suites, graded);
    run.finish(args.shown(), &suites, global)
}

/// The tasks whose answers are written; the others are left out, and it is said.
fn written(suites: &[Suite]) -> anyhow::Result<Vec<Arc<Task>>> {
    let mut tasks: Vec<Arc<Task>> = Vec::new();
    let mut others = Vec::new();
    for task in suites.iter().flat_map(Suite::tasks) {
        if task.config.output_type != OutputType::GenerateUntil {
            others.push(task.name.clone());
        } else if tasks.iter().all(|known| known.name != task.name) {
            tasks.push(task);
        }
    }
    let text =
        format!("{}: not tasks whose answers are written (generate_until); use zoo eval", others.join(", "));
    if tasks.is_empty() {
        return Err(Usage(text).into());
    }
    if !others.is_empty() {
        tracing::warn!("{text}");
    }
    Ok(tasks)
}
