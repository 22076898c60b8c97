//! `zoo build` as a program, and building by itself in `zoo eval`: what comes out, what is refused, and that no
//! interruption leaves a wrong model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::killed::{ANY, SMALL, kill_and_restart, write_wide_model};
use crate::support::tiny::{command, stderr, stdout, write_tiny_model};
use safetensors::tensor::{Dtype as StDtype, TensorView};
use zoo::store::{LOCK_FILE, Lock};
use zoo::weights::{self, Dtype};

/// What is added is this part of the base: a power of two, and small as differences are.
const PART: f32 = 1.0 / 64.0;
const BASE_CARD: &str = "id: tiny-base\nname: Tiny\naliases: [small]\nfamily: llama\nlicense: MIT\n\
                         release: {kind: full, format: safetensors}\nsources: [{path: ../base}]\n";
const TUNED_CARD: &str = "id: tiny-tuned\nname: Tuned\nfamily: llama\nlicense: MIT\nbase: tiny-base\n\
                          release: {kind: delta, rule: vicuna_delta}\nsources: [{path: ../delta}]\n";

/// A folder with a base, a difference to it, and cards of both.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        write_tiny_model(&world.path("wide"));
        assert!(
            world
                .zoo(&["convert", &world.at("wide"), "--out", &world.at("base"), "--dtype", "f16"])
                .status
                .success()
        );
        fs::remove_file(world.path("base").join(LOCK_FILE)).unwrap();
        copy(&world.path("base"), &world.path("delta"));
        change(&world.path("delta"), |x| x * PART);
        fs::create_dir(world.path("cards")).unwrap();
        fs::write(world.path("cards").join("tiny-base.yaml"), BASE_CARD).unwrap();
        fs::write(world.path("cards").join("tiny-tuned.yaml"), TUNED_CARD).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs the program with this world's cards and cache.
    fn zoo(&self, args: &[&str]) -> Output {
        let mut command = command(args);
        command.env("ZOO_HOME", self.path("home"));
        if self.path("cards").exists() {
            command.args(["--zoo-dir", &self.at("cards")]);
        }
        command.output().unwrap()
    }

    fn assert_is_tuned(&self, folder: &Path) {
        let (base, built) = (weights::open(self.path("base")).unwrap(), weights::open(folder).unwrap());
        for info in built.tensors() {
            let base = base.tensor(&info.name).unwrap().to_f32().unwrap();
            let found = built.tensor(&info.name).unwrap().to_f32().unwrap();
            let sums: Vec<f32> = base.iter().map(|x| x + rounded(x * PART)).map(rounded).collect();
            assert_eq!(found, sums, "{}", info.name);
        }
    }
}

