//! A run's folder: collected while models are scored, written at the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::args::Format;
use super::harness::{self, Harness};
use super::subject::Subject;
use super::{Args, PROTOCOL};
use crate::cli::Global;
use crate::engine::TokenCounts;
use crate::evaluate::harness::RunFacts;
use crate::evaluate::{Evaluated, Finding, ModelIdentity, TaskMetric, TaskResult, suite_rows, summary};
use crate::machine::cpu_name;
use crate::records::{
    Header, ModelRecord, RunRecord, SuiteRecord, Timestamp, TokenRecord, file_name, write_atomically,
    write_samples,
};
use crate::report::{
    Row, comparison_csv, comparison_markdown, results_csv, rows_json, terminal_table, terminal_width,
};
use crate::tasks::{PreparedTask, Suite};
use crate::tokenizer::Tokenizer;

/// The file whose presence says that a run is complete; written last.
const RUN_FILE: &str = "run.yaml";

/// A run under way.
pub struct Run {
    folder: PathBuf,
    begun: Instant,
    rows: Vec<Row>,
    samples: Vec<(String, Vec<TaskResult>)>,
    harness: Vec<Harness>,
    findings: Vec<(String, Vec<Finding>)>,
    started: Timestamp,
    limit: Option<f64>,
    record: RunRecord,
}

/// The scores of one model and how they came about.
pub struct Scores {
    /// What came out.
    pub evaluated: Evaluated,
    /// The tasks as they were scored.
    pub tasks: Arc<Vec<PreparedTask>>,
    /// What is to be known of their documents.
    pub findings: Vec<Finding>,
    /// Reading the weights.
    pub loading: Duration,
    /// Computing the scores.
    pub scoring: Duration,
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
            zoo: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.rfc3339(),
            seconds: 0.0,
            protocol: PROTOCOL.to_owned(),
            fewshot_seed: args.fewshot_seed,
            system_instruction: args.system_instruction.clone(),
            cpu: cpu_name(),
            threads: rayon::current_num_threads(),
            overlong: args
                .overlong
                .to_possible_value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default(),
            findings: Vec::new(),
            suites: args.suite.clone(),
            models: Vec::new(),
            tasks: Vec::new(),
        };
        Ok(Self {
            folder,
            begun: Instant::now(),
            rows: Vec::new(),
            samples: Vec::new(),
            harness: Vec::new(),
            findings: Vec::new(),
            started,
            limit: harness::limit(args.limit),
            record,
        })
    }

    /// Takes in one model's results.
    pub fn add(
        &mut self,
        subject: &Subject,
        tokenizer: &Tokenizer,
        suites: &[Suite],
        scores: Scores,
    ) -> anyhow::Result<()> {
        let Scores { evaluated, tasks, findings, loading, scoring } = scores;
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
        for suite in suites {
            self.rows.extend(suite_rows(suite, &evaluated.tasks, &identity));
        }
        let TokenCounts { asked, distinct, computed } = evaluated.tokens;
        let seconds = |d: Duration| (d.as_secs_f64() * 1000.0).round() / 1000.0;
        self.record.models.push(ModelRecord {
            name: name.clone(),
            card: subject.card.as_ref().map(|card| card.id.clone()),
            path: subject.checkpoint.path.display().to_string(),
            weights_sha256: subject.weights_sha256.clone(),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: subject.checkpoint.config.parameters(),
            max_length: subject.limits().max_length,
            adds_bos: tokenizer.adds_bos(),
            precision: "exact".to_owned(),
            matmul: subject.matmul.to_owned(),
            seconds: BTreeMap::from([
                ("loading".to_owned(), seconds(loading)),
                ("scoring".to_owned(), seconds(scoring)),
            ]),
            tokens: TokenRecord { asked, distinct, computed },
        });
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
            protocol: format!("zoo {}, protocol {PROTOCOL}", self.record.zoo),
            environment: format!("{}, {} threads", self.record.cpu, self.record.threads),
            date: self.started.seconds(),
            ..RunFacts::default()
        };
        self.harness.push(Harness { facts, tasks });
        self.record.findings.extend(findings.iter().map(|found| format!("{name}: {}", found.line())));
        self.findings.push((name.clone(), findings));
        if self.record.tasks.is_empty() {
            self.record.tasks = evaluated.tasks.iter().map(suite_record).collect();
        }
        self.samples.push((name, evaluated.tasks));
        Ok(())
    }

    /// Writes the folder and prints the table.
    pub fn finish(mut self, args: &Args, suites: &[Suite], global: &Global) -> anyhow::Result<()> {
        self.record.seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.write(suites, args.log_samples)
            .with_context(|| format!("cannot write the run to {}", self.folder.display()))?;
        let saved = self.saved();
        // Where stdout is data, what is to be known goes to stderr.
        if args.format != Format::Table {
            for line in &self.record.findings {
                tracing::warn!("{line}");
            }
        }
        let text = match args.format {
            Format::Table => {
                let table = terminal_table(&self.rows, terminal_width(), args.all_tasks);
                table + "\n" + &self.checks() + &saved
            }
            Format::Csv => String::from_utf8(results_csv(&self.rows)?)?,
            Format::Md => comparison_markdown(&self.rows),
            Format::Json => rows_json(&self.rows)?,
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        if !global.quiet {
            let results = self.folder.join("results.csv");
            let place = results.display();
            // Beside the table where a person reads it, on stderr where stdout is data.
            if args.format == Format::Table {
                writeln!(out, "results: {place}")?;
            } else if std::io::stderr().is_terminal() {
                eprintln!("results: {place}");
            }
        }
        Ok(())
    }

    fn write(&mut self, suites: &[Suite], log_samples: bool) -> anyhow::Result<()> {
        move_aside(&self.folder)?;
        for (model, tasks) in &self.samples {
            let folder = self.folder.join("samples").join(file_name(model));
            for task in tasks {
                let path = folder.join(file_name(&task.task.name) + ".jsonl");
                write_samples(&path, &header(model, task), &task.samples)?;
            }
        }
        let mut markdown = comparison_markdown(&self.rows) + "\n";
        for line in &self.record.findings {
            markdown += &format!("- {line}\n");
        }
        markdown += &format!("\n{}\n{}", self.saved(), self.provenance());
        write_atomically(&self.folder.join("results.csv"), &results_csv(&self.rows)?)?;
        write_atomically(&self.folder.join("comparison.csv"), &comparison_csv(&self.rows)?)?;
        write_atomically(&self.folder.join("comparison.md"), markdown.as_bytes())?;
        write_atomically(&self.folder.join("sanity.csv"), &findings_csv(&self.findings)?)?;
        let models: Vec<(Harness, &[TaskResult])> = std::mem::take(&mut self.harness)
            .into_iter()
            .zip(&self.samples)
            .map(|(mut own, (_, tasks))| {
                own.facts.seconds = self.record.seconds;
                (own, tasks.as_slice())
            })
            .collect();
        harness::write(&self.folder, suites, &models, self.started, log_samples)?;
        write_atomically(&self.folder.join(RUN_FILE), serde_yaml::to_string(&self.record)?.as_bytes())?;
        Ok(())
    }

    /// What is to be known of the documents, in few lines and an empty one.
    fn checks(&self) -> String {
        let models = self.findings.iter();
        let lines = models.flat_map(|(model, found)| summary(found).into_iter().map(move |l| (model, l)));
        let lines: String = lines.map(|(model, line)| format!("{model}: {line}\n")).collect();
        if lines.is_empty() { lines } else { lines + "\n" }
    }

    /// A line per model: what sharing saved and how long it took.
    fn saved(&self) -> String {
        let line = |model: &ModelRecord| {
            let TokenRecord { asked, distinct, computed } = model.tokens;
            let seconds = model.seconds.get("scoring").copied().unwrap_or_default();
            format!(
                "{}: {asked} tokens asked, {distinct} distinct, {computed} computed ({:.1} × fewer) in {seconds:.1} s, {:.0} a second\n",
                model.name,
                asked as f64 / computed.max(1) as f64,
                computed as f64 / seconds.max(1e-3),
            )
        };
        self.record.models.iter().map(line).collect()
    }

    fn provenance(&self) -> String {
        let models = self.record.models.iter().map(|model| {
            format!(
                "- {}: weights sha256 {}, tokenizer sha256 {}, {} arithmetic, at most {} tokens\n",
                model.name, model.weights_sha256, model.tokenizer_sha256, model.precision, model.max_length
            )
        });
        let models: String = models.collect();
        format!(
            "Protocol {}, zoo {}, {}, few-shot seed {}.\n\n{models}",
            self.record.protocol, self.record.zoo, self.record.started, self.record.fewshot_seed
        )
    }
}

