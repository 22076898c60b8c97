//! From a path to its tensors: a folder in the Hugging Face layout, or one file.

use std::ffi::OsStr;
use std::path::Path;

use super::{MetaShards, SafetensorsFile, ShardedWeights, TensorSource, TorchFile, WeightsError};
use crate::base::fault::{Fault, FaultKind};
use crate::base::recognise::{dangling_fault, is_apple_double};

/// The file of a model that is not split.
pub const SINGLE_FILE: &str = "model.safetensors";
/// The index of a model that is split.
pub const INDEX_FILE: &str = "model.safetensors.index.json";
/// The PyTorch file of a model that is not split.
pub const TORCH_SINGLE_FILE: &str = "pytorch_model.bin";
/// The index of a model that is split into PyTorch files.
pub const TORCH_INDEX_FILE: &str = "pytorch_model.bin.index.json";
/// What a folder is searched for, in the order of `transformers`, so that the same weights are read where it has
/// several forms; with whether the file is an index.
const HF_FILES: [(&str, bool); 4] =
    [(SINGLE_FILE, false), (INDEX_FILE, true), (TORCH_SINGLE_FILE, false), (TORCH_INDEX_FILE, true)];

/// Opens the tensors at `path`: a folder with one of the files above, a `.safetensors`, `.bin`, `.pth` or `.pt` file,
/// or an index file.
///
/// A GGUF file or a folder of Meta's needs its names and row order translated, which is more than reading:
/// `forms::HfModel::open` takes those, too.
///
/// # Errors
/// [`WeightsError::Fault`] of kind `MissingData` that lists what was looked for and what is there, or
/// `Unsupported` for another format; otherwise what the reader of the file reports.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn TensorSource>, WeightsError> {
    let path = path.as_ref();
    let about = std::fs::metadata(path).map_err(|error| match dangling_fault(path) {
        Some(fault) => fault.into(),
        None => WeightsError::io(path, "open", error),
    })?;
    if about.is_dir() { open_folder(path) } else { open_named(path) }
}

/// One file, by what its name ends in.
fn open_named(path: &Path) -> Result<Box<dyn TensorSource>, WeightsError> {
    match ending(path) {
        Some("safetensors" | "bin" | "pth" | "pt") => open_file(path),
        Some("json") => Ok(Box::new(ShardedWeights::open(path)?)),
        other => {
            let found = other.map_or("a file without ending".to_owned(), |ending| format!(".{ending}"));
            let expected =
                "a folder, a file ending in .safetensors, .bin, .pth or .pt, or one in .index.json";
            Err(Fault::new(path, FaultKind::Unsupported, expected, found).into())
        }
    }
}

/// Whether a folder holds weights in the Hugging Face layout.
pub fn is_hf_layout(folder: &Path) -> bool {
    HF_FILES.iter().any(|(name, _)| folder.join(name).is_file())
}

/// One file, of PyTorch's format if its name ends so, else of safetensors.
pub(super) fn open_file(path: &Path) -> Result<Box<dyn TensorSource>, WeightsError> {
    Ok(match ending(path) {
        Some("bin" | "pth" | "pt") => Box::new(TorchFile::open(path)?),
        _ => Box::new(SafetensorsFile::open(path)?),
    })
}

/// What files of weights end in.
const ENDINGS: [&str; 5] = ["gguf", "safetensors", "bin", "pth", "pt"];

