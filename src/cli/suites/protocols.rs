//! `zoo suites --protocols`: by whose rules suites can be asked, from the files of `evals/protocols/`.

use crate::cli::models;
use crate::report::table::data;
use crate::report::words::{fact, paragraph};
use crate::report::{Format, Table, terminal_width};
use crate::tasks::protocol::{DEFAULT_PROTOCOL, Protocol, protocols};

/// Prints all protocols.
pub fn print(format: Format) -> anyhow::Result<()> {
    let all = protocols()?;
    let width = terminal_width();
    let text = match format {
        Format::Table => pages(&all, width),
        format => format.draw(&table(&all), width),
    };
    models::deliver(&text, None)
}

fn table(all: &[Protocol]) -> Table<&Protocol> {
    Table::of(all)
        .column(data("protocol"), |protocol| &protocol.name)
        .column(data("default"), |protocol| protocol.name == DEFAULT_PROTOCOL)
        .column(data("changes"), |protocol| protocol.changes().join("; "))
        .column(data("description"), |protocol| protocol.description.trim())
        .column(data("source"), |protocol| protocol.source.trim())
}

fn pages(all: &[Protocol], width: usize) -> String {
    all.iter().map(|protocol| page(protocol, width)).collect::<Vec<_>>().join("\n")
}

fn page(protocol: &Protocol, width: usize) -> String {
    let mark = if protocol.name == DEFAULT_PROTOCOL { " (default)" } else { "" };
    let mut page = format!("{}{mark}\n{}", protocol.name, paragraph(protocol.description.trim(), 2, width));
    let changes = protocol.changes().join("; ");
    if !changes.is_empty() {
        page.push_str(&fact("changes", &changes, width));
    }
    page + &fact("source", protocol.source.trim(), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages() {
        insta::assert_snapshot!(pages(&protocols().unwrap(), 100));
    }
}
