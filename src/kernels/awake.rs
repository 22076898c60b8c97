//! Many short products in a row, without falling asleep between them.
//!
//! A decoding step is some two hundred products of some ten microseconds each. A thread of the pool that finds no work goes to
//! sleep, and waking it takes as long as such a product; whoever asks for a product from outside of the pool sleeps too. Here
//! the whole step is a job of the pool, and its other threads look for pieces of it until it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::Yield;

/// A thread that found nothing for so long may sleep: what is under way is not made of short pieces.
const PATIENCE: Duration = Duration::from_millis(1);
/// How often a thread looks for work before it lets others have the processor.
const LOOKS: u32 = 64;

/// Does `work` as a job of the thread pool, whose other threads stay awake for it.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let done = Done(Arc::new(AtomicBool::new(false)));
        if rayon::current_num_threads() > 1 {
            let (own, done) = (rayon::current_thread_index(), Arc::clone(&done.0));
            rayon::spawn_broadcast(move |thread| {
                if Some(thread.index()) != own {
                    help(&done);
                }
            });
        }
        work()
    })
}

/// Says that the work is done, however it ended.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes pieces of whatever work there is.
fn help(done: &AtomicBool) {
    let mut idle = Instant::now();
    let mut looks = 0;
    while !done.load(Ordering::Relaxed) {
        if rayon::yield_now() == Some(Yield::Executed) {
            (idle, looks) = (Instant::now(), 0);
            continue;
        }
        looks += 1;
        if looks % LOOKS != 0 {
            std::hint::spin_loop();
        } else if idle.elapsed() < PATIENCE {
            std::thread::yield_now();
        } else {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn work_is_done_once_inside_and_outside_of_a_pool() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let work = || {
                (0..50usize)
                    .into_par_iter()
                    .map(|i| awake(|| (0..i).into_par_iter().sum::<usize>()))
                    .sum::<usize>()
            };
            let expected: usize = (0..50).map(|i| (0..i).sum::<usize>()).sum();
            assert_eq!(pool.install(|| awake(work)), expected);
            assert_eq!(awake(work), expected);
        }
    }

    #[test]
    fn calls_from_many_threads_end() {
        let calls = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        awake(|| {
                            (0..8).into_par_iter().for_each(|_| {
                                calls.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(calls.into_inner(), 8 * 20 * 8);
    }

    #[test]
    fn a_panic_comes_through_and_leaves_the_pool_whole() {
        let panicked = std::panic::catch_unwind(|| awake(|| panic!("as a test")));
        assert!(panicked.is_err());
        assert_eq!(awake(|| (0..100).into_par_iter().count()), 100);
    }
}
