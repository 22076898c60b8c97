//! The recipes of `docs/machines`, run with stand-ins for what starts them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::world::{assert_same, merge, world};
use crate::support::place::Place;
use crate::support::tiny::{command, stderr, stdout};

fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/machines").join(name)
}

/// A program with the surroundings of tests, and `zoo` on its path.
fn with_zoo(place: &Place, program: &str) -> Command {
    let bin = place.path("bin");
    fs::create_dir_all(&bin).unwrap();
    if !bin.join("zoo").exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_zoo"), bin.join("zoo")).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut own = Command::new(program);
    for (name, value) in command(&[]).get_envs() {
        match value {
            Some(value) => own.env(name, value),
            None => own.env_remove(name),
        };
    }
    own.env("PATH", path);
    own
}

#[track_caller]
fn done(output: &Output) {
    assert!(output.status.success(), "{}{}", stdout(output), stderr(output));
}

/// Whether a program is here; a test without it says that it did nothing.
fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !here {
        eprintln!("SKIPPED: no {program} on this system");
    }
    here
}

#[test]
fn a_slurm_array_runs_the_parts() {
    let place = world(&["--suite", "pick"]);
    place.run("whole", &[]);
    let script = recipe("slurm.sbatch");
    let text = fs::read_to_string(&script).unwrap();
    let array = text.lines().find_map(|line| line.strip_prefix("#SBATCH --array=0-")).unwrap();
    let last: usize = array.parse().unwrap();
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    for index in 0..=last {
        let mut sbatch = with_zoo(&place, "bash");
        sbatch
            .arg(&script)
            .env("MODEL", place.text("tiny"))
            .env("SUITE", "pick")
            .env("RUN", place.text("run"));
        sbatch.env("FLAGS", format!("--include-path {}", place.text("tasks")));
        // What Slurm sets for a job of an array.
        for (name, value) in [("ID", index), ("COUNT", last + 1), ("MIN", 0), ("MAX", last), ("STEP", 1)] {
            sbatch.env(format!("SLURM_ARRAY_TASK_{name}"), value.to_string());
        }
        sbatch.env("SLURM_PROCID", "0").env("SLURM_CPUS_PER_TASK", "1");
        done(&sbatch.output().unwrap());
    }
    done(&merge(&place, &["run.shards".to_owned()], "run", &[]));
    assert_eq!(place.read("run/results.csv"), place.read("whole/results.csv"));
    // Without the merge's variables it says which are missing, and does nothing.
    let nothing = with_zoo(&place, "bash").arg(&script).output().unwrap();
    assert!(!nothing.status.success() && stderr(&nothing).contains("the model, such as"));
}

