//! A plan for programs: one quantity a line.

use super::page::fits;
use crate::report::Table;
use crate::report::table::{number, text};
use crate::run::Forecast;

/// One quantity of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanLine {
    model: String,
    /// `fetch`, `memory`, `tokens`, `time`, `task`.
    what: &'static str,
    name: String,
    /// `None` where it is not known.
    value: Option<f64>,
    unit: &'static str,
    note: String,
}

/// All quantities of all models.
pub fn lines(forecasts: &[Forecast]) -> Vec<PlanLine> {
    forecasts.iter().flat_map(lines_of).collect()
}

fn lines_of(forecast: &Forecast) -> Vec<PlanLine> {
    let line = |what, name: &str, value: Option<f64>, unit, note: String| PlanLine {
        model: forecast.model.clone(),
        what,
        name: name.to_owned(),
        value,
        unit,
        note,
    };
    let mut lines = Vec::new();
    for need in &forecast.needs {
        let note = need.obstacle.as_ref().or(need.licence.as_ref()).cloned().unwrap_or_default();
        lines.push(line("fetch", &need.name, need.bytes.map(|bytes| bytes as f64), "bytes", note));
    }
    for form in &forecast.forms {
        let note = fits(form.total, forecast.budget).to_owned();
        lines.push(line("memory", form.form, Some(form.total as f64), "bytes", note));
    }
    if let Some(budget) = forecast.budget {
        lines.push(line("memory", "may be used", Some(budget as f64), "bytes", String::new()));
    }
    let asked = match &forecast.asked {
        Ok(asked) => asked,
        Err(why) => {
            lines.push(line("tokens", "to compute", None, "tokens", why.clone()));
            return lines;
        }
    };
    lines.push(line("memory", "of this run", Some(asked.memory.total() as f64), "bytes", String::new()));
    for (name, value, unit) in [
        ("requests", asked.requests as u64, "requests"),
        ("asked", asked.tokens.asked, "tokens"),
        ("distinct", asked.tokens.distinct, "tokens"),
        ("to compute", asked.tokens.computed, "tokens"),
        ("to write at most", asked.tasks.iter().map(|task| task.written).sum(), "tokens"),
        ("forward passes", asked.waves as u64, "passes"),
    ] {
        lines.push(line("tokens", name, Some(value as f64), unit, String::new()));
    }
    for time in &asked.times {
        lines.push(line("time", time.precision.name(), Some(time.seconds), "s", time.known.source.clone()));
    }
    for task in &asked.tasks {
        lines.push(line("task", &task.task, Some(task.tokens.distinct as f64), "tokens", String::new()));
    }
    lines
}

/// The table of all lines.
pub fn table(lines: &[PlanLine]) -> Table<&PlanLine> {
    Table::of(lines)
        .column(text("model"), |line| &line.model)
        .column(text("what"), |line| line.what)
        .column(text("name"), |line| &line.name)
        .column(number("value"), |line| line.value)
        .column(text("unit"), |line| line.unit)
        .column(text("note"), |line| &line.note)
        .decimal_floats()
}
