//! Results files of lm-evaluation-harness as rows.
//!
//! Source: `lm_eval/result_schema.py` and `lm_eval/utils.py` of 0.4.13. Files of this program in that shape are read alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::error::{During, FinishedError};
use crate::base::yaml;
use crate::records::Timestamp;
use crate::report::table::Stress;
use crate::report::{Row, TaskKind};

/// The largest file that is read, in bytes; one of all suites has some megabytes.
const MAX_BYTES: u64 = 64 << 20;
/// Groups within groups, at most.
const MAX_DEPTH: usize = 32;
/// Metrics of which a task's value is the share of documents that are right.
const SHARES: [&str; 5] = ["acc", "acc_norm", "acc_bytes", "exact_match", "acc_mutual_info"];

/// What a file says beside its numbers.
#[derive(Debug, Clone)]
pub struct HarnessFile {
    /// The model, as it was named.
    pub model: String,
    /// Version of the harness.
    pub version: String,
    /// When it began, UTC, RFC 3339.
    pub date: String,
    /// Parameters of the model.
    pub parameters: Option<u64>,
    /// Documents of each task, as asked for.
    pub limit: Option<f64>,
}

/// Whether a path has the name of such a file.
pub fn is_harness_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.starts_with("results_") && path.extension().is_some_and(|kind| kind == "json")
}

#[derive(Debug, Deserialize)]
struct File {
    results: BTreeMap<String, BTreeMap<String, Value>>,
    #[serde(default)]
    groups: BTreeMap<String, Value>,
    #[serde(default)]
    group_subtasks: serde_json::Map<String, Value>,
    #[serde(default)]
    versions: BTreeMap<String, Value>,
    #[serde(default, rename = "n-shot")]
    shots: BTreeMap<String, Value>,
    #[serde(default, rename = "n-samples")]
    samples: BTreeMap<String, Samples>,
    #[serde(default)]
    config: Config,
    date: Option<f64>,
    lm_eval_version: Option<String>,
    model_name: Option<String>,
    model_source: Option<String>,
    chat_template_sha: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Samples {
    original: usize,
    effective: usize,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    model: Option<String>,
    model_num_parameters: Option<u64>,
    model_dtype: Option<String>,
    model_revision: Option<String>,
    model_sha: Option<String>,
    limit: Option<f64>,
}

/// Reads a file.
///
/// # Errors
/// What cannot be read, and what has no results.
pub fn read(path: &Path) -> Result<(HarnessFile, Vec<Row>), FinishedError> {
    let name = || path.display().to_string();
    let text = yaml::read_text(path, MAX_BYTES).during(name)?;
    let file: File = serde_json::from_str(&without_nan(&text)).during(name)?;
    let harness = HarnessFile {
        model: file
            .model_name
            .clone()
            .filter(|name| !name.is_empty())
            .or(file.config.model.clone())
            .unwrap_or_else(name),
        version: file.lm_eval_version.clone().unwrap_or_default(),
        date: file.date.and_then(Timestamp::from_seconds).map_or_else(String::new, Timestamp::rfc3339),
        parameters: file.config.model_num_parameters,
        limit: file.config.limit,
    };
    let rows = Walk { file: &file, harness: &harness }.rows();
    if rows.is_empty() {
        return Err(FinishedError::new(format!("{}: it has no results", name())));
    }
    Ok((harness, rows))
}

/// Python writes `NaN` and `Infinity`, which JSON does not have: they become `null`.
fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !in_string
            && let Some(word) =
                ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| rest.starts_with(word))
        {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else {
            in_string = c == '"';
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// A file on its way to rows.
struct Walk<'a> {
    file: &'a File,
    harness: &'a HarnessFile,
}

impl Walk<'_> {
    fn rows(&self) -> Vec<Row> {
        let is_child = |name: &str| {
            self.file.group_subtasks.iter().any(|(_, below)| names(below).any(|child| child == name))
        };
        let mut rows = Vec::new();
        for name in self.file.results.keys().filter(|name| !is_child(name)) {
            self.visit(name, name, 0, &mut BTreeSet::new(), &mut rows);
        }
        rows
    }

    fn visit<'f>(
        &'f self,
        suite: &str,
        name: &'f str,
        depth: usize,
        seen: &mut BTreeSet<&'f str>,
        rows: &mut Vec<Row>,
    ) {
        // A file may name a group within itself, or twice.
        if depth > MAX_DEPTH || !seen.insert(name) {
            return;
        }
        let before = rows.len();
        let children: Vec<&str> =
            self.file.group_subtasks.get(name).map(|below| names(below).collect()).unwrap_or_default();
        let kind = if children.is_empty() && !self.file.groups.contains_key(name) {
            TaskKind::Task
        } else {
            TaskKind::Group
        };
        let below = self.below(name);
        if let Some(values) = self.file.results.get(name) {
            let place = rows.len() + 1;
            for (key, value) in values {
                let Some((metric, filter)) = key.split_once(',') else { continue };
                if metric.ends_with("_stderr") {
                    continue;
                }
                let value = value.as_f64();
                let stderr = values.get(&format!("{metric}_stderr,{filter}")).and_then(Value::as_f64);
                rows.push(self.row(
                    (suite, name, depth, place, kind),
                    (metric, filter),
                    (value, stderr),
                    below,
                ));
            }
        }
        let deeper = depth + usize::from(rows.len() > before);
        for child in children {
            self.visit(suite, child, deeper, seen, rows);
        }
    }

    /// Documents of a task, or of all below a group, each task once; `None` where the file does not say it of one.
    fn below<'f>(&'f self, name: &'f str) -> Option<Samples> {
        let mut sum = Samples { original: 0, effective: 0 };
        let (mut seen, mut next) = (BTreeSet::new(), vec![name]);
        while let Some(name) = next.pop() {
            if !seen.insert(name) {
                continue;
            }
            if let Some(own) = self.file.samples.get(name) {
                sum.original = sum.original.checked_add(own.original)?;
                sum.effective = sum.effective.checked_add(own.effective)?;
            } else {
                next.extend(names(self.file.group_subtasks.get(name)?));
            }
        }
        Some(sum)
    }

    fn row(
        &self,
        (suite, name, depth, place, kind): (&str, &str, usize, usize, TaskKind),
        (metric, filter): (&str, &str),
        (value, stderr): (Option<f64>, Option<f64>),
        samples: Option<Samples>,
    ) -> Row {
        let File { config, versions, shots, chat_template_sha, model_source, .. } = self.file;
        let is_ours = model_source.as_deref() == Some("zoo");
        let text = |value: &Value| value.to_string().trim_matches('"').to_owned();
        let precision =
            config.model_dtype.as_deref().map(|dtype| dtype.trim_start_matches("torch.").to_owned());
        Row {
            model: self.harness.model.clone(),
            suite: suite.to_owned(),
            task: name.to_owned(),
            num_fewshot: shots.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()),
            metric: metric.to_owned(),
            filter: filter.to_owned(),
            value,
            stderr,
            n: samples.map_or(0, |samples| samples.effective),
            published: None,
            published_source: None,
            protocol: match (&self.harness.version, is_ours) {
                (version, true) => version
                    .split_once("protocol ")
                    .map_or(version.as_str(), |(_, protocol)| protocol)
                    .to_owned(),
                (version, false) => format!("lm-eval-{version}"),
            },
            weights_sha256: if is_ours {
                config.model_sha.clone().unwrap_or_default()
            } else {
                String::new()
            },
            data_sha256: String::new(),
            precision: precision.filter(|_| !is_ours),
            template: chat_template_sha.as_ref().map(|sha| format!("sha256 {}", sha.get(..8).unwrap_or(sha))),
            version: versions.get(name).map(text).filter(|version| version != "N/A"),
            revision: config
                .model_sha
                .clone()
                .filter(|_| !is_ours)
                .filter(|sha| !sha.is_empty())
                .or(config.model_revision.clone()),
            of: samples.map(|samples| samples.original),
            is_share: kind == TaskKind::Task && SHARES.contains(&metric),
            place,
            depth,
            kind,
            label: None,
            missing: value.is_none().then(|| "the file has no number there".to_owned()),
            stress: Stress::None,
        }
    }
}

