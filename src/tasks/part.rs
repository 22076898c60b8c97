//! Which documents of a task are evaluated: the first ones, and of these the ones of a shard.
//!
//! A shard takes a document by its number and by nothing else, after the limit: it gets some of every task, and what a document is
//! asked is the same as in one run, whose examples are drawn from one stream for all of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many documents of a task are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "f64")]
pub enum Limit {
    /// The first so many.
    Count(usize),
    /// The first so large a part, above 0 and below 1, rounded up to whole documents.
    Fraction(f64),
}

/// Up to here every whole number is an `f64`.
const MOST_DOCUMENTS: f64 = (1_u64 << 53) as f64;

impl TryFrom<f64> for Limit {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if number > 0.0 && number < 1.0 {
            Ok(Limit::Fraction(number))
        } else if number >= 1.0 && number.fract() == 0.0 && number <= MOST_DOCUMENTS {
            // Programs write whole numbers as 100.0.
            Ok(Limit::Count(number as usize))
        } else {
            Err("expected a whole number of documents (100), or a part of them below 1 (0.1, 10%)")
        }
    }
}

impl Limit {
    /// How many of `total` documents are evaluated.
    ///
    /// # Errors
    /// None, and a part that is none, in words.
    pub fn of(self, total: usize) -> Result<usize, String> {
        match self {
            Limit::Count(0) => Err("a limit of 0 documents leaves nothing to do".to_owned()),
            Limit::Count(count) => Ok(count.min(total)),
            // At most `total`, which a float of this size holds exactly.
            Limit::Fraction(part) if part > 0.0 && part < 1.0 => {
                Ok(((total as f64 * part).ceil() as usize).min(total))
            }
            Limit::Fraction(part) => {
                Err(format!("a limit must be a part between 0 and 1 or a whole number, found {part}"))
            }
        }
    }
}

/// The most shards of a run.
pub const MAX_SHARDS: usize = 100_000;

/// One of several parts of a run that are worked on apart: the documents whose number divided by `of` leaves `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// Shard `index`, from 0, of so many.
    ///
    /// # Errors
    /// A number that is none of theirs, in words.
    pub fn new(index: usize, of: usize) -> Result<Self, String> {
        if index < of && of <= MAX_SHARDS {
            return Ok(Self { index, of });
        }
        Err(format!(
            "expected i/n, from 0/n to n-1/n and n at most {MAX_SHARDS}, such as 0/8 for the first of eight; found {index}/{of}"
        ))
    }

    /// Its number, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Whether the document of this number is one of its own.
    pub fn has(self, doc_id: usize) -> bool {
        doc_id % self.of == self.index
    }

    /// How many of the first so many documents are its own.
    pub fn share(self, documents: usize) -> usize {
        documents / self.of + usize::from(documents % self.of > self.index)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<usize>().ok()).flatten()
        };
        let both = text.split_once('/').and_then(|(index, of)| Some((number(index)?, number(of)?)));
        let (index, of) = both.ok_or_else(|| {
            format!(
                "expected i/n, such as 0/8 for the first of eight shards and 7/8 for the last; found {text:?}"
            )
        })?;
        Self::new(index, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_written_as_it_is_read() {
        for text in ["0/1", "0/8", "7/8", "99999/100000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        let shard: Shard = "3/7".parse().unwrap();
        assert_eq!(serde_json::to_string(&shard).unwrap(), "\"3/7\"");
        assert_eq!(serde_json::from_str::<Shard>("\"3/7\"").unwrap(), shard);
        for text in [
            "8/8", "0/0", "1/0", "-1/8", "+1/8", "1", "1/", "/8", "1/8/8", "a/8", " 1/8", "1 / 8",
            "0/100001", "0.5/8", "",
        ] {
            assert!(text.parse::<Shard>().unwrap_err().contains("0/8"), "{text}");
        }
    }

    #[test]
    fn every_document_is_in_one_shard() {
        for of in [1, 2, 3, 7, 50] {
            let shards: Vec<Shard> = (0..of).map(|index| Shard::new(index, of).unwrap()).collect();
            for documents in [0, 1, 6, 7, 20, 49] {
                for doc_id in 0..documents {
                    assert_eq!(shards.iter().filter(|shard| shard.has(doc_id)).count(), 1);
                }
                for shard in &shards {
                    assert_eq!(shard.share(documents), (0..documents).filter(|id| shard.has(*id)).count());
                }
            }
        }
    }
}
