//! Tasks whose metric runs programs, driven as a user drives them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoo::sandbox::Interpreter;

use crate::support::tiny::{command, stderr, write_tiny_model, zoo};

/// Programs that pass whatever a model writes after them, programs that fail, and one without an end.
const PASSING: &str = "def f():\n    return 1\n# ";
const FAILING: &str = "def f():\n    return 2\n# ";
const ENDLESS: &str = "def f():\n    while True: pass\n# ";

/// A model, and tasks whose programs do not depend on what it writes.
struct Place(tempfile::TempDir);

impl Place {
    /// `None`, loudly, where there can be no sandbox.
    fn new(prompts: &[&str]) -> Option<Self> {
        if super::USUAL.is_none() {
            eprintln!("SKIPPED, nothing was run: there is no sandbox for it here");
            return None;
        }
        let place = Self(tempfile::tempdir().unwrap());
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        write_tiny_model(&place.path("tiny"));
        fs::create_dir(place.path("tasks")).unwrap();
        let row = |prompt: &&str| {
            let row =
                json!({"prompt": prompt, "test": "def check(f):\n    assert f() == 1", "entry_point": "f"});
            format!("{row}\n")
        };
        fs::write(place.path("tasks/rows.jsonl"), prompts.iter().map(row).collect::<String>()).unwrap();
        place.task("code", "humaneval.pass_at_k\n    k: [1]", "humaneval.build_predictions", 1);
        Some(place)
    }

