//! What each step of a lineage gained or lost: a derivative's score less its base's, suite by suite. What training for conversations
//! takes from the other scores is seen here at a glance.

use super::Table;
use super::numbers::digits;
use super::table::{Cell, data, number, text};

/// Where both scores of a step are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOf {
    /// Both were measured, the same documents by the same rules.
    Measured,
    /// Both were published in the same source.
    OneSource,
    /// Both were published, in different sources.
    Sources,
}

/// One step and suite.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The branch of the family.
    pub family: String,
    /// What was trained further.
    pub base: String,
    /// What came of it.
    pub derivative: String,
    /// How, in the registry's words.
    pub method: String,
    /// The suite, or the task.
    pub suite: String,
    /// The metric.
    pub metric: String,
    /// Few-shot examples of both.
    pub num_fewshot: Option<usize>,
    /// The base's score.
    pub before: f64,
    /// The derivative's.
    pub after: f64,
    /// Standard error of the difference of two independent values; the paired one is not greater.
    pub stderr: Option<f64>,
    /// Where the scores are from.
    pub of: StepOf,
}

impl Step {
    /// What was gained; below 0 what was lost.
    pub fn gain(&self) -> f64 {
        self.after - self.before
    }
}

/// A line for each step and suite.
pub fn steps(steps: &[Step]) -> Table<&Step> {
    Table::of(steps)
        .column(data("family"), |step| &step.family)
        .column(text("base").wraps(), |step| &step.base)
        .column(text("derivative").wraps(), |step| &step.derivative)
        .column(text("method").spare(2).wraps(), |step| &step.method)
        .column(text("suite"), |step| &step.suite)
        .column(text("metric").spare(3), |step| &step.metric)
        .column(number("num_fewshot").titled("shots"), |step| Cell::from(step.num_fewshot).or_dash())
        .column(number("before"), |step| Cell::written(step.before, digits))
        .column(number("after"), |step| Cell::written(step.after, digits))
        .column(number("gain"), |step| {
            let gain = format!("{:+.4}", step.gain());
            Cell::from(step.gain()).shown(match step.stderr {
                Some(stderr) => format!("{gain} ± {stderr:.4}"),
                None => gain,
            })
        })
        .column(data("stderr"), |step| step.stderr)
        .column(text("scores").spare(1), |step| match step.of {
            StepOf::Measured => "measured",
            StepOf::OneSource => "published, one source",
            StepOf::Sources => "published, two sources",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_have_their_sign() {
        let step = |after, stderr, of| Step {
            family: "alpaca".to_owned(),
            base: "llama-7b".to_owned(),
            derivative: "alpaca-7b".to_owned(),
            method: "instructions".to_owned(),
            suite: "mmlu".to_owned(),
            metric: "acc".to_owned(),
            num_fewshot: Some(5),
            before: 0.351,
            after,
            stderr,
            of,
        };
        let all = [step(0.34, Some(0.005), StepOf::Measured), step(0.42, None, StepOf::Sources)];
        insta::assert_snapshot!("steps_text", steps(&all).text(140));
        insta::assert_snapshot!("steps_csv", steps(&all).csv());
    }
}
