//! A run's folder: collected while models are scored, written at the end.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::args::Format;
use super::folder::{self, RUN_FILE, RunFolder};
use super::subject::{PRECISION, Subject};
use super::{Args, PROTOCOL};
use crate::cli::Global;
use crate::engine::TokenCounts;
use crate::evaluate::{EncodedTask, Evaluated, ModelIdentity, TaskMetric, TaskResult, suite_rows};
use crate::lineage::Lock;
use crate::machine::cpu_name;
use crate::records::{
    BuiltRecord, Header, Ledger, ModelRecord, RequestRecord, RunRecord, RunSettings, SuiteRecord, Timestamp,
    TokenRecord, file_name, write_atomically, write_samples,
};
use crate::report::{
    Row, comparison_csv, comparison_markdown, results_csv, rows_json, terminal_table, terminal_width,
};
use crate::tasks::Suite;
use crate::tokenizer::Tokenizer;

/// A run under way.
pub struct Run {
    /// Nothing is written without one.
    folder: Option<PathBuf>,
    /// From [`open`](Self::open) on.
    place: Option<RunFolder>,
    begun: Instant,
    rows: Vec<Row>,
    samples: Vec<(ModelIdentity, Vec<TaskResult>)>,
    record: RunRecord,
    /// Below the table, in place of what the run took.
    note: Option<String>,
}

/// The scores of one model and how they came about.
pub struct Scores {
    /// What came out.
    pub evaluated: Evaluated,
    /// Requests that other runs had answered.
    pub reused: usize,
    /// Reading the weights.
    pub loading: Duration,
    /// Computing the scores.
    pub scoring: Duration,
}

/// What of a run is printed.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// The form.
    pub format: Format,
    /// Whether large groups show every task.
    pub all_tasks: bool,
}

impl Run {
    /// Picks the folder; touches nothing yet.
    pub fn begin(args: &Args) -> anyhow::Result<Self> {
        let started = Timestamp::now();
        let folder = args.out.clone().unwrap_or_else(|| {
            let model = args.models.first().map_or("model", |m| m.rsplit('/').next().unwrap_or(m));
            let suite = args.suite.first().map_or("suite", String::as_str);
            PathBuf::from("reports").join(file_name(&format!("{model}-{suite}-{}", started.compact())))
        });
        if folder.exists() && !folder.is_dir() {
            anyhow::bail!("--out {}: expected a folder, found a file", folder.display());
        }
        let record = RunRecord {
            started: started.rfc3339(),
            system_instruction: args.system_instruction.clone(),
            options: args.options()?,
            ..new_record(args.suite.clone(), args.fewshot_seed)
        };
        Ok(Self::new(Some(folder), record))
    }

    /// A run of answers that are there already; its files are written where a folder is named.
    pub fn graded(folder: Option<&Path>, record: RunRecord) -> Self {
        Self::new(folder.map(Path::to_owned), record)
    }

    fn new(folder: Option<PathBuf>, record: RunRecord) -> Self {
        let (rows, samples) = (Vec::new(), Vec::new());
        Self { folder, place: None, begun: Instant::now(), rows, samples, record, note: None }
    }

    /// A line below the table.
    pub fn note(&mut self, text: &str) {
        self.note = Some(text.to_owned());
    }

    /// Begins in the folder, or goes on with what is there; see [`RunFolder::open`].
    pub fn open(&mut self, settings: &RunSettings, resume: bool) -> anyhow::Result<()> {
        if let Some(folder) = &self.folder {
            self.place = Some(RunFolder::open(folder, settings, resume)?);
        }
        Ok(())
    }

    /// The ledger of a model, with what the runs `reuse` know of its requests, and how many of them they answered.
    pub fn ledger(
        &self,
        subject: &Subject,
        encoded: &[EncodedTask],
        reuse: &[PathBuf],
    ) -> anyhow::Result<(Ledger, usize)> {
        let max_length = subject.limits().max_length;
        let place = self.place.as_ref().context("the run has not been begun")?;
        let mut ledger = Ledger::open(&place.path, &subject.name, subject.identity()?, max_length)?;
        let mut reused = 0;
        for run in reuse {
            reused += ledger.reuse(&place.place_of(run), encoded.iter().flat_map(EncodedTask::requests))?;
        }
        for note in ledger.take_notes() {
            tracing::warn!("{}: {note}", subject.name);
        }
        Ok((ledger, reused))
    }

