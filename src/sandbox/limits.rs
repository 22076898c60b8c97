//! What a generated program may use.

use serde::{Deserialize, Serialize};

/// Limits of one program. They decide its verdict, so they are part of what a verdict is remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds from the program's first line to the end of its tests.
    pub seconds: f64,
    /// Bytes: of addresses in one process, and of memory in use over all of them.
    pub memory: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// Bytes of all its files together, which are in memory; of one file as well.
    pub file_bytes: u64,
    /// Files and folders.
    pub files: u64,
    /// Bytes printed, to standard output and standard error together.
    pub output: u64,
    /// Bytes of the program itself, with its tests.
    pub program: u64,
}

impl Default for Limits {
    /// Three seconds are those of HumanEval and of the reference harness; the others are far beyond what a solution needs.
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            seconds: 3.0,
            memory: 1024 * MIB,
            processes: 64,
            open_files: 128,
            file_bytes: 64 * MIB,
            files: 4096,
            output: 16 * MIB,
            program: MIB,
        }
    }
}
