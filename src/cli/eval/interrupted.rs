//! Ctrl-C and SIGTERM: the work ends at a place where nothing is torn, and the command that goes on is said.

use std::path::Path;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Args;
use crate::base::stop::Stop;
use crate::cli::exit::{INTERRUPTED, Interrupted};
use crate::run::{RunError, Stopped};

/// The first signal asks for the end; a second one, and any while nobody would hear it, ends the program at once.
pub fn listen(stop: &Stop) -> anyhow::Result<()> {
    let all = || {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal must not find what it sets itself.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), stop.unheeded())?;
            flag::register(signal, stop.unheeded())?;
            flag::register(signal, stop.requested())?;
        }
        Ok::<(), std::io::Error>(())
    };
    all().context("cannot listen to signals")
}

/// A run that was stopped says what it keeps, and how to go on.
pub fn explained(error: RunError, args: &Args) -> anyhow::Error {
    let RunError::Stopped(stopped) = error else { return error.into() };
    let Stopped { folder, .. } = &*stopped;
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let command = going_on(&words, args.out.is_none().then_some(folder), args.resume);
    Interrupted(format!("{stopped}\ngo on with:\n  {command}")).into()
}

/// The command line that goes on: the same words, and the run's folder where they do not name it.
fn going_on(words: &[String], folder: Option<&Path>, resumes: bool) -> String {
    let mut more: Vec<String> = Vec::new();
    if let Some(folder) = folder {
        more.extend(["--out".to_owned(), folder.display().to_string()]);
    }
    if !resumes {
        more.push("--resume".to_owned());
    }
    // After a lone -- everything is a model.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let all = words[..end].iter().chain(&more).chain(&words[end..]);
    all.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:=@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_command_that_goes_on_is_the_same_with_the_run_s_folder() {
        let begun = words(&["zoo", "eval", "my model", "--suite", "a,b", "--system-instruction", "Don't."]);
        let expected =
            r"zoo eval 'my model' --suite a,b --system-instruction 'Don'\''t.' --out reports/x --resume";
        assert_eq!(going_on(&begun, Some(Path::new("reports/x")), false), expected);
        let resumed = words(&["./zoo", "eval", "m", "-s", "a", "-o", "out", "--resume"]);
        assert_eq!(going_on(&resumed, None, true), "./zoo eval m -s a -o out --resume");
        let last = words(&["zoo", "eval", "-s", "a", "-o", "out", "--", "-m"]);
        assert_eq!(going_on(&last, None, false), "zoo eval -s a -o out --resume -- -m");
        assert_eq!(
            (quoted(""), quoted("$HOME"), quoted("a b")),
            ("''".into(), "'$HOME'".into(), "'a b'".into())
        );
    }
}
