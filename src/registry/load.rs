//! Cards and records from text: the embedded files and the files of a user's folder.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use rayon::prelude::*;
use serde::de::DeserializeOwned;

use super::checker::Checker;
use super::embedded::FILES;
use super::recipe::{self, Recipe};
use super::{ArchitectureRecord, Card, CardOrigin, RegistryError, TokenizerRecord, records, validate};
use crate::base::embedded::{File, Text};
use crate::base::yaml::{self, FileError, MAX_BYTES};

/// A value with the file and the text it was read from (needed to name lines later).
#[derive(Debug, Clone)]
pub(super) struct Loaded<T> {
    pub value: T,
    pub file: String,
    pub text: Cow<'static, str>,
}

impl<T> Loaded<T> {
    /// For errors about it.
    pub fn checker(&self) -> Checker<'_> {
        Checker::new(&self.file, &self.text)
    }

    /// The same, gathering faults if they are to be.
    pub fn checker_with<'a>(&'a self, gathered: Gathered<'a>) -> Checker<'a> {
        match gathered {
            Some(gathered) => self.checker().gathering(gathered),
            None => self.checker(),
        }
    }
}

/// What one file holds.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Card(Box<Loaded<Card>>),
    Architecture(Box<Loaded<ArchitectureRecord>>),
    Tokenizer(Box<Loaded<TokenizerRecord>>),
    Recipe(Box<Loaded<Recipe>>),
}

/// Which kind of file a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Card,
    Architecture,
    Tokenizer,
    Recipe,
}

