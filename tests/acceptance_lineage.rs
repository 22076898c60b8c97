//! Tokenizers and models of the shared reference folder, rebuilt from the forms in which they were released: every
//! digest is that of the reference tools.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zoo::tokenizer::{AppendedScore, ModelFile, merge_models, sentencepiece_model};
use zoo::weights::GgufFile;

/// Bytes of LLaMA's trainer and normaliser settings, at most.
const SETTINGS: usize = 400;

/// The reference folder, or `None` after a loud note.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("ZOO_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    if !folder.is_dir() {
        eprintln!("SKIPPED: {}: shared folder not found; set ZOO_SHARED", folder.display());
        return None;
    }
    Some(folder)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn merged(folder: &Path, base: &str, other: &str, added: &[&str]) -> Vec<u8> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (base_bytes, other_bytes) = (read(base), read(other));
    let file = |place, bytes| ModelFile { place, bytes };
    merge_models(file(base, &base_bytes), file(other, &other_bytes), AppendedScore::Zero, added).unwrap()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn merged_tokenizers_have_the_published_digests() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/tokenizers");
    for (added, digest) in [
        (&[][..], "e2676d4ca29ca1750f6ff203328d73b189321dc5776ceede037cbd36541d70c0"),
        (&["[PAD]"][..], "2d967e855b1213a439df6c8ce2791f869c84b4f3b6cfacf22b86440b8192a2f8"),
    ] {
        assert_eq!(sha256(&merged(&folder, "llama.model", "chinese_sp.model", added)), digest, "{added:?}");
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn a_vocabulary_that_went_through_gguf_has_its_pieces_again() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("data/tokenizers");
    let original = fs::read(folder.join("llama.model")).unwrap();
    let file = GgufFile::open(folder.join("ggml-vocab-llama-spm.gguf")).unwrap();
    let rebuilt = sentencepiece_model(file.metadata()).unwrap();
    // The settings behind the pieces begin with the tag of field 2 in both files.
    let same = original.iter().zip(&rebuilt).take_while(|(a, b)| a == b).count();
    assert!(same + SETTINGS > original.len(), "only the first {same} of {} bytes agree", original.len());
}
