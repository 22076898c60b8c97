//! Names of tasks and models that are no file names, or more than text to what opens a table.

use std::collections::BTreeSet;
use std::fs;

use zoo::report::read_results;

use crate::support::place::Place;
use crate::support::tiny::{stderr, write_tiny_model};

/// A task of this name, in a file of its own; its one document says which it is.
fn task(place: &Place, number: usize, name: &str) {
    place.task(&format!("rows{number}.jsonl"), format!("{{\"q\": \"document {number}\"}}\n"));
    let name = serde_json::to_string(name).unwrap();
    let text = format!(
        "task: {name}\noutput_type: multiple_choice\ndataset_path: json\n\
         dataset_kwargs: {{data_files: {{test: rows{number}.jsonl}}}}\ntest_split: test\nnum_fewshot: 0\n\
         doc_to_text: \"{{{{q}}}}\"\ndoc_to_choice: [a, b]\ndoc_to_target: 0\nmetric_list: [{{metric: acc}}]\n"
    );
    place.task(&format!("task{number}.yaml"), text);
}

#[test]
fn tasks_of_like_names_have_files_of_their_own() {
    let long = "long".repeat(75);
    let names = ["x a", "x_a", "x/a", &long];
    let suite = names.join(",");
    let place = Place::new(&["--suite", &suite, "--log-samples"]);
    names.iter().enumerate().for_each(|(number, name)| task(&place, number, name));
    place.run("run", &[]);
    let files = fs::read_dir(place.path("run/samples/tiny")).unwrap();
    let texts: BTreeSet<String> =
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for name in names {
        let own = format!("\"task\":{}", serde_json::to_string(name).unwrap());
        assert_eq!(texts.iter().filter(|text| text.contains(&own)).count(), 1, "{own}");
    }
    assert_eq!(texts.len(), names.len());
    assert!(place.path("run/samples/tiny/x_a.jsonl").exists());
    let own = fs::read_dir(place.path("run/lm-eval")).unwrap().next().unwrap().unwrap().path();
    let own: Vec<String> = fs::read_dir(own)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("samples_"))
        .collect();
    assert_eq!(own.len(), names.len(), "{own:?}");
    // The reference harness writes a name as it is.
    assert!(own.iter().any(|name| name.starts_with("samples_x a_20")), "{own:?}");
    // They are found again.
    let before = place.read("run/results.csv");
    let output = place.zoo(&["score", &place.text("run"), "--out", &place.text("again")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.read("again/results.csv"), before);
}

#[test]
fn names_are_no_formulas_and_no_marks_in_tables() {
    let place = Place::new(&["--suite", "@x"]);
    task(&place, 0, "@x");
    let (plain, marks) = ("=1+2", "<script>");
    for name in [plain, marks] {
        write_tiny_model(&place.path(name));
    }
    let (plain, marks) = (place.text(plain), place.text(marks));
    let args = ["eval", &plain, &marks, "--suite", "@x", "--out", &place.text("run")];
    let output = place.zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    for file in ["results.csv", "comparison.csv", "sanity.csv"] {
        let text = place.read(&format!("run/{file}"));
        let cells = text.lines().flat_map(|line| line.split(','));
        let formula = cells.filter(|cell| cell.starts_with(['=', '@'])).count();
        assert_eq!(formula, 0, "{file}: {text}");
    }
    let rows = read_results(place.read("run/results.csv").as_bytes()).unwrap();
    assert!(rows.iter().any(|row| (row.model.as_str(), row.task.as_str()) == ("=1+2", "@x")));
    for file in ["comparison.md", "details.md"] {
        let text = place.read(&format!("run/{file}"));
        assert!(text.contains("&lt;script>") && !text.contains("<script"), "{file}: {text}");
    }
}
