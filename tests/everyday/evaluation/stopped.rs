//! Runs that somebody stops, and how far they say that they are.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::interrupted::{Interrupted, files, ledger_bytes};
use crate::support::tiny::{command, stderr, write_tiny_model, zoo};

/// A folder with a model and a way to run it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_tiny_model(&folder.path().join("tiny"));
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, out: &str, extra: &[&str]) -> Vec<String> {
        let model = self.path("tiny");
        let out = self.path(out);
        let suite = "basics_knowledge_en,basics_letters_en,basics_reading";
        let own = ["eval", model.to_str().unwrap(), "--suite", suite, "--limit", "12", "--threads", "1"];
        own.iter()
            .chain(&["--out", out.to_str().unwrap()])
            .chain(extra)
            .map(|arg| (*arg).to_owned())
            .collect()
    }

    fn eval(&self, out: &str, extra: &[&str]) -> Output {
        let output = zoo(&self.args(out, extra).iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    fn start(&self, out: &str, extra: &[&str]) -> Interrupted {
        Interrupted::start(command(&[]), &self.args(out, extra), &self.path(out))
    }

    /// The number of `what` among the requests, from the description of the run.
    fn requests(&self, out: &str, what: &str) -> u64 {
        let text = std::fs::read_to_string(self.path(out).join("run.yaml")).unwrap();
        let description: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        description["models"][0]["requests"][what].as_u64().unwrap()
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_says_what_is_kept_and_how_to_go_on() {
    let place = Place::new();
    let small = ["--batch-tokens", "300", "--system-instruction", "Don't guess."];
    place.eval("whole", &small);
    let size = ledger_bytes(&place.path("whole"));
    for (signal, part) in [("-INT", 1), ("-TERM", 2), ("-INT", 3)] {
        let out = format!("stopped-{part}");
        let output = place.start(&out, &small).signal_after_bytes(signal, size * part / 5);
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
    let place = Place::new();
    place.eval("whole", &[]);
    place.eval("planned", &["--batch-tokens", "16384"]);
    let expected = files(&place.path("whole"));
    assert_eq!(files(&place.path("planned")), expected);
    // Killed after its first wave, which is a small one, and after another one.
    let mut interrupted = place.start("run", &[]);
    assert!(interrupted.kill_after_bytes(1), "it ended before it could be killed");
    let first = ledger_bytes(&place.path("run"));
    assert!(first < ledger_bytes(&place.path("whole")) / 2, "{first} bytes");
    let mut interrupted = place.start("run", &["--resume"]);
    assert!(interrupted.kill_after_bytes(first + 1), "it ended before it could be killed");
    place.eval("run", &["--resume"]);
    assert_eq!(files(&place.path("run")), expected);
    assert!(place.requests("run", "resumed") > 0);
    // Nothing that was known was computed again.
    assert_eq!(ledger_bytes(&place.path("run")), ledger_bytes(&place.path("whole")));
}

#[test]
fn a_comparison_of_two_precisions_goes_on_too() {
    let place = Place::new();
    let how = ["--precision", "int8", "--against", "exact", "--batch-tokens", "300"];
    place.eval("whole", &how);
    let size = ledger_bytes(&place.path("whole"));
    let mut interrupted = place.start("run", &how);
    assert!(interrupted.kill_after_bytes(size / 2), "it ended before it could be killed");
    place.eval("run", &[&how[..], &["--resume"]].concat());
    let expected = files(&place.path("whole"));
    assert!(expected.contains_key("precision.csv"));
    assert_eq!(files(&place.path("run")), expected);
    assert!(place.requests("run", "resumed") > 0);
    assert_eq!(ledger_bytes(&place.path("run")), size);
    // The size of waves is nothing to the comparison either.
    place.eval("large", &how[..4]);
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
    let place = Place::new();
    let objects = objects(&place.eval("run", &["--progress", "json", "--batch-tokens", "300"]));
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
        let output = place.eval("silent", &args);
        let told = stderr(&output);
        assert!(!told.contains("tokens/s") && !told.contains('{'), "{args:?}: {told}");
    }
    let output = zoo(&["list", "--progress", "loud"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
