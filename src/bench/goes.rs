//! The same work several times.

use std::time::{Duration, Instant};

/// Once a kind of work has taken so long, it is not repeated.
const ENOUGH: Duration = Duration::from_secs(10);
/// A first go that takes longer counts: there is little to warm up, and much to wait for.
const LONG: Duration = Duration::from_secs(2);

/// The results of several goes, in whatever unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goes {
    /// The one in the middle, or the mean of the two in the middle.
    pub median: f64,
    /// The least of all goes.
    pub min: f64,
    /// The highest of all goes.
    pub max: f64,
}

impl Goes {
    /// Of these results; `None` if there are none.
    pub fn new(mut results: Vec<f64>) -> Option<Self> {
        results.sort_by(f64::total_cmp);
        let (min, max) = (*results.first()?, *results.last()?);
        let (left, right) = (results[(results.len() - 1) / 2], results[results.len() / 2]);
        Some(Self { median: (left + right) / 2.0, min, max })
    }

    /// Of work of `amount`, as amount a second.
    pub fn rates(amount: f64, seconds: &[f64]) -> Self {
        // Clocks have a resolution; nothing takes no time.
        let rates = seconds.iter().map(|seconds| amount / seconds.max(1e-9)).collect();
        Self::new(rates).expect("work is done once at least")
    }
}

/// Goes are repeated until the half of them in the middle differs by no more than this part of its median,
const SPREAD: f64 = 0.02;
/// or until there are so many times as many as were asked for.
const REPEATS: usize = 4;

/// Does the work `least` times after a first one that does not count, and more often where something disturbs it, and returns
/// the seconds of each.
///
/// # Errors
/// The first of `work`.
pub fn seconds<E>(least: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let begun = Instant::now();
    let mut once = || {
        let start = Instant::now();
        work().map(|()| start.elapsed())
    };
    let first = once()?;
    let mut all = Vec::new();
    if first > LONG {
        all.push(first.as_secs_f64());
    }
    let is_wanted = |all: &[f64]| all.len() < least || (all.len() < REPEATS * least && spread(all) > SPREAD);
    while all.is_empty() || (is_wanted(&all) && begun.elapsed() < ENOUGH) {
        all.push(once()?.as_secs_f64());
    }
    Ok(all)
}

/// From the first quarter of some results to the last, as a part of the one in the middle.
fn spread(results: &[f64]) -> f64 {
    let mut sorted = results.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    (sorted[(3 * last).div_ceil(4)] - sorted[last / 4]) / sorted[last / 2].max(1e-9)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        let goes = |results: &[f64]| Goes::new(results.to_vec());
        assert_eq!(goes(&[]), None);
        assert_eq!(goes(&[3.0]), Some(Goes { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(goes(&[9.0, 1.0, 2.0]), Some(Goes { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(goes(&[4.0, 1.0, 2.0, 9.0]), Some(Goes { median: 3.0, min: 1.0, max: 9.0 }));
        let rates = Goes::rates(8.0, &[1.0, 2.0, 4.0]);
        assert_eq!((rates.median, rates.min, rates.max), (4.0, 2.0, 8.0));
    }

    #[test]
    fn the_first_go_warms_up() {
        let mut goes = 0;
        let seconds = seconds(3, || {
            goes += 1;
            Ok::<(), Infallible>(())
        });
        let seconds = seconds.unwrap();
        assert!((3..=12).contains(&seconds.len()) && goes == seconds.len() + 1, "{seconds:?}");
    }

    #[test]
    fn work_that_is_disturbed_is_repeated() {
        assert_eq!(spread(&[1.0]), 0.0);
        assert_eq!(spread(&[9.0, 1.0, 1.0, 1.0, 1.0]), 0.0);
        assert_eq!(spread(&[3.0, 1.0, 2.0, 4.0, 5.0]), 2.0 / 3.0);
        let mut goes = 0;
        let seconds = seconds(3, || {
            goes += 1;
            std::thread::sleep(Duration::from_millis(if goes % 2 == 0 { 1 } else { 4 }));
            Ok::<(), Infallible>(())
        });
        assert_eq!(seconds.unwrap().len(), 3 * REPEATS);
    }
}
