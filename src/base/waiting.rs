//! Says when somebody waits for a host that does not answer: after some seconds, and then once a minute at most, however many
//! questions are under way to it.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two notes about a host.
const AGAIN: Duration = Duration::from_secs(60);
/// How often somebody looks, at least and at most.
const LOOK: Duration = Duration::from_secs(1);
/// See [`LOOK`].
const SOON: Duration = Duration::from_millis(1);

/// The questions that are under way to one host.
#[derive(Debug)]
pub struct Waiting {
    silence: Arc<Mutex<Silence>>,
    host: String,
    /// Ends the thread that looks, when it is dropped.
    looking: Mutex<Option<Sender<()>>>,
}

/// Since when a host has not answered.
#[derive(Debug, Default)]
struct Silence {
    under_way: usize,
    since: Option<Instant>,
    after: Duration,
    said: Option<Instant>,
}

impl Waiting {
    /// For a host, by its name as people write it.
    pub fn new(host: &str) -> Self {
        Self { silence: Arc::default(), host: host.to_owned(), looking: Mutex::default() }
    }

    /// Asks a question. While no answer to any question has come for the time `after`, that is said; `is_answer` tells whether the
    /// host has answered this one, be it with a refusal.
    pub fn during<T>(
        &self,
        after: Duration,
        question: impl FnOnce() -> T,
        is_answer: impl FnOnce(&T) -> bool,
    ) -> T {
        self.look(after);
        lock(&self.silence).begin(after, Instant::now());
        let result = question();
        lock(&self.silence).end(is_answer(&result), Instant::now());
        result
    }

    /// Has a thread look from now on.
    fn look(&self, after: Duration) {
        let mut looking = lock(&self.looking);
        if looking.is_some() {
            return;
        }
        let (alive, ended) = mpsc::channel();
        *looking = Some(alive);
        let (silence, host, every) =
            (Arc::clone(&self.silence), self.host.clone(), LOOK.min(after / 5).max(SOON));
        thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                if let Some(long) = lock(&silence).due(Instant::now()) {
                    tracing::warn!("{host} has not answered for {:.0} s; still waiting", long.as_secs_f64());
                }
            }
        });
    }
}

/// What is behind is right even where somebody panicked in the midst of a question.
fn lock<T>(behind: &Mutex<T>) -> MutexGuard<'_, T> {
    behind.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Silence {
    fn begin(&mut self, after: Duration, now: Instant) {
        self.under_way += 1;
        self.after = after;
        self.since.get_or_insert(now);
    }

    /// A question that failed leaves the silence as long as it is.
    fn end(&mut self, is_answer: bool, now: Instant) {
        self.under_way -= 1;
        if is_answer {
            self.since = (self.under_way > 0).then_some(now);
        }
    }

    /// How long it has lasted, if that is to be said now.
    fn due(&mut self, now: Instant) -> Option<Duration> {
        let long = now.duration_since(self.since.filter(|_| self.under_way > 0)?);
        let is_new = self.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        (long >= self.after && is_new).then(|| {
            self.said = Some(now);
            long
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_said_after_a_while_and_once_a_minute() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut silence = Silence::default();
        assert_eq!(silence.due(begun + 100 * second), None, "nobody waits");
        // Many questions are one silence.
        (0..9).for_each(|number| silence.begin(5 * second, begun + number * second / 10));
        let mut said: Vec<u64> =
            (0..130).filter_map(|s| silence.due(begun + s * second)).map(|s| s.as_secs()).collect();
        assert_eq!(said, [5, 65, 125]);
        // An answer ends it, whoever else still waits; a failure does not.
        silence.end(true, begun + 130 * second);
        assert_eq!(silence.due(begun + 134 * second), None);
        (0..8).for_each(|_| silence.end(false, begun + 150 * second));
        assert_eq!(silence.due(begun + 199 * second), None, "nobody waits");
        silence.begin(5 * second, begun + 200 * second);
        said = (200..270).filter_map(|s| silence.due(begun + s * second)).map(|s| s.as_secs()).collect();
        assert_eq!(said, [70, 130]);
        silence.end(true, begun + 270 * second);
        assert_eq!(silence.due(begun + 900 * second), None);
    }

    #[test]
    fn an_answer_is_given_on() {
        let waiting = Waiting::new("h");
        assert_eq!(waiting.during(Duration::from_millis(1), || 7, |seven| *seven == 7), 7);
        assert!(lock(&waiting.silence).since.is_none());
    }
}
