//! BLEU (Papineni et al. 2002), as sacrebleu 2 computes it with exponential smoothing.
//!
//! Up to four tokens in a row are counted, each match at most as often as the reference has it; the score is
//! the geometric mean of the four precisions in per cent, times a penalty for short answers. The n-th
//! precision without a match counts as 100 / (2ⁿ · total). Tokenizers are those of `mteval`.

use std::sync::LazyLock;

use regex::Regex;

use super::{Counts, ngrams};
use crate::python::text::is_space;

const ORDERS: usize = 4;

/// How texts become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BleuTokenizer {
    /// `13a`, the default: western punctuation stands alone.
    Mteval13a,
    /// `intl`: Unicode punctuation and symbols stand alone.
    International,
}

type Rules = Vec<(Regex, &'static str)>;

fn rules(rules: &[(&str, &'static str)]) -> Rules {
    let compile = |pattern| Regex::new(pattern).expect("each rule of a tokenizer compiles");
    rules.iter().map(|(pattern, to)| (compile(pattern), *to)).collect()
}

static INTERNATIONAL: LazyLock<Rules> = LazyLock::new(|| {
    // The dot of a class that negates does match a line end, as in the original.
    rules(&[(r"(\P{N})(\p{P})", "$1 $2 "), (r"(\p{P})(\P{N})", " $1 $2"), (r"(\p{S})", " $1 ")])
});

static MTEVAL: LazyLock<Rules> = LazyLock::new(|| {
    rules(&[
        (r"([\{-\x7e\[-\x60 -\&\(-\+:-@/])", " $1 "),
        (r"([^0-9])([\.,])", "$1 $2 "),
        (r"([\.,])([^0-9])", " $1 $2"),
        (r"([0-9])(-)", "$1 $2 "),
    ])
});

impl BleuTokenizer {
    fn tokens(self, text: &str) -> Vec<String> {
        let text = text.trim_end_matches(is_space);
        let (rules, mut text) = match self {
            Self::International => (&INTERNATIONAL, text.to_owned()),
            Self::Mteval13a => {
                let mut text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
                for (from, to) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
                    text = text.replace(from, to);
                }
                (&MTEVAL, format!(" {text} "))
            }
        };
        for (rule, to) in rules.iter() {
            text = rule.replace_all(&text, *to).into_owned();
        }
        text.split(is_space).filter(|token| !token.is_empty()).map(str::to_owned).collect()
    }
}

/// Matches, totals and lengths of an answer; they add up over documents.
#[derive(Debug, Clone, Copy, Default)]
pub struct BleuCounts {
    correct: [u64; ORDERS],
    total: [u64; ORDERS],
    answer_tokens: u64,
    reference_tokens: u64,
}

impl BleuCounts {
    /// Counts one answer against its reference.
    pub fn of(reference: &str, answer: &str, tokenizer: BleuTokenizer) -> Self {
        let (reference, answer) = (tokenizer.tokens(reference), tokenizer.tokens(answer));
        let mut counts = Self {
            answer_tokens: answer.len() as u64,
            reference_tokens: reference.len() as u64,
            ..Self::default()
        };
        for ((n, correct), total) in (1..).zip(&mut counts.correct).zip(&mut counts.total) {
            let known = ngrams(&reference, n);
            for (ngram, count) in ngrams(&answer, n) {
                *total += count;
                *correct += count.min(known.get(ngram).copied().unwrap_or(0));
            }
        }
        counts
    }
}

impl Counts for BleuCounts {
    fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in self.correct.iter_mut().zip(other.correct) {
            *mine += theirs;
        }
        for (mine, theirs) in self.total.iter_mut().zip(other.total) {
            *mine += theirs;
        }
        self.answer_tokens += other.answer_tokens;
        self.reference_tokens += other.reference_tokens;
        self
    }

    /// BLEU, up to 100.
    fn score(&self) -> f64 {
        if self.correct.iter().all(|n| *n == 0) {
            return 0.0;
        }
        let penalty = if self.answer_tokens < self.reference_tokens {
            (1.0 - self.reference_tokens as f64 / self.answer_tokens as f64).exp()
        } else {
            1.0
        };
        let mut smoothing = 1.0;
        let mut logarithms = 0.0;
        for (correct, total) in self.correct.iter().zip(self.total) {
            // An answer of fewer tokens than an order has no such n-grams; its precision stays 0.
            let precision = if total == 0 {
                0.0
            } else if *correct == 0 {
                smoothing *= 2.0;
                100.0 / (smoothing * total as f64)
            } else {
                100.0 * *correct as f64 / total as f64
            };
            logarithms += if precision == 0.0 { -9_999_999_999.0 } else { precision.ln() };
        }
        penalty * (logarithms / ORDERS as f64).exp()
    }
}

/// BLEU of one answer against one reference, up to 100.
pub fn sentence_bleu(reference: &str, answer: &str, tokenizer: BleuTokenizer) -> f64 {
    BleuCounts::of(reference, answer, tokenizer).score()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python: sacrebleu.corpus_bleu([answer], [[reference]], smooth_method="exp", tokenize=…).score
    #[test]
    fn scores_are_those_of_sacrebleu() {
        for (reference, answer, international, mteval) in GOLDEN {
            let score = |tokenizer| sentence_bleu(reference, answer, tokenizer);
            let (ours_intl, ours_13a) =
                (score(BleuTokenizer::International), score(BleuTokenizer::Mteval13a));
            assert!((ours_intl - international).abs() < 1e-9, "{answer}: {ours_intl}");
            assert!((ours_13a - mteval).abs() < 1e-9, "{answer}: {ours_13a}");
        }
        let counts = GOLDEN.iter().map(|(r, a, _, _)| BleuCounts::of(r, a, BleuTokenizer::Mteval13a));
        let corpus = counts.fold(BleuCounts::default(), BleuCounts::and).score();
        assert!((corpus - GOLDEN_CORPUS).abs() < 1e-9, "{corpus}");
    }

    const GOLDEN: [(&str, &str, f64, f64); 6] = [
        ("The cat sat on the mat.", "The cat sat on the mat.", 100.00000000000004, 100.00000000000004),
        (
            "Nothing happens; the seeds pass through you.",
            "The watermelon seeds pass through your digestive system, at 3.5 km/h!",
            9.78237574896145,
            9.78237574896145,
        ),
        ("a b", "b", 0.0, 0.0),
        (
            "Es kostet 1.000,50 € – »viel«?",
            "Es kostet 1.000 € - &quot;viel&quot;.",
            7.347053125977879,
            10.552670315936318,
        ),
        ("one two three four five six", "seven eight", 0.0, 0.0),
        ("x", "", 0.0, 0.0),
    ];
    const GOLDEN_CORPUS: f64 = 27.32659659291898;
}
