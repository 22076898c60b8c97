//! Embeds the model cards and the suites, and checks that OpenBLAS can be linked.
//!
//! `zoo/` and `evals/` are data: every file below them becomes one entry of a table in `OUT_DIR`, so that adding a
//! card or a suite is adding a file. What is YAML stands there a second time as JSON, which is read ten times as fast.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use serde_yaml::Value;

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    embed(&root.join("zoo"), &["yaml"], &out.join("zoo_files"))?;
    embed(&root.join("evals"), &["yaml", "jsonl"], &out.join("evals_files"))?;
    if env::var_os("CARGO_FEATURE_OPENBLAS").is_some() && !has_openblas() {
        println!(
            "cargo::error=OpenBLAS was not found. Install it (Debian, Ubuntu: apt-get install \
             libopenblas-dev pkg-config; Fedora: dnf install openblas-devel; macOS: brew install openblas), \
             or build without it: cargo build --no-default-features"
        );
    }
    Ok(())
}

/// Writes all files with one of the endings into one text, sorted by path: of each its path relative to the folder, its
/// text, and the same as JSON. A table of Rust beside it says where each of these begins, and the last one ends. (One
/// text, since every pointer of a table costs time whenever the program starts.)
fn embed(folder: &Path, endings: &[&str], target: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    let mut named: Vec<(String, PathBuf)> = files
        .into_iter()
        .filter(|file| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            ending.is_some_and(|ending| endings.contains(&ending))
        })
        .map(|file| {
            let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            (name, file)
        })
        .collect();
    named.sort();
    let (mut texts, mut places) = (String::new(), Vec::new());
    for (name, file) in named {
        let text = fs::read_to_string(&file)?;
        let json = if name.ends_with(".yaml") { as_json(&text) } else { None };
        let begins = [name, text, json.unwrap_or_default(), String::new()].map(|part| {
            let begin = texts.len();
            texts.push_str(&part);
            begin
        });
        places.push(begins);
    }
    fs::write(target.with_extension("txt"), texts)?;
    fs::write(target.with_extension("rs"), format!("&{places:?}"))
}

/// A text of YAML as JSON; nothing if it cannot be said there, or is no YAML, which whoever reads it will say.
fn as_json(text: &str) -> Option<String> {
    let value: Value = serde_yaml::from_str(text).ok()?;
    is_json(&value).then(|| serde_json::to_string(&value).ok())?
}

/// Whether JSON says the same: keys are texts, numbers finite, and nothing has a tag.
fn is_json(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => number.as_f64().is_none_or(f64::is_finite),
        Value::Sequence(values) => values.iter().all(is_json),
        Value::Mapping(map) => map.iter().all(|(key, value)| key.is_string() && is_json(value)),
        Value::Tagged(_) => false,
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether pkg-config or the C compiler knows the library; other systems find it in their own way.
fn has_openblas() -> bool {
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return true;
    }
    let known = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    if known(Command::new("pkg-config").args(["--exists", "openblas"])) {
        return true;
    }
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    Command::new(compiler)
        .arg("-print-file-name=libopenblas.so")
        .output()
        .is_ok_and(|o| Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_absolute())
}
