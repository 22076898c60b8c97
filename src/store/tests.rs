//! Builds of small models: complete ones, interrupted ones, and ones that must not happen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::SafeTensors;
use serde_json::json;

use super::*;
use crate::base::progress::Silent;
use crate::forms::sample::MemorySource;
use crate::forms::{Sidecar, SidecarContent};
use crate::rebuild::InputFile;
use crate::store::{LOCK_FILE, digest_tensors};
use crate::weights::{self, Access, INDEX_FILE, TensorView, WeightsError};

/// Twelve layers of a matrix and a bias, and what else a model has.
fn tensors() -> MemorySource {
    let mut all = MemorySource::default();
    let bytes =
        |seed: usize, n: usize| -> Vec<u8> { (0..n).map(|i| (i * 7 + seed * 13) as u8 & 0x3f).collect() };
    for layer in 0..12 {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        all = all.with_bytes(&name("a.weight"), Dtype::F16, &[16, 8], bytes(layer, 256));
        all = all.with_bytes(&name("b.bias"), Dtype::F32, &[5], bytes(layer + 50, 20));
        all = all.with_bytes(&name("self_attn.rotary_emb.inv_freq"), Dtype::F32, &[2], bytes(0, 8));
    }
    all.with_bytes("lm_head.weight", Dtype::F16, &[3, 8], bytes(99, 48)).with_bytes(
        "mask",
        Dtype::Bool,
        &[3],
        vec![0, 1, 1],
    )
}

/// Notes which tensors are asked for, and fails at the asked-for count.
struct Flaky {
    inner: MemorySource,
    asked: Mutex<Vec<String>>,
    fail_at: usize,
}

impl TensorSource for Flaky {
    fn tensors(&self) -> &[TensorInfo] {
        self.inner.tensors()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let mut asked = self.asked.lock().unwrap();
        if asked.len() == self.fail_at {
            return Err(WeightsError::MissingTensor { file: "injected".into(), name: name.to_owned() });
        }
        asked.push(name.to_owned());
        self.inner.tensor(name)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }
}

fn model(tensors: impl TensorSource + 'static) -> HfModel {
    let config = json!({"model_type": "llama", "torch_dtype": "float32"});
    HfModel {
        path: PathBuf::from("memory"),
        tensors: Box::new(tensors),
        config: config.as_object().unwrap().clone(),
        config_name: "memory".into(),
        sidecars: vec![Sidecar {
            name: "tokenizer.model".into(),
            content: SidecarContent::Bytes(b"pieces".to_vec()),
        }],
    }
}

fn flaky(fail_at: usize) -> &'static Flaky {
    Box::leak(Box::new(Flaky { inner: tensors(), asked: Mutex::default(), fail_at }))
}

fn record(inputs: &[&Path]) -> BuildRecord {
    let files = inputs.iter().map(|path| InputFile { path: path.to_path_buf(), sha256: None }).collect();
    let input = InputRecord { role: "source".into(), name: "memory".into(), files };
    BuildRecord { model: None, rule: "convert".into(), arithmetic: "as it was".into(), inputs: vec![input] }
}

/// Small files, each tensor secured at once.
fn options() -> StoreOptions {
    StoreOptions { shard_bytes: 1000, sync_bytes: 1, ..Default::default() }
}

fn write(source: impl TensorSource + 'static, out: &Path) -> Result<WrittenModel, FormError> {
    write_model(&model(source), out, &options(), record(&[]), &no_check, &Silent)
}

/// Every file of a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let read = |path: PathBuf| if path.is_dir() { vec![] } else { fs::read(path).unwrap() };
    entries.map(|entry| (entry.file_name().into_string().unwrap(), read(entry.path()))).collect()
}