/// `sanity.csv`: one line per model, task and check that found something.
fn findings_csv(models: &[(String, Vec<Finding>)]) -> anyhow::Result<Vec<u8>> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record([
        "model",
        "task",
        "check",
        "documents",
        "of",
        "first_doc_ids",
        "cut_bos",
        "cut_description",
        "cut_examples",
        "cut_question",
    ])?;
    for (model, found) in models.iter().flat_map(|(model, all)| all.iter().map(move |found| (model, found))) {
        let first: Vec<String> = found.first.iter().map(usize::to_string).collect();
        let mut record = vec![
            model.clone(),
            found.task.clone(),
            found.check.name(),
            found.documents.to_string(),
            found.of.to_string(),
            first.join(" "),
        ];
        let cut = found.cut.map(|cut| [cut.bos, cut.description, cut.examples, cut.question]);
        record.extend(match cut {
            Some(tokens) => tokens.map(|tokens| tokens.to_string()),
            None => Default::default(),
        });
        csv.write_record(&record)?;
    }
    Ok(csv.into_inner()?)
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

fn header(model: &str, task: &TaskResult) -> Header {
    let mut metrics = BTreeMap::new();
    for TaskMetric { metric, filter, value, .. } in &task.metrics {
        metrics.insert(format!("{metric},{filter}"), Some(value.value));
        metrics.insert(format!("{metric}_stderr,{filter}"), value.stderr);
    }
    Header {
        kind: "header",
        model: model.to_owned(),
        task: task.task.name.clone(),
        num_fewshot: task.num_fewshot,
        output_type: task.task.config.output_type.name().to_owned(),
        n: task.samples.len(),
        metrics,
    }
}

/// A complete run in the way keeps its files under another name.
fn move_aside(folder: &Path) -> anyhow::Result<()> {
    if !folder.join(RUN_FILE).exists() && !folder.join("results.csv").exists() {
        return Ok(());
    }
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let free = (1..).map(|n| folder.with_file_name(format!("{name}.{n}"))).find(|path| !path.exists());
    if let Some(target) = free {
        fs::rename(folder, &target)
            .with_context(|| format!("cannot move the earlier run to {}", target.display()))?;
        tracing::warn!("an earlier run was in {}; it is now in {}", folder.display(), target.display());
    }
    Ok(())
}
