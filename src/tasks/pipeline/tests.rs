//! Filters against what lm-evaluation-harness 0.4.13 makes of the same answers.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::tasks::schema::source::{Entry, Origin};
use crate::tasks::schema::{Fields, Location, TaskConfig};

fn task(filter_list: &str) -> Task {
    let location = Location::Disk("bbh/zeroshot/t.yaml".into());
    let origin = Arc::new(Origin::new(location.clone(), "filter_list:\n"));
    let value = serde_yaml::from_str(filter_list).unwrap();
    let fields = Fields::from([("filter_list".to_owned(), Entry { value, origin })]);
    let config = TaskConfig::read(&fields).unwrap();
    Task { name: "t".into(), alias: "t".into(), config, file: location }
}

fn run(steps: &str, document: Value, answers: &[&str]) -> Value {
    let task = task(&format!("[{{name: x, filter: [{steps}]}}]"));
    let answers: Vec<String> = answers.iter().map(|a| (*a).to_owned()).collect();
    let pipelines = Pipeline::of(&task).unwrap();
    pipelines[0].apply(document.as_object().unwrap(), &answers).unwrap().answer
}

#[test]
fn the_first_answer_is_taken_where_nothing_is_said() {
    let mut task = task("[]");
    task.config.filter_list = None;
    let pipelines = Pipeline::of(&task).unwrap();
    assert_eq!(pipelines[0].name, "none");
    let outcome = pipelines[0].apply(&Document::new(), &["a".into(), "b".into()]).unwrap();
    assert_eq!(outcome, Outcome { answer: "a".into(), extracted: None });
}

#[test]
fn regex_picks_one_match() {
    let answer = ["It is 5 or 16 and $18."];
    let one = |steps: &str| run(&format!("{steps}, {{function: take_first}}"), json!({}), &answer);
    let flexible = "function: regex, regex_pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)'";
    assert_eq!(one(&format!("{{{flexible}}}")), "5");
    assert_eq!(one(&format!("{{{flexible}, group_select: -1}}")), "$18.");
    assert_eq!(one(&format!("{{{flexible}, group_select: 1}}")), "16");
    assert_eq!(one("{function: regex}"), "[invalid]");
    assert_eq!(one("{function: regex, fallback: none}"), "none");
}

#[test]
fn it_is_known_in_how_many_answers_something_was_found() {
    let extracted = |steps: &str, answers: &[&str]| {
        let task = task(&format!("[{{name: x, filter: [{steps}]}}]"));
        let answers: Vec<String> = answers.iter().map(|a| (*a).to_owned()).collect();
        Pipeline::of(&task).unwrap()[0].apply(&Document::new(), &answers).unwrap().extracted
    };
    let number = "{function: regex, regex_pattern: '[0-9]+'}";
    let first = "{function: take_first}";
    assert_eq!(extracted(&format!("{number}, {first}"), &["so 5", "none"]), Some(0.5));
    // What is found counts, whatever stands where nothing is.
    let zero = "{function: regex, regex_pattern: '[0-9]+', fallback: '0'}";
    assert_eq!(extracted(&format!("{zero}, {first}"), &["0"]), Some(1.0));
    assert_eq!(extracted(&format!("{zero}, {first}"), &["none"]), Some(0.0));
    // What a later step finds in the fallback is nothing that the model said.
    let word = "{function: regex, regex_pattern: '[a-z]+'}";
    assert_eq!(extracted(&format!("{number}, {word}, {first}"), &["none"]), Some(0.0));
    assert_eq!(extracted(&format!("{{function: lowercase}}, {first}"), &["A"]), None);
}

#[test]
fn lists_stay_lists_until_one_is_taken() {
    let answers = ["b ", "a", "b"];
    let strip = "{function: remove_whitespace}";
    assert_eq!(run(strip, json!({}), &answers), json!(["b", "a", "b"]));
    assert_eq!(
        run(&format!("{strip}, {{function: take_first_k, k: 2}}"), json!({}), &answers),
        json!(["b", "a"])
    );
    let vote = format!("{strip}, {{function: majority_vote}}, {{function: take_first}}");
    assert_eq!(run(&vote, json!({}), &answers), "b");
    let mapped = "{function: uppercase}, {function: lowercase}, {function: map, mapping_dict: {a: 1}, default_value: 0}";
    assert_eq!(run(mapped, json!({}), &["A", "b"]), json!([1, 0]));
    // As in Python, what comes after take_first sees the characters of a text, and no number.
    let twice = "{function: take_first}, {function: map, mapping_dict: {b: 1}}";
    assert_eq!(run(&format!("{twice}, {{function: take_first}}"), json!({}), &["ba", "c"]), 1);
    let thrice = format!("{twice}, {{function: take_first}}, {{function: take_first}}");
    let [pipeline] = &Pipeline::of(&task(&format!("[{{name: x, filter: [{thrice}]}}]"))).unwrap()[..] else {
        panic!()
    };
    assert!(pipeline.apply(&Document::new(), &["b".to_owned()]).unwrap_err().contains("needs a text"));
}

#[test]
fn choices_by_letter_by_text_and_after_a_colon() {
    let steps = "{function: multi_choice_regex, regex_pattern: '(\\([A-Z]\\))', ignore_case: true, \
                 ignore_punctuation: true}, {function: take_first}";
    let document = json!({"choices": ["Guilty", "Guilty of Romance!", "c"]});
    for (answer, wanted) in [
        ("I say (B).", "(B)"),
        ("guilty of, romance", "(B)"),
        ("Guilty!", "(A)"),
        ("The answer is: B", "(B)"),
        ("nothing", "[invalid]"),
    ] {
        assert_eq!(run(steps, document.clone(), &[answer]), wanted, "{answer}");
    }
}

#[test]
fn named_entities_are_spans() {
    let steps = "{function: format_span}, {function: take_first}";
    let text = "Person: Ann, Bob $$ LOC: none\nDate: today";
    // Python: SPANFilter().apply([[text]], [{}])
    assert_eq!(run(steps, json!({}), &[text]), "per: ann $ per: bob $ date: today");
}

#[test]
fn slips_are_named() {
    let said = |list: &str| Pipeline::of(&task(list)).unwrap_err().to_string();
    for (list, part) in [
        ("[{name: x, filter: [{function: regx}]}]", "did you mean \"regex\""),
        ("[{name: x, filter: [{function: regex, regex_pattern: '('}]}]", "filter_list[0].filter[0]"),
        ("[{name: x, filter: [{function: regex, group: 1}]}]", "group: this step has no such argument"),
        ("[{name: x, filter: []}, {name: x, filter: []}]", "stands above"),
        ("[{name: x, filter: [{function: take_first_k, k: 0}]}]", "above 0"),
        ("[{name: x, filter: [{function: custom, filter_fn: !function u.own}]}]", "u.own"),
        ("[{name: x, filter: [{function: custom}]}]", "!function"),
    ] {
        assert!(said(list).contains(part), "{}", said(list));
    }
}
