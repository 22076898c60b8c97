//! The line of a key in a YAML text, for messages about values that parsed but cannot be.

/// The line (from 1) of the last key of a path of mapping keys; 0 if it is not found, as in flow style.
pub(super) fn line_of(text: &str, path: &[&str]) -> usize {
    let mut lines = (1..).zip(text.lines()).peekable();
    let mut parent: Option<usize> = None;
    let mut found = 0;
    for key in path {
        found = 0;
        for (number, line) in lines.by_ref() {
            let body = line.trim_start();
            let indent = line.len() - body.len();
            if body.is_empty() || body.starts_with('#') {
                continue;
            }
            if parent.is_some_and(|parent| indent <= parent) {
                return 0;
            }
            let is_key = body.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
            if is_key && (parent.is_some() || indent == 0) {
                parent = Some(indent);
                found = number;
                break;
            }
        }
        if found == 0 {
            return 0;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn keys_are_found_by_path() {
        let text = "name: x\n# layout: no\nlayout:\n  user: a\n  assistant: b\nstop:\n  user: c\n";
        assert_eq!(line_of(text, &["name"]), 1);
        assert_eq!(line_of(text, &["layout", "assistant"]), 5);
        assert_eq!(line_of(text, &["stop", "user"]), 7);
        assert_eq!(line_of(text, &["layout", "system"]), 0);
        assert_eq!(line_of(text, &["none"]), 0);
    }
}
