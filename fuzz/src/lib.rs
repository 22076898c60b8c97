//! What all fuzz targets share: a reader of `zoo::fuzzing`, run with its memory counted.

mod memory;

use zoo::fuzzing::FuzzTarget;

/// Bytes that a reader may hold at a time: a multiple of its input, beside what small inputs may cost.
const MULTIPLE: usize = 64;
const SMALL: usize = 8 << 20;
/// A `tokenizer.json` may have 16 patterns, and the `regex` crate limits each of several programs for one to 10 MB.
const PATTERNS: usize = 640 << 20;
/// What a template may make before its fuel is used up, and the text that it writes.
const TEMPLATES: usize = 512 << 20;

/// Runs a reader on an input.
///
/// # Panics
/// If it breaks a promise, or holds more memory than inputs of this length are worth.
pub fn check(target: FuzzTarget, bytes: &[u8]) {
    let peak = memory::peak_during(|| {
        (target.run)(bytes);
    });
    let fixed = match target.name {
        "tokenizer_json" => PATTERNS,
        "chat_template" | "task_template" => TEMPLATES,
        _ => SMALL,
    };
    let limit = fixed + MULTIPLE * bytes.len();
    assert!(peak <= limit, "{peak} bytes of memory for {} of input, more than {limit}", bytes.len());
}
