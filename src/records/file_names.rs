//! File names made of names: harmless, short enough, and different for what has different names.

use crate::base::digest::sha256;

/// Most bytes of a name in a file name. With what stands before and behind it, and while it is written, a file name is below
/// the 255 that file systems take.
const MOST: usize = 160;
/// Digits of the digest of a name that cannot stand as it is.
const DIGITS: usize = 16;

/// `name` as a file name: anything but letters, digits, `.`, `_` and `-` becomes `_`, and what is too long ends in a digest.
/// Two names can have one.
pub fn file_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .collect();
    let safe = match safe.trim_start_matches('.') {
        "" => "_",
        safe => safe,
    };
    if safe.len() <= MOST { safe.to_owned() } else { with_digest(safe, name) }
}

/// The same for one of many, of which each has a file: a name that had to be changed ends in a digest of it, so that `a b`, `a_b`
/// and `a/b` are three files.
pub fn own_file_name(name: &str) -> String {
    let safe = file_name(name);
    if safe == name && !ends_in_digest(name) { safe } else { with_digest(&safe, name) }
}

/// The name of a task in the name of a file of the reference harness, which leaves it as it is; other than there it is changed
/// where it would be no file name, and as [`own_file_name`] then.
pub fn harness_file_name(task: &str) -> String {
    let is_file_name = !task.contains(|c: char| c == '/' || c == '\\' || c.is_control())
        && !task.is_empty()
        && task.len() <= MOST
        && !ends_in_digest(task);
    if is_file_name { task.to_owned() } else { own_file_name(task) }
}

fn with_digest(safe: &str, name: &str) -> String {
    let digest = sha256(name);
    format!("{}-{}", &safe[..safe.floor_char_boundary(MOST - DIGITS - 1)], &digest[..DIGITS])
}

/// A name that could be that of another name's file.
fn ends_in_digest(name: &str) -> bool {
    let digits = name.rsplit_once('-').map_or("", |(_, digits)| digits);
    digits.len() == DIGITS && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_become_harmless_file_names() {
        assert_eq!(file_name("smollm2-135m"), "smollm2-135m");
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name("a b/c\0"), "a_b_c_");
        assert_eq!(file_name(".."), "_");
        let long = file_name(&"ä".repeat(300));
        assert!(long.starts_with("ää") && long.len() <= MOST && ends_in_digest(&long), "{long}");
    }

    #[test]
    fn different_names_have_different_files() {
        let mut names: Vec<String> =
            ["x a", "x_a", "x/a", "x\\a", ".x_a", "x_a ", "", "_", "..", "."].map(str::to_owned).into();
        names.extend(["a".repeat(300), "a".repeat(301), "ä".repeat(300)]);
        // Names of others' files.
        names.extend([own_file_name("x a"), own_file_name("x/a"), own_file_name(&own_file_name("x a"))]);
        for of in [own_file_name, harness_file_name] {
            let files: BTreeSet<String> = names.iter().map(|name| of(name)).collect();
            assert_eq!(files.len(), names.len(), "{files:?}");
            assert!(files.iter().all(|file| file.len() <= MOST && !file.contains('/')), "{files:?}");
        }
        assert_eq!(own_file_name("mmlu_flan-5.x"), "mmlu_flan-5.x");
        assert_eq!((harness_file_name("x a"), harness_file_name("a,b")), ("x a".into(), "a,b".into()));
    }
}
