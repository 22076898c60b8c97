//! Finding a set of fixed texts in a text: leftmost first, the longest of those that start there.
//!
//! This is how SentencePiece takes user-defined symbols and how fast tokenizers take added tokens out of a text.

use std::collections::HashMap;
use std::ops::Range;

use regex::{Regex, RegexBuilder};

use super::TokenizerError;

/// Memory that the compiled matcher may take, in bytes.
const MATCHER_LIMIT: usize = 64 << 20;

/// A compiled set of texts with their ids.
#[derive(Debug)]
pub(super) struct Literals {
    matcher: Regex,
    ids: HashMap<String, u32>,
}

impl Literals {
    /// Compiles `texts`; `None` if there are none. Empty texts are left out. Errors: more texts than fit the limit.
    pub fn new(place: &str, texts: Vec<(String, u32)>) -> Result<Option<Literals>, TokenizerError> {
        let ids: HashMap<String, u32> = texts.into_iter().filter(|(text, _)| !text.is_empty()).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let mut ordered: Vec<&str> = ids.keys().map(String::as_str).collect();
        // Alternatives are tried in order, so a longer text must stand before its own prefix.
        ordered.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        let pattern = ordered.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
        let matcher = RegexBuilder::new(&pattern).size_limit(MATCHER_LIMIT).build().map_err(|_| {
            TokenizerError::too_large(place, "bytes of special tokens", MATCHER_LIMIT, pattern.len())
        })?;
        Ok(Some(Literals { matcher, ids }))
    }

    /// All occurrences in `text`, from left to right, without overlap: their bytes and ids.
    pub fn find_all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, u32)> + 'a {
        self.matcher.find_iter(text).map(|found| {
            let id = *self.ids.get(found.as_str()).expect("a match is one of the texts");
            (found.range(), id)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals(texts: &[(&str, u32)]) -> Literals {
        let texts = texts.iter().map(|&(text, id)| (text.to_owned(), id)).collect();
        Literals::new("test", texts).unwrap().unwrap()
    }

    #[test]
    fn takes_the_leftmost_and_then_the_longest() {
        let set = literals(&[("<a", 1), ("<ab>", 2), ("b>", 3), ("[.*]", 4)]);
        let found: Vec<(usize, u32)> =
            set.find_all("x<ab><a b>[.*][xx]").map(|(at, id)| (at.start, id)).collect();
        assert_eq!(found, [(1, 2), (5, 1), (8, 3), (10, 4)]);
    }

    #[test]
    fn an_empty_set_is_none() {
        assert!(Literals::new("test", vec![(String::new(), 1)]).unwrap().is_none());
    }
}
