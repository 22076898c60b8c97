//! Files of a folder and the patterns that pick among them: `*` within a name, `**` across folders, `?`.

use std::path::Path;

use regex::Regex;

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
        } else if path.is_file() {
            if files.len() == MAX_FILES {
                return Err(std::io::Error::other(format!(
                    "a data set of more than {MAX_FILES} files is refused"
                )));
            }
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// What decides whether a path with `/` between folders fits a pattern.
///
/// # Errors
/// A pattern that is too large, in words.
pub fn matcher(pattern: &str) -> Result<impl Fn(&str) -> bool + use<>, String> {
    let character = |c: char| match c {
        '*' => "[^/]*".to_owned(),
        '?' => "[^/]".to_owned(),
        c => regex::escape(c.encode_utf8(&mut [0; 4])),
    };
    // Every part of a path is taken with a `/` behind it.
    let part = |part: &str| match part {
        "**" => "(?:[^/]*/)*".to_owned(),
        part => part.chars().map(character).collect::<String>() + "/",
    };
    let whole: String = pattern.trim_start_matches("./").split('/').map(part).collect();
    let regex = Regex::new(&format!("^{whole}$")).map_err(|e| format!("pattern {pattern:?}: {e}"))?;
    Ok(move |path: &str| regex.is_match(&format!("{path}/")))
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
            assert_eq!(matcher(pattern).unwrap()(path), fits, "{pattern} {path}");
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
