//! `zoo eval` as a user runs it, on a tiny model of random weights: the files of a run and their form.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_bloom, write_tiny_model, zoo};
use serde_json::Value;

/// The columns of `results.csv`, in order, as documented.
const COLUMNS: &str = "model,suite,task,num_fewshot,metric,filter,value,stderr,n,published,published_source,protocol,\
                       weights_sha256,data_sha256,precision,template,version,revision";

fn eval(folder: &Path, extra: &[&str]) -> std::process::Output {
    let model = folder.join("tiny");
    if !model.exists() {
        write_tiny_model(&model);
    }
    let run = folder.join("run");
    let mut args = vec![
        "eval",
        model.to_str().unwrap(),
        "--suite",
        "basics",
        "--limit",
        "6",
        "--out",
        run.to_str().unwrap(),
    ];
    args.extend(extra);
    zoo(&args)
}

#[test]
fn a_run_leaves_tables_samples_and_its_description() {
    let folder = tempfile::tempdir().unwrap();
    let output = eval(folder.path(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.contains("basics") && table.contains('±') && !table.contains("results.csv"), "{table}");
    // What is no result is on stderr, and not there either with --quiet.
    let notes = stderr(&output);
    assert!(notes.contains("tokens asked") && notes.contains("results: "), "{notes}");
    let quiet = eval(folder.path(), &["--quiet"]);
    assert_eq!((stdout(&quiet), stderr(&quiet)), (table.clone(), String::new()));
    // What is done, and with a second -v why so.
    let [done, why] = ["-v", "-vv"].map(|flag| eval(folder.path(), &[flag]));
    assert_eq!((stdout(&done), stdout(&why)), (table.clone(), table.clone()));
    let [done, why] = [done, why].map(|output| stderr(&output));
    assert!(done.contains(" requests of 8 tasks") && done.contains("writing tables"), "{done}");
    assert!(
        !done.contains("distinct tokens in a forward pass") && !notes.contains("writing tables"),
        "{done}"
    );
    assert!(why.contains("distinct tokens in a forward pass") && why.contains("writing tables"), "{why}");
    assert!(!table.contains('\u{1b}'), "colour codes in a pipe: {table}");

    let run = folder.path().join("run");
    let results = fs::read_to_string(run.join("results.csv")).unwrap();
    assert_eq!(results.lines().next(), Some(COLUMNS));
    let mut rows = csv::Reader::from_reader(results.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let group = rows.iter().find(|row| &row[2] == "basics" && &row[4] == "acc").unwrap();
    assert_eq!(&group[0], "tiny");
    assert_eq!(group[11].to_owned(), "lm-eval-0.4.13");
    assert!(group[6].parse::<f64>().unwrap() > 0.0 && group[12].len() == 64 && group[13].len() == 64);

    let description: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(run.join("run.yaml")).unwrap()).unwrap();
    assert_eq!(description["models"][0]["weights_sha256"].as_str().unwrap(), &group[12]);
    assert!(
        description["models"][0]["tokens"]["asked"].as_u64()
            >= description["models"][0]["tokens"]["computed"].as_u64()
    );
    assert!(fs::read_to_string(run.join("comparison.md")).unwrap().contains("| tiny |"));
    assert!(fs::read_to_string(run.join("comparison.csv")).unwrap().starts_with("suite,task,"));

    let samples = fs::read_to_string(run.join("samples/tiny/basics_knowledge_en.jsonl")).unwrap();
    let lines: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), lines[0]["kind"].as_str()), (7, Some("header")));
    assert_eq!(lines[1]["choices"].as_array().unwrap().len(), 4);
    assert_eq!(lines[1]["prompt_sha256"].as_str().unwrap().len(), 64);
    let accuracy: f64 = lines[1..].iter().map(|line| line["metrics"]["acc,none"].as_f64().unwrap()).sum();
    assert!((lines[0]["metrics"]["acc,none"].as_f64().unwrap() - accuracy / 6.0).abs() < 1e-12);
}