/// The nearest half-precision number.
fn rounded(x: f32) -> f32 {
    let (mut bytes, mut back) = ([0; 2], [0.0]);
    Dtype::F16.narrow(&[x], &mut bytes).unwrap();
    Dtype::F16.widen(&bytes, &mut back).unwrap();
    back[0]
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Changes every value of `model.safetensors`.
fn change(folder: &Path, f: impl Fn(f32) -> f32) {
    let source = weights::open(folder).unwrap();
    let mut tensors = Vec::new();
    for info in source.tensors() {
        let values: Vec<f32> =
            source.tensor(&info.name).unwrap().to_f32().unwrap().into_iter().map(&f).collect();
        let mut bytes = vec![0; values.len() * 2];
        Dtype::F16.narrow(&values, &mut bytes).unwrap();
        tensors.push((info.name.clone(), info.shape.clone(), bytes));
    }
    write(folder, &tensors);
}

fn write(folder: &Path, tensors: &[(String, Vec<usize>, Vec<u8>)]) {
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(StDtype::F16, shape.clone(), bytes).unwrap()));
    fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_difference_and_its_base_become_a_model_by_rule_and_by_card() {
    let world = World::new();
    let (base, delta) = (format!("base={}", world.at("base")), format!("delta={}", world.at("delta")));
    let args =
        ["build", "--rule", "vicuna_delta", "--from", &base, "--from", &delta, "--out", &world.at("out")];
    let output = world.zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    world.assert_is_tuned(&world.path("out"));
    let lock = Lock::read(&world.path("out")).unwrap();
    assert!(stdout(&output).contains(&lock.tensors_sha256), "{}", stdout(&output));
    let inputs: Vec<_> = lock.inputs.iter().map(|i| (i.role.as_str(), i.name.as_str())).collect();
    assert_eq!((lock.rule.as_str(), inputs), ("vicuna_delta", vec![("base", "base"), ("delta", "delta")]));

    // The card knows rule and places; a part can be given by an alias.
    let output = world.zoo(&["build", "tiny-tuned", "--from", &format!("small={}", world.at("base"))]);
    assert!(output.status.success(), "{}", stderr(&output));
    let built = world.path("home/built/tiny-tuned");
    assert_eq!(Lock::read(&built).unwrap().tensors_sha256, lock.tensors_sha256);
    assert_eq!(Lock::read(&built).unwrap().model.as_deref(), Some("tiny-tuned"));

    // A finished build is never replaced by accident.
    let output = world.zoo(&["build", "tiny-tuned"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert!(world.zoo(&["build", "tiny-tuned", "--force"]).status.success());
    let output = world.zoo(&["verify", "tiny-tuned"]);
    assert!(output.status.success() && stdout(&output).contains("lock"), "{}", stdout(&output));
}

#[test]
fn eval_builds_what_it_needs_and_says_what_it_ran() {
    let world = World::new();
    let eval = |model: &str, extra: &[&str]| {
        let out = world.at("run");
        let args = ["eval", model, "--suite", "basics_yesno", "--limit", "2", "--out", &out];
        world.zoo(&[&args, extra].concat())
    };
    let output = eval("tiny-tuned", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("tiny-tuned was built in"), "{}", stderr(&output));
    let built = world.path("home/built/tiny-tuned");
    world.assert_is_tuned(&built);
    let digest = Lock::read(&built).unwrap().tensors_sha256;
    let run: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(world.path("run/run.yaml")).unwrap()).unwrap();
    assert_eq!(run["models"][0]["built"]["tensors_sha256"], digest.as_str());
    assert_eq!(run["models"][0]["built"]["inputs"][0], "base tiny-base");
    assert!(fs::read_to_string(world.path("run/comparison.md")).unwrap().contains(&digest));

    let output = eval("tiny-tuned", &["--from", &format!("tiny-base={}", world.at("base"))]);
    assert!(stderr(&output).contains("the earlier build"), "{}", stderr(&output));

    // A build that was touched is not what its lock says.
    let config = built.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + " ").unwrap();
    let output = eval("tiny-tuned", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("config.json") && stderr(&output).contains(LOCK_FILE),
        "{}",
        stderr(&output)
    );

    // The difference itself is never scored by mistake.
    let output = eval(&world.at("delta"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("values of a difference"), "{}", stderr(&output));
    assert!(eval(&world.at("delta"), &["--allow-difference"]).status.success());
}

#[test]
fn what_does_not_belong_together_is_refused_and_leaves_nothing() {
    let world = World::new();
    let (base, delta) = (format!("base={}", world.at("base")), format!("delta={}", world.at("delta")));
    let out = world.at("out");
    let refused = |args: &[&str], code: i32, words: &[&str]| {
        let output = world.zoo(&[&["build"], args].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{args:?}: {text}");
        assert!(!world.path("out").exists() && !world.path("home/built/tiny-tuned").exists(), "{args:?}");
    };
    refused(&["--rule", "vicuna_delta", "--from", &base, "--out", &out], 2, &["--from delta=PATH"]);
    refused(&["--rule", "vicuna_delta", "--from", &base, "--from", &delta], 2, &["--out"]);
    refused(&["no-such-model"], 2, &["no-such-model"]);
    refused(&["tiny-base"], 2, &["whole weights", "zoo convert tiny-base"]);
    refused(&["tiny-tuned", "--from", "tiny-bas=."], 2, &["tiny-base (base)"]);
    refused(&["tiny-tuned", "--from", "tiny-base=./no/such"], 2, &["no such file"]);
    // A model where a difference should be, and the other way round.
    let model = format!("delta={}", world.at("base"));
    refused(
        &["--rule", "vicuna_delta", "--from", &base, "--from", &model, "--out", &out],
        1,
        &["expected", "found"],
    );
    let other = format!("base={}", world.at("delta"));
    refused(
        &["--rule", "vicuna_delta", "--from", &other, "--from", &delta, "--out", &out],
        1,
        &["expected", "found"],
    );
    // A base with a grown vocabulary.
    let grown = world.path("grown");
    copy(&world.path("base"), &grown);
    let source = weights::open(&grown).unwrap();
    let mut tensors = Vec::new();
    for info in source.tensors() {
        let (mut shape, mut bytes) =
            (info.shape.clone(), source.tensor(&info.name).unwrap().data.into_owned());
        if info.name.ends_with("embed_tokens.weight") {
            let row = bytes.len() / shape[0];
            bytes.extend(bytes[..row].to_vec());
            shape[0] += 1;
        }
        tensors.push((info.name.clone(), shape, bytes));
    }
    write(&grown, &tensors);
    let grown = format!("base={}", world.at("grown"));
    refused(
        &["--rule", "vicuna_delta", "--from", &grown, "--from", &delta, "--out", &out],
        1,
        &["embed_tokens", "258", "259"],
    );
}

#[test]
fn an_adapter_that_was_extracted_merges_back() {
    let world = World::new();
    if cfg!(not(feature = "openblas")) {
        // Singular values need LAPACK.
        return;
    }
    let (base, delta) = (format!("base={}", world.at("base")), format!("delta={}", world.at("delta")));
    let tuned = world.at("tuned");
    let args = ["build", "--rule", "vicuna_delta", "--from", &base, "--from", &delta, "--out", &tuned];
    assert!(world.zoo(&args).status.success());
    let adapter = world.at("adapter");
    let args = [
        "extract-lora",
        &world.at("base"),
        &tuned,
        "--rank",
        "16",
        "--dtype",
        "f32",
        "--save-norms",
        "--out",
    ];
    let output = world.zoo(&[&args[..], &[&adapter]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let given = format!("adapter={adapter}");
    let args =
        ["build", "--rule", "peft_lora", "--from", &base, "--from", &given, "--out", &world.at("merged")];
    let output = world.zoo(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let (tuned, merged) =
        (weights::open(world.path("tuned")).unwrap(), weights::open(world.path("merged")).unwrap());
    for info in tuned.tensors() {
        let expected = tuned.tensor(&info.name).unwrap().to_f32().unwrap();
        let found = merged.tensor(&info.name).unwrap().to_f32().unwrap();
        // All singular values are kept: what is left is one rounding to half precision.
        for (x, y) in expected.iter().zip(found) {
            assert!((x - y).abs() <= x.abs() / 1024.0 + 1e-6, "{}: {x} became {y}", info.name);
        }
    }
}

#[test]
fn a_killed_build_and_its_restart_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str| format!("{name}={}", folder.path().join(name).display());
    write_wide_model(&folder.path().join("base"), 24, 400, ANY);
    write_wide_model(&folder.path().join("delta"), 24, 400, SMALL);
    let (base, delta) = (part("base"), part("delta"));
    let args =
        ["build", "--rule", "vicuna_delta", "--from", &base, "--from", &delta, "--shard-size", "100MB"];
    kill_and_restart(folder.path(), 4, |out| {
        let mut build = command(&args);
        build.arg("--out").arg(out);
        build
    });
}
