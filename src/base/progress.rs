//! Progress of long work, reported without knowing how it is shown.

/// What the numbers of a progress report count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes that are read, written or computed.
    Bytes,
    /// Bytes that come from elsewhere.
    Transfer,
    /// Tokens computed.
    Tokens,
    /// Anything else, by count.
    Items,
}

/// One of several things that are worked on one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its name.
    pub name: String,
    /// Which of them it is, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

/// A number over what is done so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// What it is.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

/// A listener for one piece of long work at a time.
pub trait Progress: Sync {
    /// The work that follows is on this.
    fn turn(&self, _turn: &Turn) {}
    /// What of the work is under way, and what came of it so far.
    fn at(&self, _item: &str, _running: Option<&Running>) {}
    /// Work called `what` begins; `total` is its size if known.
    fn begin(&self, what: &str, total: Option<u64>, unit: Unit);
    /// `n` more units are done.
    fn advance(&self, n: u64);
    /// The work has ended, well or not.
    fn end(&self);
}

/// Does one piece of long work and shows it, from its beginning to its end, well or not; see [`Progress::begin`].
pub fn during<T>(
    progress: &dyn Progress,
    what: &str,
    total: Option<u64>,
    unit: Unit,
    work: impl FnOnce() -> T,
) -> T {
    struct Shown<'a>(&'a dyn Progress);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            self.0.end();
        }
    }
    progress.begin(what, total, unit);
    let _shown = Shown(progress);
    work()
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<u64>, _: Unit) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn begin(&self, what: &str, total: Option<u64>, _: Unit) {
            self.0.lock().unwrap().push(format!("{what} {total:?}"));
        }
        fn advance(&self, n: u64) {
            self.0.lock().unwrap().push(n.to_string());
        }
        fn end(&self) {
            self.0.lock().unwrap().push("end".to_owned());
        }
    }

    #[test]
    fn work_that_was_begun_ends_on_every_way_out() {
        let progress = Heard::default();
        let work = |outcome: Result<u8, u8>| {
            during(&progress, "work", Some(2), Unit::Items, || {
                progress.advance(1);
                let done = outcome?;
                progress.advance(1);
                Ok::<_, u8>(done)
            })
        };
        assert_eq!((work(Ok(7)), work(Err(3))), (Ok(7), Err(3)));
        let panics = || during(&progress, "fault", None, Unit::Items, || panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        let heard = progress.0.into_inner().unwrap();
        assert_eq!(heard, ["work Some(2)", "1", "1", "end", "work Some(2)", "1", "end", "fault None", "end"]);
    }
}
