//! Large counts as papers write them: `1.4T` tokens, `4M` tokens to a batch, `52K` examples.
//!
//! The text is read without floating point, so `1.4T` is exactly 1 400 000 000 000; and a count is
//! written the way it can be read back.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The suffixes, largest first.
const UNITS: [(char, u64); 4] =
    [('T', 1_000_000_000_000), ('B', 1_000_000_000), ('M', 1_000_000), ('K', 1000)];

/// A positive number of tokens, examples, words or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl Count {
    /// Reads `4000000`, `4M` or `0.2M`; `None` if it is no such number, not whole, zero or too large.
    pub fn parse(text: &str) -> Option<Count> {
        let (digits, unit) = match text.char_indices().next_back() {
            Some((at, last)) if last.is_ascii_alphabetic() => {
                let unit = UNITS.iter().find(|(suffix, _)| *suffix == last).map(|(_, unit)| *unit)?;
                (text.get(..at)?, unit)
            }
            _ => (text, 1),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
            return None;
        }
        let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()?.checked_mul(unit)? };
        if !part.is_multiple_of(scale) {
            return None;
        }
        let value = whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part / scale)?;
        (value > 0).then_some(Count(value))
    }
}

/// The shortest form that loses nothing, with at most two decimals (one for thousands): `1.4T`, `69.5K`,
/// `27540`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, unit) in UNITS {
            let smallest = if unit == 1000 { 100 } else { unit / 100 };
            if self.0 >= unit && self.0.is_multiple_of(smallest) {
                let decimals = format!("{:02}", self.0 % unit / (unit / 100));
                let decimals = decimals.trim_end_matches('0');
                let point = if decimals.is_empty() { "" } else { "." };
                return write!(f, "{}{point}{decimals}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a positive whole number, or one with K, M, B or T such as 1.4T")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
                let found = de::Unexpected::Unsigned(value);
                if value > 0 { Ok(Count(value)) } else { Err(E::invalid_value(found, &self)) }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                Count::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_both_ways() {
        let cases = [
            ("1.4T", 1_400_000_000_000),
            ("2T", 2_000_000_000_000),
            ("4M", 4_000_000),
            ("52K", 52_000),
            ("69.5K", 69_500),
            ("0.2M", 200_000),
            ("27540", 27_540),
            ("7", 7),
        ];
        for (text, value) in cases {
            assert_eq!(Count::parse(text), Some(Count(value)), "{text}");
        }
        for value in [1, 999, 1000, 27_540, 69_500, 52_002, 370_000_000, 1_400_000_000_000, u64::MAX] {
            let text = Count(value).to_string();
            assert_eq!(Count::parse(&text), Some(Count(value)), "{text}");
        }
        let values = [1_400_000_000_000, 69_500, 370_000_000, 2_050_000, 52_002, 27_540];
        let texts = values.map(|n| Count(n).to_string());
        assert_eq!(texts, ["1.4T", "69.5K", "370M", "2.05M", "52002", "27540"]);
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for text in ["", "K", "-4", "0", "0.0M", "1.5", "1.0005K", "4m", "4 M", "1e6", "1..2K", "5.K"] {
            assert_eq!(Count::parse(text), None, "{text:?}");
        }
        for text in ["99999999999999999999", "20000000000T", "0.1234567890123456789012T"] {
            assert_eq!(Count::parse(text), None, "{text:?}");
        }
        let error = serde_yaml::from_str::<Count>("0").unwrap_err().to_string();
        assert!(error.contains("1.4T"), "{error}");
        assert!(serde_yaml::from_str::<Count>("4.5").is_err());
    }
}
