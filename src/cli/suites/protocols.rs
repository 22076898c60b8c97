//! `zoo suites --protocols`: by whose rules suites can be asked, from the files of `evals/protocols/`.

use std::io::{self, IsTerminal, Write};

use super::Format;
use crate::cli::lines;
use crate::cli::words::{fact, paragraph};
use crate::report::terminal_width;
use crate::tasks::protocol::{DEFAULT_PROTOCOL, Protocol, protocols};

/// Columns where there is no terminal.
const WIDTH: usize = 100;

/// One protocol as data.
#[derive(serde::Serialize)]
struct Line<'a> {
    protocol: &'a str,
    default: bool,
    changes: String,
    description: &'a str,
    source: &'a str,
}

/// Prints all protocols.
pub fn print(format: Format) -> anyhow::Result<()> {
    let all = protocols()?;
    let lines: Vec<Line<'_>> = all.iter().map(line).collect();
    let mut out = io::stdout().lock();
    match format {
        Format::Table => {
            let width = if out.is_terminal() { terminal_width() } else { WIDTH };
            let pages: Vec<String> = lines.iter().map(|line| page(line, width)).collect();
            out.write_all(pages.join("\n").as_bytes())?;
        }
        Format::Csv => out.write_all(lines::csv(&lines)?.as_bytes())?,
        Format::Json => out.write_all(lines::json(&lines)?.as_bytes())?,
    }
    out.flush()?;
    Ok(())
}

fn line(protocol: &Protocol) -> Line<'_> {
    Line {
        protocol: &protocol.name,
        default: protocol.name == DEFAULT_PROTOCOL,
        changes: protocol.changes().join("; "),
        description: protocol.description.trim(),
        source: protocol.source.trim(),
    }
}

fn page(line: &Line<'_>, width: usize) -> String {
    let mark = if line.default { " (default)" } else { "" };
    let mut page = format!("{}{mark}\n{}", line.protocol, paragraph(line.description, 2, width));
    if !line.changes.is_empty() {
        page.push_str(&fact("changes", &line.changes, width));
    }
    page + &fact("source", line.source, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages() {
        let all = protocols().unwrap();
        let pages: Vec<String> = all.iter().map(|protocol| page(&line(protocol), WIDTH)).collect();
        insta::assert_snapshot!(pages.join("\n"));
    }
}
