//! Forecast of a run: computation, memory and time, without running it.

use std::path::Path;

use super::absent::FormMemory;
use super::asking::all_questions;
use super::error::During;
use super::local::cache_blocks;
use super::need::Need;
use super::speeds::{KnownSpeed, speed};
use super::subject::pacing;
use super::variants::Variant;
use super::{Options, RunError};
use crate::config::ModelConfig;
use crate::engine::{
    Limits, MemoryPlan, Pacing, Placement, Plan, PlannedWave, ScoreRequest, Speed, TokenCounts, Work,
    check_room, foreseen, memory, together, work, work_of_writing,
};
use crate::evaluate::{AskedTask, WrittenQuestions, ordered, summary};
use crate::kernels::Precision;
use crate::model::{Footprint, KvCache, Residence};
use crate::tokenizer::Tokenizer;
use crate::weights::Dtype;

/// What a run of one model would fetch, hold, compute and take.
#[derive(Debug)]
pub struct Forecast {
    /// The model's name.
    pub model: String,
    /// What is not here, the data of all models' suites included.
    pub needs: Vec<Need>,
    /// What the model takes in memory in the forms that there are; empty where its shape is not known.
    pub forms: Vec<FormMemory>,
    /// Bytes that may be used; `None` where nothing bounds them.
    pub budget: Option<u64>,
    /// What it would be asked, or why that is not known.
    pub asked: Result<AskedForecast, String>,
}

/// What one model would be asked.
#[derive(Debug)]
pub struct AskedForecast {
    /// Each task by itself.
    pub tasks: Vec<TaskForecast>,
    /// Requests of all tasks.
    pub requests: usize,
    /// Tokens of all tasks together.
    pub tokens: TokenCounts,
    /// Forward passes.
    pub waves: usize,
    /// What they need.
    pub memory: MemoryPlan,
    /// What writing needs beside it; `None` where nothing is written.
    pub writing: Option<WritingForecast>,
    /// Where layers would be.
    pub residence: Residence,
    /// What a forward pass reads if they are on the disk.
    pub bytes_of_pass: u64,
    /// How long it takes in each precision, the one that was asked for first.
    pub times: Vec<TimeForecast>,
    /// What is to be known of the documents, in lines.
    pub findings: Vec<String>,
}

/// What writing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WritingForecast {
    /// Answers.
    pub answers: usize,
    /// Sequences that are written together, at least.
    pub sequences: usize,
    /// Bytes of their keys and values, at most.
    pub bytes: u64,
}

/// How long a run takes in one precision.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeForecast {
    /// What is multiplied.
    pub precision: Precision,
    /// How fast that is here.
    pub known: KnownSpeed,
    /// The time.
    pub seconds: f64,
}

/// One task by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskForecast {
    /// The task's name, as in `results.csv`.
    pub task: String,
    /// Documents, after `--limit`.
    pub documents: usize,
    /// Requests.
    pub requests: usize,
    /// Tokens each by itself, and with shared prefixes once; without those that are written.
    pub tokens: TokenCounts,
    /// Tokens that are written, at most.
    pub written: u64,
    /// What part of the time it takes; all parts add up to 1.
    pub share: f64,
}

/// A model as a forecast sees it, whether its weights are here or not.
pub struct PlannedModel<'a> {
    /// Its name.
    pub name: &'a str,
    /// Shape and constants.
    pub config: &'a ModelConfig,
    /// What it takes in memory.
    pub footprint: &'a Footprint,
    /// Bytes that it may use.
    pub memory_budget: u64,
    /// Where its layers would be.
    pub placement: &'a Placement,
    /// How it would be laid out in waves.
    pub limits: Limits,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The matrix products' implementation, and what is multiplied.
    pub matmul: &'a str,
    /// See `matmul`.
    pub precision: Precision,
    /// The type of most of its weights.
    pub weights: Dtype,
}

