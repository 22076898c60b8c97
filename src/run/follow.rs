//! Who follows a model at work: shows which tasks it is at and how well it does, and passes on the wish to stop.

use std::collections::BTreeSet;

use crate::base::progress::Progress;
use crate::base::stop::Stop;
use crate::engine::{Score, Watch};
use crate::evaluate::{Questions, Tally};

/// A follower of one model's answers.
pub struct Follower<'a> {
    tally: Tally<'a>,
    progress: &'a dyn Progress,
    stop: &'a Stop,
}

impl<'a> Follower<'a> {
    /// Nothing is answered yet.
    pub fn new(questions: &'a Questions, progress: &'a dyn Progress, stop: &'a Stop) -> Self {
        Self { tally: Tally::new(questions), progress, stop }
    }
}

impl Watch for Follower<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    fn begins(&mut self, requests: &BTreeSet<usize>) {
        let (item, running) = self.tally.of(requests);
        self.progress.at(&item, running.as_ref());
    }

    fn answered(&mut self, request: usize, score: Score) {
        self.tally.answered(request, score);
    }
}
