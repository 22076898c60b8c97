//! One folder of the cache: its lock, its list of what was fetched, and files that appear whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{HubError, names, select};
use crate::base::digest::sha256;
use crate::base::machine::free_bytes;
use crate::base::own;
use crate::base::whole;

const LIST: &str = ".zoo.json";
const LOCK: &str = ".zoo.lock";
/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 64 << 20;
/// A configuration or a tokenizer that is larger comes with the weights.
pub(super) const MAX_SMALL: u64 = 64 << 20;

/// What was fetched into a folder, kept in the folder as `.zoo.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Where the files come from.
    pub source: String,
    /// The commit they belong to, if they come from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Every complete file.
    pub files: BTreeMap<String, Entry>,
    /// Sets of files that were asked for together: "", a configuration, a member.
    pub sets: BTreeMap<String, Vec<String>>,
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub size: u64,
    pub sha256: String,
}

impl Manifest {
    /// The list of a folder; none if nothing was fetched or the list cannot be read (then it is
    /// fetched again, which finds the files that are there).
    pub(super) fn load(folder: &Path) -> Option<Manifest> {
        serde_json::from_slice(&whole::read(&folder.join(LIST), MAX_LIST).ok()?).ok()
    }

    /// The files of a set if all of them are there with the right size.
    pub(super) fn complete(&self, folder: &Path, set: &str) -> Option<&[String]> {
        let files = self.sets.get(set)?;
        let there = |name: &String| self.has(folder, name).is_some();
        files.iter().all(there).then_some(files)
    }

    /// The entry of a file that is there with the right size.
    pub(super) fn has(&self, folder: &Path, name: &str) -> Option<&Entry> {
        let entry = self.files.get(name).filter(|_| names::complaint(name).is_none())?;
        let found = fs::metadata(folder.join(name)).ok()?;
        (found.is_file() && found.len() == entry.size).then_some(entry)
    }

