//! What others have published beside what was measured, and whether the two can be compared at all.
//!
//! The verdict counts standard errors of the measured value: the published one is of the same questions, so that its own luck with
//! them is the same luck, and what is left is how it was measured. A published value is rounded, and half of its last digit is no
//! difference either.

use super::Table;
use super::table::{Cell, number, text};

/// Standard errors beyond which two values differ (95 %, two-sided).
const DIFFERS: f64 = 1.959_963_984_540_054;
/// Half of the last digit of a share that is published per cent with one decimal.
const ROUNDING: f64 = 0.0005;

/// What is to be said of a published value beside a measured one.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// No difference beyond chance and rounding.
    Agrees,
    /// A difference beyond both.
    Differs,
    /// There is no error to measure the difference by.
    Unknown,
    /// They are not values of the same thing, for this reason.
    NotComparable(String),
}

/// A published value beside a measured one.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// The column of the measured value.
    pub label: String,
    /// The task or group.
    pub task: String,
    /// The metric.
    pub metric: String,
    /// Few-shot examples of what was measured.
    pub num_fewshot: Option<usize>,
    /// The value.
    pub measured: f64,
    /// Its standard error.
    pub stderr: Option<f64>,
    /// Documents.
    pub n: usize,
    /// The published value.
    pub published: f64,
    /// Its few-shot examples, where the source says them.
    pub published_num_fewshot: Option<u32>,
    /// How it was measured, where the source says that.
    pub published_protocol: Option<String>,
    /// Where it was published.
    pub source: String,
    /// What keeps the two from being compared.
    pub reason: Option<String>,
}

impl Beside {
    /// Measured less published.
    pub fn difference(&self) -> f64 {
        self.measured - self.published
    }

    /// The difference in standard errors of the measured value.
    pub fn in_errors(&self) -> Option<f64> {
        let stderr = self.stderr.filter(|stderr| *stderr > 0.0)?;
        self.reason.is_none().then(|| self.difference() / stderr)
    }

    /// Whether they agree.
    pub fn verdict(&self) -> Verdict {
        if let Some(reason) = &self.reason {
            return Verdict::NotComparable(reason.clone());
        }
        if self.difference().abs() <= ROUNDING {
            return Verdict::Agrees;
        }
        match self.in_errors() {
            Some(errors) if errors.abs() <= DIFFERS => Verdict::Agrees,
            Some(_) => Verdict::Differs,
            None => Verdict::Unknown,
        }
    }
}

/// A line for each published value that stands beside a measured one.
pub fn beside(lines: &[Beside]) -> Table<&Beside> {
    Table::of(lines)
        .column(text("model").wraps(), |line| &line.label)
        .column(text("task"), |line| &line.task)
        .column(text("metric"), |line| &line.metric)
        .column(number("num_fewshot").titled("shots"), |line| line.num_fewshot)
        .column(number("measured"), |line| {
            Cell::from(line.measured).shown(match line.stderr {
                Some(stderr) => format!("{:.4} ± {stderr:.4}", line.measured),
                None => format!("{:.4}", line.measured),
            })
        })
        .column(super::table::data("stderr"), |line| line.stderr)
        .column(number("n").spare(2), |line| line.n)
        .column(number("published"), |line| Cell::written(line.published, |value: f64| format!("{value:.4}")))
        .column(number("published_num_fewshot").titled("its shots"), |line| {
            Cell::from(line.published_num_fewshot).or_dash()
        })
        .column(number("difference").spare(1), |line| {
            let difference = line.reason.is_none().then(|| line.difference());
            Cell::written(difference, |value: f64| format!("{value:+.4}")).or_dash()
        })
        .column(number("in_stderrs").titled("in errors"), |line| {
            Cell::written(line.in_errors(), |value: f64| format!("{value:+.1}")).or_dash()
        })
        .column(text("verdict"), |line| match line.verdict() {
            Verdict::Agrees => "agrees",
            Verdict::Differs => "differs",
            Verdict::Unknown => "no error known",
            Verdict::NotComparable(_) => "not comparable",
        })
        .column(text("why").wraps(), |line| line.reason.as_ref())
        .column(super::table::data("published_protocol"), |line| line.published_protocol.as_ref())
        .column(text("source").wraps().spare(3), |line| &line.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(measured: f64, stderr: Option<f64>, reason: Option<&str>) -> Beside {
        Beside {
            label: "llama-7b".to_owned(),
            task: "mmlu".to_owned(),
            metric: "acc".to_owned(),
            num_fewshot: Some(5),
            measured,
            stderr,
            n: 14_042,
            published: 0.351,
            published_num_fewshot: Some(5),
            published_protocol: None,
            source: "a paper, table 9".to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn verdicts() {
        assert_eq!(line(0.355, Some(0.004), None).verdict(), Verdict::Agrees);
        assert_eq!(line(0.36, Some(0.004), None).verdict(), Verdict::Differs);
        assert_eq!(line(0.3514, Some(1e-6), None).verdict(), Verdict::Agrees, "rounding");
        assert_eq!(line(0.36, None, None).verdict(), Verdict::Unknown);
        assert_eq!(line(0.36, Some(0.0), None).verdict(), Verdict::Unknown);
        let other = line(0.351, Some(0.004), Some("0 shots, published with 5"));
        assert_eq!(other.verdict(), Verdict::NotComparable("0 shots, published with 5".to_owned()));
        assert_eq!(other.in_errors(), None);
    }

    #[test]
    fn lines_say_why() {
        let lines = [line(0.36, Some(0.004), None), line(0.36, None, Some("0 shots, published with 5"))];
        insta::assert_snapshot!("beside_text", beside(&lines).text(160));
        insta::assert_snapshot!("beside_csv", beside(&lines).csv());
    }
}
