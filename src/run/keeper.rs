//! Where the answers of one model are kept while it gives them: its ledger in the run's folder, and what is said if it is stopped.

use std::path::Path;

use super::error::Stopped;
use super::folder::RunFolder;
use super::{Options, RunError};
use crate::base::progress::{Progress, Turn};
use crate::base::stop::Stop;
use crate::engine::{ScoreJournal, ScoreRequest};
use crate::records::{Identity, Ledger, LedgerError};

/// The run that a model answers in.
pub struct Keeper<'a> {
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

impl Keeper<'_> {
    /// The model's ledger, with what `reuse` takes over from each of the runs of `--reuse`, and how many answers that were.
    pub fn ledger(
        &mut self,
        (identity, max_length): (Identity, usize),
        mut reuse: impl FnMut(&mut Ledger, &Path) -> Result<usize, LedgerError>,
    ) -> Result<(Ledger, usize), RunError> {
        let options = self.options;
        let mut ledger = self.open(Ledger::open, identity, max_length)?;
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
    pub fn open(
        &mut self,
        open: impl Fn(&Path, &str, Identity, usize) -> Result<Ledger, LedgerError>,
        identity: Identity,
        max_length: usize,
    ) -> Result<Ledger, RunError> {
        self.place.begin()?;
        self.stop.keep_in(&self.place.path);
        let mut ledger = open(&self.place.path, &self.turn.name, identity, max_length)?;
        self.warn(&mut ledger);
        Ok(ledger)
    }

    fn warn(&self, ledger: &mut Ledger) {
        for note in ledger.take_notes() {
            tracing::warn!("{}: {note}", self.turn.name);
        }
    }

    /// What a run that was stopped keeps.
    pub fn stopped(&self, requests: &[ScoreRequest], ledger: &Ledger) -> RunError {
        let kept = requests.iter().filter(|request| ledger.known(request).is_some()).count();
        self.stopped_after(kept, requests.len(), ledger)
    }

    /// The same of texts, of which so many are kept.
    pub fn stopped_after(&self, kept: usize, asked: usize, ledger: &Ledger) -> RunError {
        RunError::Stopped(Box::new(Stopped {
            turn: self.turn.clone(),
            kept,
            asked,
            ledger: ledger.path().to_owned(),
            folder: self.place.path.clone(),
        }))
    }
}
