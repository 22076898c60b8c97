//! Runs that somebody stops, and how far they say that they are.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::interrupted::{files, ledger_bytes};
use crate::support::place::Place;
use crate::support::tiny::{command, stderr, zoo};

fn place() -> Place {
    let suite = "basics_knowledge_en,basics_letters_en,basics_reading";
    Place::new(&["--suite", suite, "--limit", "12", "--threads", "1"])
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_says_what_is_kept_and_how_to_go_on() {
    let place = place();
    let small = ["--batch-tokens", "300", "--system-instruction", "Don't guess."];
    place.run("whole", &small);
    let size = ledger_bytes(&place.path("whole"));
    for (signal, part) in [("-INT", 1), ("-TERM", 2), ("-INT", 3)] {
        let out = format!("stopped-{part}");
        let output = place.signal_after_bytes(&out, &small, signal, size * part / 5);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{text}");
        // What it says is kept is what is in the ledger.
        let said = text.lines().find_map(|line| line.strip_prefix("interrupted: ")).expect("it says so");
        let kept: usize = said.split(' ').next().unwrap().parse().unwrap();
        let ledger = PathBuf::from(said.rsplit(" are kept in ").next().unwrap());
        let lines = std::fs::read_to_string(&ledger).unwrap();
        assert!(lines.ends_with('\n') && said.contains(" requests of tiny "), "{said}");
        assert!(kept >= lines.lines().count() - 1 && kept > 0, "{said}: {} lines", lines.lines().count());
        assert!(!place.path(&out).join("results.csv").exists());
        // The command is one for a shell, and goes on.
        let again = text.lines().skip_while(|line| *line != "go on with:").nth(1).expect("a command").trim();
        assert!(again.ends_with("--resume") && again.contains(r"'Don'\''t guess.'"), "{again}");
        let mut shell = Command::new("sh");
        let known = command(&[]);
        shell.arg("-c").arg(again).envs(known.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(files(&place.path(&out)), files(&place.path("whole")));
        assert_eq!(place.requests(&out, "resumed"), kept as u64);
    }
}

#[test]
fn waves_by_time_keep_their_scores_and_end_in_the_same_files() {
    let place = place();
    place.run("whole", &[]);
    place.run("planned", &["--batch-tokens", "16384"]);
    let expected = files(&place.path("whole"));
    assert_eq!(files(&place.path("planned")), expected);
    // Killed after its first wave, which is a small one, and after another one.
    place.kill_after_bytes("run", &[], 1);
    let first = ledger_bytes(&place.path("run"));
    assert!(first < ledger_bytes(&place.path("whole")) / 2, "{first} bytes");
    place.kill_after_bytes("run", &["--resume"], first + 1);
    place.run("run", &["--resume"]);
    assert_eq!(files(&place.path("run")), expected);
    assert!(place.requests("run", "resumed") > 0);
    // Nothing that was known was computed again.
    assert_eq!(ledger_bytes(&place.path("run")), ledger_bytes(&place.path("whole")));
}

#[test]
fn a_comparison_of_two_precisions_goes_on_too() {
    let place = place();
    let how = ["--precision", "int8", "--against", "exact", "--batch-tokens", "300"];
    place.run("whole", &how);
    let size = ledger_bytes(&place.path("whole"));
    place.kill_after_bytes("run", &how, size / 2);
    place.run("run", &[&how[..], &["--resume"]].concat());
    let expected = files(&place.path("whole"));
    assert!(expected.contains_key("precision.csv"));
    assert_eq!(files(&place.path("run")), expected);
    assert!(place.requests("run", "resumed") > 0);
    assert_eq!(ledger_bytes(&place.path("run")), size);
    // The size of waves is nothing to the comparison either.
    place.run("large", &how[..4]);
    assert_eq!(files(&place.path("large")), expected);
}

/// The objects among the lines on standard error.
fn objects(output: &Output) -> Vec<Value> {
    let text = stderr(output);
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).expect("an object in every line")).collect()
}

#[test]
fn programs_are_told_how_far_a_run_is() {
    let place = place();
    let objects = objects(&place.run("run", &["--progress", "json", "--batch-tokens", "300"]));
    let scoring: Vec<&Value> = objects.iter().filter(|object| object["work"] == "scoring").collect();
    let first = scoring.first().expect("the work begins");
    let last = scoring.last().expect("the work ends");
    assert_eq!(
        (&first["event"], &first["done"], &first["unit"]),
        (&"begin".into(), &0.into(), &"tokens".into())
    );
    assert_eq!((&last["event"], &last["done"]), (&"end".into(), &last["total"]));
    assert_eq!(
        (&last["model"], &last["model_number"], &last["models"]),
        (&"tiny".into(), &1.into(), &1.into())
    );
    assert!(last["task"].as_str().unwrap().starts_with("basics_"), "{last}");
    assert_eq!(last["metric"], "acc");
    assert!((0.0..=1.0).contains(&last["value"].as_f64().unwrap()), "{last}");
    for args in [["--progress", "none"], ["--progress", "lines"], ["--quiet", "--progress=json"]] {
        let output = place.run("silent", &args);
        let told = stderr(&output);
        assert!(!told.contains("tokens/s") && !told.contains('{'), "{args:?}: {told}");
    }
    let output = zoo(&["list", "--progress", "loud"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
