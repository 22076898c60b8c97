//! `clean_up_tokenization_spaces` of old configurations: no space before punctuation and English contractions.
//!
//! The replacements are those of transformers' `clean_up_tokenization`, one after the other over the whole text. Here a text may
//! come piece by piece: each replacement holds back what may be the beginning of its pattern.

/// What is replaced, in this order, and by what.
const PAIRS: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// The text without those spaces.
pub(super) fn cleaned(text: &str) -> String {
    let mut clean_up = CleanUp::default();
    clean_up.push(text) + &clean_up.rest()
}

/// The clean-up of a text that comes piece by piece.
#[derive(Debug, Clone, Default)]
pub(super) struct CleanUp {
    /// What each replacement holds back.
    held: [String; PAIRS.len()],
}

impl CleanUp {
    /// Takes in the next piece, and gives what no later one can change.
    pub fn push(&mut self, text: &str) -> String {
        PAIRS
            .iter()
            .zip(&mut self.held)
            .fold(text.to_owned(), |text, (pair, held)| replace(&text, *pair, held))
    }

    /// What is held back if the text ends here.
    pub fn rest(&self) -> String {
        PAIRS.iter().zip(&self.held).fold(String::new(), |text, (pair, held)| {
            let mut held = held.clone();
            replace(&text, *pair, &mut held) + &held
        })
    }
}

/// One replacement; what may be the beginning of a pattern goes to `held` until the next piece.
fn replace(text: &str, (from, to): (&str, &str), held: &mut String) -> String {
    held.push_str(text);
    let mut done = String::with_capacity(held.len());
    let mut rest = held.as_str();
    while let Some((before, after)) = rest.split_once(from) {
        done += before;
        done += to;
        rest = after;
    }
    let begun = (1..from.len()).rev().find(|&bytes| rest.ends_with(&from[..bytes])).unwrap_or(0);
    let (certain, begun) = rest.split_at(rest.len() - begun);
    done += certain;
    *held = begun.to_owned();
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As transformers says it.
    fn at_once(text: &str) -> String {
        PAIRS.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    #[test]
    fn spaces_before_punctuation_go() {
        assert_eq!(cleaned("a . b , c ' d do n't I 'm ' ' ' x ?"), "a. b, c'd don't I'm'''x?");
        let mut clean_up = CleanUp::default();
        assert_eq!((clean_up.push("a "), clean_up.rest()), ("a".to_owned(), " ".to_owned()));
        assert_eq!((clean_up.push("'"), clean_up.rest()), (String::new(), " '".to_owned()));
        assert_eq!((clean_up.push("x "), clean_up.rest()), (" 'x".to_owned(), " ".to_owned()));
    }

    proptest! {
        #[test]
        fn pieces_make_the_text_that_they_make_at_once(
            pieces in proptest::collection::vec("[ .,'nt?smvre]{0,4}|é", 0..24),
        ) {
            let (mut clean_up, mut text) = (CleanUp::default(), String::new());
            for end in 0..pieces.len() {
                text += &clean_up.push(&pieces[end]);
                let whole = at_once(&pieces[..=end].concat());
                prop_assert_eq!(text.clone() + &clean_up.rest(), whole.clone());
                prop_assert_eq!(cleaned(&pieces[..=end].concat()), whole);
            }
            prop_assert!(at_once(&pieces.concat()).starts_with(&text));
        }
    }
}
