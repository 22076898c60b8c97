//! A report in each of its forms.

use serde_json::json;

use crate::report::table::latex_escape;
use crate::report::{
    Beside, Format, Look, Row, Source, Step, beside, comparison_csv, joint_latex, joint_markdown,
    joint_results, sources, steps, terminal_table,
};

/// What a report says.
pub struct Page {
    pub rows: Vec<Row>,
    pub published: Vec<Beside>,
    pub steps: Vec<Step>,
    pub sources: Vec<Source>,
    pub look: Look,
}

impl Page {
    /// The whole text.
    pub fn draw(&self, form: Format, width: usize) -> String {
        match form {
            Format::Table => self.terminal(width),
            Format::Md => self.markdown(),
            Format::Latex => self.latex(),
            Format::Wide => comparison_csv(&self.rows),
            Format::Json => self.json(),
            form => form.draw(&joint_results(&self.rows), width),
        }
    }

    fn terminal(&self, width: usize) -> String {
        let mut text = terminal_table(&self.rows, width, self.look);
        if !self.published.is_empty() {
            text += &format!("\nPublished beside measured\n\n{}", beside(&self.published).text(width));
        }
        if !self.steps.is_empty() {
            text += &format!("\nWhat each step gained\n\n{}", steps(&self.steps).text(width));
        }
        text + &format!("\nRuns\n\n{}", sources(&self.sources).text(width))
    }

    fn markdown(&self) -> String {
        let mut text = joint_markdown(&self.rows, self.look);
        if !self.published.is_empty() {
            text += &format!("\n## Published beside measured\n\n{}", beside(&self.published).markdown());
        }
        if !self.steps.is_empty() {
            text += &format!("\n## What each step gained\n\n{}", steps(&self.steps).markdown());
        }
        text + &format!("\n## Runs\n\n{}", sources(&self.sources).markdown())
    }

    fn latex(&self) -> String {
        let from = self.sources.iter().map(|source| {
            let Source { label, protocol, program, started, weights_sha256, .. } = source;
            let digest = weights_sha256.get(..12).unwrap_or("unknown");
            let line = format!("{label}: {protocol}, {program}, {started}, weights {digest}");
            format!("% {}\n", latex_escape(&line))
        });
        joint_latex(&self.rows, self.look) + &from.collect::<String>()
    }

    fn json(&self) -> String {
        let all = json!({
            "rows": joint_results(&self.rows).objects(),
            "published": beside(&self.published).objects(),
            "steps": steps(&self.steps).objects(),
            "sources": sources(&self.sources).objects(),
        });
        format!("{all:#}\n")
    }
}
