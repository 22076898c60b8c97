//! Peaks of the machine, and the speed of a network against them.
//!
//! [`Peaks`] are what the processor and its memory do at most, measured with loops that do nothing else. A [`BenchModel`] is a
//! model, of files or of random weights in some shape; its [`prefill`] and [`decode`] are timed and compared with the time that
//! the same operations, or the same bytes, take at the peak. All of it becomes [`Measurement`]s.

mod disk;
mod error;
mod goes;
mod measurement;
mod peaks;
mod peers;
mod random;
mod shapes;
mod speed;
mod subject;

pub use disk::read_speed;
pub use error::BenchError;
pub use goes::Goes;
pub use measurement::{Exceeded, Measurement, compare, measurements, raise_peaks, read_lines};
pub use peaks::{MEASUREMENTS, Peaks};
pub use peers::{Beside, PeerSpeed, beside, comparison, read_peers};
pub use random::RandomTensors;
pub use shapes::{SHAPES, shape};
pub use speed::{decode, operations, prefill};
pub use subject::BenchModel;
