//! Ctrl-C and SIGTERM: what is kept is said, and how to go on.

use std::path::Path;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::exit::{INTERRUPTED, Interrupted};
use super::screen;
use crate::base::shell::quoted;
use crate::base::stop::Stop;
use crate::hub::HubConfig;
use crate::store::place_of_work;

/// The first signal asks for the end; a second one, and any while nobody looks for it, ends the program at once with what `say`
/// makes of the folder that keeps what was done.
pub fn listen(stop: &Stop, say: impl Fn(Option<&Path>) -> String + Send + 'static) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot listen to signals")?;
    let stop = stop.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !stop.request() {
                screen::say(&say(stop.kept_in()));
                // Nothing is torn down below the threads that are at work.
                low_level::exit(INTERRUPTED.into());
            }
        }
    });
    Ok(())
}

/// Listens for a verb that keeps on the disk what it has done and goes on if it is given again: a signal ends it at once, with
/// what `kept` says then.
pub fn listen_for_again(kept: impl Fn() -> String + Send + 'static) -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
    let again = words.join(" ");
    listen(&Stop::default(), move |_| Interrupted(format!("{}\ngo on with:\n  {again}", kept())).to_string())
}

/// What is kept of files that come from the hub.
pub fn kept_in_cache(config: &HubConfig) -> String {
    let home = config.home.display();
    format!("what was fetched until now is kept in {home}, and what broke off goes on where it was")
}

/// What is kept of a model that is being written to `out`; `resumes` says whether its writer goes on with it.
pub fn kept_of(out: &Path, resumes: bool) -> String {
    match place_of_work(out).filter(|place| place.exists()) {
        None => format!("nothing is written to {} yet", out.display()),
        Some(place) if resumes => {
            format!("the tensors that were written until now are kept in {}", place.display())
        }
        Some(place) => format!(
            "{} is not written; what there is of it in {} is removed by the next call, which begins anew",
            out.display(),
            place.display()
        ),
    }
}
