//! `zoo samples`: the questions behind the numbers.

use std::process::Output;

use serde_json::{Value, json};

use super::compared::{good, other_data, run, samples, values};
use crate::support::place::{Place, assert_says};
use crate::support::tiny::stderr;

fn objects(output: Output) -> Vec<Value> {
    serde_json::from_str(&good(output)).unwrap()
}

#[test]
fn the_questions_behind_the_numbers_are_shown() {
    let place = run();
    let show = |extra: &[&str]| place.zoo(&[&["samples", &place.text("run")], extra].concat());
    let [own, other] = ["tiny", "bloom"].map(|model| samples(&place, model, "passages"));
    let [own, other] = [own, other].map(|lines| values(&lines, "acc,none"));

    let wrong = objects(show(&["--task", "passages", "--model", "tiny", "--wrong", "--format", "json"]));
    assert_eq!(wrong.len(), own.iter().filter(|value| **value == 0.0).count());
    assert!(wrong.iter().all(|sample| sample["right"] == false && sample["model"] == "tiny"));
    let right = objects(show(&["--task", "passages", "--model", "tiny", "--right", "--format", "json"]));
    assert_eq!(right.len() + wrong.len(), own.len());
    let apart = objects(show(&["--task", "passages", "--disagree", "tiny", "bloom", "--format", "json"]));
    assert_eq!(apart.len(), 2 * own.iter().zip(&other).filter(|(own, other)| own != other).count());

    let one = objects(show(&["--task", "passages", "--doc", "8", "--model", "tiny", "--format", "json"]));
    let [one] = &one[..] else { panic!("{one:?}") };
    assert_eq!(one["prompt"], "\u{1b}[2J=cmd() 8?");
    let texts: Vec<&str> =
        one["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect();
    assert_eq!(texts, [" yes", " no"]);
    assert_eq!(one["choices"][0]["is_right"], true);
    let page = good(show(&["--task", "passages", "--doc", "3", "--model", "tiny"]));
    assert!(page.starts_with("── passages, document 3, tiny: ") && page.contains("    first 3?\n"), "{page}");
    assert!(page.contains("logprob") && page.contains("\" yes\""), "{page}");

    // Ten are shown, unless it is said how many.
    let many = show(&["--suite", "basics", "--model", "tiny"]);
    assert!(stderr(&many).contains("more documents are like that: --limit"), "{}", stderr(&many));
    assert_eq!(good(many).matches("── basics_").count(), 10);
    assert_eq!(good(show(&["--suite", "basics", "--limit", "3"])).matches("── basics_").count(), 6);
    let table = good(show(&["--task", "basics_yesno", "--format", "csv"]));
    assert!(
        table.lines().next().unwrap().starts_with("model,suite,task,doc_id,metric,value,verdict"),
        "{table}"
    );

    assert_says(&show(&["--task", "no"]), 2, &["--task no", "passages"]);
    assert_says(&show(&["--model", "no"]), 2, &["--model no", "tiny"]);
    assert_says(
        &show(&["--task", "passages", "--metric", "brier_score", "--wrong"]),
        1,
        &["brier_score", "--metric"],
    );
    assert_says(&show(&["--disagree", "tiny", "tiny"]), 2, &["tiny twice"]);
}

#[test]
fn answers_to_different_documents_do_not_disagree() {
    let place = run();
    other_data(&place);
    let show = |extra: &[&str]| {
        let runs = [place.text("run"), place.text("other")];
        place.zoo(&[&["samples", &runs[0], &runs[1], "--disagree", "tiny", "tony"], extra].concat())
    };
    assert_says(
        &show(&["--task", "passages"]),
        1,
        &["passages: expected the same data", "abababab", "tony", "--task"],
    );
}

#[test]
fn documents_after_other_numbers_of_examples_are_others() {
    let place = Place::new(&["--suite", "sums", "--limit", "3"]);
    let row = |q: usize| json!({"q": q, "gold": q % 2}).to_string() + "\n";
    place.task("test.jsonl", (0..4).map(row).collect::<String>());
    place.task("train.jsonl", (10..14).map(row).collect::<String>());
    place.task(
        "sums.yaml",
        "task: sums\noutput_type: multiple_choice\ndataset_path: json\n\
         dataset_kwargs: {data_files: {test: test.jsonl, train: train.jsonl}}\n\
         test_split: test\nfewshot_split: train\nfewshot_config: {sampler: first_n}\nnum_fewshot: 2\n\
         doc_to_text: \"{{q}}?\"\ndoc_to_choice: [\"yes\", \"no\"]\ndoc_to_target: gold\n\
         metric_list: [{metric: acc}]\n",
    );
    place.run("two", &[]);
    place.run("three", &["--num-fewshot", "3"]);
    let show = |extra: &[&str]| {
        let runs = [place.text("two"), place.text("three")];
        place.zoo(&[&["samples", &runs[0], &runs[1]], extra].concat())
    };
    let output = show(&["--limit", "6"]);
    assert!(!stderr(&output).contains("more documents"), "{}", stderr(&output));
    let page = good(output);
    for head in ["── sums (2 shots), document 0, ", "── sums (3 shots), document 2, "] {
        assert_eq!(page.matches(head).count(), 1, "{head}: {page}");
    }
    let table = good(show(&["--format", "csv"]));
    assert!(table.lines().next().unwrap().ends_with(",num_fewshot"), "{table}");
    assert_says(&show(&["--limit", "4"]), 0, &["2 more documents are like that: --limit 6"]);
}

#[test]
fn a_run_without_texts_shows_digests() {
    let place = Place::new(&["--suite", "basics_yesno", "--limit", "3"]);
    place.run("run", &["--no-texts"]);
    let page = good(place.zoo(&["samples", &place.text("run")]));
    assert!(page.contains("(the run has no texts; ") && page.contains("sha256"), "{page}");
}
