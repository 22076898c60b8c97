//! PyTorch files and Meta folders of the shared reference folder: every good one holds the tensors that the Python
//! tools give, digest by digest; the malformed ones get an error of the class that is asked for.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};
use zoo::weights::{TensorSource, TorchFile, WeightsError};

/// Address space that reading all malformed files may add; the allocator itself reserves 64 or 128 MiB for each
/// thread.
const ADDRESS_SPACE_KIB: u64 = 768 * 1024;
/// Longest time for one malformed file.
const SECONDS: f64 = 2.0;

/// The reference folder, or `None` after a loud note.
fn kit() -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("SKIPPED: {}: shared folder not found; set ZOO_SHARED", folder.display());
        return None;
    }
    Some(folder.join("lineage-kit"))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Compares names, types, shapes and digests with a case; `inv_freq` buffers may be there as well.
fn assert_equal(source: &dyn TensorSource, case: &Value, what: &str) {
    let tensors = case["tensors"].as_array().unwrap();
    for tensor in tensors {
        let name = tensor["name"].as_str().unwrap();
        let view = source.tensor(name).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(view.info.dtype.name(), tensor["dtype"].as_str().unwrap(), "{what} {name}");
        assert_eq!(serde_json::json!(view.info.shape), tensor["shape"], "{what} {name}");
        let digest: String = Sha256::digest(&view.data).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(tensor["sha256"], digest.as_str(), "{what} {name}");
    }
    let kept = source.tensors().iter().filter(|info| !info.name.ends_with("rotary_emb.inv_freq"));
    assert_eq!(kept.count(), tensors.len(), "{what}");
}

/// Reads every tensor of a source.
fn read_all(source: &dyn TensorSource) -> Result<(), WeightsError> {
    for info in source.tensors() {
        let view = source.tensor(&info.name)?;
        assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()), "{}", info.name);
    }
    Ok(())
}

/// What opening and reading a case gives, as a class of `malformed.json`.
fn outcome(path: &Path) -> String {
    match TorchFile::open(path).and_then(|file| read_all(&file)) {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("expected") && text.contains("found") && text.len() < 1000, "{text}");
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            if std::env::var_os("SHOW").is_some() {
                eprintln!("{text}");
            }
            error.fault_kind().map_or_else(|| format!("no fault: {error}"), |kind| kind.to_string())
        }
    }
}

/// Whether `outcome` is one that `class` allows.
fn allowed(class: &str, outcome: &str) -> bool {
    class.split(" or ").any(|one| one == outcome || (one == "refused" && outcome != "ok"))
}

/// The largest address space this process has had, in KiB; 0 where the system does not tell.
fn peak_address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_files_get_the_error_of_their_class() {
    let Some(kit) = kit() else { return };
    let expected = json(&kit.join("expected/malformed.json"));
    let before = peak_address_space();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in expected["files"].as_array().unwrap() {
        let (file, class) = (case["file"].as_str().unwrap(), case["class"].as_str().unwrap());
        if !file.starts_with("malformed/torch/") {
            continue;
        }
        seen += 1;
        let start = std::time::Instant::now();
        let outcome = outcome(&kit.join(file));
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < SECONDS, "{file} took {seconds} s");
        if !allowed(class, &outcome) {
            wrong.push(format!("{file}: expected {class}, found {outcome} ({})", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} cases:\n{}", wrong.len(), wrong.join("\n"));
    let grown = peak_address_space() - before;
    assert!(grown < ADDRESS_SPACE_KIB, "reading the cases took {grown} KiB of address space");
    assert!(seen >= 75, "only {seen} cases were found");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn views_of_every_kind_hold_what_pytorch_reads() {
    let Some(kit) = kit() else { return };
    let (quirks, nested) =
        (json(&kit.join("expected/torch-quirks.json")), json(&kit.join("expected/torch-nested.json")));
    let folder = kit.join("base/torch-quirks");
    for (file, case) in [("quirks.bin", &quirks), ("quirks-oldformat.bin", &quirks), ("nested.bin", &nested)]
    {
        assert_equal(&TorchFile::open(folder.join(file)).unwrap(), case, file);
    }
}
