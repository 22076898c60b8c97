//! Every verb in every form that it prints: what people and programs read stays as it is.

use std::path::Path;

use crate::support::tiny::{command, stderr, stdout, write_tiny_model};

/// What the verb prints in each of these forms, one below the other.
fn forms(folder: &Path, verb: &[&str], forms: &[&str]) -> String {
    let form = |form: &&str| {
        let output = command(&[verb, &["--format", form]].concat()).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{verb:?} {form}: {}", stderr(&output));
        format!("=== {form} ===\n{}", stdout(&output))
    };
    forms.iter().map(form).collect()
}

fn nowhere(verb: &[&str], formats: &[&str]) -> String {
    forms(Path::new("."), verb, formats)
}

#[test]
fn a_list_of_models() {
    insta::assert_snapshot!(nowhere(&["list", "--family", "ziya,coati"], &["table", "csv", "json", "md"]));
}

#[test]
fn a_list_of_no_models_has_a_head() {
    insta::assert_snapshot!(nowhere(&["list", "--family", "none"], &["table", "csv", "json", "md"]));
}

#[test]
fn a_list_of_suites() {
    insta::assert_snapshot!(nowhere(&["suites", "ARC"], &["table", "csv", "json"]));
}

#[test]
fn protocols() {
    insta::assert_snapshot!(nowhere(&["suites", "--protocols"], &["csv", "json"]));
}

#[test]
fn a_page_of_a_model() {
    insta::assert_snapshot!(nowhere(&["show", "coati"], &["text", "json"]));
}

#[test]
fn a_recipe_and_its_curve() {
    insta::assert_snapshot!(nowhere(&["recipe", "llama-7b"], &["table", "json"]));
    insta::assert_snapshot!(nowhere(&["recipe", "llama-7b", "--steps", "0,1000,2000,250000"], &["csv"]));
}

#[test]
fn a_family() {
    insta::assert_snapshot!(nowhere(&["tree", "ziya-13b"], &["text", "dot", "mermaid"]));
}

#[test]
fn a_verification() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("model"));
    insta::assert_snapshot!(forms(folder.path(), &["verify", "model"], &["table", "json", "md"]));
}

#[test]
fn a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["base", "tuned"].map(|name| folder.path().join(name));
    write_tiny_model(&a);
    write_tiny_model(&b);
    // A change of whole halves: its sums have no last digits that could differ.
    change(&b.join("model.safetensors"));
    let verb = ["diff", "base", "tuned", "--fast", "--top", "3"];
    insta::assert_snapshot!(forms(folder.path(), &verb, &["table", "md"]));
    let all = forms(folder.path(), &verb, &["csv", "json"]);
    let tensors = all.lines().filter(|line| line.contains("layers.1")).count();
    assert_eq!(tensors, 9 + 9, "{all}");
    insta::assert_snapshot!("the_head_of_a_difference", all.lines().nth(1).unwrap());
}

/// Makes the last number of a file of 32-bit numbers another one.
fn change(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&0.5f32.to_le_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_form_that_a_verb_does_not_have_is_refused_with_those_that_it_has() {
    for (verb, forms) in [
        ("list", "table, csv, json, md"),
        ("suites", "table, csv, json"),
        ("show", "text, json"),
        ("recipe", "table, csv, svg, json"),
        ("tree", "text, dot, mermaid, svg"),
        ("verify", "table, json, md"),
        ("diff", "table, csv, json, md"),
        ("extract-lora", "table, csv, json"),
        ("bench", "table, csv, json"),
        ("eval", "table, csv, md, json"),
        ("score", "table, csv, md, json"),
    ] {
        let output = command(&[verb, "--format", "none"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{verb}");
        let said = stderr(&output);
        assert!(said.contains(&format!("[possible values: {forms}]")), "{verb}: {said}");
    }
}
