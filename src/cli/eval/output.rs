//! A run's folder: collected while models are scored, written at the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::args::Format;
use super::subject::Subject;
use super::variants::Variant;
use super::{Args, Times};
use crate::cli::Global;
use crate::engine::TokenCounts;
use crate::evaluate::{Evaluated, ModelIdentity, TaskMetric, TaskResult, suite_rows};
use crate::machine::cpu_name;
use crate::records::{
    ChatRecord, Header, ModelRecord, RunRecord, SuiteRecord, Timestamp, TokenRecord, file_name,
    write_atomically, write_samples,
};
use crate::report::{
    Row, comparison_csv, comparison_markdown, results_csv, rows_json, terminal_table, terminal_width,
};
use crate::tasks::protocol::Marks;
use crate::tasks::{Chat, Suite};
use crate::tokenizer::Tokenizer;

/// The file whose presence says that a run is complete; written last.
const RUN_FILE: &str = "run.yaml";

/// A run under way.
pub struct Run {
    folder: PathBuf,
    begun: Instant,
    rows: Vec<Row>,
    samples: Vec<(String, Vec<TaskResult>)>,
    /// Metrics that were asked for beside those of the tasks.
    metrics: Vec<String>,
    record: RunRecord,
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
            protocol: args.protocol.join(", "),
            fewshot_seed: args.fewshot_seed,
            system_instruction: args.system_instruction.clone(),
            cpu: cpu_name(),
            threads: rayon::current_num_threads(),
            suites: args.suite.clone(),
            models: Vec::new(),
            tasks: Vec::new(),
        };
        Ok(Self {
            folder,
            begun: Instant::now(),
            rows: Vec::new(),
            samples: Vec::new(),
            metrics: args.metrics.clone(),
            record,
        })
    }

    /// Takes in what one model answered to one variant. The tokens of all variants count for the first.
    pub fn add(
        &mut self,
        subject: &Subject,
        variant: &Variant,
        tokenizer: &Tokenizer,
        suites: &[Suite],
        evaluated: Evaluated,
        Times { loading, scoring }: Times,
    ) -> anyhow::Result<()> {
        let Variant { suffix, protocol, chat, .. } = variant;
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
            adds_bos: tokenizer.adds_bos() && protocol.marks == Marks::Tokenizer,
            protocol: protocol.name.clone(),
            chat: chat.as_ref().map(chat_record),
            precision: "exact".to_owned(),
            matmul: subject.matmul.to_owned(),
            seconds: BTreeMap::from([
                ("loading".to_owned(), seconds(loading)),
                ("scoring".to_owned(), seconds(scoring)),
            ]),
            tokens: TokenRecord { asked, distinct, computed },
        });
        warn_about_cut_prompts(&name, &evaluated.tasks, subject.limits().max_length);
        if self.record.tasks.is_empty() {
            self.record.tasks = evaluated.tasks.iter().map(suite_record).collect();
        }
        // With several protocols the name alone says too little.
        let several = self.record.protocol.contains(", ");
        let folder = if several { format!("{name}-{}", protocol.name) } else { name };
        self.samples.push((folder, evaluated.tasks));
        Ok(())
    }

    /// Writes the folder and prints the table.
    pub fn finish(mut self, args: &Args, global: &Global) -> anyhow::Result<()> {
        self.record.seconds = (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.write().with_context(|| format!("cannot write the run to {}", self.folder.display()))?;
        let saved = self.saved();
        let text = match args.format {
            Format::Table => terminal_table(&self.rows, terminal_width(), args.all_tasks) + "\n" + &saved,
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

    fn write(&self) -> anyhow::Result<()> {
        move_aside(&self.folder)?;
        for (model, tasks) in &self.samples {
            let folder = self.folder.join("samples").join(file_name(model));
            for task in tasks {
                let path = folder.join(file_name(&task.task.name) + ".jsonl");
                write_samples(&path, &header(model, task), &task.samples)?;
            }
        }
        let markdown = comparison_markdown(&self.rows) + "\n" + &self.saved() + "\n" + &self.provenance();
        write_atomically(&self.folder.join("results.csv"), &results_csv(&self.rows)?)?;
        write_atomically(&self.folder.join("comparison.csv"), &comparison_csv(&self.rows)?)?;
        write_atomically(&self.folder.join("comparison.md"), markdown.as_bytes())?;
        write_atomically(&self.folder.join(RUN_FILE), serde_yaml::to_string(&self.record)?.as_bytes())?;
        Ok(())
    }

    /// A line per model, all its variants together: what sharing saved and how long it took.
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
        self.record.models.iter().filter(|model| model.tokens.asked > 0).map(line).collect()
    }

    fn provenance(&self) -> String {
        let models = self.record.models.iter().map(|model| {
            let asked = match &model.chat {
                None => String::new(),
                Some(ChatRecord { template, fewshot_as_multiturn: true, .. }) => {
                    format!(", chat template {template}, examples as turns")
                }
                Some(ChatRecord { template, .. }) => format!(", chat template {template}, one turn"),
            };
            format!(
                "- {}: protocol {}{asked}, weights sha256 {}, tokenizer sha256 {}, {} arithmetic, at most {} tokens\n",
                model.name,
                model.protocol,
                model.weights_sha256,
                model.tokenizer_sha256,
                model.precision,
                model.max_length
            )
        });
        let models: String = models.collect();
        format!(
            "Protocol {}, zoo {}, {}, few-shot seed {}.\n\n{models}",
            self.record.protocol, self.record.zoo, self.record.started, self.record.fewshot_seed
        )
    }
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

/// How the prompts of a conversation were written.
fn chat_record(chat: &Chat) -> ChatRecord {
    ChatRecord {
        template: chat.format.name().to_owned(),
        sha256: chat.format.source_sha256(),
        fewshot_as_multiturn: chat.multiturn,
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

fn header(model: &str, task: &TaskResult) -> Header {
    let mut metrics = BTreeMap::new();
    for TaskMetric { metric, filter, value } in &task.metrics {
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
