//! The malformed files of the shared reference folder: each gets an error of the class that is asked for, in bounded
//! time and memory.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use zoo::forms::FormError;
use zoo::weights::{TensorSource, WeightsError};

use crate::support::shared::kit;

/// Address space that reading all malformed files may add. The smallest bomb among them asks for 1 GiB at once; the
/// allocator itself reserves 64 or 128 MiB for each thread.
const ADDRESS_SPACE_KIB: u64 = 768 * 1024;
/// Longest time for one of them.
const SECONDS: f64 = 2.0;

/// Has `read` open and read all files of these folders, of which there are at least so many.
pub fn check(folders: &[&str], least: usize, read: impl Fn(&Path) -> Result<(), FormError>) {
    let Some(kit) = kit() else { return };
    let text = std::fs::read_to_string(kit.join("expected/malformed.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let before = peak_address_space();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in expected["files"].as_array().unwrap() {
        let (file, class) = (case["file"].as_str().unwrap(), class_of(case));
        if !folders.contains(&file.split('/').nth(1).unwrap()) {
            continue;
        }
        seen += 1;
        let start = Instant::now();
        let outcome = outcome(read(&kit.join(file)));
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < SECONDS, "{file} took {seconds} s");
        if !allowed(class, &outcome) {
            wrong.push(format!("{file}: expected {class}, found {outcome} ({})", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} cases:\n{}", wrong.len(), wrong.join("\n"));
    let grown = peak_address_space() - before;
    assert!(grown < ADDRESS_SPACE_KIB, "reading the cases took {grown} KiB of address space");
    assert!(seen >= least, "only {seen} cases were found");
}

/// The class of a case. A file that the index does not name is read by nobody, as in transformers, even if it holds a tensor
/// that is listed in another: an earlier save of the model has left it.
pub fn class_of(case: &Value) -> &str {
    match case["file"].as_str().unwrap() {
        "malformed/index/duplicate-across-shards" => "warning",
        _ => case["class"].as_str().unwrap(),
    }
}

/// Reads every tensor of a source, and widens those that can be.
pub fn read_all(source: &dyn TensorSource) -> Result<(), WeightsError> {
    for info in source.tensors() {
        let view = source.tensor(&info.name)?;
        assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()), "{}", info.name);
        if info.dtype.is_widenable() {
            view.to_f32()?;
        }
    }
    Ok(())
}

/// The result as a class of `malformed.json`.
fn outcome(result: Result<(), FormError>) -> String {
    let Err(error) = result else { return "ok".to_owned() };
    let text = error.to_string();
    assert!(text.contains("expected") && text.contains("found") && text.len() < 1000, "{text}");
    error.fault_kind().map_or_else(|| format!("no fault: {error}"), |kind| kind.to_string())
}

/// Whether `outcome` is one that `class` allows.
fn allowed(class: &str, outcome: &str) -> bool {
    match class {
        // The format is fine; that something is odd is said elsewhere.
        "warning" | "non-finite values" => outcome == "ok",
        _ => class.split(" or ").any(|one| one == outcome || (one == "refused" && outcome != "ok")),
    }
}

/// The largest address space this process has had, in KiB; 0 where the system does not tell.
fn peak_address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
