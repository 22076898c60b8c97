//! A place with tasks of every kind in few documents, and what is compared of two runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::interrupted::files;
use crate::support::place::Place;

/// Documents of the larger tasks; the smaller ones have fewer than seven.
const DOCUMENTS: usize = 9;
/// All tasks of [`world`], of which two are in a group.
pub const SUITE: &str = "pair,last,page,write";

/// Tasks with examples, choices by themselves, groups, whole texts, and answers that are written.
pub fn world(flags: &[&str]) -> Place {
    world_of(DOCUMENTS, flags)
}

/// The same with more documents in the larger ones.
pub fn world_of(documents: usize, flags: &[&str]) -> Place {
    let place = Place::new(flags);
    let row = |n: usize| {
        // Two documents ask the same, in different shards.
        let asked = if n == 4 { 1 } else { n };
        let row =
            json!({"q": format!("What is {asked} + {asked}"), "a": format!("{}", 2 * asked), "gold": n % 2});
        format!("{row}\n")
    };
    place.task("rows.jsonl", (0..documents).map(row).collect::<String>());
    place.task("few.jsonl", (50..55).map(row).collect::<String>());
    place.task("train.jsonl", (60..80).map(row).collect::<String>());
    let data = |file: &str, shots: usize| {
        format!(
            "dataset_path: json\ndataset_kwargs: {{data_files: {{test: {file}.jsonl, train: train.jsonl}}}}\ntest_split: test\n\
             fewshot_split: train\nnum_fewshot: {shots}\n"
        )
    };
    place.task(
        "choose.yaml",
        format!(
            "task: choose\noutput_type: multiple_choice\n{}doc_to_text: \"{{{{q}}}} =\"\ndoc_to_choice: [\"four\", \"2\"]\n\
             doc_to_target: gold\nmetric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_mutual_info}}]\n",
            data("rows", 2)
        ),
    );
    place.task(
        "pick.yaml",
        format!(
            "task: pick\noutput_type: multiple_choice\n{}doc_to_text: \"{{{{q}}}}?\"\ndoc_to_choice: [\"a\", \"b\", \"{{{{a}}}}\"]\n\
             doc_to_target: gold\nmetric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: f1}}]\n",
            data("few", 1)
        ),
    );
    place.task(
        "pair.yaml",
        "group: pair\ntask: [choose, pick]\naggregate_metric_list:\n- {metric: acc, weight_by_size: true}\n\
         - {metric: acc_norm, weight_by_size: false}\n",
    );
    place.task(
        "last.yaml",
        format!(
            "task: last\noutput_type: loglikelihood\n{}doc_to_text: \"{{{{q}}}} =\"\ndoc_to_target: \" {{{{a}}}}\"\n\
             metric_list: [{{metric: acc}}, {{metric: perplexity}}]\n",
            data("rows", 3)
        ),
    );
    place.task(
        "page.yaml",
        format!(
            "task: page\noutput_type: loglikelihood_rolling\n{}doc_to_text: \"\"\ndoc_to_target: \"{{{{q}}}} is {{{{a}}}}.\"\n\
             metric_list: [{{metric: word_perplexity}}, {{metric: bits_per_byte}}]\n",
            data("few", 0)
        ),
    );
    place.task(
        "write.yaml",
        format!(
            "task: write\noutput_type: generate_until\n{}doc_to_text: \"{{{{q}}}} =\"\ndoc_to_target: \"{{{{a}}}}\"\n\
             generation_kwargs: {{until: [\".\"], max_gen_toks: 8, do_sample: true, temperature: 0.9, seed: 3}}\nrepeats: 2\n\
             metric_list: [{{metric: exact_match}}]\n\
             filter_list: [{{name: digits, filter: [{{function: regex, regex_pattern: \"(\\\\d+)\"}}, {{function: take_first}}]}}]\n",
            data("rows", 1)
        ),
    );
    place
}

/// The names of so many shards' folders, `3-0`, `3-1`, `3-2`.
pub fn names(of: usize) -> Vec<String> {
    (0..of).map(|index| format!("{of}-{index}")).collect()
}

/// Runs all shards of so many.
pub fn run_shards(place: &Place, of: usize, extra: &[&str]) {
    for (index, name) in names(of).iter().enumerate() {
        let shard = format!("{index}/{of}");
        place.run(name, &[&["--shard", &shard][..], extra].concat());
    }
}

/// Merges folders of the place into `out`.
pub fn merge(place: &Place, runs: &[String], out: &str, extra: &[&str]) -> Output {
    let paths: Vec<String> = runs.iter().map(|run| place.text(run)).collect();
    let out = place.text(out);
    let args: Vec<&str> = paths.iter().map(String::as_str).collect();
    place.zoo(&[&["merge"][..], &args, &["--out", &out], extra].concat())
}

/// Two runs have the same files in the same bytes, but for times and what only one process can know.
#[track_caller]
pub fn assert_same(merged: &Path, whole: &Path) {
    let mut own = files(merged);
    assert!(own.remove("merged.yaml").is_some());
    let expected = files(whole);
    let listed = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(listed(&own), listed(&expected));
    for (name, bytes) in &expected {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(own[name] == *bytes, "{name}:\n{}\n---\n{}", text(&own[name]), text(bytes));
    }
    let read = |run: &Path, name: &str| fs::read_to_string(run.join(name)).unwrap();
    assert_eq!(read(merged, "settings.yaml"), read(whole, "settings.yaml"));
    assert_eq!(described(merged), described(whole));
    assert_eq!(harness_files(merged), harness_files(whole));
    assert_eq!(ledger_lines(merged), ledger_lines(whole));
}

/// The description without times and without tokens that only one process can share.
fn described(run: &Path) -> serde_yaml::Value {
    let text = fs::read_to_string(run.join("run.yaml")).unwrap();
    let mut all: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let times = ["started", "seconds"];
    times.iter().for_each(|key| drop(all.as_mapping_mut().unwrap().remove(*key)));
    for model in all["models"].as_sequence_mut().unwrap() {
        let model = model.as_mapping_mut().unwrap();
        model.remove("seconds");
        model["tokens"] = model["tokens"]["asked"].clone();
        model["requests"] = model["requests"]["asked"].clone();
    }
    all
}

/// Files in the reference harness's form, without times.
fn harness_files(run: &Path) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut take = |path: &Path| {
        let name = path.strip_prefix(run).unwrap().display().to_string();
        // The date is in the name.
        let name = name.split("_20").next().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let mut value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if let Some(object) = value.as_object_mut() {
            ["date", "total_evaluation_time_seconds"].iter().for_each(|key| drop(object.remove(*key)));
        }
        found.insert(name, value);
    };
    for folder in fs::read_dir(run.join("lm-eval")).into_iter().flatten().flatten() {
        fs::read_dir(folder.path()).unwrap().flatten().for_each(|entry| take(&entry.path()));
    }
    let single = run.join("results.json");
    if single.exists() {
        take(&single);
    }
    assert!(!found.is_empty());
    found
}

/// All lines of all ledgers, sorted; they stand there in the order in which answers came.
fn ledger_lines(run: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(run.join("ledger")).unwrap().flatten() {
        lines.extend(fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned));
    }
    lines.sort();
    lines
}
