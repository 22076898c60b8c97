//! `zoo eval` with what users get wrong: one clear sentence, exit code 1 or 2, nothing left that looks complete.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::tiny::{command, stderr, write_tiny_model, zoo};

/// Runs the tiny model on a suite in `folder`; `folder/tiny` may have been damaged before.
fn eval(folder: &Path, extra: &[&str]) -> std::process::Output {
    let (model, run) = (folder.join("tiny"), folder.join("run"));
    let mut args = vec!["eval", model.to_str().unwrap(), "--out", run.to_str().unwrap(), "--limit", "4"];
    args.extend(extra);
    zoo(&args)
}

/// The exit code is `code`, stderr has every one of `words` and no panic, and there are no results.
fn assert_refused(output: &std::process::Output, code: i32, words: &[&str], folder: &Path) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    assert!(!folder.join("run/results.csv").exists() && !folder.join("run/run.yaml").exists());
}

fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    folder
}

#[test]
fn an_unknown_model_offers_the_nearest_names() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = zoo(&["eval", "smolm2-135m", "--suite", "basics", "--out", run.to_str().unwrap()]);
    assert_refused(&output, 2, &["smolm2-135m", "smollm2-135m"], folder.path());
}

#[test]
fn a_path_that_does_not_exist_is_no_model_name() {
    let output = zoo(&["eval", "./nowhere/model.gguf", "--suite", "basics"]);
    assert_refused(&output, 2, &["./nowhere/model.gguf", "no such file"], Path::new("/nonexistent"));
}

#[test]
fn an_unknown_suite_offers_the_nearest_names() {
    let folder = tiny();
    assert_refused(&eval(folder.path(), &["--suite", "basic"]), 2, &["basic", "basics"], folder.path());
}

#[test]
fn a_suite_whose_programs_would_have_to_be_run_says_what_works() {
    let folder = tiny();
    let words = ["humaneval", "runs programs", "--predict-only"];
    assert_refused(&eval(folder.path(), &["--suite", "humaneval"]), 1, &words, folder.path());
}

#[test]
fn a_flag_s_value_of_the_wrong_kind_is_wrong_usage() {
    let folder = tiny();
    for (flag, value) in [
        ("--limit", "0"),
        ("--limit", "1.5"),
        ("--limit", "many"),
        ("--threads", "0"),
        ("--threads", "100000"),
        ("--matmul", "cuda"),
    ] {
        let output = zoo(&["eval", "x", "--suite", "basics", flag, value]);
        assert_refused(&output, 2, &[flag, value], folder.path());
    }
    assert_refused(&zoo(&["eval", "smollm2-135m"]), 2, &["--suite"], folder.path());
    let output = command(&["list"]).env("RAYON_NUM_THREADS", "100000").output().unwrap();
    assert_refused(&output, 2, &["RAYON_NUM_THREADS=100000", "at most 1024 threads"], folder.path());
}

#[test]
fn missing_data_say_where_they_were_looked_for_and_how_to_get_them() {
    let folder = tiny();
    let data = folder.path().join("data");
    let output = eval(folder.path(), &["--suite", "arc_easy", "--data-dir", data.to_str().unwrap()]);
    let words = ["allenai/ai2_arc", "ARC-Easy", data.to_str().unwrap(), "--data-dir", "zoo pull"];
    assert_refused(&output, 1, &words, folder.path());
}

#[test]
fn truncated_weights_name_the_file() {
    let folder = tiny();
    let file = folder.path().join("tiny/model.safetensors");
    let bytes = fs::read(&file).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert_refused(
            &eval(folder.path(), &["--suite", "basics"]),
            1,
            &["model.safetensors"],
            folder.path(),
        );
    }
}

#[test]
fn corrupted_weights_name_the_file_or_the_document() {
    let folder = tiny();
    let file = folder.path().join("tiny/model.safetensors");
    let good = fs::read(&file).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let mut bad_header = good.clone();
    bad_header[20] = 0xff;
    fs::write(&file, &bad_header).unwrap();
    assert_refused(&eval(folder.path(), &["--suite", "basics"]), 1, &["model.safetensors"], folder.path());
    let mut not_numbers = good.clone();
    for bytes in not_numbers[header..].chunks_exact_mut(4) {
        bytes.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(&file, &not_numbers).unwrap();
    assert_refused(
        &eval(folder.path(), &["--suite", "basics"]),
        1,
        &["not finite", "document"],
        folder.path(),
    );
}

#[test]
fn weights_and_configuration_that_do_not_fit_name_the_tensor() {
    let folder = tiny();
    let config = folder.path().join("tiny/config.json");
    let text = fs::read_to_string(&config).unwrap();
    for (from, to, words) in [
        ("\"intermediate_size\":24", "\"intermediate_size\":25", vec!["mlp", "[25, 16]", "[24, 16]"]),
        ("\"num_hidden_layers\":2", "\"num_hidden_layers\":3", vec!["model.layers.2"]),
        ("\"hidden_size\":16", "\"hidden_size\":\"16\"", vec!["config.json", "hidden_size"]),
        ("\"model_type\":\"llama\"", "\"model_type\":\"gptj\"", vec!["config.json", "gptj", "llama"]),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        fs::write(&config, text.replace(from, to)).unwrap();
        assert_refused(&eval(folder.path(), &["--suite", "basics"]), 1, &words, folder.path());
    }
    fs::remove_file(&config).unwrap();
    assert_refused(&eval(folder.path(), &["--suite", "basics"]), 1, &["config.json"], folder.path());
}

#[test]
fn a_folder_that_is_no_model_says_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tiny")).unwrap();
    assert_refused(&eval(folder.path(), &["--suite", "basics"]), 1, &["model.safetensors"], folder.path());
}

#[test]
fn a_task_file_that_is_wrong_is_named_with_its_line() {
    let folder = tiny();
    let tasks = folder.path().join("tasks");
    fs::create_dir(&tasks).unwrap();
    fs::write(tasks.join("mine.yaml"), "task: mine\ndataset_path: zoo/basics\n  bad: indent\n").unwrap();
    let args = ["--suite", "mine", "--include-path", tasks.to_str().unwrap()];
    let output = eval(folder.path(), &args);
    let text = stderr(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    assert!(text.contains("mine.yaml") && text.contains("line"), "{text}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_model_card_that_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.yaml"), "id: mine\nfamily: 7\nnonsense: true\n").unwrap();
    let output = zoo(&["eval", "mine", "--suite", "basics", "--zoo-dir", folder.path().to_str().unwrap()]);
    let text = stderr(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)) && text.contains("mine.yaml"), "{text}");
}

#[test]
fn an_answer_longer_than_the_context_is_an_error() {
    let folder = tiny();
    let output = eval(folder.path(), &["--suite", "basics_reading", "--max-length", "3"]);
    assert_refused(&output, 1, &["basics_reading", "document", "3 positions"], folder.path());
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_more_leaves_no_results() {
    let folder = tiny();
    let script = format!(
        "trap '' XFSZ; ulimit -f 4; exec '{}' eval '{}' --suite basics --limit 6 --out '{}'",
        env!("CARGO_BIN_EXE_zoo"),
        folder.path().join("tiny").display(),
        folder.path().join("run").display()
    );
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_refused(&output, 1, &["run"], folder.path());
    let left = walk(&folder.path().join("run"));
    assert!(left.iter().all(|file| !file.ends_with(".tmp")), "{left:?}");
}

#[cfg(unix)]
fn walk(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] }
        })
        .collect()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in [&["suites", "--all"][..], &["list"], &["show", "smollm2-135m"]] {
        let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}
