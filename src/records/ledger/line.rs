//! The lines of a ledger: text, each with a checksum of its own.
//!
//! ```text
//! zoo-ledger 1 <tab> {"weights_sha256":"…",…} <tab> checksum
//! key <tab> logprob <tab> greedy or other <tab> tokens scored <tab> checksum
//! key <tab> "text" <tab> written <tab> tokens written <tab> checksum
//! ```
//!
//! A log-probability has the shortest decimal digits that give its bits back; a text is a string of JSON.

use super::WrittenText;
use super::identity::{Identity, Key, Seed};
use crate::base::digest::hex;
use crate::base::journal::checksum;
use crate::engine::Score;

/// How the first line begins; the number is the version of the format.
const MAGIC: &str = "zoo-ledger ";
/// What the line of a text says in place of a score's `greedy`.
const WRITTEN: &str = "written";
/// The version that is written and read here.
pub(super) const VERSION: u32 = 1;

/// The first line, without its end.
pub(super) fn header(identity: &Identity) -> serde_json::Result<String> {
    let text = format!("{MAGIC}{VERSION}\t{}", serde_json::to_string(identity)?);
    // Anybody can check the header, before the identity is known.
    let check = plain_seed(&text);
    Ok(format!("{text}\t{check}"))
}

/// What a first line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LedgerHeader {
    /// Whose scores follow.
    Of(Box<Identity>),
    /// Another version of the format.
    Version(String),
    /// Not a header, or no longer.
    Damaged,
}

/// Reads a first line.
pub(super) fn read_header(line: &[u8]) -> LedgerHeader {
    let read = || {
        let (text, check) = std::str::from_utf8(line).ok()?.rsplit_once('\t')?;
        if plain_seed(text) != check {
            return None;
        }
        let (version, identity) = text.strip_prefix(MAGIC)?.split_once('\t')?;
        if version != VERSION.to_string() {
            return Some(LedgerHeader::Version(version.to_owned()));
        }
        serde_json::from_str(identity).ok().map(|identity| LedgerHeader::Of(Box::new(identity)))
    };
    read().unwrap_or(LedgerHeader::Damaged)
}

fn plain_seed(text: &str) -> String {
    checksum(&[text.as_bytes()])
}

/// The line of a score, with its end.
pub(super) fn score_line(seed: &Seed, key: &Key, score: Score, tokens: usize) -> String {
    let greedy = if score.is_greedy { "greedy" } else { "other" };
    let text = format!("{}\t{:?}\t{greedy}\t{tokens}", hex(key), score.logprob);
    let check = seed.check(&text);
    format!("{text}\t{check}\n")
}

/// The line of a text, with its end.
pub(super) fn text_line(seed: &Seed, key: &Key, written: &WrittenText) -> serde_json::Result<String> {
    let text = serde_json::to_string(&written.text)?;
    let text = format!("{}\t{text}\t{WRITTEN}\t{}", hex(key), written.tokens);
    let check = seed.check(&text);
    Ok(format!("{text}\t{check}\n"))
}

/// An answer of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    Score(Score),
    Text(WrittenText),
}

/// What the numbers of a ledger are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Logarithms of probabilities.
    LogProbs,
    /// Divergences of one arithmetic from another.
    Divergences,
}

impl Numbers {
    fn hold(self, number: f64, tokens: usize) -> bool {
        match self {
            Numbers::LogProbs => Score::can_be(number, tokens),
            Numbers::Divergences => number.is_finite(),
        }
    }
}

/// The answer of a line without its end; `None` if it is damaged, of another identity, or a number that no model gives.
pub(super) fn read_entry(seed: &Seed, line: &[u8], numbers: Numbers) -> Option<(Key, Entry)> {
    let (text, check) = std::str::from_utf8(line).ok()?.rsplit_once('\t')?;
    if seed.check(text) != check {
        return None;
    }
    let mut fields = text.split('\t');
    let (key, answer, kind, tokens) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let tokens = tokens.parse::<usize>().ok()?;
    fields.next().is_none().then_some(())?;
    let entry = if kind == WRITTEN {
        Entry::Text(WrittenText { text: serde_json::from_str(answer).ok()?, tokens })
    } else {
        let logprob = answer.parse().ok().filter(|logprob| numbers.hold(*logprob, tokens))?;
        let is_greedy = match kind {
            "greedy" => true,
            "other" => false,
            _ => return None,
        };
        Entry::Score(Score { logprob, is_greedy })
    };
    Some((read_key(key)?, entry))
}

