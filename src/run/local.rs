//! A model on this machine as a respondent: texts to tokens, what the ledger knows, the rest by the weights.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asking::{self, Counted, InTokens};
use super::follow::Follower;
use super::keeper::Keeper;
use super::respondent::{About, Against, Answered, Respondent};
use super::subject::Subject;
use super::variants::Variant;
use super::write::Texts;
use super::{RunError, files, harness};
use crate::config::ModelConfig;
use crate::engine::{
    EngineError, Journals, LocalModel, Paired, Placement, ScoreRequest, TokenCounts, recall, score_twice,
};
use crate::evaluate::{Questions, WrittenQuestions};
use crate::hub;
use crate::kernels::Precision;
use crate::model::{KvCache, Network};
use crate::records::{Identity, Ledger, ModelRecord, RequestRecord};
use crate::tasks::PreparedTask;
use crate::tasks::protocol::AddSpecialTokens;
use crate::tokenizer::Tokenizer;

/// A model on this machine, and the run that it answers in.
pub struct Local<'a> {
    subject: &'a Subject,
    keeper: Keeper<'a>,
    loaded: Loaded,
}

impl<'a> Local<'a> {
    /// The model's weights are loaded only if the ledger lacks an answer.
    pub fn new(subject: &'a Subject, keeper: Keeper<'a>) -> Self {
        Self { subject, keeper, loaded: Loaded::default() }
    }
}

impl Subject {
    /// Blocks of keys and values for which there is memory beside the model and its waves.
    pub(super) fn cache_blocks(&self) -> usize {
        cache_blocks(self.memory_budget, &self.placement, &self.checkpoint.config, self.precision)
    }
}

/// Blocks of keys and values for which there is memory beside a model that was placed, and its waves.
pub fn cache_blocks(
    memory_budget: u64,
    placement: &Placement,
    config: &ModelConfig,
    precision: Precision,
) -> usize {
    let room = memory_budget.checked_sub(placement.total).expect("a placement fits its budget");
    usize::try_from(room / KvCache::block_bytes(&config.shape(), precision)).unwrap_or(usize::MAX)
}

/// Digests of positions are short, and none of them is ever cut.
const POSITION_TOKENS: usize = 8;

impl Local<'_> {
    /// The model's weights for products of a precision; `kept` is said if somebody asks for the end meanwhile.
    fn network(&self, precision: Precision, kept: &dyn Fn() -> RunError) -> Result<Network, RunError> {
        let network = self.subject.network(precision, self.keeper.progress, self.keeper.stop);
        network.map_err(|error| if self.keeper.stop.is_requested() { kept() } else { error })
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
            EngineError::Stopped => self.keeper.stopped(requests, ledger),
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
        let progress = self.keeper.progress;
        let identity = subject.identity()?;
        // Two ledgers are never one file.
        let other =
            if against == subject.precision { format!("{against} again") } else { against.to_string() };
        let other = Identity { precision: other, ..identity.clone() };
        let both = format!("{} against {against}", identity.precision);
        let mut reference = self.keeper.open(Ledger::open, other, subject.limits.max_length)?;
        let both = Identity { precision: both, ..identity };
        let mut positions = self.keeper.open(Ledger::of_divergences, both, POSITION_TOKENS)?;
        let kept = || self.keeper.stopped(requests, ledger);
        let candidate = self.network(subject.precision, &kept)?;
        let other = self.network(against, &kept)?;
        let mut journals =
            Journals { candidate: &mut *ledger, reference: &mut reference, positions: &mut positions };
        let mut follower = Follower::new(questions, progress, self.keeper.stop);
        let how = (subject.limits, subject.pacing());
        let paired = score_twice([&candidate, &other], how, requests, &mut journals, &mut follower, progress);
        [&mut reference, &mut positions, &mut *ledger].into_iter().try_for_each(Ledger::sync)?;
        paired.map_err(|error| self.refused(error, questions, requests, ledger))
    }
}

/// A model's weights, loaded when something is to be computed, and for how long that took.
#[derive(Default)]
struct Loaded {
    model: Option<LocalModel>,
    took: Duration,
}

impl Local<'_> {
    /// The model for what has to be computed.
    fn model(&mut self, kept: &dyn Fn(&Keeper<'_>) -> RunError) -> Result<&LocalModel, RunError> {
        if self.loaded.model.is_none() {
            let begun = Instant::now();
            let subject = self.subject;
            let network = self.network(subject.precision, &|| kept(&self.keeper))?;
            self.loaded.model = Some(LocalModel::new(network, subject.limits, subject.pacing()));
            self.loaded.took = begun.elapsed();
        }
        Ok(self.loaded.model.as_ref().expect("it was just loaded"))
    }
}

