//! Models side by side: the table at the end of a run, `comparison.csv` and `comparison.md`.

use super::table::{Cell, Stress, data, in_markdown, latex_escape, number, people, text};
use super::wide::{Wide, WideRow};
use super::words::paragraph;
use super::{Row, Table, TaskKind};

/// Lines beyond which tasks are folded into their groups.
const MOST_LINES: usize = 40;
/// What `n of N` says.
pub(super) const LIMITED: &str = "n of N: not all documents were scored (--limit, or left out as too long); these are no results of \
                       whole suites.";
/// What marks say.
const STRESSED: &str =
    "Best in its line: bold (* on a terminal). Not worse than that beyond chance, by the paired tests: °.";
/// As many tasks are named.
const FEW_TASKS: usize = 8;
/// Columns that the names of tasks keep in a wide table: it gets wider than asked for, rather than names of tasks letter
/// by letter.
const TASK_WIDTH: u16 = 18;

/// The first model's intervals have room on a terminal of this width,
const INTERVAL_WIDTH: usize = 100;
/// those of another one if there are so many columns of text more.
const MODEL_WIDTH: usize = 36;
/// What stands for the value of a task without data, and of a group that has such a task: no mean over what is left.
const MISSING: &str = "NO DATA";
const SOME_MISSING: &str = "DATA MISSING";

/// How a comparison is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Shares per cent with one decimal, as papers have them.
    pub percent: bool,
    /// Long tables with every task.
    pub all_tasks: bool,
}

/// For a terminal of `width` columns. Long ones show groups alone unless told otherwise.
pub fn terminal_table(rows: &[Row], width: usize, look: Look) -> String {
    let mut wide = Wide::new(rows);
    let folded = if look.all_tasks { 0 } else { wide.fold(MOST_LINES) };
    let mut table = comparison(&wide, look).text(width);
    if folded > 0 {
        table += &format!("{folded} tasks are not shown: --all-tasks shows them, CSV has each.\n");
    }
    if wide.is_limited() {
        table += &paragraph(LIMITED, 0, width);
    }
    for line in unlike(&wide).into_iter().chain(missing(&wide)) {
        table += &paragraph(&line, 0, width);
    }
    if wide.is_stressed() {
        table += &paragraph(STRESSED, 0, width);
    }
    table
}

/// For people and pull requests: values with their standard errors and intervals, beside what was published. Long ones show
/// groups alone.
pub fn comparison_markdown(rows: &[Row]) -> String {
    let mut wide = Wide::new(rows);
    let folded = wide.fold(MOST_LINES);
    let mut legend = legend(&wide);
    if folded > 0 {
        legend.push(format!("{folded} tasks are not shown: details.md has each."));
    }
    markdown(&wide, &legend, Look::default())
}

/// The same with every task.
pub fn details_markdown(rows: &[Row]) -> String {
    joint_markdown(rows, Look { all_tasks: true, ..Look::default() })
}

/// The same of several runs.
pub fn joint_markdown(rows: &[Row], look: Look) -> String {
    let mut wide = Wide::new(rows);
    let legend = folded_legend(&mut wide, look);
    markdown(&wide, &legend, look)
}

/// For papers: a LaTeX table, with what has to be known of it in comments below.
pub fn joint_latex(rows: &[Row], look: Look) -> String {
    let mut wide = Wide::new(rows);
    let legend = folded_legend(&mut wide, look);
    let lines = legend.iter().map(|line| format!("% {}\n", latex_escape(line)));
    comparison(&wide, look).latex() + &lines.collect::<String>()
}

fn folded_legend(wide: &mut Wide<'_>, look: Look) -> Vec<String> {
    let folded = if look.all_tasks { 0 } else { wide.fold(MOST_LINES) };
    let mut legend = legend(wide);
    if folded > 0 {
        legend.push(format!("{folded} tasks are not shown: --all-tasks shows them."));
    }
    legend
}

fn markdown(wide: &Wide<'_>, legend: &[String], look: Look) -> String {
    let lines: String = legend.iter().map(|line| format!("\n{}\n", in_markdown(line))).collect();
    comparison(wide, look).markdown() + &lines
}

