//! The journal of a build: an append-only file that says what the work is and which tensors are safely on the disk.
//!
//! A line is the first 16 digits of the SHA-256 of the rest, a space, and a JSON object. The first line describes the
//! work, every other names a tensor and its digest. Reading stops at the first line that is torn or damaged, so
//! whatever a crash leaves behind is only ever too short.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TensorDigest;
use super::place::{ClaimedTarget, cannot_write, sync_folder};
use super::work::difference;
use crate::base::journal::{LineFile, checksum};
use crate::base::whole;
use crate::forms::FormError;

/// Digits of a line's checksum.
const CHECK: usize = 16;
/// Largest journal that is read. That of a model of a thousand tensors has two hundred kilobytes.
const MAX_BYTES: u64 = 64 << 20;

/// What an earlier call left.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing.
    Fresh,
    /// The same work: digests of finished tensors by name.
    Resumed(BTreeMap<String, String>),
    /// Other work, which is thrown away; says what is different.
    Over(&'static str),
}

impl Start {
    /// Tells the user what becomes of an interrupted build.
    pub(super) fn say(&self, target: &Path, tensors: usize) {
        let target = target.display();
        match self {
            Start::Fresh => {}
            Start::Resumed(claims) => tracing::warn!(
                "{target}: going on with an interrupted build: {} of {tensors} tensors are there already",
                claims.len()
            ),
            Start::Over(why) => {
                tracing::warn!("{target}: an interrupted build was found and is started over, since {why}");
            }
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct FinishedTensor {
    tensor: String,
    sha256: String,
}

#[derive(Debug)]
pub(super) struct TensorJournal(LineFile);

impl TensorJournal {
    /// Opens the journal of a place for `work`, and says what it holds. Other work is removed from the place.
    pub(super) fn open(place: &ClaimedTarget, work: &Value) -> Result<(Self, Start), FormError> {
        let path = place.journal();
        let mut text = Vec::new();
        match whole::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FormError::io(&path, "read", error));
            }
            _ => {}
        }
        let (found, claims, good) = read(&text);
        let start = match found {
            Some(found) if found == *work && place.has_files() => Start::Resumed(claims),
            Some(found) if found != *work => Start::Over(difference(&found, work)),
            _ => Start::Fresh,
        };
        let resumed = matches!(start, Start::Resumed(_));
        let mut file = LineFile::after(&path, if resumed { good as u64 } else { 0 }, Duration::ZERO);
        file.cut().map_err(|e| cannot_write(&path, e))?;
        let mut journal = TensorJournal(file);
        if !resumed {
            place.clear()?;
            journal.append(&[work.to_string()])?;
            sync_folder(&place.container)?;
        }
        Ok((journal, start))
    }

    /// Writes down finished tensors; their bytes must have been synced.
    pub(super) fn finished(&mut self, tensors: &[TensorDigest]) -> Result<(), FormError> {
        let line = |digest: &TensorDigest| {
            let line = FinishedTensor { tensor: digest.name.clone(), sha256: digest.sha256.clone() };
            serde_json::to_string(&line).expect("two strings always serialise")
        };
        self.append(&tensors.iter().map(line).collect::<Vec<_>>())
    }

    fn append(&mut self, lines: &[String]) -> Result<(), FormError> {
        let line = |line: &String| format!("{} {line}\n", checksum(&[line.as_bytes()]));
        let text: String = lines.iter().map(line).collect();
        self.0.append(text.as_bytes()).map_err(|e| cannot_write(self.0.path(), e))
    }
}

/// The work, the finished tensors, and how many bytes are good. A tensor that was finished twice has its last digest.
fn read(text: &[u8]) -> (Option<Value>, BTreeMap<String, String>, usize) {
    let (mut work, mut claims, mut good) = (None, BTreeMap::new(), 0);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(json) = checked(line) else { break };
        if work.is_none() {
            let Ok(found) = serde_json::from_slice(json) else { break };
            work = Some(found);
        } else {
            let Ok(FinishedTensor { tensor, sha256 }) = serde_json::from_slice(json) else { break };
            claims.insert(tensor, sha256);
        }
        good += line.len();
    }
    (work, claims, good)
}

/// The JSON of a whole line whose checksum fits.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(CHECK)?;
    let json = json.strip_prefix(b" ")?;
    (checksum(&[json]).as_bytes() == sum).then_some(json)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(json: &Value) -> Vec<u8> {
        let json = json.to_string();
        format!("{} {json}\n", checksum(&[json.as_bytes()])).into_bytes()
    }

    #[test]
    fn reading_stops_at_the_first_line_that_is_not_whole() {
        let work = json!({"rule": "convert"});
        let lines: Vec<Vec<u8>> = [
            work.clone(),
            json!({"tensor": "a", "sha256": "1"}),
            json!({"tensor": "b", "sha256": "2"}),
            json!({"tensor": "a", "sha256": "3"}),
        ]
        .iter()
        .map(line)
        .collect();
        let text = lines.concat();
        let whole = |bytes: usize| {
            let ends = lines.iter().scan(0, |sum, line| {
                *sum += line.len();
                Some(*sum)
            });
            ends.take_while(|end| *end <= bytes).count()
        };
        for cut in 0..=text.len() {
            let (found, claims, good) = read(&text[..cut]);
            let n = whole(cut);
            assert_eq!(good, lines[..n].iter().map(Vec::len).sum::<usize>(), "cut at {cut}");
            assert_eq!(found.is_some(), n > 0);
            let expected: &[(&str, &str)] = match n {
                0 | 1 => &[],
                2 => &[("a", "1")],
                3 => &[("a", "1"), ("b", "2")],
                _ => &[("a", "3"), ("b", "2")],
            };
            let claims: Vec<(&str, &str)> = claims.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(claims, expected, "cut at {cut}");
        }
        // A changed byte anywhere ends the trust there.
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert!(read(&changed).2 <= at, "byte {at}");
        }
    }
}
