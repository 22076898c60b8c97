//! `--dry-run`: what a run would compute, hold and take.

use std::io::Write;

use crate::engine::amount;
use crate::model::Residence;
use crate::report::table::{number, text};
use crate::report::{Table, terminal_width};
use crate::run::{Forecast, TaskForecast};

/// Prints the plan of every model.
pub fn print(forecasts: &[Forecast]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for forecast in forecasts {
        print_one(forecast, &mut out)?;
    }
    Ok(out.flush()?)
}

fn print_one(forecast: &Forecast, out: &mut impl Write) -> anyhow::Result<()> {
    let Forecast { tokens, memory: needed, .. } = forecast;
    writeln!(out, "{}", forecast.model)?;
    for (label, value) in [
        ("tasks", forecast.tasks.len() as u64),
        ("documents", forecast.tasks.iter().map(|line| line.documents as u64).sum()),
        ("requests", forecast.requests as u64),
        ("tokens asked", tokens.asked),
        ("tokens distinct", tokens.distinct),
        ("tokens to compute", tokens.computed),
        ("forward passes", forecast.waves as u64),
    ] {
        writeln!(out, "  {label:<22} {value:>14}")?;
    }
    for (label, bytes) in [
        ("memory: weights", needed.weights),
        ("largest wave", needed.wave),
        ("  of it keys, values", needed.keys_and_values),
        ("kept between passes", needed.kept),
        ("buffers", needed.buffers),
        ("program, answers", needed.rest),
        ("  of it logits", needed.logits),
        ("  of it tokens", needed.tokens),
        ("memory together", needed.total()),
    ] {
        writeln!(out, "  {label:<22} {:>14}", amount(bytes.into()))?;
    }
    let layers = match forecast.residence {
        Residence::Memory => "in memory",
        Residence::Disk => "on the disk, read once for every forward pass",
    };
    writeln!(out, "  {:<22} {layers}", "layers")?;
    if let Some(budget) = forecast.budget {
        let fits = if needed.total() > budget { "does not fit" } else { "fits" };
        writeln!(out, "  {:<22} {:>14}  ({fits})", "may be used", amount(budget.into()))?;
    }
    if let Some((speed, seconds)) = forecast.speed {
        writeln!(
            out,
            "  {:<22} {:>14}  (a forecast from {:.1} GFLOP/s, measured just now in products of this width)",
            "time, about",
            duration(seconds),
            speed.linear / 1e9
        )?;
    }
    writeln!(out, "\n{}", table(&forecast.tasks).text(terminal_width()))?;
    for line in &forecast.findings {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The tasks, each by itself; shares of the time add up to 1.
fn table(lines: &[TaskForecast]) -> Table<&TaskForecast> {
    Table::of(lines)
        .column(text("task").wraps(), |line| &line.task)
        .column(number("documents"), |line| line.documents)
        .column(number("requests"), |line| line.requests)
        .column(number("asked"), |line| line.tokens.asked)
        .column(number("distinct"), |line| line.tokens.distinct)
        .column(number("time"), |line| format!("{:.1} %", 100.0 * line.share))
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TokenCounts;

    #[test]
    fn tasks_stand_in_lines() {
        let tokens = TokenCounts { asked: 4000, distinct: 900, computed: 900 };
        let line = TaskForecast { task: "a".to_owned(), documents: 10, requests: 40, tokens, share: 0.75 };
        let table = table(&[line]).text(100);
        assert!(table.contains("75.0 %") && table.contains("4000") && table.contains("900"), "{table}");
    }

    #[test]
    fn times() {
        let shown = [0.5, 90.0, 600.0, 9000.0, 864_000.0].map(duration);
        assert_eq!(shown, ["under 1 s", "90 s", "10 min", "2.5 h", "10.0 days"]);
    }
}
