//! Requests → waves, with every shared prefix once per wave.
//!
//! The requests' inputs are sorted; neighbours then share the longest prefixes there are. Waves are handed out one after
//! the other: each takes inputs in that order until its distinct tokens reach what it may have, and becomes a forest of
//! segments. A pure function of the requests and of these sizes; how large a wave may be decides a [`Pace`](super::Pace).

use std::collections::{BTreeSet, HashMap};

use super::{EngineError, ScoreRequest, TokenCounts};
use crate::config::ModelConfig;
use crate::model::Wave;

/// A wave is at least so many times as large as the prefix that it computes once more, so that little sharing is lost.
const SHARING: usize = 8;

/// One scored token: the logits of `row` say how likely `token` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Row of the wave whose output predicts the token.
    pub row: usize,
    /// The token's id.
    pub token: u32,
    /// The request it belongs to.
    pub request: usize,
}

/// One forward pass and what is read from it.
#[derive(Debug, Clone)]
pub struct PlannedWave {
    /// Its distinct tokens and how they branch.
    pub wave: Wave,
    /// What is scored, sorted by row; targets of one request keep the order of its tokens.
    pub targets: Vec<Target>,
    /// How many of the tokens no earlier wave had.
    pub fresh: u64,
    /// How many of the tokens are computed: all that are not given.
    pub computed: usize,
}

impl PlannedWave {
    /// The requests that are answered here, each once. All tokens of a request are scored in one wave.
    pub fn requests(&self) -> BTreeSet<usize> {
        self.targets.iter().map(|target| target.request).collect()
    }

    /// The rows whose logits are read, each once, in ascending order.
    pub fn scored_rows(&self) -> Vec<usize> {
        self.targets.chunk_by(|a, b| a.row == b.row).map(|targets| targets[0].row).collect()
    }
}

/// What is to be computed, and how far it has been handed out in waves.
#[derive(Debug, Clone)]
pub struct Plan<'r> {
    /// Sorted.
    inputs: Vec<Input<'r>>,
    /// The first one that is in no wave yet.
    next: usize,
    /// Distinct tokens of a wave, at most.
    wave_tokens: usize,
    /// Tokens of a prefix, at most, whose keys and values one wave keeps for the next.
    kept_tokens: usize,
    /// Those that the last wave kept.
    kept: usize,
    /// What is asked, and what the waves so far compute.
    pub tokens: TokenCounts,
}

/// Distinct input tokens and the requests that read from them.
#[derive(Debug, Clone)]
struct Input<'r> {
    tokens: Vec<u32>,
    /// Requests by index, with the tokens they score at the end of the input.
    readers: Vec<(usize, &'r [u32])>,
    /// Inputs share prefixes only within a group: the length itself where positions depend on it.
    group: usize,
    /// Tokens that the input before it does not begin with.
    fresh: usize,
}

/// What a plan has to know of the model.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Positions; longer requests are cut on the left.
    pub max_length: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Distinct tokens of a wave, at most, unless a single request has more.
    pub wave_tokens: usize,
    /// Sequences longer than this share nothing with sequences of another length (dynamic rotary
    /// scaling turns their positions differently); `None` for all other models.
    pub length_dependent_beyond: Option<usize>,
}

impl Limits {
    /// The limits of a model; `max_length` defaults to its positions. How large waves are decides a
    /// [`Placement`](super::Placement).
    pub fn new(config: &ModelConfig, max_length: Option<usize>, wave_tokens: usize) -> Self {
        Self {
            max_length: max_length.unwrap_or(config.max_position_embeddings()),
            vocab_size: config.vocab_size(),
            wave_tokens,
            length_dependent_beyond: config.length_dependent_beyond(),
        }
    }

    /// Sequences share prefixes only with those of the same group: the length itself where positions depend on it.
    pub fn group(&self, length: usize) -> usize {
        if self.length_dependent_beyond.is_some_and(|limit| length > limit) { length } else { 0 }
    }
}

/// An input that may be in the next wave.
#[derive(Debug)]
pub struct Candidate {
    /// Tokens that it has in common with the input before it.
    pub shared: usize,
    /// The requests that read from it.
    pub requests: Vec<usize>,
}

