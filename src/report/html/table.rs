//! The comparison table of a page, from rows.

use super::page::{Mark, PageCell, PageLine, PageTask};
use crate::report::wide::Wide;
use crate::report::{Row, TaskKind};

/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;

/// What is known of values beside their rows.
pub struct Reading<'a> {
    /// How a value stands among those of its line.
    pub mark: &'a dyn Fn(&Row) -> Option<Mark>,
    /// Why a row has no value.
    pub missing: &'a dyn Fn(&Row) -> String,
    /// What was published for it, and how it stands to that; may be empty.
    pub published: &'a dyn Fn(&Row) -> String,
    /// The tasks whose documents are on the page.
    pub tasks: &'a [PageTask],
    /// The suites of these tasks.
    pub suites: &'a [String],
}

/// The names of the columns, and the lines of the table in the order of the papers.
pub fn lines(rows: &[Row], reading: &Reading<'_>) -> (Vec<String>, Vec<PageLine>) {
    let wide = Wide::new(rows);
    let many = wide.rows.len() > MOST_LINES;
    let line = |row: &crate::report::wide::WideRow<'_>| {
        let first = row.first;
        let is_group = first.kind == TaskKind::Group;
        let cells = row.cells.iter().zip(&wide.models);
        PageLine {
            depth: first.depth,
            is_group,
            folds: many && !is_group && first.depth > 0,
            task: first.task.clone(),
            shots: first.num_fewshot.map_or_else(String::new, |shots| shots.to_string()),
            metric: match &*first.filter {
                "none" => first.metric.clone(),
                filter => format!("{}, {filter}", first.metric),
            },
            n: documents(first),
            cells: cells.map(|(own, column)| cell(*own, first, column, reading)).collect(),
        }
    };
    (wide.models.clone(), wide.rows.iter().map(line).collect())
}

fn documents(row: &Row) -> String {
    match row.limited_to_part_of() {
        Some(of) => format!("{} of {of}", row.n),
        None => row.n.to_string(),
    }
}

fn cell(row: Option<&Row>, first: &Row, column: &str, reading: &Reading<'_>) -> PageCell {
    let missing = |why: String| PageCell { missing: why, ..PageCell::default() };
    let Some(row) = row else { return missing("not asked".to_owned()) };
    let Some(value) = row.value else { return missing((reading.missing)(row)) };
    let four = |value: f64| format!("{value:.4}");
    let hundredth = |value: f64| format!("{:.1}", 100.0 * value);
    let between =
        |[low, high]: [f64; 2], number: &dyn Fn(f64) -> String| format!("{}–{}", number(low), number(high));
    let text = |value: Option<f64>, number: &dyn Fn(f64) -> String| value.map_or_else(String::new, number);
    let interval = row.interval();
    let percent = Some(value).filter(|_| is_share(row));
    let error = row.stderr.filter(|_| percent.is_some());
    PageCell {
        value: four(value),
        error: text(row.stderr, &four),
        interval: interval.map_or_else(String::new, |ends| between(ends, &four)),
        percent: text(percent, &hundredth),
        percent_error: text(error, &hundredth),
        percent_interval: interval.map_or_else(String::new, |ends| between(ends, &hundredth)),
        documents: if documents(row) == documents(first) { String::new() } else { documents(row) },
        mark: (reading.mark)(row),
        published: (reading.published)(row),
        link: link(row, column, reading),
        ..PageCell::default()
    }
}

/// Whether a value is read in per cent: a share of documents, or of what counts in them.
fn is_share(row: &Row) -> bool {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let kinds = ["acc", "exact_match", "em", "f1", "pass@"];
    row.value.is_some_and(share) && (row.is_share || kinds.iter().any(|kind| row.metric.starts_with(kind)))
}

/// Where the documents are that the column got wrong.
fn link(row: &Row, column: &str, reading: &Reading<'_>) -> String {
    let what = if reading.tasks.iter().any(|task| task.name == row.task) {
        ("task", &row.task)
    } else if row.kind == TaskKind::Group && reading.suites.contains(&row.task) {
        ("suite", &row.task)
    } else {
        return String::new();
    };
    format!("#{}={}&show=wrong&a={}", what.0, encoded(what.1), encoded(column))
}

/// As a part of an address (RFC 3986).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::{row, rows};

    fn reading<'a>(tasks: &'a [PageTask], suites: &'a [String]) -> Reading<'a> {
        Reading {
            mark: &|row| (row.value == Some(0.75)).then_some(Mark::Best),
            missing: &|row| format!("no data of {}", row.task),
            published: &|row| row.published.map_or_else(String::new, |value| format!("{value}")),
            tasks,
            suites,
        }
    }

    #[test]
    fn cells_say_what_is_known_and_lead_to_documents() {
        let tasks = [PageTask { name: "zoology_birds".to_owned(), suites: vec![0] }];
        let suites = ["zoology".to_owned()];
        let mut all = rows();
        all[3].value = None;
        all[4].model = "a b&c".to_owned();
        let (columns, lines) = lines(&all, &reading(&tasks, &suites));
        assert_eq!(columns, ["llama-7b", "a b&c", "alpaca-7b"]);
        let group = &lines[0];
        assert!(group.is_group && !group.folds && group.cells[2].missing == "not asked");
        let PageCell { value, error, percent, percent_error, published, link, .. } = &group.cells[0];
        assert_eq!([value, error, percent, percent_error], ["0.5123", "0.0125", "51.2", "1.2"]);
        assert_eq!([published, link], ["0.351", "#suite=zoology&show=wrong&a=llama-7b"]);
        assert_eq!(group.cells[1].link, "#suite=zoology&show=wrong&a=a%20b%26c");
        let birds = &lines[1];
        assert_eq!(birds.cells[2].mark, Some(Mark::Best));
        assert_eq!(birds.cells[0].link, "#task=zoology_birds&show=wrong&a=llama-7b");
        let fish = lines.last().unwrap();
        assert_eq!(
            (fish.cells[0].missing.as_str(), fish.n.as_str()),
            ("no data of zoology_fish", "1 of 100")
        );
        assert_eq!(fish.cells[0].link, "");
    }

    #[test]
    fn long_tables_fold_and_what_is_no_share_has_no_per_cent() {
        let mut all = vec![row("m", "zoology", "acc", 0.5), row("m", "zoology", "word_perplexity", 0.9)];
        all.extend((0..60).map(|n| row("m", &format!("zoology_{n}"), "acc", 0.5)));
        let (_, lines) = lines(&all, &reading(&[], &[]));
        assert_eq!(lines.iter().filter(|line| line.folds).count(), 60);
        assert_eq!((lines[1].cells[0].percent.as_str(), lines[1].cells[0].value.as_str()), ("", "0.9000"));
    }
}
