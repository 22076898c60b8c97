//! Encrypted releases of the shared reference folder: every plain file comes back with its digest, and nothing of a
//! wrong key or a damaged file stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::shared::shared;
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::base::fault::FaultKind;
use zoo::base::progress::Silent;
use zoo::forms::FormError;
use zoo::rebuild::{decrypt_folder, key_fits};
use zoo::tokenizer::Tokenizer;

fn kit(shared: &Path) -> PathBuf {
    shared.join("lineage-kit")
}

fn expected(shared: &Path, case: &str) -> Value {
    let text = fs::read_to_string(kit(shared).join(format!("expected/{case}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The kind of a fault in a file.
fn fault_kind(error: &FormError) -> Option<FaultKind> {
    match error {
        FormError::Weights(error) => error.fault_kind(),
        _ => None,
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn encrypted_files_come_back_and_a_wrong_key_leaves_nothing() {
    let Some(shared) = shared() else { return };
    let (kit, case) = (kit(&shared), expected(&shared, "belle-xor"));
    let (enc, key) = (kit.join("belle/enc"), kit.join(case["inputs"]["key"].as_str().unwrap()));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("plain");
    let wrong = kit.join(case["inputs"]["wrong_key"].as_str().unwrap());
    assert!(key_fits(&enc, &key).unwrap() && !key_fits(&enc, &wrong).unwrap());
    let error = decrypt_folder(&enc, &wrong, &out, None, &Silent).unwrap_err();
    assert_eq!(fault_kind(&error), Some(FaultKind::DigestMismatch), "{error}");
    assert!(!out.exists(), "something of the wrong key was left");
    let done = decrypt_folder(&enc, &key, &out, None, &Silent).unwrap();
    assert_eq!(done.files.len(), case["files"].as_array().unwrap().len());
    for file in case["files"].as_array().unwrap() {
        let plain = fs::read(out.join(file["plain"].as_str().unwrap())).unwrap();
        assert_eq!(file["plain_sha256"], sha256(&plain).as_str());
        assert_eq!(file["bytes"], plain.len());
    }
    let tokenizer = Tokenizer::from_folder(&out).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk()), (Some(1), Some(2), Some(0)));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn damaged_encrypted_files_are_refused() {
    let Some(shared) = shared() else { return };
    let kit = kit(&shared);
    let key = kit.join("base/meta/2shard/consolidated.00.pth");
    for (start, kind) in [
        ("config.json", FaultKind::DigestMismatch),
        ("generation_config", FaultKind::DigestMismatch),
        ("special_tokens_map", FaultKind::InconsistentHeader),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (enc, out) = (folder.path().join("enc"), folder.path().join("out"));
        fs::create_dir(&enc).unwrap();
        for entry in fs::read_dir(kit.join("belle/enc-corrupt")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with(start) {
                fs::copy(&path, enc.join(name)).unwrap();
            }
        }
        let error = decrypt_folder(&enc, &key, &out, None, &Silent).unwrap_err();
        assert_eq!(fault_kind(&error), Some(kind), "{error}");
        assert!(!out.exists(), "{start}: something was left");
    }
}

#[test]
#[ignore = "needs the shared reference folder, Python and 500 MB of temporary space"]
fn files_longer_than_a_block_of_the_key_come_back() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = kit(&shared).join("make_xor_case.py");
    let made = Command::new("python3").arg(script).arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = fs::read_to_string(folder.path().join("cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<&str> =
        cases["cases"].as_array().unwrap().iter().map(|case| case["key"].as_str().unwrap()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 5);
    for key in keys {
        let (enc, out) = (folder.path().join("enc"), folder.path().join("out"));
        fs::create_dir(&enc).unwrap();
        let of_key = |case: &&Value| case["key"] == key;
        for case in cases["cases"].as_array().unwrap().iter().filter(of_key) {
            let name = case["enc"].as_str().unwrap();
            fs::rename(folder.path().join(name), enc.join(name)).unwrap();
        }
        let done = decrypt_folder(&enc, &folder.path().join(key), &out, None, &Silent).unwrap();
        for case in cases["cases"].as_array().unwrap().iter().filter(of_key) {
            let name = case["plain_name"].as_str().unwrap();
            let plain = fs::read(out.join(name)).unwrap();
            assert_eq!(case["plain_sha256"], sha256(&plain).as_str(), "{name}");
            assert!(done.files.iter().any(|file| file.name == name), "{name}");
        }
        fs::remove_dir_all(&enc).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
}
