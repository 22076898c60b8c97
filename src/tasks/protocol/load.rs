//! Protocols from their files: the embedded ones, or a file of one's own.

use std::path::Path;

use super::Protocol;
use crate::base::digest::sha256;
use crate::base::embedded::Text;
use crate::base::yaml::{self, FileError, MAX_BYTES};
use crate::tasks::embedded::FILES;
use crate::tasks::error::nearest;

/// Why there is no such protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum ProtocolError {
    /// A file that cannot be read or is no protocol.
    #[error("{0}; the files of evals/protocols show what a protocol has")]
    File(FileError),
    /// No protocol of that name.
    #[error("no protocol is named {name:?}{}; known are {known}, or give a .yaml file of your own",
        near.as_ref().map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default())]
    Unknown {
        name: String,
        /// The known name that is spelled most like it.
        near: Option<String>,
        /// All known names.
        known: String,
    },
}

/// The embedded protocols, the default first, the others by name.
///
/// # Errors
/// A file that is no protocol.
pub fn protocols() -> Result<Vec<Protocol>, ProtocolError> {
    let files = FILES.below("protocols/");
    let mut all: Vec<Protocol> =
        files.map(|file| parse(&format!("evals/{}", file.path), file)).collect::<Result<_, _>>()?;
    all.sort_by_key(|protocol| (protocol.name != super::DEFAULT_PROTOCOL, protocol.name.clone()));
    Ok(all)
}

/// The protocol of a name, or in a file that ends in `.yaml`.
///
/// # Errors
/// An unknown name, with the nearest one; a file that cannot be read or is no protocol.
pub fn find_protocol(name: &str) -> Result<Protocol, ProtocolError> {
    if name.ends_with(".yaml") {
        let text = yaml::read_text(Path::new(name), MAX_BYTES).map_err(ProtocolError::File)?;
        return Ok(Protocol { file_sha256: Some(sha256(&text)), ..parse(name, text.as_str())? });
    }
    let all = protocols()?;
    let names: Vec<String> = all.iter().map(|protocol| protocol.name.clone()).collect();
    all.into_iter().find(|protocol| protocol.name == name).ok_or_else(|| ProtocolError::Unknown {
        name: name.to_owned(),
        near: nearest(name, names.iter().map(String::as_str)),
        known: names.join(", "),
    })
}

fn parse<'a>(file: &str, text: impl Into<Text<'a>>) -> Result<Protocol, ProtocolError> {
    let text = text.into();
    let protocol: Protocol = text.parse(file).map_err(ProtocolError::File)?;
    let text = &text.yaml;
    let wrong = |field: &str, expected: &str, found: &str| {
        Err(ProtocolError::File(FileError::field(file, text, field, expected, found)))
    };
    let stem = yaml::stem(file);
    if protocol.name != stem {
        return wrong(
            "protocol",
            &format!("the name of the file, {stem:?}"),
            &format!("{:?}", protocol.name),
        );
    }
    for (key, text) in [("description", &protocol.description), ("source", &protocol.source)] {
        if text.trim().is_empty() {
            return wrong(key, "a text", "none");
        }
    }
    if protocol.only_listed && protocol.tasks.is_empty() {
        return wrong("only_listed", "at least one entry in tasks", "none");
    }
    Ok(protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_read_and_found() {
        let all = protocols().unwrap();
        let names: Vec<&str> = all.iter().map(|protocol| protocol.name.as_str()).collect();
        assert_eq!(
            names,
            ["lm-eval-0.4.13", "llama.cpp", "lm-eval-0.4.9", "opencompass-ppl", "original-mmlu"]
        );
        for name in names {
            assert_eq!(find_protocol(name).unwrap().name, name);
        }
        let unknown = find_protocol("orignal-mmlu").unwrap_err().to_string();
        assert!(unknown.contains("did you mean \"original-mmlu\"?"), "{unknown}");
    }

    #[test]
    fn faults_are_named() {
        let text = "protocol: own\ndescription: d\nsource: s\n";
        assert_eq!(parse("x/own.yaml", text).unwrap().metrics, Vec::<String>::new());
        for (file, more, part) in [
            ("other.yaml", "", "expected the name of the file, \"other\""),
            ("own.yaml", "scored: some", "unknown variant `some`"),
            ("own.yaml", "scores: whole", "unknown field `scores`"),
            ("own.yaml", "only_listed: true", "at least one entry in tasks"),
            ("own.yaml", "tasks: [{num_fewshot: -1, dataset: d}]", "tasks[0]"),
        ] {
            let said = parse(file, format!("{text}{more}\n")).unwrap_err().to_string();
            assert!(said.starts_with(file) && said.contains(part), "{said}");
        }
        let empty = parse("own.yaml", "protocol: own\ndescription: ''\nsource: s\n").unwrap_err();
        assert!(empty.to_string().contains("description: expected a text"));
    }

    #[test]
    fn a_file_of_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.yaml");
        let missing = find_protocol(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(missing.contains("mine.yaml"), "{missing}");
        std::fs::write(&path, "protocol: mine\ndescription: d\nsource: s\nmarks: none\n").unwrap();
        let mine = find_protocol(path.to_str().unwrap()).unwrap();
        assert_eq!(mine.changes(), ["no special tokens (BOS) before prompts"]);
    }
}
