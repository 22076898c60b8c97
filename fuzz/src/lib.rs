//! What all fuzz targets share: a reader of `zoo::fuzzing`, run with its memory counted.

mod memory;

/// Bytes that a reader may hold at a time: a multiple of its input, beside what small inputs may cost.
const MULTIPLE: usize = 64;
const SMALL: usize = 8 << 20;

/// Runs the reader called `name` on an input.
///
/// # Panics
/// If it breaks a promise, or holds more memory than inputs of this length are worth.
pub fn check(name: &str, bytes: &[u8]) {
    let target = zoo::fuzzing::target(name).unwrap_or_else(|| panic!("no reader is called {name}"));
    let peak = memory::peak_during(|| {
        (target.run)(bytes);
    });
    let limit = SMALL + MULTIPLE * bytes.len();
    assert!(peak <= limit, "{peak} bytes of memory for {} of input, more than {limit}", bytes.len());
}
