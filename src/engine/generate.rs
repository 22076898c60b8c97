//! Token requests → new tokens: prompts through the prefix tree, then one step at a time for many sequences together.
//!
//! Prompts are waves of a [`Plan`], so what they begin with in common is computed once and stored once. Every step after that is
//! one forward pass of a row for each live sequence, and for what may follow (`guess`) where there are few; those that are done
//! leave, and prompts that wait take their place as soon as their blocks fit (continuous batching, Yu et al. 2022, Orca). A row's
//! bits depend on its own path alone, so a sequence is the same by itself, among others, and whatever waited for what.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::plan::{Candidate, Limits, common};
use super::sampling::{Sampler, Sampling};
use super::sequence::KeptSequence;
use super::{EngineError, LocalModel, Plan, PlannedWave, ScoreRequest, TokenCounts};
use crate::base::progress::{self, Progress, Unit};
use crate::model::{BLOCK, CacheUse, Kept, Network, Wave, WaveSegment, blocks_of};

mod guess;
mod live;

use guess::Guesses;
use live::Live;

/// Rows whose logits are held at a time.
const LOGIT_ROWS: usize = 64;
/// Sequences that are written together, at most: products with more rows are no faster by the row.
const SEQUENCES: usize = 64;
/// Rows of a step up to which guesses join it: so few take little longer than weights take to be read.
const ROWS_WITH_GUESSES: usize = 16;
/// Prompts are put in when this part of the places is free, so that they share passes.
const FREE_PART: usize = 8;

/// "What comes after `prompt`?", in tokens.
#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// What is there, at least one token.
    pub prompt: Arc<[u32]>,
    /// New tokens, at most.
    pub most: usize,
    /// Ids that end the text and do not belong to it.
    pub stop: Arc<[u32]>,
    /// How tokens are drawn; `None` takes the most probable one, the first among equals.
    pub sampling: Option<Sampling>,
    /// Which of the generators of that sampling is its own.
    pub stream: u64,
}

/// A token that was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Natural logarithm of its probability, before any rule of sampling.
    pub logprob: f64,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By this id.
    Stop(u32),
    /// It is as long as it may be.
    Length,
    /// Whoever listens wanted no more.
    Broken,
}

/// Who is told what is written.
pub trait Listen: Send {
    /// The next token of a request; says whether it goes on.
    fn token(&mut self, request: usize, token: Token) -> ControlFlow<()>;

    /// A request's text is complete.
    ///
    /// # Errors
    /// What cannot be kept; the work ends with it.
    fn ended(&mut self, request: usize, end: End) -> Result<(), EngineError>;

    /// Whether the work is to end before all texts are there; asked after every layer.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl LocalModel {
    /// Writes on from all prompts, with at most `blocks` blocks of keys and values; see [`check_room`].
    ///
    /// # Errors
    /// Requests that cannot be answered, weights that cannot be read, what `listen` cannot keep, and work that it stops.
    pub fn generate(
        &self,
        requests: &[GenerateRequest],
        blocks: usize,
        listen: &mut dyn Listen,
        progress: &dyn Progress,
    ) -> Result<TokenCounts, EngineError> {
        self.write_after(&mut KeptSequence::new(&self.model), requests, blocks, listen, progress)
    }

    /// Writes on from one prompt. What it has in common with the sequence that `kept` has is not computed again, and `kept` then
    /// has the prompt and what was written after it, as far as it was computed, also where the work was stopped. The bits are
    /// those of [`generate`](Self::generate).
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn go_on(
        &self,
        kept: &mut KeptSequence,
        request: &GenerateRequest,
        blocks: usize,
        listen: &mut dyn Listen,
    ) -> Result<TokenCounts, EngineError> {
        kept.keep_for(&request.prompt, self.limits);
        self.write_after(kept, std::slice::from_ref(request), blocks, listen, &progress::Silent)
    }