/// What has to be known to read a table.
fn legend(wide: &Wide<'_>) -> Vec<String> {
    let cells = || wide.rows.iter().flat_map(|row| row.cells.iter().flatten());
    let mut lines = Vec::new();
    if wide.is_limited() {
        lines.push(format!("**{LIMITED}**"));
    }
    if cells().any(|row| row.interval().is_some()) {
        lines.push(
            "± is the standard error, as the reference harness has it; in brackets stands Wilson's 95 % interval of a share \
             of documents, which holds for few of them too."
                .to_owned(),
        );
    }
    lines.extend(unlike(wide));
    lines.extend(missing(wide));
    if wide.is_stressed() {
        lines.push(STRESSED.to_owned());
    }
    let mut sources: Vec<&str> = Vec::new();
    for source in cells().filter_map(|row| row.published_source.as_deref()) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    if !sources.is_empty() {
        lines.push(format!("Published: {}.", sources.join("; ")));
    }
    lines
}

/// What is to be said where columns are not of the same questions.
fn unlike(wide: &Wide<'_>) -> Option<String> {
    let tasks = wide.unlike();
    let shown = tasks[..tasks.len().min(FEW_TASKS)].join(", ");
    let more = if tasks.len() > FEW_TASKS {
        format!(" and {} more", tasks.len() - FEW_TASKS)
    } else {
        String::new()
    };
    (!tasks.is_empty()).then(|| {
        format!("Columns have different data, or other versions of the task, in {shown}{more}: values of these do not compare.")
    })
}

/// Why there are no values, each reason once with the first of its tasks.
fn missing(wide: &Wide<'_>) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in wide.rows.iter().flat_map(|row| row.cells.iter().flatten()) {
        let Some(why) = &row.missing else { continue };
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, tasks)) if tasks.contains(&row.task.as_str()) => {}
            Some((_, tasks)) => tasks.push(&row.task),
            None => reasons.push((why, vec![&row.task])),
        }
    }
    let line = |(why, tasks): (&str, Vec<&str>)| {
        let shown = tasks[..tasks.len().min(FEW_TASKS)].join(", ");
        let more = if tasks.len() > FEW_TASKS {
            format!(" and {} more", tasks.len() - FEW_TASKS)
        } else {
            String::new()
        };
        format!("No value of {shown}{more}: {why}.")
    };
    reasons.into_iter().map(line).collect()
}

/// For every model its value and standard error.
pub fn comparison_csv(rows: &[Row]) -> String {
    comparison(&Wide::new(rows), Look::default()).csv()
}