impl AskedForecast {
    /// What a model would be asked in some variants. `home` is where speeds are remembered; `precisions` are those whose time
    /// is wanted beside its own.
    ///
    /// # Errors
    /// Questions that cannot be put to it.
    pub fn new(
        model: &PlannedModel<'_>,
        variants: &[Variant],
        options: &Options,
        home: Option<&Path>,
        precisions: &[Precision],
    ) -> Result<Self, RunError> {
        let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).cloned().collect();
        let (questions, to_write) = all_questions(model.tokenizer, &tasks, model.limits.max_length, options)
            .during(|| format!("model {}", model.name))?;
        let mut requests = questions.requests();
        let scored = requests.len();
        requests.extend(to_write.tasks.iter().flat_map(|asked| to_write.as_scored(asked)));
        let plan = Plan::new(&requests, model.limits).map_err(|error| match error.request() {
            Some(request) if request >= scored => to_write.refused(error.of_request(|at| at - scored)),
            _ => questions.refused(error),
        })?;
        let tokens = plan.tokens;
        let mut wanted = vec![model.precision];
        wanted.extend(precisions.iter().filter(|precision| **precision != model.precision));
        let known = |precision: Precision| {
            let matmul = if precision == model.precision { model.matmul } else { "native" };
            Some((precision, speed(home, matmul, (precision, model.weights), model.config)?))
        };
        let known: Vec<(Precision, KnownSpeed)> = wanted.into_iter().filter_map(known).collect();
        let own_speed = known.first().filter(|(precision, _)| *precision == model.precision);
        let own_speed = own_speed.map(|(_, known)| known.speed);
        // As large as the clock would make them.
        let waves = match own_speed {
            Some(speed) => {
                let seconds =
                    |wave: &PlannedWave| work(std::slice::from_ref(wave), model.config).seconds(speed);
                let pacing =
                    pacing(model.matmul, model.config, model.footprint, model.placement, model.memory_budget);
                foreseen(plan, pacing, seconds)
            }
            None => foreseen(plan, Pacing::AsPlanned, |_| 0.0),
        };
        let writing = |asked: &AskedTask| {
            let written = WrittenQuestions::most_tokens(asked);
            let longest = asked.encoded.docs.iter().flat_map(|doc| &doc.requests);
            let longest = longest.map(|pair| pair.request.context.len() as u64).max().unwrap_or(0);
            work_of_writing(written, longest.min(model.limits.max_length as u64), model.config)
        };
        let whole = to_write.tasks.iter().map(writing).fold(work(&waves, model.config), Work::and);
        let time = |(precision, known): (Precision, KnownSpeed)| TimeForecast {
            precision,
            seconds: whole.seconds(known.speed),
            known,
        };
        let line = |asked: &AskedTask, own: Vec<ScoreRequest>| {
            let plan = Plan::new(&own, model.limits).expect("the plan of all tasks holds these requests");
            let tokens = plan.tokens;
            let waves = plan.waves();
            let line = TaskForecast {
                task: asked.task.task.name.clone(),
                documents: asked.task.docs.len(),
                requests: own.len(),
                tokens: with(tokens, &waves),
                written: 0,
                share: 0.0,
            };
            (line, work(&waves, model.config))
        };
        let scored = |asked: &AskedTask| line(asked, asked.encoded.requests().cloned().collect());
        let written = |asked: &AskedTask| {
            let (line, work) = line(asked, to_write.as_scored(asked));
            (TaskForecast { written: WrittenQuestions::most_tokens(asked), ..line }, work.and(writing(asked)))
        };
        let (mut of_scores, mut of_texts) = (questions.tasks.iter(), to_write.tasks.iter());
        let mut all = Vec::with_capacity(tasks.len());
        for task in &tasks {
            let own = if task.generation.is_some() { of_texts.next() } else { of_scores.next() };
            all.push(own.expect("every task is asked"));
        }
        let of = |asked: &&AskedTask| match asked.task.generation {
            Some(_) => written(asked),
            None => scored(asked),
        };
        let (mut lines, works): (Vec<TaskForecast>, Vec<Work>) = all.iter().map(of).unzip();
        for (line, share) in lines.iter_mut().zip(shares(&works, own_speed)) {
            line.share = share;
        }
        let mut all = all.into_iter();
        let findings = variants.iter().flat_map(|variant| {
            let own = all.by_ref().take(variant.tasks.len());
            ordered(own.flat_map(|task| task.findings.iter().cloned()))
        });
        let findings = summary(&findings.collect::<Vec<_>>());
        let stop = std::sync::Arc::from([]);
        let answers: Vec<_> = to_write.to_write().iter().map(|one| one.request(&stop)).collect();
        let blocks = cache_blocks(model.memory_budget, model.placement, model.config, model.precision);
        check_room(&answers, model.limits, blocks).map_err(|error| to_write.refused(error))?;
        let (sequences, taken) = together(&answers, blocks);
        let writing = (!answers.is_empty()).then(|| WritingForecast {
            answers: answers.len(),
            sequences,
            bytes: taken as u64 * KvCache::block_bytes(&model.config.shape(), model.precision),
        });
        Ok(Self {
            writing,
            tasks: lines,
            requests: requests.len(),
            tokens: with(tokens, &waves),
            waves: waves.len(),
            memory: memory(&waves, &requests, model.config, model.footprint, model.placement),
            residence: model.placement.residence,
            bytes_of_pass: model.footprint.stored_layers,
            times: known.into_iter().map(time).collect(),
            findings,
        })
    }

    /// What all passes together read from the disk; `None` for layers in memory.
    pub fn bytes_read(&self) -> Option<u64> {
        let each = Some(self.bytes_of_pass).filter(|_| self.residence == Residence::Disk);
        each?.checked_mul(self.waves as u64)
    }
}

/// What was asked, with what these waves compute.
fn with(tokens: TokenCounts, waves: &[PlannedWave]) -> TokenCounts {
    let computed = waves.iter().map(|planned| planned.computed as u64).sum();
    TokenCounts { computed, ..tokens }
}

/// What part of the time each task takes. Without a measured speed every operation counts the same.
fn shares(works: &[Work], speed: Option<Speed>) -> Vec<f64> {
    let speed = speed.unwrap_or(Speed { linear: 1.0, attention: 1.0 });
    let seconds: Vec<f64> = works.iter().map(|work| work.seconds(speed)).collect();
    let total: f64 = seconds.iter().sum();
    seconds.into_iter().map(|own| if total > 0.0 { own / total } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time_add_up() {
        let works = [(300.0, 0.0), (0.0, 50.0)].map(|(linear, attention)| Work { linear, attention });
        assert_eq!(shares(&works, Some(Speed { linear: 100.0, attention: 50.0 })), [0.75, 0.25]);
        assert_eq!(shares(&[Work { linear: 0.0, attention: 0.0 }], None), [0.0]);
    }
}