/// The names of a list.
fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "results": {
            "zoology": {"acc,none": 0.5, "acc_stderr,none": 0.05, "alias": "zoology"},
            "birds": {"acc,none": 0.25, "acc_stderr,none": NaN, "sample_len": 4, "alias": " - birds \" NaN"},
            "fish": {"acc,none": 0.75, "acc_stderr,none": "N/A", "alias": " - fish"},
            "texts": {"word_perplexity,none": Infinity, "byte_perplexity,none": 1.5}
        },
        "groups": {"zoology": {}},
        "group_subtasks": {"zoology": ["birds", "fish"], "birds": [], "fish": []},
        "versions": {"birds": 2, "fish": "Yaml"},
        "n-shot": {"birds": 5, "fish": 0, "texts": 0},
        "n-samples": {"birds": {"original": 40, "effective": 4}, "fish": {"original": 4, "effective": 4},
                      "texts": {"original": 2, "effective": 2}},
        "config": {"model": "hf", "model_dtype": "torch.bfloat16", "model_sha": "abc", "limit": 4.0},
        "date": 1764500000.5, "lm_eval_version": "0.4.13", "model_name": "a/b"
    }"#;

    #[test]
    fn a_file_of_the_harness_is_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results_1.json");
        std::fs::write(&path, FILE).unwrap();
        let (file, rows) = read(&path).unwrap();
        assert_eq!((file.model.as_str(), file.limit), ("a/b", Some(4.0)));
        assert!(file.date.starts_with("2025-11-30T"), "{}", file.date);
        let said: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.suite.as_str(), row.task.as_str(), row.depth, row.value, row.stderr, row.n, row.of)
            })
            .collect();
        assert_eq!(
            said,
            [
                ("texts", "texts", 0, Some(1.5), None, 2, Some(2)),
                ("texts", "texts", 0, None, None, 2, Some(2)),
                ("zoology", "zoology", 0, Some(0.5), Some(0.05), 8, Some(44)),
                ("zoology", "birds", 1, Some(0.25), None, 4, Some(40)),
                ("zoology", "fish", 1, Some(0.75), None, 4, Some(4)),
            ]
        );
        let birds = &rows[3];
        assert_eq!((birds.num_fewshot, birds.version.as_deref()), (Some(5), Some("2")));
        assert_eq!(
            (birds.protocol.as_str(), birds.precision.as_deref()),
            ("lm-eval-0.4.13", Some("bfloat16"))
        );
        assert!(birds.is_share && !rows[2].is_share && rows[2].kind == TaskKind::Group);
    }

    #[test]
    fn a_group_within_itself_ends() {
        let file =
            r#"{"results": {"a": {"acc,none": 1.0}}, "group_subtasks": {"b": ["a", "b"], "a": ["b"]}}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results_1.json");
        std::fs::write(&path, file).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no results"));
        std::fs::write(&path, "{\"results\": 1}").unwrap();
        assert!(std::error::Error::source(&read(&path).unwrap_err()).is_some());
    }
}
