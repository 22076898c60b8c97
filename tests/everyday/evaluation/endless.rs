//! Files that never end, never begin, or are none: a device, a pipe, a folder, a link, wherever `zoo` reads a file whole.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::place::Place;
use crate::support::tiny::stderr;

/// Kilobytes of address space that a command gets.
const SPACE: u64 = 4 << 20;
/// How long it may take, on a machine under load.
const LONGEST: Duration = Duration::from_secs(60);

const TASK: &str = "task: mine\noutput_type: multiple_choice\ndataset_path: json\n\
     dataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\nnum_fewshot: 0\n\
     doc_to_text: \"{{q}}\"\ndoc_to_choice: [a, b]\ndoc_to_target: 0\nmetric_list: [{metric: acc}]\n";

fn place() -> Place {
    let place = Place::new(&["--suite", "mine"]);
    place.task("mine.yaml", TASK);
    place.task("rows.jsonl", "{\"q\": \"x\"}\n{\"q\": \"y\"}\n");
    place
}

/// Runs the program in little memory and ends it if it takes too long.
fn bounded(place: &Place, args: &[String]) -> Output {
    within(SPACE, place, args)
}

/// The same in so many kilobytes.
fn within(space: u64, place: &Place, args: &[String]) -> Output {
    let script = format!("ulimit -v {space}; exec \"$0\" \"$@\" --include-path \"$TASKS\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_zoo")])
        .args(args)
        .env("TASKS", place.path("tasks"))
        .env("ZOO_HOME", place.path("home"))
        .envs([("RAYON_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")])
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let ended = loop {
        if child.try_wait().unwrap().is_some() {
            break true;
        }
        if begun.elapsed() > LONGEST {
            break false;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let _ = child.kill();
    let status = child.wait().unwrap();
    let mut text = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut text).unwrap();
    assert!(ended, "{args:?} does not end: {}", String::from_utf8_lossy(&text));
    Output { status, stdout: Vec::new(), stderr: text }
}

/// Puts each of these in place of a file, and has the error of the command name it every time.
fn refused(place: &Place, file: &Path, args: &[String]) {
    let moved = place.path("moved");
    fs::rename(file, &moved).unwrap();
    type Make = fn(&Path);
    let makes: [(Make, &str); 3] = [
        (|path| symlink("/dev/zero", path).unwrap(), "a device"),
        (|path| rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(), "a pipe"),
        (|path| fs::create_dir(path).unwrap(), "a folder"),
    ];
    for (make, found) in makes {
        make(file);
        let output = bounded(place, args);
        let text = stderr(&output);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{found} as {name}: {:?} {text}", output.status);
        assert!(text.contains(name), "{found} as {name}: {text}");
        assert!(text.contains(found) || found == "a folder", "{found} as {name}: {text}");
        if found == "a folder" { fs::remove_dir(file).unwrap() } else { fs::remove_file(file).unwrap() }
    }
    fs::rename(&moved, file).unwrap();
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

#[test]
fn files_of_a_model_have_an_end() {
    let place = place();
    let eval = place.args("run", &[]);
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        refused(&place, &place.path("tiny").join(name), &eval);
    }
    assert!(!place.path("run/results.csv").exists());
    assert!(bounded(&place, &eval).status.success());
}

#[test]
fn files_of_a_task_have_an_end() {
    let place = place();
    let eval = place.args("run", &[]);
    refused(&place, &place.path("tasks/rows.jsonl"), &eval);
    place.task("part.inc", TASK);
    place.task("mine.yaml", "include: part.inc\n");
    refused(&place, &place.path("tasks/part.inc"), &eval);
    // In a folder that is looked through, what is no file is passed by.
    symlink("/dev/zero", place.path("tasks/zero.yaml")).unwrap();
    assert!(bounded(&place, &eval).status.success());
}

#[test]
fn files_of_a_run_have_an_end() {
    let place = place();
    let eval = place.args("run", &[]);
    assert!(bounded(&place, &eval).status.success());
    let score = words(&["score", &place.text("run")]);
    refused(&place, &place.path("run/run.yaml"), &score);
    refused(&place, &place.path("run/samples/tiny/mine.jsonl"), &score);
    refused(&place, &place.path("run/results.csv"), &place.args("run", &["--resume"]));
    place.unfinish("run");
    let resume = place.args("run", &["--resume"]);
    let ledger: PathBuf = place.ledger("run");
    refused(&place, &ledger, &resume);
    refused(&place, &place.path("run/run.partial.yaml"), &resume);
    assert!(bounded(&place, &resume).status.success());
}

#[test]
fn files_of_a_shard_have_an_end() {
    let place = place();
    for shard in ["0/2", "1/2"] {
        let out = format!("shard-{}", &shard[..1]);
        assert!(bounded(&place, &place.args(&out, &["--shard", shard])).status.success());
    }
    let [first, second, merged] = ["shard-0", "shard-1", "merged"].map(|name| place.text(name));
    let merge = words(&["merge", &first, &second, "--out", &merged]);
    for name in ["shard.yaml", "settings.yaml", "samples/tiny/mine.jsonl"] {
        refused(&place, &place.path("shard-1").join(name), &merge);
    }
    refused(&place, &place.ledger("shard-1"), &merge);
    assert!(!place.path("merged").exists());
    assert!(bounded(&place, &merge).status.success());
}

#[test]
fn a_file_of_answers_has_an_end() {
    let place = place();
    fs::write(place.path("answers.jsonl"), "{\"task\": \"mine\", \"doc_id\": 0, \"answer\": \"a\"}\n")
        .unwrap();
    let args = words(&["score", "--answers", &place.text("answers.jsonl"), "--suite", "mine"]);
    refused(&place, &place.path("answers.jsonl"), &args);
}

#[test]
fn of_a_million_rows_those_are_kept_that_are_asked() {
    // All of them in memory are some 900 MB.
    const ROWS: usize = 1_000_000;
    const LITTLE: u64 = 500_000;
    let place = place();
    place.task("rows.jsonl", "{\"q\": \"x\"}\n".repeat(ROWS));
    let output = within(LITTLE, &place, &place.args("run", &["--limit", "2", "--no-texts"]));
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = place.read("run/samples/tiny/mine.jsonl").lines().count();
    assert_eq!(lines, 3);
    assert!(place.read("run/run.yaml").contains(&format!("of: {ROWS}\n")));
}
