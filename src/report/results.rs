//! The long form of results: `results.csv` and the same as JSON.

use super::table::{data, number, read_csv, text};
use super::{Row, Table};

/// One line per model, task, metric and filter. Values have all the digits that tell one number from the next.
pub fn results(rows: &[Row]) -> Table<&Row> {
    Table::of(rows)
        .column(text("model"), |row| &row.model)
        .column(text("suite"), |row| &row.suite)
        .column(text("task"), |row| &row.task)
        .column(number("num_fewshot"), |row| row.num_fewshot)
        .column(text("metric"), |row| &row.metric)
        .column(text("filter"), |row| &row.filter)
        .column(number("value"), |row| row.value)
        .column(number("stderr"), |row| row.stderr)
        .column(number("n"), |row| row.n)
        .column(number("published"), |row| row.published)
        .column(text("published_source"), |row| row.published_source.as_ref())
        .column(text("protocol"), |row| &row.protocol)
        .column(data("weights_sha256"), |row| &row.weights_sha256)
        .column(data("data_sha256"), |row| &row.data_sha256)
        .column(data("precision"), |row| row.precision.as_ref())
        .column(data("template"), |row| row.template.as_ref())
        .column(data("version"), |row| row.version.as_ref())
        .column(data("revision"), |row| row.revision.as_ref())
}

/// The same of several runs: with the column of the comparison that a value stands in, and its interval.
pub fn joint_results(rows: &[Row]) -> Table<&Row> {
    results(rows)
        .column(data("column"), |row| row.label.as_ref())
        .column(data("of"), |row| row.of)
        .column(data("interval_low"), |row| row.interval().map(|[low, _]| low))
        .column(data("interval_high"), |row| row.interval().map(|[_, high]| high))
        .column(data("missing"), |row| row.missing.as_ref())
}

/// Reads `results.csv` back. Where a row stands in its suite is not in the file.
pub fn read_results(bytes: &[u8]) -> Result<Vec<Row>, csv::Error> {
    read_csv(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn the_long_form_is_read_back() {
        let written = results(&rows()).csv();
        let read = read_results(written.as_bytes()).unwrap();
        assert_eq!(results(&read).csv(), written);
        assert_eq!(
            (read[0].value, &read[0].published_source),
            (rows()[0].value, &rows()[0].published_source)
        );
    }

    #[test]
    fn names_that_are_formulas_are_texts_and_come_back() {
        let named =
            |name: &str| Row { model: name.to_owned(), task: format!("@{name}"), ..rows()[0].clone() };
        let all = ["=cmd|' /C calc'!A0", "-x", "'=y", "<script>"].map(named);
        let written = results(&all).csv();
        assert!(written.lines().skip(1).all(|line| !line.starts_with(['=', '-', '@', '+'])), "{written}");
        assert!(!written.contains(",@"), "{written}");
        let read = read_results(written.as_bytes()).unwrap();
        assert!(
            read.iter().zip(&all).all(|(read, row)| (&read.model, &read.task) == (&row.model, &row.task))
        );
        let page = results(&all).markdown();
        assert!(page.contains("&lt;script>") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn the_long_form() {
        insta::assert_snapshot!(results(&rows()).csv());
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(results(&rows()[..2]).json());
    }

    #[test]
    fn keys_are_the_columns_of_a_run_that_measured_nothing_too() {
        let known = [
            "model",
            "suite",
            "task",
            "num_fewshot",
            "metric",
            "filter",
            "value",
            "stderr",
            "n",
            "published",
            "published_source",
            "protocol",
            "weights_sha256",
            "data_sha256",
            "precision",
            "template",
            "version",
            "revision",
        ];
        let value: serde_json::Value = serde_json::from_str(&results(&rows()).json()).unwrap();
        assert!(value[0].as_object().unwrap().keys().eq(known));
        assert_eq!(value[3]["stderr"], serde_json::Value::Null);
        assert_eq!(results(&[]).csv(), known.join(",") + "\n");
        assert!(read_results(results(&[]).csv().as_bytes()).unwrap().is_empty());
    }
}