/// One line per task and metric.
fn comparison<'w>(wide: &'w Wide<'w>, look: Look) -> Table<&'w WideRow<'w>> {
    let task = if wide.models.len() > 2 { text("task").wraps_from(TASK_WIDTH) } else { text("task").wraps() };
    let mut table = Table::of(&wide.rows)
        .column(data("suite"), |row| &row.first.suite)
        .column(task, |row| {
            let Row { task, depth, .. } = row.first;
            let below = |mark: &str| format!("{}{task}", mark.repeat(*depth));
            Cell::from(task).shown(below("&nbsp;&nbsp;")).short(below("·\u{a0}"))
        })
        .column(number("num_fewshot").titled("shots").spare(2), |row| row.first.num_fewshot)
        .column(people(text("metric")), |row| match row.first {
            Row { metric, filter, .. } if filter == "none" => Cell::from(metric),
            Row { metric, filter, .. } => {
                Cell::from(format!("{metric}, {filter}")).short(format!("{metric},{filter}"))
            }
        })
        .column(data("metric"), |row| &row.first.metric)
        .column(data("filter"), |row| &row.first.filter)
        .column(number("n").spare(1), |row| {
            if row.differs_in_documents() {
                return Cell::empty().shown("differs");
            }
            let n = Cell::from(row.first.n);
            match row.first.limited_to_part_of() {
                Some(of) => n.shown(format!("{} of {of}", row.first.n)),
                None => n,
            }
        });
    let differs = wide.rows.iter().any(WideRow::differs_in_documents);
    for (place, model) in wide.models.iter().enumerate() {
        let of = |row: &'w WideRow<'w>| row.cells[place];
        // The protocol below the name: columns are as wide as their heads.
        let heading = people(number(model)).short(model.replace(" [", "\n["));
        table = table
            .column(heading, |row| {
                let digits = digits_of(row, look);
                let short = match of(row) {
                    Some(Row { value: Some(value), stderr: Some(stderr), .. }) => {
                        format!("{} ± {}", digits(*value), digits(*stderr))
                    }
                    Some(Row { value: Some(value), .. }) => digits(*value),
                    Some(Row { kind: TaskKind::Group, .. }) => SOME_MISSING.to_owned(),
                    Some(_) => MISSING.to_owned(),
                    None => "–".to_owned(),
                };
                let cell = match of(row).and_then(Row::interval) {
                    Some([low, high]) => {
                        Cell::from(format!("{short} [{}, {}]", digits(low), digits(high))).short(short)
                    }
                    None => Cell::from(short),
                };
                let cell = match of(row).filter(|own| row.differs_in_documents() && own.value.is_some()) {
                    Some(own) => cell.with_note(&documents(own)),
                    None => cell,
                };
                cell.stressed(of(row).map_or(Stress::None, |row| row.stress))
            })
            .column(data(model), |row| of(row).and_then(|cell| cell.value))
            .column(data(format!("{model} stderr")), |row| of(row).and_then(|cell| cell.stderr));
        if differs {
            table = table.column(data(format!("{model} n")), |row| of(row).map(|cell| cell.n));
        }
        if wide.rows.iter().any(|row| of(row).is_some_and(|cell| cell.interval().is_some())) {
            let room = INTERVAL_WIDTH + MODEL_WIDTH * (wide.models.len() - 1);
            let heading = people(number("95 %")).not_in_markdown().from_width(room);
            table = table.column(heading, |row| {
                let interval = of(row).and_then(Row::interval);
                interval.map(|[low, high]| match look.percent && is_percentable(row) {
                    true => format!("{:.1}–{:.1}", 100.0 * low, 100.0 * high),
                    false => format!("{low:.3}–{high:.3}"),
                })
            });
        }
        let published = |row: &'w WideRow<'w>| {
            Cell::written(of(row).and_then(|cell| cell.published), digits_of(row, look))
        };
        if wide.rows.iter().any(|row| published(row) != Cell::empty()) {
            table = table.column(people(number("published")), published);
        }
    }
    table.decimal_floats()
}

/// `5 of 30`, beside a value of a line whose columns are of different documents.
fn documents(row: &Row) -> String {
    match row.limited_to_part_of() {
        Some(of) => format!("n {} of {of}", row.n),
        None => format!("n {}", row.n),
    }
}

/// How the numbers of a line are written.
fn digits_of(row: &WideRow<'_>, look: Look) -> fn(f64) -> String {
    if look.percent && is_percentable(row) {
        |value| format!("{:.1}", 100.0 * value)
    } else {
        |value| format!("{value:.4}")
    }
}

/// Whether the values of a line are shares, which papers write per cent.
fn is_percentable(row: &WideRow<'_>) -> bool {
    let values = row.cells.iter().flatten().filter_map(|cell| cell.value);
    is_share_metric(&row.first.metric) && values.into_iter().all(|value| (0.0..=1.0).contains(&value))
}

