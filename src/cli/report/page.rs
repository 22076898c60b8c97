//! A report in each of its forms.

use serde_json::json;

use crate::report::table::latex_escape;
use crate::report::words::paragraph;
use crate::report::{
    Beside, CALIBRATED, Calibrated, DIFFERENCES, Difference, Format, Look, Row, Source, Step, beside,
    calibrated, comparison_csv, differences, fold_differences, joint_latex, joint_markdown, joint_results,
    sources, steps, terminal_table,
};

/// What a report says.
pub struct Page {
    pub rows: Vec<Row>,
    /// Where they are asked for.
    pub differences: Option<Vec<Difference>>,
    pub published: Vec<Beside>,
    pub steps: Vec<Step>,
    /// Where it is asked for.
    pub calibrated: Vec<Calibrated>,
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
            Format::Csv if self.differences.is_some() => differences(self.all_differences()).csv(),
            form => form.draw(&joint_results(&self.rows), width),
        }
    }

    fn terminal(&self, width: usize) -> String {
        let mut text = terminal_table(&self.rows, width, self.look);
        let (shown, note) = self.shown_differences();
        if !shown.is_empty() {
            let legend = paragraph(&format!("{note}{DIFFERENCES}"), 0, width);
            text += &format!("\nDifferences\n\n{}\n{legend}", differences(&shown).text(width));
        }
        if !self.published.is_empty() {
            text += &format!("\nPublished beside measured\n\n{}", beside(&self.published).text(width));
        }
        if !self.steps.is_empty() {
            text += &format!("\nWhat each step gained\n\n{}", steps(&self.steps).text(width));
        }
        if !self.calibrated.is_empty() {
            let legend = paragraph(CALIBRATED, 0, width);
            text +=
                &format!("\nHow sure models are\n\n{}\n{legend}", calibrated(&self.calibrated).text(width));
        }
        text + &format!("\nRuns\n\n{}", sources(&self.sources).text(width))
    }

    fn markdown(&self) -> String {
        let mut text = joint_markdown(&self.rows, self.look);
        let (shown, note) = self.shown_differences();
        if !shown.is_empty() {
            text += &format!("\n## Differences\n\n{}\n{note}{DIFFERENCES}\n", differences(&shown).markdown());
        }
        if !self.published.is_empty() {
            text += &format!("\n## Published beside measured\n\n{}", beside(&self.published).markdown());
        }
        if !self.steps.is_empty() {
            text += &format!("\n## What each step gained\n\n{}", steps(&self.steps).markdown());
        }
        if !self.calibrated.is_empty() {
            let table = calibrated(&self.calibrated).markdown();
            text += &format!("\n## How sure models are\n\n{table}\n{CALIBRATED}\n");
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
        let (shown, note) = self.shown_differences();
        let differences = if shown.is_empty() {
            String::new()
        } else {
            format!("{}% {note}{DIFFERENCES}\n", differences(&shown).latex())
        };
        joint_latex(&self.rows, self.look) + &differences + &from.collect::<String>()
    }

    fn all_differences(&self) -> &[Difference] {
        self.differences.as_deref().unwrap_or(&[])
    }

    /// Of many differences those of groups, and what is said of the others.
    pub fn shown_differences(&self) -> (Vec<Difference>, String) {
        let (shown, others) = match self.look.all_tasks {
            true => (self.all_differences().to_vec(), 0),
            false => fold_differences(self.all_differences()),
        };
        let note = format!("{others} differences of tasks are not shown: --all-tasks shows them. ");
        (shown, if others > 0 { note } else { String::new() })
    }

    fn json(&self) -> String {
        let all = json!({
            "rows": joint_results(&self.rows).objects(),
            "differences": differences(self.all_differences()).objects(),
            "published": beside(&self.published).objects(),
            "steps": steps(&self.steps).objects(),
            "calibration": calibrated(&self.calibrated).objects(),
            "sources": sources(&self.sources).objects(),
        });
        format!("{all:#}\n")
    }
}
