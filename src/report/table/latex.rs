//! A table for papers: LaTeX with the rules of `booktabs`.

use std::fmt::Write as _;

use super::Column;
use super::cell::Stress;

/// The `tabular` of the columns that Markdown has; numbers are set to the right.
pub(super) fn table(columns: &[Column], rows: usize) -> String {
    let shown: Vec<&Column> = columns.iter().filter(|c| c.heading.in_markdown).collect();
    let alignment: String = shown.iter().map(|c| if c.heading.right { 'r' } else { 'l' }).collect();
    let heads: Vec<String> = shown.iter().map(|c| escape(&c.heading.title)).collect();
    let mut out =
        format!("\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{} \\\\\n\\midrule\n", heads.join(" & "));
    for row in 0..rows {
        let cells = shown.iter().map(|column| {
            let cell = &column.cells[row];
            let text = escape(&cell.text());
            match cell.stress {
                Stress::First => format!("\\textbf{{{text}}}"),
                Stress::Second => format!("\\underline{{{text}}}"),
                Stress::None => text,
            }
        });
        let _ = writeln!(out, "{} \\\\", cells.collect::<Vec<_>>().join(" & "));
    }
    out + "\\bottomrule\n\\end{tabular}\n"
}

/// Text as LaTeX sets it: every character that means something there stands for itself.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("&nbsp;", "\u{a0}").chars() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '#' | '$' | '%' | '&' | '_' => out.extend(['\\', c]),
            '\u{a0}' => out.push('~'),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '±' => out.push_str("$\\pm$"),
            '–' => out.push_str("--"),
            '°' => out.push_str("\\textdegree{}"),
            '\n' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command() {
        assert_eq!(
            escape("a_b & 50% \\input{x} ~^#$"),
            "a\\_b \\& 50\\% \\textbackslash{}input\\{x\\} \\textasciitilde{}\\textasciicircum{}\\#\\$"
        );
        assert_eq!(escape("&nbsp;&nbsp;mmlu_law"), "~~mmlu\\_law");
        assert_eq!(escape("0.5 ± 0.1\u{7}\n–"), "0.5 $\\pm$ 0.1 --");
    }
}
