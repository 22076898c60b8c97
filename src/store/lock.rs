//! `zoo.lock.yaml`: what a model in a folder was made from, and the digest of every tensor of it.
//!
//! It is written with the model and never without it, so a folder that has one is a complete build. Two builds of the
//! same inputs by the same version have the same lock, byte for byte: it holds no times and no paths.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::digest::is_hex;
use crate::base::fault::{Refusal, shortened};
use crate::base::yaml::{self, FileError};
use crate::forms::{FormError, prevailing};
use crate::store::{TensorDigest, tensors_sha256};
use crate::weights::Dtype;

/// The file's name in a model's folder.
pub const LOCK_FILE: &str = "zoo.lock.yaml";
/// The version of the format.
const FORMAT: u32 = 1;
/// Largest lock file. That of a model of a thousand tensors has two hundred kilobytes.
const MAX_BYTES: u64 = 64 << 20;
/// Most characters of it in a message.
const SHOWN: usize = 200;

/// The content of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Version of this format, 1.
    pub format: u32,
    /// Version of the program that wrote it.
    pub zoo: String,
    /// The id of the model's card, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it was made: a rule's name, or `convert`.
    pub rule: String,
    /// What exactly was computed.
    pub arithmetic: String,
    /// What it was made from.
    pub inputs: Vec<LockedInput>,
    /// The type of most elements.
    pub dtype: Dtype,
    /// The digest of the whole, see [`tensors_sha256`].
    pub tensors_sha256: String,
    /// Every tensor, sorted by name. The long lists are written a line for each entry.
    #[serde(skip_serializing)]
    pub tensors: Vec<TensorDigest>,
    /// Every file of the folder but this one, sorted by name.
    #[serde(skip_serializing)]
    pub files: Vec<LockedFile>,
}

/// Something that a model was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedInput {
    /// What it was for: `base`, `delta`, `adapter`, `key`, `source`.
    pub role: String,
    /// The id of its card, or the name of its folder or file.
    pub name: String,
    /// The files that were read, each with its size and digest.
    pub files: Vec<LockedFile>,
}

