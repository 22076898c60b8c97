//! Files of a folder and the patterns that pick among them: `*` within a name, `**` across folders, `?`.

use std::path::Path;

/// A data set may hold this many files and nest this deep.
const MAX_FILES: usize = 50_000;
const MAX_DEPTH: usize = 8;

/// All files below a folder as paths relative to it with `/` between folders, sorted. Hidden files and
/// folders are left out, and links to folders, since they can lead in circles.
///
/// # Errors
/// What the system says about a folder that cannot be read.
pub fn list(root: &Path) -> std::io::Result<Vec<String>> {
    let mut files = Vec::new();
    walk(root, "", 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
            }
        } else if files.len() < MAX_FILES && path.is_file() {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// Whether a path with `/` between folders fits a pattern.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.trim_start_matches("./").split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            parts(rest, path) || path.split_first().is_some_and(|(_, path)| parts(pattern, path))
        }
        (Some((name, rest)), Some((part, path))) => segment(name, part) && parts(rest, path),
        _ => false,
    }
}

/// One name against one pattern without `/`; goes back only to the last `*`, so it is quick for any input.
fn segment(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, fits) in [
            ("data/test-*", "data/test-00000-of-00001.parquet", true),
            ("test-*", "data/test-0.parquet", false),
            ("**/test-*", "a/b/test-0", true),
            ("**/test-*", "test-0", true),
            ("**", "a/b", true),
            ("*.json?", "x.jsonl", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("x", "x", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn files_are_listed_in_order_without_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["z", "b/y", ".hidden"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(list(dir.path()).unwrap(), ["b/y", "z"]);
    }
}
