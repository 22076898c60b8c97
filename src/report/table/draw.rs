//! The four drawings of a table. All that is known of the terminal's style is here: a line under the head, nothing else.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width};
use serde_json::Value as Json;

use super::cell::Value;
use super::heading::Room;
use super::{Cell, Column};

const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The width to draw for: the terminal's, or 100 columns of text when there is none.
pub fn terminal_width() -> usize {
    comfy_table::Table::new().width().map_or(100, usize::from)
}

/// Columns that may not be wrapped keep their content on one line; lines do not end in blanks.
pub(super) fn text(columns: &[Column], rows: usize, width: usize) -> String {
    let shown: Vec<&Column> =
        columns.iter().filter(|c| c.heading.on_terminal && width >= c.heading.from_width).collect();
    let mut table = comfy_table::Table::new();
    table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Dynamic).force_no_tty();
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(shown.iter().map(|c| c.heading.short_title.as_ref().unwrap_or(&c.heading.title)));
    for row in 0..rows {
        table.add_row(shown.iter().map(|c| c.cells[row].short_text()));
    }
    for (drawn, Column { heading, .. }) in table.column_iter_mut().zip(shown) {
        if heading.right {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
        match heading.room {
            Room::Whole => drawn.set_constraint(ColumnConstraint::ContentWidth),
            Room::Wraps => drawn,
            Room::AtLeast(least) => {
                drawn.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)))
            }
        };
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

pub(super) fn markdown(columns: &[Column], rows: usize) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_markdown).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let cells = shown.iter().map(|column| cell(column).replace('|', "\\|").replace('\n', " "));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let ruler: String = shown.iter().map(|c| if c.heading.right { "--:|" } else { "---|" }).collect();
    let body: String = (0..rows).map(|row| line(&|c| c.cells[row].text())).collect();
    format!("{}|{ruler}\n{body}", line(&|c| c.heading.title.clone()))
}

pub(super) fn csv(columns: &[Column], rows: usize, decimal_floats: bool) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_data).collect();
    let value = |cell: &Cell| match cell.value {
        Value::Float(number) if decimal_floats => Value::Text(number.to_string()),
        ref value => value.clone(),
    };
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let mut write = || -> Result<(), csv::Error> {
        writer.write_record(shown.iter().map(|c| &c.heading.key))?;
        (0..rows).try_for_each(|row| {
            writer.serialize(shown.iter().map(|c| value(&c.cells[row])).collect::<Vec<_>>())
        })
    };
    write().expect("a table has as many cells in each row, and memory takes them");
    let bytes = writer.into_inner().expect("memory takes all lines");
    String::from_utf8(bytes).expect("CSV of texts is text")
}

pub(super) fn objects(columns: &[Column], rows: usize) -> Vec<Json> {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_data).collect();
    let value = |cell: &Cell| serde_json::to_value(&cell.value).expect("a cell is a JSON value");
    (0..rows)
        .map(|row| shown.iter().map(|c| (c.heading.key.clone(), value(&c.cells[row]))).collect())
        .collect()
}