    /// Writes the list, whole or not at all.
    pub(super) fn save(&self, folder: &Path) -> Result<(), HubError> {
        let path = folder.join(LIST);
        let text = serde_json::to_vec_pretty(self).expect("texts and numbers are JSON");
        let part = folder.join(format!("{LIST}.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = own::create(&part)?;
            file.write_all(&text)?;
            file.sync_all()
        };
        write().map_err(HubError::io("write", &part))?;
        publish(&part, &path)
    }
}

/// Gives a finished file its name: one atomic step, made durable.
pub(super) fn publish(part: &Path, path: &Path) -> Result<(), HubError> {
    fs::rename(part, path).map_err(HubError::io("rename a finished file to", path))?;
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        // Some file systems cannot sync a folder; the rename has happened all the same.
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Creates the folder and waits until no other process fills it. Nobody else does until the file is dropped; the system
/// drops it when the process dies.
pub(super) fn lock(folder: &Path) -> Result<File, HubError> {
    fs::create_dir_all(folder).map_err(HubError::io("create", folder))?;
    let path = folder.join(LOCK);
    let file = own::open(File::options().create(true).truncate(false).write(true), &path);
    let file = file.map_err(HubError::io("create", &path))?;
    if file.try_lock().is_err() {
        tracing::info!("waiting for another process that fetches into {}", folder.display());
        file.lock().map_err(HubError::io("lock", &path))?;
    }
    Ok(file)
}

/// An error if the disk of `folder` has no room for `needed` more bytes.
pub(super) fn check_room(folder: &Path, sizes: impl IntoIterator<Item = u64>) -> Result<(), HubError> {
    // A listing may say anything of its files.
    let needed = sizes.into_iter().fold(0, u64::saturating_add);
    match free_bytes(folder) {
        Some(free) if free < needed => Err(HubError::NoSpace { path: folder.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

/// The lists above a file have few folders between.
const MOST_ABOVE: usize = 16;

/// What is wrong with a file of this cache whose bytes are not those that were fetched; `sha256` is their digest now. Of other files
/// nothing is known.
pub fn changed_since(path: &Path, sha256: &str) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let (folder, list) = list_above(&path)?;
    list.files.get(path.strip_prefix(folder).ok()?.to_str()?)?.complaint(sha256)
}

/// The folder of the cache in which a path lies, with its list; `None` outside of it.
fn list_above(path: &Path) -> Option<(&Path, Manifest)> {
    let lists = path.ancestors().take(MOST_ABOVE);
    lists.filter_map(|folder| Some((folder, Manifest::load(folder)?))).next()
}

/// Refuses the small files of a model in the cache, those that say what it is like, if one of them is not as it was fetched: a digit
/// of a configuration is another model. Weights are checked when they are read, by whoever needs their digest. Elsewhere nothing is
/// known, and all is well.
///
/// # Errors
/// A file of other bytes, and one that cannot be read.
pub fn refuse_changed(model: &Path) -> Result<(), HubError> {
    let Ok(path) = fs::canonicalize(model) else { return Ok(()) };
    let Some((folder, list)) = list_above(&path) else { return Ok(()) };
    let is_read = |(name, entry): &(&String, &Entry)| {
        select::is_small(name) && entry.size <= MAX_SMALL && names::complaint(name).is_none()
    };
    list.files.iter().filter(is_read).try_for_each(|(name, entry)| entry.refuse_changed(&folder.join(name)))
}

/// Refuses one small file if it lies in the cache and is not as it was fetched.
///
/// # Errors
/// As [`refuse_changed`].
pub fn refuse_changed_file(path: &Path) -> Result<(), HubError> {
    let Ok(path) = fs::canonicalize(path) else { return Ok(()) };
    let Some((folder, list)) = list_above(&path) else { return Ok(()) };
    let entry = path.strip_prefix(folder).ok().and_then(|name| list.files.get(name.to_str()?));
    entry.map_or(Ok(()), |entry| entry.refuse_changed(&path))
}

impl Entry {
    /// What is wrong with bytes of this digest.
    fn complaint(&self, sha256: &str) -> Option<String> {
        let fetched = &self.sha256;
        (fetched != sha256).then(|| {
            format!(
                "expected the file that was fetched (sha256 {fetched}), found other bytes ({sha256}); remove it and give the command \
                 again, which fetches it anew"
            )
        })
    }

    /// Refuses a file that is there with other bytes.
    fn refuse_changed(&self, path: &Path) -> Result<(), HubError> {
        let bytes = match whole::read(path, MAX_SMALL) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            bytes => bytes.map_err(HubError::io("read", path))?,
        };
        let changed = self.complaint(&sha256(&bytes));
        changed.map_or(Ok(()), |reason| Err(HubError::Changed { path: path.to_owned(), reason }))
    }
}

/// A folder below `tmp` that is removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(tmp: &Path) -> Result<Self, HubError> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = tmp.join(format!("{}-{number}", std::process::id()));
        // A folder of that name is left from a dead process with the same id.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(HubError::io("create", &folder))?;
        Ok(Scratch(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// What people call the repository in a folder of this cache: its name, with the revision unless that is `main`. `None` for
/// other folders.
pub fn name_in_cache(folder: &Path) -> Option<String> {
    let is_ours =
        folder.join(LIST).is_file() && folder.ancestors().any(|above| above.ends_with("models/hub"));
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let (revision, name) = (name(folder)?, name(folder.parent()?)?);
    is_ours.then(|| if revision == "main" { name } else { format!("{name}@{revision}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sizes_wrap_to_a_small_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_room(folder.path(), [1, 2]).is_ok());
        let error = check_room(folder.path(), [u64::MAX, u64::MAX]).unwrap_err();
        assert!(matches!(error, HubError::NoSpace { needed: u64::MAX, .. }), "{error}");
    }

    #[test]
    fn a_set_is_complete_only_while_its_files_have_their_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(Manifest::load(folder), None);
        let mut manifest = Manifest { source: "hub org/name".to_owned(), ..Manifest::default() };
        manifest.files.insert("a".to_owned(), Entry { size: 3, sha256: "00".to_owned() });
        manifest.sets.insert("all".to_owned(), vec!["a".to_owned()]);
        manifest.sets.insert("bad".to_owned(), vec!["../a".to_owned()]);
        manifest.files.insert("../a".to_owned(), Entry { size: 3, sha256: "00".to_owned() });
        manifest.save(folder).unwrap();
        let manifest = Manifest::load(folder).unwrap();
        assert_eq!(manifest.complete(folder, "all"), None);
        fs::write(folder.join("a"), "abc").unwrap();
        assert!(manifest.complete(folder, "all").is_some());
        assert_eq!(manifest.complete(folder, "bad"), None);
        assert_eq!(manifest.complete(folder, "other"), None);
        fs::write(folder.join("a"), "ab").unwrap();
        assert_eq!(manifest.complete(folder, "all"), None);
        fs::write(folder.join(LIST), "{").unwrap();
        assert_eq!(Manifest::load(folder), None);
    }

    #[test]
    fn a_file_of_the_right_size_and_other_bytes_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("data")).unwrap();
        let file = folder.join("data/a.jsonl");
        let mut manifest = Manifest { source: "hub org/name".to_owned(), ..Manifest::default() };
        manifest.files.insert("data/a.jsonl".to_owned(), Entry { size: 3, sha256: sha256("abc") });
        fs::write(&file, "abd").unwrap();
        assert_eq!(changed_since(&file, &sha256("abd")), None, "without a list nothing is known");
        manifest.save(folder).unwrap();
        assert_eq!(changed_since(&file, &sha256("abc")), None);
        let said = changed_since(&file, &sha256("abd")).unwrap();
        assert!(said.contains(&sha256("abc")) && said.contains(&sha256("abd")), "{said}");
        fs::write(folder.join("data/other"), "abd").unwrap();
        assert_eq!(changed_since(&folder.join("data/other"), ""), None);
    }

    #[test]
    fn small_files_are_those_that_were_fetched() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        let mut manifest = Manifest { source: "hub org/name".to_owned(), ..Manifest::default() };
        for (name, text) in
            [("config.json", "{\"a\": 1}"), ("model.safetensors", "12345678"), ("tokenizer.json", "{}")]
        {
            let entry = Entry { size: text.len() as u64, sha256: sha256(text) };
            manifest.files.insert(name.to_owned(), entry);
            fs::write(folder.join(name), text).unwrap();
        }
        fs::write(folder.join("config.json"), "{\"a\": 2}").unwrap();
        assert!(refuse_changed(folder).is_ok(), "without a list nothing is known");
        manifest.save(folder).unwrap();
        for text in ["{\"a\": 2}", "{\"a\": 11}", ""] {
            fs::write(folder.join("config.json"), text).unwrap();
            let refused = [
                refuse_changed(folder),
                refuse_changed(&folder.join("model.safetensors")),
                refuse_changed_file(&folder.join("config.json")),
            ];
            for refused in refused {
                let said = refused.unwrap_err().to_string();
                assert!(said.contains("config.json: expected the file that was fetched"), "{said}");
            }
        }
        fs::write(folder.join("config.json"), "{\"a\": 1}").unwrap();
        // Weights are checked by whoever reads them; what is not there is fetched.
        fs::write(folder.join("model.safetensors"), "12345679").unwrap();
        fs::remove_file(folder.join("tokenizer.json")).unwrap();
        assert!(refuse_changed(folder).is_ok());
    }

    #[test]
    fn the_lock_keeps_others_out_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let other = File::options().write(true).open(folder.path().join(LOCK)).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        assert!(other.try_lock().is_ok());
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_has_its_parents_room() {
        let folder = tempfile::tempdir().unwrap();
        let future = folder.path().join("a/b/c");
        assert!(free_bytes(&future).is_some_and(|free| free > 0));
        assert!(check_room(&future, [1]).is_ok());
        assert!(matches!(check_room(&future, [u64::MAX]), Err(HubError::NoSpace { .. })));
    }

    #[test]
    fn scratch_folders_are_their_own_and_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Scratch::new(folder.path()).unwrap(), Scratch::new(folder.path()).unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.path().join("x"), "x").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }
}
