//! Paragraphs and facts that keep to a width.

/// The longest line that reads well, however wide the terminal is.
pub const LONGEST: usize = 100;

/// The text in lines of at most `width` columns and of 100, each `indent` columns in; a word longer than that has a
/// line of its own. Line breaks in the text count as spaces.
pub fn paragraph(text: &str, indent: usize, width: usize) -> String {
    let margin = " ".repeat(indent);
    let width = width.min(LONGEST);
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

/// Columns before the value of a fact.
const VALUE: usize = 24;

/// `name  value`, with the further lines of a long value below its first one.
pub fn fact(name: &str, value: &str, width: usize) -> String {
    beside(&format!("  {name}"), value, VALUE, width)
}

/// The same with the value from another column on.
pub fn beside(name: &str, value: &str, column: usize, width: usize) -> String {
    let wrapped = paragraph(value, column, width.max(column + 16));
    format!("{name:<column$}{}", wrapped.get(column..).unwrap_or("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_hangs() {
        let text = fact("licence", "a very long licence of many words", 44);
        assert_eq!(
            text,
            format!("  licence{0}a very long licence\n{1}of many words\n", " ".repeat(15), " ".repeat(24))
        );
        assert_eq!(fact("x", "", 80), format!("  x{}\n", " ".repeat(21)));
    }

    #[test]
    fn lines_keep_to_the_width() {
        assert_eq!(paragraph("one two three\nfour", 2, 10), "  one two\n  three\n  four\n");
        assert_eq!(paragraph("a verylongwordindeed b", 0, 8), "a\nverylongwordindeed\nb\n");
        assert_eq!(paragraph(" \n ", 2, 8), "");
    }
}
