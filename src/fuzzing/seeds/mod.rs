//! Seeds: small inputs, good and bad, from which fuzzers and the everyday test start.
//!
//! They are made here and stored in `fuzz/seeds/<target>/`, so that a fuzzer needs no program to have them. A name
//! says what has to become of the input: `good-…` is accepted, `bad-…` refused. After a change here, run the test
//! with `ZOO_WRITE_SEEDS=1`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

mod foreign;
mod servers;
mod tensors;
mod texts;
mod torch;
mod vocabularies;

/// File name and content.
type Seeds = Vec<(&'static str, Vec<u8>)>;

fn all() -> Vec<(&'static str, Seeds)> {
    vec![
        ("torch_zip", torch::zip_files()),
        ("torch_pickle", torch::pickles()),
        ("torch_old", torch::old_files()),
        ("safetensors_header", tensors::safetensors()),
        ("gguf_header", tensors::gguf()),
        ("gguf_vocabulary", vocabularies::gguf()),
        ("tokenizer_model", vocabularies::models()),
        ("tokenizer_json", vocabularies::json()),
        ("params_json", texts::params()),
        ("config_json", texts::configs()),
        ("adapter_config", texts::adapters()),
        ("chat_template", foreign::chats()),
        ("task_template", foreign::templates()),
        ("task_yaml", foreign::tasks()),
        ("ledger", foreign::ledgers()),
        ("samples", foreign::samples()),
        ("run_yaml", foreign::runs()),
        ("hub_listing", foreign::listings()),
        ("card", foreign::cards()),
        ("shard_yaml", foreign::shards()),
        ("server_answer", servers::answers()),
    ]
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

#[test]
fn each_target_has_seeds_and_they_do_what_their_names_say() {
    let seeds = all();
    let names: Vec<&str> = seeds.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, super::TARGETS.map(|target| target.name));
    for ((_, seeds), target) in seeds.into_iter().zip(super::TARGETS) {
        for (name, bytes) in seeds {
            let accepted = (target.run)(&bytes);
            assert_eq!(accepted, name.starts_with("good-"), "{}: {name}", target.name);
            assert!(name.starts_with("good-") || name.starts_with("bad-"), "{name}");
            assert!(bytes.len() <= 8192, "{}: {name}: {} bytes", target.name, bytes.len());
        }
    }
}

#[test]
fn the_stored_seeds_are_those_made_here() {
    for (target, seeds) in all() {
        let folder = folder(target);
        if std::env::var_os("ZOO_WRITE_SEEDS").is_some() {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in &seeds {
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
        let made: BTreeMap<String, Vec<u8>> =
            seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        let stored: BTreeMap<String, Vec<u8>> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        let names = |seeds: &BTreeMap<String, Vec<u8>>| seeds.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&stored), names(&made), "{target}: run this test with ZOO_WRITE_SEEDS=1");
        for (name, bytes) in made {
            assert!(stored[&name] == bytes, "{target}/{name}: run this test with ZOO_WRITE_SEEDS=1");
        }
    }
}
