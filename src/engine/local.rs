//! A model on this machine, wave by wave.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::pace::{Pacing, Took};
use super::plan::Limits;
use super::prefix::KeptPrefix;
use super::score::score_targets;
use super::watch::begin;
use super::waves::Waves;
use super::{EngineError, Plan, PlannedWave, Score, ScoreJournal, ScoreRequest, Scored, Watch};
use crate::base::progress::{self, Progress, Unit};
use crate::model::{Kept, Network};

/// A [`Network`] and how it is run.
pub struct LocalModel {
    pub(super) model: Network,
    pub(super) limits: Limits,
    pacing: Pacing,
}

impl LocalModel {
    /// A model that works in waves of these limits.
    pub fn new(model: Network, limits: Limits, pacing: Pacing) -> Self {
        Self { model, limits, pacing }
    }

    /// Runs one wave and folds the logits of its scored rows into `scores`.
    fn run(
        &self,
        planned: &PlannedWave,
        prefix: &mut KeptPrefix,
        scores: &mut [Score],
        watch: &mut dyn Watch,
        progress: &dyn Progress,
    ) -> Result<Took, EngineError> {
        let begun = Instant::now();
        begin(watch, planned)?;
        let rows = planned.scored_rows();
        let mut steps = Steps::new(planned.fresh, self.model.layers.len(), watch, progress);
        let kept = Kept::Rows(&rows);
        let hidden = prefix.forward(&self.model, &planned.wave, kept, &mut |time| steps.layer(time))?;
        let waited = steps.waited;
        score_targets(&self.model, hidden.view(), &planned.targets, scores)?;
        Ok(took(planned, begun, waited))
    }

    /// Answers all requests, in their order: from `journal` what it knows, else computed and recorded there as they come.
    ///
    /// The bits are those of a journal that knew nothing, however much it knows now: a run that was killed and goes on ends in
    /// the same numbers.
    ///
    /// # Errors
    /// Requests that cannot be scored, weights that cannot be read, answers that cannot be kept, and work that `watch`
    /// stops.
    pub fn score(
        &self,
        requests: &[ScoreRequest],
        journal: &mut dyn ScoreJournal,
        watch: &mut dyn Watch,
        progress: &dyn Progress,
    ) -> Result<Scored, EngineError> {
        let known: Vec<Option<Score>> = requests.iter().map(|request| journal.known(request)).collect();
        for (request, score) in known.iter().enumerate() {
            score.iter().for_each(|score| watch.answered(request, *score));
        }
        let plan = Plan::new(requests, self.limits)?;
        let mut waves = Waves::new(plan, self.pacing, |request| known[request].is_some());
        let mut prefix = KeptPrefix::new(&self.model);
        let mut scores = vec![Score { logprob: 0.0, is_greedy: true }; requests.len()];
        progress::during(progress, "scoring", Some(waves.left()), Unit::Tokens, || {
            while let Some(wave) = waves.next() {
                waves.took(self.run(&wave, &mut prefix, &mut scores, watch, progress)?);
                let new = wave.requests().into_iter().filter(|&request| known[request].is_none());
                let answers: Vec<_> = new.map(|request| (&requests[request], scores[request])).collect();
                journal.record(&answers)?;
                wave.requests().into_iter().for_each(|request| watch.answered(request, scores[request]));
            }
            Ok::<(), EngineError>(())
        })?;
        for (score, known) in scores.iter_mut().zip(&known) {
            *score = known.unwrap_or(*score);
        }
        let known = known.iter().flatten().count();
        Ok(Scored { scores, known, tokens: waves.tokens() })
    }
}

/// What a wave took that began then.
pub(super) fn took(planned: &PlannedWave, begun: Instant, waited: Duration) -> Took {
    Took { tokens: planned.computed, seconds: begun.elapsed().as_secs_f64(), waited: waited.as_secs_f64() }
}

/// The layers of a wave as steps of progress.
pub(super) struct Steps<'w> {
    /// Distinct tokens that are done with the last layer.
    tokens: u64,
    layers: u64,
    done: u64,
    watch: &'w dyn Watch,
    progress: &'w dyn Progress,
    /// Time that was spent on waiting for layers.
    pub waited: Duration,
}

impl<'w> Steps<'w> {
    pub fn new(tokens: u64, layers: usize, watch: &'w dyn Watch, progress: &'w dyn Progress) -> Self {
        Self { tokens, layers: layers as u64, done: 0, watch, progress, waited: Duration::ZERO }
    }

    /// One more layer is done.
    pub fn layer(&mut self, waited: Duration) -> ControlFlow<()> {
        let share = |done: u64| self.tokens * done / self.layers;
        self.progress.advance(share(self.done + 1) - share(self.done));
        self.done += 1;
        self.waited += waited;
        if self.watch.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
