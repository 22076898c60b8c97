//! The one table of every answer: typed cells under headings, drawn by the terminal, Markdown, CSV and JSON.
//!
//! A table is made column by column over its rows: a [`Heading`] says who sees the column, how it is named and where it
//! stands, a closure makes its [`Cell`]s. People (terminal, Markdown) and programs (CSV, JSON) so read the same values,
//! people with few digits and programs with all.

mod cell;
mod draw;
mod harmless;
mod heading;
mod latex;

pub use cell::{Cell, Stress};
pub use draw::{NO_BOUND, message_width, terminal_width};
pub use harmless::in_markdown;
pub use heading::{Heading, data, number, people, text};
pub use latex::escape as latex_escape;

use serde::de::DeserializeOwned;

/// Rows of `R`, usually references, and what columns say of them.
#[derive(Debug, Clone)]
pub struct Table<R> {
    rows: Vec<R>,
    columns: Vec<Column>,
    decimal_floats: bool,
}

/// A heading with a cell for every row.
#[derive(Debug, Clone)]
struct Column {
    heading: Heading,
    cells: Vec<Cell>,
}

impl<R: Copy> Table<R> {
    /// A table over these rows, as yet without columns.
    pub fn of(rows: impl IntoIterator<Item = R>) -> Self {
        Self { rows: rows.into_iter().collect(), columns: Vec::new(), decimal_floats: false }
    }

    /// Puts a column to the right of those that are there.
    pub fn column<C: Into<Cell>>(mut self, heading: Heading, cell: impl Fn(R) -> C) -> Self {
        let cells = self.rows.iter().map(|&row| cell(row).into()).collect();
        self.columns.push(Column { heading, cells });
        self
    }

    /// CSV then has `1` and `0.0000001` in place of `1.0` and `1e-7`.
    pub fn decimal_floats(self) -> Self {
        Self { decimal_floats: true, ..self }
    }
}

impl<R> Table<R> {
    /// For a terminal of `width` columns of text, without colour; columns that it has no room for are left out. Without a
    /// bound ([`NO_BOUND`]) each row is one line.
    pub fn text(&self, width: usize) -> String {
        draw::text(&self.columns, self.rows.len(), width)
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        draw::markdown(&self.columns, self.rows.len())
    }

    /// A LaTeX `tabular` of the columns that Markdown has, for documents with the package `booktabs`.
    pub fn latex(&self) -> String {
        latex::table(&self.columns, self.rows.len())
    }

    /// As people read it: what stands over each column and whether its cells stand to the right, and the cells of each row.
    pub fn grid(&self) -> (Vec<(String, bool)>, Vec<Vec<String>>) {
        draw::grid(&self.columns, self.rows.len())
    }

    /// A head line with the columns' keys, and a line for each row.
    pub fn csv(&self) -> String {
        draw::csv(&self.columns, self.rows.len(), self.decimal_floats)
    }

    /// A JSON array with an object for each row.
    pub fn json(&self) -> String {
        let objects = serde_json::Value::from(self.objects());
        format!("{objects:#}\n")
    }

    /// An object for each row, with the columns' keys.
    pub fn objects(&self) -> Vec<serde_json::Value> {
        draw::objects(&self.columns, self.rows.len())
    }
}

/// The rows of the CSV of a table, read back.
///
/// # Errors
/// What is no CSV, and a row that is no `T`.
pub fn read_csv<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, csv::Error> {
    draw::read_csv(bytes)
}

#[cfg(test)]
mod tests;
