//! All findings about one model, and what they add up to.

use std::path::PathBuf;

use serde::Serialize;

use super::{Finding, Level};

/// What the path turned out to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// Whole weights with a configuration: `llama` or `bloom`.
    Model(&'static str),
    /// A difference to other weights.
    Delta,
    /// A low-rank adapter.
    Adapter,
    /// Files that are XORed with a file of the base.
    Encrypted,
    /// Tensors of which nothing says how they are used.
    Tensors,
    /// Nothing that can be opened.
    Unreadable,
}

impl ContentKind {
    /// For sentences.
    pub fn phrase(&self) -> String {
        match self {
            ContentKind::Model("llama") => "a whole model of LLaMA shape".to_owned(),
            ContentKind::Model("bloom") => "a whole model of BLOOM shape".to_owned(),
            ContentKind::Model(other) => format!("a whole model of {other} shape"),
            ContentKind::Delta => "a difference to other weights, not a model".to_owned(),
            ContentKind::Adapter => "a low-rank adapter, not a model".to_owned(),
            ContentKind::Encrypted => "encrypted files, not a model".to_owned(),
            ContentKind::Tensors => "tensors without a usable configuration".to_owned(),
            ContentKind::Unreadable => "nothing that can be opened".to_owned(),
        }
    }
}

/// The result of verifying one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The model as the user named it.
    pub model: String,
    /// Where it lies.
    pub path: PathBuf,
    /// The id of the card it was compared with.
    pub card: Option<String>,
    /// Whether a model, a difference, an adapter or something else lies there.
    pub kind: ContentKind,
    /// Whether only headers were read.
    pub fast: bool,
    /// Every finding, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings have this level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// Whether it passes: no failure, and if `strict` no warning.
    pub fn passes(&self, strict: bool) -> bool {
        self.count(Level::Failure) == 0 && !(strict && self.count(Level::Warning) > 0)
    }

    /// What it is and how it did: `a whole model of LLaMA shape; 0 failures, 2 warnings`.
    pub fn verdict(&self) -> String {
        let what = match self.kind {
            ContentKind::Model(_) if self.fast => format!("by its headers {}", self.kind.phrase()),
            _ => self.kind.phrase(),
        };
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        format!(
            "{what}; {}, {}",
            plural(self.count(Level::Failure), "failure"),
            plural(self.count(Level::Warning), "warning")
        )
    }

    /// What to do next.
    pub fn next(&self) -> &'static str {
        if self.count(Level::Failure) > 0 {
            return match self.kind {
                ContentKind::Unreadable => "fetch it again, or name another folder or file",
                _ => "do not use it before the failures are dealt with",
            };
        }
        match self.kind {
            ContentKind::Delta | ContentKind::Adapter | ContentKind::Encrypted => {
                "rebuild the model from this and its base (zoo build)"
            }
            ContentKind::Tensors => {
                "put config.json and the tokenizer files beside it to have the rest checked"
            }
            _ if self.fast => "verify it without --fast to have its values checked",
            _ if self.count(Level::Warning) > 0 => "read the warnings before you trust its results",
            _ => "it can be evaluated (zoo eval)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Check;

    fn report(kind: ContentKind, levels: &[Level]) -> Report {
        let finding = |level: &Level| Finding::ok(Check::Form, "x").level(*level);
        Report {
            model: "m".into(),
            path: "m".into(),
            card: None,
            kind,
            fast: false,
            findings: levels.iter().map(finding).collect(),
        }
    }

    #[test]
    fn the_verdict_counts() {
        let report = report(ContentKind::Model("llama"), &[Level::Ok, Level::Warning, Level::Warning]);
        assert_eq!(report.verdict(), "a whole model of LLaMA shape; 0 failures, 2 warnings");
        assert!(report.passes(false) && !report.passes(true));
        // A difference has the headers of a model.
        let fast = Report { fast: true, ..report };
        assert!(
            fast.verdict().starts_with("by its headers a whole model of LLaMA shape;"),
            "{}",
            fast.verdict()
        );
    }

    #[test]
    fn a_failure_never_passes() {
        let report = report(ContentKind::Delta, &[Level::Failure]);
        assert_eq!(report.verdict(), "a difference to other weights, not a model; 1 failure, 0 warnings");
        assert!(!report.passes(false) && report.next().starts_with("do not use"));
    }
}
