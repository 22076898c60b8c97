//! Round trips through the cipher's definition, and what goes wrong.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::base::digest::{Digest as _, Sha256, sha256};
use crate::base::fault::FaultKind;
use crate::base::progress::Silent;
use crate::weights::WeightsError;

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The cipher byte by byte, as the rule says it.
fn encrypted(plain: &[u8], key: &[u8]) -> Vec<u8> {
    let blocks = key.len().div_ceil(BLOCK);
    let byte = |(i, &byte): (usize, &u8)| {
        let j = (i / BLOCK) % blocks;
        let length = BLOCK.min(key.len() - j * BLOCK);
        byte ^ key[j * BLOCK + (i % BLOCK) % length]
    };
    plain.iter().enumerate().map(byte).collect()
}

struct Case {
    _guard: tempfile::TempDir,
    enc: PathBuf,
    key: PathBuf,
    out: PathBuf,
}

impl Case {
    fn new(key: &[u8], files: &[(&str, Vec<u8>)]) -> Case {
        let guard = tempfile::tempdir().unwrap();
        let path = |name: &str| guard.path().join(name);
        let case = Case { enc: path("enc"), key: path("key.pth"), out: path("out"), _guard: guard };
        fs::create_dir(&case.enc).unwrap();
        fs::write(&case.key, key).unwrap();
        for (name, plain) in files {
            let digest = Sha256::digest(plain);
            let content = [digest.as_slice(), &encrypted(plain, key)].concat();
            fs::write(case.enc.join(format!("{name}.{}.enc", sha256(plain))), content).unwrap();
        }
        case
    }

    fn decrypt(&self) -> Result<Decrypted, FormError> {
        decrypt_folder(&self.enc, &self.key, &self.out, None, &Silent)
    }

    fn path_of(&self, name: &str) -> PathBuf {
        let entries = fs::read_dir(&self.enc).unwrap().map(|entry| entry.unwrap().path());
        let starts = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        entries.into_iter().find(starts).unwrap()
    }
}

fn fault(error: FormError) -> (FaultKind, String) {
    let text = error.to_string();
    match error {
        FormError::Weights(WeightsError::Fault(fault)) => (fault.kind, text),
        _ => panic!("{text}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_file_comes_back_whatever_the_key_is_long() {
    for key_length in [1, 1000, BLOCK, BLOCK + 17] {
        let plain = |seed, count| bytes(seed, count);
        let files = [
            ("a.json", plain(2, 100)),
            ("empty", vec![]),
            ("b.bin", plain(3, 2 * BLOCK + 5)),
            ("one", vec![7]),
        ];
        let case = Case::new(&bytes(1, key_length), &files);
        fs::write(case.enc.join("README.md"), "read me").unwrap();
        let done = case.decrypt().unwrap();
        assert_eq!(done.ignored, ["README.md"]);
        assert_eq!(names(&case.out), ["a.json", "b.bin", "empty", "one"]);
        for (name, plain) in &files {
            assert!(fs::read(case.out.join(name)).unwrap() == *plain, "{name}, key of {key_length} bytes");
        }
        assert!(done.files.iter().all(|file| !file.kept));
        assert!(case.decrypt().unwrap().files.iter().all(|file| file.kept));
    }
}

#[test]
fn a_wrong_key_is_found_on_a_small_file_and_leaves_nothing() {
    // The keys agree where the three-byte file is, as all zip files do.
    let case = Case::new(
        &bytes(1, 4000),
        &[("map.json", vec![1, 2, 3]), ("big", bytes(5, 9000)), ("c", bytes(6, 90))],
    );
    let mut other = bytes(1, 4000);
    other[50] ^= 1;
    fs::write(&case.key, other).unwrap();
    assert!(!key_fits(&case.enc, &case.key).unwrap());
    let (kind, text) = fault(case.decrypt().unwrap_err());
    assert_eq!(kind, FaultKind::DigestMismatch);
    assert!(text.contains("wrong key") && text.contains("enc/c.") && text.contains("Llama 2"), "{text}");
    assert!(!case.out.exists());
    fs::write(&case.key, bytes(1, 4000)).unwrap();
    assert!(key_fits(&case.enc, &case.key).unwrap());
}

#[test]
fn a_published_digest_of_the_key_comes_first() {
    let key = bytes(1, 300);
    let case = Case::new(&key, &[("a", bytes(2, 500))]);
    let decrypt = |digest: &str| decrypt_folder(&case.enc, &case.key, &case.out, Some(digest), &Silent);
    let text = decrypt(&"0".repeat(64)).unwrap_err().to_string();
    assert!(text.contains(&sha256(&key)) && text.contains("consolidated.00.pth"), "{text}");
    assert!(!case.out.exists());
    decrypt(&sha256(&key).to_uppercase()).unwrap();
}

#[test]
fn damaged_files_are_refused_one_by_one() {
    let files = [("a.json", bytes(2, 200)), ("b.bin", bytes(3, 5000))];
    let case = Case::new(&bytes(1, 300), &files);
    let path = case.path_of("b.bin");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[1000] ^= 4;
    fs::write(&path, flipped).unwrap();
    let (kind, text) = fault(case.decrypt().unwrap_err());
    assert_eq!(kind, FaultKind::DigestMismatch);
    assert!(text.contains("this one is damaged"), "{text}");
    assert_eq!(names(&case.out), ["a.json"]);
    let mut other = good.clone();
    other[3] ^= 1;
    fs::write(&path, other).unwrap();
    let (kind, text) = fault(case.decrypt().unwrap_err());
    assert!(kind == FaultKind::DigestMismatch && text.contains("first 32 bytes"), "{text}");
    fs::write(&path, &good[..20]).unwrap();
    assert_eq!(fault(case.decrypt().unwrap_err()).0, FaultKind::Truncated);
    fs::write(&path, &good).unwrap();
    let done = case.decrypt().unwrap();
    assert_eq!(done.files.iter().map(|file| file.kept).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_stands_in_the_way_is_named() {
    let case = Case::new(&bytes(1, 300), &[("a.json", bytes(2, 200))]);
    fs::create_dir(&case.out).unwrap();
    fs::write(case.out.join("a.json"), "mine").unwrap();
    let text = case.decrypt().unwrap_err().to_string();
    assert!(text.contains("out/a.json") && text.contains("remove it"), "{text}");
    assert_eq!(fs::read(case.out.join("a.json")).unwrap(), b"mine");

    fs::write(case.enc.join(format!("a.json.{}.enc", "0".repeat(64))), [0; 40]).unwrap();
    assert!(case.decrypt().unwrap_err().to_string().contains("two revisions"));
    let empty = Case::new(&bytes(1, 300), &[]);
    assert!(empty.decrypt().unwrap_err().to_string().contains("files ending in .enc"));
    let no_key = Case::new(b"", &[]);
    fs::write(no_key.enc.join(format!("a.{}.enc", "0".repeat(64))), [0; 40]).unwrap();
    assert!(no_key.decrypt().unwrap_err().to_string().contains("an empty file"));
}

proptest::proptest! {
    #[test]
    fn combining_twice_changes_nothing(data: Vec<u8>, key in proptest::collection::vec(0u8.., 1..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, &key).unwrap();
        let mut key = Key::open(&path).unwrap();
        let mut twice = data.clone();
        combine(&mut twice, key.block(0).unwrap());
        combine(&mut twice, key.block(3).unwrap());
        proptest::prop_assert_eq!(twice, data);
    }
}
