//! What others read of our tables: the reference harness's own table maker, and pandas and DuckDB with the right types.
//!
//! `ZOO_HARNESS_PYTHON` names a Python with `lm_eval`, `ZOO_TABLES_PYTHON` one with `pandas` and `duckdb`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::shared::named;
use crate::support::tiny::{stderr, write_tiny_model, zoo};

/// A run of a small model; its folder.
fn run(place: &Path) -> PathBuf {
    write_tiny_model(&place.join("tiny"));
    let (model, out) = (place.join("tiny"), place.join("run"));
    let args = [
        "eval",
        model.to_str().unwrap(),
        "--suite",
        "basics",
        "--limit",
        "7",
        "--out",
        out.to_str().unwrap(),
        "--quiet",
    ];
    let output = zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    out
}

fn python(interpreter: &Path, script: &str, file: &Path) -> String {
    let output = Command::new(interpreter).args(["-c", script]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs a Python with lm_eval, see ZOO_HARNESS_PYTHON"]
fn the_harness_s_own_table_is_made_of_our_results() {
    let Some(interpreter) = named("ZOO_HARNESS_PYTHON") else { return };
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path());
    let script = "import json, sys\nfrom lm_eval.utils import make_table\nresults = json.load(open(sys.argv[1]))\n\
                  print(make_table(results)); print(make_table(results, 'groups'))";
    let table = python(&interpreter, script, &run.join("results.json"));
    let results = std::fs::read_to_string(run.join("results.csv")).unwrap();
    let rows =
        csv::Reader::from_reader(results.as_bytes()).into_records().map(Result::unwrap).collect::<Vec<_>>();
    let of_the_harness = rows.iter().filter(|row| !row[4].ends_with("_macro") && !row[4].ends_with("_micro"));
    let mut count = 0;
    for row in of_the_harness {
        let value = format!("|{:.4}|", row[6].parse::<f64>().unwrap());
        let metric = format!("|{:8}|", &row[4]);
        let has = |line: &str| line.contains(&metric) && line.contains(&value);
        assert!(table.lines().any(has), "{row:?}\n{table}");
        count += 1;
    }
    assert!(count > 10 && table.contains("|Groups|"), "{table}");
}

#[test]
#[ignore = "needs a Python with pandas and duckdb, see ZOO_TABLES_PYTHON"]
fn pandas_and_duckdb_read_the_right_types() {
    let Some(interpreter) = named("ZOO_TABLES_PYTHON") else { return };
    let place = tempfile::tempdir().unwrap();
    let run = run(place.path());
    let long = place.path().join("long.csv");
    let output = zoo(&["report", run.to_str().unwrap(), "--format", "csv", "--out", long.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let script = "import sys, duckdb, pandas\nframe = pandas.read_csv(sys.argv[1], float_precision='round_trip')\n\
                  assert frame['value'].dtype == 'float64' and frame['stderr'].dtype == 'float64' and frame['n'].dtype == 'int64'\n\
                  types = {name: kind for name, kind, *_ in duckdb.sql(f\"describe select * from '{sys.argv[1]}'\").fetchall()}\n\
                  assert types['value'] == 'DOUBLE' and types['n'] == 'BIGINT' and types['model'] == 'VARCHAR', types\n\
                  assert types['num_fewshot'] == 'BIGINT' and types['of'] == 'BIGINT', types\n\
                  print('\\n'.join(repr(value) for value in frame['value'].tolist()))";
    let read = python(&interpreter, script, &long);
    let written = std::fs::read_to_string(run.join("results.csv")).unwrap();
    let written =
        csv::Reader::from_reader(written.as_bytes()).into_records().map(|row| row.unwrap()[6].to_owned());
    let bits = |text: &str| text.parse::<f64>().unwrap().to_bits();
    assert!(written.map(|value| bits(&value)).eq(read.lines().map(bits)), "every digit is read back");
}
