//! What one model is asked in one variant: prompts that fit, their tokens, and what is to be known of them.

use std::sync::Arc;

use anyhow::Context;

use super::subject::Subject;
use super::variants::Variant;
use crate::cli::eval::Args;
use crate::evaluate::{self, EncodedTask, Finding, Overlong};
use crate::tasks::PreparedTask;

/// A task and its tokens.
pub type AskedTask<'a> = (&'a PreparedTask, &'a EncodedTask);

/// A variant in the tokens of one model.
pub struct Asked<'v> {
    /// The way of asking.
    pub variant: &'v Variant,
    /// The tasks, without what does not fit.
    pub tasks: Arc<Vec<PreparedTask>>,
    /// The tokens of each.
    pub encoded: Vec<EncodedTask>,
    /// What is to be known of their documents.
    pub findings: Vec<Finding>,
}

impl<'v> Asked<'v> {
    /// Encodes the tasks of a variant and does with documents that do not fit what `--overlong` says.
    ///
    /// # Errors
    /// Texts that cannot be encoded; with `--overlong error` documents that do not fit.
    pub fn new(subject: &Subject, variant: &'v Variant, args: &Args) -> anyhow::Result<Self> {
        let (tokenizer, max_length) = (subject.tokenizer()?, subject.limits().max_length);
        let mut encoded = evaluate::encode(tokenizer, &variant.tasks, max_length)?;
        let fitted = evaluate::fit(tokenizer, &variant.tasks, &mut encoded, max_length, args.overlong.into())
            .with_context(|| format!("model {}", subject.name))?;
        let tasks = fitted.tasks.map_or_else(|| Arc::clone(&variant.tasks), Arc::new);
        let mut findings = fitted.findings;
        for (task, encoded) in tasks.iter().zip(&encoded) {
            findings.extend(evaluate::inspect(tokenizer, task, encoded, max_length)?);
        }
        Ok(Self { variant, tasks, encoded, findings })
    }

    /// The tasks with their tokens.
    pub fn tasks(&self) -> impl Iterator<Item = AskedTask<'_>> {
        self.tasks.iter().zip(&self.encoded)
    }
}

/// With `--overlong error` every model is looked at before the first one is computed.
///
/// # Errors
/// As [`Asked::new`].
pub fn refuse_overlong(args: &Args, subjects: &[Subject], variants: &[Vec<Variant>]) -> anyhow::Result<()> {
    if Overlong::from(args.overlong) == Overlong::Error {
        for (subject, variants) in subjects.iter().zip(variants) {
            for variant in variants {
                Asked::new(subject, variant, args)?;
            }
        }
    }
    Ok(())
}