    /// Takes in one model's results.
    pub fn add(
        &mut self,
        subject: &Subject,
        tokenizer: &Tokenizer,
        suites: &[Suite],
        scores: Scores,
    ) -> anyhow::Result<()> {
        let Scores { evaluated, reused, loading, scoring } = scores;
        // Two models of one name get numbers, so that neither's files are lost.
        let taken = |name: &String| self.record.models.iter().any(|m| &m.name == name);
        let numbered = (2..).map(|n| format!("{}-{n}", subject.name));
        let name =
            std::iter::once(subject.name.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or_default();
        let identity = ModelIdentity {
            name: name.clone(),
            weights_sha256: subject.weights_sha256.clone(),
            protocol: PROTOCOL.to_owned(),
            published: subject.card.as_ref().map(|card| card.published.clone()).unwrap_or_default(),
        };
        let TokenCounts { asked, distinct, computed } = evaluated.tokens;
        let seconds = |d: Duration| (d.as_secs_f64() * 1000.0).round() / 1000.0;
        let model = ModelRecord {
            name: name.clone(),
            card: subject.card.as_ref().map(|card| card.id.clone()),
            path: subject.checkpoint.path.display().to_string(),
            weights_sha256: subject.weights_sha256.clone(),
            built: subject.lock.as_ref().map(built_record),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: subject.checkpoint.config.parameters(),
            max_length: subject.limits().max_length,
            adds_bos: tokenizer.adds_bos(),
            precision: PRECISION.to_owned(),
            matmul: subject.matmul.to_owned(),
            seconds: BTreeMap::from([
                ("loading".to_owned(), seconds(loading)),
                ("scoring".to_owned(), seconds(scoring)),
            ]),
            tokens: TokenRecord { asked, distinct, computed },
            requests: RequestRecord {
                asked: evaluated.requests,
                resumed: evaluated.known.saturating_sub(reused),
                reused,
            },
        };
        warn_about_cut_prompts(&name, &evaluated.tasks, subject.limits().max_length);
        self.add_graded(identity, Some(model), suites, evaluated.tasks);
        Ok(())
    }

    /// Takes in graded tasks; `model` is how the answers came about, if that is known.
    pub fn add_graded(
        &mut self,
        identity: ModelIdentity,
        model: Option<ModelRecord>,
        suites: &[Suite],
        tasks: Vec<TaskResult>,
    ) {
        for suite in suites {
            self.rows.extend(suite_rows(suite, &tasks, &identity));
        }
        self.record.models.extend(model);
        if self.record.tasks.is_empty() {
            self.record.tasks = tasks.iter().map(suite_record).collect();
        }
        self.samples.push((identity, tasks));
    }

    /// Writes the folder and prints the table.
    pub fn finish(mut self, shown: Shown, global: &Global) -> anyhow::Result<()> {
        self.record.seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if let Some(folder) = &self.folder {
            if self.place.is_none() {
                folder::clear(folder)?;
            }
            self.write(folder).with_context(|| format!("cannot write the run to {}", folder.display()))?;
        }
        if let Some(place) = self.place.take() {
            place.close()?;
        }
        let note = self.note.clone().unwrap_or_else(|| self.saved());
        print(&self.rows, &note, self.folder.as_deref(), shown, global)
    }

    fn write(&self, run: &Path) -> anyhow::Result<()> {
        for (model, tasks) in &self.samples {
            let folder = run.join("samples").join(file_name(&model.name));
            for task in tasks {
                let path = folder.join(file_name(&task.task.name) + ".jsonl");
                write_samples(&path, &header(model, task), &task.samples)?;
            }
        }
        // Times are in run.yaml alone: a run that was interrupted ends in the same tables as one that was not.
        let markdown = comparison_markdown(&self.rows) + "\n" + &self.provenance();
        write_atomically(&run.join("results.csv"), &results_csv(&self.rows)?)?;
        write_atomically(&run.join("comparison.csv"), &comparison_csv(&self.rows)?)?;
        write_atomically(&run.join("comparison.md"), markdown.as_bytes())?;
        write_atomically(&run.join(RUN_FILE), serde_yaml::to_string(&self.record)?.as_bytes())?;
        Ok(())
    }

    /// A line per model: what sharing saved and how long it took.
    fn saved(&self) -> String {
        let line = |model: &ModelRecord| {
            let TokenRecord { asked, distinct, computed } = model.tokens;
            let RequestRecord { asked: requests, resumed, reused } = model.requests;
            let seconds = model.seconds.get("scoring").copied().unwrap_or_default();
            let mut line =
                format!("{}: {asked} tokens asked, {distinct} distinct, {computed} computed", model.name);
            if computed > 0 {
                let (fewer, speed) = (asked as f64 / computed as f64, computed as f64 / seconds.max(1e-3));
                line += &format!(" ({fewer:.1} × fewer) in {seconds:.1} s, {speed:.0} a second");
            }
            if resumed > 0 {
                line += &format!("; {resumed} of {requests} requests were scored before the interruption");
            }
            if reused > 0 {
                line += &format!("; {reused} of {requests} requests were taken over from other runs");
            }
            line + "\n"
        };
        self.record.models.iter().map(line).collect()
    }

    fn provenance(&self) -> String {
        let models = self.record.models.iter().map(|model| {
            let built = model.built.as_ref().map_or(String::new(), |built| {
                format!(
                    ", {} of {} (tensors sha256 {})",
                    built.rule,
                    built.inputs.join(" and "),
                    built.tensors_sha256
                )
            });
            format!(
                "- {}: weights sha256 {}, tokenizer sha256 {}, {} arithmetic, at most {} tokens{built}\n",
                model.name, model.weights_sha256, model.tokenizer_sha256, model.precision, model.max_length
            )
        });
        let models: String = models.collect();
        format!(
            "Protocol {}, zoo {}, few-shot seed {}.\n\n{models}",
            self.record.protocol, self.record.zoo, self.record.fewshot_seed
        )
    }
}

/// The record of a run that begins now, on this machine.
pub fn new_record(suites: Vec<String>, fewshot_seed: u32) -> RunRecord {
    RunRecord {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        started: Timestamp::now().rfc3339(),
        seconds: 0.0,
        protocol: PROTOCOL.to_owned(),
        fewshot_seed,
        system_instruction: None,
        cpu: cpu_name(),
        threads: rayon::current_num_threads(),
        suites,
        options: BTreeMap::new(),
        models: Vec::new(),
        tasks: Vec::new(),
        graded: Vec::new(),
    }
}

/// Prints the rows of a run, with a `note` below the table, and says where its files are.
pub fn print(
    rows: &[Row],
    note: &str,
    folder: Option<&Path>,
    shown: Shown,
    global: &Global,
) -> anyhow::Result<()> {
    let text = match shown.format {
        Format::Table => terminal_table(rows, terminal_width(), shown.all_tasks) + "\n" + note,
        Format::Csv => String::from_utf8(results_csv(rows)?)?,
        Format::Md => comparison_markdown(rows),
        Format::Json => rows_json(rows)?,
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    if let Some(folder) = folder.filter(|_| !global.quiet) {
        let results = folder.join("results.csv");
        let place = results.display();
        // Beside the table where a person reads it, on stderr where stdout is data.
        if shown.format == Format::Table {
            writeln!(out, "results: {place}")?;
        } else if std::io::stderr().is_terminal() {
            eprintln!("results: {place}");
        }
    }
    Ok(())
}

/// Prompts longer than the context are cut as the reference harness cuts them; nobody should miss it.
fn warn_about_cut_prompts(model: &str, tasks: &[TaskResult], max_length: usize) {
    for task in tasks {
        let cut = task.samples.iter().filter(|sample| sample.truncated).count();
        if cut > 0 {
            tracing::warn!(
                "{model}, {}: {cut} of {} documents are longer than {max_length} tokens and lost tokens on the left \
                 (BOS and description first)",
                task.task.name,
                task.samples.len()
            );
        }
    }
}

fn suite_record(task: &TaskResult) -> SuiteRecord {
    SuiteRecord {
        task: task.task.name.clone(),
        version: task.task.version().map(|v| v.to_string().trim_matches('"').to_owned()),
        num_fewshot: task.num_fewshot,
        documents: task.samples.len(),
        of: task.total_documents,
        data_sha256: task.data_sha256.clone(),
    }
}

fn built_record(lock: &Lock) -> BuiltRecord {
    BuiltRecord {
        rule: lock.rule.clone(),
        zoo: lock.zoo.clone(),
        inputs: lock.inputs.iter().map(|input| format!("{} {}", input.role, input.name)).collect(),
        tensors_sha256: lock.tensors_sha256.clone(),
    }
}

fn header(model: &ModelIdentity, task: &TaskResult) -> Header {
    let mut metrics = BTreeMap::new();
    for TaskMetric { metric, filter, value } in &task.metrics {
        metrics.insert(format!("{metric},{filter}"), Some(value.value));
        metrics.insert(format!("{metric}_stderr,{filter}"), value.stderr);
    }
    Header {
        kind: "header",
        model: model.name.clone(),
        weights_sha256: model.weights_sha256.clone(),
        task: task.task.name.clone(),
        num_fewshot: task.num_fewshot,
        output_type: task.task.config.output_type.name().to_owned(),
        n: task.samples.len(),
        metrics,
    }
}
