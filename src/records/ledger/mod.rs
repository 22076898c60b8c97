//! The ledger: every answered request of a run, scored or written, appended as it is done.
//!
//! `ledger/<model>-<digest>.txt` in a run's folder, one file per model. A run that is killed goes on from it, and
//! another run may take answers over from it. Nothing in it is taken on trust: every line has a checksum that
//! also covers whose answers these are ([`Identity`]), so a line that was cut, changed or written for another
//! model is left out, said, and its request computed again.

mod contents;
mod error;
mod identity;
mod line;
mod merge;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use contents::{Contents, Refused};
pub use error::LedgerError;
pub use identity::Identity;
use identity::{Key, Seed};
use line::Numbers;
pub use merge::merge;

use super::{MAX_BYTES, file_name};
use crate::base::journal::LineFile;
use crate::base::whole;
use crate::engine::{JournalError, Score, ScoreJournal, ScoreRequest};

/// The folder of the ledgers in a run's folder.
pub const LEDGER_FOLDER: &str = "ledger";
/// How much work a loss of power may cost. A killed program loses nothing that was recorded.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// What a model is asked to write, and how it does: everything besides the model that its text depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteRequest {
    /// The tokens that are there.
    pub prompt: Arc<[u32]>,
    /// Everything else, as one text: stops, length, sampling, which of several answers to the prompt it is.
    pub settings: String,
}

/// What a model wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenText {
    /// The text up to where the model stopped, before anything is cut.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
}

/// The ledger of one model, open for reading and appending.
#[derive(Debug)]
pub struct Ledger {
    identity: Identity,
    seed: Seed,
    max_length: usize,
    scores: HashMap<Key, Score>,
    texts: HashMap<Key, WrittenText>,
    notes: Vec<String>,
    file: LineFile,
}

impl Ledger {
    /// Opens the ledger of `model` in the folder of a run; there need not be one yet.
    ///
    /// `max_length` is the number of positions of the model: a request is known by what of it the model sees.
    ///
    /// # Errors
    /// A file that cannot be read, or that another model or another version has written.
    pub fn open(run: &Path, model: &str, identity: Identity, max_length: usize) -> Result<Self, LedgerError> {
        Self::of(Numbers::LogProbs, run, model, identity, max_length)
    }

