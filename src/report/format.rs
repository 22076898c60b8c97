//! The forms that an answer can have.

use super::Table;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// A page for reading.
    Text,
    /// Comma-separated values.
    Csv,
    /// For programs.
    Json,
    /// Comma-separated values with a column for each model.
    Wide,
    /// Markdown.
    Md,
    /// LaTeX, with booktabs.
    Latex,
    /// One page for a browser.
    Html,
    /// A picture.
    Svg,
    /// For Graphviz.
    Dot,
    /// For Markdown pages that draw.
    Mermaid,
}

impl Format {
    /// As on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Text => "text",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Wide => "wide",
            Self::Md => "md",
            Self::Latex => "latex",
            Self::Html => "html",
            Self::Svg => "svg",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
        }
    }

    /// A table in this form, on terminals for `width` columns of text.
    ///
    /// # Panics
    /// In a form that no table has.
    pub fn draw<R>(self, table: &Table<R>, width: usize) -> String {
        match self {
            Self::Table => table.text(width),
            Self::Csv => table.csv(),
            Self::Json => table.json(),
            Self::Md => table.markdown(),
            Self::Latex => table.latex(),
            Self::Text | Self::Wide | Self::Html | Self::Svg | Self::Dot | Self::Mermaid => {
                panic!("a table is not drawn as {self:?}")
            }
        }
    }
}
