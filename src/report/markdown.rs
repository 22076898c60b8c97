//! `comparison.md`: the wide table for people and pull requests.

use std::fmt::Write;

use super::{Row, Wide};

/// A Markdown table, suites × models, values with their standard errors.
pub fn comparison_markdown(rows: &[Row]) -> String {
    let wide = Wide::new(rows);
    let mut text = String::from("| task | shots | metric | n |");
    for model in &wide.models {
        let _ = write!(text, " {} |", escape(model));
    }
    text.push_str("\n|---|--:|---|--:|");
    text.push_str(&"--:|".repeat(wide.models.len()));
    text.push('\n');
    for row in &wide.rows {
        let first = row.first;
        let indent = "&nbsp;&nbsp;".repeat(first.depth);
        let shots = first.num_fewshot.map(|n| n.to_string()).unwrap_or_default();
        let metric = if first.filter == "none" {
            first.metric.clone()
        } else {
            format!("{}, {}", first.metric, first.filter)
        };
        let _ =
            write!(text, "| {indent}{} | {shots} | {} | {} |", escape(&first.task), escape(&metric), first.n);
        for cell in &row.cells {
            let _ = match cell {
                Some(Row { value, stderr: Some(stderr), .. }) => write!(text, " {value:.4} ± {stderr:.4} |"),
                Some(Row { value, .. }) => write!(text, " {value:.4} |"),
                None => write!(text, " – |"),
            };
        }
        text.push('\n');
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::rows;

    #[test]
    fn the_table() {
        insta::assert_snapshot!(comparison_markdown(&rows()));
    }
}