impl Kind {
    /// The kinds with the subfolders that hold them.
    const ALL: [(Kind, &'static str); 4] = [
        (Kind::Card, ""),
        (Kind::Architecture, "architectures"),
        (Kind::Tokenizer, "tokenizers"),
        (Kind::Recipe, "recipes"),
    ];

    /// Of a file on disk, by the folder it is in.
    pub fn of_file(path: &Path) -> Kind {
        let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = full.parent().and_then(Path::file_name).unwrap_or_default();
        Kind::of_folder(folder).unwrap_or(Kind::Card)
    }

    fn of_folder(folder: &OsStr) -> Option<Kind> {
        Kind::ALL.into_iter().find(|(_, name)| folder == *name).map(|(kind, _)| kind)
    }
}

/// Reads and checks one file.
pub(super) fn parse(kind: Kind, text: Text<'static>, origin: CardOrigin) -> Result<Item, RegistryError> {
    checked(kind, text, origin, None)
}

/// Everything that is wrong with one file by itself; a text that cannot be read has one fault.
pub(super) fn faults(kind: Kind, path: &Path) -> Vec<RegistryError> {
    let gathered = RefCell::new(Vec::new());
    let last = file_with(kind, path, Some(&gathered)).err();
    gathered.into_inner().into_iter().chain(last).collect()
}

/// Where faults are gathered, if they are.
type Gathered<'a> = Option<&'a RefCell<Vec<RegistryError>>>;

fn checked(
    kind: Kind,
    text: Text<'static>,
    origin: CardOrigin,
    gathered: Gathered<'_>,
) -> Result<Item, RegistryError> {
    let name = yaml::stem(&origin.file).to_owned();
    Ok(match kind {
        Kind::Card => Item::Card(Box::new(card(text, origin, gathered)?)),
        Kind::Architecture => {
            let mut loaded: Loaded<ArchitectureRecord> = read(text, origin.file)?;
            loaded.value.name = name;
            records::architecture(&loaded.checker_with(gathered), "", &loaded.value)?;
            Item::Architecture(Box::new(loaded))
        }
        Kind::Tokenizer => {
            let mut loaded: Loaded<TokenizerRecord> = read(text, origin.file)?;
            loaded.value.name = name;
            records::tokenizer(&loaded.checker_with(gathered), &loaded.value)?;
            Item::Tokenizer(Box::new(loaded))
        }
        Kind::Recipe => {
            let loaded: Loaded<Recipe> = read(text, origin.file)?;
            recipe::check::file(&loaded.checker_with(gathered), &loaded.file, &loaded.value)?;
            Item::Recipe(Box::new(loaded))
        }
    })
}

/// Reads and checks one card.
pub(super) fn card(
    text: Text<'static>,
    origin: CardOrigin,
    gathered: Gathered<'_>,
) -> Result<Loaded<Card>, RegistryError> {
    let mut loaded: Loaded<Card> = read(text, origin.file.clone())?;
    loaded.value.origin = origin;
    validate::card(&loaded.checker_with(gathered), &loaded.value)?;
    Ok(loaded)
}

fn read<T: DeserializeOwned>(text: Text<'static>, file: String) -> Result<Loaded<T>, RegistryError> {
    let value = text.parse(&file).map_err(|error| match error {
        FileError::Syntax { file, line, message } => {
            FileError::Syntax { file, line, message: advised(message) }
        }
        other => other,
    })?;
    Ok(Loaded { value, file, text: text.yaml })
}

/// What the parser says of keys that once had another name, place or form, and what they are now.
const MOVED: [(&str, &str); 16] = [
    ("unknown field `models`", "what a model has of its own now stands under `training` in its card"),
    ("unknown field `rank`", "it is now `r`"),
    ("unknown field `targets`", "it is now `target_modules`"),
    ("unknown field `dtype`", "it now stands under `release`"),
    ("unknown field `methods`", "now the recipe's name under `recipe`, or `recipe: {stages: [{method: …}]}`"),
    ("unknown field `batch_size`", "it is now `batch: {sequences: …}`"),
    ("unknown field `max_length`", "it is now `sequence_length`"),
    ("unknown field `schedule`", "it is now `learning_rate: {schedule: …}`"),
    ("unknown field `warmup_ratio`", "it is now `learning_rate: {warmup_ratio: …}`"),
    ("unknown field `warmup_steps`", "it is now `learning_rate: {warmup_steps: …}`"),
    ("unknown field `weight_decay`", "it is now `optimizer: {weight_decay: …}`"),
    ("unknown field `grad_clip`", "it is now `optimizer: {gradient_clipping: …}`"),
    ("unknown field `details`", "they are now `notes: […]`"),
    ("expected struct Data", "it is now `data: {name: …}`"),
    ("expected struct LearningRate", "it is now `learning_rate: {peak: …}`"),
    ("expected struct Optimizer", "it is now `optimizer: {name: …}`"),
];

/// The parser's message, with the new place of a key that has moved.
pub(super) fn advised(message: String) -> String {
    match MOVED.iter().find(|(complaint, _)| message.contains(complaint)) {
        Some((_, now)) => format!("{message}; {now}"),
        None => message,
    }
}

/// The cards and records of the binary: the files directly in `zoo/` and in the folders of records.
pub(super) fn embedded() -> Result<Vec<Item>, RegistryError> {
    let kind_of =
        |name: &str| Kind::of_folder(name.rsplit_once('/').map_or("", |(folder, _)| folder).as_ref());
    let files: Vec<File> = FILES.iter().collect();
    files
        .into_par_iter()
        .filter_map(|file| Some((kind_of(file.path)?, file)))
        .map(|(kind, file)| {
            parse(kind, file.into(), CardOrigin { file: format!("zoo/{}", file.path), folder: None })
        })
        .collect()
}

/// The cards and records of a user's folder: its `.yaml` and `.yml` files in order of name, and those in
/// the folders of records.
pub(super) fn folder(folder: &Path) -> Result<Vec<Item>, RegistryError> {
    let mut items = Vec::new();
    for (kind, name) in Kind::ALL {
        let place = if name.is_empty() { folder.to_owned() } else { folder.join(name) };
        if kind != Kind::Card && !place.is_dir() {
            continue;
        }
        for path in yaml::files_in(&place, &yaml::ENDINGS)? {
            items.push(file(kind, &path)?);
        }
    }
    Ok(items)
}

/// The prompt templates of the binary and of a user's folder, which another room reads: their names.
pub(super) fn prompt_names(user_dir: Option<&Path>) -> Result<BTreeSet<String>, RegistryError> {
    let stem = |file: &str| yaml::stem(file).to_owned();
    let embedded = FILES.below("prompts/").map(|file| file.path);
    let mut names: BTreeSet<String> = embedded.map(stem).collect();
    if let Some(own) = user_dir.map(|user_dir| user_dir.join("prompts")).filter(|own| own.is_dir()) {
        names.extend(yaml::files_in(&own, &yaml::ENDINGS)?.iter().map(|path| stem(&path.to_string_lossy())));
    }
    Ok(names)
}

/// One file on disk.
pub(super) fn file(kind: Kind, path: &Path) -> Result<Item, RegistryError> {
    file_with(kind, path, None)
}

fn file_with(kind: Kind, path: &Path, gathered: Gathered<'_>) -> Result<Item, RegistryError> {
    let text = yaml::read_text(path, MAX_BYTES)?;
    let folder = path.parent().map(Path::to_owned);
    checked(kind, text.into(), CardOrigin { file: path.display().to_string(), folder }, gathered)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::yaml::FileError;

    const CARD: &str = "\
id: tiny
name: Tiny
family: llama
license: MIT
release: {kind: full, format: safetensors}
sources:
  - hub: {repo: org/tiny}
";

    const NETWORK: &str =
        "hidden_size: 64, intermediate_size: 8, num_hidden_layers: 1, vocab_size: 9, max_context: 8";

    fn error(text: &str) -> RegistryError {
        let origin = CardOrigin { file: "own/tiny.yaml".to_owned(), folder: None };
        match card(text.to_owned().into(), origin, None) {
            Ok(loaded) => panic!("accepted: {:?}", loaded.value),
            Err(error) => error,
        }
    }

    #[test]
    fn a_minimal_card_has_the_defaults() {
        let card = card(CARD.into(), CardOrigin::default(), None).unwrap().value;
        assert_eq!(card.sources.len(), 1);
        assert_eq!(card.sources[0].to_string(), "hub repository org/tiny");
        assert_eq!(card.parameters, None);
        assert_eq!(card.bos, super::super::Bos::Tokenizer);
    }

    #[test]
    fn embedded_files_are_read_alike_from_json_and_from_yaml() {
        let of_yaml: Vec<Item> = FILES
            .iter()
            .filter(|file| !file.path.starts_with("prompts/"))
            .map(|file| {
                let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let kind = Kind::of_folder(folder.as_ref()).unwrap();
                let origin = CardOrigin { file: format!("zoo/{}", file.path), folder: None };
                parse(kind, file.text.into(), origin).unwrap()
            })
            .collect();
        assert_eq!(format!("{:?}", embedded().unwrap()), format!("{of_yaml:?}"));
    }

    #[test]
    fn records_are_read_from_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tokenizers");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("own.yaml"), "kind: byte-level-bpe\nvocab_size: 300\n").unwrap();
        let items = super::folder(folder.path()).unwrap();
        assert!(
            matches!(items.as_slice(), [Item::Tokenizer(own)] if own.value.name == "own" && own.value.rows() == 300)
        );
        assert_eq!(Kind::of_file(&place.join("own.yaml")), Kind::Tokenizer);
        fs::write(place.join("own.yaml"), "kind: byte-level-bpe\nvocab_size: 300\neos: 300\n").unwrap();
        let message = super::folder(folder.path()).unwrap_err().to_string();
        assert!(
            message.ends_with("own.yaml:3: eos: expected an id below vocab_size (300), found \"300\""),
            "{message}"
        );
    }

