//! Notes and warnings on stderr, beside the results.

use std::fmt;
use std::io::IsTerminal;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use super::Global;
use crate::base::printable::{WHOLE, printable};

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
    let in_colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let notes = layer().with_writer(std::io::stderr).event_format(Notes { in_colour });
    // A second call (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(notes).try_init();
}

/// The level and the words. No clock, on notes that a person reads as they appear.
struct Notes {
    in_colour: bool,
}

impl<S, N> FormatEvent<S, N> for Notes
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut words = String::new();
        context.field_format().format_fields(Writer::new(&mut words), event)?;
        let words = printable(&words, WHOLE);
        let level = *event.metadata().level();
        if !self.in_colour {
            return writeln!(writer, "{level:>5} {words}");
        }
        let colour = match level {
            Level::ERROR => 31,
            Level::WARN => 33,
            Level::INFO => 32,
            Level::DEBUG => 34,
            Level::TRACE => 35,
        };
        writeln!(writer, "\u{1b}[{colour}m{level:>5}\u{1b}[0m {words}")
    }
}
