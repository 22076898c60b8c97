//! Embeds the model cards and the suites, and checks that OpenBLAS can be linked.
//!
//! `zoo/` and `evals/` are data: every file below them becomes one entry `(path, text)` of a table in
//! `OUT_DIR`, so that adding a card or a suite is adding a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    embed(&root.join("zoo"), &["yaml"], &out.join("zoo_files.rs"))?;
    embed(&root.join("evals"), &["yaml", "jsonl"], &out.join("evals_files.rs"))?;
    if env::var_os("CARGO_FEATURE_OPENBLAS").is_some() && !has_openblas() {
        println!(
            "cargo::error=OpenBLAS was not found. Install it (Debian, Ubuntu: apt-get install \
             libopenblas-dev pkg-config; Fedora: dnf install openblas-devel; macOS: brew install openblas), \
             or build without it: cargo build --no-default-features"
        );
    }
    Ok(())
}

/// Writes a Rust slice of `(path relative to folder, text)` for all files with one of the endings.
fn embed(folder: &Path, endings: &[&str], target: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in files {
        let ending = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !endings.contains(&ending) {
            continue;
        }
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let _ = writeln!(table, "({name:?}, include_str!({:?})),", file.to_string_lossy());
    }
    table.push(']');
    fs::write(target, table)
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
