//! Paragraphs that keep to a width.

/// The text in lines of at most `width` columns, each `indent` columns in; a word longer than that has a
/// line of its own. Line breaks in the text count as spaces.
pub(super) fn paragraph(text: &str, indent: usize, width: usize) -> String {
    let margin = " ".repeat(indent);
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            out.push_str(&margin);
            column = indent;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_to_the_width() {
        assert_eq!(paragraph("one two three\nfour", 2, 10), "  one two\n  three\n  four\n");
        assert_eq!(paragraph("a verylongwordindeed b", 0, 8), "a\nverylongwordindeed\nb\n");
        assert_eq!(paragraph(" \n ", 2, 8), "");
    }
}
