//! A run's folder: collected while models are scored, written at the end.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::asked::{Asked, AskedTask};
use super::files;
use super::folder::{self, RunFolder};
use super::harness::{self, Harness};
use super::subject::Subject;
use super::submission;
use super::variants::Variant;
use crate::base::machine::cpu_name;
use crate::cli::Global;
use crate::cli::eval::{Args, Format, Overlong};
use crate::engine::TokenCounts;
use crate::evaluate::harness::RunFacts;
use crate::evaluate::{Evaluated, Finding, ModelIdentity, TaskResult, suite_rows, summary, unparsed};
use crate::records::{
    Ledger, ModelRecord, RequestRecord, RunRecord, RunSettings, Timestamp, TokenRecord, file_name,
};
use crate::report::{Row, comparison_markdown, results_csv, rows_json, terminal_table, terminal_width};
use crate::tasks::Suite;
use crate::tasks::protocol::{DEFAULT_PROTOCOL, Marks};

/// A run under way.
pub struct Run {
    /// Nothing is written without one.
    folder: Option<PathBuf>,
    /// From [`open`](Self::open) on.
    place: Option<RunFolder>,
    begun: Instant,
    rows: Vec<Row>,
    models: Vec<Outcome>,
    started: Timestamp,
    limit: Option<f64>,
    log_samples: bool,
    /// Metrics that were asked for beside those of the tasks.
    metrics: Vec<String>,
    record: RunRecord,
    /// Below the table, in place of what the run took.
    note: Option<String>,
}

/// One model's part of a run.
pub struct Outcome {
    /// Who.
    pub identity: ModelIdentity,
    /// The name of its folder of samples.
    pub folder: String,
    /// Its tasks, graded.
    pub tasks: Vec<TaskResult>,
    /// What is to be known of their documents.
    pub findings: Vec<Finding>,
    /// For the files in the reference harness's shape; `None` where the prompts are not known.
    pub harness: Option<Harness>,
}