#[test]
fn a_choice_s_log_likelihood_is_the_sum_over_its_bytes_in_any_wave() {
    let folder = tempfile::tempdir().unwrap();
    let read = || {
        let text = fs::read_to_string(folder.path().join("run/samples/tiny/basics_reading.jsonl")).unwrap();
        text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let small = ["--batch-tokens", "300", "--threads", "1", "--matmul", "portable"];
    assert!(eval(folder.path(), &small).status.success());
    let in_small_waves = read();
    assert!(eval(folder.path(), &["--matmul", "portable"]).status.success());
    let in_one_wave = read();
    assert_eq!(in_small_waves, in_one_wave);
    let choice = &in_one_wave[0]["choices"][0];
    assert_eq!(choice["n_tokens"].as_u64().unwrap() as usize, choice["tokens"].as_array().unwrap().len());
    assert!(choice["logprob"].as_f64().unwrap() < -1.0);
}

#[test]
fn a_second_run_in_the_same_folder_keeps_the_first() {
    let folder = tempfile::tempdir().unwrap();
    assert!(eval(folder.path(), &[]).status.success());
    let first = fs::read(folder.path().join("run/results.csv")).unwrap();
    let again = eval(folder.path(), &[]);
    assert!(again.status.success() && stderr(&again).contains("run.1"), "{}", stderr(&again));
    assert_eq!(fs::read(folder.path().join("run.1/results.csv")).unwrap(), first);
    assert_eq!(fs::read(folder.path().join("run/results.csv")).unwrap(), first);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = eval(folder.path(), &["--dry-run"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for word in ["documents", "requests", "tokens asked", "tokens distinct", "MiB"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn stdout_is_the_form_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = eval(folder.path(), &["--format", "csv", "--quiet"]);
    assert_eq!(stdout(&output).lines().next(), Some(COLUMNS));
    assert_eq!(stdout(&output).as_bytes(), fs::read(folder.path().join("run/results.csv")).unwrap());
    let output = eval(folder.path(), &["--format", "json", "--quiet"]);
    let rows: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(rows[0]["suite"], "basics");
}

#[test]
fn two_models_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    write_tiny_model(&other);
    let output = eval(folder.path(), &[other.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let comparison = fs::read_to_string(folder.path().join("run/comparison.csv")).unwrap();
    assert!(
        comparison.lines().next().unwrap().ends_with("tiny,tiny stderr,other,other stderr"),
        "{comparison}"
    );
}

#[test]
fn models_whose_files_would_have_one_name_get_numbers() {
    let place = Place::new(&["--suite", "basics_reading", "--limit", "2"]);
    for name in ["my model", "my_model"] {
        write_tiny_model(&place.path(name));
    }
    let models = ["my model", "my_model"].map(|name| place.text(name));
    place.run("run", &models.each_ref().map(String::as_str));
    for folder in ["samples/tiny", "samples/my_model", "samples/my_model-2"] {
        assert!(place.path("run").join(folder).join("basics_reading.jsonl").exists(), "{folder}");
    }
    let results = place.read("run/results.csv");
    assert!(results.contains("\nmy model,") && results.contains("\nmy_model-2,"), "{results}");
}

#[test]
fn a_prompt_longer_than_the_context_loses_its_beginning_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let output = eval(folder.path(), &["--max-length", "100"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("lost tokens on the left"), "{}", stderr(&output));
    let text = fs::read_to_string(folder.path().join("run/samples/tiny/basics_reading.jsonl")).unwrap();
    let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["truncated"], true);
    assert!(line["choices"][0]["truncated"].as_u64().unwrap() > 0);
}

#[test]
fn a_bloom_model_is_run_like_any_other_and_alike_in_any_wave() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_bloom(&folder.path().join("tiny"));
    let scores = |extra: &[&str]| {
        let output = eval(folder.path(), &[&["--matmul", "portable"], extra].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        fs::read_to_string(folder.path().join("run/samples/tiny/basics_reading.jsonl")).unwrap()
    };
    let text = scores(&[]);
    let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert!(line["choices"][0]["logprob"].as_f64().unwrap() < -1.0, "{line}");
    let choices = |text: &str| -> Vec<Value> {
        let lines = text.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|mut line| line["choices"].take()).collect()
    };
    assert_eq!(choices(&text), choices(&scores(&["--batch-tokens", "300", "--threads", "1"])));
}

#[test]
fn whole_texts_are_scored_beside_answers_that_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = folder.path().join("tasks");
    fs::create_dir_all(&tasks).unwrap();
    let common = "dataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n\
                  doc_to_text: \"\"\ndoc_to_target: \"{{page}}\"\n";
    let metrics = "aggregate_metric_list: [{metric: byte_perplexity}]\n";
    for (name, text) in [
        ("roll.yaml", format!("task: roll\noutput_type: loglikelihood_rolling\n{common}")),
        (
            "write.yaml",
            format!(
                "task: write\noutput_type: generate_until\ngeneration_kwargs: {{max_gen_toks: 1}}\n{common}"
            ),
        ),
        ("both.yaml", format!("group: both\ntask: [roll, write]\n{metrics}")),
        ("alone.yaml", format!("group: alone\ntask: [roll]\n{metrics}")),
        ("rows.jsonl", "{\"page\": \"One two. \"}\n{\"page\": \"Three\"}\n".to_owned()),
    ] {
        fs::write(tasks.join(name), text).unwrap();
    }
    let (model, run) = (folder.path().join("tiny"), folder.path().join("run"));
    write_tiny_model(&model);
    let output = zoo(&[
        "eval",
        model.to_str().unwrap(),
        "--suite",
        "both,alone",
        "--include-path",
        tasks.to_str().unwrap(),
        "--max-length",
        "4",
        "--out",
        run.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let results = fs::read_to_string(folder.path().join("run/results.csv")).unwrap();
    assert!(results.contains(",alone,alone,0,byte_perplexity,none,"), "{results}");
    assert!(results.contains(",both,roll,0,word_perplexity,none,"), "{results}");
    assert!(results.contains(",both,write,0,exact_match,none,"), "{results}");
    let samples = fs::read_to_string(folder.path().join("run/samples/tiny/roll.jsonl")).unwrap();
    let lines: Vec<Value> = samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Bytes of "Three" and what the tokenizer puts around them; all are predicted once.
    let (first, second) = (&lines[1]["choices"][0], &lines[2]["choices"][0]);
    assert!(first["n_tokens"].as_u64() > second["n_tokens"].as_u64());
    let sum = first["logprob"].as_f64().unwrap() + second["logprob"].as_f64().unwrap();
    let byte_perplexity = (-sum / 14.0).exp();
    let reported = lines[0]["metrics"]["byte_perplexity,none"].as_f64().unwrap();
    assert!((reported / byte_perplexity - 1.0).abs() < 1e-9, "{reported} {byte_perplexity}");
    assert_eq!(lines[0]["metrics"]["byte_perplexity_stderr,none"], Value::Null);
}

#[test]
fn what_is_here_needs_neither_a_hub_nor_a_cache() {
    let place = Place::new(&["--suite", "mine"]);
    let task = "task: mine\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n\
                output_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_choice: [\"yes\", \"no\"]\ndoc_to_target: a\n\
                metric_list: [{metric: acc}]\n";
    place.task("mine.yaml", task);
    place.task("rows.jsonl", "{\"q\": \"Is it?\", \"a\": 0}\n");
    fs::write(place.path("file"), "").unwrap();
    let nowhere = place.path("file").join("home");
    let run = |out: &str, vars: &[(&str, &str)], more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
        command.args(place.args(out, more)).arg("--include-path").arg(place.path("tasks"));
        command.env_clear().envs(vars.iter().copied()).output().unwrap()
    };
    // No home at all, one that is not to be written to, and settings of a hub that nobody asks.
    let (home, address) = (nowhere.to_str().unwrap(), ("HF_ENDPOINT", "no address"));
    for (number, vars) in [&[address][..], &[("ZOO_HOME", home), address], &[("HF_TOKEN", "no token\u{7}")]]
        .into_iter()
        .enumerate()
    {
        let out = format!("run-{number}");
        assert_says(&run(&out, vars, &[]), 0, &["results: "]);
        assert!(place.path(&out).join("results.csv").exists());
        assert_says(&run("none", vars, &["--dry-run"]), 0, &[]);
    }
    // What is missing needs them, and says so.
    let output = run("none", &[address], &["--suite", "arc_easy"]);
    assert!(!output.status.success() && stderr(&output).contains("ZOO_HOME"), "{}", stderr(&output));
    let output = run("none", &[("ZOO_HOME", home), address], &["--suite", "arc_easy"]);
    assert!(!output.status.success() && stderr(&output).contains("HF_ENDPOINT"), "{}", stderr(&output));
    assert!(!place.path("none").exists());
}
