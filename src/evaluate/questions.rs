//! Tasks whose continuations are scored, in the tokens of one model: what it is asked, and what its scores say.

use std::sync::Arc;

use super::encode::{EncodedDoc, EncodedTask};
use super::metric::metrics;
use super::overlong::{Overlong, fit};
use super::sanity::{SanityFinding, inspect};
use super::{AnsweredTask, Answers, Choices, EvaluateError, LeftOut};
use crate::engine::{EncodedPair, EngineError, Score, ScoreRequest};
use crate::records::Choice;
use crate::tasks::protocol::ScoredTokens;
use crate::tasks::{OutputType, PreparedTask};
use crate::tokenizer::Tokenizer;

/// What a model with so many positions is asked.
#[derive(Debug)]
pub struct Questions {
    /// In the order in which they were given.
    pub tasks: Vec<AskedTask>,
    max_length: usize,
}

/// A task in tokens.
#[derive(Debug)]
pub struct AskedTask {
    /// The task, without what does not fit.
    pub task: Arc<PreparedTask>,
    /// The tokens of its documents.
    pub encoded: EncodedTask,
    /// What was done to its documents, and what is to be known of them.
    pub findings: Vec<SanityFinding>,
}

impl AskedTask {
    /// Encodes a task for a model with `max_length` positions, and does with documents that do not fit what `overlong` says.
    pub(super) fn new(
        tokenizer: &Tokenizer,
        task: &Arc<PreparedTask>,
        max_length: usize,
        overlong: Overlong,
    ) -> Result<Self, EvaluateError> {
        let left_out = match metrics(&task.task) {
            Ok((_, left_out)) => left_out,
            // Texts can be written that cannot be graded here.
            Err(_) if task.generation.is_some() => Vec::new(),
            Err(error) => return Err(error),
        };
        for LeftOut { metric, reason } in left_out {
            tracing::warn!("{}: metric {metric} will be left out: {reason}", task.task.name);
        }
        let mut task = Arc::clone(task);
        let mut encoded = EncodedTask::new(tokenizer, &task, max_length)?;
        let fitted = fit(tokenizer, &mut task, &mut encoded, max_length, overlong)?;
        let seen = inspect(tokenizer, &task, &encoded, max_length)?;
        Ok(Self { task, encoded, findings: fitted.into_iter().chain(seen).collect() })
    }
}

impl Questions {
    /// Encodes `tasks`, whose continuations are scored, for a model with `max_length` positions, and does with documents that do not fit what `overlong` says.
    ///
    /// # Errors
    /// Metrics that cannot be computed, texts that cannot be encoded, and what [`Overlong`] refuses.
    pub fn new(
        tokenizer: &Tokenizer,
        tasks: &[Arc<PreparedTask>],
        max_length: usize,
        overlong: Overlong,
    ) -> Result<Self, EvaluateError> {
        let ask = |task| AskedTask::new(tokenizer, task, max_length, overlong);
        Ok(Self { tasks: tasks.iter().map(ask).collect::<Result<_, _>>()?, max_length })
    }

    /// All requests, task by task.
    pub fn requests(&self) -> Vec<ScoreRequest> {
        self.tasks.iter().flat_map(|task| task.encoded.requests()).cloned().collect()
    }

    /// The answers that `scores` are, one per request.
    pub fn answers(&self, scores: &[Score]) -> Vec<Answers> {
        let mut scores = scores.iter().copied();
        let answers = self.tasks.iter().map(|AskedTask { task, encoded, .. }| {
            Answers::Scored(encoded.docs.iter().map(|doc| self.choices(task, doc, &mut scores)).collect())
        });
        let answers = answers.collect();
        assert!(scores.next().is_none(), "there are as many scores as requests");
        answers
    }

    /// The tasks as they were asked, with the answers that `scores` are.
    pub fn answered(self, scores: &[Score]) -> Vec<AnsweredTask> {
        let answers = self.answers(scores);
        let with = |(AskedTask { task, findings, .. }, answers)| AnsweredTask { task, answers, findings };
        self.tasks.into_iter().zip(answers).map(with).collect()
    }

    /// Takes the scores of one document.
    pub(super) fn choices(
        &self,
        task: &PreparedTask,
        doc: &EncodedDoc,
        scores: &mut impl Iterator<Item = Score>,
    ) -> Choices {
        let mut choice = |pair: &EncodedPair| {
            let Score { logprob, is_greedy } = scores.next().expect("there are as many scores as requests");
            Choice {
                logprob,
                is_greedy,
                n_tokens: pair.request.continuation.len(),
                tokens: pair.request.continuation.clone(),
                truncated: pair.cut + pair.request.truncated(self.max_length),
                prompt_sha256: None,
                n_ctx_tokens: Some(pair.n_context_tokens),
            }
        };
        let mut choices: Vec<Choice> = doc.requests.iter().map(&mut choice).collect();
        let mut unconditional: Vec<Choice> = doc.unconditional.iter().map(&mut choice).collect();
        unconditional.iter_mut().for_each(|choice| choice.n_ctx_tokens = None);
        if task.task.config.output_type == OutputType::LoglikelihoodRolling {
            choices = vec![whole(&choices)];
        }
        if task.rules.scored == ScoredTokens::Whole {
            // They would be the prompt.
            choices.iter_mut().for_each(|choice| choice.tokens.clear());
        }
        Choices { choices, unconditional }
    }

    /// Names the document that the engine refused.
    pub fn refused(&self, error: EngineError) -> EvaluateError {
        let Some(request) = error.request() else { return EvaluateError::Engine(error) };
        EvaluateError::At { place: self.place_of(request), source: error.to_string().into() }
    }

    /// Of which choice of which document a request is.
    ///
    /// # Panics
    /// There is no such request.
    pub fn place_of(&self, mut request: usize) -> String {
        for AskedTask { task, encoded, .. } in &self.tasks {
            for (doc, tokens) in task.docs.iter().zip(&encoded.docs) {
                let own = tokens.requests.len() + tokens.unconditional.len();
                if request < own {
                    let choice = request % tokens.requests.len();
                    return format!("task {}, document {}, choice {choice}", task.task.name, doc.doc_id);
                }
                request -= own;
            }
        }
        panic!("a request is one of those that are asked")
    }
}

/// A whole text, of its windows.
fn whole(windows: &[Choice]) -> Choice {
    Choice {
        logprob: windows.iter().map(|window| window.logprob).sum(),
        is_greedy: windows.iter().all(|window| window.is_greedy),
        n_tokens: windows.iter().map(|window| window.n_tokens).sum(),
        tokens: Vec::new(),
        truncated: 0,
        prompt_sha256: None,
        n_ctx_tokens: None,
    }
}
