//! Whether programs that models wrote may be run.

use std::path::PathBuf;

use crate::run::Code;

/// Whether programs that models wrote may be run.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CodeFlags {
    /// Run the programs that models write, each in a sandbox: no network, nothing of the disk, limits on memory, time,
    /// processes and output
    #[arg(long, aliases = ["confirm_run_unsafe_code", "confirm-run-unsafe-code"])]
    pub allow_code: bool,
    /// The interpreter of these programs [default: python3 on PATH]
    #[arg(long, value_name = "PATH", requires = "allow_code")]
    pub python: Option<PathBuf>,
}

impl CodeFlags {
    /// As a run is told.
    pub fn code(&self) -> Code {
        Code { allow: self.allow_code, python: self.python.clone() }
    }
}
