//! Metrics of one multiple-choice document.

use super::{DocValue, Gold, NO_CLASS, first_highest};

/// A document with its choices and their scores, in the same order.
#[derive(Debug, Clone, Copy)]
pub struct ChoiceDocument<'a> {
    /// The choices' texts, without the delimiter before them.
    pub choices: &'a [String],
    /// log P(choice | context).
    pub logprobs: &'a [f64],
    /// Whether each is what greedy decoding would say.
    pub greedy: &'a [bool],
    /// How many tokens each of them sums over.
    pub tokens: &'a [usize],
    /// Whether they sum over the whole text, prompt included, but for its first token.
    pub whole: bool,
    /// log P(choice) alone, if asked for.
    pub unconditional: &'a [f64],
    /// The right answer.
    pub gold: &'a Gold,
}

/// The metrics that [`multiple_choice`] computes.
pub const MULTIPLE_CHOICE_METRICS: [&str; 10] = [
    "acc",
    "acc_norm",
    "acc_bytes",
    "acc_token",
    "acc_ppl",
    "acc_mutual_info",
    "exact_match",
    "brier_score",
    "f1",
    "mcc",
];

/// The value of `metric`, one of [`MULTIPLE_CHOICE_METRICS`], for one document.
///
/// * `acc`: the likeliest choice is right.
/// * `acc_norm`: the same with log-likelihoods divided by the choice's Unicode characters.
/// * `acc_bytes`: divided by its UTF-8 bytes.
/// * `acc_token`: divided by the number of tokens that were scored.
/// * `acc_ppl`: divided by the tokens of the whole text; only where the whole text is scored.
/// * `acc_mutual_info`: with log P(choice) subtracted.
/// * `exact_match`: the right choice is what greedy decoding would say.
/// * `brier_score`: squared distance between the distribution over choices and the truth.
/// * `f1`, `mcc`: the right and the likeliest choice, for F1 and Matthews' correlation over all documents.
///
/// # Errors
/// What the document or the protocol lacks for the metric, in words.
pub fn multiple_choice(metric: &str, document: ChoiceDocument) -> Result<DocValue, String> {
    let ChoiceDocument { choices, logprobs, greedy, tokens, whole, unconditional, gold } = document;
    let one_each = logprobs.len() == choices.len() && greedy.len() == choices.len();
    assert!(one_each, "a document has one score for each of its choices");
    let logprobs = logprobs.iter().copied();
    let lengths = |length: fn(&String) -> usize| choices.iter().map(move |c| length(c) as f64);
    let counts = || {
        assert_eq!(tokens.len(), choices.len(), "a document has a number of tokens for each of its choices");
        tokens.iter().map(|n| *n as f64)
    };
    let right = |values: Vec<f64>| f64::from(u8::from(is_right(gold, first_highest(&values))));
    let number = match metric {
        "acc" => right(logprobs.collect()),
        "acc_norm" => right(logprobs.zip(lengths(|c| c.chars().count())).map(|(l, n)| l / n).collect()),
        "acc_bytes" => right(logprobs.zip(lengths(String::len)).map(|(l, n)| l / n).collect()),
        "acc_token" => right(logprobs.zip(counts()).map(|(l, n)| l / n).collect()),
        "acc_ppl" if !whole => {
            return Err("acc_ppl is of whole texts, and this protocol scores choices".to_owned());
        }
        "acc_ppl" => right(logprobs.zip(counts()).map(|(l, n)| l / (n + 1.0)).collect()),
        "acc_mutual_info" if unconditional.len() != choices.len() => {
            return Err(
                "acc_mutual_info needs the choices without their context, which were not asked".to_owned()
            );
        }
        "acc_mutual_info" => right(logprobs.zip(unconditional).map(|(l, u)| l - u).collect()),
        "exact_match" => {
            let said = |(index, greedy): (usize, &bool)| *greedy && is_right(gold, index);
            f64::from(u8::from(greedy.iter().enumerate().any(said)))
        }
        "brier_score" => {
            let truth = |index: usize| f64::from(u8::from(is_right(gold, index)));
            let probabilities = probabilities(&logprobs.collect::<Vec<_>>());
            probabilities.iter().enumerate().map(|(i, p)| (p - truth(i)).powi(2)).sum()
        }
        "f1" | "mcc" => {
            let chosen = first_highest(&logprobs.collect::<Vec<_>>()) as i64;
            return Ok(DocValue::Classes([class(gold)?, chosen]));
        }
        other => unreachable!("{other} is none of the metrics of choices"),
    };
    Ok(DocValue::Number(number))
}

