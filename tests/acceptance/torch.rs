//! PyTorch files and Meta folders of the shared reference folder: every good one holds the tensors that the Python
//! tools give, digest by digest; the malformed ones get an error of the class that is asked for.

use std::path::Path;

use crate::malformed::{self, read_all};
use crate::support::alone::alone;
use crate::support::shared::kit;
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::base::progress::Silent;
use zoo::forms::{FormError, HfModel, MetaAsHf, SidecarContent};
use zoo::weights::{
    self, Dtype, ShardedWeights, TORCH_INDEX_FILE, TensorSource, TorchFile, verify_checklist,
};

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
        let digest = sha256(&view.data);
        assert_eq!(tensor["sha256"], digest.as_str(), "{what} {name}");
    }
    let kept = source.tensors().iter().filter(|info| !info.name.ends_with("rotary_emb.inv_freq"));
    assert_eq!(kept.count(), tensors.len(), "{what}");
}

/// Opens and reads a case.
fn read(path: &Path) -> Result<(), FormError> {
    if !path.is_dir() {
        return Ok(read_all(&TorchFile::open(path)?)?);
    }
    // The digests are compared on request only; here they are asked for.
    let list = path.join("checklist.chk");
    if list.is_file() {
        verify_checklist(&list, &Silent)?;
    }
    Ok(read_all(&MetaAsHf::open(path)?.tensors)?)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_files_get_the_error_of_their_class() {
    alone(|| malformed::check(&["torch", "meta"], 80, read));
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

/// Compares an f32 source with an f16 case: every value is one of f16.
fn assert_equal_when_narrowed(source: &dyn TensorSource, case: &Value, what: &str) {
    for tensor in case["tensors"].as_array().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        let values = source.tensor(name).unwrap().to_f32().unwrap();
        let mut bytes = vec![0; values.len() * 2];
        Dtype::F16.narrow(&values, &mut bytes).unwrap();
        let digest = sha256(&bytes);
        assert_eq!(tensor["sha256"], digest.as_str(), "{what} {name}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn the_base_is_the_same_model_in_every_form() {
    let Some(kit) = kit() else { return };
    let case = json(&kit.join("expected/base-f16.json"));
    let inputs: Vec<&str> = case["inputs"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert_eq!(inputs.len(), 6);
    for input in inputs {
        let model = HfModel::open(&kit.join(input)).unwrap_or_else(|error| panic!("{input}: {error}"));
        if input.contains("f32") {
            assert_equal_when_narrowed(model.tensors.as_ref(), &case, input);
            continue;
        }
        assert_equal(model.tensors.as_ref(), &case, input);
        let is_meta = input.contains("meta");
        for (key, value) in case["config"].as_object().unwrap() {
            // Not in params.json: the length of the context, padding, who wrote the file.
            if !is_meta
                || !["max_position_embeddings", "pad_token_id", "transformers_version"]
                    .contains(&key.as_str())
            {
                assert_eq!(model.config.get(key), Some(value), "{input} {key}");
            }
        }
        if is_meta {
            let names: Vec<&str> = model.sidecars.iter().map(|sidecar| sidecar.name.as_str()).collect();
            assert_eq!(names, ["tokenizer.model", "tokenizer_config.json"], "{input}");
            let SidecarContent::File(path) = &model.sidecars[0].content else { panic!("{input}") };
            let digest = sha256(std::fs::read(path).unwrap());
            assert_eq!(case["tokenizer_files"]["tokenizer.model"], digest.as_str());
            assert_eq!(verify_checklist(&kit.join(input).join("checklist.chk"), &Silent).unwrap(), {
                if input.contains("2shard") { 3 } else { 2 }
            });
        }
    }
    let shard = HfModel::open(&kit.join("base/meta/2shard/consolidated.00.pth")).unwrap();
    assert_equal(shard.tensors.as_ref(), &case, "a shard stands for its folder");
    assert_eq!(verify_checklist(&kit.join("base/meta/tokenizer_checklist.chk"), &Silent).unwrap(), 1);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn other_pytorch_releases_of_the_folder_open() {
    let Some(kit) = kit() else { return };
    let wdiff = ShardedWeights::open(kit.join("alpaca/wdiff").join(TORCH_INDEX_FILE)).unwrap();
    assert_eq!(wdiff.warnings(), [] as [&str; 0]);
    read_all(&wdiff).unwrap();
    let bloom = json(&kit.join("expected/bloom-heads-6.json"));
    let tied = weights::open(kit.join("bloom/heads-6")).unwrap();
    for tensor in bloom["tensors"].as_array().unwrap() {
        let name = tensor["name"].as_str().unwrap();
        // Some releases of BLOOM leave the prefix out.
        let bare = name.strip_prefix("transformer.").unwrap_or(name);
        let view = tied.tensor(name).or_else(|_| tied.tensor(bare)).unwrap();
        let digest = sha256(&view.data);
        assert_eq!(tensor["sha256"], digest.as_str(), "{}", tensor["name"]);
    }
}
