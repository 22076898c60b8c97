//! `results.csv` (long) and `comparison.csv` (wide).

use super::{Row, Wide};

/// The columns of `results.csv`: [`Row`]'s serialised fields.
const COLUMNS: [&str; 14] = [
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
];

/// One line per model, task, metric and filter, below a head that is there without any. Values have all the digits
/// that tell one number from the next.
pub fn results_csv(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.serialize(row)?;
    }
    bytes(writer)
}

/// Reads `results.csv` back. Where a row stands in its suite is not in the file.
pub fn read_results(bytes: &[u8]) -> Result<Vec<Row>, csv::Error> {
    csv::Reader::from_reader(bytes).deserialize().collect()
}

/// One line per task and metric; for every model its value and standard error.
pub fn comparison_csv(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let wide = Wide::new(rows);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> =
        ["suite", "task", "num_fewshot", "metric", "filter", "n"].map(str::to_owned).to_vec();
    for model in &wide.models {
        head.extend([model.clone(), format!("{model} stderr")]);
    }
    writer.write_record(&head)?;
    for row in &wide.rows {
        let first = row.first;
        let mut record = vec![
            first.suite.clone(),
            first.task.clone(),
            first.num_fewshot.map(|n| n.to_string()).unwrap_or_default(),
            first.metric.clone(),
            first.filter.clone(),
            first.n.to_string(),
        ];
        for cell in &row.cells {
            record.push(cell.map(|c| c.value.to_string()).unwrap_or_default());
            record.push(cell.and_then(|c| c.stderr).map(|s| s.to_string()).unwrap_or_default());
        }
        writer.write_record(&record)?;
    }
    bytes(writer)
}

fn bytes(writer: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    fn text(bytes: Result<Vec<u8>, csv::Error>) -> String {
        String::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn the_long_form_is_read_back() {
        let written = results_csv(&rows()).unwrap();
        let read = read_results(&written).unwrap();
        assert_eq!(results_csv(&read).unwrap(), written);
        assert_eq!(
            (read[0].value, &read[0].published_source),
            (rows()[0].value, &rows()[0].published_source)
        );
    }

    #[test]
    fn a_run_that_measured_nothing_has_a_head() {
        let mut serialised = csv::Writer::from_writer(Vec::new());
        serialised.serialize(&rows()[0]).unwrap();
        let serialised = text(bytes(serialised));
        assert_eq!(serialised.lines().next(), text(results_csv(&[])).lines().next());
        assert!(read_results(&results_csv(&[]).unwrap()).unwrap().is_empty());
    }

    #[test]
    fn the_long_form() {
        insta::assert_snapshot!(text(results_csv(&rows())));
    }

    #[test]
    fn the_wide_form() {
        insta::assert_snapshot!(text(comparison_csv(&rows())));
    }
}