    fn write_after(
        &self,
        kept: &mut KeptSequence,
        requests: &[GenerateRequest],
        blocks: usize,
        listen: &mut dyn Listen,
        progress: &dyn Progress,
    ) -> Result<TokenCounts, EngineError> {
        let limits = self.limits;
        check_room(requests, limits, blocks)?;
        // The last token of a prompt says what comes next: as if the first id were scored after it.
        let ask = |request: &GenerateRequest| ScoreRequest {
            context: Arc::clone(&request.prompt),
            continuation: vec![0],
        };
        let asked: Vec<ScoreRequest> = requests.iter().map(ask).collect();
        let mut plan = Plan::new(&asked, limits)?.keeping(usize::MAX).after(&kept.tokens);
        let mut batch = Batch::new(&self.model, requests, limits, blocks, kept);
        let done = progress::during(progress, "writing", Some(requests.len() as u64), Unit::Items, || {
            let mut told = 0;
            while !plan.is_done() || !batch.live.is_empty() {
                if listen.is_stopped() {
                    return Err(EngineError::Stopped);
                }
                let wave = if batch.has_places() { batch.admit(&mut plan) } else { None };
                match wave {
                    Some(wave) => batch.begin(&wave, listen)?,
                    None => batch.step(listen)?,
                }
                progress.advance(batch.ended - told);
                told = batch.ended;
            }
            Ok(())
        });
        batch.leave();
        done?;
        let TokenCounts { asked, distinct, computed } = plan.tokens;
        let written = batch.written;
        Ok(TokenCounts {
            asked: asked + written,
            distinct: distinct + written,
            computed: computed + batch.stepped,
        })
    }
}

/// Whether requests can be answered in so many `blocks` of keys and values, which is known before weights are read.
///
/// # Errors
/// Requests that do not fit the model's positions or those blocks.
pub fn check_room(requests: &[GenerateRequest], limits: Limits, blocks: usize) -> Result<(), EngineError> {
    let needed = blocks_needed(requests, limits)?;
    if needed > blocks {
        return Err(EngineError::CacheTooSmall { needed, available: blocks });
    }
    Ok(())
}

/// The least number of blocks with which these requests can be answered: those of the longest sequence, or of all that go on
/// from one prompt, beside a prompt that others may go on from.
///
/// # Errors
/// Requests that do not fit the model's positions.
fn blocks_needed(requests: &[GenerateRequest], limits: Limits) -> Result<usize, EngineError> {
    let longest = requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0);
    // Copies of a prompt are put in together.
    let mut needed: HashMap<&[u32], usize> = HashMap::new();
    for (index, GenerateRequest { prompt, most, .. }) in requests.iter().enumerate() {
        let length = prompt.len().checked_add(*most).filter(|&length| length <= limits.max_length);
        let Some(length) = length.filter(|_| *most > 0) else {
            let (prompt, most, max_length) = (prompt.len(), *most, limits.max_length);
            return Err(EngineError::NoPlaceToWrite { request: index, prompt, most, max_length });
        };
        *needed.entry(prompt).or_default() += blocks_of(length);
    }
    Ok(needed.into_values().max().unwrap_or(0) + blocks_of(longest))
}

/// How many sequences are written together at least, and the blocks that they take at most, where so many `blocks` may be taken.
pub fn together(requests: &[GenerateRequest], blocks: usize) -> (usize, usize) {
    let longest = requests.iter().map(|request| blocks_of(request.prompt.len() + request.most)).max();
    let longest = longest.unwrap_or(0).max(1);
    let sequences = (blocks / longest).min(SEQUENCES).min(requests.len());
    (sequences, sequences * longest)
}

/// The sequences under way, and the keys and values of all of them.
struct Batch<'a> {
    model: &'a Network,
    requests: &'a [GenerateRequest],
    limits: Limits,
    /// Blocks, at most.
    blocks: usize,
    live: Vec<Live>,
    /// The last prompt of the last wave, with which the next one begins, and the cache of all sequences.
    held: &'a mut KeptSequence,
    ended: u64,
    written: u64,
    /// Rows of steps.
    stepped: u64,
}

impl<'a> Batch<'a> {
    fn new(
        model: &'a Network,
        requests: &'a [GenerateRequest],
        limits: Limits,
        blocks: usize,
        held: &'a mut KeptSequence,
    ) -> Self {
        Self { model, requests, limits, blocks, live: Vec::new(), held, ended: 0, written: 0, stepped: 0 }
    }

    /// Ends the work on what is live.
    fn leave(&mut self) {
        for live in std::mem::take(&mut self.live) {
            self.done(live);
        }
    }

    /// A sequence has come to its end. If it was the only one, it is held.
    fn done(&mut self, live: Live) {
        if self.requests.len() > 1 || live.seen == 0 {
            return self.held.cache.release(live.table);
        }
        let prompt = self.requests[live.request].prompt.len();
        self.held.put_written(live.table, &live.tokens[..live.seen], prompt, self.limits);
    }