#[test]
fn an_indexed_job_of_kubernetes_runs_the_parts() {
    let place = world(&["--suite", "pick"]);
    let text = fs::read_to_string(recipe("kubernetes.yaml")).unwrap();
    let job: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let spec = &job["spec"];
    assert_eq!((job["kind"].as_str(), spec["completionMode"].as_str()), (Some("Job"), Some("Indexed")));
    let parts = usize::try_from(spec["completions"].as_u64().unwrap()).unwrap();
    assert!(spec["backoffLimitPerIndex"].as_u64().is_some());
    // Which the limit by index asks for.
    assert_eq!(spec["template"]["spec"]["restartPolicy"].as_str(), Some("Never"));
    let container = &spec["template"]["spec"]["containers"][0];
    let words = |key: &str| -> Vec<String> {
        let all = container[key].as_sequence().unwrap().iter();
        all.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(words("command")[..2], ["zoo", "eval"]);
    for index in 0..parts {
        // As Kubernetes puts variables into arguments.
        let put = |word: String| {
            let word = word.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            word.replace("/data", &place.text("data"))
        };
        let mut zoo = command(&["eval", &place.text("tiny"), "--suite", "pick"]);
        zoo.args(words("args").into_iter().map(put)).args(["--include-path", &place.text("tasks")]);
        zoo.env("JOB_COMPLETION_INDEX", index.to_string());
        done(&zoo.output().unwrap());
    }
    done(&merge(&place, &["data/shards".to_owned()], "merged", &[]));
    place.run("whole", &["--threads", "8"]);
    assert_same(&place.path("merged"), &place.path("whole"));
}

#[test]
fn gnu_parallel_runs_the_parts() {
    if !is_here("parallel") {
        return;
    }
    let place = world(&["--suite", "pick"]);
    place.run("whole", &[]);
    let script = recipe("parallel.sh");
    // Twice: what has ended is done at once.
    for _ in 0..2 {
        let mut parallel = with_zoo(&place, "bash");
        let tasks = place.text("tasks");
        parallel.arg(&script).args([&place.text("tiny"), "--suite", "pick", "--include-path", &tasks]);
        parallel.args(["--gen-kwargs", "{}"]);
        parallel.env("RUN", place.text("run")).env("PARTS", "3").env("JOBS", "2").env("HOME", place.root());
        done(&parallel.output().unwrap());
    }
    assert_same(&place.path("run"), &place.path("whole"));
}

#[test]
fn what_gnu_parallel_starts_is_what_the_script_says() {
    let place = world(&["--suite", "pick"]);
    place.run("whole", &[]);
    let script = recipe("parallel.sh");
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    // A stand-in that takes the same words, and runs one job after the other.
    let mut with = with_zoo(&place, "bash");
    let stand_in = place.path("bin/parallel");
    let text = "#!/bin/bash\nset -e\nwhile [ \"$1\" != zoo ]; do [ \"$1\" = -I ] && word=$2; shift; done\n\
                while read -r one; do\n\"${@//$word/$one}\" < /dev/null\ndone\n";
    fs::write(&stand_in, text).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    // What stands for the number in most examples of GNU parallel is a value here; folders come in both ways.
    let tasks = format!("--include-path={}", place.text("tasks"));
    with.arg(&script).args([&place.text("tiny"), "--suite", "pick", "--gen-kwargs", "{}", &tasks]);
    done(&with.env("RUN", place.text("run")).env("PARTS", "3").output().unwrap());
    assert_same(&place.path("run"), &place.path("whole"));
}

/// Runs the script with a package of a few lines in place of Ray, and scripts in place of vLLM and zoo.
#[test]
fn parts_on_ray_start_their_servers_and_ask_them() {
    if !is_here("python3") {
        return;
    }
    let place = Place::without_model(&[]);
    for folder in ["bin", "packages/ray", "run.shards/1"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    let package = "def init(): pass\n\
                   def get(asked): return [part() for part in asked]\n\
                   class Part:\n    def __init__(self, run): self.run = run\n    \
                   def remote(self, *own): return lambda: self.run(*own)\n\
                   def remote(num_gpus, max_retries, retry_exceptions):\n    assert num_gpus == 1 and retry_exceptions\n    \
                   return Part\n";
    fs::write(place.path("packages/ray/__init__.py"), package).unwrap();
    let server = "#!/usr/bin/env python3\nimport http.server, sys\n\
         class Answer(http.server.BaseHTTPRequestHandler):\n    \
         def do_GET(self):\n        self.send_response(200 if self.path == '/health' else 404)\n        self.end_headers()\n    \
         def log_message(self, *_): pass\n\
         assert sys.argv[1:3] == ['serve', 'model'] and sys.argv[7:] == ['--dtype', 'float32'], sys.argv\n\
         http.server.HTTPServer((sys.argv[4], int(sys.argv[6])), Answer).serve_forever()\n";
    let zoo = "#!/bin/bash\necho \"$@\" >> \"$(dirname \"$0\")/../asked\"\n";
    for (name, text) in [("vllm", server), ("zoo", zoo)] {
        let path = place.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Part 1 has ended already.
    fs::write(place.path("run.shards/1/run.yaml"), "").unwrap();
    let run = |suite: &str| {
        let mut python = with_zoo(&place, "python3");
        python.env("PYTHONPATH", place.path("packages")).arg("-B").arg(recipe("on_ray.py"));
        python.args([
            "--model",
            "model",
            "--tokenizer",
            "card",
            "--suite",
            suite,
            "--parts",
            "3",
            "--include-path=tasks",
        ]);
        python.args([
            "--limit",
            "3",
            "--data-dir",
            "data",
            "--zoo-dir",
            "cards",
            "--out",
            &place.text("run"),
        ]);
        python.output().unwrap()
    };
    done(&run("mmlu"));
    let asked = place.read("asked");
    let asked: Vec<&str> = asked.lines().collect();
    let (folders, shards) = ("--data-dir data --zoo-dir cards", place.text("run.shards"));
    assert_eq!(asked.len(), 3, "{asked:?}");
    for (line, part) in [(asked[0], 0), (asked[1], 2)] {
        let (address, flags) = line.split_once(" --tokenizer ").unwrap();
        assert!(address.starts_with("eval remote:http://127.0.0.1:"), "{line}");
        let expected = format!(
            "card --suite mmlu --include-path=tasks --limit 3 {folders} --shard {part}/3 --out {shards}/{part} --resume"
        );
        assert_eq!(flags, expected);
    }
    let expected = format!("merge {shards} --out {} --include-path=tasks {folders}", place.text("run"));
    assert_eq!(asked[2], expected);
    // Parts of something else are not taken for those of this run.
    let other = run("basics");
    assert!(!other.status.success() && stderr(&other).contains("parts of another run"), "{}", stderr(&other));
}

#[test]
fn every_recipe_is_named_on_its_page() {
    let page = fs::read_to_string(recipe("../machines.md")).unwrap();
    let mut files: Vec<String> = fs::read_dir(recipe(""))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["kubernetes.yaml", "on_ray.py", "parallel.sh", "slurm.sbatch"]);
    assert!(files.iter().all(|file| page.contains(&format!("(machines/{file})"))));
}
