//! `checklist.chk`: the MD5 digests that Meta puts beside its files, in the format of `md5sum`.
//!
//! MD5 tells a damaged download from a good one, which is what the list is for; it proves no origin.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::digest::{Md5, of_reader};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::base::progress::{self, Progress, Unit};
use crate::base::whole::{self, TooLarge};
use crate::weights::WeightsError;

/// Largest list that is read.
const MAX_BYTES: u64 = 1 << 20;
/// Hexadecimal digits of an MD5 digest.
const DIGITS: usize = 32;

/// Compares the files that the list at `path` names with their digests, and returns how many there are. All names are
/// checked before any file is opened: they must be those of files beside the list.
///
/// # Errors
/// [`WeightsError::Fault`]: `PathEscape` for a name with a folder, `MissingData` for a file that is not there,
/// `DigestMismatch` for one with another digest, `InconsistentHeader` for a line of another form.
pub fn verify_checklist(path: &Path, progress: &dyn Progress) -> Result<usize, WeightsError> {
    let files = listed_files(path)?;
    let mut total: u64 = 0;
    for (file, _) in &files {
        let about = fs::metadata(file).ok().filter(|about| about.is_file());
        let Some(about) = about else {
            let expected = format!("the files that {} lists", path.display());
            return Err(Fault::new(file, FaultKind::MissingData, expected, "no such file").into());
        };
        total = about.len().saturating_add(total);
    }
    let compare = |(file, expected): &(PathBuf, String)| {
        let found = md5_of(file, progress)?;
        if found == *expected {
            return Ok(());
        }
        let expected = format!("MD5 {expected}, as in {}", path.display());
        Err(WeightsError::from(Fault::new(file, FaultKind::DigestMismatch, expected, found)))
    };
    progress::during(progress, "comparing digests", Some(total), Unit::Bytes, || {
        files.iter().try_for_each(compare)
    })?;
    Ok(files.len())
}

/// The files of a list and their digests in lower case.
fn listed_files(path: &Path) -> Result<Vec<(PathBuf, String)>, WeightsError> {
    let text = whole::text(path, MAX_BYTES).map_err(|error| match TooLarge::of(&error) {
        Some(TooLarge { bytes, limit }) => {
            let expected = format!("a list of at most {limit} bytes");
            Fault::new(path, FaultKind::LimitExceeded, expected, bytes.to_string()).into()
        }
        None => WeightsError::io(path, "read", error),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = |kind, expected: &str, found: &str| {
            Fault::new(path, kind, expected, found).at(format!("line {}", number + 1))
        };
        let parts = line.split_once(' ').map(|(digest, name)| (digest, name.trim_start_matches([' ', '*'])));
        let hex = |digest: &str| digest.len() == DIGITS && digest.bytes().all(|b| b.is_ascii_hexdigit());
        let Some((digest, name)) = parts.filter(|(digest, name)| hex(digest) && !name.is_empty()) else {
            let expected = "an MD5 digest and a file name";
            return Err(at(FaultKind::InconsistentHeader, expected, &quoted(line)).into());
        };
        let escapes = name.contains(['/', '\\', ':']) || name == ".." || name.chars().any(char::is_control);
        if escapes || name == "." {
            let expected = "the name of a file beside the list";
            return Err(at(FaultKind::PathEscape, expected, &quoted(name)).into());
        }
        files.push((folder.join(name), digest.to_ascii_lowercase()));
    }
    if files.is_empty() {
        let expected = "MD5 digests and file names";
        return Err(Fault::new(path, FaultKind::MissingData, expected, "none").into());
    }
    Ok(files)
}

fn md5_of(path: &Path, progress: &dyn Progress) -> Result<String, WeightsError> {
    let file = whole::open(path).map_err(|e| WeightsError::io(path, "open", e))?;
    of_reader::<Md5>(file, progress).map_err(|e| WeightsError::io(path, "read", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::progress::Silent;

    fn verified(list: &str) -> Result<usize, WeightsError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "abc").unwrap();
        fs::write(folder.path().join("b"), "").unwrap();
        let path = folder.path().join("checklist.chk");
        fs::write(&path, list).unwrap();
        verify_checklist(&path, &Silent)
    }

    #[test]
    fn good_and_bad_lists() {
        use FaultKind::{DigestMismatch, InconsistentHeader, MissingData, PathEscape};
        let (a, b) = ("900150983cd24fb0d6963f7d28e17f72", "D41D8CD98F00B204E9800998ECF8427E");
        assert_eq!(verified(&format!("{a}  a\n{b} *b\n\n")).unwrap(), 2);
        let kind = |list: String| verified(&list).unwrap_err().fault_kind();
        assert_eq!(kind(format!("{b}  a\n")), Some(DigestMismatch));
        assert_eq!(kind(format!("{a}  c\n")), Some(MissingData));
        assert_eq!(kind(String::new()), Some(MissingData));
        for name in ["../a", "/etc/passwd", "..", ".", "x\\y", "c:a"] {
            assert_eq!(kind(format!("{a}  {name}\n")), Some(PathEscape), "{name}");
        }
        for line in ["a", "zz  a", "900150983cd24fb0d6963f7d28e17f7é a", "900150983cd24fb0d6963f7d28e17f72  "]
        {
            assert_eq!(kind(format!("{line}\n")), Some(InconsistentHeader), "{line}");
        }
    }
}
