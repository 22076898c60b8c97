//! How many requests are under way at a time: as many as are told, or as many as bring more.

use std::time::{Duration, Instant};

/// Requests to a server at the beginning.
const FIRST: usize = 8;
/// Requests to a server at most, unless more are told.
const MOST: usize = 64;
/// Twice as many requests at a time have to bring so much more to be kept.
const GAIN: f64 = 1.1;

/// Refusals within this time are of one moment.
const SAME: Duration = Duration::from_secs(1);

/// Finds how many requests are under way at a time.
///
/// It doubles them as long as that brings more tokens a second, halves them when the server says that it has too much to do,
/// and comes back one by one after that.
#[derive(Debug)]
pub struct Pace {
    allowed: usize,
    most: usize,
    is_told: bool,
    /// No more is tried by doubling.
    is_settled: bool,
    /// There was too much to do once; more is tried one by one.
    had_too_much: bool,
    halved: Option<Instant>,
    best: f64,
    since: Option<Instant>,
    answers: usize,
    tokens: usize,
}

impl Pace {
    /// To so many servers; `told` is how many requests somebody wants at a time.
    pub fn new(servers: usize, told: Option<usize>) -> Self {
        let most = told.unwrap_or(MOST * servers);
        let allowed = told.unwrap_or((FIRST * servers).min(most));
        let is_told = told.is_some();
        Self {
            allowed,
            most,
            is_told,
            is_settled: false,
            had_too_much: false,
            halved: None,
            best: 0.0,
            since: None,
            answers: 0,
            tokens: 0,
        }
    }

    /// How many may be under way now.
    pub fn allowed(&self) -> usize {
        self.allowed
    }

    /// How many there may ever be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Takes in an answer that took so many tokens.
    pub fn answered(&mut self, tokens: usize, is_overloaded: bool, now: Instant) {
        if self.is_told {
            return;
        }
        let since = *self.since.get_or_insert(now);
        if is_overloaded {
            // What was under way then is refused at the same time, and says it once.
            if self.halved.is_some_and(|halved| now.duration_since(halved) < SAME) {
                return;
            }
            self.halved = Some(now);
            self.allowed = (self.allowed / 2).max(1);
            (self.is_settled, self.had_too_much) = (true, true);
            self.begin(now);
            return;
        }
        self.answers += 1;
        self.tokens += tokens;
        // The answers to one window of requests are not those to the one before.
        if self.answers < 3 * self.allowed {
            return;
        }
        let took = now.duration_since(since).max(Duration::from_micros(1));
        let rate = self.tokens as f64 / took.as_secs_f64();
        if self.is_settled {
            self.allowed = (self.allowed + usize::from(self.had_too_much)).min(self.most);
        } else if rate > GAIN * self.best {
            self.best = rate;
            self.allowed = (2 * self.allowed).min(self.most);
        } else {
            self.is_settled = true;
        }
        self.begin(now);
    }

    fn begin(&mut self, now: Instant) {
        (self.since, self.answers, self.tokens) = (Some(now), 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of a server that takes `capacity` requests at a time in one second, whatever they are.
    fn after(pace: &mut Pace, answers: usize, capacity: usize) -> usize {
        let mut now = Instant::now();
        for _ in 0..answers {
            let rate = pace.allowed().min(capacity) as f64;
            now += Duration::from_secs_f64(1.0 / rate);
            pace.answered(100, false, now);
        }
        pace.allowed()
    }

    #[test]
    fn more_are_asked_as_long_as_that_brings_more() {
        assert_eq!(after(&mut Pace::new(1, None), 2000, 1), 16);
        assert!((32..=64).contains(&after(&mut Pace::new(1, None), 2000, 30)));
        assert_eq!(after(&mut Pace::new(1, None), 5000, 1000), 64);
        assert_eq!(after(&mut Pace::new(3, None), 5000, 1000), 192);
        assert_eq!(after(&mut Pace::new(3, Some(5)), 5000, 1000), 5);
    }

    #[test]
    fn too_much_is_halved() {
        let mut pace = Pace::new(1, None);
        let now = Instant::now();
        (0..9).for_each(|_| pace.answered(1, true, now));
        assert_eq!(pace.allowed(), 4, "refusals of one moment are one");
        (1..5).for_each(|second| pace.answered(1, true, now + second * SAME));
        assert_eq!(pace.allowed(), 1);
        assert!((2..12).contains(&after(&mut pace, 40, 1000)), "{}", pace.allowed());
        let mut told = Pace::new(1, Some(3));
        told.answered(1, true, now);
        assert_eq!(told.allowed(), 3);
    }
}
