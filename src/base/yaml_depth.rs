//! How deep the lists and maps in brackets of a YAML text nest, counted before it is parsed.
//!
//! libyaml looks at every open bracket for every token, so what is nested n deep costs n². Inside of brackets its rules
//! are followed (`scanner.c`, 0.2.5): what is quoted or a comment opens nothing, and a quote counts only where a scalar
//! begins. Outside of them every bracket after a space is taken for the first of a list, since a text in a block may look
//! like one: the count may be too high in a text that opens hundreds of brackets and closes none, and is never too low.

/// The deepest nesting of brackets: twice what serde_yaml reads into values.
pub const MAX_DEPTH: usize = 256;

/// The line (from 1) where brackets nest deeper than [`MAX_DEPTH`]; `None` if they do not.
pub fn too_deep(text: &str) -> Option<usize> {
    if !has_more(text.as_bytes()) {
        return None;
    }
    // What is read anew for brackets that stand in others is bounded too: more than this is deeper.
    let mut work = text.len().saturating_mul(MAX_DEPTH);
    let mut before = ' ';
    for (start, c) in text.char_indices() {
        if matches!(c, '[' | '{') && (is_blank(before) || before == '\u{feff}') {
            let (read, deep) = Flow { rest: &text[start..], depth: 0 }.read();
            match work.checked_sub(read) {
                Some(left) if !deep => work = left,
                _ => return Some(text[..start].matches('\n').count() + 1),
            }
        }
        before = c;
    }
    None
}

/// Whether a text opens more than [`MAX_DEPTH`] brackets at all, which most do not. It is counted in pieces that a
/// byte can count, so that many bytes are looked at at once.
fn has_more(text: &[u8]) -> bool {
    const COUNTED: usize = u8::MAX as usize;
    let opened = |piece: &[u8]| piece.iter().map(|byte| u8::from(matches!(byte, b'[' | b'{'))).sum::<u8>();
    let mut all = 0;
    text.chunks(COUNTED).any(|piece| {
        all += usize::from(opened(piece));
        all > MAX_DEPTH
    })
}

/// What is in brackets, from the first one on.
struct Flow<'t> {
    rest: &'t str,
    depth: usize,
}

impl Flow<'_> {
    /// Reads up to the bracket that closes the first one, to the end, or to where it is too deep; gives the bytes that were
    /// read, and whether it is.
    fn read(mut self) -> (usize, bool) {
        let all = self.rest.len();
        while let Some(first) = self.rest.chars().next() {
            match first {
                '[' | '{' => self.depth += 1,
                ']' | '}' => self.depth -= 1,
                _ => {}
            }
            self.skip(first.len_utf8());
            if self.depth == 0 || self.depth > MAX_DEPTH {
                break;
            }
            match first {
                '[' | '{' | ']' | '}' | ',' | ':' | '?' => {}
                '\'' => self.skip(self.rest.find('\'').map_or(self.rest.len(), |at| at + 1)),
                '"' => self.double_quoted(),
                '#' => self.skip(self.rest.find(is_break).unwrap_or(self.rest.len())),
                '!' => self.tag(),
                '&' | '*' => {
                    let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
                    self.skip(end.unwrap_or(self.rest.len()));
                }
                c if is_blank(c) => {}
                _ => self.plain(),
            }
        }
        (all - self.rest.len(), self.depth > MAX_DEPTH)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn double_quoted(&mut self) {
        let mut escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        self.skip(end.map_or(self.rest.len(), |at| at + 1));
    }

    /// A tag may have brackets in it, of which none closes anything.
    fn tag(&mut self) {
        let end = self.rest.find(|c| is_blank(c) || matches!(c, ',' | '[' | '{'));
        self.skip(end.unwrap_or(self.rest.len()));
    }

    /// A plain scalar ends before a comma or bracket, before `: ` and before a comment.
    fn plain(&mut self) {
        let mut before = 'x';
        let mut colon = None;
        for (at, c) in self.rest.char_indices() {
            let ends = matches!(c, ',' | '[' | ']' | '{' | '}') || c == '#' && is_blank(before);
            if ends || colon.is_some() && is_blank(c) {
                return self.skip(if ends { at } else { colon.unwrap_or(at) });
            }
            colon = (c == ':').then_some(at);
            before = c;
        }
        self.skip(self.rest.len());
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\0') || is_break(c)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_by_the_rules_of_brackets() {
        let nested = |opening: &str, closing: &str, depth: usize| {
            format!("a: {}{}\n", opening.repeat(depth), closing.repeat(depth))
        };
        for (opening, closing) in [
            ("[", "]"),
            ("{a: ", "}"),
            ("['[', \"]\", a'b, ", "]"),
            ("[ # ]\n ", "]"),
            ("[ # ]\r ", "]"),
            ("[it's: ']', a'b, ", "]"),
            ("[\"\\\\\", \"\\\"]\", ", "]"),
            ("[!t]] x, !<]> y, ", "]"),
            ("[&a ']', *a , ", "]"),
            ("[? ']' : ']', ", "]"),
            ("[a ']', ", "]"),
        ] {
            // Some of these close a bracket of their own on the way, and open one for it.
            let deep = nested(opening, closing, MAX_DEPTH * 2);
            assert_eq!(too_deep(&deep).is_some(), opening != "[a ']', ", "{opening}");
            assert_eq!(too_deep(&nested(opening, closing, 40)), None, "{opening}");
        }
        assert_eq!(too_deep(&nested("[", "]", MAX_DEPTH)), None);
        assert_eq!(too_deep(&format!("a: 1\nb: {}", "[".repeat(MAX_DEPTH + 1))), Some(2));
    }

    #[test]
    fn texts_with_brackets_are_no_lists() {
        let prose = "a: |\n  it's in [0, 1) and \"{x}\", [b]\n  - {{ doc['x'] }}: [\n".repeat(60);
        assert_eq!(too_deep(&prose), None);
        assert_eq!(too_deep(&"- ['[[', \"]\", {a: [1, 2]}]\n".repeat(20_000)), None);
    }
}