/// Whether a path is named like a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// Whether a path is named like a file of weights.
pub fn is_weights(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn ending(path: &Path) -> Option<&str> {
    path.extension().and_then(OsStr::to_str)
}

fn open_folder(folder: &Path) -> Result<Box<dyn TensorSource>, WeightsError> {
    for (name, is_index) in HF_FILES {
        let path = folder.join(name);
        if let Some(fault) = dangling_fault(&path) {
            return Err(fault.into());
        }
        if path.is_file() {
            return if is_index { Ok(Box::new(ShardedWeights::open(path)?)) } else { open_file(&path) };
        }
    }
    let names = weight_files(folder)?;
    let expected = format!("{SINGLE_FILE}, {INDEX_FILE}, {TORCH_SINGLE_FILE} or {TORCH_INDEX_FILE}");
    let ends = |ending: &str| names.iter().any(|name| name.ends_with(ending));
    let is_adapter = !names.is_empty() && names.iter().all(|name| name.starts_with("adapter_model."));
    let (kind, advice) = if is_adapter {
        (FaultKind::MissingData, "an adapter changes a base model: zoo build makes one of both".to_owned())
    } else if ends(".safetensors") {
        let advice = format!("rename the file to {SINGLE_FILE}, fetch {INDEX_FILE}, or name one file");
        (FaultKind::MissingData, advice)
    } else if ends(".gguf") {
        (FaultKind::Unsupported, "name the .gguf file itself".to_owned())
    } else if ends(".bin") || ends(".pth") || ends(".pt") {
        let advice =
            format!("rename the file to {TORCH_SINGLE_FILE}, fetch {TORCH_INDEX_FILE}, or name one file");
        (FaultKind::MissingData, advice)
    } else {
        let found = elsewhere(folder)?;
        let (found, advice) = found.unwrap_or_else(|| {
            ("no file of weights".to_owned(), "fetch the model's weights into this folder".to_owned())
        });
        return Err(Fault::new(folder, FaultKind::MissingData, expected, found).advice(advice).into());
    };
    let found = match names.len() {
        1..=8 => names.join(", "),
        n => format!("{} and {} more", names.iter().take(8).cloned().collect::<Vec<_>>().join(", "), n - 8),
    };
    Err(Fault::new(folder, kind, expected, found).advice(advice).into())
}

/// What a folder without weights has instead, and what to do then: folders with weights, as Meta's releases have one for
/// each size, or encrypted files.
fn elsewhere(folder: &Path) -> Result<Option<(String, String)>, WeightsError> {
    let list = |e| WeightsError::io(folder, "list", e);
    let (mut models, mut encrypted) = (Vec::new(), 0usize);
    for entry in std::fs::read_dir(folder).map_err(list)? {
        let path = entry.map_err(list)?.path();
        if is_hf_layout(&path) || MetaShards::is_in(&path) {
            models.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        encrypted += usize::from(ending(&path) == Some("enc"));
    }
    models.sort();
    models.truncate(8);
    Ok(match (models.is_empty(), encrypted) {
        (false, _) => {
            let found = format!("no file of weights, but folders with some: {}", models.join(", "));
            Some((found, "name one of these folders".to_owned()))
        }
        (true, 0) => None,
        (true, n) => Some((
            format!("no file of weights, but encrypted ones ({n} that end in .enc)"),
            "zoo build decrypts them with their key".to_owned(),
        )),
    })
}

/// The files of a folder that could be weights, sorted.
fn weight_files(folder: &Path) -> Result<Vec<String>, WeightsError> {
    let list = |e| WeightsError::io(folder, "list", e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(list)? {
        let name = entry.map_err(list)?.file_name().to_string_lossy().into_owned();
        if is_weights(Path::new(&name)) && !is_apple_double(Path::new(&name)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(files: &[&str]) -> (Option<FaultKind>, String) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), b"").unwrap();
        }
        let error = open(folder.path()).err().unwrap();
        (error.fault_kind(), error.to_string())
    }

    #[test]
    fn a_folder_without_safetensors_says_what_it_has() {
        let (kind, text) = refused(&["config.json"]);
        assert_eq!(kind, Some(FaultKind::MissingData));
        assert!(text.contains(INDEX_FILE) && text.contains("no file of weights"), "{text}");
        let (kind, text) = refused(&["weights.pth"]);
        assert_eq!(kind, Some(FaultKind::MissingData));
        assert!(text.contains("weights.pth") && text.contains(TORCH_INDEX_FILE), "{text}");
        let (kind, text) = refused(&["q4.gguf"]);
        assert_eq!(kind, Some(FaultKind::Unsupported));
        assert!(text.contains("name the .gguf file"), "{text}");
        let (kind, text) = refused(&["adapter_model.safetensors"]);
        assert_eq!(kind, Some(FaultKind::MissingData));
        assert!(text.contains("found adapter_model.safetensors; an adapter changes a base"), "{text}");
        let (kind, text) = refused(&["a.bin.00.enc", "b.json.11.enc"]);
        assert_eq!(kind, Some(FaultKind::MissingData));
        assert!(text.contains("2 that end in .enc") && text.contains("zoo build"), "{text}");
        let names: Vec<String> = (0..20).map(|i| format!("{i:02}.bin")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(refused(&names).1.contains("07.bin and 12 more"));
    }

    #[test]
    fn folders_that_hold_models_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for file in
            ["7B/consolidated.00.pth", "13B/consolidated.00.pth", "hf/model.safetensors", "notes/a.txt"]
        {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let text = open(folder.path()).err().unwrap().to_string();
        assert!(text.contains("folders with some: 13B, 7B, hf; name one of these folders"), "{text}");
    }

    #[test]
    fn other_paths_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        assert!(matches!(open(&file), Err(WeightsError::Io { .. })));
        std::fs::write(&file, b"").unwrap();
        assert_eq!(open(&file).err().unwrap().fault_kind(), Some(FaultKind::Unsupported));
    }

    #[test]
    fn pytorch_files_are_read_where_there_is_no_safetensors() {
        use crate::weights::torch::testing::file_of;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let (a, b) = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin");
        write(a, &file_of(&[("a", &[1], vec![1.0])]));
        write(b, &file_of(&[("b", &[1], vec![2.0])]));
        let index = |b: &str| {
            format!(r#"{{"metadata": {{"total_size": 8}}, "weight_map": {{"a": "{a}", "b": "{b}"}}}}"#)
        };
        write(TORCH_INDEX_FILE, index(b).as_bytes());
        let source = open(folder.path()).unwrap();
        assert_eq!(source.tensor("b").unwrap().to_f32().unwrap(), [2.0]);
        assert_eq!(source.files().len(), 2);
        let sharded = ShardedWeights::open(folder.path().join(TORCH_INDEX_FILE)).unwrap();
        assert!(sharded.warnings().is_empty(), "{:?}", sharded.warnings());

        write(TORCH_INDEX_FILE, index(a).as_bytes());
        let error = open(folder.path()).err().unwrap();
        assert_eq!(error.fault_kind(), Some(FaultKind::InconsistentHeader), "{error}");
        assert!(error.to_string().contains(b), "{error}");

        write(TORCH_SINGLE_FILE, &file_of(&[("whole", &[1], vec![3.0])]));
        assert_eq!(open(folder.path()).unwrap().tensors().first().unwrap().name, "whole");
        assert_eq!(open(folder.path().join(a)).unwrap().tensors().first().unwrap().name, "a");
    }
}
