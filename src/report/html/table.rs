//! The comparison table of a page, from rows.

use super::page::{Mark, PageCell, PageLine};
use super::tasks::Tasks;
use crate::report::comparison::LIMITED;
use crate::report::table::Stress;
use crate::report::wide::{Wide, WideRow};
use crate::report::{Beside, Row, TaskKind, Verdict};

/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;

/// What cells lead to, and what stands beside them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Published values beside measured ones.
    pub published: &'a [Beside],
    /// The tasks whose documents are on the page.
    pub tasks: Option<&'a Tasks>,
}

/// What has to be known to read the table of these rows.
pub fn legend(rows: &[Row]) -> Vec<String> {
    let wide = Wide::new(rows);
    let intervals = rows.iter().any(|row| row.interval().is_some());
    let known = [
        (wide.is_limited(), LIMITED),
        (
            true,
            "± is the standard error, as the reference harness has it. A value leads to the documents that were wrong.",
        ),
        (intervals, "The interval is Wilson's, of a share of documents; it holds for few of them too."),
        (
            wide.is_stressed(),
            "● stands before the best, ○ before what is not worse beyond chance, by the paired tests.",
        ),
    ];
    known.into_iter().filter(|(holds, _)| *holds).map(|(_, line)| line.to_owned()).collect()
}

/// The names of the columns, and the lines of the table in the order of the papers.
pub fn lines(rows: &[Row], around: Around<'_>) -> (Vec<String>, Vec<PageLine>) {
    let wide = Wide::new(rows);
    let many = wide.rows.len() > MOST_LINES;
    let line = |row: &WideRow<'_>| {
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
            cells: cells.map(|(own, column)| cell(*own, first, column, around)).collect(),
        }
    };
    let lines = wide.rows.iter().map(line).collect();
    (wide.models, lines)
}

fn documents(row: &Row) -> String {
    match row.limited_to_part_of() {
        Some(of) => format!("{} of {of}", row.n),
        None => row.n.to_string(),
    }
}

fn cell(row: Option<&Row>, first: &Row, column: &str, around: Around<'_>) -> PageCell {
    let missing = |why: String| PageCell { missing: why, ..PageCell::default() };
    let Some(row) = row else { return missing("not asked".to_owned()) };
    let Some(value) = row.value else { return missing(no_value(row)) };
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
        mark: match row.stress {
            Stress::First => Some(Mark::Best),
            Stress::Second => Some(Mark::NotWorse),
            Stress::None => None,
        },
        published: published(row, column, around),
        link: link(row, column, around),
        ..PageCell::default()
    }
}

fn no_value(row: &Row) -> String {
    match (&row.missing, row.kind) {
        (Some(why), _) => format!("no data: {why}"),
        (None, TaskKind::Group) => "data of one of its tasks is missing".to_owned(),
        (None, TaskKind::Task) => "no data".to_owned(),
    }
}

/// What was published for a value, and how the two stand to each other.
fn published(row: &Row, column: &str, around: Around<'_>) -> String {
    let same = |line: &&Beside| {
        line.label == column
            && line.task == row.task
            && line.metric == row.metric
            && line.num_fewshot == row.num_fewshot
    };
    let line = |line: &Beside| {
        let errors =
            line.in_errors().map_or_else(String::new, |errors| format!(", {errors:+.1} standard errors"));
        let verdict = match line.verdict() {
            Verdict::Agrees => format!("agrees{errors}"),
            Verdict::Differs => format!("differs{errors}"),
            Verdict::Unknown => "no error known".to_owned(),
            Verdict::NotComparable(why) => format!("not comparable: {why}"),
        };
        format!("published {:.4}: {verdict}", line.published)
    };
    around.published.iter().filter(same).map(line).collect::<Vec<_>>().join("; ")
}

/// Whether a value is read in per cent: a share of documents, or of what counts in them.
fn is_share(row: &Row) -> bool {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    let kinds = ["acc", "exact_match", "em", "f1", "pass@"];
    row.value.is_some_and(share) && (row.is_share || kinds.iter().any(|kind| row.metric.starts_with(kind)))
}

/// Where the documents are that the column got wrong.
fn link(row: &Row, column: &str, around: Around<'_>) -> String {
    let Some(tasks) = around.tasks else { return String::new() };
    let what = match tasks.name(row) {
        Some(name) => ("task", name),
        None if row.kind == TaskKind::Group && tasks.suites.contains(&row.task) => {
            ("suite", row.task.as_str())
        }
        None => return String::new(),
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
    use crate::report::html::tasks;
    use crate::report::row::tests::{row, rows};

    fn published(label: &str, reason: Option<&str>) -> Beside {
        Beside {
            label: label.to_owned(),
            task: "zoology".to_owned(),
            metric: "acc".to_owned(),
            num_fewshot: Some(5),
            measured: 0.512345,
            stderr: Some(0.0125),
            n: 100,
            published: 0.5,
            published_num_fewshot: Some(5),
            published_protocol: None,
            source: "a paper".to_owned(),
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn cells_say_what_is_known_and_lead_to_documents() {
        let mut all = rows();
        (all[3].value, all[3].missing) = (None, Some("it is not here".to_owned()));
        all[4].model = "a b&c".to_owned();
        (all[0].stress, all[5].stress) = (Stress::Second, Stress::First);
        let published = [published("llama-7b", None), published("a b&c", Some("0 shots"))];
        let columns = ["llama-7b", "a b&c", "alpaca-7b"].map(str::to_owned);
        let tasks = tasks(&all, &columns);
        let around = Around { published: &published, tasks: Some(&tasks) };
        let (found, lines) = lines(&all, around);
        assert_eq!(found, columns);
        let group = &lines[0];
        assert!(group.is_group && !group.folds && group.cells[2].missing == "not asked");
        let PageCell { value, error, percent, percent_error, published, link, .. } = &group.cells[0];
        assert_eq!([value, error, percent, percent_error], ["0.5123", "0.0125", "51.2", "1.2"]);
        assert_eq!(published, "published 0.5000: agrees, +1.0 standard errors");
        assert_eq!(link, "#suite=zoology&show=wrong&a=llama-7b");
        assert_eq!(group.cells[1].published, "published 0.5000: not comparable: 0 shots");
        assert_eq!(group.cells[0].mark, Some(Mark::NotWorse));
        assert_eq!(group.cells[1].link, "#suite=zoology&show=wrong&a=a%20b%26c");
        let birds = &lines[1];
        assert_eq!(birds.cells[2].mark, Some(Mark::Best));
        assert_eq!(birds.cells[0].link, "#task=zoology_birds&show=wrong&a=llama-7b");
        let fish = lines.last().unwrap();
        assert_eq!(
            (fish.cells[0].missing.as_str(), fish.n.as_str()),
            ("no data: it is not here", "1 of 100")
        );
        assert_eq!(fish.cells[0].link, "");
    }

    #[test]
    fn long_tables_fold_and_what_is_no_share_has_no_per_cent() {
        let mut all = vec![row("m", "zoology", "acc", 0.5), row("m", "zoology", "word_perplexity", 0.9)];
        all.extend((0..60).map(|n| row("m", &format!("zoology_{n}"), "acc", 0.5)));
        let (_, lines) = lines(&all, Around::default());
        assert_eq!(lines.iter().filter(|line| line.folds).count(), 60);
        assert_eq!((lines[1].cells[0].percent.as_str(), lines[1].cells[0].value.as_str()), ("", "0.9000"));
    }
}
