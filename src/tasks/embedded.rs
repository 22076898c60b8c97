//! The files of `evals/` that are part of the binary; the table is written by `build.rs`.

/// Every embedded file as (path below `evals/`, text), sorted by path: suites and small data sets.
pub fn files() -> &'static [(&'static str, &'static str)] {
    // A static, so that the texts stand in the binary once however many callers this is inlined into.
    static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/evals_files.rs"));
    FILES
}

/// The text of an embedded file.
pub fn file(path: &str) -> Option<&'static str> {
    files().iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
}
