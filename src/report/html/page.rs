//! What a page shows, as plain data.

use serde::Serialize;

use crate::report::Table;

/// The whole page but for its documents.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Page {
    /// Its first line, and the title of the window.
    pub title: String,
    /// What stands below.
    pub notes: Vec<String>,
    /// The columns of the table, which are those of the documents too.
    pub columns: Vec<PageColumn>,
    /// The lines of the table.
    pub lines: Vec<PageLine>,
    /// What has to be known to read it.
    pub legend: Vec<String>,
    /// Further tables, below it.
    pub sections: Vec<PageSection>,
    /// The figures.
    pub figures: Vec<PageFigure>,
    /// Names of suites, for filters.
    pub suites: Vec<String>,
    /// The tasks whose documents can be looked at.
    pub tasks: Vec<PageTask>,
    /// Where everything comes from.
    pub provenance: Vec<PagePart>,
}

/// A model, as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageColumn {
    /// Its name; no other column has it.
    pub label: String,
    /// Short lines below: precision, protocol.
    pub remarks: Vec<String>,
}

/// A line of the table: a task or group with one of its metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PageLine {
    /// How deep it is in the tree of its suite.
    pub depth: usize,
    /// Whether it is a group.
    pub is_group: bool,
    /// Whether it is left out until somebody wants all of them.
    pub folds: bool,
    /// The name of the task.
    pub task: String,
    /// Few-shot examples, if it is one number.
    pub shots: String,
    /// The metric, with its filter.
    pub metric: String,
    /// Documents, `n of N` where not all were scored.
    pub n: String,
    /// One for each column.
    pub cells: Vec<PageCell>,
}

/// One value as people read it. Empty texts are not shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PageCell {
    /// Why there is no value; nothing else is shown then.
    pub missing: String,
    /// The value, with its digits.
    pub value: String,
    /// Its standard error.
    pub error: String,
    /// Both ends of an interval.
    pub interval: String,
    /// The same three in per cent, where the value is a share.
    pub percent: String,
    /// See `percent`.
    pub percent_error: String,
    /// See `percent`.
    pub percent_interval: String,
    /// How many documents, where that differs from the line's.
    pub documents: String,
    /// Whether it is the best of its line.
    pub mark: Option<Mark>,
    /// What was published, and how it stands to that.
    pub published: String,
    /// The documents behind it, as a part of the page's address.
    pub link: String,
}

/// How a value stands among those of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The best one.
    Best,
    /// Not significantly worse.
    NotWorse,
}

/// A further table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageSection {
    /// Its title.
    pub title: String,
    /// What stands above it.
    pub notes: Vec<String>,
    /// Its headings, each with whether its cells stand to the right.
    pub heads: Vec<(String, bool)>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl PageSection {
    /// A table as people read it.
    pub fn of<R>(title: impl Into<String>, notes: Vec<String>, table: &Table<R>) -> Self {
        let (heads, rows) = table.grid();
        Self { title: title.into(), notes, heads, rows }
    }
}

/// A figure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageFigure {
    /// Its name for those who cannot see it.
    pub title: String,
    /// An SVG document of this program.
    pub svg: String,
}

/// A task whose documents can be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageTask {
    /// Its name.
    pub name: String,
    /// The suites that have it, by their places.
    pub suites: Vec<usize>,
}

/// A part of what is said at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PagePart {
    /// What it is about.
    pub title: String,
    /// What is said.
    pub facts: Vec<Fact>,
}

/// A name with a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Fact {
    /// Both.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}