    fn has_places(&self) -> bool {
        self.live.is_empty() || self.live.len() + SEQUENCES / FREE_PART <= SEQUENCES
    }

    /// Blocks that a request takes once it is as long as it may be.
    fn blocks_at_most(&self, request: usize) -> usize {
        let GenerateRequest { prompt, most, .. } = &self.requests[request];
        blocks_of(prompt.len() + most)
    }

    /// The next prompts that fit beside what is live, however long all of it becomes.
    fn admit(&self, plan: &mut Plan<'_>) -> Option<PlannedWave> {
        let growth = |live: &Live| self.blocks_at_most(live.request) - live.table.blocks();
        let mut taken = self.held.cache.taken() + self.live.iter().map(growth).sum::<usize>();
        let mut sequences = self.live.len();
        plan.next_wave_of(self.limits.wave_tokens, &mut |Candidate { shared, requests }| {
            let own = |&request: &usize| self.blocks_at_most(request) - shared / BLOCK;
            let more: usize = requests.iter().map(own).sum();
            let fits = taken + more <= self.blocks && sequences + requests.len() <= SEQUENCES;
            // What is alone fits, as was asked at the beginning; copies of one prompt may be more than there are places.
            let first = sequences == 0;
            (taken, sequences) = (taken + more, sequences + requests.len());
            fits || first
        })
    }

    /// Computes prompts and writes their first tokens.
    fn begin(&mut self, planned: &PlannedWave, listen: &mut dyn Listen) -> Result<(), EngineError> {
        let wave = &planned.wave;
        let given = (0..wave.given).map(|position| self.held.table.slot(position)).collect();
        let mut keep = Vec::new();
        let first = self.live.len();
        for target in &planned.targets {
            let request = &self.requests[target.request];
            let (before, tokens) = match self.live[first..].last() {
                Some(live) => (&live.table, &self.requests[live.request].prompt),
                None => (&self.held.table, &self.held.tokens),
            };
            let shared = match self.limits.group(tokens.len()) == self.limits.group(request.prompt.len()) {
                true => common(tokens, &request.prompt),
                false => 0,
            };
            let table = self.held.cache.branch(before, shared, request.prompt.len());
            let ends = wave.segments.partition_point(|segment| segment.rows.start <= target.row) - 1;
            let rows: Vec<usize> = wave.path(ends).into_iter().flatten().collect();
            assert_eq!(rows.len(), table.len(), "a row for every token of a prompt");
            keep.extend((table.first_own()..table.len()).map(|at| (rows[at], table.slot(at))));
            self.live.push(Live {
                request: target.request,
                table,
                tokens: request.prompt.to_vec(),
                seen: 0,
                sampler: request.sampling.as_ref().map(|sampling| Sampler::new(sampling, request.stream)),
                guesses: Guesses::default(),
                guess: Vec::new(),
            });
        }
        keep.sort_by_key(|&(_, slot)| slot);
        let rows = planned.scored_rows();
        let places = CacheUse { given, keep, tables: Vec::new() };
        let kept = Kept::Rows(&rows);
        let hidden =
            self.model.forward_with(&mut self.held.cache, &places, wave, kept, &mut ask(&mut *listen))?;
        for live in &mut self.live[first..] {
            live.seen = live.tokens.len();
        }
        let last = self.live.last().expect("a wave has a prompt");
        let table = self.held.cache.alias(&last.table);
        self.held.put(table, Arc::clone(&self.requests[last.request].prompt));
        let row_of = |target: &super::Target| rows.binary_search(&target.row).expect("a scored row");
        let of: Vec<_> = planned.targets.iter().map(row_of).map(|row| row..row + 1).collect();
        self.write(first, &hidden, &of, listen)
    }

