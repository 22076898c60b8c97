//! Ctrl-C and SIGTERM: the work ends at a place where nothing is torn, and the command that goes on is said.

use std::path::Path;

use super::Args;
use crate::base::shell::quoted;
use crate::base::stop::Stop;
use crate::cli::exit::Interrupted;
use crate::cli::interrupted::listen;
use crate::hub::zoo_home;
use crate::records::ledger::LEDGER_FOLDER;
use crate::run::{RunError, Stopped};

/// Listens for a run; see [`listen`].
pub fn listen_for(stop: &Stop, args: &Args) -> anyhow::Result<()> {
    let typed = Typed::of(args);
    listen(stop, move |begun| at_once(begun, &typed).to_string())
}

/// A run that was stopped says what it keeps, and how to go on.
pub fn explained(error: RunError, args: &Args) -> anyhow::Error {
    let RunError::Stopped(stopped) = error else { return error.into() };
    let Stopped { folder, .. } = &*stopped;
    interrupted(&stopped.to_string(), Some(folder), &Typed::of(args)).into()
}

/// What is said where nobody looks for the wish: while data, models and prompts are fetched and prepared, and while tables are
/// written. `begun` is the folder of the run, if there is one yet.
fn at_once(begun: Option<&Path>, typed: &Typed) -> Interrupted {
    let kept = match (begun, zoo_home()) {
        (Some(folder), _) => {
            format!("the scores until now are kept in {}", folder.join(LEDGER_FOLDER).display())
        }
        (None, Ok(home)) => format!(
            "nothing is scored yet; what was fetched and built until now is kept in {}, and what broke off goes on where it was",
            home.display()
        ),
        (None, Err(_)) => "nothing is scored yet".to_owned(),
    };
    interrupted(&kept, begun, typed)
}

fn interrupted(kept: &str, begun: Option<&Path>, typed: &Typed) -> Interrupted {
    Interrupted(format!("{kept}\ngo on with:\n  {}", typed.going_on(begun)))
}

/// The command line as it was typed.
struct Typed {
    words: Vec<String>,
    /// Whether it names the folder of the run.
    names_folder: bool,
    /// Whether it goes on with a run already.
    resumes: bool,
}

impl Typed {
    fn of(args: &Args) -> Self {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        Self { words, names_folder: args.out.is_some(), resumes: args.resume }
    }

    /// The command line that goes on: the same words, with what makes a run that has begun be resumed.
    fn going_on(&self, begun: Option<&Path>) -> String {
        let Self { words, names_folder, resumes } = self;
        let mut more: Vec<String> = Vec::new();
        if let Some(folder) = begun {
            if !names_folder {
                more.extend(["--out".to_owned(), folder.display().to_string()]);
            }
            if !resumes {
                more.push("--resume".to_owned());
            }
        }
        // After a lone -- everything is a model.
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let all = words[..end].iter().chain(&more).chain(&words[end..]);
        all.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(words: &[&str]) -> Typed {
        let has = |flag: &str| words.contains(&flag);
        let (names_folder, resumes) = (has("-o"), has("--resume"));
        Typed { words: words.iter().map(|word| (*word).to_owned()).collect(), names_folder, resumes }
    }

    #[test]
    fn the_command_that_goes_on_is_the_same_with_the_run_s_folder() {
        let begun = Some(Path::new("reports/x"));
        let first = typed(&["zoo", "eval", "my model", "--suite", "a,b", "--system-instruction", "Don't."]);
        let expected =
            r"zoo eval 'my model' --suite a,b --system-instruction 'Don'\''t.' --out reports/x --resume";
        assert_eq!(first.going_on(begun), expected);
        let resumed = typed(&["./zoo", "eval", "m", "-s", "a", "-o", "out", "--resume"]);
        assert_eq!(resumed.going_on(begun), "./zoo eval m -s a -o out --resume");
        let last = typed(&["zoo", "eval", "-s", "a", "-o", "out", "--", "-m"]);
        assert_eq!(last.going_on(begun), "zoo eval -s a -o out --resume -- -m");
    }

    #[test]
    fn what_has_not_begun_is_given_again_as_it_was() {
        let typed = typed(&["zoo", "eval", "m", "-s", "a", "-o", "out"]);
        assert_eq!(typed.going_on(None), "zoo eval m -s a -o out");
        let said = at_once(None, &typed).to_string();
        assert!(
            said.contains("nothing is scored yet") && said.ends_with("go on with:\n  zoo eval m -s a -o out")
        );
        let said = at_once(Some(Path::new("out")), &typed).to_string();
        assert!(said.contains("kept in out/ledger") && said.ends_with("-o out --resume"), "{said}");
    }
}
