//! What is typed: a message for the models, or a word for the program.

use std::path::PathBuf;

use crate::base::names::{nearest, nearest_words};

/// What is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A message.
    Say(String),
    /// A new system message; `None` asks for the one that there is.
    System(Option<String>),
    /// All that was said is forgotten.
    Reset,
    /// The conversation goes to a file, also in place of one that is there if that is said.
    Save { file: PathBuf, replaces: bool },
    /// Whether speeds are said changes.
    Speed,
    /// The words of this list.
    Help,
    /// The end.
    Exit,
    /// Nothing.
    Nothing,
}

/// The words, each with what it takes and what it does.
const WORDS: [(&str, &str, &str); 7] = [
    ("/system", "[TEXT]", "make TEXT the system message, for all that was said too; without TEXT, show it"),
    ("/reset", "", "forget all that was said"),
    ("/save", "FILE", "write the conversation to FILE: as Markdown if it ends in .md, else as JSON"),
    ("/save!", "FILE", "the same in place of a file that is there"),
    ("/speed", "", "say after each answer how fast it came, or no more"),
    ("/help", "", "show this"),
    ("/exit", "", "end the program, as Ctrl-D does"),
];

/// Other words for the same.
const OTHERS: [(&str, &str); 4] =
    [("/bye", "/exit"), ("/quit", "/exit"), ("/clear", "/reset"), ("/?", "/help")];

/// How short a word may be for another to be like it, from 0 to 1.
const LIKENESS: f64 = 0.7;

impl Command {
    /// What a person means by this.
    ///
    /// # Errors
    /// A word that is not known or lacks something, in words.
    pub fn read(typed: &str) -> Result<Self, String> {
        let text = typed.trim();
        let Some(rest) = text.strip_prefix('/') else {
            return Ok(if text.is_empty() { Self::Nothing } else { Self::Say(message(text)) });
        };
        if rest.starts_with('/') {
            return Ok(Self::Say(rest.to_owned()));
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let word = OTHERS.iter().find(|(other, _)| *other == word).map_or(word, |(_, word)| word);
        let alone = |command| match rest {
            "" => Ok(command),
            _ => Err(format!("{word} takes nothing more, found {rest:?}")),
        };
        match word {
            "/system" => Ok(Self::System(Some(message(rest)).filter(|text| !text.is_empty()))),
            "/reset" => alone(Self::Reset),
            "/save" | "/save!" if rest.is_empty() => Err(format!("{word}: expected the name of a file")),
            "/save" | "/save!" => Ok(Self::Save { file: PathBuf::from(rest), replaces: word == "/save!" }),
            "/speed" => alone(Self::Speed),
            "/help" => alone(Self::Help),
            "/exit" => alone(Self::Exit),
            _ => {
                let near = nearest_words(&nearest(word, words(), LIKENESS));
                Err(format!(
                    "{word} is not known{near}; /help lists what is, and //… is a message that begins with /"
                ))
            }
        }
    }
}

/// The words that are known.
pub fn words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, ..)| *word)
}

/// The list of words.
pub fn help() -> String {
    let line =
        |(word, takes, does): &(&str, &str, &str)| format!("  {:<16}{does}\n", format!("{word} {takes}"));
    let words: String = WORDS.iter().map(line).collect();
    format!(
        "{words}  Ctrl-C          stop an answer\n  Ctrl-D          end the program\n\
         A line that ends in a backslash goes on in the next one, and so does all between two \"\"\".\n\
         //… is a message that begins with /."
    )
}

/// Whether more has to come before this is a message.
pub fn is_open(typed: &str) -> bool {
    let text = typed.trim();
    match text.strip_prefix(QUOTES) {
        Some(rest) => !rest.ends_with(QUOTES),
        None => typed.ends_with('\\'),
    }
}

/// Between two of these a message may have several lines.
const QUOTES: &str = "\"\"\"";

/// The message in what is typed.
fn message(text: &str) -> String {
    match text.strip_prefix(QUOTES) {
        Some(quoted) => quoted.strip_suffix(QUOTES).unwrap_or(quoted).trim_matches('\n').to_owned(),
        None => text.replace("\\\n", "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_messages_are_told_apart() {
        let say = |text: &str| Command::Say(text.to_owned());
        let save = |file: &str, replaces| Command::Save { file: PathBuf::from(file), replaces };
        for (typed, command) in [
            ("Hi there ", say("Hi there")),
            ("  ", Command::Nothing),
            ("//etc is a folder", say("/etc is a folder")),
            ("a/b", say("a/b")),
            ("\"\"\"\none\n  two\n\"\"\"", say("one\n  two")),
            ("\"\"\"one\"\"\"", say("one")),
            ("one\\\ntwo", say("one\ntwo")),
            ("/system Be brief.", Command::System(Some("Be brief.".to_owned()))),
            ("/system \"\"\"a\nb\"\"\"", Command::System(Some("a\nb".to_owned()))),
            ("/system", Command::System(None)),
            ("/reset", Command::Reset),
            ("/clear", Command::Reset),
            ("/save a file.json", save("a file.json", false)),
            ("/save! x.md", save("x.md", true)),
            ("/speed", Command::Speed),
            ("/?", Command::Help),
            (" /bye ", Command::Exit),
        ] {
            assert_eq!(Command::read(typed), Ok(command), "{typed}");
        }
        for (typed, words) in [
            ("/rest", "/rest is not known (nearest: /reset"),
            ("/", "/ is not known"),
            ("/save", "/save: expected the name of a file"),
            ("/exit now", "/exit takes nothing more, found \"now\""),
        ] {
            assert!(Command::read(typed).unwrap_err().contains(words), "{typed}: {:?}", Command::read(typed));
        }
    }

    #[test]
    fn a_message_may_have_several_lines() {
        for (typed, open) in [
            ("Hi", false),
            ("Hi\\", true),
            ("Hi\\\nthere", false),
            ("\"\"\"", true),
            ("\"\"\"a\nb", true),
            ("\"\"\"a\nb\"\"\"", false),
            ("", false),
        ] {
            assert_eq!(is_open(typed), open, "{typed}");
        }
    }

    #[test]
    fn help_has_every_word() {
        let help = help();
        assert!(words().all(|word| help.contains(word)), "{help}");
    }
}
