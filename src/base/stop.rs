//! Whether long work is to end early, because somebody asked for it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A wish that work looks for at places where nothing is lost; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requested: AtomicBool,
    heeded: AtomicBool,
    kept_in: OnceLock<PathBuf>,
}

impl Stop {
    /// Asks for the end; whether the work will end by itself now. It will not where nobody looks, nor where it was asked before
    /// and takes its time: whoever asks has to end the program then.
    pub fn request(&self) -> bool {
        let is_first = !self.0.requested.swap(true, Ordering::SeqCst);
        is_first && self.0.heeded.load(Ordering::SeqCst)
    }

    /// Whether somebody has asked for it.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// From now on until what is returned is dropped the work looks for the wish again and again.
    #[must_use]
    pub fn heed(&self) -> Heeding<'_> {
        self.0.heeded.store(true, Ordering::SeqCst);
        Heeding(self)
    }

    /// From now on what the work has done is kept in this folder, the first one that is named.
    pub fn keep_in(&self, folder: &Path) {
        self.0.kept_in.get_or_init(|| folder.to_owned());
    }

    /// The folder that keeps what the work has done; `None` before it has begun one.
    pub fn kept_in(&self) -> Option<&Path> {
        self.0.kept_in.get().map(PathBuf::as_path)
    }
}

/// See [`Stop::heed`].
#[derive(Debug)]
pub struct Heeding<'a>(&'a Stop);

impl Drop for Heeding<'_> {
    fn drop(&mut self) {
        self.0.0.heeded.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_heeded_once_and_while_somebody_looks() {
        let stop = Stop::default();
        let heeding = stop.heed();
        assert!(!stop.is_requested() && stop.clone().request());
        assert!(stop.is_requested() && !stop.request(), "a second wish is for the end at once");
        drop(heeding);
        let unheeded = Stop::default();
        drop(unheeded.heed());
        assert!(!unheeded.request() && unheeded.is_requested());
    }

    #[test]
    fn the_folder_that_keeps_the_work_is_known_from_its_beginning() {
        let stop = Stop::default();
        assert_eq!(stop.kept_in(), None);
        stop.clone().keep_in(Path::new("run"));
        assert_eq!(stop.kept_in(), Some(Path::new("run")));
    }
}
