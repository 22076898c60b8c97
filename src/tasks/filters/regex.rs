//! `regex` and `multi_choice_regex`: an answer picked out of a text.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::args::FilterArgs;
use super::{Extract, Filter, find_in_each};
use crate::python::place;
use crate::python::regex::{Found, PyRegex, escape};
use crate::python::text as python;
use crate::tasks::document::{Document, texts};

/// The pattern of a step that names none: the number at the end of a GSM8K answer.
const DEFAULT_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";
/// The answer where nothing was found.
const FALLBACK: &str = "[invalid]";

/// Unicode punctuation (categories P*).
static PUNCTUATION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\p{P}").expect("a class of characters"));

/// What a text loses before it is searched.
#[derive(Debug, Default)]
pub(crate) struct Ignores {
    regexes: Vec<PyRegex>,
    case: bool,
    punctuation: bool,
}

impl Ignores {
    pub(crate) fn read(args: &mut FilterArgs) -> Result<Self, String> {
        let regexes = args.texts("regexes_to_ignore")?;
        Ok(Self {
            regexes: regexes.iter().map(|r| PyRegex::new(r)).collect::<Result<_, _>>()?,
            case: args.flag("ignore_case")?,
            punctuation: args.flag("ignore_punctuation")?,
        })
    }

    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        let mut text = text.to_owned();
        for regex in &self.regexes {
            text = regex.remove(&text)?;
        }
        if self.case {
            text = text.to_lowercase();
        }
        if self.punctuation {
            text = PUNCTUATION.replace_all(&text, "").into_owned();
        }
        Ok(text)
    }
}

/// Which match counts, and what stands where there is none.
#[derive(Debug)]
pub(crate) struct Select {
    group_select: i64,
    fallback: Value,
}

impl Select {
    pub(crate) fn read(args: &mut FilterArgs) -> Result<Self, String> {
        let fallback = args.value("fallback").unwrap_or_else(|| FALLBACK.into());
        Ok(Self { group_select: args.integer("group_select")?.unwrap_or(0), fallback })
    }

    /// What stands where nothing was found.
    pub(crate) fn fallback(&self) -> Value {
        self.fallback.clone()
    }

    /// The chosen match, stripped; negative numbers count from the last one.
    pub(crate) fn find(&self, regex: &PyRegex, text: &str) -> Result<Option<String>, String> {
        let mut found = regex.find_all(text)?;
        let chosen = place(self.group_select, found.len()).map(|at| found.swap_remove(at));
        Ok(chosen.and_then(Found::first_text).map(|text| python::strip(&text).to_owned()))
    }
}

/// The pattern of a step.
fn pattern(args: &mut FilterArgs) -> Result<PyRegex, String> {
    PyRegex::new(args.text("regex_pattern")?.as_deref().unwrap_or(DEFAULT_PATTERN))
}

/// `regex`: one match, or the fallback.
pub(super) fn regex(mut args: FilterArgs) -> Result<Filter, String> {
    let regex = pattern(&mut args)?;
    let select = Select::read(&mut args)?;
    args.done()?;
    Ok(find_in_each(select.fallback(), move |_, answer| Ok(select.find(&regex, answer)?.map(Value::String))))
}

/// Where the texts of the choices stand in a document.
pub(crate) type ChoicesOf = fn(&Document) -> Result<Vec<String>, String>;

/// `multi_choice_regex`: a letter in brackets; or else the text of a choice; or else a letter after a colon. A
/// function finds the choices.
pub(crate) fn multi_choice(mut args: FilterArgs, choices: ChoicesOf) -> Result<Filter, String> {
    let regex = pattern(&mut args)?;
    let select = Select::read(&mut args)?;
    let ignores = Ignores::read(&mut args)?;
    args.done()?;
    let fallback = select.fallback();
    let find: Extract = Box::new(move |document, answers| {
        let mut patterns = Vec::new();
        let mut letters = Vec::new();
        let mut by_text = HashMap::new();
        let mut by_letter = HashMap::new();
        for (choice, code) in choices(document)?.iter().zip(u32::from('A')..) {
            let letter =
                char::from_u32(code).ok_or("a question has too many choices for letters")?.to_string();
            let choice = ignores.apply(python::strip(choice))?;
            patterns.push(escape(&choice));
            by_text.insert(choice, format!("({letter})"));
            by_letter.insert(letter.clone(), format!("({letter})"));
            letters.push(letter);
        }
        // The longest first, so that a choice is not found inside of a longer one.
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.chars().count()));
        let texts = PyRegex::new(&patterns.join("|"))?;
        let after_colon = PyRegex::new(&format!(r":[\s]*({})", letters.join("|")))?;
        let named = |found: Option<String>, names: &HashMap<String, String>| {
            found.map(|text| names.get(&text).cloned().unwrap_or(text)).filter(|text| !text.is_empty())
        };
        let one = |&answer: &&str| {
            let mut found = select.find(&regex, answer)?.filter(|text| !text.is_empty());
            if found.is_none() {
                found = named(select.find(&texts, &ignores.apply(answer)?)?, &by_text);
            }
            if found.is_none() {
                found = named(select.find(&after_colon, answer)?, &by_letter);
            }
            Ok(found.map(Value::String))
        };
        answers.iter().map(one).collect()
    });
    Ok(Filter::Extract { find, fallback })
}

/// The column `choices`.
pub(super) fn choices(document: &Document) -> Result<Vec<String>, String> {
    let choices = texts(document, "choices").map_err(|wrong| format!("multi_choice_regex: {wrong}"))?;
    Ok(choices.into_iter().map(str::to_owned).collect())
}
