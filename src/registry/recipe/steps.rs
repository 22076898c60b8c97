//! From what a recipe states to the number of steps, and with it to a learning-rate curve.
//!
//! The number of steps is stated, or it is tokens / tokens to a batch, or examples / sequences to a
//! batch times epochs. Where none of these is known there is no curve, and the error says what is missing.

use serde::Serialize;

use super::{Count, Decay, Recipe, Schedule, Stage};

/// How many optimizer steps a stage has, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TotalSteps {
    /// Optimizer steps.
    pub steps: u64,
    /// How the number was found.
    pub basis: StepBasis,
}

/// How a number of steps is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepBasis {
    /// A source says it.
    Stated,
    /// Tokens seen, divided by the tokens to a batch, rounded down.
    Tokens,
    /// Examples divided by the sequences to a batch, rounded down, times epochs. As good as the count of
    /// examples, which is often a round number.
    Examples,
}

impl StepBasis {
    /// The words for people.
    pub fn label(self) -> &'static str {
        match self {
            StepBasis::Stated => "stated",
            StepBasis::Tokens => "tokens / batch tokens",
            StepBasis::Examples => "examples / batch × epochs",
        }
    }
}

/// Why a stage has no learning-rate curve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSchedule {
    /// The recipe has fewer stages.
    #[error("stage {stage}: expected 1 to {count}")]
    Stage {
        /// What was asked for, from 1.
        stage: usize,
        /// How many there are.
        count: usize,
    },
    /// A fact is not known.
    #[error("no learning-rate curve: {0} is not known")]
    Missing(&'static str),
}

impl Stage {
    /// The number of optimizer steps, if what it takes is known.
    pub fn total_steps(&self) -> Option<TotalSteps> {
        let with = |basis| move |steps| TotalSteps { steps, basis };
        let data = self.data.as_ref();
        let batch = self.batch.as_ref();
        self.steps
            .map(with(StepBasis::Stated))
            .or_else(|| {
                let (Count(tokens), Count(each)) = (data?.tokens?, batch?.tokens?);
                tokens.checked_div(each).map(with(StepBasis::Tokens))
            })
            .or_else(|| {
                let (Count(examples), sequences) = (data?.examples?, batch?.sequences?);
                let steps = examples.checked_div(sequences)? as f64 * self.epochs?;
                Some(with(StepBasis::Examples)(steps as u64))
            })
            .filter(|total| total.steps > 0)
    }

    /// The learning-rate curve; an error names the first fact that is missing.
    pub fn schedule(&self) -> Result<Schedule, NoSchedule> {
        let missing = NoSchedule::Missing;
        let rate = self.learning_rate.as_ref().ok_or(missing("the learning rate"))?;
        let decay = rate.schedule.ok_or(missing("the shape of the schedule"))?;
        let why = "the number of steps (data size, batch size or epochs)";
        let total_steps = self.total_steps().ok_or(missing(why))?.steps;
        let warmup_steps = match (rate.warmup_steps, rate.warmup_ratio) {
            (Some(steps), _) => steps,
            (None, Some(ratio)) => (total_steps as f64 * ratio).ceil() as u64,
            (None, None) => return Err(missing("the length of the warm-up")),
        };
        let final_fraction = match decay {
            Decay::Constant => 1.0,
            Decay::Cosine | Decay::Linear => rate.final_fraction.unwrap_or(0.0),
        };
        let hold_steps = match rate.decay_steps {
            Some(steps) => total_steps.saturating_sub(warmup_steps).saturating_sub(steps),
            None => 0,
        };
        Ok(Schedule { peak: rate.peak, decay, warmup_steps, hold_steps, total_steps, final_fraction })
    }
}

impl Recipe {
    /// The learning-rate curve of a stage, counted from 1.
    pub fn schedule(&self, stage: usize) -> Result<Schedule, NoSchedule> {
        let count = self.stages.len();
        let found = stage.checked_sub(1).and_then(|at| self.stages.get(at));
        found.ok_or(NoSchedule::Stage { stage, count })?.schedule()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(text: &str) -> Stage {
        serde_yaml::from_str(&format!("method: sft\n{text}")).unwrap()
    }

    #[test]
    fn steps_are_stated_or_worked_out() {
        let steps = |text: &str| stage(text).total_steps().map(|total| (total.steps, total.basis));
        assert_eq!(steps("steps: 3000"), Some((3000, StepBasis::Stated)));
        let tokens = "data: {name: x, tokens: 1.4T}\nbatch: {tokens: 4M}";
        assert_eq!(steps(tokens), Some((350_000, StepBasis::Tokens)));
        // 52 000 / 128 = 406.25
        let examples = "data: {name: x, examples: 52K}\nbatch: {sequences: 128}";
        assert_eq!(steps(examples), None);
        assert_eq!(steps(&format!("{examples}\nepochs: 3")), Some((1218, StepBasis::Examples)));
        assert_eq!(steps(&format!("{examples}\nepochs: 3\nsteps: 7")), Some((7, StepBasis::Stated)));
        assert_eq!(steps("data: {name: x, tokens: 1M}\nbatch: {tokens: 4M}"), None);
        assert_eq!(steps("data: {name: x, tokens: 1M}"), None);
    }

    #[test]
    fn a_ratio_is_rounded_up_to_whole_steps() {
        let text = "steps: 1218\nlearning_rate: {peak: 2.0e-5, schedule: cosine, warmup_ratio: 0.03}";
        let schedule = stage(text).schedule().unwrap();
        // 36.54 steps
        assert_eq!(schedule.warmup_steps, 37);
        assert_eq!(schedule.final_fraction, 0.0);
        assert_eq!(schedule.lr(37), 2e-5);
    }

    #[test]
    fn what_is_missing_is_named() {
        let rate = "learning_rate: {peak: 1.0e-4, warmup_ratio: 0.1";
        let cases = [
            (String::new(), "the learning rate"),
            (format!("{rate}}}"), "the shape of the schedule"),
            (format!("{rate}, schedule: linear}}"), "the number of steps"),
            (
                "steps: 9\nlearning_rate: {peak: 0.1, schedule: cosine}".to_owned(),
                "the length of the warm-up",
            ),
        ];
        for (text, word) in cases {
            let message = stage(&text).schedule().unwrap_err().to_string();
            assert!(message.starts_with(&format!("no learning-rate curve: {word}")), "{message}");
        }
    }
}
