//! Methods of Python's `str`, on text.
//!
//! Source: the Python library reference, "Text Sequence Type"; character classes are those of Unicode.

/// Whether Python's `str.isspace` holds: Unicode white space and the four ASCII separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`: runs of white space separate, and empty pieces vanish; at most `limit` cuts.
pub(super) fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if pieces.len() == limit {
            pieces.push(rest);
            break;
        }
        let (piece, tail) = rest.split_once(is_space).unwrap_or((rest, ""));
        pieces.push(piece);
        rest = tail.trim_start_matches(is_space);
    }
    pieces
}

/// `str.splitlines(keepends)`.
pub(super) fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let ends = |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ends).unwrap_or(rest.len());
        let mark = if rest[end..].starts_with("\r\n") {
            2
        } else {
            rest[end..].chars().next().map_or(0, char::len_utf8)
        };
        lines.push(if keep_ends { &rest[..end + mark] } else { &rest[..end] });
        rest = &rest[end + mark..];
    }
    lines
}

/// What Python's escape of one character stands for, in texts, patterns and replacements alike.
pub(super) fn escaped(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => c,
        _ => return None,
    })
}

/// A number without the underscores that may stand between its digits; nothing if one stands elsewhere.
pub(super) fn without_underscores(number: &str) -> Option<String> {
    let digit = |c: &u8| c.is_ascii_digit();
    let between = |at: usize, bytes: &[u8]| {
        at > 0 && bytes.get(at - 1).is_some_and(digit) && bytes.get(at + 1).is_some_and(digit)
    };
    let bytes = number.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'_' || between(at, bytes)).then(|| number.replace('_', ""))
}

/// How many pieces `re.split(r"\s+", text)` gives: runs of white space separate, empty pieces count.
pub fn count_split_by_space(text: &str) -> usize {
    let mut pieces = 1;
    let mut inside = false;
    for c in text.chars() {
        let space = is_space(c);
        pieces += usize::from(space && !inside);
        inside = space;
    }
    pieces
}

/// `str.capitalize()`: the first character in title case, all others in lower case.
pub fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else { return String::new() };
    // Lower-cased as a whole, since a final sigma depends on what stands before it.
    let lower_first: usize = first.to_lowercase().map(char::len_utf8).sum();
    titlecase(first) + &text.to_lowercase()[lower_first..]
}

/// `str.title()`: letters in title case where none stands before them, all others in lower case.
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_letter = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if !after_letter => out.push_str(&titlecase(c)),
            // Whether a sigma is a final one depends on the text around it.
            'Σ' => out.push(if final_sigma(text, at) { 'ς' } else { 'σ' }),
            c => out.extend(c.to_lowercase()),
        }
        after_letter = is_cased(c);
    }
    out
}

/// Whether a capital sigma at a place ends a word, by the way the standard library lower-cases a whole text.
fn final_sigma(text: &str, at: usize) -> bool {
    let before: usize = text[..at].chars().flat_map(char::to_lowercase).map(char::len_utf8).sum();
    text.to_lowercase()[before..].starts_with('ς')
}

/// Letters in title case (Unicode category Lt).
fn is_title(c: char) -> bool {
    let greek = matches!(c, 'ᾈ'..='ᾏ' | 'ᾘ'..='ᾟ' | 'ᾨ'..='ᾯ' | 'ᾼ' | 'ῌ' | 'ῼ');
    greek || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_title(c)
}

/// `str.islower()` and `str.isupper()`: a letter of that case, and none of another.
pub(super) fn is_case(text: &str, case: fn(char) -> bool) -> bool {
    text.chars().any(case) && text.chars().all(|c| case(c) || !is_cased(c))
}

/// Title case of one character: upper case, but of several letters only the first is upper.
fn titlecase(c: char) -> String {
    match c {
        'Ǆ'..='ǆ' => return "ǅ".into(),
        'Ǉ'..='ǉ' => return "ǈ".into(),
        'Ǌ'..='ǌ' => return "ǋ".into(),
        'Ǳ'..='ǳ' => return "ǲ".into(),
        // Letters with an iota below keep it there in title case.
        'ᾀ'..='ᾯ' if !is_title(c) => return char::from_u32(u32::from(c) | 8).into_iter().collect(),
        'ᾳ' => return "ᾼ".into(),
        'ῃ' => return "ῌ".into(),
        'ῳ' => return "ῼ".into(),
        // Georgian letters have capitals but no title case.
        '\u{10d0}'..='\u{10ff}' => return c.into(),
        c if is_title(c) => return c.into(),
        _ => {}
    }
    let mut upper = c.to_uppercase();
    if "ᾲᾴᾷῂῄῇῲῴῷ".contains(c) {
        return upper.map(|part| if part == 'Ι' { '\u{345}' } else { part }).collect();
    }
    let first = upper.next().expect("every character has an upper case, itself at least");
    let rest: String = upper.collect();
    if first.is_uppercase() && rest.chars().all(char::is_alphabetic) {
        return format!("{first}{}", rest.to_lowercase());
    }
    format!("{first}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitalize_is_pythons() {
        for (text, wanted) in [
            ("", ""),
            ("hE SAID", "He said"),
            ("éTÉ", "Été"),
            ("ßx", "Ssx"),
            ("ǆX", "ǅx"),
            ("ΑΣ", "Ας"),
            ("1ABC", "1abc"),
            ("ŉA", "ʼNa"),
        ] {
            assert_eq!(capitalize(text), wanted);
        }
    }

    #[test]
    fn splitting_at_white_space() {
        assert_eq!(split(" a \u{1c} b ", usize::MAX), ["a", "b"]);
        assert_eq!(split(" a b  c ", 1), ["a", "b  c "]);
    }

    #[test]
    fn pieces_between_white_space_are_counted() {
        // Python: len(re.split(r"\s+", text))
        for (text, wanted) in [("", 1), ("a", 1), ("a  b", 2), (" a ", 3), ("\n\u{1c}", 2)] {
            assert_eq!(count_split_by_space(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn strip_takes_unicode_space_and_separators() {
        assert_eq!(strip("\u{3000}\u{1f} x\u{a0}\n"), "x");
    }
}
