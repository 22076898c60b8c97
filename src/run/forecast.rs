//! Forecast of a run: computation, memory and time, without running it.

use super::subject::Subject;
use super::variants::Variant;
use super::{Options, RunError};
use crate::engine::{
    MemoryPlan, Pacing, Plan, PlannedWave, Speed, TokenCounts, Work, calibrate, foreseen, memory, work,
};
use crate::evaluate::{AskedTask, ordered, summary};
use crate::kernels;
use crate::model::Residence;

/// What one model would be asked.
#[derive(Debug)]
pub struct Forecast {
    /// The model's name.
    pub model: String,
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
    /// Where layers would be.
    pub residence: Residence,
    /// Bytes that may be used; `None` where nothing bounds them.
    pub budget: Option<u64>,
    /// What this machine computes, measured just now, and how many seconds the run takes at that.
    pub speed: Option<(Speed, f64)>,
    /// What is to be known of the documents, in lines.
    pub findings: Vec<String>,
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
    /// Tokens each by itself, and with shared prefixes once.
    pub tokens: TokenCounts,
    /// What part of the time it takes; all parts add up to 1.
    pub share: f64,
}

/// The plan of one model.
///
/// # Errors
/// Questions that cannot be put to it.
pub fn forecast(subject: &Subject, variants: &[Variant], options: &Options) -> Result<Forecast, RunError> {
    let tasks: Vec<_> = variants.iter().flat_map(|variant| &variant.tasks).cloned().collect();
    let questions = subject.questions(&tasks, options)?;
    let requests = questions.requests();
    let config = &subject.checkpoint.config;
    let plan = Plan::new(&requests, subject.limits).map_err(|error| questions.refused(error))?;
    let tokens = plan.tokens;
    let matmul = kernels::by_name(subject.matmul, subject.precision);
    let speed = matmul.map(|matmul| calibrate(matmul.as_ref(), config));
    // As large as the clock would make them.
    let waves = match speed {
        Some(speed) => {
            let seconds = |wave: &PlannedWave| work(std::slice::from_ref(wave), config).seconds(speed);
            foreseen(plan, subject.pacing(), seconds)
        }
        None => foreseen(plan, Pacing::AsPlanned, |_| 0.0),
    };
    let line = |asked: &AskedTask| -> Result<(TaskForecast, Work), RunError> {
        let own: Vec<_> = asked.encoded.requests().cloned().collect();
        let plan = Plan::new(&own, subject.limits).expect("the plan of all tasks holds these requests");
        let tokens = plan.tokens;
        let waves = plan.waves();
        let task = &asked.task;
        let line = TaskForecast {
            task: task.task.name.clone(),
            documents: task.docs.len(),
            requests: own.len(),
            tokens: with(tokens, &waves),
            share: 0.0,
        };
        Ok((line, work(&waves, config)))
    };
    let lines: Vec<(TaskForecast, Work)> = questions.tasks.iter().map(line).collect::<Result<_, _>>()?;
    let (mut lines, works): (Vec<TaskForecast>, Vec<Work>) = lines.into_iter().unzip();
    for (line, share) in lines.iter_mut().zip(shares(&works, speed)) {
        line.share = share;
    }
    let mut all = questions.tasks.iter();
    let findings = variants.iter().flat_map(|variant| {
        let own = all.by_ref().take(variant.tasks.len());
        ordered(own.flat_map(|task| task.findings.iter().cloned()))
    });
    let findings = summary(&findings.collect::<Vec<_>>());
    Ok(Forecast {
        model: subject.name.clone(),
        tasks: lines,
        requests: requests.len(),
        tokens: with(tokens, &waves),
        waves: waves.len(),
        memory: memory(&waves, &requests, config, &subject.footprint, &subject.placement),
        residence: subject.placement.residence,
        budget: Some(subject.memory_budget).filter(|budget| *budget < u64::MAX / 2),
        speed: speed.map(|speed| (speed, work(&waves, config).seconds(speed))),
        findings,
    })
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