fn refusal(result: Result<WrittenModel, FormError>) -> String {
    match result {
        Err(FormError::Refused(refusal)) => refusal.to_string(),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn what_was_written_is_read_by_us_and_by_the_reference_library() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let written = write(tensors(), &out).unwrap();
    assert_eq!(content(folder.path()).into_keys().collect::<Vec<_>>(), ["made"], "nothing stays beside it");

    let source = weights::open(&out).unwrap();
    let original = without_buffers(tensors());
    assert_eq!(source.tensors(), original.tensors());
    for info in original.tensors() {
        assert_eq!(source.tensor(&info.name).unwrap().data, original.tensor(&info.name).unwrap().data);
    }
    let lock = Lock::read(&out).unwrap();
    assert_eq!(lock, written.lock);
    assert_eq!(lock.tensors, digest_tensors(source.as_ref(), &Silent).unwrap());
    let files = content(&out);
    assert!(files.contains_key(INDEX_FILE) && files["tokenizer.model"] == b"pieces");
    let listed: Vec<(&str, u64)> = lock.files.iter().map(|f| (f.name.as_str(), f.size)).collect();
    let there: Vec<(&str, u64)> =
        files.iter().filter(|(n, _)| *n != LOCK_FILE).map(|(n, b)| (n.as_str(), b.len() as u64)).collect();
    assert_eq!(listed, there);
    let mut names = Vec::new();
    for (_, bytes) in files.iter().filter(|(name, _)| name.ends_with(".safetensors")) {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let notes = header.metadata().clone().unwrap();
        assert_eq!(notes["format"], "pt");
        assert_eq!(notes[DIGEST_KEY], lock.tensors_sha256);
        names.extend(SafeTensors::deserialize(bytes).unwrap().names().into_iter().map(str::to_owned));
    }
    names.sort();
    assert_eq!(names, original.tensors().iter().map(|info| info.name.clone()).collect::<Vec<_>>());
}

#[test]
fn the_configuration_says_the_type_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let options = StoreOptions { dtype: Some(Dtype::BF16), ..options() };
    let written = write_model(&model(tensors()), &out, &options, record(&[]), &no_check, &Silent).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&content(&out)["config.json"]).unwrap();
    assert_eq!(config, json!({"model_type": "llama", "torch_dtype": "bfloat16"}));
    assert_eq!(written.lock.dtype, Dtype::BF16);
    let types = written.lock.tensors.iter().filter(|t| t.dtype != Dtype::BF16).map(|t| t.name.as_str());
    assert_eq!(types.collect::<Vec<_>>(), ["mask"]);
}

#[test]
fn layers_are_written_in_the_order_of_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let source = flaky(usize::MAX);
    write(source, &folder.path().join("made")).unwrap();
    let asked = source.asked.lock().unwrap();
    let place = |name: &str| asked.iter().position(|asked| asked.contains(name)).unwrap();
    assert!(place("layers.2.") < place("layers.10."));
}

#[test]
fn an_interruption_anywhere_costs_only_what_was_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write(tensors(), &whole).unwrap();
    let expected = content(&whole);
    let count = without_buffers(tensors()).tensors().len();
    for fail_at in 0..count {
        let out = folder.path().join(format!("interrupted-{fail_at}"));
        let first = flaky(fail_at);
        let error = write(first, &out).unwrap_err().to_string();
        assert!(error.contains("injected") && !out.exists(), "{error}");
        let second = flaky(usize::MAX);
        let written = write(second, &out).unwrap();
        assert_eq!(written.kept, fail_at);
        let asked_twice: Vec<String> = second.asked.lock().unwrap().clone();
        assert!(asked_twice.iter().all(|name| !first.asked.lock().unwrap().contains(name)));
        assert!(content(&out) == expected, "interrupted at {fail_at}");
    }
}

#[test]
fn a_damaged_journal_or_file_is_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write(tensors(), &whole).unwrap();
    let expected = content(&whole);
    type Damage = fn(&Path);
    let cases: [(&str, Damage, usize); 6] = [
        ("torn journal", |c| cut(&c.join("journal"), 9), 9),
        ("no journal", |c| fs::remove_file(c.join("journal")).unwrap(), 0),
        ("empty journal", |c| fs::write(c.join("journal"), "").unwrap(), 0),
        (
            "a hole in a file",
            // It holds eight of the ten: two small tensors and three layers.
            |c| fs::write(c.join("model/model-00001-of-00004.safetensors"), "x").unwrap(),
            2,
        ),
        ("no files", |c| fs::remove_dir_all(c.join("model")).unwrap(), 0),
        ("a stray file", |c| fs::write(c.join("model/stray"), "x").unwrap(), 10),
    ];
    for (case, damage, kept) in cases {
        let out = folder.path().join(case);
        write(flaky(10), &out).unwrap_err();
        damage(&folder.path().join(format!(".{case}.zoo-partial")));
        assert_eq!(write(tensors(), &out).unwrap().kept, kept, "{case}");
        assert!(content(&out) == expected, "{case}");
    }
}

fn cut(file: &Path, bytes: usize) {
    let text = fs::read(file).unwrap();
    fs::write(file, &text[..text.len() - bytes]).unwrap();
}

#[test]
fn other_work_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    fs::write(&input, "one").unwrap();
    let run = |source: &'static Flaky, record: BuildRecord, options: &StoreOptions, out: &Path| {
        write_model(&model(source), out, options, record, &no_check, &Silent)
    };
    let base = record(&[&input]);
    let out = folder.path().join("made");
    run(flaky(10), base.clone(), &options(), &out).unwrap_err();
    let again = run(flaky(5), base.clone(), &options(), &out);
    assert!(again.is_err(), "five more are not enough");
    // Fifteen are there; each of these throws them away and fails at once, so the next sees other work again.
    let other_rule = BuildRecord { rule: "vicuna_delta".into(), ..base.clone() };
    run(flaky(0), other_rule, &options(), &out).unwrap_err();
    let bf16 = StoreOptions { dtype: Some(Dtype::BF16), ..options() };
    run(flaky(0), base.clone(), &bf16, &out).unwrap_err();
    run(flaky(3), base.clone(), &options(), &out).unwrap_err();
    fs::write(&input, "another").unwrap();
    let written = run(flaky(usize::MAX), base, &options(), &out).unwrap();
    assert_eq!(written.kept, 0, "an input has changed");
}

