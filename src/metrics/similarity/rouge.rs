//! ROUGE-1, ROUGE-2 and ROUGE-Lsum (Lin 2004), as the Python package `rouge_score` computes them.
//!
//! Tokens are runs of ASCII letters and digits, in lower case. ROUGE-N compares runs of N tokens. ROUGE-Lsum
//! takes, for every line of the reference, the union of its longest common subsequences with all lines of
//! the answer, and counts each token at most as often as both texts have it. All three are F-measures.

use std::collections::{BTreeSet, HashMap};

/// F-measures from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rouge {
    /// Single tokens.
    pub rouge1: f64,
    /// Pairs of tokens.
    pub rouge2: f64,
    /// Common subsequences, line by line.
    pub rouge_lsum: f64,
}

/// Tables of a longer product of line lengths than this are not made.
const MAX_TABLE: usize = 1 << 26;

/// How alike a reference and an answer are.
///
/// # Errors
/// Lines that are too long to be compared, in words.
pub fn rouge(reference: &str, answer: &str) -> Result<Rouge, String> {
    let (r, a) = (tokens(reference), tokens(answer));
    Ok(Rouge {
        rouge1: by_ngrams(&r, &a, 1),
        rouge2: by_ngrams(&r, &a, 2),
        rouge_lsum: by_lines(reference, answer)?,
    })
}

fn tokens(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let pieces = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty());
    pieces.map(str::to_owned).collect()
}

fn f_measure(hits: usize, answer: usize, reference: usize) -> f64 {
    let precision = hits as f64 / answer.max(1) as f64;
    let recall = hits as f64 / reference.max(1) as f64;
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

fn by_ngrams(reference: &[String], answer: &[String], n: usize) -> f64 {
    let mut known: HashMap<&[String], usize> = HashMap::new();
    reference.windows(n).for_each(|ngram| *known.entry(ngram).or_default() += 1);
    let mut hits = 0;
    for ngram in answer.windows(n) {
        if let Some(left) = known.get_mut(ngram).filter(|left| **left > 0) {
            *left -= 1;
            hits += 1;
        }
    }
    let count = |tokens: &[String]| (tokens.len() + 1).saturating_sub(n);
    f_measure(hits, count(answer), count(reference))
}

fn by_lines(reference: &str, answer: &str) -> Result<f64, String> {
    let lines = |text: &str| -> Vec<Vec<String>> {
        text.split('\n').filter(|line| !line.is_empty()).map(tokens).collect()
    };
    let (reference, answer) = (lines(reference), lines(answer));
    let (m, n) = (reference.iter().map(Vec::len).sum(), answer.iter().map(Vec::len).sum());
    if m == 0 || n == 0 {
        return Ok(0.0);
    }
    let count = |lines: &[Vec<String>]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        lines.iter().flatten().for_each(|token| *counts.entry(token.clone()).or_default() += 1);
        counts
    };
    let (mut left_reference, mut left_answer) = (count(&reference), count(&answer));
    let mut hits = 0;
    for line in &reference {
        let mut union = BTreeSet::new();
        for other in &answer {
            union.extend(common_subsequence(line, other)?);
        }
        for token in union.into_iter().map(|at| &line[at]) {
            let left = left_reference.get_mut(token).expect("a token of the reference is counted");
            if let Some(a) = left_answer.get_mut(token).filter(|a| **a > 0 && *left > 0) {
                (*a, *left) = (*a - 1, *left - 1);
                hits += 1;
            }
        }
    }
    Ok(f_measure(hits, n, m))
}

/// The positions in `reference` of one longest common subsequence; which one of several is part of the
/// definition.
fn common_subsequence(reference: &[String], other: &[String]) -> Result<Vec<usize>, String> {
    let columns = other.len() + 1;
    let cells = columns.checked_mul(reference.len() + 1).filter(|cells| *cells <= MAX_TABLE);
    let cells = cells.ok_or_else(|| {
        let (r, o) = (reference.len(), other.len());
        format!(
            "ROUGE-Lsum: lines of {r} and {o} words are too long to be compared; at most {MAX_TABLE} pairs"
        )
    })?;
    // Lengths of the subsequences of the first i and the first j tokens, row by row.
    let mut table = vec![0u32; cells];
    let at = |i: usize, j: usize| i * columns + j;
    for (i, r) in (1..).zip(reference) {
        for (j, o) in (1..).zip(other) {
            table[at(i, j)] = if r == o {
                table[at(i - 1, j - 1)] + 1
            } else {
                table[at(i - 1, j)].max(table[at(i, j - 1)])
            };
        }
    }
    let (mut i, mut j) = (reference.len(), other.len());
    let mut found = Vec::new();
    while i > 0 && j > 0 {
        if reference[i - 1] == other[j - 1] {
            found.push(i - 1);
            (i, j) = (i - 1, j - 1);
        } else if table[at(i, j - 1)] > table[at(i - 1, j)] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python: RougeScorer(["rouge1", "rouge2", "rougeLsum"]).score(reference, answer)
    #[test]
    fn scores_are_those_of_rouge_score() {
        for (reference, answer, wanted) in GOLDEN {
            let ours = rouge(reference, answer).unwrap();
            for (ours, wanted) in [ours.rouge1, ours.rouge2, ours.rouge_lsum].into_iter().zip(wanted) {
                assert!((ours - wanted).abs() < 1e-12, "{answer}: {ours} {wanted}");
            }
        }
    }

    #[test]
    fn lines_that_are_too_long_are_refused() {
        let long = "a ".repeat(1 << 13);
        assert!(rouge(&long, &long).unwrap_err().contains("8192 words"));
    }

    const GOLDEN: [(&str, &str, [f64; 3]); 6] = [
        (
            "The cat sat on the mat.",
            "the Cat sat",
            [0.6666666666666666, 0.5714285714285715, 0.6666666666666666],
        ),
        (
            "a b c d\nb c e a",
            "b a c\nd c b\n\na a e",
            [0.9411764705882353, 0.13333333333333333, 0.7058823529411765],
        ),
        ("x y", "z", [0.0, 0.0, 0.0]),
        ("", "a", [0.0, 0.0, 0.0]),
        ("Café été 5", "cafe caf t 5", [0.8571428571428571, 0.8, 0.8571428571428571]),
        ("a b a b a", "b a b a b", [0.8000000000000002, 1.0, 0.8000000000000002]),
    ];
}