/// A file by its name, without folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// The name, without folders.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, where it was checked or computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Lock {
    /// A lock of this version, with lists sorted and the digest of the whole computed.
    pub fn new(
        record: &super::BuildRecord,
        inputs: Vec<LockedInput>,
        mut tensors: Vec<TensorDigest>,
        mut files: Vec<LockedFile>,
    ) -> Self {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Lock {
            format: FORMAT,
            zoo: env!("CARGO_PKG_VERSION").to_owned(),
            model: record.model.clone(),
            rule: record.rule.clone(),
            arithmetic: record.arithmetic.clone(),
            inputs,
            dtype: prevailing(tensors.iter().map(|tensor| (tensor.dtype, tensor.shape.as_slice()))),
            tensors_sha256: tensors_sha256(&tensors),
            tensors,
            files,
        }
    }

    /// Reads and checks the lock of a folder.
    ///
    /// # Errors
    /// [`FormError::Io`] if there is none or it cannot be read, [`FormError::Refused`] if it is damaged.
    pub fn read(folder: &Path) -> Result<Self, FormError> {
        let path = folder.join(LOCK_FILE);
        let lock = match yaml::read_text(&path, MAX_BYTES) {
            Ok(text) => Self::parse(&text),
            Err(FileError::Io { reason, .. }) => return Err(FormError::io(&path, "read", reason)),
            Err(larger) => Err(("size", format!("at most {MAX_BYTES} bytes"), larger.to_string())),
        };
        lock.map_err(|(field, expected, found)| {
            let place = format!("{}: {field}", path.display());
            let advice = "the file was changed or damaged; build the model again in another folder";
            Refusal::new(place, expected, found, advice).into()
        })
    }

    /// As [`Lock::read`], but `None` for a folder without a lock file.
    ///
    /// # Errors
    /// As [`Lock::read`].
    pub fn find(folder: &Path) -> Result<Option<Self>, FormError> {
        match Self::read(folder) {
            Ok(lock) => Ok(Some(lock)),
            Err(FormError::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the folder still has the files that were built, by their sizes.
    ///
    /// # Errors
    /// [`FormError::Refused`] for a file that is missing or has another size.
    pub fn check_files(&self, folder: &Path) -> Result<(), FormError> {
        for file in &self.files {
            let path = folder.join(&file.name);
            let found = match std::fs::metadata(&path) {
                Ok(about) if about.len() == file.size => continue,
                Ok(about) => about.len().to_string(),
                Err(error) => error.to_string(),
            };
            let expected = format!("{} bytes, as {LOCK_FILE} says", file.size);
            let advice =
                "the build was changed: make it again (zoo build with --force), or remove the lock file";
            return Err(Refusal::new(path.display().to_string(), expected, found, advice).into());
        }
        Ok(())
    }

    /// The text of the file.
    pub fn to_yaml(&self) -> String {
        let head = serde_yaml::to_string(self).expect("plain strings and numbers always serialise");
        format!(
            "# Written by zoo: what this model was made from, and the SHA-256 of every tensor's bytes.\n{head}{}{}",
            entries("tensors", &self.tensors),
            entries("files", &self.files)
        )
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = |e: FileError| ("text", "a lock file of zoo".to_owned(), shortened(e.to_string(), SHOWN));
        let lock: Lock = yaml::parse(LOCK_FILE, text).map_err(wrong)?;
        if lock.format != FORMAT {
            return Err(("format", FORMAT.to_string(), lock.format.to_string()));
        }
        if let Some([a, b]) = lock.tensors.array_windows().find(|[a, b]| a.name >= b.name) {
            let found = format!("{:?} after {:?}", b.name, a.name);
            return Err(("tensors", "names in order, each once".to_owned(), found));
        }
        let digests = lock.tensors.iter().map(|tensor| tensor.sha256.as_str());
        let input_files = lock.inputs.iter().flat_map(|input| &input.files);
        let file_digests = lock.files.iter().chain(input_files).filter_map(|file| file.sha256.as_deref());
        if let Some(bad) = digests.chain(file_digests).find(|text| !is_hex(text, 64)) {
            return Err(("sha256", "64 hexadecimal digits".to_owned(), shortened(format!("{bad:?}"), SHOWN)));
        }
        let mut names = BTreeSet::new();
        for file in &lock.files {
            if !is_file_name(&file.name) || !names.insert(&file.name) {
                let found = shortened(format!("{:?}", file.name), SHOWN);
                return Err(("files", "names of files in this folder, each once".to_owned(), found));
            }
        }
        let sum = tensors_sha256(&lock.tensors);
        if sum != lock.tensors_sha256 {
            let expected = format!("{sum}, the digest of the tensors listed");
            return Err(("tensors_sha256", expected, shortened(lock.tensors_sha256, SHOWN)));
        }
        Ok(lock)
    }
}

/// Field, expected, found.
type Wrong = (&'static str, String, String);

/// A list with one entry a line, in the form that JSON and YAML share.
fn entries<T: Serialize>(name: &str, list: &[T]) -> String {
    if list.is_empty() {
        return format!("{name}: []\n");
    }
    let line = |entry: &T| {
        let json = serde_json::to_string(entry).expect("plain strings and numbers always serialise");
        format!("- {json}\n")
    };
    format!("{name}:\n{}", list.iter().map(line).collect::<String>())
}

/// Whether a name means a file in the folder it is looked up in.
pub(crate) fn is_file_name(name: &str) -> bool {
    let plain = |c: char| !(c == '/' || c == '\\' || c == ':' || c.is_control());
    !name.is_empty() && name.len() <= 255 && name != "." && name != ".." && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rebuild::BuildRecord;

    fn lock() -> Lock {
        let record = BuildRecord {
            model: Some("vicuna-7b-v1.1".into()),
            rule: "vicuna_delta".into(),
            arithmetic: "out = f16(f32(base) + f32(delta)): one rounding".into(),
            inputs: vec![],
        };
        let tensor = |name: &str, dtype, shape: &[usize], digit: &str| TensorDigest {
            name: name.into(),
            dtype,
            shape: shape.to_vec(),
            sha256: digit.repeat(64),
        };
        let file = |name: &str, size, sha256: Option<String>| LockedFile { name: name.into(), size, sha256 };
        let inputs = vec![LockedInput {
            role: "base".into(),
            name: "llama-7b".into(),
            files: vec![file("consolidated.00.pth", 13_476_939_516, Some("a".repeat(64)))],
        }];
        let tensors = vec![
            tensor("model.norm.weight", Dtype::F32, &[64], "1"),
            tensor("lm_head.weight", Dtype::F16, &[512, 64], "0"),
        ];
        let files = vec![file("model.safetensors", 1000, None), file("config.json", 7, Some("b".repeat(64)))];
        Lock::new(&record, inputs, tensors, files)
    }

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LOCK_FILE), text).unwrap();
        let error = Lock::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(LOCK_FILE) && error.contains("again in another folder"), "{error}");
        error
    }

    #[test]
    fn a_lock_is_read_back() {
        let lock = lock();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::find(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join(LOCK_FILE), lock.to_yaml()).unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), lock);
        assert_eq!(lock.dtype, Dtype::F16);
        let version = format!("zoo: {}", env!("CARGO_PKG_VERSION"));
        insta::assert_snapshot!(lock.to_yaml().replace(&version, "zoo: VERSION"));
    }

    #[test]
    fn empty_lists_stay_lists() {
        let empty = Lock { tensors: vec![], files: vec![], inputs: vec![], ..lock() };
        let empty = Lock { tensors_sha256: tensors_sha256(&[]), ..empty };
        assert_eq!(Lock::parse(&empty.to_yaml()).unwrap(), empty);
    }

    #[test]
    fn what_was_changed_is_refused_with_its_field() {
        let text = lock().to_yaml();
        for (from, to, field) in [
            ("format: 1", "format: 2", "format: expected 1, found 2"),
            ("\"F32\"", "\"F33\"", "F33"),
            ("rule:", "rules:", "rules"),
            ("lm_head", "z_head", "tensors: expected names in order"),
            ("[512,64]", "[512,65]", "tensors_sha256"),
            ("\"config.json\"", "\"../config.json\"", "files"),
            ("\"config.json\"", "\"model.safetensors\"", "each once"),
            ("\"0000", "\"000Z", "64 hexadecimal digits"),
            ("aaaa", "aaa", "64 hexadecimal digits"),
        ] {
            assert!(text.contains(from), "{from} is not in {text}");
            let error = refused(&text.replacen(from, to, 1));
            assert!(error.contains(field), "{from} → {to}: {error}");
        }
        refused("");
        refused("- 1");
    }
}
