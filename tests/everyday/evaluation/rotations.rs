//! `--rotate-options`: each task is asked with its options in every order, and says how far answers depend on it.

use std::fs;

use crate::support::place::Place;
use crate::support::tiny::{stderr, stdout, zoo};

const SUITE: [&str; 7] = [
    "--suite",
    "basics_letters_en,basics_knowledge_en",
    "--limit",
    "8",
    "--num-fewshot",
    "2",
    "--rotate-options",
];

/// A task whose choices are in no column.
const WORDS: &str = "task: words\ndataset_path: json\ndataset_kwargs: {data_files: {test: words.jsonl}}\noutput_type: multiple_choice\n\
                     test_split: test\ndoc_to_text: '{{text}}'\ndoc_to_choice: [x, y]\ndoc_to_target: right\n";

fn eval(place: &Place, out: &str, extra: &[&str]) -> std::process::Output {
    let (model, out) = (place.text("tiny"), place.text(out));
    let args = [&["eval", &model, "--out", &out, "--quiet"][..], &SUITE, extra].concat();
    let output = zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn lines(place: &Place, file: &str) -> Vec<serde_json::Value> {
    place.read(file).lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_option_stands_in_every_place() {
    let place = Place::new(&[]);
    let output = eval(&place, "run", &[]);
    let table = stdout(&output);
    assert!(table.contains("Options moved on") && table.contains("tiny (rotated 3)"), "{table}");
    let mut csv = csv::Reader::from_reader(place.read("run/rotations.csv").into_bytes().as_slice())
        .into_records()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    let all = csv.pop().unwrap();
    assert_eq!((csv.len(), &all[2], &all[3], &all[4]), (2, "", "16", "4"));
    // The right answer moves with the options, and the examples stay.
    let folder = |by: usize| if by == 0 { "tiny".to_owned() } else { format!("tiny__rotated_{by}_") };
    let find = |by: usize| {
        let wanted = format!("rotated {by}");
        let names = fs::read_dir(place.path("run/samples"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names = names
            .filter(|name| if by == 0 { name == "tiny" } else { name.contains(&wanted.replace(' ', "_")) });
        names.next().unwrap_or_else(|| folder(by))
    };
    let orders: Vec<Vec<serde_json::Value>> = (0..4)
        .map(|by| lines(&place, &format!("run/samples/{}/basics_letters_en.jsonl", find(by))))
        .collect();
    let mut consistent = 0;
    for (doc, first) in orders[0].iter().enumerate() {
        let line = |by: usize| &orders[by][doc];
        let chosen = |by: usize| {
            let scores = line(by)["choices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|choice| choice["logprob"].as_f64().unwrap());
            let scores: Vec<f64> = scores.collect();
            let best = (0..4).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a))).unwrap();
            (best + 4 - by) % 4
        };
        for by in 0..4 {
            let target = |by: usize| line(by)["target"].as_u64().unwrap() as usize;
            assert_eq!(target(by), (target(0) + by) % 4);
            assert!(by == 0 || line(by)["prompt_sha256"] != first["prompt_sha256"]);
        }
        consistent += usize::from((1..4).all(|by| chosen(by) == chosen(0)));
    }
    let letters = csv.iter().find(|row| &row[2] == "basics_letters_en").unwrap();
    assert_eq!(letters[9].parse::<f64>().unwrap(), consistent as f64 / 8.0, "{letters:?}");
    let mean: f64 = (0..4)
        .map(|by| orders[by].iter().map(|line| line["metrics"]["acc,none"].as_f64().unwrap()).sum::<f64>())
        .sum::<f64>()
        / 32.0;
    assert!((letters[6].parse::<f64>().unwrap() - mean).abs() < 1e-12, "{letters:?}");
    let places: f64 = letters[11].split(' ').map(|share| share.parse::<f64>().unwrap()).sum();
    assert!((places - 1.0).abs() < 0.03, "{letters:?}");
}

#[test]
fn such_a_run_resumes_and_is_graded_again() {
    let place = Place::new(&[]);
    let first = eval(&place, "run", &[]);
    let resumed = eval(&place, "run", &["--resume"]);
    assert_eq!(stdout(&resumed).lines().next(), stdout(&first).lines().next());
    let again = zoo(&["score", &place.text("run"), "--out", &place.text("again"), "--quiet"]);
    assert!(again.status.success(), "{}", stderr(&again));
    for file in ["results.csv", "rotations.csv"] {
        assert_eq!(place.read(&format!("run/{file}")), place.read(&format!("again/{file}")), "{file}");
    }
    let plain = zoo(&[
        "eval",
        &place.text("tiny"),
        "--suite",
        SUITE[1],
        "--limit",
        "8",
        "--num-fewshot",
        "2",
        "--out",
        &place.text("run"),
        "--resume",
    ]);
    assert_eq!(plain.status.code(), Some(2), "a run without rotations is another one");
    assert!(
        stderr(&plain).contains("rotate_options") || stderr(&plain).contains("rotate-options"),
        "{}",
        stderr(&plain)
    );
}

#[test]
fn tasks_without_options_are_refused() {
    let place = Place::new(&[]);
    place.task("words.yaml", WORDS);
    fs::write(place.path("tasks/words.jsonl"), "{\"text\": \"a\", \"right\": 0}\n").unwrap();
    for (suite, said) in [
        ("basics_letters_en,basics_yesno", "--rotate-options: expected tasks whose documents"),
        ("words", "options"),
    ] {
        let output = place.zoo(&[
            "eval",
            &place.text("tiny"),
            "--suite",
            suite,
            "--limit",
            "3",
            "--rotate-options",
            "--out",
            &place.text("no"),
        ]);
        assert!(!output.status.success() && stderr(&output).contains(said), "{suite}: {}", stderr(&output));
        assert!(!place.path("no").exists(), "refused before anything is computed");
    }
}
