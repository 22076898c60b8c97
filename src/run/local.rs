//! A model on this machine as a respondent: texts to tokens, what the ledger knows, the rest by the weights.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{During, Stopped};
use super::folder::RunFolder;
use super::follow::Follower;
use super::respondent::{About, Against, Answered, Effort, Respondent};
use super::subject::Subject;
use super::variants::Variant;
use super::write::Texts;
use super::{Options, RunError, files, harness};
use crate::base::progress::{Progress, Turn};
use crate::base::stop::Stop;
use crate::config::ModelConfig;
use crate::engine::{
    EngineError, Journals, LocalModel, Paired, Placement, ScoreJournal, ScoreRequest, TokenCounts, recall,
    score_twice,
};
use crate::evaluate::{AnsweredTask, EvaluateError, Questions, WrittenQuestions};
use crate::hub;
use crate::kernels::Precision;
use crate::model::{KvCache, Network};
use crate::records::{Identity, Ledger, LedgerError, ModelRecord, RequestRecord};
use crate::tasks::PreparedTask;
use crate::tasks::protocol::AddSpecialTokens;
use crate::tokenizer::Tokenizer;

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
    /// Puts tasks into the model's tokens: those whose continuations are scored, and those whose answers are written.
    ///
    /// # Errors
    /// Texts that cannot be encoded, documents that do not fit where that is not to happen, answers that leave no place for a
    /// prompt, and answers that are to be compared with those of another arithmetic although they are written.
    pub fn all_questions(
        &self,
        tasks: &[Arc<PreparedTask>],
        options: &Options,
    ) -> Result<(Questions, WrittenQuestions), RunError> {
        all_questions(self.tokenizer()?, tasks, self.limits.max_length, options)
            .during(|| format!("model {}", self.name))
    }

    /// Blocks of keys and values for which there is memory beside the model and its waves.
    pub(super) fn cache_blocks(&self) -> usize {
        cache_blocks(self.memory_budget, &self.placement, &self.checkpoint.config, self.precision)
    }
}