    #[test]
    fn all_faults_of_a_file_are_gathered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yaml");
        let text = CARD.replace("id: tiny", "id: Tiny").replace("org/tiny", "org/../tiny");
        fs::write(&path, format!("{text}context: 0\nlanguages: [xx, qq]\n")).unwrap();
        let said: Vec<String> = faults(Kind::Card, &path).iter().map(ToString::to_string).collect();
        for field in ["1: id:", "7: sources.hub.repo:", "8: context:", "9: languages:"] {
            assert!(said.iter().any(|line| line.contains(field)), "{field} in {said:?}");
        }
        assert_eq!(said.len(), 5, "{said:?}");
        fs::write(&path, CARD).unwrap();
        assert!(faults(Kind::Card, &path).is_empty());
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
            (
                format!("{CARD}architecture: {{{NETWORK}, num_attention_heads: 8, rope_theta: -1}}\n"),
                "own/tiny.yaml:8: architecture.rope_theta:",
            ),
            (
                format!(
                    "{CARD}architecture: {{{NETWORK}, num_attention_heads: 8, num_key_value_heads: 3}}\n"
                ),
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
        let ids = super::folder(folder.path()).unwrap().into_iter().map(|item| match item {
            Item::Card(loaded) => loaded.value.id,
            other => panic!("{other:?}"),
        });
        let ids: Vec<String> = ids.collect();
        assert_eq!(ids, ["a", "b"]);
        fs::write(folder.path().join("c.yaml"), vec![b'#'; MAX_BYTES as usize + 1]).unwrap();
        assert!(matches!(super::folder(folder.path()), Err(RegistryError::File(FileError::TooLarge { .. }))));
        assert!(matches!(
            super::folder(&folder.path().join("none")),
            Err(RegistryError::File(FileError::Io { .. }))
        ));
    }
}
