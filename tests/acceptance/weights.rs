//! Safetensors, GGUF and index files of the shared reference folder: the malformed ones get an error of the
//! class that is asked for, the real ones hold what they should.

use std::path::Path;

use crate::support::alone::alone;
use crate::support::shared::shared;
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::forms::GgufAsHf;
use zoo::weights::{
    self, GgufFile, INDEX_FILE, NonFinite, SafetensorsFile, ShardedWeights, TensorSource, WeightsError,
};

/// Largest relative error of a Q8_0 value against its f32 source, in units of the block's largest magnitude:
/// half a step of 1/127, and the rounding of the scale to f16.
const Q8_0_TOLERANCE: f32 = 0.5 / 127.0 + 1.0 / 1024.0;

/// Address space that reading all malformed files may add. The smallest bomb among them asks for 1 GiB at once; the
/// allocator itself reserves 64 or 128 MiB for each thread.
const ADDRESS_SPACE_KIB: u64 = 768 * 1024;

/// Reads every tensor of a source.
fn read_all(source: &dyn TensorSource) -> Result<(), WeightsError> {
    for info in source.tensors() {
        let view = source.tensor(&info.name)?;
        assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()), "{}", info.name);
        if info.dtype.is_widenable() {
            view.to_f32()?;
        }
    }
    Ok(())
}

/// What opening and reading a case gives, as a class of `malformed.json`.
fn outcome(path: &Path) -> String {
    let result = match path.extension().and_then(|e| e.to_str()) {
        Some("gguf") => GgufFile::open(path).and_then(|file| read_all(&file)),
        Some("safetensors") => SafetensorsFile::open(path).and_then(|file| read_all(&file)),
        _ => ShardedWeights::open(path.join(INDEX_FILE)).and_then(|source| read_all(&source)),
    };
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("expected") && text.contains("found") && text.len() < 1000, "{text}");
            error.fault_kind().map_or_else(|| format!("no fault: {error}"), |kind| kind.to_string())
        }
    }
}

/// Whether `outcome` is one that `class` allows.
fn allowed(class: &str, outcome: &str) -> bool {
    match class {
        // The format is fine; that something is odd is said elsewhere, see the tests below.
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

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_files_get_the_error_of_their_class() {
    alone(malformed_files);
}

fn malformed_files() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    let text = std::fs::read_to_string(kit.join("expected/malformed.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let before = peak_address_space();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in expected["files"].as_array().unwrap() {
        let (file, class) = (case["file"].as_str().unwrap(), case["class"].as_str().unwrap());
        let room = file.split('/').nth(1).unwrap();
        if !["safetensors", "gguf", "index"].contains(&room) {
            continue;
        }
        seen += 1;
        let outcome = outcome(&kit.join(file));
        if !allowed(class, &outcome) {
            wrong.push(format!("{file}: expected {class}, found {outcome} ({})", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} cases:\n{}", wrong.len(), wrong.join("\n"));
    let grown = peak_address_space() - before;
    assert!(grown < ADDRESS_SPACE_KIB, "reading the cases took {grown} KiB of address space");
    assert!(seen >= 100, "only {seen} cases were found");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_wrong_total_size_is_a_warning() {
    let Some(shared) = shared() else { return };
    let index = shared.join("lineage-kit/malformed/index/total-size-wrong").join(INDEX_FILE);
    let warnings = ShardedWeights::open(index).unwrap().warnings().join("\n");
    assert!(warnings.contains("total_size") && warnings.contains("16"), "{warnings:?}");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn non_finite_values_are_counted() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("lineage-kit/malformed/safetensors");
    for file in ["non-finite.safetensors", "non-finite-f16.safetensors"] {
        let source = SafetensorsFile::open(folder.join(file)).unwrap();
        let count = source.tensor(&source.tensors()[0].name).unwrap().non_finite().unwrap();
        assert_eq!(count, NonFinite { nan: 1, infinite: 2 }, "{file}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn the_base_has_the_published_digests_in_every_type() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    for (folder, case) in
        [("hf-st-f16", "base-f16"), ("hf-st-bf16", "base-bf16"), ("hf-st-f32-legacy", "base-f32")]
    {
        let text = std::fs::read_to_string(kit.join(format!("expected/{case}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let source = weights::open(kit.join("base").join(folder)).unwrap();
        let tensors = expected["tensors"].as_array().unwrap();
        for tensor in tensors {
            let name = tensor["name"].as_str().unwrap();
            let view = source.tensor(name).unwrap();
            assert_eq!(serde_json::json!(view.info.shape), tensor["shape"], "{case} {name}");
            let digest = sha256(&view.data);
            assert_eq!(tensor["sha256"], digest.as_str(), "{case} {name}");
        }
        let extra =
            source.tensors().iter().filter(|info| !info.name.ends_with("rotary_emb.inv_freq")).count();
        assert_eq!(extra, tensors.len(), "{case}");
    }
}

fn stories(shared: &Path, form: &str) -> (Box<dyn TensorSource>, GgufAsHf) {
    let fixtures = shared.join("hub/models/zoo-fixtures");
    let gguf = fixtures.join(format!("stories260k-gguf/stories260k-{form}.gguf"));
    let as_hf = GgufAsHf::new(GgufFile::open(gguf).unwrap()).unwrap();
    (weights::open(fixtures.join("stories260k")).unwrap(), as_hf)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_gguf_of_f32_equals_the_safetensors_bit_for_bit() {
    let Some(shared) = shared() else { return };
    let (hf, gguf) = stories(&shared, "F32");
    assert_eq!(hf.tensors(), gguf.tensors());
    for info in hf.tensors() {
        let (expected, found) = (hf.tensor(&info.name).unwrap(), gguf.tensor(&info.name).unwrap());
        assert!(expected.data == found.data, "{} differs", info.name);
    }
    assert_eq!(gguf.gguf().metadata().unsigned("llama.block_count").unwrap(), Some(5));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_gguf_of_q8_0_is_close_to_the_safetensors() {
    let Some(shared) = shared() else { return };
    let (hf, gguf) = stories(&shared, "Q8_0");
    let mut quantised = 0;
    for info in gguf.tensors() {
        let block = info.dtype.block_size().max(2);
        quantised += usize::from(info.dtype.block_size() > 1);
        let expected = hf.tensor(&info.name).unwrap().to_f32().unwrap();
        let found = gguf.tensor(&info.name).unwrap().to_f32().unwrap();
        for (expected, found) in expected.chunks(block).zip(found.chunks(block)) {
            let largest = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
            for (x, y) in expected.iter().zip(found) {
                assert!((x - y).abs() <= largest * Q8_0_TOLERANCE, "{}: expected {x}, found {y}", info.name);
            }
        }
    }
    assert!(quantised > 0, "no quantised tensor in the file");
}
