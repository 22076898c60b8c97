//! The time that filling a template may take.
//!
//! Fuel bounds the steps of a template and the bytes that these make, read and compare, as far as every costly operation of the
//! engine's is known. This is the net below: what still takes far longer than any template that ends is given up. It only ever
//! makes an error, never another text, and counts the time of the thread's own computing, so that a busy machine is no reason.

use std::cell::Cell;
use std::time::Duration;

use minijinja::Error;
use rustix::time::{ClockId, clock_gettime};

use super::invalid;

/// The longest time; all of a template's fuel lasts for some seconds at most.
const MAX_TIME: Duration = Duration::from_secs(20);
/// Asking for the time costs more than most operations, so it is asked for at every so many.
const EVERY: u32 = 16;

thread_local! {
    /// When the thread began to fill a template, by its own clock.
    static BEGUN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Operations since then.
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Begins with a template.
pub fn begin() {
    BEGUN.set(now());
    COUNT.set(0);
}

/// To be called for every operation that may be costly.
///
/// # Errors
/// The time is over.
pub fn check() -> Result<(), Error> {
    within(MAX_TIME)
}

fn within(most: Duration) -> Result<(), Error> {
    let count = COUNT.get().wrapping_add(1);
    COUNT.set(count);
    if !count.is_multiple_of(EVERY) || now().saturating_sub(BEGUN.get()) <= most {
        return Ok(());
    }
    let seconds = most.as_secs();
    Err(invalid(format!(
        "expected a template that is filled in at most {seconds} s, found one that takes longer"
    )))
}

/// The time that this thread has been computing.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_given_up() {
        begin();
        let little = Duration::from_millis(20);
        let mut steps = 0_u64;
        while (0..EVERY).all(|_| within(little).is_ok()) {
            steps += 1;
        }
        assert!(steps > 0 && now() - BEGUN.get() > little);
        (0..1000).for_each(|_| check().unwrap());
        begin();
        (0..EVERY).for_each(|_| within(little).unwrap());
    }
}
