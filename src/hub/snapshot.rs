//! Folders of the cache that other clients of the hub keep: `models--org--name`, with a folder for each commit under
//! `snapshots` and the commits of branches under `refs`.

use std::fs;
use std::path::{Path, PathBuf};

use super::HubError;
use crate::base::whole;

/// The largest file that names a commit, in bytes.
const MAX_REF: u64 = 4096;

/// The snapshot in a folder of such a cache: that of the branch `main`, else the only one; `None` for other folders.
///
/// # Errors
/// A folder without a snapshot, or with several of which none is that of `main`.
pub fn snapshot(folder: &Path) -> Result<Option<PathBuf>, HubError> {
    let snapshots = folder.join("snapshots");
    if !snapshots.is_dir() || folder.join("config.json").exists() {
        return Ok(None);
    }
    if let Ok(commit) = whole::text(&folder.join("refs/main"), MAX_REF) {
        let main = snapshots.join(commit.trim());
        if !commit.trim().is_empty() && main.is_dir() {
            return Ok(Some(main));
        }
    }
    let entries = fs::read_dir(&snapshots).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    all.sort();
    match all.as_slice() {
        [only] => Ok(Some(only.clone())),
        [] => Err(HubError::NoSource(format!(
            "{}: a folder of the hub's cache without a snapshot; fetch the model again",
            folder.display()
        ))),
        several => {
            let names: Vec<String> = several.iter().map(|path| path.display().to_string()).collect();
            Err(HubError::NoSource(format!(
                "{}: none of its snapshots is that of main; name one: {}",
                folder.display(),
                names.join(", ")
            )))
        }
    }
}

/// The revision of the repository whose folder or file in the cache this is, as the cache names it.
pub fn revision_of(path: &Path) -> Option<String> {
    let names: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let at = names.windows(3).rposition(|part| part[0].starts_with("models--") && part[1] == "snapshots")?;
    Some(names[at + 2].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_of_main_is_taken_or_the_only_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("models--o--n");
        assert!(snapshot(dir.path()).unwrap().is_none());
        fs::create_dir_all(folder.join("snapshots")).unwrap();
        assert!(snapshot(&folder).unwrap_err().to_string().contains("without a snapshot"));
        fs::create_dir(folder.join("snapshots/aa")).unwrap();
        assert_eq!(snapshot(&folder).unwrap(), Some(folder.join("snapshots/aa")));
        fs::create_dir(folder.join("snapshots/bb")).unwrap();
        let several = snapshot(&folder).unwrap_err().to_string();
        assert!(several.contains("name one") && several.contains("snapshots/bb"), "{several}");
        fs::create_dir(folder.join("refs")).unwrap();
        fs::write(folder.join("refs/main"), "bb\n").unwrap();
        assert_eq!(snapshot(&folder).unwrap(), Some(folder.join("snapshots/bb")));
    }

    #[test]
    fn the_cache_says_the_revision() {
        let of = |path: &str| revision_of(Path::new(path));
        assert_eq!(of("/c/models--a--b/snapshots/0123abc"), Some("0123abc".to_owned()));
        assert_eq!(of("/c/models--a--b/snapshots/0123abc/model.gguf"), Some("0123abc".to_owned()));
        assert_eq!(
            [of("/c/snapshots/x"), of("/c/models--a--b"), of("models--a--b/snapshots")],
            [None, None, None]
        );
    }
}
