//! `--dry-run`: what a run would compute, hold and take, without computing it.

use std::io::Write;

use comfy_table::{Cell, CellAlignment};

use super::asked::AskedTask;
use super::subject::Subject;
use crate::engine::{Plan, Speed, Work, calibrate, memory, work};
use crate::evaluate::{Finding, summary};
use crate::kernels;
use crate::model::Residence;
use crate::report::{plain_table, render, terminal_width};

/// One task by itself.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    task: String,
    documents: usize,
    requests: usize,
    /// Tokens each by itself, and with shared prefixes once.
    asked: u64,
    distinct: u64,
    work: Work,
}

/// Prints the plan of one model.
pub fn print<'f>(
    subject: &Subject,
    tasks: &[AskedTask<'_>],
    findings: impl Iterator<Item = &'f Finding>,
) -> anyhow::Result<()> {
    let requests: Vec<_> = tasks.iter().flat_map(|(_, encoded)| encoded.requests()).cloned().collect();
    let config = &subject.checkpoint.config;
    let plan = Plan::new(&requests, subject.limits())?;
    let speed =
        kernels::by_name(subject.matmul, subject.precision).map(|matmul| calibrate(matmul.as_ref(), config));
    let lines: Vec<Line> = tasks
        .iter()
        .map(|(task, encoded)| {
            let own: Vec<_> = encoded.requests().cloned().collect();
            let plan = Plan::new(&own, subject.limits())?;
            Ok(Line {
                task: task.task.name.clone(),
                documents: task.docs.len(),
                requests: own.len(),
                asked: plan.tokens.asked,
                distinct: plan.tokens.distinct,
                work: work(&plan, config),
            })
        })
        .collect::<anyhow::Result<_>>()?;
    let needed = memory(&plan, &requests, config, &subject.footprint, &subject.placement);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", subject.name)?;
    for (label, value) in [
        ("tasks", lines.len() as u64),
        ("documents", lines.iter().map(|line| line.documents as u64).sum()),
        ("requests", requests.len() as u64),
        ("tokens asked", plan.tokens.asked),
        ("tokens distinct", plan.tokens.distinct),
        ("tokens to compute", plan.tokens.computed),
        ("forward passes", plan.waves.len() as u64),
    ] {
        writeln!(out, "  {label:<22} {value:>14}")?;
    }
    for (label, bytes) in [
        ("memory: weights", needed.weights),
        ("largest wave", needed.wave),
        ("  of it keys, values", needed.keys_and_values),
        ("buffers", needed.buffers),
        ("logits", needed.logits),
        ("tokens", needed.tokens),
        ("memory together", needed.total()),
    ] {
        writeln!(out, "  {label:<22} {:>14}", amount(bytes))?;
    }
    let layers = match subject.placement.residence {
        Residence::Memory => "in memory",
        Residence::Disk => "on the disk, read once for every forward pass",
    };
    writeln!(out, "  {:<22} {layers}", "layers")?;
    if subject.memory_budget < u64::MAX / 2 {
        let fits = if needed.total() > subject.memory_budget { "does not fit" } else { "fits" };
        writeln!(out, "  {:<22} {:>14}  ({fits})", "may be used", amount(subject.memory_budget))?;
    }
    if let Some(speed) = speed {
        let seconds = work(&plan, config).seconds(speed);
        writeln!(
            out,
            "  {:<22} {:>14}  (a forecast from {:.1} GFLOP/s, measured just now in products of this width)",
            "time, about",
            duration(seconds),
            speed.linear / 1e9
        )?;
    }
    writeln!(out, "\n{}", table(&lines, speed))?;
    for line in summary(&findings.cloned().collect::<Vec<_>>()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The tasks, each by itself; shares of the time add up to 1.
fn table(lines: &[Line], speed: Option<Speed>) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = plain_table(terminal_width());
    let mut head = vec![Cell::new("task")];
    head.extend(["documents", "requests", "asked", "distinct", "time"].map(|t| right(t.into())));
    table.set_header(head);
    for (line, share) in lines.iter().zip(shares(lines, speed)) {
        table.add_row(vec![
            Cell::new(&line.task),
            right(line.documents.to_string()),
            right(line.requests.to_string()),
            right(line.asked.to_string()),
            right(line.distinct.to_string()),
            right(format!("{:.1} %", 100.0 * share)),
        ]);
    }
    render(&mut table, &[0])
}

/// What part of the time each task takes. Without a measured speed every operation counts the same.
fn shares(lines: &[Line], speed: Option<Speed>) -> Vec<f64> {
    let speed = speed.unwrap_or(Speed { linear: 1.0, attention: 1.0 });
    let seconds: Vec<f64> = lines.iter().map(|line| line.work.seconds(speed)).collect();
    let total: f64 = seconds.iter().sum();
    seconds.into_iter().map(|own| if total > 0.0 { own / total } else { 0.0 }).collect()
}

/// Bytes in the unit that suits them.
fn amount(bytes: u64) -> String {
    let mebi = bytes as f64 / f64::from(1 << 20);
    if mebi < 100.0 { format!("{mebi:.2} MiB") } else { format!("{:.2} GiB", mebi / 1024.0) }
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

    fn line(task: &str, linear: f64, attention: f64) -> Line {
        let work = Work { linear, attention };
        Line { task: task.to_owned(), documents: 10, requests: 40, asked: 4000, distinct: 900, work }
    }

    #[test]
    fn shares_of_time_add_up() {
        let lines = [line("a", 300.0, 0.0), line("b", 0.0, 50.0)];
        let speed = Speed { linear: 100.0, attention: 50.0 };
        assert_eq!(shares(&lines, Some(speed)), [0.75, 0.25]);
        assert_eq!(shares(&[line("a", 0.0, 0.0)], None), [0.0]);
        let table = table(&lines, Some(speed));
        assert!(table.contains("75.0 %") && table.contains("4000") && table.contains("900"), "{table}");
    }

    #[test]
    fn amounts_and_times() {
        assert_eq!((amount(1 << 20), amount(26 << 30)), ("1.00 MiB".to_owned(), "26.00 GiB".to_owned()));
        let shown = [0.5, 90.0, 600.0, 9000.0, 864_000.0].map(duration);
        assert_eq!(shown, ["under 1 s", "90 s", "10 min", "2.5 h", "10.0 days"]);
    }
}
