//! Faults of a file, as data: kind, place, expected, found, advice.
//!
//! A downloaded file is untrusted input, so every check has a name. The kinds are few because each of
//! them asks for another reaction: fetch again, convert, complain to the publisher, or beware.

use std::fmt;
use std::path::{Path, PathBuf};

use super::printable::printable;

/// The class of a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The file ends before what it announces.
    Truncated,
    /// A length, count or product is larger than any real file has, or than a machine word.
    LimitExceeded,
    /// Two statements of the file contradict each other or the format.
    InconsistentHeader,
    /// Well-formed as far as it was read, but of a kind, version or type that is not read here.
    Unsupported,
    /// Something that is named elsewhere is not there.
    MissingData,
    /// A file name inside a file would leave its folder.
    PathEscape,
    /// The file asks for something that is never done: a call of a function that tensors do not need.
    Forbidden,
    /// The bytes are not those whose digest was announced.
    DigestMismatch,
    /// A configuration value that is missing, of the wrong kind or impossible.
    InvalidConfig,
    /// A tensor whose shape is not the one that its use asks for.
    ShapeMismatch,
}

impl FaultKind {
    /// What a user can do, where the fault does not say it better itself.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            FaultKind::Truncated => "the download may be incomplete: fetch the file again",
            FaultKind::LimitExceeded | FaultKind::InconsistentHeader => {
                "the file is damaged or was not written by a conforming program: \
                 fetch it again and compare its digest"
            }
            FaultKind::Unsupported => "convert the file to a supported form",
            FaultKind::MissingData => "fetch the missing part",
            FaultKind::PathEscape => "do not trust this release: it points outside its folder",
            FaultKind::Forbidden => {
                "do not trust this release: weights need no such call; nothing of it was run"
            }
            FaultKind::DigestMismatch => "the download may be damaged: fetch the file again",
            FaultKind::InvalidConfig => "compare the configuration with the publisher's",
            FaultKind::ShapeMismatch => {
                "the weights and the configuration do not belong together: fetch both from one release"
            }
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::Truncated => "truncated",
            FaultKind::LimitExceeded => "limit exceeded",
            FaultKind::InconsistentHeader => "inconsistent header",
            FaultKind::Unsupported => "unsupported",
            FaultKind::MissingData => "missing data",
            FaultKind::PathEscape => "path escape",
            FaultKind::Forbidden => "forbidden content",
            FaultKind::DigestMismatch => "digest mismatch",
            FaultKind::InvalidConfig => "invalid config",
            FaultKind::ShapeMismatch => "shape mismatch",
        })
    }
}

/// One finding about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file it was found in.
    pub file: PathBuf,
    /// The class that messages and `zoo verify` name.
    pub kind: FaultKind,
    /// The tensor it concerns.
    pub tensor: Option<String>,
    /// The place in the file: a byte, a line, a key.
    pub place: Option<String>,
    /// What a good file has here.
    pub expected: String,
    /// What this file has.
    pub found: String,
    /// What to do, where the kind's general advice does not serve.
    pub advice: Option<String>,
}

impl Fault {
    /// A fault of `file` as a whole.
    pub fn new(
        file: &Path,
        kind: FaultKind,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        Box::new(Fault {
            file: file.to_owned(),
            kind,
            tensor: None,
            place: None,
            expected: shown(expected),
            found: shown(found),
            advice: None,
        })
    }

    /// Says which tensor is concerned.
    pub fn tensor(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.tensor = Some(name.to_owned());
        self
    }

    /// Says where in the file.
    pub fn at(mut self: Box<Self>, place: impl Into<String>) -> Box<Self> {
        self.place = Some(shown(place));
        self
    }

    /// Says what to do.
    pub fn advice(mut self: Box<Self>, advice: impl Into<String>) -> Box<Self> {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.kind)?;
        if let Some(name) = &self.tensor {
            write!(f, ": tensor {}", quoted(name))?;
        }
        if let Some(place) = &self.place {
            write!(f, ": {place}")?;
        }
        ending(f, &self.expected, &self.found, self.advice.as_deref().unwrap_or(self.kind.advice()))
    }
}

impl std::error::Error for Fault {}

/// One thing that is not as it should be: where, what should be there, what is there, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// File or folder, and the tensor or field in it.
    pub place: String,
    /// What is needed there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do; empty where what was expected says it.
    pub advice: String,
}

impl Refusal {
    /// A refusal; every part is a piece of one sentence.
    pub fn new(
        place: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Box<Self> {
        let (place, expected) = (shown(place), shown(expected));
        Box::new(Self { place, expected, found: shown(found), advice: advice.into() })
    }

    /// A field of a file with a value that it cannot have.
    pub fn of_field(
        file: &str,
        field: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        Self::new(format!("{file}: {field}"), expected, found, "")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        ending(f, &self.expected, &self.found, &self.advice)
    }
}

impl std::error::Error for Refusal {}

/// What follows the place in every such message.
fn ending(f: &mut fmt::Formatter<'_>, expected: &str, found: &str, advice: &str) -> fmt::Result {
    write!(f, ": expected {expected}, found {found}")?;
    if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
}

/// Most characters of a part of a message.
const MAX_SHOWN: usize = 600;

/// A part of a message as it may be shown: text of a file can be in it, so what a terminal would obey is spelled, and what is
/// too long is cut.
pub(crate) fn shown(text: impl Into<String>) -> String {
    shortened(printable(&text.into(), MAX_SHOWN).replace('\t', "\\t"), MAX_SHOWN)
}

/// A text of at most so many characters, with a sign where it was cut.
pub(crate) fn shortened(mut text: String, characters: usize) -> String {
    if let Some((cut, _)) = text.char_indices().nth(characters) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// A name from a file as it may be shown: escaped, and cut when it is long.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 120;
    match name.char_indices().nth(SHOWN) {
        None => format!("{name:?}"),
        Some((cut, _)) => format!("{:?}… ({} bytes)", &name[..cut], name.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_what_and_what_to_do() {
        let fault = Fault::new(Path::new("m.gguf"), FaultKind::Truncated, "64 bytes", "12")
            .tensor("output.weight")
            .at("byte 96");
        assert_eq!(
            fault.to_string(),
            "m.gguf: truncated: tensor \"output.weight\": byte 96: expected 64 bytes, found 12; \
             the download may be incomplete: fetch the file again"
        );
    }

    #[test]
    fn parts_of_messages_are_short_and_harmless() {
        assert_eq!(shown("plain\ntext é"), "plain\ntext é");
        assert_eq!(shown("\u{1b}[2J\u{9b}1m\u{7f}"), "\\u{1b}[2J\\u{9b}1m\\u{7f}");
        assert_eq!(shown("\u{7}".repeat(100_000)).chars().count(), MAX_SHOWN + 1);
        let fault = Fault::new(Path::new("m"), FaultKind::Truncated, "x", "\u{9b}").at("\u{1b}c");
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
    }

    #[test]
    fn long_and_strange_names_are_shown_safely() {
        assert_eq!(quoted("a\u{1b}[2J"), "\"a\\u{1b}[2J\"");
        let long = quoted(&"é".repeat(500));
        assert!(long.ends_with("(1000 bytes)") && long.chars().count() < 150, "{long}");
    }
}
