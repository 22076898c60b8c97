//! `/save`: the conversation in a file, complete or absent, and never in place of another one unasked.

use std::path::Path;

use anyhow::{Context, bail};

use crate::base::atomic::write_atomically;
use crate::cli::exit::Usage;
use crate::run::Chat;

/// Writes the conversation and says where it is.
///
/// # Errors
/// A file that is there and is not to be replaced, and one that cannot be written.
pub fn save(chat: &Chat, file: &Path, replaces: bool) -> anyhow::Result<String> {
    let name = file.display();
    if file.is_dir() {
        bail!(Usage(format!("/save {name}: expected the name of a file, found a folder")));
    }
    let is_there = file.symlink_metadata().is_ok();
    if is_there && !replaces {
        bail!(Usage(format!(
            "/save {name}: there is such a file already; /save! {name} writes in its place"
        )));
    }
    let text = chat.transcript()?.for_file(file);
    write_atomically(file, text.as_bytes())
        .with_context(|| format!("the conversation cannot be saved in {name}"))?;
    let how = if is_there { "saved in place of what was in" } else { "saved in" };
    Ok(format!("{how} {name}"))
}