    /// One more token for every live sequence, and those after it that were guessed.
    fn step(&mut self, listen: &mut dyn Listen) -> Result<(), EngineError> {
        let mut wave = Wave::default();
        let mut keep = Vec::with_capacity(self.live.len());
        let mut of = Vec::with_capacity(self.live.len());
        let mut free = ROWS_WITH_GUESSES.saturating_sub(self.live.len());
        for live in &mut self.live {
            live.guess(&self.requests[live.request], self.limits, free);
            free -= live.guess.len();
            let (start, first) = (live.seen, wave.tokens.len());
            wave.tokens.push(live.tokens[start]);
            wave.tokens.extend(&live.guess);
            let rows = first..wave.tokens.len();
            let end = start + rows.len();
            wave.segments.push(WaveSegment { rows: rows.clone(), start, parent: None, rope_length: end });
            self.held.cache.extend(&mut live.table, end);
            keep.extend(rows.clone().zip((start..end).map(|position| live.table.slot(position))));
            of.push(rows);
        }
        keep.sort_by_key(|&(_, slot)| slot);
        let tables = self.live.iter().map(|live| &live.table).collect();
        let places = CacheUse { given: Vec::new(), keep, tables };
        let kept = Kept::All;
        let hidden =
            self.model.forward_with(&mut self.held.cache, &places, &wave, kept, &mut ask(&mut *listen))?;
        self.live.iter_mut().for_each(|live| live.seen += 1);
        self.stepped += wave.tokens.len() as u64;
        self.write(0, &hidden, &of, listen)
    }

    /// Writes the next tokens of the live sequences from `first` on, whose hidden states are the rows `of` of `hidden`, and lets
    /// those leave that are done.
    fn write(
        &mut self,
        first: usize,
        hidden: &Array2<f32>,
        of: &[Range<usize>],
        listen: &mut dyn Listen,
    ) -> Result<(), EngineError> {
        let (model, requests) = (self.model, self.requests);
        let mut picked = Vec::with_capacity(of.len());
        for (chunk, of) in self.live[first..].chunks_mut(LOGIT_ROWS).zip(of.chunks(LOGIT_ROWS)) {
            let rows: Vec<usize> = of.iter().cloned().flatten().collect();
            let logits = model.logits(hidden.select(Axis(0), &rows).view());
            let mut rest = logits.view();
            let mut work = Vec::with_capacity(of.len());
            for (live, of) in chunk.iter_mut().zip(of) {
                let (own, below) = rest.split_at(Axis(0), of.len());
                rest = below;
                work.push((live, own));
            }
            picked.par_extend(work.into_par_iter().map(|(live, logits)| {
                let stop = &requests[live.request].stop;
                live.pick(logits, stop)
            }));
        }
        let mut goes_on = vec![true; self.live.len()];
        for (at, picked) in (first..).zip(picked) {
            if let Some(end) = self.tell(at, &picked, listen)? {
                listen.ended(self.live[at].request, end)?;
                self.ended += 1;
                goes_on[at] = false;
            }
        }
        let mut goes_on = goes_on.into_iter();
        let done: Vec<Live> =
            self.live.extract_if(.., |_| !goes_on.next().expect("a word for each")).collect();
        done.into_iter().for_each(|live| self.done(live));
        Ok(())
    }

    /// Tells what a sequence goes on with, and forgets what was guessed wrongly. Says why it ends, if it does.
    fn tell(
        &mut self,
        at: usize,
        picked: &[Option<Token>],
        listen: &mut dyn Listen,
    ) -> Result<Option<End>, EngineError> {
        let live = &mut self.live[at];
        let GenerateRequest { prompt, most, stop, .. } = &self.requests[live.request];
        let stops = |token: &Token| stop.contains(&token.id);
        let before = live.tokens.len() - picked.iter().flatten().filter(|&token| !stops(token)).count();
        let mut end = None;
        let mut told = 0;
        for token in picked {
            let token = token.ok_or(EngineError::NotFinite { request: live.request })?;
            told += 1;
            if stops(&token) {
                end = Some(End::Stop(token.id));
                live.tokens.truncate(before + told - 1);
                break;
            }
            self.written += 1;
            if listen.token(live.request, token).is_break() {
                end = Some(End::Broken);
                live.tokens.truncate(before + told);
                break;
            }
            end = (before + told == prompt.len() + most).then_some(End::Length);
        }
        // The first of them comes after a token that was known, each other one after a guess that was right.
        live.seen += told - 1;
        live.table.shorten(live.seen);
        if !live.guess.is_empty() {
            live.guesses.learn(told - 1);
            live.guess.clear();
        }
        Ok(end)
    }
}

/// Asks whether a pass goes on after a layer.
fn ask(listen: &mut dyn Listen) -> impl FnMut(Duration) -> ControlFlow<()> + Send {
    move |_| if listen.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

#[cfg(test)]
mod tests;
