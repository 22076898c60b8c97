//! The card of a data set: which files are which split, from the `configs` in `README.md`.
//!
//! Source: the hub's documentation of data set repositories, "Manual configuration".

use std::path::Path;

use serde_yaml::Value;

use crate::tasks::error::TaskError;

/// Larger cards are not read.
const MAX_CARD_BYTES: u64 = 4 << 20;

/// One configuration of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetConfig {
    /// Its name.
    pub name: String,
    /// Whether it is the one meant when none is named.
    pub default: bool,
    /// Split names with the patterns of their files.
    pub splits: Vec<(String, Vec<String>)>,
}

/// The configurations that the card in a folder lists; none without a card or without `configs`.
///
/// # Errors
/// A card that cannot be read, or whose front matter is no YAML.
pub fn read(folder: &Path) -> Result<Vec<DatasetConfig>, TaskError> {
    let path = folder.join("README.md");
    let fail = |message: String| TaskError::wrong(path.display().to_string(), message);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.len() <= MAX_CARD_BYTES => {}
        Ok(meta) => return Err(fail(format!("a card of {} bytes is refused", meta.len()))),
        Err(_) => return Ok(Vec::new()),
    }
    let text = std::fs::read(&path).map_err(|e| fail(format!("cannot be read: {e}")))?;
    parse(&String::from_utf8_lossy(&text)).map_err(|message| fail(format!("front matter: {message}")))
}

/// The configurations in the text of a card.
fn parse(text: &str) -> Result<Vec<DatasetConfig>, String> {
    let Some(matter) = front_matter(text) else { return Ok(Vec::new()) };
    // Only `configs` is read, so that an oddity elsewhere in the card does no harm.
    let Some(block) = top_level_block(matter, "configs") else { return Ok(Vec::new()) };
    let value: Value = serde_yaml::from_str(block).map_err(|e| e.to_string())?;
    let configs = value.get("configs").and_then(Value::as_sequence).map(Vec::as_slice).unwrap_or_default();
    Ok(configs.iter().filter_map(config).collect())
}

fn front_matter(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let rest = text.strip_prefix("---")?;
    let end = rest.find("\n---")?;
    rest.get(..end)
}

/// The lines of one top-level key.
fn top_level_block<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let top = line.chars().next().is_some_and(|c| !c.is_whitespace() && !matches!(c, '-' | '#'));
        match start {
            None if top && line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')) => {
                start = Some(at)
            }
            Some(start) if top => return text.get(start..at),
            _ => {}
        }
        at += line.len();
    }
    start.and_then(|start| text.get(start..))
}

fn config(value: &Value) -> Option<DatasetConfig> {
    let name = value.get("config_name").and_then(Value::as_str).unwrap_or("default").to_owned();
    let default = value.get("default").and_then(Value::as_bool).unwrap_or(false) || name == "default";
    let folder = value.get("data_dir").and_then(Value::as_str).map(|d| d.trim_matches('/'));
    let below = |pattern: &str| folder.map_or_else(|| pattern.to_owned(), |d| format!("{d}/{pattern}"));
    let mut splits: Vec<(String, Vec<String>)> = Vec::new();
    match value.get("data_files") {
        Some(Value::Sequence(entries)) if entries.iter().any(Value::is_mapping) => {
            for entry in entries {
                let split = entry.get("split").and_then(Value::as_str)?.to_owned();
                splits.push((split, patterns(entry.get("path")?)));
            }
        }
        Some(files) => splits.push(("train".into(), patterns(files))),
        None => {}
    }
    for (_, patterns) in &mut splits {
        for pattern in patterns {
            *pattern = below(pattern);
        }
    }
    Some(DatasetConfig { name, default, splits })
}

fn patterns(value: &Value) -> Vec<String> {
    match value {
        Value::String(pattern) => vec![pattern.clone()],
        Value::Sequence(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "---\nlicense: mit\nconfigs:\n- config_name: a\n  data_files:\n  - split: test\n    path: \
                        a/test-*\n  - split: dev\n    path: [x, y]\n- config_name: b\n  data_dir: /d/\n  \
                        data_files: all.csv\ntags: [!broken\n---\n# Title\n";

    #[test]
    fn configs_and_splits() {
        let configs = parse(CARD).unwrap();
        assert_eq!(configs.len(), 2);
        let wanted =
            vec![("test".into(), vec!["a/test-*".into()]), ("dev".into(), vec!["x".into(), "y".into()])];
        assert_eq!(configs[0], DatasetConfig { name: "a".into(), default: false, splits: wanted });
        assert_eq!(configs[1].splits, vec![("train".into(), vec!["d/all.csv".into()])]);
    }

    #[test]
    fn cards_without_configs_list_none() {
        for text in ["", "# no front matter", "---\nlicense: mit\n---\n", "---\nconfigs: 3\n---\n"] {
            assert_eq!(parse(text).unwrap(), []);
        }
        assert!(parse("---\nconfigs: [\n---\n").is_err());
    }
}
