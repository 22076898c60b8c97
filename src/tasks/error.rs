//! What can be wrong with a suite, its data or its prompts, as data: where, what was found, what to do.

use std::path::PathBuf;

/// Why a suite cannot be found, read or turned into requests.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum TaskError {
    /// A file or folder could not be read.
    #[error("{file}: cannot be read: {source}")]
    Io { file: String, source: std::io::Error },
    /// A file is not the YAML that a task or group file must be.
    #[error("{file}: not a readable YAML file: {message}")]
    Yaml {
        file: String,
        /// What the parser found, with line and column where it knows them.
        message: String,
    },
    /// An `include` leads nowhere, in a circle, or too deep.
    #[error("{file}: include {include:?}: {message}")]
    Include { file: String, include: String, message: String },
    /// A key that the task schema does not know.
    #[error("{}: unknown key {key:?}{}", at(file, *line), did_you_mean(nearest.as_deref()))]
    UnknownKey {
        file: String,
        /// The line of the key, from 1, where it could be found.
        line: Option<usize>,
        /// The key, with the keys above it (`metric_list[0].metrik`).
        key: String,
        /// The known key that is spelled most like it.
        nearest: Option<String>,
    },
    /// A key whose value cannot be used.
    #[error("{}: {key}: {message}", at(file, *line))]
    Field {
        file: String,
        /// The line of the key, from 1, where it could be found.
        line: Option<usize>,
        /// The key, with the keys above it.
        key: String,
        message: String,
    },
    /// No task, group or tag has this name.
    #[error("no suite is named {name:?}{}; `zoo suites --all` lists them{note}", did_you_mean(nearest.as_deref()))]
    UnknownSuite {
        name: String,
        /// The known name that is spelled most like it.
        nearest: Option<String>,
        /// Files that could not be read and may have held it; empty, or a sentence that begins with `;`.
        note: String,
    },
    /// Groups that contain themselves, or that nest too deep.
    #[error("{file}: group {group:?} {message}")]
    Group { file: String, group: String, message: String },
    /// The data of a task is not on this machine.
    #[error(
        "data set {dataset}{}, split {split:?} was not found; searched:{}\n  to do: {advice}",
        config_name(config.as_deref()),
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
    /// A data file, or the card of a data set, cannot be read.
    #[error("{}{}: {message}", file.display(), row.map(|r| format!(", row {r}")).unwrap_or_default())]
    Data {
        file: PathBuf,
        /// The row, from 0, where it is known.
        row: Option<usize>,
        message: String,
    },
    /// One document cannot be turned into a prompt.
    #[error("{file}: task {task:?}, {set} document {doc}, {field}: {message}")]
    Document {
        file: String,
        task: String,
        /// `evaluated` or `few-shot`: which documents `doc` counts.
        set: &'static str,
        /// The number of the document, from 0.
        doc: usize,
        /// The field of the task (`doc_to_text`, …).
        field: String,
        message: String,
    },
    /// The task is understood but this version does not run its kind.
    #[error("{file}: task {task:?} cannot be run: {message}")]
    NotRunnable {
        file: String,
        task: String,
        /// What it asks for and what works instead.
        message: String,
    },
    /// A `!function` without a native counterpart.
    #[error(
        "{}: {key}: no native function for `!function {function}` (looked for {looked_for}); \
         zoo runs no Python, and knows: {known}",
        at(file, *line)
    )]
    Native {
        file: String,
        /// The line of the key, from 1, where it could be found.
        line: Option<usize>,
        key: String,
        function: Box<str>,
        /// The names under which it was looked for.
        looked_for: Box<str>,
        known: Box<str>,
    },
    /// Options that contradict the task or its data.
    #[error("task {task:?}: {message}")]
    Options { task: String, message: String },
}

impl TaskError {
    /// A key whose value cannot be used, on a line that is not known.
    pub(crate) fn field(file: impl Into<String>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { file: file.into(), line: None, key: key.into(), message: message.into() }
    }
}

fn at(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}, line {line}"))
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

fn config_name(config: Option<&str>) -> String {
    config.map(|name| format!(", config {name:?}")).unwrap_or_default()
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
        let error = TaskError::UnknownKey {
            file: "a.yaml".into(),
            line: Some(3),
            key: "doc_to_txt".into(),
            nearest: Some("doc_to_text".into()),
        };
        let said = error.to_string();
        assert_eq!(said, "a.yaml, line 3: unknown key \"doc_to_txt\"; did you mean \"doc_to_text\"?");
    }
}
