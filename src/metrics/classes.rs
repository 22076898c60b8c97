//! F1 and Matthews' correlation of right and chosen classes, over all documents together.
//!
//! Definitions are scikit-learn's `f1_score` (of the class 1 among two) and `matthews_corrcoef` (of any number), which
//! lm-evaluation-harness 0.4.13 calls.

use std::collections::BTreeSet;

/// The right class of a document whose answer is none of its choices.
pub const NO_CLASS: i64 = -100;
/// The class whose F1 it is.
const POSITIVE: i64 = 1;

/// The right class of a document and the one that was chosen.
pub type Classes = [i64; 2];

/// What keeps F1 from being computed: it is of two classes, one of which is numbered 1.
///
/// # Errors
/// The classes that there are, in words.
pub(super) fn check_two_classes(documents: &[Classes]) -> Result<(), String> {
    let classes: BTreeSet<i64> = documents.iter().flatten().copied().collect();
    if classes.len() < 2 || (classes.len() == 2 && classes.contains(&POSITIVE)) {
        return Ok(());
    }
    let found: Vec<String> = classes.iter().map(i64::to_string).collect();
    let none = if classes.contains(&NO_CLASS) {
        format!("; {NO_CLASS} is an answer that is none of the choices")
    } else {
        String::new()
    };
    Err(format!("f1 is of two choices, 0 and 1; found the numbers {}{none}", found.join(", ")))
}

/// `2·TP / (2·TP + FP + FN)` of the class 1; 0 where it is neither right nor chosen anywhere.
pub(super) fn f1(documents: &[Classes]) -> f64 {
    let count = |of: fn(&Classes) -> bool| documents.iter().filter(|own| of(own)).count() as f64;
    let both = count(|[right, chosen]| *right == POSITIVE && *chosen == POSITIVE);
    let all = count(|[right, _]| *right == POSITIVE) + count(|[_, chosen]| *chosen == POSITIVE);
    if all == 0.0 { 0.0 } else { 2.0 * both / all }
}

/// Matthews' correlation coefficient of any number of classes; 0 where all documents are of one class.
pub(super) fn matthews(documents: &[Classes]) -> f64 {
    // A handful of classes: a list is faster than a map.
    let mut counts: Vec<(i64, [f64; 2])> = Vec::new();
    let mut hits = 0.0;
    for own in documents {
        for (side, class) in own.iter().enumerate() {
            match counts.iter_mut().find(|(known, _)| known == class) {
                Some((_, count)) => count[side] += 1.0,
                None => counts.push((*class, std::array::from_fn(|i| f64::from(u8::from(i == side))))),
            }
        }
        hits += f64::from(u8::from(own[0] == own[1]));
    }
    let n = documents.len() as f64;
    let dot = |a: usize, b: usize| counts.iter().map(|(_, count)| count[a] * count[b]).sum::<f64>();
    let spread = (n * n - dot(1, 1)) * (n * n - dot(0, 0));
    if spread == 0.0 { 0.0 } else { (hits * n - dot(0, 1)) / spread.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_is_of_two_classes() {
        assert!(check_two_classes(&[[1, 0], [0, 1]]).is_ok() && check_two_classes(&[[0, 0]]).is_ok());
        assert!(check_two_classes(&[[NO_CLASS, 1]]).is_ok());
        let said = check_two_classes(&[[0, 1], [2, 1]]).unwrap_err();
        assert!(said.contains("found the numbers 0, 1, 2"), "{said}");
        let said = check_two_classes(&[[NO_CLASS, 0]]).unwrap_err();
        assert!(said.contains("-100 is an answer that is none"), "{said}");
    }

    #[test]
    fn what_cannot_be_told_apart_is_nothing() {
        assert_eq!((f1(&[[0, 0]]), matthews(&[[0, 0], [0, 0]])), (0.0, 0.0));
        assert_eq!((f1(&[[1, 1], [0, 0]]), matthews(&[[1, 1], [0, 0]])), (1.0, 1.0));
        assert_eq!(matthews(&[[1, 0], [0, 1]]), -1.0);
    }
}
