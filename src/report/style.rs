//! Drawing by hand, for those who have no [`Table`](super::Table) yet.

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};

use super::Row;

const PLAIN: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// An empty table for `width` columns of text, without colour.
pub fn plain_table(width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Dynamic).force_no_tty();
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table
}

/// The table's text: every column but those in `flexible` keeps its content on one line; no blanks at
/// the ends of lines.
pub fn render(table: &mut Table, flexible: &[usize]) -> String {
    for column in table.column_iter_mut() {
        if !flexible.contains(&column.index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `results.csv`.
pub fn results_csv(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    Ok(super::results(rows).csv().into_bytes())
}

/// The same as JSON.
pub fn rows_json(rows: &[Row]) -> serde_json::Result<String> {
    Ok(super::results(rows).json())
}
