//! `zoo eval --resume`: a run that was killed goes on and ends in the files of one that was not; what is wrong with a
//! ledger is said, and nothing wrong is used.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::interrupted::files;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_bloom, write_tiny_model, zoo};

/// Five tasks.
const SUITE: &str =
    "basics_arithmetic,basics_knowledge_en,basics_letters_en,basics_reading,basics_continuation_en";

/// A model that is run in many small waves.
fn place() -> Place {
    Place::new(&["--suite", SUITE, "--limit", "6", "--batch-tokens", "400", "--threads", "1"])
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_in_the_same_files() {
    let place = place();
    place.run("whole", &[]);
    let expected = files(&place.path("whole"));
    let size = fs::metadata(place.ledger("whole")).unwrap().len();
    // Killed at four sizes of its ledger, each time the same run.
    for part in 1..=4 {
        place.kill_after_bytes("run", &["--resume"], size * part / 5);
        assert!(!place.path("run/results.csv").exists());
    }
    let output = place.eval("run", &["--resume"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("were answered before the interruption"), "{}", stderr(&output));
    assert_eq!(files(&place.path("run")), expected);
    assert!(place.requests("run", "resumed") > 0);
    // One line for every score: nothing was computed twice.
    assert_eq!(lines(&place.ledger("run")), lines(&place.ledger("whole")));
    assert!(!place.path("run/run.partial.yaml").exists());
}

#[test]
fn a_finished_run_is_shown_and_not_computed() {
    let place = place();
    let first = place.eval("run", &[]);
    fs::remove_dir_all(place.path("tiny")).unwrap();
    let again = place.eval("run", &["--resume"]);
    assert_says(&again, 0, &["this run is complete, since "]);
    let table = |output: &Output| -> Vec<String> {
        stdout(output).lines().filter(|line| line.contains('±')).map(str::to_owned).collect()
    };
    assert!(table(&first).len() > 5);
    assert_eq!(table(&again), table(&first));
    let csv = place.eval("run", &["--resume", "--format", "csv"]);
    assert_eq!(csv.stdout, fs::read(place.path("run/results.csv")).unwrap());
    // Not in place of another run.
    let other = place.eval("run", &["--resume", "--num-fewshot", "1"]);
    assert_says(&other, 2, &["finished run of something else", "--num-fewshot: none then, 1 now"]);
    let run = place.path("run");
    let other =
        zoo(&["eval", "other", "--suite", SUITE, "--limit", "6", "--out", run.to_str().unwrap(), "--resume"]);
    assert_says(&other, 2, &["model: tiny then, other now"]);
}

#[test]
fn weights_are_not_read_where_every_score_is_known() {
    let place = place();
    place.run("run", &[]);
    let expected = files(&place.path("run"));
    place.unfinish("run");
    let output = place.eval("run", &["--resume"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(" 0 computed;"), "{}", stderr(&output));
    assert_eq!(files(&place.path("run")), expected);
    assert_eq!(place.requests("run", "resumed"), place.requests("run", "asked"));
}

#[test]
fn without_resume_an_unfinished_run_is_moved_aside_and_its_scores_can_be_taken_over() {
    let place = place();
    place.run("whole", &[]);
    let expected = files(&place.path("whole"));
    let size = fs::metadata(place.ledger("whole")).unwrap().len();
    place.kill_after_bytes("run", &[], size / 2);
    let out = place.path("run");
    let output = place.eval("run", &["--reuse", out.to_str().unwrap()]);
    assert_says(&output, 0, &["unfinished run", "--resume", "run.1"]);
    assert!(stderr(&output).contains("taken over from other runs"), "{}", stderr(&output));
    assert_eq!(files(&out), expected);
    assert!(place.path("run.1/run.partial.yaml").exists());
    assert!(place.requests("run", "reused") > 0 && place.requests("run", "resumed") == 0);
}

#[test]
fn scores_are_taken_over_for_other_tasks_but_never_from_another_model() {
    let place = place();
    place.run("old", &[]);
    let old = place.path("old");
    // The same questions, and more of them.
    let output = place.eval("more", &["--reuse", old.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.requests("more", "reused"), place.requests("more", "asked"));
    // Another model with the same tokenizer and the same name.
    let file = place.path("tiny/model.safetensors");
    let mut weights = fs::read(&file).unwrap();
    // A bit of a mantissa.
    let low = weights.len() - 3;
    weights[low] ^= 0x10;
    fs::write(&file, weights).unwrap();
    let output = place.eval("other", &["--reuse", old.to_str().unwrap()]);
    assert_says(&output, 0, &["of another model (weights "]);
    assert_eq!(place.requests("other", "reused"), 0);
    // The same weights with another configuration.
    write_tiny_model(&place.path("tiny"));
    let config = place.path("tiny/config.json");
    let mut values: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    values["rms_norm_eps"] = 1e-4.into();
    fs::write(&config, values.to_string()).unwrap();
    let output = place.eval("config", &["--reuse", old.to_str().unwrap()]);
    assert_says(&output, 0, &["of another model (configuration "]);
    // Another kind of model altogether.
    fs::remove_dir_all(place.path("tiny")).unwrap();
    write_tiny_bloom(&place.path("tiny"));
    let output = place.eval("bloom", &["--reuse", old.to_str().unwrap()]);
    assert_says(&output, 0, &["of another model (weights "]);
    assert_eq!(place.requests("bloom", "reused"), 0);
    let missing = place.path("nowhere");
    let output = place.eval("none", &["--reuse", missing.to_str().unwrap()]);
    assert_says(&output, 1, &["nowhere", "cannot read"]);
}

#[test]
fn a_ledger_that_was_cut_or_changed_costs_its_lines_and_nothing_else() {
    let place = place();
    place.run("run", &[]);
    let expected = files(&place.path("run"));
    let ledger = place.ledger("run");
    let whole = fs::read(&ledger).unwrap();
    let (header, body) = whole.split_at(whole.iter().position(|&b| b == b'\n').unwrap() + 1);
    let line = body.iter().position(|&b| b == b'\n').unwrap() + 1;
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let twice = [&whole, &body[..line]].concat();
    for (what, bytes, words) in [
        ("cut in a line", whole[..whole.len() - 9].to_vec(), vec!["last line is cut after"]),
        ("cut in the header", header[..40].to_vec(), vec!["last line is cut after 40 bytes"]),
        ("a flipped digit", changed(header.len() + line + 40), vec!["1 of its lines", "line 3"]),
        ("no end of line", changed(header.len() + line - 1), vec!["damaged"]),
        ("a damaged header", changed(3), vec!["first line is damaged"]),
        ("one line twice", twice, vec![]),
        ("nothing", Vec::new(), vec![]),
        ("no text", vec![0xff; 1000], vec!["cut after 1000 bytes"]),
    ] {
        place.unfinish("run");
        fs::write(&ledger, bytes).unwrap();
        let output = place.eval("run", &["--resume"]);
        assert!(output.status.success(), "{what}: {}", stderr(&output));
        for word in words {
            assert!(stderr(&output).contains(word), "{what}: {word:?} is not in: {}", stderr(&output));
        }
        assert_eq!(files(&place.path("run")), expected, "{what}");
    }
}

#[test]
fn a_run_goes_on_only_as_what_it_was() {
    let place = place();
    place.run("run", &[]);
    place.unfinish("run");
    let before = fs::read(place.ledger("run")).unwrap();
    for (extra, words) in [
        (vec!["--num-fewshot", "1"], vec!["--num-fewshot: none then, 1 now"]),
        (vec!["--fewshot-seed", "7"], vec!["--fewshot-seed: 1234 then, 7 now"]),
        (vec!["--max-length", "300"], vec!["positions: 2048 then, 300 now"]),
        (
            vec!["--matmul", "portable", "--system-instruction", "Be."],
            vec!["--system-instruction: none then"],
        ),
    ] {
        let output = place.eval("run", &[&["--resume"], extra.as_slice()].concat());
        assert_says(&output, 2, &words);
        assert_says(&output, 2, &["begun with other settings", "without --resume"]);
    }
    write_tiny_bloom(&place.path("tiny"));
    assert_says(&place.eval("run", &["--resume"]), 2, &["model 1, weights: "]);
    assert_eq!(fs::read(place.ledger("run")).unwrap(), before);
    fs::write(place.path("run/run.partial.yaml"), "no: settings").unwrap();
    assert_says(&place.eval("run", &["--resume"]), 1, &["run.partial.yaml", "begin anew"]);
}

#[test]
fn resume_needs_a_folder_and_may_begin_in_an_empty_one() {
    let place = place();
    let output = zoo(&["eval", "x", "--suite", "basics", "--resume"]);
    assert_says(&output, 2, &["--out"]);
    assert_says(&place.eval("run", &["--resume"]), 0, &["there is no run in", "one is begun"]);
    assert!(place.path("run/run.yaml").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn two_do_not_write_one_run() {
    let place = place();
    let mut interrupted = place.stop_after_bytes("run", &[], 1);
    for extra in [&[][..], &["--resume"]] {
        assert_says(&place.eval("run", extra), 2, &["another zoo is writing this run"]);
    }
    interrupted.kill();
    assert!(place.eval("run", &["--resume"]).status.success());
}

#[cfg(unix)]
#[test]
fn a_full_disk_stops_the_run_and_loses_no_score() {
    let place = place();
    place.run("whole", &[]);
    let size = fs::metadata(place.ledger("whole")).unwrap().len();
    let args: Vec<String> = place.args("run", &[]).iter().map(|arg| format!("'{arg}'")).collect();
    // Files may grow to half of what the ledger needs, in blocks of 512 bytes.
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec '{}' {}",
        size / 1024,
        env!("CARGO_BIN_EXE_zoo"),
        args.join(" ")
    );
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_says(&output, 1, &["ledger", "cannot add answers", "stay valid", "free some space", "--resume"]);
    assert!(!place.path("run/results.csv").exists());
    let kept = lines(&place.ledger("run"));
    assert!(kept > 10, "{kept}");
    let output = place.eval("run", &["--resume"]);
    assert!(output.status.success() && !stderr(&output).contains("WARN"), "{}", stderr(&output));
    assert!(place.requests("run", "resumed") > 10);
    assert_eq!(files(&place.path("run")), files(&place.path("whole")));
}