/// What the scores of one model took, all its variants together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Effort {
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
            protocol: args.protocol.join(", "),
            system_instruction: args.system_instruction.clone(),
            options: args.options()?,
            overlong: args.overlong.name(),
            ..new_record(args.suite.clone(), args.fewshot_seed)
        };
        let run = Self::new(Some(folder), record);
        Ok(Self {
            started,
            limit: harness::limit(args.limit),
            log_samples: args.log_samples,
            metrics: args.metrics.clone(),
            ..run
        })
    }

    /// A run of answers that are there already; its files are written where a folder is named.
    pub fn graded(folder: Option<&Path>, record: RunRecord) -> Self {
        Self::new(folder.map(Path::to_owned), record)
    }

    fn new(folder: Option<PathBuf>, record: RunRecord) -> Self {
        Self {
            folder,
            place: None,
            begun: Instant::now(),
            rows: Vec::new(),
            models: Vec::new(),
            started: Timestamp::now(),
            limit: None,
            log_samples: false,
            metrics: Vec::new(),
            record,
            note: None,
        }
    }

    /// A line below the table.
    pub fn note(&mut self, text: &str) {
        self.note = Some(text.to_owned());
    }

    /// Where its files are, or will be.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Whether [`open`](Self::open) was called.
    pub fn is_open(&self) -> bool {
        self.place.is_some()
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
        tasks: &[AskedTask<'_>],
        reuse: &[PathBuf],
    ) -> anyhow::Result<(Ledger, usize)> {
        let max_length = subject.limits().max_length;
        let place = self.place.as_ref().context("the run has not been begun")?;
        let mut ledger = Ledger::open(&place.path, &subject.name, subject.identity()?, max_length)?;
        let mut reused = 0;
        for run in reuse {
            reused += ledger
                .reuse(&place.place_of(run), tasks.iter().flat_map(|(_, encoded)| encoded.requests()))?;
        }
        for note in ledger.take_notes() {
            tracing::warn!("{}: {note}", subject.name);
        }
        Ok((ledger, reused))
    }

    /// Takes in what one model answered to one variant. The tokens of all variants count for the first.
    pub fn add(
        &mut self,
        subject: &Subject,
        asked: Asked<'_>,
        suites: &[Suite],
        evaluated: Evaluated,
        effort: Effort,
    ) -> anyhow::Result<()> {
        let Asked { variant, tasks, mut findings, .. } = asked;
        let Variant { suffix, protocol, chat, .. } = variant;
        let (tokenizer, Effort { reused, loading, scoring }) = (subject.tokenizer()?, effort);
        findings.extend(evaluated.tasks.iter().filter_map(unparsed));
        // Two models of one name get numbers, so that neither's files are lost.
        let taken =
            |name: &String| self.record.models.iter().any(|m| &m.name == name && m.protocol == protocol.name);
        let numbered = (2..).map(|n| format!("{}-{n}{suffix}", subject.name));
        let first = format!("{}{suffix}", subject.name);
        let name = std::iter::once(first).chain(numbered).find(|n| !taken(n)).unwrap_or_default();
        let identity = ModelIdentity {
            name: name.clone(),
            weights_sha256: subject.weights_sha256.clone(),
            protocol: protocol.name.clone(),
            metrics: protocol.metrics.iter().chain(&self.metrics).cloned().collect(),
            published: subject.card.as_ref().map(|card| card.published.clone()).unwrap_or_default(),
        };
        let TokenCounts { asked, distinct, computed } = evaluated.tokens;
        let seconds = |d: Duration| (d.as_secs_f64() * 1000.0).round() / 1000.0;
        let model = ModelRecord {
            name: name.clone(),
            card: subject.card.as_ref().map(|card| card.id.clone()),
            path: subject.checkpoint.path.display().to_string(),
            weights_sha256: subject.weights_sha256.clone(),
            built: subject.lock.as_ref().map(files::built_record),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: subject.checkpoint.config.parameters(),
            max_length: subject.limits().max_length,
            adds_bos: tokenizer.adds_bos() && protocol.marks == Marks::Tokenizer,
            protocol: protocol.name.clone(),
            chat: chat.as_ref().map(files::chat_record),
            precision: subject.precision.name().to_owned(),
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
        let facts = RunFacts {
            model: name.clone(),
            path: subject.checkpoint.path.display().to_string(),
            weights_sha256: subject.weights_sha256.clone(),
            parameters: subject.checkpoint.config.parameters(),
            max_length: subject.limits().max_length,
            special_tokens: harness::special_tokens(tokenizer),
            limit: self.limit,
            fewshot_seed: self.record.fewshot_seed,
            system_instruction: self.record.system_instruction.clone(),
            protocol: format!("zoo {}, protocol {}", self.record.zoo, protocol.name),
            environment: format!("{}, {} threads", self.record.cpu, self.record.threads),
            date: self.started.seconds(),
            ..RunFacts::default()
        };
        self.add_graded(identity, Some(model), suites, evaluated.tasks);
        self.record.findings.extend(findings.iter().map(|found| format!("{name}: {}", found.line())));
        if let Some(outcome) = self.models.last_mut() {
            outcome.findings = findings;
            outcome.harness = Some(Harness { facts, tasks });
        }
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
            self.record.tasks = tasks.iter().map(files::suite_record).collect();
        }
        let folder = self.record.samples_folder(&identity.name, &identity.protocol);
        self.models.push(Outcome { identity, folder, tasks, findings: Vec::new(), harness: None });
    }

    /// Writes the folder and prints the table.
    pub fn finish(mut self, shown: Shown, suites: &[Suite], global: &Global) -> anyhow::Result<()> {
        self.record.seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        // Where stdout is data, what is to be known goes to stderr.
        if shown.format != Format::Table {
            for line in &self.record.findings {
                tracing::warn!("{line}");
            }
        }
        let mut note = self.checks() + &self.note.take().unwrap_or_else(|| self.saved());
        if let Some(folder) = &self.folder {
            if self.place.is_none() {
                folder::clear(folder)?;
            }
            let failed = || format!("cannot write the run to {}", folder.display());
            note += &submission::write(folder, &self.models).with_context(failed)?;
            harness::write(folder, suites, &self.models, &self.record, self.started, self.log_samples)
                .with_context(failed)?;
            files::write(folder, &self.rows, &self.models, &self.record).with_context(failed)?;
        }
        if let Some(place) = self.place.take() {
            place.close()?;
        }
        print(&self.rows, &note, self.folder.as_deref(), shown, global)
    }

    /// What is to be known of the documents, in few lines and an empty one.
    fn checks(&self) -> String {
        let lines = self.models.iter().flat_map(|model| {
            summary(&model.findings).into_iter().map(move |line| format!("{}: {line}\n", model.identity.name))
        });
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { lines + "\n" }
    }

    /// A line per model, all its variants together: what sharing saved and how long it took.
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
        self.record.models.iter().filter(|model| model.tokens.asked > 0).map(line).collect()
    }
}

/// The record of a run that begins now, on this machine.
pub fn new_record(suites: Vec<String>, fewshot_seed: u32) -> RunRecord {
    RunRecord {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        started: Timestamp::now().rfc3339(),
        seconds: 0.0,
        protocol: DEFAULT_PROTOCOL.to_owned(),
        fewshot_seed,
        system_instruction: None,
        overlong: Overlong::default().name(),
        findings: Vec::new(),
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
        Format::Table if rows.is_empty() => note.to_owned(),
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
