//! A run under way: collected while respondents answer, graded and written in one way, whoever they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::against::{self, Compared, compared_table};
use super::error::During;
use super::folder::{self, RunFolder};
use super::judge::Judge;
use super::need::lines_about;
use super::outcome::Outcome;
use super::respondent::{About, Answered, Effort, Respondent};
use super::rotations::{Rotations, rotations, rotations_table};
use super::rows::{ModelIdentity, suite_rows};
use super::shard::{ShardFile, ShardModel};
use super::variants::Variant;
use super::{Options, RunError, files, harness, instructions, submission, texts};
use crate::base::atomic::write_atomically;
use crate::base::machine::cpu_name;
use crate::engine::TokenCounts;
use crate::evaluate::{
    AnsweredTask, Overlong, SanityFinding, TaskResult, filter, grade, grade_part, grade_programs, ordered,
    unparsed,
};
use crate::finished::is_as_published;
use crate::records::{
    MissingData, ModelRecord, ProgramsRecord, RequestRecord, RunRecord, SuiteRecord, Timestamp,
    VerdictCounts, file_name,
};
use crate::report::Row;
use crate::sandbox::Counts;
use crate::tasks::protocol::DEFAULT_PROTOCOL;
use crate::tasks::{Shard, Suite};

/// What makes results of answers.
pub enum Grading<'j, 'a> {
    /// They are cut and filtered alone.
    Filter,
    /// All of it, with somebody who judges programs.
    Full(&'j mut Judge<'a>),
}

/// A run under way.
pub struct Session<'a> {
    options: &'a Options,
    suites: &'a [Suite],
    begun: Instant,
    started: Timestamp,
    rows: Vec<Row>,
    models: Vec<Outcome>,
    compared: Vec<Compared>,
    record: RunRecord,
    /// Of a shard, what its merge will need.
    parts: Vec<ShardModel>,
    /// Seconds that the run took, where they are not those from its beginning here.
    took: Option<f64>,
}

/// A run that is done.
#[derive(Debug, Default)]
pub struct Finished {
    /// The rows of its tables.
    pub rows: Vec<Row>,
    /// What another arithmetic changes; empty where none was asked for.
    pub compared: Vec<Compared>,
    /// How far answers depend on the order of options; empty where nobody asked.
    pub rotations: Vec<Rotations>,
    /// What stands below the table, in lines.
    pub note: String,
    /// Where its files are.
    pub folder: Option<PathBuf>,
    /// Set if it is one of several, which has no results of its own.
    pub shard: Option<Shard>,
    /// Set if nothing was done, because it was complete: since when.
    pub complete_since: Option<String>,
}

impl<'a> Session<'a> {
    /// A run that began at `started`; `record` is what is known of it already.
    pub fn new(options: &'a Options, suites: &'a [Suite], record: RunRecord, started: Timestamp) -> Self {
        Self {
            options,
            suites,
            begun: Instant::now(),
            started,
            rows: Vec::new(),
            models: Vec::new(),
            compared: Vec::new(),
            record,
            parts: Vec::new(),
            took: None,
        }
    }

    /// The same of a run whose answers took so many seconds elsewhere.
    pub fn that_took(self, seconds: f64) -> Self {
        Self { took: Some(seconds), ..self }
    }

    /// Tasks that are left out because their data is missing: said now, below every table, and in the run's description.
    pub fn leave_out(&mut self, left: Vec<MissingData>) {
        self.record.missing_data = left;
        let lines = lines_about(&self.record.missing_data);
        lines.iter().for_each(|line| tracing::warn!("{line}"));
        self.record.findings.extend(lines);
    }

    /// The folder that was asked for, or one named after model, suite and time.
    pub fn folder(&self) -> Result<PathBuf, RunError> {
        let Options { places, models, suite, .. } = self.options;
        let folder = places.out.clone().unwrap_or_else(|| {
            let model = models.first().map_or("model", |name| name.rsplit('/').next().unwrap_or(name));
            let suite = suite.first().map_or("suite", String::as_str);
            let shard = self.options.shard;
            let shard =
                shard.map_or_else(String::new, |own| format!("-shard-{}-of-{}", own.index(), own.of()));
            let name = format!("{model}-{suite}-{}{shard}", self.started.compact());
            PathBuf::from("reports").join(file_name(&name))
        });
        if folder.exists() && !folder.is_dir() {
            let folder = folder.display();
            return Err(RunError::room(format!("--out {folder}: expected a folder, found a file")));
        }
        folder::refuse_foreign(&folder)?;
        Ok(folder)
    }