/// The likelihoods of a document's choices as shares of their sum.
pub(super) fn probabilities(logprobs: &[f64]) -> Vec<f64> {
    let highest = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logprobs.iter().map(|l| (l - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The one right choice.
fn class(gold: &Gold) -> Result<i64, String> {
    match gold {
        Gold::Index(index) => Ok(*index as i64),
        Gold::OutOfRange => Ok(NO_CLASS),
        Gold::Indices(indices) => match indices[..] {
            [index] => Ok(index as i64),
            _ => Err(format!("expected one right choice, found {}", indices.len())),
        },
        Gold::Text(_) | Gold::Texts(_) => Err("the right answer is a text and no choice".to_owned()),
    }
}

/// Whether a choice is right. A text names none, and an answer out of range is never given.
pub(super) fn is_right(gold: &Gold, choice: usize) -> bool {
    match gold {
        Gold::Index(index) => *index == choice,
        Gold::Indices(indices) => indices.contains(&choice),
        Gold::OutOfRange | Gold::Text(_) | Gold::Texts(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(metric: &str, choices: &[&str], logprobs: &[f64], gold: Gold) -> f64 {
        let choices: Vec<String> = choices.iter().map(|c| (*c).to_owned()).collect();
        let greedy: Vec<bool> = logprobs.iter().map(|logprob| *logprob == 0.0).collect();
        let document = ChoiceDocument {
            choices: &choices,
            logprobs,
            greedy: &greedy,
            tokens: &[3, 4],
            whole: true,
            unconditional: &[-1.0, -9.0],
            gold: &gold,
        };
        match multiple_choice(metric, document).unwrap() {
            DocValue::Number(number) => number,
            other => panic!("{metric} is no number: {other:?}"),
        }
    }

    #[test]
    fn characters_and_bytes_normalise_differently() {
        // Per token: b wins; per character: the long a; per byte: b again, as 字 has three.
        let (choices, logprobs) = (["字字字字", "abcdef"], [-4.4, -6.0]);
        assert_eq!(value("acc", &choices, &logprobs, Gold::Index(0)), 1.0);
        assert_eq!(value("acc_norm", &choices, &logprobs, Gold::Index(1)), 1.0);
        assert_eq!(value("acc_bytes", &choices, &logprobs, Gold::Index(0)), 1.0);
    }

    #[test]
    fn tokens_divide_with_and_without_the_first_of_the_text() {
        // -6/3 and -7.9/4; -6/4 and -7.9/5.
        assert_eq!(value("acc_token", &["a", "b"], &[-6.0, -7.9], Gold::Index(1)), 1.0);
        assert_eq!(value("acc_ppl", &["a", "b"], &[-6.0, -7.4], Gold::Index(1)), 1.0);
        assert_eq!(value("acc_ppl", &["a", "b"], &[-6.0, -7.6], Gold::Index(0)), 1.0);
        assert_eq!(value("acc_token", &["a", "b"], &[-6.0, -7.6], Gold::Index(1)), 1.0);
        let gold = Gold::Index(0);
        let document = ChoiceDocument {
            choices: &["a".to_owned()],
            logprobs: &[-1.0],
            greedy: &[false],
            tokens: &[1],
            whole: false,
            unconditional: &[],
            gold: &gold,
        };
        for metric in MULTIPLE_CHOICE_METRICS {
            let lacks = ["acc_ppl", "acc_mutual_info"].contains(&metric);
            assert_eq!(multiple_choice(metric, document).is_err(), lacks, "{metric}");
        }
    }

    #[test]
    fn classes_are_the_right_choice_and_the_likeliest() {
        let choices = ["a".to_owned(), "b".to_owned()];
        let of = |gold: Gold| {
            let document = ChoiceDocument {
                choices: &choices,
                logprobs: &[-2.0, -1.0],
                greedy: &[false, false],
                tokens: &[1, 1],
                whole: false,
                unconditional: &[],
                gold: &gold,
            };
            multiple_choice("f1", document)
        };
        assert_eq!(of(Gold::Index(0)), Ok(DocValue::Classes([0, 1])));
        assert_eq!(of(Gold::OutOfRange), Ok(DocValue::Classes([NO_CLASS, 1])));
        assert_eq!(of(Gold::Indices(vec![1])), Ok(DocValue::Classes([1, 1])));
        assert!(of(Gold::Indices(vec![0, 1])).unwrap_err().contains("one right choice, found 2"));
    }

    #[test]
    fn mutual_information_subtracts_the_unconditional_score() {
        assert_eq!(value("acc_mutual_info", &["a", "b"], &[-3.0, -5.0], Gold::Index(1)), 1.0);
    }

    #[test]
    fn ties_go_to_the_first_and_no_gold_is_never_right() {
        assert_eq!(value("acc", &["a", "b"], &[-2.0, -2.0], Gold::Index(0)), 1.0);
        assert_eq!(value("acc", &["a", "b"], &[-2.0, -2.0], Gold::OutOfRange), 0.0);
        assert_eq!(value("acc", &["a", "b"], &[-3.0, -2.0], Gold::Indices(vec![0, 1])), 1.0);
    }

    #[test]
    fn exact_match_asks_for_the_greedy_answer() {
        assert_eq!(value("exact_match", &["a", "b"], &[0.0, -2.0], Gold::Index(0)), 1.0);
        assert_eq!(value("exact_match", &["a", "b"], &[0.0, -2.0], Gold::Index(1)), 0.0);
    }

    #[test]
    fn brier_is_zero_for_certainty_and_a_half_for_doubt() {
        assert!(value("brier_score", &["a", "b"], &[-1.0, -900.0], Gold::Index(0)) < 1e-12);
        assert!((value("brier_score", &["a", "b"], &[-1.0, -1.0], Gold::Index(0)) - 0.5).abs() < 1e-12);
    }
}
