//! Safetensors, GGUF and index files of the shared reference folder: the malformed ones get an error of the
//! class that is asked for, the real ones hold what they should.

use std::path::Path;

use crate::malformed::{self, read_all};
use crate::support::alone::alone;
use crate::support::shared::shared;
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::forms::{FormError, GgufAsHf};
use zoo::weights::{self, GgufFile, INDEX_FILE, NonFinite, SafetensorsFile, ShardedWeights, TensorSource};

/// Largest relative error of a Q8_0 value against its f32 source, in units of the block's largest magnitude:
/// half a step of 1/127, and the rounding of the scale to f16.
const Q8_0_TOLERANCE: f32 = 0.5 / 127.0 + 1.0 / 1024.0;

/// Opens and reads a case.
fn read(path: &Path) -> Result<(), FormError> {
    Ok(match path.extension().and_then(|ending| ending.to_str()) {
        Some("gguf") => read_all(&GgufFile::open(path)?),
        Some("safetensors") => read_all(&SafetensorsFile::open(path)?),
        _ => read_all(&ShardedWeights::open(path.join(INDEX_FILE))?),
    }?)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_files_get_the_error_of_their_class() {
    alone(|| malformed::check(&["safetensors", "gguf", "index"], 100, read));
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
