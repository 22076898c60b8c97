//! In how many answers a filter found something: beside the score, filter by filter, and never in what the reference harness reads.

use std::fs;

use serde_json::{Value, json};

use crate::support::place::Place;
use crate::support::tiny::{stderr, stdout};

/// Two tasks in a group, whose filters look for a number in two ways; one filter of the first looks for nothing.
fn world() -> Place {
    let place = Place::new(&[]);
    let task = |name: &str, more: &str| {
        format!(
            "task: {name}\noutput_type: generate_until\ndataset_path: json\n\
             dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\ntest_split: test\nnum_fewshot: 0\n\
             doc_to_text: \"{{{{q}}}}\"\ndoc_to_target: \"{{{{a}}}}\"\ngeneration_kwargs: {{until: [], max_gen_toks: 4}}\n\
             metric_list: [{{metric: exact_match}}]\nfilter_list:\n\
             - {{name: strict, filter: [{{function: regex, regex_pattern: '#### ([0-9]+)'}}, {{function: take_first}}]}}\n\
             - {{name: flexible, filter: [{{function: regex, regex_pattern: '([0-9]+)', fallback: '7'}}, {{function: take_first}}]}}\n\
             {more}"
        )
    };
    let as_it_is = "- {name: as-it-is, filter: [{function: remove_whitespace}, {function: take_first}]}\n";
    for (name, rows, more) in [("birds", 4, as_it_is), ("fish", 2, "")] {
        place.task(&format!("{name}.yaml"), task(name, more));
        let rows = (0..rows).map(|n| format!("{}\n", json!({"q": format!("{n}?"), "a": "7"})));
        place.task(&format!("{name}.jsonl"), rows.collect::<String>());
    }
    let group = "group: animals\ntask: [birds, fish]\naggregate_metric_list:\n\
                 - {metric: exact_match, weight_by_size: true, filter_list: [strict, flexible]}\n";
    place.task("animals.yaml", group);
    place
}

/// Value, standard error and documents of each row, by task, metric and filter.
fn rows(place: &Place, run: &str) -> Vec<(String, f64, usize)> {
    let text = place.read(&format!("{run}/results.csv"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let row = |row: csv::StringRecord| {
        let name = [&row[2], &row[4], &row[5]].join(" ");
        (name, row[6].parse().unwrap(), row[8].parse().unwrap())
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn each_filter_has_its_own_rate_of_tasks_and_of_their_group() {
    let place = world();
    let answers = [
        ("birds", 0, "so 6 + 1\n#### 7"),
        ("birds", 1, "it is 7"),
        ("birds", 2, "it is [invalid]"),
        ("birds", 3, "no idea"),
        ("fish", 0, "#### 7"),
        ("fish", 1, "7"),
    ];
    let line = |(task, doc_id, text): (&str, usize, &str)| {
        format!("{}\n", json!({"task": task, "doc_id": doc_id, "text": text}))
    };
    fs::write(place.path("answers.jsonl"), answers.map(line).concat()).unwrap();
    let (file, out) = (place.text("answers.jsonl"), place.text("run"));
    let output = place.zoo(&["score", "--answers", &file, "--suite", "animals", "--out", &out]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = rows(&place, "run");
    let value = |name: &str| {
        let mut own = found.iter().filter(|row| row.0 == name).map(|row| (row.1, row.2));
        own.next().unwrap_or_else(|| panic!("{name} is not in {found:?}"))
    };
    // What stands where nothing is found may be right; it is not found all the same.
    assert_eq!(
        (value("birds exact_match flexible"), value("birds extracted flexible")),
        ((0.75, 4), (0.5, 4))
    );
    assert_eq!((value("birds exact_match strict"), value("birds extracted strict")), ((0.25, 4), (0.25, 4)));
    assert_eq!((value("fish extracted strict"), value("fish extracted flexible")), ((0.5, 2), (1.0, 2)));
    // By size: 2 of 6, and 4 of 6.
    assert_eq!((value("animals extracted strict").1, value("animals extracted flexible").1), (6, 6));
    assert!((value("animals extracted strict").0 - 2.0 / 6.0).abs() < 1e-12);
    assert!((value("animals extracted flexible").0 - 4.0 / 6.0).abs() < 1e-12);
    assert!(found.iter().all(|(name, ..)| !name.ends_with("extracted as-it-is")), "{found:?}");
    assert!(stdout(&output).contains("extracted"), "{}", stdout(&output));
}

#[test]
fn the_reference_s_forms_have_their_own_keys_alone() {
    let place = world();
    place.run("run", &["--suite", "animals", "--include-path", &place.text("tasks"), "--log-samples"]);
    let file: Value = serde_json::from_str(&place.read("run/results.json")).unwrap();
    let rates = file["extraction"].as_object().unwrap();
    assert_eq!(rates.keys().collect::<Vec<_>>(), ["birds", "fish"]);
    let [strict, flexible] = ["strict", "flexible"].map(|filter| rates["birds"][filter].as_f64().unwrap());
    assert!(strict <= flexible && rates["birds"].as_object().unwrap().len() == 2, "{rates:?}");
    for entry in file["results"].as_object().unwrap().values() {
        assert!(entry.as_object().unwrap().keys().all(|key| !key.contains("extracted")), "{entry}");
    }
    assert!(!file["higher_is_better"].to_string().contains("extracted"));
    let folder = fs::read_dir(place.path("run/lm-eval")).unwrap().next().unwrap().unwrap().path();
    for file in fs::read_dir(folder).unwrap().flatten().map(|file| file.path()) {
        assert!(!fs::read_to_string(&file).unwrap().contains("extracted"), "{}", file.display());
    }
    // Nothing is graded, and there is no rate beside it; what was not found is said.
    place.run("predicted", &["--suite", "fish", "--include-path", &place.text("tasks"), "--predict-only"]);
    assert_eq!(rows(&place, "predicted"), []);
}
