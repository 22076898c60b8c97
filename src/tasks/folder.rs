//! The files below a folder, for data sets and for task files.

use std::io;
use std::path::Path;

use crate::base::recognise::{dangling, dangling_fault, is_apple_double};

/// A folder may hold this many files of the kind that is looked for, and nest this deep.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 12;

/// The files below a folder that are wanted, as paths relative to it with `/` between folders, sorted. Hidden folders are
/// left out, and links to folders, since they can lead in circles, and what macOS writes beside files.
///
/// # Errors
/// What the system says about a folder that cannot be read; too many files, or folders nested too deep; a wanted file that is a
/// link to nothing, or whose name is no text.
pub(super) fn files_below(root: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    at_most(MAX_FILES, root, &is_wanted)
}

fn at_most(limit: usize, root: &Path, is_wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    walk(root, "", 0, &mut |file: String, path: &Path| {
        if is_wanted(&file) {
            if !path.ends_with(&file) {
                let said = format!("expected names in UTF-8, found {}; rename it", path.display());
                return Err(io::Error::other(said));
            }
            if let Some(fault) = dangling_fault(&root.join(&file)) {
                return Err(io::Error::other(fault.to_string()));
            }
            if files.len() == limit {
                return Err(io::Error::other(format!(
                    "expected at most {limit} files in a folder, found more; name a smaller one"
                )));
            }
            files.push(file);
        }
        Ok(())
    })?;
    files.sort();
    Ok(files)
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut dyn FnMut(String, &Path) -> io::Result<()>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if name.starts_with('.') {
                continue;
            }
            if depth == MAX_DEPTH {
                let (expected, folder) = (format!("folders at most {MAX_DEPTH} deep"), path.display());
                return Err(io::Error::other(format!(
                    "expected {expected}, found {folder}; name one further down"
                )));
            }
            walk(&path, &format!("{prefix}{name}/"), depth + 1, found)?;
        } else if !is_apple_double(&path) && (path.is_file() || is_lost(&path)) {
            found(format!("{prefix}{name}"), &path)?;
        }
    }
    Ok(())
}

/// Whether a path is a link to nothing. Hidden ones are no files: editors lock files with such links.
fn is_lost(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && dangling(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn wanted_links_to_nothing_are_errors_and_what_macos_writes_is_no_file() {
        let folder = folder(&["a.jsonl", "._a.jsonl"]);
        let link = |name: &str| std::os::unix::fs::symlink("../blobs/0", folder.path().join(name)).unwrap();
        link("b.txt");
        link(".#a.jsonl");
        let list = || files_below(folder.path(), |file| file.ends_with(".jsonl"));
        assert_eq!(list().unwrap(), ["a.jsonl"]);
        link("c.jsonl");
        let said = list().unwrap_err().to_string();
        assert!(said.contains("c.jsonl") && said.contains("../blobs/0"), "{said}");
    }

    /// A folder with empty files.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    #[cfg(unix)]
    fn wanted_names_that_are_no_text_are_errors() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = folder(&["a.yaml"]);
        let name = |bytes: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(bytes));
        std::fs::write(name(b"\xff.txt"), "").unwrap();
        let list = || files_below(folder.path(), |file| file.ends_with(".yaml"));
        assert_eq!(list().unwrap(), ["a.yaml"]);
        std::fs::create_dir(name(b"\xfe")).unwrap();
        std::fs::write(name(b"\xfe/b.yaml"), "").unwrap();
        let said = list().unwrap_err().to_string();
        assert!(said.contains("b.yaml") && said.contains("UTF-8"), "{said}");
    }

    #[test]
    fn files_are_listed_in_order_and_none_of_hidden_folders() {
        let folder = folder(&["z", "b/y", ".hidden", ".git/x"]);
        assert_eq!(files_below(folder.path(), |_| true).unwrap(), [".hidden", "b/y", "z"]);
    }

    #[test]
    fn only_wanted_files_count() {
        let folder = folder(&["a.png", "b.png", "c/d.png", "e.yaml", "f.yaml"]);
        let list = |limit, ending: &str| at_most(limit, folder.path(), &|file| file.ends_with(ending));
        assert_eq!(list(2, ".yaml").unwrap(), ["e.yaml", "f.yaml"]);
        assert!(list(2, ".png").unwrap_err().to_string().contains("at most 2 files"));
    }

    #[test]
    fn folders_that_nest_too_deep_are_no_empty_ones() {
        let at = |depth: usize| folder(&[&("d/".repeat(depth) + "x")]);
        assert_eq!(files_below(at(MAX_DEPTH).path(), |_| true).unwrap().len(), 1);
        let message = files_below(at(MAX_DEPTH + 1).path(), |_| true).unwrap_err().to_string();
        assert!(message.contains("at most 12 deep") && message.contains("d/d/d"), "{message}");
    }
}
