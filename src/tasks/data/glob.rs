//! The patterns that pick among the files of a folder: `*` within a name, `**` across folders, `?`.

use regex::Regex;

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
}
