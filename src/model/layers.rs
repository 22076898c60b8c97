//! The blocks of a network: in memory, or read from the disk for every pass, one ahead of the one that computes.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::ModelError;

/// Threads that read and pack the next block. They wait for the disk most of the time.
const READERS: usize = 2;

/// Where the blocks are between two passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Residence {
    /// In memory, in the form that products take.
    #[default]
    Memory,
    /// In their files: each block is read once per pass, and two are in memory at a time.
    Disk,
}

/// Reads the block of a number.
pub type ReadLayer<L> = Box<dyn Fn(usize) -> Result<L, ModelError> + Send + Sync>;

/// The blocks of a network, in order.
pub enum Layers<L> {
    /// All of them in memory.
    Resident(Vec<L>),
    /// Read when they are needed.
    Streamed {
        /// How many there are.
        count: usize,
        /// Reads one.
        read: ReadLayer<L>,
        /// The threads that do.
        readers: rayon::ThreadPool,
    },
}

impl<L: Send + Sync> Layers<L> {
    /// Blocks `0..count`, each given by `read`.
    ///
    /// # Errors
    /// Those of `read`; with [`Residence::Disk`] the first block is read and dropped, so that what is wrong with a file is
    /// likely to be said before anything is computed.
    pub fn new(count: usize, residence: Residence, read: ReadLayer<L>) -> Result<Self, ModelError> {
        match residence {
            Residence::Memory => Ok(Layers::Resident((0..count).map(read).collect::<Result<_, _>>()?)),
            Residence::Disk => {
                if count > 0 {
                    read(0)?;
                }
                let readers = rayon::ThreadPoolBuilder::new().num_threads(READERS).build();
                let readers = readers.map_err(|error| ModelError::Threads { reason: error.to_string() })?;
                Ok(Layers::Streamed { count, read, readers })
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Layers::Resident(layers) => layers.len(),
            Layers::Streamed { count, .. } => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `work` with every block in order, and with the time that was spent on waiting for it. A block that is read from
    /// the disk is read while the one before it computes.
    ///
    /// # Errors
    /// Blocks that cannot be read, and [`ModelError::Stopped`] if `work` breaks off.
    pub fn for_each(&self, mut work: impl FnMut(&L, Duration) -> ControlFlow<()>) -> Result<(), ModelError> {
        let mut work = |layer: &L, waited| match work(layer, waited) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ModelError::Stopped),
        };
        let (count, read, readers) = match self {
            Layers::Resident(layers) => {
                return layers.iter().try_for_each(|layer| work(layer, Duration::ZERO));
            }
            Layers::Streamed { count, read, readers } => (*count, read, readers),
        };
        std::thread::scope(|scope| {
            // No place in between: a block that was read waits in the reader's hands until the one before it is done.
            let (give, take) = mpsc::sync_channel(0);
            scope.spawn(move || {
                for index in 0..count {
                    let layer = readers.install(|| read(index));
                    let failed = layer.is_err();
                    // The other side is gone once it has seen an error or panicked.
                    if give.send(layer).is_err() || failed {
                        return;
                    }
                }
            });
            // A block is dropped before the next one is taken.
            for _ in 0..count {
                let asked = Instant::now();
                let layer = take.recv().expect("the reader gives every block, or an error");
                work(&layer?, asked.elapsed())?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A block that counts itself while it is in memory.
    struct Counted(usize, Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn layers(
        residence: Residence,
        fails_at: usize,
    ) -> (Result<Layers<Counted>, ModelError>, Arc<AtomicUsize>) {
        let alive = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&alive);
        let read = move |index| {
            if index == fails_at {
                return Err(ModelError::Threads { reason: "a file that is cut".to_owned() });
            }
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(Counted(index, Arc::clone(&counter)))
        };
        (Layers::new(9, residence, Box::new(read)), alive)
    }

    #[test]
    fn blocks_come_in_order_and_two_are_in_memory() {
        let (streamed, alive) = layers(Residence::Disk, 9);
        let streamed = streamed.unwrap();
        for _ in 0..2 {
            let mut seen = Vec::new();
            streamed
                .for_each(|layer, _| {
                    std::thread::sleep(Duration::from_millis(2));
                    assert!(alive.load(Ordering::SeqCst) <= 2);
                    seen.push(layer.0);
                    ControlFlow::Continue(())
                })
                .unwrap();
            assert_eq!((seen, alive.load(Ordering::SeqCst)), ((0..9).collect(), 0));
        }
        let (resident, alive) = layers(Residence::Memory, 9);
        let mut seen = Vec::new();
        let resident = resident.unwrap();
        let mut see = |layer: &Counted, waited: Duration| {
            seen.push(layer.0);
            assert_eq!(waited, Duration::ZERO, "a block in memory is there");
            ControlFlow::Continue(())
        };
        resident.for_each(&mut see).unwrap();
        drop(resident);
        assert_eq!((seen.len(), alive.load(Ordering::SeqCst)), (9, 0));
    }

    #[test]
    fn a_block_that_cannot_be_read_ends_the_pass() {
        let (streamed, _) = layers(Residence::Disk, 4);
        let mut seen = 0;
        let result = streamed.unwrap().for_each(|_, _| {
            seen += 1;
            ControlFlow::Continue(())
        });
        assert!(result.unwrap_err().to_string().contains("cut") && seen == 4);
        assert!(layers(Residence::Disk, 0).0.is_err() && layers(Residence::Memory, 8).0.is_err());
    }

    #[test]
    fn a_pass_can_be_broken_off_between_two_blocks() {
        for residence in [Residence::Memory, Residence::Disk] {
            let (layers, alive) = layers(residence, 9);
            let layers = layers.unwrap();
            let mut seen = 0;
            let result = layers.for_each(|_, _| {
                seen += 1;
                if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert!(matches!(result, Err(ModelError::Stopped)) && seen == 3);
            // What was read ahead is gone, and the next pass begins anew.
            assert_eq!(alive.load(Ordering::SeqCst), if residence == Residence::Memory { 9 } else { 0 });
            layers.for_each(|_, _| ControlFlow::Continue(())).unwrap();
        }
    }

    #[test]
    fn waiting_for_the_disk_is_measured() {
        let slow = Duration::from_millis(20);
        let read = move |_| {
            std::thread::sleep(slow);
            Ok(())
        };
        let layers = Layers::new(4, Residence::Disk, Box::new(read)).unwrap();
        let waited = || {
            let mut waited = Duration::ZERO;
            let see = |&(): &(), time: Duration| {
                waited += time;
                ControlFlow::Continue(())
            };
            layers.for_each(see).unwrap();
            waited
        };
        // A machine that does something else between two blocks waits less: not in every pass.
        assert!((0..50).any(|_| waited() >= 3 * slow));
    }
}
