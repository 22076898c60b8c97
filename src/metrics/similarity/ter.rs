//! TER, the translation edit rate (Snover et al. 2006), as sacrebleu 2 computes it by default.
//!
//! The fewest insertions, deletions, substitutions and shifts of words in a row that make the reference of an answer, by the
//! words of the reference, in lower case. Shifts are looked for one after the other, each time that which saves most, within
//! the limits of `tercom`, and distances near the diagonal alone: both are part of the metric, as is the order in which equal
//! ones are preferred.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use super::Counts;
use crate::python::text::is_space;

/// Most words of a shift.
const SHIFTED: usize = 10;
/// How far from its place a run of words is looked for.
const DISTANCE: usize = 50;
/// Half of the width of what is computed around the diagonal.
const BEAM: usize = 25;
/// Shifts that are tried for one answer.
const CANDIDATES: usize = 1000;
/// The distance of what is not computed.
const FAR: u32 = u32::MAX / 2;

/// Edits and words of references; they add up over documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TerCounts {
    edits: u64,
    reference_words: u64,
}

impl TerCounts {
    /// Counts one answer against its reference.
    pub fn of(reference: &str, answer: &str) -> Self {
        let (reference, answer) = (reference.to_lowercase(), answer.to_lowercase());
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut numbered = |text| -> Vec<u32> {
            let words = str::split(text, is_space).filter(|word: &&str| !word.is_empty());
            words
                .map(|word| {
                    let next = numbers.len() as u32;
                    *numbers.entry(word).or_insert(next)
                })
                .collect()
        };
        let (reference, answer) = (numbered(reference.as_str()), numbered(answer.as_str()));
        Self { edits: edits(answer, &reference) as u64, reference_words: reference.len() as u64 }
    }
}

impl Counts for TerCounts {
    fn and(self, other: Self) -> Self {
        Self {
            edits: self.edits + other.edits,
            reference_words: self.reference_words + other.reference_words,
        }
    }

    /// TER in per cent; above 100 for answers that are longer than their references.
    fn score(&self) -> f64 {
        let rate = match (self.edits, self.reference_words) {
            (0, 0) => 0.0,
            (_, 0) => 1.0,
            (edits, words) => edits as f64 / words as f64,
        };
        100.0 * rate
    }
}

/// Edits that make `reference` of `words`.
fn edits(mut words: Vec<u32>, reference: &[u32]) -> usize {
    if reference.is_empty() {
        return words.len();
    }
    let (mut shifts, mut tried) = (0, 0);
    while let Some(shifted) = best_shift(&words, reference, &mut tried) {
        words = shifted;
        shifts += 1;
    }
    shifts + Distances::of(&words, reference).total()
}

/// Which of two shifts is preferred: edits that it saves, words, the place of the first, the target.
type Rank = (i64, usize, Reverse<usize>, Reverse<usize>);

/// The words after the shift that saves most; `None` if none saves any, or too many were tried. The longest is preferred, then
/// the earliest, then that with the earliest target.
fn best_shift(words: &[u32], reference: &[u32], tried: &mut usize) -> Option<Vec<u32>> {
    let distances = Distances::of(words, reference);
    let alignment = distances.alignment();
    let mut best: Option<(Rank, Vec<u32>)> = None;
    'all: for from in 0..words.len() {
        for at in from.saturating_sub(DISTANCE)..reference.len().min(from + DISTANCE + 1) {
            let same = words[from..].iter().zip(&reference[at..]).take(SHIFTED).take_while(|(a, b)| a == b);
            for length in 1..=same.count() {
                let Some(targets) = alignment.targets(from..from + length, at) else { continue };
                for target in targets {
                    let shifted = moved(words, from..from + length, target);
                    let saved = distances.total() as i64 - Distances::of(&shifted, reference).total() as i64;
                    *tried += 1;
                    let rank = (saved, length, Reverse(from), Reverse(target));
                    if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                        best = Some((rank, shifted));
                    }
                }
                if *tried >= CANDIDATES {
                    break 'all;
                }
            }
        }
    }
    best.filter(|((saved, ..), _)| *saved > 0 && *tried < CANDIDATES).map(|(_, shifted)| shifted)
}

/// The words with a run of them before what is at `target`, counted without the run if that lies behind it.
fn moved(words: &[u32], run: Range<usize>, target: usize) -> Vec<u32> {
    let (start, end, length) = (run.start, run.end, run.len());
    let own = &words[run];
    let parts = if target < start {
        [&words[..target], own, &words[target..start], &words[end..]]
    } else if target > end {
        [&words[..start], &words[end..target], own, &words[target..]]
    } else {
        // Within itself: so many words behind it as it is moved.
        let until = words.len().min(length + target);
        [&words[..start], &words[end..until], own, &words[until..]]
    };
    parts.concat()
}

/// What was done at a place of the matrix of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// Nothing: the words are the same.
    Keep,
    /// Another word.
    Substitute,
    /// A word of the reference more.
    Insert,
    /// A word of the answer less.
    Delete,
}

/// Levenshtein distances of the beginnings of an answer to those of its reference, near the diagonal.
struct Distances {
    /// For each number of words of the answer the first number of words of the reference that is there, and from it on cost and
    /// last edit.
    rows: Vec<(usize, Vec<(u32, Edit)>)>,
    reference_words: usize,
}

