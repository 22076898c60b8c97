//! Names: those of the values of enums, those that a person may have meant by one that is not known, and the numbers in them.

use serde::Serialize;

/// Most names that are offered.
const OFFERED: usize = 3;

/// The name by which serde writes a value of an enum.
pub fn name_of<T: Serialize>(value: &T) -> &'static str {
    serde_variant::to_variant_name(value).expect("a value without fields has the name of its variant")
}

/// The known names that are spelled most like `name`, the best first, those only whose Jaro–Winkler similarity is at
/// least `likeness` (from 0 to 1).
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, likeness: f64) -> Vec<String> {
    let mut near: Vec<(f64, &str)> =
        known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known)).collect();
    near.retain(|(found, _)| *found >= likeness);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.into_iter().take(OFFERED).map(|(_, known)| known.to_owned()).collect()
}

/// ` (nearest: a, b)`, or nothing.
pub fn nearest_words(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!(" (nearest: {})", nearest.join(", ")) }
}

/// The number that is a part of a name, as the layer's in the name of a tensor. There is one spelling of each: `00` and `+1`
/// are none, since they would be other names of the same.
pub fn number_in_name(digits: &str) -> Option<usize> {
    let is_plain =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (digits, number) in [("0", Some(0)), ("7", Some(7)), ("120", Some(120))] {
            assert_eq!(number_in_name(digits), number);
        }
        for digits in ["", "00", "07", "+1", "-1", " 1", "1_0", "x", "99999999999999999999999"] {
            assert_eq!(number_in_name(digits), None, "{digits:?}");
        }
    }

    #[test]
    fn the_best_come_first_and_strangers_not_at_all() {
        let known = ["alpaca-13b", "alpaca-7b", "vicuna-7b", "alpaca-70b", "alpaca-x"];
        let found = nearest("alpaca-7", known, 0.7);
        assert_eq!((found.len(), found[0].as_str()), (3, "alpaca-7b"));
        assert_eq!(nearest_words(&nearest("zzz", known, 0.7)), "");
        assert_eq!(nearest_words(&["a".to_owned(), "b".to_owned()]), " (nearest: a, b)");
    }
}
