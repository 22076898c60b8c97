//! The two helper processes, on Linux.

mod enter;
mod privileges;
mod root;
mod supervise;
mod syscalls;
mod watch;

pub use enter::enter;
pub use supervise::supervise;

/// Says of an error what was being done.
trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, String>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, String> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