impl<'r> Plan<'r> {
    /// Checks the requests and sorts what they read.
    ///
    /// # Errors
    /// Requests that cannot be scored.
    pub fn new(requests: &'r [ScoreRequest], limits: Limits) -> Result<Self, EngineError> {
        let mut asked = 0;
        let mut inputs: Vec<Input> = Vec::new();
        let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
        for (index, request) in requests.iter().enumerate() {
            check(index, request, limits)?;
            let tokens = input_tokens(request, limits.max_length);
            asked += tokens.len() as u64;
            let reader = (index, request.continuation.as_slice());
            match known.get(&tokens) {
                Some(&at) => inputs[at].readers.push(reader),
                None => {
                    let group = limits.group(tokens.len());
                    known.insert(tokens.clone(), inputs.len());
                    inputs.push(Input { tokens, readers: vec![reader], group, fresh: 0 });
                }
            }
        }
        drop(known);
        inputs.sort_by(|a, b| (a.group, &a.tokens).cmp(&(b.group, &b.tokens)));
        count_fresh(&mut inputs);
        let tokens = TokenCounts { asked, distinct: total_fresh(&inputs), computed: 0 };
        Ok(Self { inputs, next: 0, wave_tokens: limits.wave_tokens, kept_tokens: 0, kept: 0, tokens })
    }

    /// Waves that leave the keys and values of a prefix to the next one, of at most so many tokens.
    #[must_use]
    pub fn keeping(self, kept_tokens: usize) -> Self {
        assert_eq!(self.next, 0, "no wave was handed out yet");
        Self { kept_tokens, ..self }
    }

    /// A plan whose first wave begins with what the first input has in common with `held`, a sequence whose keys and values are
    /// kept already. Its positions must not depend on its length.
    #[must_use]
    pub fn after(mut self, held: &[u32]) -> Self {
        assert_eq!(self.next, 0, "no wave was handed out yet");
        if let Some(first) = self.inputs.first_mut().filter(|first| first.group == 0) {
            self.kept = common(held, &first.tokens).min(self.kept_tokens);
            first.fresh -= self.kept;
            self.tokens.distinct -= self.kept as u64;
        }
        self
    }

    /// Leaves out what is answered already; what is asked counts it still.
    #[must_use]
    pub fn without(mut self, answered: impl Fn(usize) -> bool) -> Self {
        assert_eq!(self.next, 0, "no wave was handed out yet");
        for input in &mut self.inputs {
            input.readers.retain(|&(request, _)| !answered(request));
        }
        self.inputs.retain(|input| !input.readers.is_empty());
        count_fresh(&mut self.inputs);
        self
    }

    /// Distinct tokens that are in no wave yet.
    pub fn left(&self) -> u64 {
        total_fresh(&self.inputs[self.next..])
    }

    /// The next wave, which computes about `tokens` tokens: more where it begins with a long prefix that the wave before it
    /// computed and did not keep, and never with more than the plan's limit, unless a single input has more. `None` when all
    /// inputs were handed out.
    pub fn next_wave(&mut self, tokens: usize) -> Option<PlannedWave> {
        self.next_wave_of(tokens, &mut |_| true)
    }

    /// The same of inputs that `admit` lets in, in their order. `None` also if that is not even the first.
    pub fn next_wave_of(
        &mut self,
        tokens: usize,
        admit: &mut dyn FnMut(Candidate) -> bool,
    ) -> Option<PlannedWave> {
        let mut admits = |input: &Input| {
            let requests = input.readers.iter().map(|&(request, _)| request).collect();
            admit(Candidate { shared: input.tokens.len() - input.fresh, requests })
        };
        let first = self.inputs.get(self.next).filter(|first| admits(first))?;
        let mut size = first.tokens.len();
        let repeated = size - first.fresh - self.kept;
        let computed = tokens.max(SHARING * repeated).min(self.wave_tokens);
        let most = (computed + self.kept).min(self.wave_tokens);
        let mut end = self.next + 1;
        while let Some(input) = self.inputs.get(end)
            && size + input.fresh <= most
            && admits(input)
        {
            size += input.fresh;
            end += 1;
        }
        let inputs = &self.inputs[self.next..end];
        let given = unscored(inputs, self.kept);
        self.kept =
            self.inputs.get(end).map_or(0, |next| next.tokens.len() - next.fresh).min(self.kept_tokens);
        let planned = wave(inputs, given, self.kept);
        self.next = end;
        self.tokens.computed += planned.computed as u64;
        Some(planned)
    }

    /// Whether all inputs were handed out.
    pub fn is_done(&self) -> bool {
        self.next == self.inputs.len()
    }

    /// All waves that are left, as large as they may be.
    pub fn waves(mut self) -> Vec<PlannedWave> {
        std::iter::from_fn(|| self.next_wave(usize::MAX)).collect()
    }
}

fn count_fresh(inputs: &mut [Input]) {
    for index in 0..inputs.len() {
        let before = if index > 0 { shared(&inputs[index - 1], &inputs[index]) } else { 0 };
        inputs[index].fresh = inputs[index].tokens.len() - before;
    }
}

fn total_fresh(inputs: &[Input]) -> u64 {
    inputs.iter().map(|input| input.fresh as u64).sum()
}

