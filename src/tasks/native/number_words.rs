//! English number words read as a number.
//!
//! Behaviour of the Python package `word2number` 1.1, for whole numbers: a group of up to four words before
//! "billion", "million", "thousand" and the end is worth (first · second + the rest), or the sum of two words,
//! or their product if one is "hundred".

use std::collections::HashMap;

const SMALL: &str = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen \
                     sixteen seventeen eighteen nineteen";
const TENS: &str = "twenty thirty forty fifty sixty seventy eighty ninety";
const LARGER: [(&str, u64); 4] =
    [("hundred", 100), ("thousand", 1000), ("million", 1_000_000), ("billion", 1_000_000_000)];
const LARGE: [u64; 3] = [1_000_000_000, 1_000_000, 1000];

/// The number; nothing if there are no number words, or they contradict each other.
pub(super) fn read(text: &str) -> Option<u64> {
    let small = SMALL.split(' ').zip(0..);
    let tens = TENS.split(' ').zip((20..).step_by(10));
    let known: HashMap<&str, u64> = small.chain(tens).chain(LARGER).collect();
    let words: Vec<u64> =
        text.replace('-', " ").split_whitespace().filter_map(|word| known.get(word).copied()).collect();
    if let [only] = words[..] {
        return Some(only);
    }
    let mut total = 0u64;
    let mut rest = words.as_slice();
    for large in LARGE {
        let Some(at) = rest.iter().position(|word| *word == large) else { continue };
        let (before, after) = rest.split_at(at);
        // A larger word behind a smaller one makes no number.
        if before.iter().any(|word| LARGE.contains(word)) {
            return None;
        }
        total = total.checked_add(group(before)?.checked_mul(large)?)?;
        rest = &after[1..];
        if rest.is_empty() {
            return Some(total);
        }
    }
    if rest.iter().any(|word| LARGE.contains(word)) {
        return None;
    }
    total.checked_add(group(rest)?)
}

fn group(words: &[u64]) -> Option<u64> {
    match *words {
        [] => None,
        [a, b, c, d] => a.checked_mul(b)?.checked_add(c)?.checked_add(d),
        [a, b, c] => a.checked_mul(b)?.checked_add(c),
        [a, b] if a == 100 || b == 100 => a.checked_mul(b),
        [a, b] => a.checked_add(b),
        [first, ..] => Some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    /// Each line is what `word2number.w2n.word_to_num` gives, or where it raises, nothing.
    #[test]
    fn words_make_numbers() {
        for (text, wanted) in [
            ("two million twenty three thousand and forty nine", Some(2_023_049)),
            ("one hundred and twenty three", Some(123)),
            ("twenty-two", Some(22)),
            ("two hundred", Some(200)),
            ("nine thousand", Some(9000)),
            ("thousand", Some(1000)),
            ("one billion two", Some(1_000_000_002)),
            ("three two one", Some(7)),
            ("one two three four five", Some(1)),
            ("thousand one", None),
            ("one thousand two thousand", None),
            ("one thousand two million", None),
            ("trillion", None),
            ("", None),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