fn read_key(text: &str) -> Option<Key> {
    let is_whole = text.len() == 2 * size_of::<Key>() && !text.starts_with('+');
    u128::from_str_radix(text, 16).ok().filter(|_| is_whole).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::identity::tests::identity;
    use super::Numbers::{Divergences, LogProbs};
    use super::*;

    #[test]
    fn a_header_says_whose_scores_follow() {
        let own = identity("a");
        let line = header(&own).unwrap();
        assert_eq!(read_header(line.as_bytes()), LedgerHeader::Of(Box::new(own)));
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 0x20;
            assert_eq!(read_header(&bytes), LedgerHeader::Damaged, "byte {at}");
        }
        assert_eq!(read_header(b""), LedgerHeader::Damaged);
        let text = "zoo-ledger 2\twhatever";
        let later = format!("{text}\t{}", plain_seed(text));
        assert_eq!(read_header(later.as_bytes()), LedgerHeader::Version("2".to_owned()));
    }

    #[test]
    fn what_no_model_gives_is_no_score() {
        let seed = identity("a").seed();
        for (logprob, tokens, holds) in [
            (0.0, 1, true),
            (-7e38, 1, true),
            (-1.3e39, 2, true),
            (-1.3e39, 1, false),
            (1e-9, 1, false),
            (3.5, 2, false),
            (1e300, 1, false),
            (-1e300, 9, false),
            (f64::INFINITY, 1, false),
            (f64::NAN, 1, false),
        ] {
            let line = score_line(&seed, &[7; 16], Score { logprob, is_greedy: false }, tokens);
            let read = |numbers| read_entry(&seed, line.trim_end().as_bytes(), numbers).is_some();
            assert_eq!((read(LogProbs), read(Divergences)), (holds, logprob.is_finite()), "{logprob}");
        }
    }

    proptest! {
        #[test]
        fn scores_come_back_bit_by_bit(
            logprob in (-1e38f64..0.0).prop_union(-50.0..0.0), is_greedy: bool, key: [u8; 16], tokens: usize,
        ) {
            let seed = identity("a").seed();
            let line = score_line(&seed, &key, Score { logprob, is_greedy }, tokens);
            let (found, entry) = read_entry(&seed, line.trim_end().as_bytes(), LogProbs).unwrap();
            let Entry::Score(score) = entry else { panic!("{entry:?}") };
            prop_assert_eq!((found, score.logprob.to_bits(), score.is_greedy), (key, logprob.to_bits(), is_greedy));
            prop_assert!(read_entry(&identity("b").seed(), line.trim_end().as_bytes(), LogProbs).is_none());
        }

        #[test]
        fn texts_come_back(text: String, tokens: usize, key: [u8; 16]) {
            let seed = identity("a").seed();
            let written = WrittenText { text: format!("{text}\t\n\r\"\u{2028}"), tokens };
            let line = text_line(&seed, &key, &written).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            let found = read_entry(&seed, line.strip_suffix('\n').unwrap().as_bytes(), LogProbs);
            prop_assert_eq!(found, Some((key, Entry::Text(written))));
            prop_assert!(read_entry(&identity("b").seed(), line.trim_end().as_bytes(), LogProbs).is_none());
        }

        #[test]
        fn no_flipped_bit_goes_unseen(logprob in -50.0f64..0.0, key: [u8; 16], at: prop::sample::Index, bit in 0u32..8) {
            let seed = identity("a").seed();
            let line = score_line(&seed, &key, Score { logprob, is_greedy: false }, 3);
            let mut bytes = line.trim_end().as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read_entry(&seed, &bytes, LogProbs).is_none());
        }

        #[test]
        fn any_bytes_can_be_read(bytes: Vec<u8>) {
            prop_assert_eq!(read_header(&bytes), LedgerHeader::Damaged);
            prop_assert!(read_entry(&identity("a").seed(), &bytes, LogProbs).is_none());
        }
    }
}
