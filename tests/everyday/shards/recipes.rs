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
        done(&zoo.output().unwrap());
    }
    done(&merge(&place, &["data/shards".to_owned()], "merged", &[]));
    place.run("whole", &[]);
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
    let text = "#!/bin/bash\nset -e\nwhile [ \"$1\" != zoo ]; do shift; done\nwhile read -r one; do\n\
                \"${@//\\{\\}/$one}\" < /dev/null\ndone\n";
    fs::write(&stand_in, text).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    with.arg(&script).args([&place.text("tiny"), "--suite", "pick", "--include-path", &place.text("tasks")]);
    done(&with.env("RUN", place.text("run")).env("PARTS", "3").output().unwrap());
    assert_same(&place.path("run"), &place.path("whole"));
}

/// Compiles the script, and runs one part with a server of a few lines in place of vLLM and a script in place of zoo.
#[test]
fn a_part_on_ray_starts_its_server_and_asks_it() {
    if !is_here("python3") {
        return;
    }
    let place = Place::without_model(&[]);
    let script = recipe("ray.py");
    let compiled = place.text("ray.pyc");
    let code = "import py_compile, sys; py_compile.compile(sys.argv[1], cfile=sys.argv[2], doraise=True)";
    done(&Command::new("python3").args(["-c", code]).arg(&script).arg(compiled).output().unwrap());
    fs::write(
        place.path("serve.py"),
        "import http.server, sys\n\
         class Answer(http.server.BaseHTTPRequestHandler):\n    \
         def do_GET(self):\n        self.send_response(200 if self.path == '/health' else 404)\n        self.end_headers()\n    \
         def log_message(self, *_): pass\n\
         assert sys.argv[1] == 'model' and sys.argv[6:] == ['--dtype', 'float32'], sys.argv\n\
         http.server.HTTPServer((sys.argv[3], int(sys.argv[5])), Answer).serve_forever()\n",
    )
    .unwrap();
    fs::write(place.path("zoo"), "#!/bin/bash\nprintf '%s\\n' \"$@\" > \"$(dirname \"$0\")/asked\"\n")
        .unwrap();
    fs::set_permissions(place.path("zoo"), fs::Permissions::from_mode(0o755)).unwrap();
    let part = "import importlib.util, sys\n\
                spec = importlib.util.spec_from_file_location('recipe', sys.argv[1])\n\
                recipe = importlib.util.module_from_spec(spec)\n\
                spec.loader.exec_module(recipe)\n\
                recipe.run_part(2, 5, 'model', 'card', ['--suite', 'mmlu'], 'out', (sys.executable, sys.argv[2]), sys.argv[3])\n";
    let mut python = Command::new("python3");
    python.args(["-B", "-c", part]).arg(&script).args([place.text("serve.py"), place.text("zoo")]);
    done(&python.output().unwrap());
    let asked: Vec<String> = place.read("asked").lines().map(str::to_owned).collect();
    assert!(asked[1].starts_with("remote:http://127.0.0.1:"), "{asked:?}");
    let expected = "--tokenizer card --suite mmlu --shard 2/5 --out out.shards/2 --resume";
    assert_eq!((asked[0].as_str(), asked[2..].join(" ")), ("eval", expected.to_owned()));
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
    assert_eq!(files, ["kubernetes.yaml", "parallel.sh", "ray.py", "slurm.sbatch"]);
    assert!(files.iter().all(|file| page.contains(&format!("(machines/{file})"))));
}