#[test]
fn only_an_earlier_build_is_replaced_and_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let force = |out: &Path| {
        let options = StoreOptions { force: true, shard_bytes: 1 << 20, ..options() };
        write_model(&model(tensors()), out, &options, record(&[]), &no_check, &Silent)
    };
    write(tensors(), &out).unwrap();
    let before = content(&out);
    let text = refusal(write(tensors(), &out));
    assert!(text.contains("finished build") && text.contains("--force"), "{text}");
    assert!(content(&out) == before);

    force(&out).unwrap();
    let names: Vec<String> = content(&out).into_keys().collect();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.model", LOCK_FILE]);
    assert_eq!(content(folder.path()).len(), 1, "the old build is gone");

    fs::write(out.join("notes.txt"), "mine").unwrap();
    let text = refusal(force(&out));
    assert!(text.contains("notes.txt"), "{text}");
    assert_eq!(content(&out)["notes.txt"], b"mine");

    for (case, make) in [
        ("file", (|p| fs::write(p, "x").unwrap()) as fn(&Path)),
        ("link", |p| std::os::unix::fs::symlink(".", p).unwrap()),
        ("other", |p| {
            fs::create_dir(p).unwrap();
            fs::write(p.join("config.json"), "{}").unwrap();
        }),
    ] {
        let other = folder.path().join(case);
        make(&other);
        let text = refusal(force(&other));
        assert!(text.contains("does not exist yet") && text.contains("--out"), "{case}: {text}");
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(write(tensors(), &empty).is_ok(), "an empty folder is as good as none");
}

#[test]
fn a_model_is_not_replaced_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    write(tensors(), &out).unwrap();
    let options = StoreOptions { force: true, ..options() };
    let input = out.join("tokenizer.model");
    let text = refusal(write_model(&model(tensors()), &out, &options, record(&[&input]), &no_check, &Silent));
    assert!(text.contains("an input"), "{text}");
}

#[test]
fn two_builds_of_one_target_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let place = ClaimedTarget::claim(&out, "folder", &[], || Ok(())).unwrap();
    let text = refusal(write(tensors(), &out));
    assert!(text.contains("no other process") && text.contains("wait"), "{text}");
    drop(place);
    assert!(write(tensors(), &out).is_ok());

    // Many at once: one writes at a time, and whoever comes later finds the finished build.
    let out = folder.path().join("raced");
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match write(tensors(), &out) {
                Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("no other process") || text.contains("finished build"), "{text}");
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 1);
    assert_eq!(Lock::read(&out).unwrap().tensors.len(), 26);
}

#[test]
fn names_that_would_leave_the_folder_or_collide_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../x", "a/b", "", "..", "config.json", LOCK_FILE, "tokenizer.model", "a\nb"] {
        let mut model = model(tensors());
        model.sidecars.push(Sidecar { name: name.to_owned(), content: SidecarContent::Bytes(vec![1]) });
        let out = folder.path().join("made");
        let text = refusal(write_model(&model, &out, &options(), record(&[]), &no_check, &Silent));
        assert!(text.contains("names of their own"), "{name:?}: {text}");
    }
    assert!(content(folder.path()).is_empty());
}

#[test]
fn no_room_is_said_before_the_work() {
    /// Claims to be larger than any disk.
    struct Huge(Vec<TensorInfo>);
    impl TensorSource for Huge {
        fn tensors(&self) -> &[TensorInfo] {
            &self.0
        }
        fn tensor(&self, _: &str) -> Result<TensorView<'_>, WeightsError> {
            unreachable!("nothing is asked for")
        }
        fn files(&self) -> Vec<PathBuf> {
            vec![]
        }
        fn hint(&self, _: &str, _: Access) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let info = TensorInfo { name: "w".into(), dtype: Dtype::F32, shape: vec![1 << 50] };
    let text = refusal(write(Huge(vec![info]), &folder.path().join("made")));
    assert!(text.contains("room for") && text.contains("free some space"), "{text}");
}

#[test]
fn a_source_that_gives_something_else_is_refused() {
    struct Liar(MemorySource, Vec<TensorInfo>);
    impl TensorSource for Liar {
        fn tensors(&self) -> &[TensorInfo] {
            &self.1
        }
        fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
            self.0.tensor(name)
        }
        fn files(&self) -> Vec<PathBuf> {
            vec![]
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let memory = MemorySource::default().with_bytes("w", Dtype::U8, &[4], vec![1; 4]);
    let claimed = vec![TensorInfo { name: "w".into(), dtype: Dtype::U8, shape: vec![5] }];
    let text = refusal(write(Liar(memory, claimed), &folder.path().join("made")));
    assert!(text.contains("expected U8 [5]") && text.contains("found U8 [4]"), "{text}");
}
