//! What a ledger's bytes hold: the answers that are certain, and what had to be left out.

use std::collections::hash_map;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::WrittenText;
use super::identity::{Identity, Key, Seed};
use super::line::{Entry, LedgerHeader, Numbers, read_entry, read_header};
use crate::engine::Score;

/// A ledger's answers, and what is wrong with it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// The scores that can be used.
    pub scores: HashMap<Key, Score>,
    /// The texts that can be used.
    pub texts: HashMap<Key, WrittenText>,
    /// Whether the first line could not be read.
    pub damaged_header: bool,
    /// Numbers of the lines, from 1, that are not what was written.
    pub damaged: Vec<usize>,
    /// Bytes of a last line that was cut.
    pub cut: usize,
    /// Requests with two answers that differ; neither is used.
    pub contradictions: usize,
    /// Bytes up to the end of the last whole line.
    pub whole: usize,
}

/// Why nothing of a ledger can be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It belongs to another model.
    OtherModel(Box<Identity>),
    /// It is in another version of the format.
    Version(String),
}

impl Contents {
    /// Reads the bytes of a ledger that should be of `identity`.
    ///
    /// With a damaged header the lines are still certain: their checksums hold for one identity only.
    pub fn read(bytes: &[u8], identity: &Identity, seed: &Seed, numbers: Numbers) -> Result<Self, Refused> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let (text, rest) = bytes.split_at(whole);
        let mut contents = Self { cut: rest.len(), whole, ..Self::default() };
        let Some(text) = text.strip_suffix(b"\n") else { return Ok(contents) };
        let mut lines = text.split(|&byte| byte == b'\n');
        match read_header(lines.next().expect("what is split has a first piece")) {
            LedgerHeader::Of(found) if *found == *identity => {}
            LedgerHeader::Of(found) => return Err(Refused::OtherModel(found)),
            LedgerHeader::Version(version) => return Err(Refused::Version(version)),
            LedgerHeader::Damaged => contents.damaged_header = true,
        }
        let mut contradictory = HashSet::new();
        for (line, number) in lines.zip(2..) {
            let Some((key, entry)) = read_entry(seed, line, numbers) else {
                contents.damaged.push(number);
                continue;
            };
            let agrees = match entry {
                Entry::Score(score) => agrees(&mut contents.scores, key, score, same_bits),
                Entry::Text(text) => agrees(&mut contents.texts, key, text, WrittenText::eq),
            };
            if !agrees {
                contradictory.insert(key);
            }
        }
        contents.scores.retain(|key, _| !contradictory.contains(key));
        contents.texts.retain(|key, _| !contradictory.contains(key));
        contents.contradictions = contradictory.len();
        Ok(contents)
    }

    /// What a person should know of the ledger at `path`, one sentence each.
    pub fn notes(&self, path: &Path) -> Vec<String> {
        let Self { damaged, cut, contradictions, .. } = self;
        let first = damaged.first();
        let notes = [
            self.damaged_header.then(|| {
                "its first line is damaged; only lines that were certainly written for this model are used"
                    .to_owned()
            }),
            first.map(|first| {
                let many = damaged.len();
                format!("{many} of its lines, the first is line {first}, are damaged; their requests are computed again")
            }),
            (*cut > 0).then(|| {
                format!("its last line is cut after {cut} bytes; its request is computed again")
            }),
            (*contradictions > 0).then(|| {
                format!(
                    "{contradictions} requests have two answers that differ; neither is used, and they are computed again"
                )
            }),
        ];
        notes.into_iter().flatten().map(|note| format!("{}: {note}", path.display())).collect()
    }
}

/// Takes an answer in, unless there is one; says whether that is the same.
fn agrees<T>(known: &mut HashMap<Key, T>, key: Key, answer: T, same: impl Fn(&T, &T) -> bool) -> bool {
    match known.entry(key) {
        hash_map::Entry::Vacant(free) => {
            free.insert(answer);
            true
        }
        hash_map::Entry::Occupied(known) => same(known.get(), &answer),
    }
}

