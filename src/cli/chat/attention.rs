//! Ctrl-C: it stops an answer and not the program.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::base::stop::Stop;
use crate::cli::exit::{INTERRUPTED, Interrupted};
use crate::cli::screen;

/// What goes on when a signal comes.
#[derive(Clone)]
enum State {
    /// Models are opened: a signal ends the program.
    Opening,
    /// A message is awaited. A line editor has the terminal, and takes Ctrl-C for itself.
    Waiting,
    /// An answer is written.
    Answering(Stop),
}

/// Who listens to signals.
pub struct Attention(Arc<Mutex<State>>);

impl Attention {
    /// Listens from now on. `is_spoken_with` is whether a person sits at a terminal: else Ctrl-C ends the program once an answer
    /// is stopped, which the program sees to by itself.
    ///
    /// # Errors
    /// A system without signals.
    pub fn new(is_spoken_with: bool) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State::Opening));
        let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
        let terminal = is_spoken_with.then(|| tcgetattr(std::io::stdin()).ok()).flatten();
        let own = Arc::clone(&state);
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let state = own.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match state {
                    State::Answering(stop) if signal == SIGINT => drop(stop.request()),
                    // The answer was there before the signal.
                    State::Waiting if signal == SIGINT && is_spoken_with => {}
                    _ => end(terminal.as_ref()),
                }
            }
        });
        Ok(Self(state))
    }

    /// A message is awaited.
    pub fn wait(&self) {
        self.set(State::Waiting);
    }

    /// An answer is written until this is asked to stop.
    pub fn answer(&self, stop: &Stop) {
        self.set(State::Answering(stop.clone()));
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Ends the program at once, with the terminal as it was.
fn end(terminal: Option<&Termios>) -> ! {
    if let Some(terminal) = terminal {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, terminal);
        // Pasted text comes as it is again.
        let _ = screen::print_as_it_is("\u{1b}[?2004l");
    }
    screen::say(&Interrupted("the conversation is at its end".to_owned()).to_string());
    low_level::exit(INTERRUPTED.into());
}