    /// Has `who` answer all variants, and grades what comes back.
    pub fn ask(
        &mut self,
        who: &mut dyn Respondent,
        variants: &[Variant],
        grading: Grading<'_, '_>,
    ) -> Result<(), RunError> {
        let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).cloned().collect();
        let Answered { tasks: answered, mut effort, against } = who.answer(&tasks)?;
        assert_eq!(answered.len(), tasks.len(), "whoever is asked answers every task");
        let verdicts = match grading {
            Grading::Filter => None,
            Grading::Full(judge) => {
                let verdicts = judge.judge(&answered)?;
                // The first respondents of a run that is graded again may have had no program to run.
                if let Some(now) = judge.conditions() {
                    let then = self.record.programs.take();
                    let verdicts = then.map_or_else(Vec::new, |then| then.verdicts);
                    self.record.programs = Some(ProgramsRecord { verdicts, ..now.clone() });
                }
                Some(verdicts)
            }
        };
        let is_part = self.options.shard.is_some();
        let results = answered.par_iter().map(|AnsweredTask { task, answers, .. }| match &verdicts {
            None if is_part => Ok(TaskResult { extracted: Vec::new(), ..filter(task, answers)? }),
            None => filter(task, answers),
            Some(verdicts) if is_part => grade_part(task, answers, verdicts),
            Some(verdicts) => grade_programs(task, answers, verdicts),
        });
        let results: Vec<TaskResult> = results.collect::<Result<_, _>>()?;
        if let Some(against) = against {
            let others =
                answered.par_iter().zip(&against.answers).map(|(own, other)| grade(&own.task, other));
            let others: Vec<TaskResult> = others.collect::<Result<_, _>>()?;
            self.compared.extend(against::rows(&against, &results, &others));
        }
        let mut graded = results.into_iter().zip(answered.into_iter().map(|own| own.findings));
        let asked_now = effort.is_some();
        for variant in variants {
            let own = graded.by_ref().take(variant.tasks.len());
            let (tasks, findings): (Vec<TaskResult>, Vec<Vec<SanityFinding>>) = own.unzip();
            let about = who.about(variant)?;
            let raw: Vec<SanityFinding> = findings.into_iter().flatten().collect();
            if is_part {
                let special_tokens = about.special_tokens.clone();
                // Its name is known when it is added, and its samples when they are written.
                let (name, samples_sha256) = (String::new(), BTreeMap::new());
                self.parts.push(ShardModel { name, special_tokens, findings: raw.clone(), samples_sha256 });
            }
            let mut findings = ordered(raw.into_iter());
            if asked_now && !is_part {
                findings.extend(tasks.iter().filter_map(unparsed));
            }
            self.add(about, variant, tasks, findings, effort.take());
        }
        Ok(())
    }

    /// Takes in one variant. What it took is said of the first one, since nothing that shares a pass can be told apart.
    fn add(
        &mut self,
        about: About,
        variant: &Variant,
        tasks: Vec<TaskResult>,
        findings: Vec<SanityFinding>,
        effort: Option<Effort>,
    ) {
        let protocol = &variant.protocol;
        // Two models whose files would have one name get numbers, so that neither's are lost.
        let folder_of = |name: &String| self.record.samples_folder(name, &protocol.name);
        let taken = |name: &String| {
            let own = file_name(&folder_of(name));
            self.models.iter().any(|model| file_name(&model.folder) == own)
        };
        let numbers = std::iter::once(String::new()).chain((2..).map(|n| format!("-{n}")));
        let mut names = numbers.map(|number| format!("{}{number}{}", about.name, variant.suffix));
        let name = names.find(|name| !taken(name)).expect("there is always one more number");
        let folder = folder_of(&name);
        let identity = ModelIdentity {
            name: name.clone(),
            weights_sha256: about.weights_sha256,
            protocol: protocol.name.clone(),
            metrics: protocol.metrics.iter().chain(&self.options.metrics).cloned().collect(),
            // Beside what was measured in another way they would say nothing.
            published: if is_as_published(&protocol.name) && variant.rotation == 0 {
                about.published
            } else {
                Vec::new()
            },
            precision: about.record.as_ref().map(|record| record.precision.clone()),
            template: about.record.as_ref().and_then(|record| Some(record.chat.as_ref()?.template.clone())),
            revision: about.record.as_ref().and_then(|record| record.revision.clone()),
        };
        let records: Vec<SuiteRecord> = tasks.iter().map(files::suite_record).collect();
        if let Some(part) = self.parts.last_mut() {
            part.name.clone_from(&name);
        }
        // A shard has no values of its own.
        for suite in self.suites.iter().filter(|_| self.options.shard.is_none()) {
            self.rows.extend(suite_rows(suite, &tasks, &self.record.missing_data, &records, &identity));
        }
        let mut record = about.record.map(|record| ModelRecord { name: name.clone(), ..record });
        if let (Some(record), Some(effort)) = (&mut record, effort) {
            record.seconds = [("loading", effort.loading), ("scoring", effort.scoring)]
                .map(|(what, time)| (what.to_owned(), seconds(time)))
                .into();
            record.tokens = effort.tokens;
            record.requests = effort.requests;
        }
        self.record.models.extend(record.clone());
        for own in records {
            // Another protocol may have other tasks, and other metrics of the same.
            match self.record.tasks.iter_mut().find(|known| known.task == own.task) {
                Some(known) => {
                    let more: Vec<String> =
                        own.shares.into_iter().filter(|key| !known.shares.contains(key)).collect();
                    known.shares.extend(more);
                }
                None => self.record.tasks.push(own),
            }
        }
        if let Some(programs) = &mut self.record.programs {
            for task in &tasks {
                let own = task.samples.iter().flat_map(|line| line.programs.values().flatten());
                let counts = Counts::of(own);
                if counts.all() > 0 {
                    let (model, task) = (name.clone(), task.name().to_owned());
                    programs.verdicts.push(VerdictCounts { model, task, counts });
                }
            }
        }
        self.record.findings.extend(findings.iter().map(|found| format!("{name}: {}", found.line())));
        let asked = record.zip(about.special_tokens);
        let rotation = variant.rotation;
        let outcome = Outcome { identity, folder, rotation, tasks, findings, asked };
        // What is graded again says it already.
        for line in outcome.left_out() {
            if !self.record.findings.contains(&line) {
                self.record.findings.push(line);
            }
        }
        self.models.push(outcome);
    }

    /// Writes the files of the run, if they are to be anywhere: where it began, or in a folder that is cleared first.
    /// `note` stands below the table, in place of what the run took.
    pub fn finish(mut self, place: Option<RunFolder>, note: Option<String>) -> Result<Finished, RunError> {
        self.record.seconds = self.took.unwrap_or_else(|| seconds(self.begun.elapsed()));
        let mut note = self.checks() + &note.unwrap_or_else(|| self.saved());
        if let Some(shard) = self.options.shard {
            note += &format!(
                "this is shard {shard}: it has answers and no results; zoo merge makes those of the run when all {} shards are \
                 there\n",
                shard.of()
            );
        }
        let folder = place.as_ref().map(|place| &place.path).or(self.options.places.out.as_ref()).cloned();
        if let Some(folder) = &folder {
            // Until all files are written.
            let _claim = place.is_none().then(|| folder::clear(folder)).transpose()?;
            tracing::info!("writing tables and samples to {}", folder.display());
            note += &self.write(folder).during(|| format!("cannot write the run to {}", folder.display()))?;
        }
        place.map_or(Ok(()), RunFolder::close)?;
        let rotations = if self.options.shard.is_some() { Vec::new() } else { rotations(&self.models) };
        Ok(Finished {
            rows: self.rows,
            compared: self.compared,
            rotations,
            note,
            folder,
            shard: self.options.shard,
            complete_since: None,
        })
    }

    /// Writes all files, the description last; gives lines about files to hand in.
    fn write(&self, folder: &Path) -> Result<String, RunError> {
        let Self { suites, models, record, started, .. } = self;
        if !self.compared.is_empty() {
            let table = compared_table(&self.compared).csv();
            write_atomically(&folder.join("precision.csv"), table.as_bytes())?;
        }
        let mut lines = String::new();
        let samples = files::write_all_samples(folder, models)?;
        if let Some(shard) = self.options.shard {
            let parts = self.parts.iter().cloned().zip(samples);
            let models = parts.map(|(part, samples_sha256)| ShardModel { samples_sha256, ..part }).collect();
            ShardFile { shard, models }.write(folder)?;
        } else {
            let rotations = rotations(models);
            if !rotations.is_empty() {
                write_atomically(
                    &folder.join("rotations.csv"),
                    rotations_table(&rotations).csv().as_bytes(),
                )?;
            }
            lines = submission::write(folder, models)? + &instructions::write(folder, models, record)?;
            harness::write(folder, suites, models, record, *started, self.options)?;
        }
        if !self.options.places.no_texts {
            texts::write(folder, models)?;
        }
        files::write(folder, &self.rows, models, record)?;
        Ok(lines)
    }

    /// What is to be known of the documents, in few lines and an empty one.
    fn checks(&self) -> String {
        let lines = self.models.iter().flat_map(|model| model.left_out().into_iter().chain(model.notes()));
        let programs = self.record.programs.iter().flat_map(|programs| &programs.verdicts);
        let programs = programs.map(|VerdictCounts { model, task, counts }| {
            format!("{model}: {task}: {} programs: {counts}", counts.all())
        });
        let lines = lines_about(&self.record.missing_data).into_iter().chain(lines).chain(programs);
        let lines = lines.map(|line| line + "\n");
        let lines: String = lines.collect();
        if lines.is_empty() { lines } else { lines + "\n" }
    }

    /// A line per model, all its variants together: what sharing saved and how long it took.
    fn saved(&self) -> String {
        let line = |model: &ModelRecord| {
            let TokenCounts { asked, distinct, computed } = model.tokens;
            let RequestRecord { asked: requests, resumed, reused } = model.requests;
            let mut line =
                format!("{}: {asked} tokens asked, {distinct} distinct, {computed} computed", model.name);
            if computed > 0 {
                let seconds = model.seconds["scoring"];
                let (fewer, speed) = (asked as f64 / computed as f64, computed as f64 / seconds.max(1e-3));
                line += &match computed > asked {
                    true => " (wrong guesses among them)".to_owned(),
                    false => format!(" ({fewer:.1} × fewer)"),
                };
                line += &format!(" in {seconds:.1} s, {speed:.0} a second");
            }
            if resumed > 0 {
                line += &format!("; {resumed} of {requests} requests were answered before the interruption");
            }
            if reused > 0 {
                line += &format!("; {reused} of {requests} requests were taken over from other runs");
            }
            if let Some(server) = &model.server {
                line += &format!("\n{}: {}", model.name, server.line());
            }
            line + "\n"
        };
        self.record.models.iter().filter(|model| model.tokens.asked > 0).map(line).collect()
    }
}

/// Seconds to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The record of a run that begins now, on this machine.
pub fn new_record(options: &Options, started: Timestamp) -> Result<RunRecord, RunError> {
    Ok(RunRecord {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        started: started.rfc3339(),
        seconds: 0.0,
        protocol: DEFAULT_PROTOCOL.to_owned(),
        fewshot_seed: options.fewshot_seed,
        system_instruction: options.system_instruction.clone(),
        overlong: Overlong::default().name().to_owned(),
        findings: Vec::new(),
        cpu: cpu_name(),
        threads: rayon::current_num_threads(),
        suites: options.suite.clone(),
        options: options.recorded()?,
        flags: options.flags.clone(),
        models: Vec::new(),
        tasks: Vec::new(),
        missing_data: Vec::new(),
        graded: Vec::new(),
        programs: None,
    })
}
