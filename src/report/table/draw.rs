//! The four drawings of a table. All that is known of the terminal's style is here: a line under the head, nothing else.

use std::io::{IsTerminal, stderr, stdout};
use std::os::fd::AsFd;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width};
use csv::StringRecord;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use unicode_width::UnicodeWidthStr;

use super::cell::Value;
use super::harmless::{from_csv, in_markdown, to_csv};
use super::heading::Room;
use super::{Cell, Column};
use crate::base::printable::{WHOLE, printable};

const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
/// The width of what is no terminal: a row of a table is a line there, however long.
pub const NO_BOUND: usize = usize::MAX;
/// Columns of a terminal that does not tell.
const COLUMNS: usize = 80;

/// The width to draw for: the terminal's, or [`NO_BOUND`] where standard output is none.
pub fn terminal_width() -> usize {
    width_of(stdout())
}

/// The same of standard error, for tables within messages.
pub fn message_width() -> usize {
    width_of(stderr())
}

fn width_of(stream: impl IsTerminal + AsFd) -> usize {
    if !stream.is_terminal() {
        return NO_BOUND;
    }
    let size = rustix::termios::tcgetwinsize(stream);
    size.ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}

/// Characters of a cell on a terminal, at most: what is longer is no name, and the files have it whole.
const LONGEST_CELL: usize = 512;

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A column as it is drawn: texts for the terminal.
struct Drawn<'c> {
    column: &'c Column,
    title: String,
    cells: Vec<String>,
}

impl<'c> Drawn<'c> {
    /// What is no terminal has a line for each row.
    fn new(column: &'c Column, width: usize) -> Self {
        let heading = &column.heading;
        let on_one_line = |text: String| match width {
            NO_BOUND => text.replace('\n', " "),
            // A terminal shows all of it, in as many columns as are counted.
            _ => printable(&text, WHOLE).into_owned(),
        };
        let on_one_line = |text: String| cut(on_one_line(text));
        let title = heading.short_title.as_ref().unwrap_or(&heading.title).clone();
        let cells = column.cells.iter().map(|cell| on_one_line(cell.short_text())).collect();
        Self { column, title: on_one_line(title), cells }
    }

    /// The longest of the pieces between any of `separators`, in columns of text.
    fn longest(&self, separators: &[char]) -> usize {
        let texts = std::iter::once(&self.title).chain(&self.cells);
        texts.flat_map(|text| text.split(separators)).map(UnicodeWidthStr::width).max().unwrap_or(0)
    }
}

/// The width of a table of which no cell is wrapped: blanks stand around cells and between them.
fn unwrapped(columns: &[Drawn<'_>]) -> usize {
    columns.iter().map(|column| column.longest(&['\n']) + 3).sum::<usize>().saturating_sub(1)
}

/// Where there is no room for all columns, those that can be spared are left out; then cells are wrapped that may be,
/// between words. Lines do not end in blanks.
pub(super) fn text(columns: &[Column], rows: usize, width: usize) -> String {
    let shown = columns.iter().filter(|c| c.heading.on_terminal && width >= c.heading.from_width);
    let mut shown: Vec<Drawn<'_>> = shown.map(|column| Drawn::new(column, width)).collect();
    let is_section = |drawn: &Drawn<'_>| width != NO_BOUND && drawn.column.heading.room == Room::Section;
    let section = shown.iter().position(is_section).map(|place| shown.remove(place));
    while unwrapped(&shown) > width {
        let spare = shown.iter().enumerate().filter(|(_, drawn)| drawn.column.heading.spare > 0);
        let Some((place, _)) = spare.max_by_key(|(_, drawn)| drawn.column.heading.spare) else { break };
        shown.remove(place);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(shown.iter().map(|drawn| &drawn.title));
    for row in 0..rows {
        if let Some(section) = &section
            && (row == 0 || section.cells[row - 1] != section.cells[row])
        {
            table.add_row([format!("──\u{a0}{}", section.cells[row])]);
        }
        table.add_row(shown.iter().map(|drawn| &drawn.cells[row]));
    }
    for (drawn, own) in table.column_iter_mut().zip(&shown) {
        let heading = &own.column.heading;
        if heading.right {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
        // No word is broken: names are copied from tables.
        let least = u16::try_from(own.longest(&['\n', ' '])).unwrap_or(u16::MAX);
        match heading.room {
            Room::Whole | Room::Section => drawn.set_constraint(ColumnConstraint::ContentWidth),
            Room::Wraps => {
                drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least.saturating_add(2))))
            }
            Room::AtLeast(promised) => {
                let least = least.max(promised).saturating_add(2);
                drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)))
            }
        };
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// All columns that a terminal without a bound shows, with nothing drawn around them.
pub(super) fn grid(columns: &[Column], rows: usize) -> (Vec<(String, bool)>, Vec<Vec<String>>) {
    let shown = columns.iter().filter(|c| c.heading.on_terminal);
    let shown: Vec<Drawn<'_>> = shown.map(|column| Drawn::new(column, NO_BOUND)).collect();
    let heads = shown.iter().map(|own| (own.title.clone(), own.column.heading.right));
    let row = |row: usize| shown.iter().map(|own| own.cells[row].clone()).collect();
    (heads.collect(), (0..rows).map(row).collect())
}

pub(super) fn markdown(columns: &[Column], rows: usize) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_markdown).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = shown.iter().map(|column| in_markdown(&cell(column)).replace('|', "\\|"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let ruler: String = shown.iter().map(|c| if c.heading.right { "--:|" } else { "---|" }).collect();
    let body: String = (0..rows).map(|row| line(&|c| c.cells[row].marked())).collect();
    format!("{}|{ruler}\n{body}", line(&|c| c.heading.title.clone()))
}

pub(super) fn csv(columns: &[Column], rows: usize, decimal_floats: bool) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_data).collect();
    let value = |cell: &Cell| match cell.value {
        Value::Float(number) if decimal_floats => Value::Text(number.to_string()),
        Value::Text(ref text) => Value::Text(to_csv(text).into_owned()),
        ref value => value.clone(),
    };
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let mut write = || -> Result<(), csv::Error> {
        writer.write_record(shown.iter().map(|c| to_csv(&c.heading.key).into_owned()))?;
        (0..rows).try_for_each(|row| {
            writer.serialize(shown.iter().map(|c| value(&c.cells[row])).collect::<Vec<_>>())
        })
    };
    write().expect("a table has as many cells in each row, and memory takes them");
    let bytes = writer.into_inner().expect("memory takes all lines");
    String::from_utf8(bytes).expect("CSV of texts is text")
}

/// The rows of a table in CSV that a table wrote.
pub(super) fn read_csv<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, csv::Error> {
    let mut reader = csv::Reader::from_reader(bytes);
    let texts = |record: &StringRecord| record.iter().map(from_csv).collect::<StringRecord>();
    let head = texts(reader.headers()?);
    reader.records().map(|record| texts(&record?).deserialize(Some(&head))).collect()
}

pub(super) fn objects(columns: &[Column], rows: usize) -> Vec<Json> {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_data).collect();
    let value = |cell: &Cell| serde_json::to_value(&cell.value).expect("a cell is a JSON value");
    (0..rows)
        .map(|row| shown.iter().map(|c| (c.heading.key.clone(), value(&c.cells[row]))).collect())
        .collect()
}