    fn task(&self, name: &str, metric: &str, filter: &str, repeats: usize) {
        let text = format!(
            "task: {name}\nunsafe_code: true\noutput_type: generate_until\ndataset_path: json\n\
             dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}\ntest_split: test\nnum_fewshot: 0\nrepeats: {repeats}\n\
             doc_to_text: \"{{{{prompt}}}}\"\ndoc_to_target: \"{{{{test}}}}\\ncheck({{{{entry_point}}}})\"\n\
             generation_kwargs: {{until: [\"\\n\"], max_gen_toks: 8, do_sample: true, temperature: 1.5}}\n\
             filter_list:\n  - name: create_test\n    filter:\n      - function: custom\n        filter_fn: !function {filter}\n\
             metric_list:\n  - metric: !function {metric}\n    aggregation: mean\n    higher_is_better: true\n"
        );
        fs::write(self.path("tasks").join(format!("{name}.yaml")), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let tasks = self.path("tasks").display().to_string();
        args.iter().map(|arg| (*arg).to_owned()).chain(["--include-path".to_owned(), tasks]).collect()
    }

    fn eval(&self, suite: &str, out: &str, extra: &[&str]) -> Output {
        let [model, out] = ["tiny", out].map(|name| self.path(name).display().to_string());
        let args = self.args(&[&["eval", &model, "--suite", suite, "--out", &out], extra].concat());
        zoo(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn score(&self, run: &str, out: &str, extra: &[&str]) -> Output {
        let [run, out] = [run, out].map(|name| self.path(name).display().to_string());
        let args = self.args(&[&["score", &run, "--out", &out], extra].concat());
        zoo(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn samples(&self, run: &str, task: &str) -> Vec<Value> {
        let text = self.read(&format!("{run}/samples/tiny/{task}.jsonl"));
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Value and standard error of a metric.
    fn value(&self, run: &str, metric: &str) -> (f64, f64) {
        let table = self.read(&format!("{run}/results.csv"));
        let row = table
            .lines()
            .find(|line| line.split(',').nth(4) == Some(metric))
            .unwrap_or_else(|| panic!("{metric}: {table}"));
        let cells: Vec<&str> = row.split(',').collect();
        (cells[6].parse().unwrap(), cells[7].parse().unwrap())
    }
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    stderr(output)
}

#[test]
fn programs_are_run_only_where_that_is_allowed() {
    let Some(place) = Place::new(&[PASSING]) else { return };
    let output = place.eval("code", "run", &[]);
    assert_eq!(output.status.code(), Some(1));
    for word in ["task code", "runs programs", "--allow-code", "--predict-only"] {
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
    }
    assert!(!place.path("run").exists());
    let output = place.eval("code", "run", &["--allow-code", "--python", "/nonexistent/python3"]);
    assert!(
        stderr(&output).contains("/nonexistent/python3") && !place.path("run").exists(),
        "{}",
        stderr(&output)
    );
    assert_eq!(place.eval("code", "run", &["--python", "python3"]).status.code(), Some(2));
    // What was written without being graded is graded later, with leave.
    done(&place.eval("code", "run", &["--predict-only"]));
    let output = place.score("run", "graded", &[]);
    assert!(!output.status.success() && stderr(&output).contains("--allow-code"), "{}", stderr(&output));
    done(&place.score("run", "graded", &["--allow-code"]));
    assert!(place.read("graded/results.csv").contains(",code,code,0,pass@1,create_test,1.0,"));
    // A run that was made with leave gives none to whoever repeats it.
    done(&place.eval("code", "allowed", &["--allow-code"]));
    let [config, out] = ["allowed", "repeated"].map(|name| place.path(name).display().to_string());
    let output = zoo(&["eval", "--config", &config, "--out", &out]);
    assert!(!output.status.success() && stderr(&output).contains("--allow-code"), "{}", stderr(&output));
}

#[test]
fn shares_errors_and_verdicts_are_in_all_files() {
    let Some(place) = Place::new(&[PASSING, FAILING, PASSING, ENDLESS, PASSING]) else { return };
    let said = done(&place.eval("code", "run", &["--allow-code", "--log-samples"]));
    assert!(said.contains("tiny: code: 5 programs: 3 passed, 1 failed, 1 timed out, 0 killed"), "{said}");
    let (value, error) = place.value("run", "pass@1");
    // The mean, and the standard deviation of a sample over the root of 5.
    assert!((value - 0.6).abs() < 1e-12 && (error - (0.3_f64 / 5.0).sqrt()).abs() < 1e-12, "{value} {error}");
    let verdicts: Vec<Value> =
        place.samples("run", "code").iter().map(|line| line["programs"]["create_test"].clone()).collect();
    assert_eq!(verdicts[0], json!([{"verdict": "passed"}]));
    assert_eq!(verdicts[1], json!([{"verdict": "failed", "error": "AssertionError"}]));
    assert_eq!(verdicts[3], json!([{"verdict": "timed_out"}]));
    let record: serde_yaml::Value = serde_yaml::from_str(&place.read("run/run.yaml")).unwrap();
    let programs = &record["programs"];
    let interpreter = Interpreter::find(None).unwrap();
    assert_eq!(programs["interpreter"]["version"].as_str(), Some(interpreter.version.as_str()));
    assert_eq!(programs["limits"]["seconds"].as_f64(), Some(3.0));
    assert_eq!(programs["verdicts"][0]["timed_out"].as_u64(), Some(1));
    let harness: Value = serde_json::from_str(&place.read("run/results.json")).unwrap();
    assert_eq!(harness["results"]["code"]["pass@1,create_test"], json!(0.6));
    // What is decided is not run again; what the clock ended is, by whoever may.
    let ledger = || place.read("run/ledger/programs.jsonl").lines().count();
    assert_eq!(ledger(), 5);
    done(&place.score("run", "again", &[]));
    assert_eq!((place.value("again", "pass@1"), ledger()), ((value, error), 5));
    assert_eq!(place.samples("again", "code"), place.samples("run", "code"));
    done(&place.score("run", "third", &["--allow-code"]));
    assert_eq!((place.value("third", "pass@1"), ledger()), ((value, error), 6));
    done(&place.eval("code", "reused", &["--allow-code", "--reuse", place.path("run").to_str().unwrap()]));
    assert_eq!(place.value("reused", "pass@1"), (value, error));
    assert_eq!(place.read("reused/ledger/programs.jsonl").lines().count(), 1);
}

#[test]
fn a_run_is_graded_by_one_process_at_a_time() {
    let Some(place) = Place::new(&[PASSING, FAILING]) else { return };
    done(&place.eval("code", "run", &["--predict-only"]));
    let lock = fs::File::create(place.path("run/.zoo.lock")).unwrap();
    lock.lock().unwrap();
    let output = place.score("run", "graded", &["--allow-code"]);
    assert!(!output.status.success() && stderr(&output).contains("another zoo"), "{}", stderr(&output));
    assert!(!place.path("run/ledger/programs.jsonl").exists() && !place.path("graded").exists());
    drop(lock);
    done(&place.score("run", "graded", &["--allow-code"]));
    let ledger = place.read("run/ledger/programs.jsonl");
    assert_eq!((ledger.lines().count(), place.path("run/.zoo.lock").exists()), (2, false));
    // Where nothing is missing, nothing is claimed.
    let lock = fs::File::create(place.path("run/.zoo.lock")).unwrap();
    lock.lock().unwrap();
    done(&place.score("run", "again", &["--allow-code"]));
    assert_eq!(
        (place.value("again", "pass@1"), place.read("run/ledger/programs.jsonl")),
        (place.value("graded", "pass@1"), ledger)
    );
}

#[test]
fn several_answers_make_several_shares() {
    let Some(place) = Place::new(&[PASSING, FAILING, "x"]) else { return };
    place.task("many", "humaneval.pass_at_k\n    k: [1, 2, 3, 4]", "humaneval.build_predictions", 3);
    place.task("first", "mbpp.pass_at_1", "humaneval.build_predictions", 3);
    let said = done(&place.eval("many,first", "run", &["--allow-code"]));
    for metric in ["pass@1", "pass@2", "pass@3", "pass_at_1"] {
        let (value, _) = place.value("run", metric);
        assert!((value - 1.0 / 3.0).abs() < 1e-12, "{metric}: {value}");
    }
    assert!(
        said.contains("metric pass@4") && said.contains("needs 4 answers to each prompt, and there are 3"),
        "{said}"
    );
    assert!(!place.read("run/results.csv").contains("pass@4"));
    assert!(
        place.samples("run", "many").iter().all(|line| line["programs"]["create_test"]
            .as_array()
            .unwrap()
            .len()
            == 3)
    );
    place.task("wrong", "humaneval.pass_at_k\n    k: [0]", "humaneval.build_predictions", 1);
    let output = place.eval("wrong", "wrong", &["--allow-code"]);
    assert!(stderr(&output).contains("k: expected a number of programs"), "{}", stderr(&output));
}

#[test]
fn a_run_that_is_killed_leaves_no_program_and_goes_on() {
    let Some(place) = Place::new(&[PASSING, FAILING, ENDLESS, ENDLESS, ENDLESS, ENDLESS, PASSING]) else {
        return;
    };
    let [model, out] = ["tiny", "run"].map(|name| place.path(name).display().to_string());
    let args =
        place.args(&["eval", &model, "--suite", "code", "--out", &out, "--allow-code", "--threads", "1"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut running = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ledger = place.path("run/ledger/programs.jsonl");
    let patience = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(&ledger).map_or(0, |text| text.lines().count()) < 2 {
        assert!(Instant::now() < patience && running.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    let helpers = children_of(running.id());
    assert!(!helpers.is_empty(), "an endless program is running");
    running.kill().unwrap();
    running.wait().unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    while helpers.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < patience, "{helpers:?}");
        thread::sleep(Duration::from_millis(10));
    }
    let before = fs::read_to_string(&ledger).unwrap();
    done(&place.eval("code", "run", &["--allow-code", "--resume"]));
    let after = fs::read_to_string(&ledger).unwrap();
    assert!(after.starts_with(&before), "what was decided is not run again");
    let (value, _) = place.value("run", "pass@1");
    assert!((value - 2.0 / 7.0).abs() < 1e-12, "{value}");
}

#[test]
fn an_interpreter_of_an_environment_of_its_own_is_shown_with_its_packages() {
    let Some(place) =
        Place::new(&[&format!("import zoo_test_package\nassert zoo_test_package.x == 1\n{PASSING}")])
    else {
        return;
    };
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(place.path("env")).output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED, no environment was made: this Python has no module venv");
        return;
    }
    let python = place.path("env/bin/python3");
    let interpreter = Interpreter::find(Some(&python)).unwrap();
    assert_eq!(interpreter.path, python);
    let packages =
        fs::read_dir(place.path("env/lib")).unwrap().next().unwrap().unwrap().path().join("site-packages");
    fs::write(packages.join("zoo_test_package.py"), "x = 1").unwrap();
    done(&place.eval("code", "run", &["--allow-code", "--python", python.to_str().unwrap()]));
    assert!(place.read("run/results.csv").contains(",pass@1,create_test,1.0,"));
}

#[test]
fn ctrl_c_ends_programs_and_says_how_to_go_on() {
    let Some(place) = Place::new(&[PASSING, FAILING, ENDLESS, ENDLESS, PASSING]) else { return };
    let [model, out] = ["tiny", "run"].map(|name| place.path(name).display().to_string());
    let args =
        place.args(&["eval", &model, "--suite", "code", "--out", &out, "--allow-code", "--threads", "1"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let running = command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let ledger = place.path("run/ledger/programs.jsonl");
    let patience = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(&ledger).map_or(0, |text| text.lines().count()) < 2 {
        assert!(Instant::now() < patience);
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(500));
    let helpers = children_of(running.id());
    rustix::process::kill_process(rustix::process::Pid::from_child(&running), rustix::process::Signal::INT)
        .unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    for word in ["2 of 5", "programs.jsonl", "--resume"] {
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
    }
    assert!(!helpers.is_empty() && !helpers.iter().any(|pid| is_alive(*pid)), "{helpers:?}");
    done(&place.eval("code", "run", &["--allow-code", "--resume"]));
    assert_eq!(place.value("run", "pass@1").0, 0.4);
}

#[test]
fn given_programs_of_both_suites_are_graded_and_see_nothing_of_whoever_runs_zoo() {
    let Some(place) = Place::new(&[PASSING]) else { return };
    let data = |name: &str, row: Value| {
        let path = place.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{row}\n")).unwrap();
    };
    data(
        "openai/openai_humaneval/test.jsonl",
        json!({"prompt": "def add(a, b):\n", "test": "def check(f):\n    assert f(2, 3) == 5", "entry_point": "add"}),
    );
    let tests = json!(["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add(-1, 1) == 0"]);
    data(
        "google-research-datasets/mbpp/full/test.jsonl",
        json!({"text": "Add.", "code": "x", "test_list": tests}),
    );
    // Nothing that was open, and no variable that was set, where zoo was started; and what hides its new files does not matter.
    let nosy = "import os\nfor fd in range(3, 200):\n    try: os.read(fd, 1)\n    except OSError: continue\n    raise Exception(fd)\n\
                assert 'ZOO_TEST_SECRET' not in os.environ\ndef add(a, b): return a + b\n[DONE]\nnot a program";
    let answers = format!(
        "{}\n{}\n",
        json!({"doc_id": 0, "task": "humaneval", "text": "    return a + b\n\nprint(undefined)"}),
        json!({"doc_id": 0, "task": "mbpp", "text": nosy})
    );
    fs::write(place.path("answers.jsonl"), answers).unwrap();
    let [answers, data, out] =
        ["answers.jsonl", "data", "out"].map(|name| place.path(name).display().to_string());
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "umask 077; exec 7</etc/passwd; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_zoo"),
        "score",
        "--answers",
        &answers,
    ]);
    shell.args(["--suite", "humaneval,mbpp", "--data-dir", &data, "--allow-code", "--out", &out]);
    let output = shell.env("ZOO_TEST_SECRET", "secret").env("ZOO_HOME", place.path("home")).output().unwrap();
    done(&output);
    let table = place.read("out/results.csv");
    assert!(table.contains(",humaneval,0,pass@1,create_test,1.0,"), "{table}");
    assert!(table.contains(",mbpp,3,pass_at_1,none,1.0,"), "{table}");
}

/// Processes that a process started, and those that they started.
fn children_of(pid: u32) -> Vec<u32> {
    let own = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_threads = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let all: String = of_threads.fold(own, |all, one| all + " " + &one);
    let mut found: Vec<u32> = all.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    found.extend(found.clone().into_iter().flat_map(children_of));
    found.sort_unstable();
    found.dedup();
    found
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, after)| !after.starts_with(['Z', 'X']))
}

/// Who runs tests as root sees what a user without rights sees too: namespaces of users, and nothing of root's.
#[test]
fn a_user_without_rights_has_the_same_sandbox() {
    let Some(place) = Place::new(&[PASSING, FAILING]) else { return };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let program = place.path("zoo");
    let python = PathBuf::from("/usr/bin/python3");
    if !is_root || !python.exists() || Command::new("setpriv").arg("--version").output().is_err() {
        // Whoever is not root has tried it in all other tests.
        return;
    }
    fs::copy(env!("CARGO_BIN_EXE_zoo"), &program).unwrap();
    fs::create_dir(place.path("open")).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let [model, out] = ["tiny", "open/run"].map(|name| place.path(name).display().to_string());
    let args = place.args(&[
        "eval",
        &model,
        "--suite",
        "code",
        "--out",
        &out,
        "--allow-code",
        "--python",
        "/usr/bin/python3",
    ]);
    let mut user = Command::new("setpriv");
    user.args(["--reuid", "65533", "--regid", "65533", "--clear-groups"]).arg(&program).args(&args);
    let output = user.env("ZOO_HOME", place.path("open/home")).env("HOME", "/nonexistent").output().unwrap();
    if stderr(&output).contains("namespaces") {
        // A machine that forbids them says so, and how to allow them.
        assert!(
            stderr(&output).contains("sysctl") && !place.path("open/run").exists(),
            "{}",
            stderr(&output)
        );
        return;
    }
    assert!(done(&output).contains("1 passed, 1 failed"), "{}", stderr(&output));
    // A run of somebody else's, which cannot be added to, is graded too.
    done(&place.eval("code", "theirs", &["--predict-only"]));
    let shown = Command::new("chmod").args(["-R", "a+rX"]).arg(place.path("theirs")).status().unwrap();
    assert!(shown.success());
    let [run, out] = ["theirs", "open/graded"].map(|name| place.path(name).display().to_string());
    let args = place.args(&["score", &run, "--out", &out, "--allow-code", "--python", "/usr/bin/python3"]);
    let mut user = Command::new("setpriv");
    user.args(["--reuid", "65533", "--regid", "65533", "--clear-groups"]).arg(&program).args(&args);
    let output = user.env("ZOO_HOME", place.path("open/home")).env("HOME", "/nonexistent").output().unwrap();
    assert!(
        done(&output).contains("read-only") && stderr(&output).contains("1 passed, 1 failed"),
        "{}",
        stderr(&output)
    );
    assert!(!place.path("theirs/ledger/programs.jsonl").exists());
}
