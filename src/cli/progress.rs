//! Progress bars on stderr, only on a terminal.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Global;
use crate::base::progress::{Progress, Unit};

/// A bar with rate and time left; silent with `--quiet` or when stderr is not a terminal.
pub fn bar(global: &Global) -> Bar {
    Bar { shown: !global.quiet && std::io::stderr().is_terminal(), current: Mutex::new(None) }
}

/// See [`bar`].
pub struct Bar {
    shown: bool,
    current: Mutex<Option<ProgressBar>>,
}

impl Bar {
    fn with(&self, f: impl FnOnce(&mut Option<ProgressBar>)) {
        f(&mut self.current.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    }
}

/// Units a second without the digits that flicker.
fn whole_rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    let _ = write!(out, "{:.0}/s", state.per_sec());
}

impl Progress for Bar {
    fn begin(&self, what: &str, total: Option<u64>, unit: Unit) {
        if !self.shown {
            return;
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match (unit, total) {
            (Unit::Bytes, Some(_)) => "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
            (Unit::Bytes, None) => "{msg} {spinner} {bytes} {bytes_per_sec}",
            (Unit::Tokens, Some(_)) => "{msg} {bar:30} {human_pos}/{human_len} tokens {rate} {eta} left",
            (Unit::Items, Some(_)) => "{msg} {bar:30} {human_pos}/{human_len} {rate} {eta} left",
            (_, None) => "{msg} {spinner} {human_pos} {rate}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─").with_key("rate", whole_rate));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        self.with(|current| *current = Some(bar));
    }

    fn advance(&self, n: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.inc(n);
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish_and_clear();
            }
        });
    }
}
