//! Notes and warnings on stderr, beside the results.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::Global;

/// Warnings by default, more with `-v`, only errors with `--quiet`; `ZOO_LOG` has the last word (`debug`,
/// `zoo::engine=trace,warn`).
pub fn init(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "zoo=debug,info",
        (false, _) => "zoo=trace,debug",
    };
    let own = std::env::var("ZOO_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = own.unwrap_or_else(|| level.parse().expect("each of these is a filter"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // No clock on notes that a person reads as they appear.
    let notes = fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false).without_time();
    // A second call (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(notes).try_init();
}
