//! What programs that open a table would take for more than text: formulas in CSV, HTML and links in Markdown.
//!
//! Names of models and tasks come from anywhere, and a spreadsheet computes what begins with one of four signs.

use std::borrow::Cow;

use crate::base::printable::{WHOLE, printable};

/// Signs with which a formula begins, and the blanks that may stand before one.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];
/// What stands before a text that would be one; spreadsheets do not show it.
const TEXT: char = '\'';

/// A text as a cell of CSV: numbers stay numbers, formulas become texts.
pub(super) fn to_csv(text: &str) -> Cow<'_, str> {
    let is_harmless = !is_formula(text) || text.len() == 1 || text.parse::<f64>().is_ok();
    if is_harmless { Cow::Borrowed(text) } else { Cow::Owned(format!("{TEXT}{text}")) }
}

/// The text of a cell that [`to_csv`] gave.
pub(super) fn from_csv(cell: &str) -> &str {
    cell.strip_prefix(TEXT).filter(|text| is_formula(text)).unwrap_or(cell)
}

/// Also what was made harmless already, so that each cell is of one text.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches(TEXT).starts_with(FORMULA)
}

/// A text on one line of Markdown, in which nothing is HTML, a link or a sign for a terminal; a cell of a table, and what stands
/// around tables.
pub fn in_markdown(text: &str) -> String {
    let text = text.replace('<', "&lt;").replace("](", "]\\(").replace(['\n', '\r'], " ");
    printable(&text, WHOLE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_texts_and_numbers_stay() {
        for (text, cell) in [
            ("=1+2", "'=1+2"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("'=1", "''=1"),
            ("-", "-"),
            ("-0.5", "-0.5"),
            ("+1e-7", "+1e-7"),
            ("tiny", "tiny"),
            ("'tiny'", "'tiny'"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(to_csv(text), cell);
            assert_eq!(from_csv(cell), text);
        }
    }

    #[test]
    fn markdown_shows_marks_and_obeys_none() {
        assert_eq!(in_markdown("<script>x</script>"), "&lt;script>x&lt;/script>");
        assert_eq!(in_markdown("[a](javascript:b)\n# c"), "[a]\\(javascript:b) # c");
        assert_eq!(in_markdown("tiny [lm-eval] 0.5 ± 0.1"), "tiny [lm-eval] 0.5 ± 0.1");
    }
}