fn check(index: usize, request: &ScoreRequest, limits: Limits) -> Result<(), EngineError> {
    let ScoreRequest { context, continuation } = request;
    if continuation.is_empty() {
        return Err(EngineError::EmptyContinuation { request: index });
    }
    if context.is_empty() {
        return Err(EngineError::EmptyContext { request: index });
    }
    if continuation.len() > limits.max_length {
        let found = continuation.len();
        return Err(EngineError::ContinuationTooLong {
            request: index,
            found,
            max_length: limits.max_length,
        });
    }
    match context.iter().chain(continuation).find(|&&token| token as usize >= limits.vocab_size) {
        Some(&token) => {
            Err(EngineError::UnknownToken { request: index, token, vocab_size: limits.vocab_size })
        }
        None => Ok(()),
    }
}

/// The last `max_length + 1` tokens of context and continuation, without the very last.
fn input_tokens(request: &ScoreRequest, max_length: usize) -> Vec<u32> {
    let all = request.context.len() + request.continuation.len();
    let cut = request.truncated(max_length);
    request.context.iter().chain(&request.continuation).copied().take(all - 1).skip(cut).collect()
}

/// How many leading tokens two neighbouring inputs have in common.
fn shared(a: &Input, b: &Input) -> usize {
    if a.group != b.group {
        return 0;
    }
    common(&a.tokens, &b.tokens)
}

pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// How many of the first input's first `kept` tokens are not scored by any input: these need not be computed.
fn unscored(inputs: &[Input], kept: usize) -> usize {
    let mut given = kept;
    let mut common = inputs[0].tokens.len();
    for (index, input) in inputs.iter().enumerate() {
        if index > 0 {
            common = common.min(input.tokens.len() - input.fresh);
        }
        let scored = input.readers.iter().map(|(_, continuation)| continuation.len()).max();
        let first = input.tokens.len() - scored.expect("an input has readers");
        if first < given.min(common) {
            given = first;
        }
    }
    given
}

/// The forest of sorted inputs, branch by branch, parents first: without the first `given` tokens of the first one, which the
/// wave before has kept, and keeping the first `keep` tokens of the last one.
fn wave(inputs: &[Input], given: usize, keep: usize) -> PlannedWave {
    let mut planned =
        PlannedWave { wave: Wave::default(), targets: Vec::new(), fresh: total_fresh(inputs), computed: 0 };
    // Where the last input ends that was laid out.
    let mut end = None;
    let rope_length = |input: &Input| if input.group > 0 { input.group } else { 1 };
    // Branches still to lay out: inputs `from..to` agree on the first `depth` tokens, which end in `parent`.
    let mut branches = Vec::new();
    let mut from = 0;
    while from < inputs.len() {
        let to = from + inputs[from..].iter().take_while(|i| i.group == inputs[from].group).count();
        branches.push((from, to, 0, None));
        from = to;
    }
    branches.reverse();
    while let Some((from, to, depth, parent)) = branches.pop() {
        let group = &inputs[from..to];
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let agreed = common(&first.tokens, &last.tokens);
        let mut segment = parent;
        // The path of the first input comes first; what of it is given is a segment, or several, of its own.
        let cut = if from == 0 { given.clamp(depth, agreed) } else { depth };
        for own in [depth..cut, cut..agreed].into_iter().filter(|own| !own.is_empty()) {
            segment = Some(planned.wave.push(&first.tokens[own], segment, rope_length(first)));
        }
        // Only the first input of a sorted group can end where they all agree: inputs are distinct.
        let ends_here = first.tokens.len() == agreed;
        if ends_here {
            end = segment;
            add_targets(&mut planned, segment.expect("inputs have tokens"), first);
        }
        let mut start = from + usize::from(ends_here);
        let mut children = Vec::new();
        while start < to {
            let next = inputs[start].tokens[agreed];
            let end = start + inputs[start..to].iter().take_while(|i| i.tokens[agreed] == next).count();
            children.push((start, end, agreed, segment));
            start = end;
        }
        branches.extend(children.into_iter().rev());
    }
    planned.targets.sort_by_key(|target| target.row);
    assert!(planned.targets.first().is_none_or(|target| target.row >= given), "what is scored is computed");
    let path = planned.wave.path(end.expect("a wave has inputs"));
    planned.wave.keep = path.into_iter().flatten().take(keep).collect();
    planned.wave.given = given;
    planned.computed = planned.wave.tokens.len() - given;
    planned
}

/// The last token of a continuation is predicted at the input's last position.
fn add_targets(planned: &mut PlannedWave, segment: usize, input: &Input) {
    for (request, continuation) in &input.readers {
        let first = input.tokens.len() - continuation.len();
        for (offset, &token) in continuation.iter().enumerate() {
            let row = planned.wave.row(segment, first + offset).expect("a row for every token of an input");
            planned.targets.push(Target { row, token, request: *request });
        }
    }
}

#[cfg(test)]
mod tests;
