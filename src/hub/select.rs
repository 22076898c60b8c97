//! Choice of the files in a repository that make up the model.
//!
//! Repositories hold the same weights in several forms. One form is taken, the safest first:
//! safetensors, then PyTorch's `.bin`, then Meta's `consolidated.*.pth`, then encrypted files, then a single GGUF file. Only
//! the top folder counts: subfolders hold exports for other programs.

use super::listing::RemoteFile;

/// Configuration and tokenizer files, taken beside weights of any form.
const COMPANIONS: [&str; 9] = [
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
];

/// What is looked for, in words for an error.
pub(super) const LOOKED_FOR: &str =
    "*.safetensors, pytorch_model*.bin, consolidated.*.pth, *.enc or one .gguf file in its top folder";

/// The files of the model: those that a card names, else one form of the weights with its companions.
/// `Err` holds what is missing, in words.
pub(super) fn model_files<'f>(
    files: &'f [RemoteFile],
    named: &[String],
) -> Result<Vec<&'f RemoteFile>, String> {
    if !named.is_empty() {
        let find = |name: &String| {
            let file = files.iter().find(|file| file.path == *name);
            file.ok_or_else(|| format!("no {name}"))
        };
        return named.iter().map(find).collect();
    }
    let top: Vec<&RemoteFile> = files.iter().filter(|file| !file.path.contains('/')).collect();
    let weights = weights(&top)?;
    Ok(top
        .into_iter()
        .filter(|file| weights.contains(&file.path.as_str()) || is_companion(&file.path))
        .collect())
}

/// Whether a file is configuration or tokenizer.
fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name) || (name.starts_with("tokenizer") && !name.ends_with(".md"))
}

/// Whether a file of a model says what the model is like, without being its weights.
pub(super) fn is_small(path: &str) -> bool {
    is_companion(path) || matches!(path, "params.json" | "checklist.chk")
}

/// A form of weights: which files belong to it, and the ending that one of them must have.
type WeightsForm = (fn(&str) -> bool, &'static str);

/// The forms of weights but GGUF, the safest first.
const FORMS: [WeightsForm; 4] = [
    // Some repositories have `consolidated.safetensors` with the same weights under Meta's names.
    (
        |name| {
            (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
                && !name.starts_with("consolidated")
        },
        ".safetensors",
    ),
    (
        |name| {
            (name.starts_with("pytorch_model")
                && (name.ends_with(".bin") || name.ends_with(".bin.index.json")))
                || name == "adapter_model.bin"
        },
        ".bin",
    ),
    (
        |name| {
            (name.starts_with("consolidated.") && name.ends_with(".pth"))
                || matches!(name, "params.json" | "checklist.chk")
        },
        ".pth",
    ),
    // Configuration and tokenizer are encrypted too.
    (|name| name.ends_with(".enc"), ".enc"),
];

fn weights<'f>(top: &[&'f RemoteFile]) -> Result<Vec<&'f str>, String> {
    let with = |belongs: fn(&str) -> bool| -> Vec<&'f str> {
        top.iter().map(|file| file.path.as_str()).filter(|name| belongs(name)).collect()
    };
    for (belongs, ending) in FORMS {
        let found = with(belongs);
        if found.iter().any(|name| name.ends_with(ending)) {
            return Ok(found);
        }
    }
    let found = with(|name| name.ends_with(".gguf"));
    match found.as_slice() {
        [_] => Ok(found),
        [] => Err(if top.is_empty() { "no files".to_owned() } else { format!("{} others", top.len()) }),
        several => Err(format!("{} .gguf files; name one of them in the card's `files:`", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::Promise;
    use super::*;

    fn select(names: &[&str], named: &[&str]) -> Result<Vec<String>, String> {
        let files: Vec<RemoteFile> = names
            .iter()
            .map(|name| RemoteFile {
                path: (*name).to_owned(),
                size: 1,
                digest: Promise::Git("0".repeat(40)),
            })
            .collect();
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        model_files(&files, &named).map(|files| files.iter().map(|file| file.path.clone()).collect())
    }

    #[test]
    fn safetensors_come_first_and_nothing_twice() {
        let names = [
            "README.md",
            "config.json",
            "consolidated.safetensors",
            "generation_config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "onnx/model.safetensors",
            "original/consolidated.00.pth",
            "pytorch_model.bin",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "training_args.bin",
        ];
        assert_eq!(
            select(&names, &[]).unwrap(),
            [
                "config.json",
                "generation_config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "tokenizer.json",
                "tokenizer.model",
                "tokenizer_config.json",
            ]
        );
    }

    #[test]
    fn other_forms_follow() {
        let bin =
            ["config.json", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json", "x.gguf"];
        assert_eq!(select(&bin, &[]).unwrap(), bin[..3]);
        let meta = ["checklist.chk", "consolidated.00.pth", "params.json", "tokenizer.model"];
        assert_eq!(select(&meta, &[]).unwrap(), meta);
        assert_eq!(select(&["README.md", "x.gguf"], &[]).unwrap(), ["x.gguf"]);
        let encrypted = ["config.json.00ff.enc", "pytorch_model.bin.00ee.enc"];
        assert_eq!(select(&["README.md", encrypted[0], encrypted[1]], &[]).unwrap(), encrypted);
        let lora = ["adapter_config.json", "adapter_model.bin"];
        assert_eq!(select(&lora, &[]).unwrap(), lora);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(select(&["a.gguf", "b.gguf"], &[]).unwrap_err().contains("`files:`"));
        assert_eq!(select(&["config.json"], &[]).unwrap_err(), "1 others");
        assert_eq!(select(&["a.gguf", "b.gguf"], &["b.gguf"]).unwrap(), ["b.gguf"]);
        assert_eq!(select(&["a.gguf"], &["c.gguf"]).unwrap_err(), "no c.gguf");
    }
}
