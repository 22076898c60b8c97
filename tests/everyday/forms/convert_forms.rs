//! `zoo convert` from one form to another, as a program: GGUF files, folders of Meta's, and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::interrupted::wait_until;
use crate::support::place::assert_says;
use crate::support::tiny::{command, stderr, stdout, write_tiny_bloom, write_tiny_model, zoo};
use zoo::base::progress::Silent;
use zoo::store::Lock;
use zoo::tokenizer::{AddSpecials, Tokenizer};
use zoo::weights::gguf::{GgufWriter, Metadata, Value};
use zoo::weights::{self, TensorInfo, verify_checklist};

fn tiny() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_tiny_model(&folder.path().join("tiny"));
    folder
}

fn convert(from: &Path, out: &Path, extra: &[&str]) -> Output {
    let mut args = vec!["convert", from.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(extra);
    zoo(&args)
}

/// The files of a folder, or the one file, with their bytes.
fn content(path: &Path) -> BTreeMap<String, Vec<u8>> {
    if path.is_file() {
        return [(String::new(), fs::read(path).unwrap())].into();
    }
    let entries = fs::read_dir(path).unwrap().flatten();
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// Bytes of all models below a folder; files come and go while it is looked at. A journal and a lock are no models.
fn bytes_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder.join("model")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len() as usize)).sum()
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// Names of a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_model_goes_through_gguf_and_metas_form_and_comes_back() {
    let folder = tiny();
    let path = |name: &str| folder.path().join(name);
    let from = path("tiny");
    let old = weights::open(&from).unwrap();
    for (form, flags) in [
        ("tiny.gguf", &[][..]),
        ("again.GGUF", &["--to", "gguf", "--dtype", "f32"]),
        ("one", &["--to", "meta"]),
        ("two", &["--to", "meta", "--shards", "2"]),
    ] {
        let output = convert(&from, &path(form), flags);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stdout(&output);
        assert!(
            text.contains("mostly F32") && text.contains(&format!("next: zoo eval {}", path(form).display()))
        );
        let output = convert(&path(form), &path("back"), &["--force"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let new = weights::open(path("back")).unwrap();
        for info in old.tensors() {
            assert_eq!(
                old.tensor(&info.name).unwrap().data,
                new.tensor(&info.name).unwrap().data,
                "{form} {}",
                info.name
            );
        }
        // Where the form has no tied matrices, the second one is written out.
        let meta = path(form).is_dir();
        assert_eq!(new.tensors().len(), old.tensors().len() + usize::from(meta), "{form}");
        let digest = Lock::read(&path("back")).unwrap().tensors_sha256;
        assert!(text.contains(&format!("tensors_sha256 {digest}")), "{form}: {text}");
        if meta {
            assert_eq!(Lock::read(&path(form)).unwrap().tensors_sha256, digest);
            assert!(verify_checklist(&path(form).join("checklist.chk"), &Silent).unwrap() >= 2);
        } else {
            let [a, b] = [&from, &path("back")].map(|folder| Tokenizer::from_folder(folder).unwrap());
            for text in ["", "a b é 你好", "<s>a</s>", "[PAD]"] {
                let ids = a.encode(text, AddSpecials::Default).unwrap();
                assert_eq!(b.encode(text, AddSpecials::Default).unwrap(), ids, "{text}");
            }
        }
    }
    assert_eq!(names(folder.path()), ["again.GGUF", "back", "one", "tiny", "tiny.gguf", "two"]);
    let verified = zoo(&["verify", path("two").to_str().unwrap()]);
    assert!(verified.status.success() && stdout(&verified).contains("as locked"), "{}", stdout(&verified));
}

#[test]
fn what_a_form_cannot_say_is_noted() {
    let folder = tiny();
    let (from, out) = (folder.path().join("tiny"), folder.path().join("small.gguf"));
    let output = convert(&from, &out, &["--dtype", "q4_0"]);
    assert!(output.status.success(), "{}", stderr(&output));
    // Rows of 16 and 24 elements are no whole blocks of 32.
    assert!(stderr(&output).contains("note: 15 matrices are F16"), "{}", stderr(&output));
    assert!(stdout(&output).contains("mostly F16"), "{}", stdout(&output));
    let output = convert(&from, &folder.path().join("meta"), &["--to", "meta"]);
    let text = stderr(&output);
    assert!(text.contains("no tokenizer.model") && text.contains("has 2048"), "{text}");
    assert_eq!(stderr(&convert(&from, &folder.path().join("meta"), &["--to", "meta", "--force", "-q"])), "");
}

#[test]
fn flags_that_do_not_fit_are_wrong_usage() {
    let folder = tiny();
    let from = folder.path().join("tiny");
    let quantised = folder.path().join("q.gguf");
    write_quantised(&quantised, 1.0);
    for (from, out, flags, words) in [
        (&from, "a.gguf", &["--to", "hf"][..], &["a.gguf", "--to gguf, or the name of a folder"][..]),
        (&from, "a.gguf", &["--to", "meta"], &["a.gguf", "--to meta"]),
        (&from, "a", &["--to", "gguf"], &["ending in .gguf"]),
        (&from, "a", &["--dtype", "q8_0"], &["q8_0", "--to gguf"]),
        (&from, "a", &["--to", "meta", "--dtype", "q4_0"], &["q4_0", "--to gguf"]),
        (&from, "a", &["--shards", "2"], &["--shards belongs to --to meta"]),
        (&from, "a.gguf", &["--shard-size", "1GB"], &["--shard-size belongs to --to hf"]),
        (&from, "a", &["--to", "onnx"], &["onnx", "hf, gguf, meta"]),
        (&from, "a", &["--to", "meta", "--shards", "two"], &["two", "--shards"]),
        (&quantised, "a", &[], &["Q8_0", "--dtype f32, f16 or bf16"]),
        (&quantised, "a", &["--to", "meta"], &["Q8_0", "--dtype f32, f16 or bf16"]),
    ] {
        let output = convert(from, &folder.path().join(out), flags);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{flags:?}: {text}");
    }
    assert_eq!(names(folder.path()), ["q.gguf", "tiny"]);
}

#[test]
fn a_difference_is_called_one() {
    let folder = tempfile::tempdir().unwrap();
    for (norms, warned) in [(1.0, false), (0.003, true)] {
        let (from, out) = (folder.path().join("m.gguf"), folder.path().join(format!("{warned}")));
        write_quantised(&from, norms);
        let output = convert(&from, &out, &["--dtype", "f16"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("a difference to a base and no model; zoo build"), warned);
    }
}

/// A GGUF file of a LLaMA without layers, its matrix in Q8_0 and its norm weights all `norms`.
fn write_quantised(path: &Path, norms: f32) {
    const WIDTH: usize = 32;
    let unsigned = |n: u64| Value::Unsigned(n);
    let metadata = [
        ("general.architecture", Value::String("llama".into())),
        ("llama.embedding_length", unsigned(WIDTH as u64)),
        ("llama.attention.head_count", unsigned(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::Float(1e-5)),
        ("llama.feed_forward_length", unsigned(64)),
        ("llama.block_count", unsigned(1)),
        ("llama.context_length", unsigned(64)),
    ];
    let metadata = Metadata(metadata.map(|(key, value)| (key.to_owned(), value)).into());
    let info =
        |name: &str, dtype, shape: &[usize]| TensorInfo { name: name.into(), dtype, shape: shape.to_vec() };
    let infos = vec![
        info("token_embd.weight", weights::Dtype::Q8_0, &[8, WIDTH]),
        info("output_norm.weight", weights::Dtype::F32, &[WIDTH]),
    ];
    let mut writer = GgufWriter::new(fs::File::create(path).unwrap(), path, &metadata, infos).unwrap();
    writer.write(&[0; 8 * 34]).unwrap();
    writer.write(&norms.to_le_bytes().repeat(WIDTH)).unwrap();
    writer.finish().unwrap();
}

#[test]
fn other_places_and_models_are_refused() {
    let folder = tiny();
    let path = |name: &str| folder.path().join(name);
    let (from, bloom) = (path("tiny"), path("bloom"));
    write_tiny_bloom(&bloom);
    fs::write(path("text.gguf"), "not a model").unwrap();
    fs::create_dir(path("folder.gguf")).unwrap();
    fs::create_dir(path("full")).unwrap();
    fs::write(path("full/notes.txt"), "mine").unwrap();
    assert!(convert(&from, &path("done.gguf"), &[]).status.success());
    assert!(convert(&from, &path("done"), &["--to", "meta"]).status.success());
    let before = names(folder.path());
    for (from, out, flags, words) in [
        (&bloom, "b.gguf", &[][..], &["\"bloom\"", "only LLaMA models are written as GGUF"][..]),
        (&bloom, "b", &["--to", "meta"], &["\"bloom\"", "safetensors"]),
        (&from, "m", &["--to", "meta", "--shards", "3"], &["that 3 divides"]),
        (&from, "m", &["--to", "meta", "--shards", "0"], &["1 to 64 shards"]),
        (&from, "done.gguf", &[], &["does not exist yet", "a GGUF file of", "--force"]),
        (&from, "done", &["--to", "meta"], &["finished build", "--force"]),
        (&from, "text.gguf", &["--force"], &["no GGUF file", "--out"]),
        (&from, "folder.gguf", &["--force"], &["found a folder"]),
        (&from, "full", &["--to", "meta", "--force"], &["other files", "--out"]),
        (&path("done.gguf"), "done.gguf", &["--force"], &["the place of an input"]),
        (&path("done"), "done", &["--to", "meta", "--force"], &["the place of an input"]),
        (&from, "text.gguf/m.gguf", &[], &["text.gguf"]),
    ] {
        let output = convert(from, &path(out), flags);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{out} {flags:?}: {text}");
        assert!(
            words.iter().all(|word| text.contains(word)) && !text.contains("panicked"),
            "{out} {flags:?}: {text}"
        );
    }
    assert_eq!(names(folder.path()), before);
    assert_eq!(fs::read(path("text.gguf")).unwrap(), b"not a model");
    // With --force, what zoo made itself is replaced.
    for (out, flags) in [
        ("done.gguf", &["--force", "--dtype", "f16"][..]),
        ("done", &["--force", "--to", "meta", "--dtype", "f16"]),
    ] {
        let output = convert(&from, &path(out), flags);
        assert!(output.status.success() && stdout(&output).contains("mostly F16"), "{}", stderr(&output));
    }
    assert_eq!(names(folder.path()), before);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_of_other_forms() {
    let folder = tiny();
    let from = folder.path().join("tiny");
    for (out, flags) in [("m.gguf", ""), ("m", "--to meta"), ("m", "--to meta --shards 2")] {
        // Files of at most a few kilobytes, whatever the shell's unit.
        let script = format!(
            "trap '' XFSZ; ulimit -f 8; exec '{}' convert '{}' --out '{}' {flags}",
            env!("CARGO_BIN_EXE_zoo"),
            from.display(),
            folder.path().join(out).display()
        );
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("room for the whole model") && text.contains(out), "{text}");
        assert_eq!(names(folder.path()), ["tiny"]);
    }
}

#[cfg(unix)]
#[test]
fn other_forms_are_complete_or_absent_after_a_signal() {
    let folder = tiny();
    let from = folder.path().join("tiny");
    let from = from.to_str().unwrap();
    for (name, flags) in [("m.gguf", &[][..]), ("m", &["--to", "meta", "--shards", "2"])] {
        let out = folder.path().join(name);
        let args = [&["convert", from, "--out", out.to_str().unwrap()], flags].concat();
        assert!(zoo(&args).status.success());
        let expected = content(&out);
        let whole: usize = expected.values().map(Vec::len).sum();
        let left = folder.path().join(format!(".{name}.zoo-partial"));
        for (number, signal) in (0..12).zip(["KILL", "INT"].into_iter().cycle()) {
            remove(&out);
            let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            wait_until(&mut child, || left.exists() && bytes_below(&left) >= whole * number / 12);
            // The process may have ended by itself.
            let kill = format!("kill -s {signal} {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().is_ok());
            let output = child.wait_with_output().unwrap();
            let finished = output.status.success();
            // Who can say something says what is kept: nothing of this form.
            if signal == "INT" && !finished {
                assert_says(&output, 130, &["interrupted: ", "go on with:\n"]);
                assert!(!stderr(&output).contains("are kept in"), "{}", stderr(&output));
            }
            // Between giving the name and cleaning up, a process leaves an empty place of work, and no more.
            if out.exists() {
                assert_eq!(bytes_below(&left), 0, "{signal} {number}");
            } else {
                assert!(!finished, "{signal} {number}");
                let output = zoo(&args);
                assert!(output.status.success(), "{}", stderr(&output));
                assert!(!left.exists(), "{signal} {number}");
            }
            assert!(content(&out) == expected, "{signal} {number}");
        }
        let _ = fs::remove_dir_all(left);
        remove(&out);
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tiny();
    let (from, out) = (folder.path().join("tiny"), folder.path().join("m.gguf"));
    let args = ["convert", from.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && out.exists(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn of_two_calls_at_once_one_writes() {
    let tiny = tiny();
    let (source, out) = (tiny.path().join("tiny"), tiny.path().join("m.gguf"));
    let args = ["convert", source.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let start = || command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    assert_eq!(both.iter().filter(|output| output.status.success()).count(), 1);
    let text = both.iter().map(stderr).collect::<String>();
    assert!(text.contains("no other process") || text.contains("a GGUF file of"), "{text}");
    assert_eq!(names(tiny.path()), ["m.gguf", "tiny"]);
}