impl InTokens for Local<'_> {
    fn name(&self) -> &str {
        &self.subject.name
    }

    fn tokenizer(&self) -> Result<&Tokenizer, RunError> {
        self.subject.tokenizer()
    }

    fn max_length(&self) -> usize {
        self.subject.limits.max_length
    }

    fn loading(&self) -> Duration {
        self.loaded.took
    }

    fn score(&mut self, questions: Questions) -> Result<Counted, RunError> {
        let tasks = questions.tasks.len();
        if tasks == 0 {
            return Ok(Counted::default());
        }
        let subject = self.subject;
        let progress = self.keeper.progress;
        let requests = questions.requests();
        tracing::info!("{}: {} requests of {tasks} tasks", subject.name, requests.len());
        let own = (subject.identity()?, subject.limits.max_length);
        let (mut ledger, reused) = self.keeper.ledger(own, |ledger, run| ledger.reuse(run, &requests))?;
        let (scored, other) = if let Some(against) = self.keeper.options.computing.against {
            let paired = self.answer_twice(against, &questions, &requests, &mut ledger)?;
            let Paired { candidate, reference, divergence } = paired;
            (candidate, Some((against, reference, divergence)))
        } else if let Some(known) = recall(&requests, subject.limits, &ledger)
            .map_err(|error| self.refused(error, &questions, &requests, &ledger))?
        {
            (known, None)
        } else {
            let stop = self.keeper.stop;
            let model = self.model(&|keeper| keeper.stopped(&requests, &ledger))?;
            let mut follower = Follower::new(&questions, progress, stop);
            let scored = model.score(&requests, &mut ledger, &mut follower, progress);
            ledger.sync()?;
            (scored.map_err(|error| self.refused(error, &questions, &requests, &ledger))?, None)
        };
        ledger.sync()?;
        let against = other.map(|(against, reference, divergence)| Against {
            model: subject.name.clone(),
            precisions: [subject.precision, against],
            answers: questions.answers(&reference),
            divergence,
        });
        let resumed =
            scored.known.checked_sub(reused).expect("what was taken over was known before the work");
        let requests = RequestRecord { asked: requests.len(), resumed, reused };
        Ok(Counted { tasks: questions.answered(&scored.scores), tokens: scored.tokens, requests, against })
    }

    fn write(&mut self, questions: WrittenQuestions) -> Result<Counted, RunError> {
        let tasks = questions.tasks.len();
        if tasks == 0 {
            return Ok(Counted::default());
        }
        let subject = self.subject;
        let tokenizer = subject.tokenizer()?;
        let texts = Texts::new(&questions, tokenizer);
        let asked = texts.records().len();
        tracing::info!("{}: {asked} answers to {tasks} tasks are to be written", subject.name);
        let own = (subject.identity()?, subject.limits.max_length);
        let (mut ledger, reused) =
            self.keeper.ledger(own, |ledger, run| ledger.reuse_texts(run, texts.records()))?;
        let known = texts.count_known(&ledger);
        let missing = texts.missing(&ledger);
        let mut tokens = TokenCounts { asked: texts.prompt_tokens(), ..TokenCounts::default() };
        if !missing.is_empty() {
            let kept = |keeper: &Keeper<'_>, ledger: &Ledger| {
                keeper.stopped_after(texts.count_known(ledger), asked, ledger)
            };
            let blocks = subject.cache_blocks();
            let requests = texts.requests(&missing, blocks, subject.limits);
            let requests = requests.map_err(|error| RunError::from(questions.refused(error)))?;
            let how = (self.keeper.progress, self.keeper.stop);
            let model = self.model(&|keeper| kept(keeper, &ledger))?;
            let missing = (&missing[..], &requests[..]);
            let counts = texts.write(missing, (model, blocks), tokenizer, &mut ledger, how);
            ledger.sync()?;
            tokens = counts.map_err(|error| match error {
                EngineError::Stopped => kept(&self.keeper, &ledger),
                error => questions.refused(error).into(),
            })?;
        }
        ledger.sync()?;
        let requests = RequestRecord {
            asked,
            resumed: known.checked_sub(reused).expect("what was taken over is known"),
            reused,
        };
        let written = texts.known(&ledger);
        drop(texts);
        Ok(Counted { tasks: questions.answered(&written), tokens, requests, against: None })
    }
}

impl Respondent for Local<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        self.keeper.progress.turn(&self.keeper.turn);
        self.subject.explain();
        let (options, stop) = (self.keeper.options, self.keeper.stop);
        asking::answer(self, tasks, options, stop)
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
            revision: hub::revision_of(&checkpoint.path),
            weights_sha256: subject.weights_sha256.clone(),
            built: subject.lock.as_ref().map(files::built_record),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            parameters: checkpoint.config.parameters(),
            max_length: subject.limits.max_length,
            adds_bos: tokenizer.adds_bos() && protocol.add_special_tokens == AddSpecialTokens::Tokenizer,
            protocol: protocol.name.clone(),
            protocol_sha256: protocol.file_sha256.clone(),
            chat: variant.chat.as_ref().map(files::chat_record),
            rotation: variant.rotation,
            precision: subject.precision.name().to_owned(),
            matmul: subject.name_of_bits(),
            server: None,
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
