//! Errors of a suite, its data or its prompts, as data: where, what was found, what to do.

use crate::base::yaml::FileError;

use std::fmt;

/// Why a suite cannot be found, read or turned into requests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum TaskError {
    /// Something is not as it has to be: a key of a file, an entry of a list, a row of data, a document.
    #[error("{place}: {message}")]
    Wrong {
        /// The file, and the line, key, row or document in it; or the task.
        place: String,
        /// What was expected and found, and what to do.
        message: String,
    },
    /// A file or folder could not be read.
    #[error("{file}: cannot be read: {source}")]
    Io { file: String, source: std::io::Error },
    /// A file of a person's that cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key that the task schema does not know.
    #[error("{place}: unknown key {key:?}{}", did_you_mean(nearest))]
    UnknownKey {
        /// The file, and the line where it is known.
        place: String,
        /// The key, with the keys above it (`metric_list[0].metrik`).
        key: String,
        /// The known key that is spelled most like it.
        nearest: Option<String>,
    },
    /// No task, group or tag has this name.
    #[error("no suite is named {name:?}{}; `zoo suites --all` lists them{note}", did_you_mean(meant))]
    UnknownSuite {
        name: String,
        /// The known names that may have been meant, the likeliest first.
        meant: Vec<String>,
        /// Files that could not be read and may have held it; empty, or a sentence that begins with `;`.
        note: String,
    },
    /// The data of a task is not on this machine.
    #[error(
        "data set {dataset}{}, split {split:?} was not found; searched:{}\n  to do: {advice}",
        config.as_ref().map(|name| format!(", config {name:?}")).unwrap_or_default(),
        searched.iter().map(|place| format!("\n  {place}")).collect::<String>()
    )]
    MissingData {
        /// `dataset_path` of the task.
        dataset: String,
        /// `dataset_name` of the task, if it has one.
        config: Option<String>,
        split: Box<str>,
        /// Every place that was searched, and what was there.
        searched: Vec<String>,
        advice: Box<str>,
    },
}

impl TaskError {
    /// Something that is not as it has to be, at a place in words.
    pub(crate) fn wrong(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Wrong { place: place.into(), message: message.into() }
    }
}

/// A question after a name that is not known; nothing if no known one is like it.
pub(crate) fn did_you_mean<T: fmt::Debug>(meant: impl IntoIterator<Item = T>) -> String {
    let meant: Vec<String> = meant.into_iter().map(|name| format!("{name:?}")).collect();
    match meant.as_slice() {
        [] => String::new(),
        [only] => format!("; did you mean {only}?"),
        [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
    }
}

/// The candidate that is spelled most like `name`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    crate::base::names::nearest(name, candidates, 0.8).into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_offers_a_slip_but_no_stranger() {
        let known = ["doc_to_text", "doc_to_target", "metric_list"];
        assert_eq!(nearest("doc_to_txt", known).as_deref(), Some("doc_to_text"));
        assert_eq!(nearest("zzz", known), None);
    }

    #[test]
    fn messages_say_where_and_what() {
        let (place, key) = ("a.yaml, line 3".into(), "doc_to_txt".into());
        let error = TaskError::UnknownKey { place, key, nearest: Some("doc_to_text".into()) };
        let said = error.to_string();
        assert_eq!(did_you_mean(["a", "b", "c"]), "; did you mean \"a\", \"b\" or \"c\"?");
        assert_eq!(said, "a.yaml, line 3: unknown key \"doc_to_txt\"; did you mean \"doc_to_text\"?");
    }
}
