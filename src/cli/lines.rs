//! The lines of an answer for other programs: one form of CSV and of JSON for every verb.

use serde::Serialize;

/// A head and one line for each; nothing for no lines.
pub fn csv<T: Serialize>(lines: impl IntoIterator<Item = T>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.serialize(line)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// An array of objects.
pub fn json<T: Serialize>(lines: &[T]) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(lines)? + "\n")
}
