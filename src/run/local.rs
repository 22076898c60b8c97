//! A model on this machine as a respondent: texts to tokens, what the ledger knows, the rest by the weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::During;
use super::folder::RunFolder;
use super::respondent::{About, Against, Answered, Effort, Respondent};
use super::subject::Subject;
use super::variants::Variant;
use super::{Options, RunError, files, harness};
use crate::base::progress::Progress;
use crate::engine::{LocalModel, Paired, ScoreRequest, TokenCounts, recall, score_twice};
use crate::evaluate::Questions;
use crate::records::{Ledger, ModelRecord, RequestRecord};
use crate::tasks::PreparedTask;
use crate::tasks::protocol::AddSpecialTokens;

/// A model on this machine, and the run that it answers in.
pub struct Local<'a> {
    /// The model; its weights are loaded only if the ledger lacks an answer.
    pub subject: &'a Subject,
    /// What the run was asked to do.
    pub options: &'a Options,
    /// The run's folder, which holds the ledger. It is begun when all questions are tokens: what fails until then leaves none.
    pub place: &'a mut RunFolder,
    /// Says how far the work is.
    pub progress: &'a dyn Progress,
}

impl Subject {
    /// Puts tasks into the model's tokens.
    ///
    /// # Errors
    /// Texts that cannot be encoded, and documents that do not fit where that is not to happen.
    pub fn questions(&self, tasks: &[Arc<PreparedTask>], options: &Options) -> Result<Questions, RunError> {
        let max_length = self.limits.max_length;
        Questions::new(self.tokenizer()?, tasks, max_length, options.overlong)
            .during(|| format!("model {}", self.name))
    }
}

impl Local<'_> {
    /// The model's ledger, with what the runs `--reuse` know of `requests`, and how many of them they answered.
    fn ledger(&mut self, requests: &[ScoreRequest]) -> Result<(Ledger, usize), RunError> {
        let subject = self.subject;
        self.place.begin()?;
        let place = &*self.place;
        let max_length = subject.limits.max_length;
        let mut ledger = Ledger::open(&place.path, &subject.name, subject.identity()?, max_length)?;
        let mut reused = 0;
        for run in &self.options.places.reuse {
            reused += ledger.reuse(&place.place_of(run), requests)?;
        }
        for note in ledger.take_notes() {
            tracing::warn!("{}: {note}", subject.name);
        }
        Ok((ledger, reused))
    }
}

impl Respondent for Local<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        let subject = self.subject;
        let progress = self.progress;
        let limits = subject.limits;
        let questions = subject.questions(tasks, self.options)?;
        let requests = questions.requests();
        let (mut ledger, reused) = self.ledger(&requests)?;
        let begun = Instant::now();
        let mut loading = Duration::ZERO;
        let refused = |error| RunError::from(questions.refused(error));
        let (scored, other) = if let Some(against) = self.options.computing.against {
            let candidate = subject.network(subject.precision, progress)?;
            let reference = subject.network(against, progress)?;
            let networks = [&candidate, &reference];
            let paired = score_twice(networks, limits, &requests, &mut ledger, progress).map_err(refused)?;
            let Paired { candidate, reference, divergence } = paired;
            (candidate, Some((against, reference, divergence)))
        } else if let Some(known) = recall(&requests, limits, &ledger).map_err(refused)? {
            (known, None)
        } else {
            let model = LocalModel::new(subject.network(subject.precision, progress)?, limits);
            loading = begun.elapsed();
            (model.score(&requests, &mut ledger, progress).map_err(refused)?, None)
        };
        ledger.sync()?;
        let effort = Effort {
            tokens: scored.tokens,
            requests: RequestRecord {
                asked: requests.len(),
                // With another arithmetic everything is computed, whatever is known.
                resumed: if other.is_some() { 0 } else { scored.known - reused },
                reused,
            },
            loading,
            scoring: begun.elapsed() - loading,
        };
        let against = other.map(|(against, reference, divergence)| Against {
            model: subject.name.clone(),
            precisions: [subject.precision, against],
            answers: questions.answers(&reference),
            divergence,
        });
        Ok(Answered { tasks: questions.answered(&scored.scores), effort: Some(effort), against })
    }

    fn about(&self, variant: &Variant) -> Result<About, RunError> {
        let subject = self.subject;
        let protocol = &variant.protocol;
        let tokenizer = subject.tokenizer()?;
        let checkpoint = &subject.checkpoint;
        let record = ModelRecord {
            name: subject.name.clone(),
            card: subject.card.as_ref().map(|card| card.id.clone()),
            path: checkpoint.path.display().to_string(),
            weights_sha256: subject.weights_sha256.clone(),
            built: subject.lock.as_ref().map(files::built_record),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: checkpoint.config.parameters(),
            max_length: subject.limits.max_length,
            adds_bos: tokenizer.adds_bos() && protocol.add_special_tokens == AddSpecialTokens::Tokenizer,
            protocol: protocol.name.clone(),
            protocol_sha256: protocol.file_sha256.clone(),
            chat: variant.chat.as_ref().map(files::chat_record),
            precision: subject.precision.name().to_owned(),
            matmul: subject.matmul.to_owned(),
            seconds: BTreeMap::from(["loading", "scoring"].map(|what| (what.to_owned(), 0.0))),
            tokens: TokenCounts::default(),
            requests: RequestRecord::default(),
        };
        Ok(About {
            name: subject.name.clone(),
            weights_sha256: subject.weights_sha256.clone(),
            published: subject.card.as_ref().map_or_else(Vec::new, |card| card.published.clone()),
            record: Some(record),
            special_tokens: Some(harness::special_tokens(tokenizer)),
        })
    }
}
