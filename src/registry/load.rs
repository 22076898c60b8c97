//! Cards from text: the embedded files and the files of a user's folder.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::validate::Checker;
use super::{Card, Origin, RegistryError};

/// The largest card that is read, in bytes.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// A card with the text it was read from (needed to name lines later).
pub(super) struct Loaded {
    pub card: Card,
    pub text: String,
}

/// Reads and checks one card.
pub(super) fn parse(text: String, origin: Origin) -> Result<Loaded, RegistryError> {
    let mut card: Card = serde_yaml::from_str(&text).map_err(|error| RegistryError::Yaml {
        file: origin.file.clone(),
        line: error.location().map(|place| place.line()).unwrap_or_default(),
        message: error.to_string(),
    })?;
    card.origin = origin;
    Checker::new(&card.origin.file, &text).card(&card)?;
    Ok(Loaded { card, text })
}

/// The cards of the binary: the `.yaml` files directly in `zoo/`.
pub(super) fn embedded() -> Result<Vec<Loaded>, RegistryError> {
    let cards = super::embedded::files().iter().filter(|(name, _)| !name.contains('/'));
    cards
        .map(|(name, text)| parse((*text).to_owned(), Origin { file: format!("zoo/{name}"), folder: None }))
        .collect()
}

/// The cards of a user's folder: its `.yaml` and `.yml` files in order of name, subfolders excluded.
pub(super) fn folder(folder: &Path) -> Result<Vec<Loaded>, RegistryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RegistryError::Io { path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if matches!(ending, "yaml" | "yml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let file = fs::File::open(&path).map_err(failed(&path))?;
            let bytes = file.metadata().map_err(failed(&path))?.len();
            if bytes > MAX_CARD_BYTES {
                return Err(RegistryError::TooLarge { path, bytes, limit: MAX_CARD_BYTES });
            }
            let mut text = String::new();
            file.take(MAX_CARD_BYTES).read_to_string(&mut text).map_err(failed(&path))?;
            let origin = Origin { file: path.display().to_string(), folder: Some(folder.to_owned()) };
            parse(text, origin)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "\
id: tiny
name: Tiny
family: llama
license: MIT
release: {kind: full, format: safetensors}
sources:
  - hub: {repo: org/tiny}
";

    fn error(text: &str) -> RegistryError {
        let origin = Origin { file: "own/tiny.yaml".to_owned(), folder: None };
        match parse(text.to_owned(), origin) {
            Ok(loaded) => panic!("accepted: {:?}", loaded.card),
            Err(error) => error,
        }
    }

    #[test]
    fn a_minimal_card_has_the_defaults() {
        let card = parse(CARD.to_owned(), Origin::default()).unwrap().card;
        assert_eq!(card.sources.len(), 1);
        assert_eq!(card.sources[0].to_string(), "hub repository org/tiny");
        assert_eq!(card.parameters, None);
        assert_eq!(card.bos, super::super::Bos::Tokenizer);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let message = error(&CARD.replace("license: MIT", "license: MIT\nlicence: MIT")).to_string();
        assert!(message.starts_with("own/tiny.yaml:5: "), "{message}");
        assert!(message.contains("licence"), "{message}");
    }

    #[test]
    fn an_unknown_key_inside_a_source_is_named_with_its_line() {
        let message = error(&CARD.replace("{repo: org/tiny}", "{repo: org/tiny, branch: x}")).to_string();
        assert!(message.starts_with("own/tiny.yaml:7: "), "{message}");
        assert!(message.contains("branch"), "{message}");
    }

    #[test]
    fn a_wrong_type_is_named_with_field_and_line() {
        let message = error(&format!("{CARD}architecture:\n  hidden_size: wide\n")).to_string();
        assert!(message.starts_with("own/tiny.yaml:9: "), "{message}");
        assert!(message.contains("architecture.hidden_size"), "{message}");
    }

    #[test]
    fn values_that_cannot_be_are_refused_with_field_and_line() {
        let pip = "  - pip: {package: p, version: '1', member: m.gguf, sha256: SHA}";
        let sha = "0".repeat(64);
        let cases = [
            (CARD.replace("id: tiny", "id: Tiny Model"), "own/tiny.yaml:1: id:"),
            (CARD.replace("org/tiny", "org/../tiny"), "own/tiny.yaml:7: sources.hub.repo:"),
            (CARD.replace("org/tiny", "--index/x"), "own/tiny.yaml:7: sources.hub.repo:"),
            (format!("{CARD}context: 0\n"), "own/tiny.yaml:8: context:"),
            (format!("{CARD}architecture:\n  rope_theta: -1\n"), "own/tiny.yaml:9: architecture.rope_theta:"),
            (
                format!("{CARD}architecture: {{num_attention_heads: 9, num_key_value_heads: 2}}\n"),
                "own/tiny.yaml:8: architecture.num_key_value_heads:",
            ),
            (format!("{CARD}{pip}\n"), "own/tiny.yaml:8: sources.pip.sha256:"),
            (format!("{CARD}{}\n", pip.replace("SHA", &sha).replace("p,", "-r,")), "sources.pip.package:"),
            (format!("{CARD}{}\n", pip.replace("SHA", &sha).replace("m.g", "../m.g")), "sources.pip.member:"),
            (format!("{CARD}  - path: here\n"), "own/tiny.yaml:8: sources.path:"),
        ];
        for (text, start) in cases {
            let message = error(&text).to_string();
            assert!(message.contains(start), "expected {start:?} in {message:?}");
            assert!(message.contains("expected") && message.contains("found"), "{message}");
        }
    }

    #[test]
    fn a_folder_is_read_in_order_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.yaml"), CARD.replace("tiny", "b")).unwrap();
        fs::write(folder.path().join("a.yml"), CARD.replace("tiny", "a")).unwrap();
        fs::write(folder.path().join("notes.txt"), "no card").unwrap();
        let ids: Vec<String> = super::folder(folder.path()).unwrap().into_iter().map(|l| l.card.id).collect();
        assert_eq!(ids, ["a", "b"]);
        fs::write(folder.path().join("c.yaml"), vec![b'#'; MAX_CARD_BYTES as usize + 1]).unwrap();
        assert!(matches!(super::folder(folder.path()), Err(RegistryError::TooLarge { .. })));
        assert!(matches!(super::folder(&folder.path().join("none")), Err(RegistryError::Io { .. })));
    }
}
