//! Whether long work is to end early, because somebody asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish that work looks for at places where nothing is lost; all clones are one.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    unheeded: Arc<AtomicBool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { requested: Arc::default(), unheeded: Arc::new(AtomicBool::new(true)) }
    }
}

impl Stop {
    /// Asks for the end.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked for it.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// From now on until what is returned is dropped the work looks for the wish again and again.
    #[must_use]
    pub fn heed(&self) -> Heeding<'_> {
        self.unheeded.store(false, Ordering::SeqCst);
        Heeding(self)
    }

    /// Set by whoever asks, in a signal handler perhaps.
    pub fn requested(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.requested)
    }

    /// Whether nobody looks, so that who asks has to end the program itself.
    pub fn unheeded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.unheeded)
    }
}

/// See [`Stop::heed`].
#[derive(Debug)]
pub struct Heeding<'a>(&'a Stop);

impl Drop for Heeding<'_> {
    fn drop(&mut self) {
        self.0.unheeded.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_heeded_while_somebody_looks() {
        let stop = Stop::default();
        let unheeded = || stop.unheeded().load(Ordering::SeqCst);
        assert!(unheeded() && !stop.is_requested());
        let heeding = stop.heed();
        assert!(!unheeded());
        stop.clone().request();
        assert!(stop.is_requested());
        drop(heeding);
        assert!(unheeded());
    }
}
