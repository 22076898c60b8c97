//! Shards that are merged are the run that one process makes, byte for byte.

use std::fs;

use serde_json::{Value, json};

use super::world::{SUITE, assert_same, merge, names, run_shards, world, world_of};
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{command, stderr, stdout, write_tiny_model};

/// Few enough positions for some prompts to lose tokens.
const FLAGS: [&str; 8] = ["--suite", SUITE, "--max-length", "70", "--threads", "1", "--batch-tokens", "80"];

#[test]
fn any_number_of_shards_becomes_the_run_of_one_process() {
    let place = world_of(90, &FLAGS);
    place.run("whole", &["--log-samples"]);
    let bytes = fs::metadata(place.ledger("whole")).unwrap().len();
    for of in [1, 2, 3, 7] {
        if of == 3 {
            // Two are killed at work, each time the same shard, and go on.
            let tasks = place.text("tasks");
            let own = |shard| ["--shard", shard, "--log-samples", "--include-path", &tasks, "--resume"];
            place.kill_after_bytes("3-1", &own("1/3"), bytes / 10);
            place.kill_after_bytes("3-1", &own("1/3"), bytes / 6);
            place.kill_after_bytes("3-2", &own("2/3"), bytes / 8);
            for (name, shard) in [("3-0", "0/3"), ("3-1", "1/3"), ("3-2", "2/3")] {
                place.run(name, &["--shard", shard, "--log-samples", "--resume"]);
            }
            assert!(place.requests("3-1", "resumed") > 0);
        } else {
            run_shards(&place, of, &["--log-samples"]);
        }
        let out = format!("merged-{of}");
        let mut runs = names(of);
        runs.reverse();
        let output = merge(&place, &runs, &out, &["--format", "csv"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_same(&place.path(&out), &place.path("whole"));
        assert_eq!(stdout(&output), place.read("whole/results.csv"));
        // No results of a shard can be taken for those of the run.
        for name in names(of) {
            assert_eq!(place.read(&format!("{name}/results.csv")).lines().count(), 1);
            assert!(place.read(&format!("{name}/comparison.md")).contains("of a run"));
            for file in ["results.json", "lm-eval", "rotations.csv"] {
                assert!(!place.path(&name).join(file).exists(), "{file}");
            }
        }
    }
    // The documents of the smaller tasks are fewer than seven: a shard without any has its files too.
    let lines = place.read("7-6/samples/tiny/pick.jsonl").lines().count();
    assert_eq!(lines, 1);
    // What is known of documents is looked at across shards.
    let sanity = place.read("merged-3/sanity.csv");
    assert!(sanity.contains("choose,repeated,1,90,4,") && sanity.contains("truncated"), "{sanity}");
    let shares: usize = (0..7).map(|index| computed(&place, &format!("7-{index}"))).sum();
    assert_eq!(computed(&place, "merged-7"), shares);

    // A merged ledger answers whoever asks the same again.
    let merged = place.text("merged-7");
    let output = place.run("again", &["--log-samples", "--reuse", &merged]);
    assert!(stderr(&output).contains(" 0 computed"), "{}", stderr(&output));
    // A folder of shards is as good as their names; what else is there is passed by.
    fs::create_dir(place.path("shards")).unwrap();
    for name in ["2-0", "2-1", "merged-7"] {
        fs::rename(place.path(name), place.path("shards").join(name)).unwrap();
    }
    let output = merge(&place, &["shards".to_owned()], "from-folder", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&place.path("from-folder"), &place.path("whole"));
    // And a merged run is graded again like any other.
    let output = place.zoo(&["score", &place.text("from-folder"), "--format", "csv"]);
    assert_eq!(stdout(&output), place.read("whole/results.csv"), "{}", stderr(&output));
}

fn computed(place: &Place, run: &str) -> usize {
    let record: serde_yaml::Value = serde_yaml::from_str(&place.read(&format!("{run}/run.yaml"))).unwrap();
    record["models"][0]["tokens"]["computed"].as_u64().unwrap() as usize
}

#[test]
fn several_models_orders_and_protocols_are_merged() {
    let place = Place::new(&[
        "--suite",
        "basics_letters_en",
        "--limit",
        "5",
        "--num-fewshot",
        "2",
        "--rotate-options",
        "--protocol",
        "lm-eval-0.4.13,opencompass-ppl",
        "--metrics",
        "f1,acc_norm",
    ]);
    write_tiny_model(&place.path("other"));
    let other = place.text("other");
    place.run("whole", &[&other]);
    // The last of six shards has no document, and knows how many orders there are.
    for of in [2, 6] {
        run_shards(&place, of, &[&other]);
        let out = format!("merged-{of}");
        let output = merge(&place, &names(of), &out, &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_same(&place.path(&out), &place.path("whole"));
        assert!(place.path(&out).join("rotations.csv").exists());
    }
}

#[test]
fn documents_that_do_not_fit_are_left_out_in_their_shards() {
    for overlong in ["skip", "drop-shots"] {
        let place = world(&["--suite", "choose", "--max-length", "86", "--overlong", overlong]);
        place.run("whole", &["--num-fewshot", "3"]);
        run_shards(&place, 2, &["--num-fewshot", "3"]);
        let output = merge(&place, &names(2), "merged", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_same(&place.path("merged"), &place.path("whole"));
        let found = if overlong == "skip" { "skipped" } else { "dropped-examples" };
        assert!(place.read("merged/sanity.csv").contains(found), "{}", place.read("merged/sanity.csv"));
    }
}

#[test]
fn conversations_are_merged_turn_by_turn() {
    let place =
        Place::new(&["--suite", "mt-bench", "--max-length", "400", "--gen-kwargs", "max_gen_toks=12"]);
    let settings = place.path("tiny/tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    config["chat_template"] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}".into();
    fs::write(settings, config.to_string()).unwrap();
    let kinds = ["writing", "math", "fermi"];
    let questions = (0..8).map(|n| {
        // Some ask the same, and one is too long for its second turn.
        let said = if n == 5 { "x".repeat(360) } else { format!("Say {}.", n % 6) };
        let turns = [said, format!("Again {}.", n % 6)];
        format!("{}\n", json!({"question_id": 81 + n, "category": kinds[n % 3], "turns": turns}))
    });
    fs::create_dir_all(place.path("data/mt_bench")).unwrap();
    fs::write(place.path("data/mt_bench/question.jsonl"), questions.collect::<String>()).unwrap();
    let data = place.text("data");
    place.run("whole", &["--data-dir", &data]);
    run_shards(&place, 3, &["--data-dir", &data]);
    let output = merge(&place, &names(3), "merged", &["--data-dir", &data]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!place.path("3-0/judged").exists());
    let [whole, merged] = ["whole", "merged"].map(|run| {
        let file = place.path(run).join("judged/mt_bench/model_answer/tiny.jsonl");
        let text = fs::read_to_string(file).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // Ids and times of answers are new in every run.
        for line in &mut lines {
            let line = line.as_object_mut().unwrap();
            line.remove("tstamp");
            line.remove("answer_id");
        }
        lines
    });
    assert_eq!(merged, whole);
    for run in ["whole", "merged"] {
        fs::remove_dir_all(place.path(run).join("judged")).unwrap();
    }
    assert_same(&place.path("merged"), &place.path("whole"));
}

#[test]
fn a_merge_is_there_whole_or_not_at_all() {
    let place = world(&["--suite", "pick"]);
    run_shards(&place, 2, &[]);
    // What a merge that was killed left is not in the way, and nothing of it stays.
    fs::create_dir_all(place.path(".merged.zoo-merge/samples")).unwrap();
    fs::write(place.path(".merged.zoo-merge/samples/old"), "old").unwrap();
    fs::create_dir(place.path("merged")).unwrap();
    assert_says(&merge(&place, &names(2), "merged", &[]), 0, &["merged from 2 shards"]);
    assert!(!place.path("merged/samples/old").exists() && !place.path(".merged.zoo-merge").exists());
    let first = place.read("merged/results.csv");
    // An earlier run is moved aside by one that succeeds, and by no other.
    fs::remove_file(place.path("2-1/samples/tiny/pick.jsonl")).unwrap();
    assert_says(&merge(&place, &names(2), "merged", &[]), 1, &["2-1/samples/tiny/pick.jsonl"]);
    assert_eq!(place.read("merged/results.csv"), first);
    place.run("2-1", &["--shard", "1/2"]);
    assert_says(&merge(&place, &names(2), "merged", &[]), 0, &["an earlier run was in the way", "merged.1"]);
    assert_eq!(
        (place.read("merged/results.csv"), place.read("merged.1/results.csv")),
        (first.clone(), first)
    );
    // One that fails late has moved nothing.
    let (ledger, aside) = (place.ledger("2-1"), place.path("aside"));
    fs::rename(&ledger, &aside).unwrap();
    fs::create_dir(&ledger).unwrap();
    assert_says(&merge(&place, &names(2), "merged", &[]), 1, &["2-1/ledger"]);
    assert!(place.path("merged/results.csv").exists() && !place.path("merged.2").exists());
    let left = ["merged/.zoo.lock", ".merged.zoo-merge"].map(|name| place.path(name).exists());
    assert_eq!(left, [false; 2]);
    // Scores that were lost are told.
    fs::remove_dir(&ledger).unwrap();
    assert_says(&merge(&place, &names(2), "merged", &[]), 0, &["2-1: shard 1/2 has no ledger"]);
    fs::rename(&aside, &ledger).unwrap();
    // The claim of one that was killed is nobody's.
    fs::create_dir(place.path("killed")).unwrap();
    fs::write(place.path("killed/.zoo.lock"), "").unwrap();
    assert_says(&merge(&place, &names(2), "killed", &[]), 0, &["merged from 2 shards"]);
    // Nothing that is no run is written over, and no shard.
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/notes"), "mine").unwrap();
    assert_says(&merge(&place, &names(2), "mine", &[]), 2, &["found something else"]);
    assert_says(&merge(&place, &names(2), "2-1", &[]), 2, &["the shard", "2-1 is there"]);
    assert!(place.path("2-1/run.yaml").exists());
}

#[test]
fn a_merged_run_goes_where_its_name_leads() {
    let place = world(&["--suite", "pick"]);
    run_shards(&place, 2, &[]);
    for name in ["real", "here"] {
        fs::create_dir(place.path(name)).unwrap();
    }
    std::os::unix::fs::symlink("real", place.path("link")).unwrap();
    for (out, run) in [("link", "real"), ("new/.", "new"), ("new/.", "new"), ("below/../deep/er", "deep/er")]
    {
        assert_says(&merge(&place, &names(2), out, &[]), 0, &["merged from 2 shards"]);
        assert!(place.path(run).join("results.csv").exists(), "{out}");
    }
    assert!(place.path("link").is_symlink() && place.path("new.1/results.csv").exists());
    // A folder in which somebody works is not replaced, nor one that has no name.
    for (out, words) in [(".", "in which this command runs"), ("/", "expected the name of a folder")] {
        let args = ["merge", &place.text("2-0"), &place.text("2-1"), "--out", out];
        let mut merge = command(&[&args[..], &["--include-path", &place.text("tasks")]].concat());
        assert_says(&merge.current_dir(place.path("here")).output().unwrap(), 2, &[words]);
        assert_eq!(fs::read_dir(place.path("here")).unwrap().count(), 0);
    }
    std::os::unix::fs::symlink("nowhere", place.path("lost")).unwrap();
    assert_says(&merge(&place, &names(2), "lost", &[]), 1, &["cannot look at"]);
}