/// Puts tasks into the tokens of any model of this tokenizer and so many positions; see [`Subject::all_questions`].
pub fn all_questions(
    tokenizer: &Tokenizer,
    tasks: &[Arc<PreparedTask>],
    max_length: usize,
    options: &Options,
) -> Result<(Questions, WrittenQuestions), EvaluateError> {
    let is_written = |task: &Arc<PreparedTask>| task.generation.is_some();
    let (to_write, to_score): (Vec<_>, Vec<_>) = tasks.iter().cloned().partition(is_written);
    if let (Some(against), Some(task)) = (options.computing.against, to_write.first()) {
        return Err(EvaluateError::ComparesTexts {
            task: task.task.name.clone(),
            against: against.to_string(),
        });
    }
    let scored = Questions::new(tokenizer, &to_score, max_length, options.overlong)?;
    Ok((scored, WrittenQuestions::new(tokenizer, &to_write, max_length, options.overlong)?))
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
    /// The model's ledger, with what `reuse` takes over from each of the runs of `--reuse`, and how many answers that were.
    fn ledger(
        &mut self,
        mut reuse: impl FnMut(&mut Ledger, &Path) -> Result<usize, LedgerError>,
    ) -> Result<(Ledger, usize), RunError> {
        let Self { subject, options, .. } = *self;
        let mut ledger = self.open(Ledger::open, subject.identity()?, subject.limits.max_length)?;
        let mut reused = 0;
        if let (Some(against), [_, ..]) = (options.computing.against, &options.places.reuse[..]) {
            tracing::warn!(
                "--reuse: nothing is taken over, since --against {against} needs both answers at every position"
            );
            return Ok((ledger, reused));
        }
        for run in &options.places.reuse {
            reused += reuse(&mut ledger, &self.place.place_of(run))?;
        }
        self.warn(&mut ledger);
        Ok((ledger, reused))
    }

    /// The ledger of answers with this identity.
    fn open(
        &mut self,
        open: impl Fn(&Path, &str, Identity, usize) -> Result<Ledger, LedgerError>,
        identity: Identity,
        max_length: usize,
    ) -> Result<Ledger, RunError> {
        self.place.begin()?;
        self.stop.keep_in(&self.place.path);
        let mut ledger = open(&self.place.path, &self.subject.name, identity, max_length)?;
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
        let kept = requests.iter().filter(|request| ledger.known(request).is_some()).count();
        self.stopped_after(kept, requests.len(), ledger)
    }

    fn stopped_after(&self, kept: usize, asked: usize, ledger: &Ledger) -> RunError {
        RunError::Stopped(Box::new(Stopped {
            turn: self.turn.clone(),
            kept,
            asked,
            ledger: ledger.path().to_owned(),
            folder: self.place.path.clone(),
        }))
    }

    /// The model's weights for products of a precision; `kept` is said if somebody asks for the end meanwhile.
    fn network(&self, precision: Precision, kept: &dyn Fn() -> RunError) -> Result<Network, RunError> {
        let network = self.subject.network(precision, self.progress, self.stop);
        network.map_err(|error| if self.stop.is_requested() { kept() } else { error })
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
        let mut reference = self.open(Ledger::open, other, subject.limits.max_length)?;
        let both = Identity { precision: both, ..identity };
        let mut positions = self.open(Ledger::of_divergences, both, POSITION_TOKENS)?;
        let kept = || self.stopped(requests, ledger);
        let candidate = self.network(subject.precision, &kept)?;
        let other = self.network(against, &kept)?;
        let mut journals =
            Journals { candidate: &mut *ledger, reference: &mut reference, positions: &mut positions };
        let mut follower = Follower::new(questions, progress, self.stop);
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

/// Answers to what was asked, and what they took.
#[derive(Default)]
struct Counted {
    tasks: Vec<AnsweredTask>,
    tokens: TokenCounts,
    requests: RequestRecord,
    against: Option<Against>,
}

impl Local<'_> {
    /// The model for what has to be computed.
    fn model<'l>(
        &self,
        loaded: &'l mut Loaded,
        kept: &dyn Fn() -> RunError,
    ) -> Result<&'l LocalModel, RunError> {
        if loaded.model.is_none() {
            let begun = Instant::now();
            let subject = self.subject;
            let network = self.network(subject.precision, kept)?;
            loaded.model = Some(LocalModel::new(network, subject.limits, subject.pacing()));
            loaded.took = begun.elapsed();
        }
        Ok(loaded.model.as_ref().expect("it was just loaded"))
    }

    /// Scores continuations.
    fn score(&mut self, questions: Questions, loaded: &mut Loaded) -> Result<Counted, RunError> {
        let tasks = questions.tasks.len();
        if tasks == 0 {
            return Ok(Counted::default());
        }
        let subject = self.subject;
        let progress = self.progress;
        let requests = questions.requests();
        tracing::info!("{}: {} requests of {tasks} tasks", subject.name, requests.len());
        let (mut ledger, reused) = self.ledger(|ledger, run| ledger.reuse(run, &requests))?;
        let (scored, other) = if let Some(against) = self.options.computing.against {
            let paired = self.answer_twice(against, &questions, &requests, &mut ledger)?;
            let Paired { candidate, reference, divergence } = paired;
            (candidate, Some((against, reference, divergence)))
        } else if let Some(known) = recall(&requests, subject.limits, &ledger)
            .map_err(|error| self.refused(error, &questions, &requests, &ledger))?
        {
            (known, None)
        } else {
            let model = self.model(loaded, &|| self.stopped(&requests, &ledger))?;
            let mut follower = Follower::new(&questions, progress, self.stop);
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

    /// Writes answers.
    fn write(&mut self, questions: WrittenQuestions, loaded: &mut Loaded) -> Result<Counted, RunError> {
        let tasks = questions.tasks.len();
        if tasks == 0 {
            return Ok(Counted::default());
        }
        let subject = self.subject;
        let tokenizer = subject.tokenizer()?;
        let texts = Texts::new(&questions, tokenizer);
        let asked = texts.records().len();
        tracing::info!("{}: {asked} answers to {tasks} tasks are to be written", subject.name);
        let (mut ledger, reused) = self.ledger(|ledger, run| ledger.reuse_texts(run, texts.records()))?;
        let known = texts.count_known(&ledger);
        let missing = texts.missing(&ledger);
        let mut tokens = TokenCounts { asked: texts.prompt_tokens(), ..TokenCounts::default() };
        if !missing.is_empty() {
            let kept = |ledger: &Ledger| self.stopped_after(texts.count_known(ledger), asked, ledger);
            let refused = |error, ledger: &Ledger| match error {
                EngineError::Stopped => kept(ledger),
                error => questions.refused(error).into(),
            };
            let blocks = subject.cache_blocks();
            let requests = texts.requests(&missing, blocks, subject.limits);
            let requests = requests.map_err(|error| refused(error, &ledger))?;
            let model = self.model(loaded, &|| kept(&ledger))?;
            let missing = (&missing[..], &requests[..]);
            let how = (self.progress, self.stop);
            let counts = texts.write(missing, (model, blocks), tokenizer, &mut ledger, how);
            ledger.sync()?;
            tokens = counts.map_err(|error| refused(error, &ledger))?;
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

impl Local<'_> {
    /// Goes on with conversations, turn by turn: all that can be asked after the answers until now is written together.
    fn converse(&mut self, mut written: Counted, loaded: &mut Loaded) -> Result<Counted, RunError> {
        let subject = self.subject;
        let (max_length, overlong) = (subject.limits.max_length, self.options.overlong);
        loop {
            let next = written.tasks.iter().map(AnsweredTask::next_turn).collect::<Result<Vec<_>, _>>()?;
            let (places, asked): (Vec<usize>, Vec<Arc<PreparedTask>>) = next
                .into_iter()
                .enumerate()
                .filter_map(|(place, task)| Some((place, Arc::new(task?))))
                .unzip();
            let Some(first) = asked.first() else { return Ok(written) };
            let turn = first.turn + 1;
            let questions = WrittenQuestions::new(subject.tokenizer()?, &asked, max_length, overlong);
            let questions = questions.during(|| {
                format!(
                    "model {}: turn {turn} of conversations; the answers before it are kept",
                    subject.name
                )
            })?;
            let Counted { tasks, tokens, requests, .. } = self.write(questions, loaded)?;
            written.tokens = written.tokens.and(tokens);
            written.requests = written.requests.and(requests);
            for ((place, asked), answered) in places.into_iter().zip(asked).zip(tasks) {
                written.tasks[place].go_on(&asked, answered);
            }
        }
    }
}

impl Respondent for Local<'_> {
    fn answer(&mut self, tasks: &[Arc<PreparedTask>]) -> Result<Answered, RunError> {
        self.progress.turn(&self.turn);
        self.subject.explain();
        let is_written = |task: &&Arc<PreparedTask>| task.generation.is_some();
        // All questions are tokens before the first one is answered.
        let (to_score, to_write) = self.subject.all_questions(tasks, self.options)?;
        let stop = self.stop;
        let _heeding = stop.heed();
        let begun = Instant::now();
        let mut loaded = Loaded::default();
        let scored = self.score(to_score, &mut loaded)?;
        let written = self.write(to_write, &mut loaded)?;
        let written = self.converse(written, &mut loaded)?;
        let loading = loaded.took;
        let effort = Effort {
            tokens: scored.tokens.and(written.tokens),
            requests: scored.requests.and(written.requests),
            loading,
            scoring: begun.elapsed() - loading,
        };
        let (mut of_scores, mut of_texts) = (scored.tasks.into_iter(), written.tasks.into_iter());
        let own = |task| if is_written(&task) { of_texts.next() } else { of_scores.next() };
        let tasks = tasks.iter().map(own).map(|task| task.expect("every task was answered")).collect();
        Ok(Answered { tasks, effort: Some(effort), against: scored.against })
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
