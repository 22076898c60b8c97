//! What is known of the work under way.

use std::time::Duration;

use serde::Serialize;

use crate::base::progress::{Running, Turn, Unit};

/// One piece of work, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub turn: Option<Turn>,
    /// In words.
    pub work: String,
    /// What of it is under way; empty if nobody says.
    pub item: String,
    pub running: Option<Running>,
    pub unit: Unit,
    pub total: Option<u64>,
    pub done: u64,
    /// When it began.
    pub since: Duration,
}

impl Default for State {
    fn default() -> Self {
        Self {
            turn: None,
            work: String::new(),
            item: String::new(),
            running: None,
            unit: Unit::Items,
            total: None,
            done: 0,
            since: Duration::ZERO,
        }
    }
}

/// What a program is told; the keys stay as they are. What is not known is null.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    event: &'a str,
    work: &'a str,
    model: Option<&'a str>,
    model_number: Option<usize>,
    models: Option<usize>,
    task: Option<&'a str>,
    unit: &'a str,
    done: u64,
    total: Option<u64>,
    per_second: Option<f64>,
    seconds: f64,
    seconds_left: Option<f64>,
    metric: Option<&'a str>,
    value: Option<f64>,
}

impl State {
    /// Other work begins; whose turn it is stays.
    pub fn begin(&mut self, work: &str, total: Option<u64>, unit: Unit, now: Duration) {
        let turn = self.turn.take();
        *self = Self { turn, work: work.to_owned(), total, unit, since: now, ..Self::default() };
    }

    /// What is done of the whole; `None` where nobody knows how much that is.
    pub fn share(&self) -> Option<f64> {
        let total = self.total.filter(|&total| total > 0)?;
        Some((self.done as f64 / total as f64).min(1.0))
    }

    /// Units a second; `None` before there is anything to measure.
    pub fn per_second(&self, now: Duration) -> Option<f64> {
        let time = now.saturating_sub(self.since).as_secs_f64();
        (self.done > 0 && time >= 0.05).then(|| self.done as f64 / time)
    }

    /// At that rate.
    pub fn seconds_left(&self, now: Duration) -> Option<f64> {
        let left = self.total?.saturating_sub(self.done);
        Some(left as f64 / self.per_second(now)?)
    }

    /// For programs.
    pub fn report<'a>(&'a self, event: &'a str, now: Duration) -> Report<'a> {
        let turn = self.turn.as_ref();
        Report {
            event,
            work: &self.work,
            model: turn.map(|turn| turn.name.as_str()),
            model_number: turn.map(|turn| turn.number),
            models: turn.map(|turn| turn.of),
            task: Some(self.item.as_str()).filter(|item| !item.is_empty()),
            unit: match self.unit {
                Unit::Bytes | Unit::Transfer => "bytes",
                Unit::Tokens => "tokens",
                Unit::Items => "items",
            },
            done: self.done,
            total: self.total,
            per_second: self.per_second(now),
            seconds: now.saturating_sub(self.since).as_secs_f64(),
            seconds_left: self.seconds_left(now),
            metric: self.running.as_ref().map(|running| running.metric.as_str()),
            value: self.running.as_ref().map(|running| running.value),
        }
    }
}
