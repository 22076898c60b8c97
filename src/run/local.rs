//! A model on this machine as a respondent: texts to tokens, what the ledger knows, the rest by the weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{During, Stopped};
use super::folder::RunFolder;
use super::follow::Follower;
use super::respondent::{About, Against, Answered, Effort, Respondent};
use super::subject::Subject;
use super::variants::Variant;
use super::{Options, RunError, files, harness};
use crate::base::progress::{Progress, Turn};
use crate::base::stop::Stop;
use crate::engine::{
    EngineError, Journals, LocalModel, Paired, ScoreJournal, ScoreRequest, TokenCounts, recall, score_twice,
};
use crate::evaluate::Questions;
use crate::kernels::Precision;
use crate::model::Network;
use crate::records::{Identity, Ledger, ModelRecord, RequestRecord};
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
    /// Which of the run's models it is.
    pub turn: Turn,
    /// Says how far the work is.
    pub progress: &'a dyn Progress,
    /// Whether it is to end early.
    pub stop: &'a Stop,
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

/// Digests of positions are short, and none of them is ever cut.
const POSITION_TOKENS: usize = 8;

impl Local<'_> {
    /// The model's ledger, with what the runs `--reuse` know of `requests`, and how many of them they answered.
    fn ledger(&mut self, requests: &[ScoreRequest]) -> Result<(Ledger, usize), RunError> {
        let Self { subject, options, .. } = *self;
        let mut ledger = self.open(subject.identity()?, subject.limits.max_length)?;
        let mut reused = 0;
        if let (Some(against), [_, ..]) = (options.computing.against, &options.places.reuse[..]) {
            tracing::warn!(
                "--reuse: nothing is taken over, since --against {against} needs both answers at every position"
            );
            return Ok((ledger, reused));
        }
        for run in &options.places.reuse {
            reused += ledger.reuse(&self.place.place_of(run), requests)?;
        }
        self.warn(&mut ledger);
        Ok((ledger, reused))
    }

    /// The ledger of answers with this identity.
    fn open(&mut self, identity: Identity, max_length: usize) -> Result<Ledger, RunError> {
        self.place.begin()?;
        self.stop.keep_in(&self.place.path);
        let mut ledger = Ledger::open(&self.place.path, &self.subject.name, identity, max_length)?;
        self.warn(&mut ledger);
        Ok(ledger)
    }

    fn warn(&self, ledger: &mut Ledger) {
        for note in ledger.take_notes() {
            tracing::warn!("{}: {note}", self.subject.name);
        }
    }

    /// What a run that was stopped keeps.
    fn stopped(&self, requests: &[ScoreRequest], ledger: &Ledger) -> RunError {
        RunError::Stopped(Box::new(Stopped {
            turn: self.turn.clone(),
            kept: requests.iter().filter(|request| ledger.known(request).is_some()).count(),
            asked: requests.len(),
            ledger: ledger.path().to_owned(),
            folder: self.place.path.clone(),
        }))
    }

    /// The model's weights for products of a precision.
    fn network(
        &self,
        precision: Precision,
        requests: &[ScoreRequest],
        ledger: &Ledger,
    ) -> Result<Network, RunError> {
        let network = self.subject.network(precision, self.progress, self.stop);
        network.map_err(|error| match self.stop.is_requested() {
            true => self.stopped(requests, ledger),
            false => error,
        })
    }

    /// What an error of the engine means for the run.
    fn refused(
        &self,
        error: EngineError,
        questions: &Questions,
        requests: &[ScoreRequest],
        ledger: &Ledger,
    ) -> RunError {
        match error {
            EngineError::Stopped => self.stopped(requests, ledger),
            error => questions.refused(error).into(),
        }
    }

    /// Has the model and the same weights in another arithmetic answer.
    fn answer_twice(
        &mut self,
        against: Precision,
        questions: &Questions,
        requests: &[ScoreRequest],
        ledger: &mut Ledger,
    ) -> Result<Paired, RunError> {
        let subject = self.subject;
        let progress = self.progress;
        let identity = subject.identity()?;
        // Two ledgers are never one file.
        let other =
            if against == subject.precision { format!("{against} again") } else { against.to_string() };
        let other = Identity { precision: other, ..identity.clone() };
        let both = format!("{} against {against}", identity.precision);
        let mut reference = self.open(other, subject.limits.max_length)?;
        let mut positions = self.open(Identity { precision: both, ..identity }, POSITION_TOKENS)?;
        let candidate = self.network(subject.precision, requests, ledger)?;
        let other = self.network(against, requests, ledger)?;
        let mut journals =
            Journals { candidate: &mut *ledger, reference: &mut reference, positions: &mut positions };
        let mut follower = Follower::new(questions, progress, self.stop);
        let how = (subject.limits, subject.pacing());
        let paired = score_twice([&candidate, &other], how, requests, &mut journals, &mut follower, progress);
        [&mut reference, &mut positions, &mut *ledger].into_iter().try_for_each(Ledger::sync)?;
        paired.map_err(|error| self.refused(error, questions, requests, ledger))
    }
}

impl Respondent for Local<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        let subject = self.subject;
        let progress = self.progress;
        progress.turn(&self.turn);
        let limits = subject.limits;
        let questions = subject.questions(tasks, self.options)?;
        let requests = questions.requests();
        tracing::info!("{}: {} requests of {} tasks", subject.name, requests.len(), tasks.len());
        subject.explain();
        let (mut ledger, reused) = self.ledger(&requests)?;
        let stop = self.stop;
        let _heeding = stop.heed();
        let begun = Instant::now();
        let mut loading = Duration::ZERO;
        let (scored, other) = if let Some(against) = self.options.computing.against {
            let paired = self.answer_twice(against, &questions, &requests, &mut ledger)?;
            let Paired { candidate, reference, divergence } = paired;
            (candidate, Some((against, reference, divergence)))
        } else if let Some(known) = recall(&requests, limits, &ledger)
            .map_err(|error| self.refused(error, &questions, &requests, &ledger))?
        {
            (known, None)
        } else {
            let network = self.network(subject.precision, &requests, &ledger)?;
            let model = LocalModel::new(network, limits, subject.pacing());
            loading = begun.elapsed();
            let mut follower = Follower::new(&questions, progress, self.stop);
            let scored = model.score(&requests, &mut ledger, &mut follower, progress);
            ledger.sync()?;
            (scored.map_err(|error| self.refused(error, &questions, &requests, &ledger))?, None)
        };
        ledger.sync()?;
        let resumed =
            scored.known.checked_sub(reused).expect("what was taken over was known before the work");
        let effort = Effort {
            tokens: scored.tokens,
            requests: RequestRecord { asked: requests.len(), resumed, reused },
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
