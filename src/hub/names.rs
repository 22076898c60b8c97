//! Names that come from outside and become paths: files of a repository, repositories, revisions.

pub(super) use crate::base::http::short as printable;

/// What is wrong with a file name from a server; `None` if it stays inside the folder that it is
/// joined to, on every operating system.
pub(super) fn complaint(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("which is empty");
    }
    if path.len() > 1024 || path.split('/').any(|part| part.len() > 240) {
        return Some("which is too long");
    }
    if path.chars().any(char::is_control) {
        return Some("which has control characters");
    }
    if path.contains('\\') || path.contains(':') {
        return Some("which has a backslash or a colon");
    }
    if path.starts_with('/') {
        return Some("which is absolute");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some("which leaves its folder");
    }
    let reserved = |part: &str| part.starts_with(".zoo.") || part.ends_with(".part");
    path.split('/').any(reserved).then_some("which is reserved for the cache's own files")
}

/// Whether `repo` is `name` or `organisation/name`.
pub(super) fn is_repo(repo: &str) -> bool {
    let word = |part: &str| {
        part.len() <= 96
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !part.contains("..")
    };
    repo.split('/').count() <= 2 && repo.split('/').all(word)
}

/// A revision as one folder name; only names that [`crate::registry`] accepts reach this.
pub(super) fn revision_folder(revision: &str) -> String {
    revision.replace('/', "--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        let long = "x".repeat(241);
        for bad in [
            "",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
            "a\\..\\b",
            "C:x",
            "a\nb",
            "a\0b",
            "\u{7f}",
            ".zoo.json",
            "d/.zoo.lock",
            "x.part",
            &long,
        ] {
            assert!(complaint(bad).is_some(), "{bad:?}");
        }
        for good in
            ["config.json", "a/b/c.parquet", "..a", "a..b", "...", ".gitattributes", "数据/测试.csv", "a b"]
        {
            assert_eq!(complaint(good), None, "{good:?}");
        }
    }

    #[test]
    fn repository_names() {
        for good in ["org/name", "gsm8k", "a.b/c_d-e"] {
            assert!(is_repo(good), "{good:?}");
        }
        for bad in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", ".a/b", "-a/b", "a b/c", "a/b..c", "a/b?c"]
        {
            assert!(!is_repo(bad), "{bad:?}");
        }
    }
}
