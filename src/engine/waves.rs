//! The waves of a run, one after the other, cut as the products and the clock ask for.

use super::pace::{Pace, Pacing, Took};
use super::{Plan, PlannedWave, TokenCounts};

/// Waves that are still to come.
pub(super) struct Waves<'r> {
    source: Source<'r>,
    tokens: TokenCounts,
    left: u64,
}

enum Source<'r> {
    Planned(std::vec::IntoIter<PlannedWave>),
    Timed(Plan<'r>, Pace),
}

impl<'r> Waves<'r> {
    /// The waves of a plan that nothing was taken from, but for what is answered already.
    pub fn new(plan: Plan<'r>, pacing: Pacing, answered: impl Fn(usize) -> bool) -> Self {
        let tokens = plan.tokens;
        match pacing {
            // A wave is computed whole or not at all.
            Pacing::AsPlanned => {
                let missing =
                    |wave: &PlannedWave| wave.targets.iter().any(|target| !answered(target.request));
                let waves: Vec<PlannedWave> = plan.waves().into_iter().filter(missing).collect();
                let left = waves.iter().map(|wave| wave.fresh).sum();
                Self { source: Source::Planned(waves.into_iter()), tokens, left }
            }
            Pacing::ByTime { residence, kept_tokens } => {
                let plan = plan.without(answered).keeping(kept_tokens);
                let left = plan.left();
                Self { source: Source::Timed(plan, Pace::new(residence)), tokens, left }
            }
        }
    }

    /// Distinct tokens of all waves to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// What was asked, and what the waves so far had.
    pub fn tokens(&self) -> TokenCounts {
        self.tokens
    }

    /// The next one.
    pub fn next(&mut self) -> Option<PlannedWave> {
        let wave = match &mut self.source {
            Source::Planned(waves) => waves.next(),
            Source::Timed(plan, pace) => plan.next_wave(pace.tokens()),
        }?;
        self.left -= wave.fresh;
        self.tokens.computed += wave.computed as u64;
        Some(wave)
    }

    /// Takes in what the last one took.
    pub fn took(&mut self, took: Took) {
        if let Source::Timed(_, pace) = &mut self.source {
            pace.took(took);
        }
    }
}

/// The waves that a plan would have on a machine where each takes so many seconds.
pub fn foreseen(plan: Plan<'_>, pacing: Pacing, seconds: impl Fn(&PlannedWave) -> f64) -> Vec<PlannedWave> {
    let mut waves = Waves::new(plan, pacing, |_| false);
    let mut all = Vec::new();
    while let Some(wave) = waves.next() {
        waves.took(Took { tokens: wave.computed, seconds: seconds(&wave), waited: 0.0 });
        all.push(wave);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, ScoreRequest};
    use super::*;
    use crate::model::Residence;

    const LIMITS: Limits =
        Limits { max_length: 1000, vocab_size: 1000, wave_tokens: 1 << 14, length_dependent_beyond: None };

    /// Questions with four answers each after examples that ten of them share.
    fn requests(questions: u32) -> Vec<ScoreRequest> {
        let question = |number: u32| {
            let examples = (0..300).map(move |at| (number / 10 * 7 + at) % 1000);
            let own = (0..60).map(move |at| (number * 13 + at * 17) % 1000);
            let context: std::sync::Arc<[u32]> = examples.chain(own).collect();
            (0..4).map(move |letter| ScoreRequest {
                context: std::sync::Arc::clone(&context),
                continuation: vec![letter],
            })
        };
        (0..questions).flat_map(question).collect()
    }

    /// All waves of a machine with so many tokens a second.
    fn run(
        requests: &[ScoreRequest],
        pacing: Pacing,
        answered: &[bool],
        rate: f64,
    ) -> (Vec<PlannedWave>, u64) {
        let plan = Plan::new(requests, LIMITS).unwrap();
        let mut waves = Waves::new(plan, pacing, |request| answered[request]);
        let mut all = Vec::new();
        while let Some(wave) = waves.next() {
            let tokens = wave.computed;
            waves.took(Took { tokens, seconds: tokens as f64 / rate, waited: 0.0 });
            all.push(wave);
        }
        assert_eq!(waves.left(), 0);
        (all, waves.tokens().computed)
    }

    #[test]
    fn waves_by_time_ask_for_what_is_missing_and_lose_little_sharing() {
        let requests = requests(500);
        let none = vec![false; requests.len()];
        let by_time = Pacing::ByTime { residence: Residence::Memory, kept_tokens: 0 };
        let (planned, whole) = run(&requests, Pacing::AsPlanned, &none, 200.0);
        let (timed, computed) = run(&requests, by_time, &none, 200.0);
        assert!(timed.len() > 2 * planned.len());
        assert!(timed[1..].iter().all(|wave| wave.wave.tokens.len() as f64 / 200.0 <= 20.5));
        assert!(computed >= whole && (computed as f64) < 1.14 * whole as f64, "{computed} of {whole}");
        // With a prefix kept between waves nothing is computed twice, and waves are no longer than they should be.
        let keeping = Pacing::ByTime { residence: Residence::Memory, kept_tokens: 1000 };
        for rate in [3.0, 20.0, 200.0] {
            let (waves, computed) = run(&requests, keeping, &none, rate);
            assert_eq!(computed, Plan::new(&requests, LIMITS).unwrap().tokens.distinct);
            let long = |wave: &&PlannedWave| wave.computed as f64 / rate > 20.5;
            // A first question with its examples is long at three tokens a second.
            assert!(waves.iter().filter(long).all(|wave| wave.requests().len() == 4), "{rate}");
        }
        // What is answered is in no wave by time; as planned, the others are what they were.
        let mut answered = none.clone();
        answered[..1000].fill(true);
        let (timed, _) = run(&requests, by_time, &answered, 200.0);
        assert!(timed.iter().flat_map(PlannedWave::requests).all(|request| !answered[request]));
        assert_eq!(timed.iter().flat_map(PlannedWave::requests).count(), 1000);
        let (rest, _) = run(&requests, Pacing::AsPlanned, &answered, 200.0);
        assert!(!rest.is_empty() && rest.len() < planned.len());
        assert!(rest.iter().all(|wave| planned.iter().any(|whole| whole.targets == wave.targets)));
    }
}
