//! What is not the shards of one run is not merged, and what a shard is not is said.

use std::fs;
use std::path::Path;

use zoo::kernels::{Precision, name_of_bits};

use super::world::{merge, names, run_shards, world};
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, stdout, write_tiny_model, zoo};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Merges the first shard with a folder in place of the second.
#[track_caller]
fn assert_refused(place: &Place, second: &str, code: i32, words: &[&str]) {
    let output = merge(place, &["2-0".to_owned(), second.to_owned()], "merged", &[]);
    assert_says(&output, code, words);
    assert!(!place.path("merged").exists(), "{second}");
}

#[test]
fn shards_of_other_runs_are_refused_with_both_values() {
    let place = world(&["--suite", "choose"]);
    run_shards(&place, 2, &[]);
    let differs = |name: &str, flags: &[&str], words: &[&str]| {
        place.run(name, &[&["--shard", "1/2"], flags].concat());
        let both = [&["are not shards of one run", "2-0", name], words].concat();
        assert_refused(&place, name, 2, &both);
    };
    differs("limit", &["--limit", "5"], &["--limit: none in", "5 in"]);
    differs(
        "shots",
        &["--num-fewshot", "1"],
        &["--num-fewshot: none in", "1 in", "task choose, examples: 2 in"],
    );
    differs("seed", &["--fewshot-seed", "7"], &["--fewshot-seed: 1234 in", "7 in"]);
    differs("length", &["--max-length", "200"], &["model 1, positions: 2048 in", "200 in"]);
    differs("overlong", &["--overlong", "skip"], &["--overlong: left in", "skip in"]);
    differs(
        "protocol",
        &["--protocol", "lm-eval-0.4.9"],
        &["--protocol: lm-eval-0.4.13 in", "lm-eval-0.4.9 in"],
    );
    differs("precision", &["--precision", "bf16"], &["model 1, arithmetic: exact in", "bf16 in"]);
    let [native, portable] = ["native", "portable"].map(|name| name_of_bits(name, Precision::Exact));
    let expected = [format!("model 1, matmul: {native} in"), format!("{portable} in")];
    differs("products", &["--matmul", "portable"], &expected.each_ref().map(String::as_str));
    differs("suite", &["--suite", "pick"], &["--suite: choose in"]);
    differs(
        "system",
        &["--system-instruction", "Be brief."],
        &["--system-instruction: none in", "Be brief. in"],
    );

    differs("texts", &["--no-texts"], &["--no-texts: false in", "true in"]);
    differs("harness", &["--log-samples"], &["--log-samples: false in", "true in"]);

    // Other weights under the same name, then another tokenizer.
    let model = place.path("tiny/model.safetensors");
    let mut weights = fs::read(&model).unwrap();
    let low = weights.len() - 3;
    weights[low] ^= 0x10;
    fs::write(&model, weights).unwrap();
    differs("weights", &[], &["model 1, weights: "]);
    write_tiny_model(&place.path("tiny"));
    let tokenizer = place.path("tiny/tokenizer.json");
    fs::write(&tokenizer, fs::read_to_string(&tokenizer).unwrap() + "\n").unwrap();
    differs("tokenizer", &[], &["model 1, tokenizer: "]);
    let settings = place.path("tiny/tokenizer_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    config["chat_template"] = "{% for m in messages %}{{ m.content }}{% endfor %}".into();
    fs::write(settings, config.to_string()).unwrap();
    differs(
        "template",
        &["--apply-chat-template"],
        &["--apply-chat-template: ", "model 1, chat templates: "],
    );
    write_tiny_model(&place.path("tiny"));

    // Another version of the program and of the task, as another machine may have them.
    copy(&place.path("2-1"), &place.path("version"));
    for file in ["settings.yaml", "run.yaml"] {
        let path = place.path("version").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let own = format!("zoo: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&own));
        fs::write(path, text.replacen(&own, "zoo: 99.0.0\n", 1)).unwrap();
    }
    assert_refused(&place, "version", 2, &["version of zoo: ", "99.0.0 in"]);
    let task = place.read("tasks/choose.yaml");
    place.task("choose.yaml", format!("{task}metadata: {{version: 2}}\n"));
    differs("task", &[], &["task choose, version: ", "2 in", "task choose, metadata: "]);
    place.task("choose.yaml", &task);
    let rows = place.read("tasks/rows.jsonl");
    place.task("rows.jsonl", rows.replacen("What", "Who", 1));
    differs("data", &[], &["task choose, data: "]);
    // Nor is a run graded by other data than its shards were asked.
    let output = merge(&place, &names(2), "merged", &[]);
    assert_says(&output, 2, &["not those of the shards any more", "task choose, data: "]);
    place.task("rows.jsonl", &rows);
    let output = merge(&place, &names(2), "merged", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn shards_that_are_missing_doubled_or_damaged_are_named() {
    let place = world(&["--suite", "choose,pick"]);
    run_shards(&place, 2, &[]);
    let missing = merge(&place, &["2-0".to_owned()], "merged", &[]);
    assert_says(&missing, 2, &["1 of 2 shards missing: 1/2"]);
    copy(&place.path("2-1"), &place.path("twice"));
    let output = merge(&place, &["2-0".to_owned(), "2-1".to_owned(), "twice".to_owned()], "merged", &[]);
    assert_says(&output, 2, &["shard 1/2 is there twice", "2-1", "twice"]);
    place.run("third", &["--shard", "1/3"]);
    assert_refused(&place, "third", 2, &["2-0 is shard 0/2", "third is shard 1/3", "not shards of one run"]);
    place.run("whole", &[]);
    assert_refused(&place, "whole", 2, &["found a whole run"]);
    let nothing = place.path("nothing");
    fs::create_dir(nothing).unwrap();
    assert_refused(&place, "nothing", 2, &["nothing: expected the folder of a shard"]);

    // One that is not finished says so, where it is looked for.
    fs::create_dir(place.path("all")).unwrap();
    copy(&place.path("2-0"), &place.path("all/a"));
    copy(&place.path("2-1"), &place.path("all/b"));
    place.unfinish("all/b");
    let words = ["1 of 2 shards missing: 1/2; not finished yet", "--resume: 1/2 in", "all/b"];
    assert_says(&merge(&place, &["all".to_owned()], "merged", &[]), 2, &words);
    assert_says(&merge(&place, &["all/a".to_owned(), "all/b".to_owned()], "merged", &[]), 2, &words);
    let words = ["found none that is finished; not finished yet", "--resume: 1/2 in"];
    assert_says(&merge(&place, &["all/b".to_owned()], "merged", &[]), 2, &words);

    // Samples that were cut, that have a document of another shard, one too few, or one twice.
    let file = "2-1/samples/tiny/choose.jsonl";
    let text = place.read(file);
    let lines: Vec<&str> = text.lines().collect();
    let with = |name: &str, lines: &[&str], words: &[&str]| {
        copy(&place.path("2-1"), &place.path(name));
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        fs::write(place.path(name).join("samples/tiny/choose.jsonl"), text).unwrap();
        assert_refused(&place, name, 1, words);
    };
    assert_eq!(lines.len(), 5, "four of nine documents");
    with(
        "cut",
        &lines[..4],
        &["cut/samples/tiny/choose.jsonl: expected lines of samples: 4, found 3", "the file was cut"],
    );
    with("torn", &[&lines[..4], &[&lines[4][..20]]].concat(), &["line 5", "expected a line of samples"]);
    let fewer = lines[0].replacen("\"n\":4", "\"n\":3", 1);
    with(
        "fewer",
        &[&[fewer.as_str()], &lines[1..4]].concat(),
        &["expected 4 documents in shard 1/2, found 3"],
    );
    with(
        "double",
        &[&lines[..4], &[lines[3]]].concat(),
        &["every document once and in order, found 5 again"],
    );
    let other = lines[4].replacen("\"doc_id\":7", "\"doc_id\":8", 1);
    with(
        "other",
        &[&lines[..4], &[other.as_str()]].concat(),
        &["documents of shard 1/2", "found document 8"],
    );
    let beyond = lines[4].replacen("\"doc_id\":7", "\"doc_id\":9", 1);
    with("beyond", &[&lines[..4], &[beyond.as_str()]].concat(), &["of 9 documents, found document 9"]);
    let prompt = lines[1].replacen("\"prompt_sha256\":\"", "\"prompt_sha256\":\"0", 1);
    with(
        "prompt",
        &[&[lines[0], prompt.as_str()], &lines[2..]].concat(),
        &["samples of choose", "document 1: the prompt is not the one that was answered"],
    );
    let digest = lines[0].replacen("\"continuations_sha256\":\"", "\"continuations_sha256\":\"0", 1);
    with(
        "digest",
        &[&[digest.as_str()], &lines[1..]].concat(),
        &["the continuations are not those that were scored"],
    );
    // Scores and flags that are not those that were written, however likely they look.
    let forged = |name: &str, from: &str, to: &str| {
        let text = text.replacen(from, to, 1);
        assert_ne!(text, place.read(file), "{from}");
        with(
            name,
            &text.lines().collect::<Vec<_>>(),
            &[
                &format!(
                    "{name}/samples/tiny/choose.jsonl: the samples of choose are not those that the shard wrote"
                ),
                "the file was changed afterwards",
                "run shard 1/2 again",
            ],
        );
    };
    forged("score", "\"logprob\":-", "\"logprob\":-1");
    forged("greedy", "\"is_greedy\":false", "\"is_greedy\":true");
    copy(&place.path("2-1"), &place.path("unsaid"));
    let known = place.read("unsaid/shard.yaml");
    let (head, _) = known.split_once("  samples_sha256:").unwrap();
    fs::write(place.path("unsaid/shard.yaml"), head).unwrap();
    assert_refused(&place, "unsaid", 1, &["unsaid: shard.yaml: expected the digest of the samples of "]);
    let shard = "shard.yaml";
    copy(&place.path("2-1"), &place.path("swapped"));
    fs::copy(place.path("2-0").join(shard), place.path("swapped").join(shard)).unwrap();
    assert_refused(&place, "swapped", 1, &["shard.yaml and run.yaml are not of one shard"]);
}

#[test]
fn a_shard_says_that_it_is_one() {
    let place = world(&["--suite", "pick"]);
    let output = place.run("2-0", &["--shard", "0/2"]);
    assert!(
        stderr(&output).contains("this is shard 0/2") && stdout(&output).is_empty(),
        "{}",
        stderr(&output)
    );
    // Only as the same one it goes on, finished or not.
    let other = place.eval("2-0", &["--shard", "1/2", "--resume"]);
    assert_says(&other, 2, &["--shard: 0/2 then, 1/2 now"]);
    place.run("2-0", &["--shard", "0/2", "--resume"]);
    place.unfinish("2-0");
    for (flags, now) in [(&["--shard", "1/2"][..], "1/2"), (&[], "none")] {
        let other = place.eval("2-0", &[flags, &["--resume"]].concat());
        assert_says(&other, 2, &[&format!("--shard: 0/2 then, {now} now")]);
    }
    place.run("2-0", &["--shard", "0/2", "--resume"]);

    let run = place.text("2-0");
    let said = ["this is shard 0/2 of a run", "zoo merge"];
    for verb in ["report", "samples", "score"] {
        let output = place.zoo(&[verb, &run]);
        assert!(!output.status.success() && stdout(&output).is_empty());
        for word in said {
            assert!(stderr(&output).contains(word), "{verb}: {}", stderr(&output));
        }
    }
    place.run("whole", &[]);
    let output = place.zoo(&["report", &run, &place.text("whole"), "--format", "csv"]);
    assert_says(&output, 0, &["left out: ", said[0]]);
    let listed = zoo(&["runs", &place.root().display().to_string(), "--format", "csv"]);
    assert!(stdout(&listed).contains("2-0,shard 0/2,"), "{}", stdout(&listed));
    let paths = zoo(&["runs", &place.root().display().to_string(), "--paths"]);
    assert_eq!(stdout(&paths).lines().count(), 1, "{}", stdout(&paths));

    for (flags, words) in [
        (&["--shard", "2/2"][..], "found 2/2"),
        (&["--shard", "1"], "found \"1\""),
        (&["--shard", "-1/2"], "found \"-1/2\""),
        (&["--shard", "0/2", "--against", "exact"], "cannot be used with"),
    ] {
        assert_says(&place.eval("wrong", flags), 2, &[words]);
    }
    // Nor where a run that is repeated says the one of two that exclude each other.
    place.run("twice", &["--precision", "bf16", "--against", "exact"]);
    let (config, out) = (place.text("twice"), place.text("wrong"));
    let output = place.zoo(&["eval", "--config", &config, "--shard", "0/2", "--out", &out]);
    assert_says(&output, 2, &["--shard 0/2 cannot be used with --against exact"]);
    // Its own share is what it would take.
    let dry = place.eval("dry", &["--shard", "0/2", "--dry-run", "--format", "csv"]);
    assert!(dry.status.success(), "{}", stderr(&dry));
}

#[test]
fn numbers_that_no_shard_has_are_refused() {
    let place = world(&["--suite", "choose"]);
    run_shards(&place, 2, &[]);
    let changed = |file: &str, change: &dyn Fn(&str) -> String, words: &[&str]| {
        let path = place.path("2-1").join(file);
        let whole = fs::read_to_string(&path).unwrap();
        let other = change(&whole);
        assert_ne!(whole, other, "{file}");
        fs::write(&path, other).unwrap();
        assert_refused(&place, "2-1", 1, words);
        fs::write(&path, whole).unwrap();
    };
    // Two sums that wrap to the documents that are missing, and a turn that has none after it.
    for finding in
        ["documents: 18446744073709551615, of: 9", "documents: 1, of: 9, turn: 18446744073709551615"]
    {
        let findings = format!("findings: [{{task: choose, check: skipped, first: [], {finding}}}]");
        let put = |text: &str| text.replace("findings: []", &findings);
        changed(
            "shard.yaml",
            &put,
            &["2-1/shard.yaml: findings of choose", "expected numbers up to 4294967296"],
        );
    }
    for seconds in [".nan", "-1.0", ".inf"] {
        let put = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("seconds: ")).unwrap();
            text.replace(line, &format!("seconds: {seconds}"))
        };
        changed("run.yaml", &put, &["2-1: run.yaml, seconds: expected a time"]);
    }
    // What is only told of a run may be any number.
    let path = place.path("2-1/run.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("    computed: ")).unwrap();
    fs::write(&path, text.replace(line, "    computed: 18446744073709551615")).unwrap();
    let output = merge(&place, &["2-0".to_owned(), "2-1".to_owned()], "merged", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.read("merged/run.yaml").contains("computed: 18446744073709551615\n"));
}

#[test]
fn what_stands_under_a_description_s_name_and_is_no_file_is_named() {
    let place = world(&["--suite", "pick"]);
    run_shards(&place, 2, &[]);
    fs::create_dir(place.path("all")).unwrap();
    fs::rename(place.path("2-0"), place.path("all/a")).unwrap();
    fs::rename(place.path("2-1"), place.path("all/b")).unwrap();
    let all = place.text("all");
    let own = |name: &str| place.path("all/b").join(name);
    type Way<'a> = (&'a str, &'a dyn Fn(&Path));
    let ways: [Way<'_>; 3] = [
        ("a pipe", &|path| {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
        }),
        ("a device", &|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        ("a folder", &|path| fs::create_dir(path).unwrap()),
    ];
    for (found, make) in ways {
        let said = format!("found {found}");
        let put = |name: &str| {
            fs::rename(own(name), place.path("kept")).unwrap();
            make(&own(name));
        };
        let back = |name: &str| {
            if found == "a folder" {
                fs::remove_dir(own(name)).unwrap();
            } else {
                fs::remove_file(own(name)).unwrap();
            }
            fs::rename(place.path("kept"), own(name)).unwrap();
        };
        put("run.yaml");
        for named in [vec!["all".to_owned()], vec!["all/a".to_owned(), "all/b".to_owned()]] {
            assert_says(&merge(&place, &named, "merged", &[]), 1, &["all/b/run.yaml", &said]);
        }
        assert_says(&zoo(&["runs", &all]), 0, &["all/b/run.yaml", &said]);
        for verb in ["report", "samples"] {
            assert_says(&zoo(&[verb, &format!("{all}/b")]), 1, &["all/b/run.yaml", &said]);
        }
        back("run.yaml");
        put("shard.yaml");
        let output = merge(&place, &["all".to_owned()], "merged", &[]);
        assert_says(&output, 1, &["all/b/shard.yaml", &said]);
        back("shard.yaml");
        // One that is under way.
        fs::rename(own("run.yaml"), place.path("run.yaml")).unwrap();
        fs::rename(own("settings.yaml"), own("run.partial.yaml")).unwrap();
        put("run.partial.yaml");
        let output = merge(&place, &["all".to_owned()], "merged", &[]);
        assert_says(&output, 1, &["all/b/run.partial.yaml", &said]);
        assert_says(&zoo(&["runs", &all]), 0, &["all/b/run.partial.yaml", &said]);
        back("run.partial.yaml");
        fs::rename(own("run.partial.yaml"), own("settings.yaml")).unwrap();
        fs::rename(place.path("run.yaml"), own("run.yaml")).unwrap();
    }
    assert_says(&merge(&place, &["all".to_owned()], "merged", &[]), 0, &["merged from 2 shards"]);
}

#[test]
fn a_folder_of_somebody_s_is_neither_moved_away_nor_written_to() {
    let place = world(&["--suite", "pick"]);
    run_shards(&place, 2, &[]);
    place.run("whole", &[]);
    // Tables of that name are anybody's, and so are samples.
    for name in ["results.csv", "samples", "diary.txt"] {
        let theirs = place.path("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join(name), "mine").unwrap();
        let own = place.text("theirs");
        let outputs = [
            merge(&place, &names(2), "theirs", &[]),
            place.eval("theirs", &[]),
            place.eval("theirs", &["--resume"]),
            place.zoo(&["score", &place.text("whole"), "--out", &own]),
        ];
        for output in outputs {
            let found = format!("found something else in it: {name}; name another folder");
            assert_says(
                &output,
                2,
                &["theirs: expected no such folder, an empty one or that of a run", &found],
            );
        }
        assert_eq!(fs::read_to_string(theirs.join(name)).unwrap(), "mine");
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1, "{name}");
        assert!(!place.path("theirs.1").exists());
        fs::remove_dir_all(theirs).unwrap();
    }
}
