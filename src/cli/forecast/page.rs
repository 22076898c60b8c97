//! A plan for people: what a run of one model would fetch, hold, compute and take.

use std::fmt::Write;

use crate::engine::amount;
use crate::model::Residence;
use crate::report::Table;
use crate::report::numbers::{duration, short_bytes};
use crate::report::table::{number, text};
use crate::report::words::paragraph;
use crate::run::{AskedForecast, Forecast, TaskForecast, TimeForecast, needs_table};

/// The page of one model.
pub fn page(forecast: &Forecast, width: usize) -> String {
    let mut out = String::new();
    write_page(forecast, width, &mut out).expect("text can be written");
    out
}

/// Whether bytes fit into the memory that may be used.
pub fn fits(bytes: u64, budget: Option<u64>) -> &'static str {
    match budget {
        None => "",
        Some(budget) if bytes > budget => "does not fit",
        Some(_) => "fits",
    }
}

fn write_page(forecast: &Forecast, width: usize, out: &mut String) -> std::fmt::Result {
    writeln!(out, "{}", forecast.model)?;
    if !forecast.needs.is_empty() {
        let mut sizes = forecast.needs.iter().map(|need| need.bytes);
        let sizes = sizes.try_fold(0u64, |sum, bytes| sum.checked_add(bytes?));
        let sum = sizes.map_or_else(|| "some sizes unknown".to_owned(), short_bytes);
        write!(out, "\nnot on this machine ({sum}):\n{}", needs_table(&forecast.needs).text(width))?;
        for need in &forecast.needs {
            if let Some(obstacle) = &need.obstacle {
                out.push_str(&paragraph(&format!("{}: {obstacle}", need.name), 0, width));
            }
        }
        writeln!(out)?;
    }
    for form in &forecast.forms {
        let (label, total) = (format!("memory as {}", form.form), amount(form.total.into()));
        let verdict = fits(form.total, forecast.budget);
        let verdict = if verdict.is_empty() { String::new() } else { format!("  ({verdict})") };
        writeln!(out, "  {label:<22} {total:>14}{verdict}")?;
    }
    match &forecast.asked {
        Ok(asked) => write_asked(asked, forecast, width, out),
        Err(why) => {
            if let Some(budget) = forecast.budget {
                writeln!(out, "  {:<22} {:>14}", "may be used", amount(budget.into()))?;
            }
            out.push_str(&paragraph(&format!("tokens and time are not known: {why}"), 2, width));
            writeln!(out)
        }
    }
}

fn write_asked(
    asked: &AskedForecast,
    forecast: &Forecast,
    width: usize,
    out: &mut String,
) -> std::fmt::Result {
    let AskedForecast { tokens, memory: needed, .. } = asked;
    for (label, value) in [
        ("tasks", asked.tasks.len() as u64),
        ("documents", asked.tasks.iter().map(|line| line.documents as u64).sum()),
        ("requests", asked.requests as u64),
        ("tokens asked", tokens.asked),
        ("tokens distinct", tokens.distinct),
        ("tokens to compute", tokens.computed),
        ("forward passes", asked.waves as u64),
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
    let layers = match asked.residence {
        Residence::Memory => "in memory",
        Residence::Disk => "on the disk, read once a pass",
    };
    writeln!(out, "  {:<22} {layers}", "layers")?;
    if let Some(bytes) = asked.bytes_read() {
        writeln!(out, "  {:<22} {:>14}", "read in all passes", amount(bytes.into()))?;
    }
    if let Some(budget) = forecast.budget {
        let verdict = fits(needed.total(), forecast.budget);
        writeln!(out, "  {:<22} {:>14}  ({verdict})", "may be used", amount(budget.into()))?;
    }
    if let Some(writing) = &asked.writing {
        writeln!(
            out,
            "  {:<22} {:>14}  ({} answers, at least {} together)",
            "to write: keys, values",
            amount(writing.bytes.into()),
            writing.answers,
            writing.sequences
        )?;
    }
    for time in &asked.times {
        let label = format!("time in {}, about", time.precision);
        writeln!(out, "  {label:<22} {:>14}", duration(time.seconds))?;
    }
    out.push_str(&paragraph(&speeds(&asked.times), 2, width));
    writeln!(out, "\n{}", table(&asked.tasks).text(width))?;
    for line in &asked.findings {
        out.push_str(&paragraph(line, 0, width));
    }
    Ok(())
}

/// What the times follow from, each source said once; nothing without times.
fn speeds(times: &[TimeForecast]) -> String {
    let mut sources: Vec<(&str, Vec<String>)> = Vec::new();
    for TimeForecast { precision, known, .. } in times {
        let speed = format!("{precision} {:.1}", known.speed.linear / 1e9);
        match sources.iter_mut().find(|(source, _)| *source == known.source) {
            Some((_, speeds)) => speeds.push(speed),
            None => sources.push((&known.source, vec![speed])),
        }
    }
    let said = |(source, speeds): (&str, Vec<String>)| format!("{} ({source})", speeds.join(", "));
    let said: Vec<String> = sources.into_iter().map(said).collect();
    if said.is_empty() { String::new() } else { format!("a forecast from GFLOP/s: {}", said.join("; ")) }
}

/// The tasks, each by itself; shares of the time add up to 1.
fn table(lines: &[TaskForecast]) -> Table<&TaskForecast> {
    let table = Table::of(lines)
        .column(text("task").wraps(), |line| &line.task)
        .column(number("documents"), |line| line.documents)
        .column(number("requests").spare(2), |line| line.requests)
        .column(number("asked").spare(1), |line| line.tokens.asked)
        .column(number("distinct"), |line| line.tokens.distinct);
    let table = match lines.iter().any(|line| line.written > 0) {
        true => table.column(number("written, at most"), |line| line.written),
        false => table,
    };
    table.column(number("time"), |line| format!("{:.1} %", 100.0 * line.share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TokenCounts;

    #[test]
    fn tasks_stand_in_lines() {
        let tokens = TokenCounts { asked: 4000, distinct: 900, computed: 900 };
        let line = TaskForecast {
            task: "a".to_owned(),
            documents: 10,
            requests: 40,
            tokens,
            written: 0,
            share: 0.75,
        };
        let page = table(std::slice::from_ref(&line)).text(100);
        assert!(page.contains("75.0 %") && page.contains("4000") && page.contains("900"), "{page}");
        assert!(!page.contains("written"), "{page}");
        let page = table(&[TaskForecast { written: 2560, ..line }]).text(100);
        assert!(page.contains("written, at most") && page.contains("2560"), "{page}");
    }
}