    /// The same of a ledger that holds how far one arithmetic is from another, in place of log-probabilities.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_divergences(
        run: &Path,
        model: &str,
        identity: Identity,
        max_length: usize,
    ) -> Result<Self, LedgerError> {
        Self::of(Numbers::Divergences, run, model, identity, max_length)
    }

    /// How many answers the bytes of a ledger hold that is read as this model's, and the notes on it.
    ///
    /// # Errors
    /// A ledger of another model or another version.
    pub fn answers_in(bytes: &[u8], identity: &Identity) -> Result<(usize, Vec<String>), LedgerError> {
        let path = Path::new("ledger.txt");
        let contents = Contents::read(bytes, identity, &identity.seed(), Numbers::LogProbs);
        let contents = contents.map_err(|refused| refusal(path, identity, refused))?;
        Ok((contents.scores.len() + contents.texts.len(), contents.notes(path)))
    }

    fn of(
        numbers: Numbers,
        run: &Path,
        model: &str,
        identity: Identity,
        max_length: usize,
    ) -> Result<Self, LedgerError> {
        let seed = identity.seed();
        let name = format!("{}-{}.txt", file_name(model), seed.short());
        let path = run.join(LEDGER_FOLDER).join(name);
        let bytes = match whole::read(&path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|source| LedgerError::Read { path: path.clone(), source })?,
        };
        let contents = Contents::read(&bytes, &identity, &seed, numbers);
        let contents = contents.map_err(|refused| refusal(&path, &identity, refused))?;
        let notes = contents.notes(&path);
        let file = LineFile::after(&path, contents.whole as u64, SYNC_EVERY);
        let Contents { scores, texts, .. } = contents;
        Ok(Self { identity, seed, max_length, scores, texts, notes, file })
    }

    /// Takes over the scores that the ledgers of another run hold of this model, for `requests`; returns how many
    /// of them were answered. Ledgers of other models are passed by.
    ///
    /// # Errors
    /// A run without ledgers or with one that cannot be read, and scores that cannot be kept.
    pub fn reuse<'r>(
        &mut self,
        run: &Path,
        requests: impl IntoIterator<Item = &'r ScoreRequest>,
    ) -> Result<usize, LedgerError> {
        let scores = self.of_run(run)?.scores;
        let known = |request: &'r ScoreRequest| {
            let key = self.key(request);
            let score = scores.get(&key).filter(|_| !self.scores.contains_key(&key))?;
            Some((request, *score))
        };
        let answers: Vec<(&ScoreRequest, Score)> = requests.into_iter().filter_map(known).collect();
        self.record(&answers).map_err(LedgerError::Append)?;
        Ok(answers.len())
    }

    /// The same of texts.
    ///
    /// # Errors
    /// As [`reuse`](Self::reuse).
    pub fn reuse_texts<'r>(
        &mut self,
        run: &Path,
        requests: impl IntoIterator<Item = &'r WriteRequest>,
    ) -> Result<usize, LedgerError> {
        let mut texts = self.of_run(run)?.texts;
        let mut answered = 0;
        for request in requests {
            let key = self.seed.key_of_text(request);
            if let Some(text) = texts.remove(&key).filter(|_| !self.texts.contains_key(&key)) {
                self.record_text(request, text).map_err(LedgerError::Append)?;
                answered += 1;
            }
        }
        Ok(answered)
    }

    /// What the ledgers of another run hold of this model.
    fn of_run(&mut self, run: &Path) -> Result<Contents, LedgerError> {
        let folder = run.join(LEDGER_FOLDER);
        let fail = |source| LedgerError::Read { path: folder.clone(), source };
        let entries: Vec<_> = fs::read_dir(&folder).and_then(Iterator::collect).map_err(fail)?;
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        let (mut others, mut all) = (Vec::new(), Contents::default());
        for path in paths {
            let bytes = whole::read(&path, MAX_BYTES);
            let bytes = bytes.map_err(|source| LedgerError::Read { path: path.clone(), source })?;
            match Contents::read(&bytes, &self.identity, &self.seed, Numbers::LogProbs) {
                Ok(contents) => {
                    self.notes.extend(contents.notes(&path));
                    all.scores.extend(contents.scores);
                    all.texts.extend(contents.texts);
                }
                Err(refused) => others.push(refusal(&path, &self.identity, refused).to_string()),
            }
        }
        if all.scores.is_empty() && all.texts.is_empty() {
            // Why nothing fits is worth knowing; of a run of several models one is expected to fit.
            self.notes.extend(others);
        }
        Ok(all)
    }

    /// The text that answers a request, if it is known.
    pub fn known_text(&self, request: &WriteRequest) -> Option<&WrittenText> {
        self.texts.get(&self.seed.key_of_text(request))
    }

    /// Keeps the text that answers a request.
    ///
    /// # Errors
    /// A file that cannot be appended to; nothing is kept then.
    pub fn record_text(&mut self, request: &WriteRequest, text: WrittenText) -> Result<(), JournalError> {
        let key = self.seed.key_of_text(request);
        let line = line::text_line(&self.seed, &key, &text).map_err(io::Error::other);
        let kept = line.and_then(|line| self.append(&line));
        kept.map_err(|error| self.cannot_append(&error))?;
        self.texts.insert(key, text);
        Ok(())
    }

    /// What was left out so far and why, one sentence each; said once.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Sees to it that everything recorded is on the disk.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        self.file.sync().map_err(|error| LedgerError::Append(self.cannot_append(&error)))
    }

    fn key(&self, request: &ScoreRequest) -> Key {
        self.seed.key(request, self.max_length)
    }

    /// Adds whole lines, or nothing.
    fn append(&mut self, text: &str) -> io::Result<()> {
        let mut lines = String::new();
        if self.file.is_empty() {
            lines = line::header(&self.identity).map_err(io::Error::other)? + "\n";
        }
        self.file.append((lines + text).as_bytes())
    }

    fn cannot_append(&self, error: &io::Error) -> JournalError {
        JournalError(format!(
            "{}: cannot add answers: {error}; the {} that are in it stay valid: free some space, or see to it that the \
             folder can be written to, and give the same command with --resume to go on from there",
            self.file.path().display(),
            self.scores.len() + self.texts.len()
        ))
    }
}

impl ScoreJournal for Ledger {
    fn known(&self, request: &ScoreRequest) -> Option<Score> {
        self.scores.get(&self.key(request)).copied()
    }

    fn record(&mut self, answers: &[(&ScoreRequest, Score)]) -> Result<(), JournalError> {
        let mut new: HashMap<Key, Score> = HashMap::with_capacity(answers.len());
        let mut text = String::new();
        for (request, score) in answers {
            let key = self.key(request);
            // Requests of equal tokens have one line.
            if !self.scores.contains_key(&key) && new.insert(key, *score).is_none() {
                text += &line::score_line(&self.seed, &key, *score, request.continuation.len());
            }
        }
        if !text.is_empty() {
            self.append(&text).map_err(|error| self.cannot_append(&error))?;
        }
        self.scores.extend(new);
        Ok(())
    }
}

fn refusal(path: &Path, expected: &Identity, refused: Refused) -> LedgerError {
    let path = path.to_owned();
    match refused {
        Refused::Version(found) => LedgerError::Version { path, found },
        Refused::OtherModel(found) => {
            LedgerError::OtherModel { path, differences: found.differences(expected).join("; ") }
        }
    }
}

#[cfg(test)]
mod tests;
