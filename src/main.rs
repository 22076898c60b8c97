//! The `zoo` command.

use std::process::ExitCode;

/// Reading task files and texts is mostly small allocations, from all threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    zoo::cli::main()
}