/// Whether a metric is a share by its name: a perplexity is none, and a BLEU is written per cent already.
pub fn is_share_metric(metric: &str) -> bool {
    const OTHERS: [&str; 4] = ["perplexity", "bits_per_byte", "likelihood", "brier"];
    const PER_CENT: [&str; 4] = ["bleu", "chrf", "ter", "rouge"];
    let is_per_cent = PER_CENT.iter().any(|name| {
        metric == *name || metric.starts_with(&format!("{name}_")) || metric.starts_with("rouge")
    });
    !OTHERS.iter().any(|other| metric.contains(other)) && (!is_per_cent || metric.ends_with("_acc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::{row, rows};

    #[test]
    fn one_hundred_columns() {
        insta::assert_snapshot!(terminal_table(&rows(), 100, Look::default()));
    }

    #[test]
    fn protocols_stand_below_the_names() {
        let protocols = ["lm-eval-0.4.13", "lm-eval-0.4.9", "llama.cpp"];
        let mut rows = Vec::new();
        for (protocol, metric) in protocols.into_iter().zip(["acc", "acc", "acc_token"]) {
            rows.push(Row { protocol: protocol.into(), ..row("llama-7b", "zoology_birds", metric, 0.5) });
        }
        insta::assert_snapshot!(terminal_table(&rows, 80, Look::default()));
    }

    #[test]
    fn eighty_columns_stay_eighty() {
        let table = terminal_table(&rows()[..4], 80, Look::default());
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(!table.contains("alpaca"));
    }

    #[test]
    fn the_wide_form() {
        insta::assert_snapshot!(comparison_csv(&rows()));
    }

    #[test]
    fn the_table() {
        insta::assert_snapshot!(comparison_markdown(&rows()));
    }

    #[test]
    fn intervals_stand_where_there_is_room() {
        let wide = terminal_table(&rows()[..4], 100, Look::default());
        // 51 of 100, nearly: scipy.stats.binomtest(51, 100).proportion_ci(method="wilson") is 0.4135 to 0.6058.
        assert!(wide.contains(" 95 % ") && wide.contains("0.416–0.608"), "{wide}");
        assert!(!terminal_table(&rows()[..4], 99, Look::default()).contains("95 %"));
        assert!(
            !terminal_table(&rows(), 100, Look::default()).contains("95 %")
                && terminal_table(&rows(), 136, Look::default()).contains("95 %")
        );
        // A rate that is no share of documents has none.
        let line = |metric: &str| wide.lines().find(|line| line.contains(metric)).unwrap().to_owned();
        assert!(!line("acc_norm").contains('–'), "{wide}");
    }

    #[test]
    fn a_part_of_the_documents_is_marked() {
        let mut part = vec![row("m", "zoology", "acc", 1.0)];
        (part[0].n, part[0].of, part[0].stderr) = (2, Some(14_042), Some(0.0));
        for text in
            [terminal_table(&part, 100, Look::default()), comparison_markdown(&part), details_markdown(&part)]
        {
            assert!(text.contains("2 of 14042") && text.contains("not all documents were scored"), "{text}");
        }
        // Two right answers of two are no certainty.
        assert!(comparison_markdown(&part).contains("1.0000 ± 0.0000 [0.3424, 1.0000]"));
        part[0].n = 14_042;
        assert!(!terminal_table(&part, 100, Look::default()).contains(" of "));
    }

    #[test]
    fn groups_are_in_the_order_of_papers() {
        let groups = ["zoology", "zoology_stem", "zoology_humanities"];
        let mut rows: Vec<Row> = groups.iter().map(|task| row("m", task, "acc", 0.5)).collect();
        for (row, place) in rows.iter_mut().zip([1, 3, 2]) {
            row.place = place;
        }
        let text = details_markdown(&rows);
        let at = |task: &str| text.find(&format!("{task} |")).unwrap();
        assert!(at("zoology_humanities") < at("zoology_stem"), "{text}");
    }

    #[test]
    fn a_long_suite_is_folded_and_says_so() {
        let mut rows = vec![row("m", "zoology", "acc", 0.5)];
        rows.extend((0..60).map(|i| row("m", &format!("zoology_{i}"), "acc", 0.5)));
        let table = terminal_table(&rows, 100, Look::default());
        assert!(table.contains("60 tasks are not shown") && table.lines().count() < 12, "{table}");
        assert_eq!(
            terminal_table(&rows, 100, Look { all_tasks: true, ..Look::default() })
                .matches("zoology_")
                .count(),
            60
        );
        let (short, long) = (comparison_markdown(&rows), details_markdown(&rows));
        assert!(
            short.contains("60 tasks are not shown: details.md") && short.lines().count() < 12,
            "{short}"
        );
        assert_eq!((short.matches("zoology_").count(), long.matches("zoology_").count()), (0, 60));
    }
}
