//! The files below a folder, for data sets and for task files.

use std::io;
use std::path::Path;

/// A folder may hold this many files and nest this deep.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 12;

/// All files below a folder as paths relative to it with `/` between folders, sorted. Hidden files and
/// folders are left out, and links to folders, since they can lead in circles.
///
/// # Errors
/// What the system says about a folder that cannot be read.
pub(super) fn files_below(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    walk(root, "", 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
            }
        } else if path.is_file() {
            if files.len() == MAX_FILES {
                return Err(io::Error::other(format!("a folder of more than {MAX_FILES} files is refused")));
            }
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_in_order_without_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["z", "b/y", ".hidden"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(files_below(dir.path()).unwrap(), ["b/y", "z"]);
    }
}