fn same_bits(a: &Score, b: &Score) -> bool {
    a.logprob.to_bits() == b.logprob.to_bits() && a.is_greedy == b.is_greedy
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::identity::tests::{identity, request};
    use super::super::line::{header, score_line};
    use super::*;

    fn score(logprob: f64) -> Score {
        Score { logprob, is_greedy: false }
    }

    /// A ledger of as many lines, and their keys.
    fn ledger(lines: u32) -> (String, Vec<Key>) {
        let own = identity("a");
        let seed = own.seed();
        let keys: Vec<Key> = (0..lines).map(|n| seed.key(&request(&[n], &[1]), 9)).collect();
        let lines = keys.iter().zip(1..).map(|(key, n)| score_line(&seed, key, score(-f64::from(n)), 1));
        (header(&own).unwrap() + "\n" + &lines.collect::<String>(), keys)
    }

    fn read(bytes: &[u8]) -> Contents {
        Contents::read(bytes, &identity("a"), &identity("a").seed(), Numbers::LogProbs).unwrap()
    }

    #[test]
    fn another_model_s_ledger_is_refused() {
        let (text, _) = ledger(2);
        let other = identity("b");
        let refused = Contents::read(text.as_bytes(), &other, &other.seed(), Numbers::LogProbs).unwrap_err();
        assert_eq!(refused, Refused::OtherModel(Box::new(identity("a"))));
        // Even when its header no longer says so.
        let damaged = text.replacen("zoo-ledger", "zoo-Ledger", 1);
        let contents = Contents::read(damaged.as_bytes(), &other, &other.seed(), Numbers::LogProbs).unwrap();
        assert!(contents.scores.is_empty() && contents.damaged == [2, 3], "{contents:?}");
    }

    #[test]
    fn one_request_with_two_scores_has_none() {
        let (text, keys) = ledger(3);
        let again = |logprob| score_line(&identity("a").seed(), &keys[1], score(logprob), 1);
        assert_eq!(read((text.clone() + &again(-2.0)).as_bytes()).scores.len(), 3);
        let contents = read((text + &again(-7.0)).as_bytes());
        assert_eq!((contents.scores.len(), contents.contradictions), (2, 1));
        assert!(!contents.scores.contains_key(&keys[1]));
        assert!(contents.notes(Path::new("ledger"))[0].contains("two answers"));
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_its_whole_lines() {
        let (text, keys) = ledger(4);
        for length in 0..text.len() {
            let contents = read(&text.as_bytes()[..length]);
            let whole = text[..length].matches('\n').count().saturating_sub(1);
            assert_eq!(contents.scores.len(), whole, "{length} bytes");
            assert_eq!(contents.whole + contents.cut, length);
            assert!(contents.damaged.is_empty() && !contents.damaged_header);
            assert_eq!(contents.notes(Path::new("ledger")).len(), usize::from(contents.cut > 0));
            assert!(keys[..whole].iter().all(|key| contents.scores.contains_key(key)));
        }
    }

    proptest! {
        #[test]
        fn a_changed_byte_costs_its_own_lines_and_no_others(at: prop::sample::Index, byte: u8) {
            let (text, keys) = ledger(6);
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            let ended_line = bytes[at] == b'\n';
            bytes[at] = byte;
            let contents = read(&bytes);
            // An end of line that is gone makes two lines one.
            let lost = 6 - contents.scores.len();
            let line = text[..at].matches('\n').count();
            let expected = usize::from(line > 0) + usize::from(ended_line && line < 6);
            prop_assert_eq!(lost, expected, "byte {} of line {}", at, line);
            prop_assert!(!contents.notes(Path::new("ledger")).is_empty());
            for (key, n) in keys.iter().zip(1..) {
                let known = contents.scores.get(key);
                prop_assert!(known.is_none_or(|known| known.logprob == -f64::from(n)));
            }
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            prop_assert!(read(&bytes).scores.is_empty());
        }
    }
}
