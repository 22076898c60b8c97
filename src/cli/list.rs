//! `zoo list`: the models of the registry, one line each.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment};

use super::{Global, models};
use crate::hub::{HubConfig, cached_model};
use crate::registry::Card;
use crate::report::{plain_table, render, terminal_width};

/// List the models.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo list
  zoo list --format csv > models.csv
  zoo --zoo-dir my-cards list")]
pub struct Args {
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Columns for reading
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// An array of objects
    Json,
}

/// One line of the list.
#[derive(Debug, serde::Serialize)]
struct Line<'a> {
    id: &'a str,
    family: &'a str,
    parameters: Option<u64>,
    context: Option<u64>,
    license: &'a str,
    languages: String,
    /// Whether the weights are on this machine.
    local: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let config = HubConfig::from_env();
    if let Err(error) = &config {
        models::note(global, &format!("whether models are here is not known: {error}"));
    }
    let config = config.ok();
    let is_local = |card: &Card| config.as_ref().is_some_and(|config| cached_model(card, config).is_some());
    let lines: Vec<Line<'_>> = registry.cards().iter().map(|card| line(card, is_local(card))).collect();
    let mut out = io::stdout().lock();
    match args.format {
        Format::Table => out.write_all(table(&lines, terminal_width()).as_bytes())?,
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(&mut out);
            for line in &lines {
                csv.serialize(line).map_err(io_error)?;
            }
            csv.flush()?;
        }
        Format::Json => {
            let text = serde_json::to_string_pretty(&lines)?;
            writeln!(out, "{text}")?;
        }
    }
    out.flush()?;
    Ok(())
}

fn line(card: &Card, local: bool) -> Line<'_> {
    Line {
        id: &card.id,
        family: &card.family,
        parameters: card.parameters,
        context: card.context,
        license: &card.license,
        languages: card.languages.join(" "),
        local,
    }
}

/// The I/O error inside a CSV error, so that a closed pipe is known as one.
fn io_error(error: csv::Error) -> anyhow::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => anyhow::anyhow!("cannot write CSV: {other:?}"),
    }
}

fn table(lines: &[Line<'_>], width: usize) -> String {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = plain_table(width);
    let head = |text: &str| right(text.to_owned());
    let mut titles = vec![Cell::new("id"), Cell::new("family"), head("parameters"), head("context")];
    titles.extend(["licence", "languages", "local"].map(Cell::new));
    table.set_header(titles);
    for line in lines {
        table.add_row(vec![
            Cell::new(line.id),
            Cell::new(line.family),
            right(line.parameters.map_or_else(|| "–".to_owned(), models::short_count)),
            right(line.context.map_or_else(|| "–".to_owned(), |n| n.to_string())),
            Cell::new(line.license),
            Cell::new(&line.languages),
            Cell::new(if line.local { "yes" } else { "no" }),
        ]);
    }
    render(&mut table, &[4, 5])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line<'static>> {
        let full = Line {
            id: "smollm2-135m",
            family: "smollm2",
            parameters: Some(134_515_008),
            context: Some(8192),
            license: "Apache-2.0",
            languages: "en".to_owned(),
            local: true,
        };
        let sparse = Line {
            id: "ziya-13b-v1",
            family: "ziya",
            parameters: None,
            context: None,
            license: "a licence with, a comma",
            languages: "zh en".to_owned(),
            local: false,
        };
        vec![full, sparse]
    }

    #[test]
    fn the_table_has_a_line_for_each_model() {
        insta::assert_snapshot!(table(&lines(), 100));
    }

    #[test]
    fn a_narrow_terminal_keeps_the_ids_whole() {
        let text = table(&lines(), 70);
        assert!(text.contains("smollm2-135m ") && text.contains("ziya-13b-v1 "), "{text}");
    }
}
