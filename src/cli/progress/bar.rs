//! The bar of a terminal: one line that is drawn anew, as wide as the terminal is now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::state::State;
use super::text;

/// Columns of a terminal that does not tell.
const COLUMNS: u16 = 80;

/// A bar that shows `state`, whose times count from `start`, until it is cleared.
pub fn draw(state: &Arc<Mutex<State>>, start: Instant) -> ProgressBar {
    let state = Arc::clone(state);
    let line = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        // A terminal wraps a line that fills its last column.
        let _ = out.write_str(&text::bar(&state, start.elapsed(), usize::from(columns()) - 1));
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{line}").expect("a template of one key").with_key("line", line),
    );
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn columns() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| size.ws_col).filter(|&columns| columns > 0).unwrap_or(COLUMNS)
}
