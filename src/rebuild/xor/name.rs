//! Names of encrypted files: `<plain name>.<SHA-256 of the plain file>.enc`.

use std::path::Path;

use crate::base::fault::{Fault, FaultKind};

/// What encrypted files end in.
const ENDING: &str = ".enc";
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// The parts of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncryptedName {
    /// The plain file's name, without any folder.
    pub plain: String,
    /// The plain file's SHA-256, in lower case.
    pub sha256: String,
}

impl EncryptedName {
    /// Takes the name of `file` apart; `None` if it does not end in `.enc`.
    ///
    /// # Errors
    /// A fault if the digest is missing or the plain name is not that of a file in the same folder.
    pub(super) fn parse(file: &Path) -> Result<Option<EncryptedName>, Box<Fault>> {
        let name = file.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            if !name.to_string_lossy().ends_with(ENDING) {
                return Ok(None);
            }
            let found = format!("{:?}", name.to_string_lossy());
            return Err(Fault::new(file, FaultKind::InconsistentHeader, "a name in UTF-8", found));
        };
        let Some(rest) = name.strip_suffix(ENDING) else { return Ok(None) };
        let hex = |digest: &str| digest.len() == DIGITS && digest.bytes().all(|b| b.is_ascii_hexdigit());
        let Some((plain, digest)) = rest.rsplit_once('.').filter(|(_, digest)| hex(digest)) else {
            let expected = "<name>.<64 hexadecimal digits>.enc, with the SHA-256 of the plain file";
            let advice = "keep the names of the release: fetch the file again under its own name";
            let found = format!("{name:?}");
            return Err(Fault::new(file, FaultKind::InconsistentHeader, expected, found).advice(advice));
        };
        let odd = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
        if plain.is_empty() || plain == "." || plain == ".." || plain.contains(odd) {
            let expected = "the plain name of a file in the same folder";
            return Err(Fault::new(file, FaultKind::PathEscape, expected, format!("{plain:?}")));
        }
        Ok(Some(EncryptedName { plain: plain.to_owned(), sha256: digest.to_lowercase() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_stay_inside_their_folder() {
        let digest = "AB".repeat(32);
        let parse = |plain: &str| EncryptedName::parse(Path::new(&format!("/x/{plain}.{digest}.enc")));
        let name = parse("config.json").unwrap().unwrap();
        assert_eq!((name.plain.as_str(), name.sha256.as_str()), ("config.json", "ab".repeat(32).as_str()));
        assert_eq!(EncryptedName::parse(Path::new("README.md")).unwrap(), None);
        for plain in ["..", ".", "a\\b", "c:d", "a\nb"] {
            assert_eq!(parse(plain).unwrap_err().kind, FaultKind::PathEscape, "{plain:?}");
        }
        for name in ["x.json.enc", "x.json.abc.enc", ".enc", "x.enc"] {
            let fault = EncryptedName::parse(Path::new(name)).unwrap_err();
            assert!(fault.to_string().contains("64 hexadecimal digits"), "{fault}");
        }
        let bare = EncryptedName::parse(Path::new(&format!(".{digest}.enc"))).unwrap_err();
        assert_eq!(bare.kind, FaultKind::PathEscape);
    }
}
