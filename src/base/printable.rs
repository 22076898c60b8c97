//! Foreign text on its way to a terminal.
//!
//! What models write, and names and texts from files, servers and command lines, may hold what a terminal obeys: escape
//! sequences (ECMA-48: ESC, and C1 controls, which are one character), BEL, carriage returns that write over a line, and marks
//! that turn the direction of what follows (Unicode's UAX #9, "Trojan Source", CVE-2021-42574). Whatever prints to a terminal
//! passes its text through here; files and pipes get it as it is.

use std::borrow::Cow;

/// The text as a terminal may show it, with at most so many characters of it. Line ends and tabs stay; what a terminal would obey
/// is spelled (`\u{1b}`, `\r`). A sign stands where it was cut.
///
/// It goes character by character, so pieces of a text can be shown as they come.
pub fn printable(text: &str, most: usize) -> Cow<'_, str> {
    spelled(text, most, is_obeyed)
}

/// The same in one line: its ends and tabs are spelled too.
pub fn in_one_line(text: &str, most: usize) -> Cow<'_, str> {
    spelled(text, most, |c| is_obeyed(c) || matches!(c, '\n' | '\t' | '\u{2028}' | '\u{2029}'))
}

/// For texts that are shown whole.
pub const WHOLE: usize = usize::MAX;

fn spelled(text: &str, most: usize, is_obeyed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let end = match most {
        WHOLE => None,
        most => text.char_indices().nth(most).map(|(end, _)| end),
    };
    let kept = &text[..end.unwrap_or(text.len())];
    if end.is_none() && !kept.contains(&is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(kept.len() + 8);
    for c in kept.chars() {
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.extend(end.map(|_| '…'));
    Cow::Owned(shown)
}

/// Whether a terminal, or whoever else shows text, does something else at this character than show it.
pub fn is_obeyed(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_spelled() {
        for (text, shown) in [
            ("plain\n\ttext é 漢字 👩‍👩‍👧", "plain\n\ttext é 漢字 👩‍👩‍👧"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", r"\u{1b}[2J\u{1b}]0;title\u{7}"),
            ("\u{9b}1m\u{9d}52;c;\u{9c}", r"\u{9b}1m\u{9d}52;c;\u{9c}"),
            ("well\rerror", r"well\rerror"),
            ("a\u{8}\u{0}\u{7f}", r"a\u{8}\u{0}\u{7f}"),
            ("exe.\u{202e}txt\u{2066}\u{200f}", r"exe.\u{202e}txt\u{2066}\u{200f}"),
        ] {
            assert_eq!(printable(text, WHOLE), shown);
            // What is shown is shown again as it is, and pieces are together what the whole is.
            assert_eq!(printable(shown, WHOLE), shown);
            let pieces: String = text.chars().map(|c| printable(&c.to_string(), 1).into_owned()).collect();
            assert_eq!(pieces, shown);
        }
        for code in (0..0x2100).filter_map(char::from_u32) {
            let shown = printable(&code.to_string(), WHOLE).into_owned();
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{code:?}");
        }
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(in_one_line("a\nerror: b\tc\u{2028}d", WHOLE), r"a\nerror: b\tc\u{2028}d");
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(printable("éééé", 4), "éééé");
        assert_eq!(printable("ééééé", 4), "éééé…");
        assert_eq!(printable("", 0), "");
        assert_eq!(printable("\u{1b}\u{1b}\u{1b}", 2), r"\u{1b}\u{1b}…");
        assert_eq!(in_one_line(&"\n".repeat(1_000_000), 3), r"\n\n\n…");
    }
}
