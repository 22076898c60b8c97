//! chrF (Popović 2015) and chrF++ (Popović 2017), as sacrebleu 2 computes them by default.
//!
//! Precision and recall of up to six characters in a row, spaces left out, and for chrF++ of up to two words; the score is
//! the F-measure of their means over the orders that both texts have, recall counting twice as much.

use std::hash::Hash;

use super::{Counts, ngrams};
use crate::python::text::is_space;

/// Orders of characters.
const CHARACTERS: usize = 6;
/// Orders of words, of chrF++ alone.
const WORDS: usize = 2;
/// Recall counts so many times as much as precision: β = 2, squared.
const RECALL: f64 = 4.0;

/// N-grams of an answer, of its reference, and those they share; they add up over documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChrfCounts {
    /// First those of characters. Where words do not count, theirs are 0, which the score leaves out.
    orders: [Order; CHARACTERS + WORDS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Order {
    answer: u64,
    reference: u64,
    shared: u64,
}

impl Order {
    fn of<T: Eq + Hash>(reference: &[T], answer: &[T], n: usize) -> Self {
        let (known, found) = (ngrams(reference, n), ngrams(answer, n));
        let shared = |(ngram, count): (&&[T], &u64)| known.get(*ngram).copied().unwrap_or(0).min(*count);
        Self {
            // What no reference could have does not count.
            answer: if known.is_empty() { 0 } else { found.values().sum() },
            reference: known.values().sum(),
            shared: found.iter().map(shared).sum(),
        }
    }
}

/// Words with a punctuation mark at one of their ends cut off; the end counts before the beginning.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        let mut characters = word.chars();
        let first = characters.next().expect("a word has a character");
        match characters.next_back() {
            Some(last) if last.is_ascii_punctuation() => {
                words.extend([&word[..word.len() - last.len_utf8()], &word[word.len() - last.len_utf8()..]]);
            }
            Some(_) if first.is_ascii_punctuation() => {
                words.extend([&word[..first.len_utf8()], &word[first.len_utf8()..]]);
            }
            _ => words.push(word),
        }
    }
    words
}

impl ChrfCounts {
    /// Counts one answer against its reference; with words for chrF++.
    pub fn of(reference: &str, answer: &str, with_words: bool) -> Self {
        let characters = |text: &str| text.chars().filter(|c| !is_space(*c)).collect::<Vec<char>>();
        let (own, given) = (characters(reference), characters(answer));
        let mut counts = Self::default();
        let (of_characters, of_words) = counts.orders.split_at_mut(CHARACTERS);
        for (n, order) in (1..).zip(of_characters) {
            *order = Order::of(&own, &given, n);
        }
        if with_words {
            let (own, given) = (words(reference), words(answer));
            for (n, order) in (1..).zip(of_words) {
                *order = Order::of(&own, &given, n);
            }
        }
        counts
    }
}

impl Counts for ChrfCounts {
    fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in self.orders.iter_mut().zip(other.orders) {
            mine.answer += theirs.answer;
            mine.reference += theirs.reference;
            mine.shared += theirs.shared;
        }
        self
    }

    /// chrF, from 0 to 100.
    fn score(&self) -> f64 {
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0u32);
        for order in self.orders.iter().filter(|order| order.answer > 0 && order.reference > 0) {
            precision += order.shared as f64 / order.answer as f64;
            recall += order.shared as f64 / order.reference as f64;
            orders += 1;
        }
        if orders > 0 {
            precision /= f64::from(orders);
            recall /= f64::from(orders);
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        100.0 * ((1.0 + RECALL) * precision * recall / (RECALL * precision + recall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_is_cut_off_at_one_end() {
        assert_eq!(
            words("(hi) a ¿qué? «x» . \"y z-"),
            ["(hi", ")", "a", "¿qué", "?", "«x»", ".", "\"", "y", "z", "-"]
        );
    }
}