impl Distances {
    fn of(words: &[u32], reference: &[u32]) -> Self {
        let (count, all) = (words.len(), reference.len());
        let ratio = if count == 0 { 1.0 } else { all as f64 / count as f64 };
        // Where an answer is much shorter, neighbouring rows have to overlap.
        let beam =
            if (BEAM as f64) < ratio / 2.0 { (ratio / 2.0 + BEAM as f64).ceil() as usize } else { BEAM };
        let mut rows = Vec::with_capacity(count + 1);
        rows.push((0, (0..=all).map(|j| (j as u32, Edit::Insert)).collect()));
        let mut distances = Self { rows, reference_words: all };
        for i in 1..=count {
            let diagonal = (i as f64 * ratio).floor() as usize;
            let first = diagonal.saturating_sub(beam);
            let end = if i == count { all + 1 } else { (all + 1).min(diagonal + beam) };
            let mut row: Vec<(u32, Edit)> = Vec::with_capacity(end - first);
            for j in first..end {
                let above = distances.cost(i - 1, j) + 1;
                if j == 0 {
                    row.push((above, Edit::Delete));
                    continue;
                }
                let is_same = words[i - 1] == reference[j - 1];
                let edit = if is_same { Edit::Keep } else { Edit::Substitute };
                let mut best = (distances.cost(i - 1, j - 1) + u32::from(!is_same), edit);
                let before = row.last().map_or(FAR, |(cost, _)| *cost) + 1;
                for other in [(above, Edit::Delete), (before, Edit::Insert)] {
                    if other.0 < best.0 {
                        best = other;
                    }
                }
                row.push((best.0.min(FAR), best.1));
            }
            distances.rows.push((first, row));
        }
        distances
    }

    fn at(&self, i: usize, j: usize) -> Option<(u32, Edit)> {
        let (first, row) = &self.rows[i];
        row.get(j.checked_sub(*first)?).copied()
    }

    fn cost(&self, i: usize, j: usize) -> u32 {
        self.at(i, j).map_or(FAR, |(cost, _)| cost)
    }

    /// Edits that make the whole reference of the whole answer.
    fn total(&self) -> usize {
        self.cost(self.rows.len() - 1, self.reference_words) as usize
    }

    /// Which words of the two belong together, and which are wrong.
    fn alignment(&self) -> Alignment {
        let (mut i, mut j) = (self.rows.len() - 1, self.reference_words);
        let mut path = Vec::new();
        while i > 0 || j > 0 {
            let (_, edit) =
                self.at(i, j).expect("rows overlap, so a path leads from the end to the beginning");
            path.push(edit);
            i -= usize::from(edit != Edit::Insert);
            j -= usize::from(edit != Edit::Delete);
        }
        let mut alignment = Alignment::default();
        for edit in path.into_iter().rev() {
            let is_wrong = edit != Edit::Keep;
            if edit != Edit::Insert {
                alignment.answer_wrong.push(is_wrong);
            }
            if edit != Edit::Delete {
                alignment.behind.push(alignment.answer_wrong.len());
                alignment.reference_wrong.push(is_wrong);
            }
        }
        alignment
    }
}

/// How the words of an answer stand to those of its reference.
#[derive(Debug, Default)]
struct Alignment {
    /// For each word of the reference how many words of the answer there are up to its counterpart, that included.
    behind: Vec<usize>,
    reference_wrong: Vec<bool>,
    answer_wrong: Vec<bool>,
}

impl Alignment {
    /// Where a run of the answer's words that stand in the reference from `at` on may go: before the counterpart of the first of
    /// them, and behind each of theirs. `None` if it is right where it is, if nothing is wrong there, or if it is there already.
    fn targets(&self, run: Range<usize>, at: usize) -> Option<Vec<usize>> {
        let is_wrong = |wrong: &[bool]| wrong.iter().any(|wrong| *wrong);
        if !is_wrong(&self.answer_wrong[run.clone()]) || !is_wrong(&self.reference_wrong[at..at + run.len()])
        {
            return None;
        }
        if self.behind[at].checked_sub(1).is_some_and(|counterpart| run.contains(&counterpart)) {
            return None;
        }
        let before = at.checked_sub(1).map_or(0, |word| self.behind[word]);
        let mut targets: Vec<usize> =
            [before].into_iter().chain(self.behind[at..at + run.len()].iter().copied()).collect();
        targets.dedup();
        Some(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_words_move_before_behind_and_within() {
        let words = [0, 1, 2, 3, 4, 5];
        assert_eq!(moved(&words, 3..5, 1), [0, 3, 4, 1, 2, 5]);
        assert_eq!(moved(&words, 1..3, 5), [0, 3, 4, 1, 2, 5]);
        assert_eq!(moved(&words, 1..3, 2), [0, 3, 1, 2, 4, 5]);
        assert_eq!(moved(&words, 3..5, 5), [0, 1, 2, 5, 3, 4]);
    }

    #[test]
    fn a_shift_is_one_edit() {
        let rate = |reference: &str, answer: &str| TerCounts::of(reference, answer);
        assert_eq!(rate("a b c d e f", "D e f A b c"), TerCounts { edits: 1, reference_words: 6 });
        assert_eq!(rate("", "a b"), TerCounts { edits: 2, reference_words: 0 });
        assert_eq!((rate("", "a b").score(), rate("", " ").score()), (100.0, 0.0));
        assert_eq!(rate("a b", ""), TerCounts { edits: 2, reference_words: 2 });
    }
}
