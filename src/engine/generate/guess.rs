//! What a sequence may go on with: whatever followed when it had the same end before.
//!
//! Answers repeat their questions, lists their lines, and small models themselves. A pass reads all weights for one more token, and
//! some rows more cost it little; so the tokens that may follow are computed along with the last known one, and those that turn out
//! to be what would have been written anyway are written at once (speculative decoding, Leviathan et al. 2023, with a look-up in
//! place of a second model, Saxena 2023). A row's bits depend on its own path alone: guesses change how long a text takes, and
//! nothing else.

/// Tokens of an end that was there before, at least and at most.
const END: [usize; 2] = [2, 4];
/// Tokens of a guess, at most.
const MOST: usize = 8;
/// How much longer than what was right of it the next one is: wrong ones stay short, right ones grow.
const MORE: usize = 1;

/// Guesses of one sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guesses {
    /// Tokens of the next one.
    next: usize,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { next: MORE }
    }
}

impl Guesses {
    /// What may follow these tokens: no more than are worth it, nor than `most`, and often none.
    pub fn after(self, tokens: &[u32], most: usize) -> Vec<u32> {
        let count = self.next.min(most);
        match place_after_end(tokens) {
            Some(from) if count > 0 => {
                let mut all = tokens.to_vec();
                // What repeats may be shorter than the guess, which then repeats itself.
                for at in from..from + count {
                    all.push(all[at]);
                }
                all.split_off(tokens.len())
            }
            _ => Vec::new(),
        }
    }

    /// So many tokens of the last guess were right.
    pub fn learn(&mut self, right: usize) {
        self.next = (right + MORE).min(MOST);
    }
}

/// Where what followed begins: behind the longest end of `tokens` that was there before, and of those that are as long the last.
fn place_after_end(tokens: &[u32]) -> Option<usize> {
    let [least, most] = END;
    let mut found = None;
    let mut longest = least - 1;
    for from in (1..tokens.len()).rev() {
        let same = tokens[..from].iter().rev().zip(tokens.iter().rev()).take(most);
        let length = same.take_while(|(a, b)| a == b).count();
        if length > longest {
            (longest, found) = (length, Some(from));
        }
        if longest == most {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_what_followed_the_same_end() {
        let guess = |tokens: &[u32]| Guesses { next: 4 }.after(tokens, 100);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 1, 2]), [3, 4, 5, 9]);
        // The longer end, not the later one.
        assert_eq!(guess(&[7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2]), [3, 8, 1, 2]);
        // Of equal ends the later one.
        assert_eq!(guess(&[1, 2, 3, 1, 2, 4, 1, 2]), [4, 1, 2, 4]);
        // What repeats itself goes on so.
        assert_eq!(guess(&[6, 6, 6]), [6, 6, 6, 6]);
        assert_eq!(guess(&[5, 8, 9, 8, 9]), [8, 9, 8, 9]);
        for nothing in [&[][..], &[3], &[3, 3], &[1, 2, 3, 2], &[1, 2, 3, 4]] {
            assert!(guess(nothing).is_empty(), "{nothing:?}");
        }
    }

    #[test]
    fn guesses_are_as_long_as_they_are_good() {
        let tokens = [4; 30];
        let mut guesses = Guesses::default();
        let mut lengths = Vec::new();
        for right in [1, 2, 3, 8, 1, 0, 0] {
            lengths.push(guesses.after(&tokens, 100).len());
            guesses.learn(right);
        }
        assert_eq!(lengths, [1, 2, 3, 4, 8, 2, 1]);
        assert_eq!(guesses.after(&tokens, 1), [4]);
        assert!(guesses.after(&tokens, 0).is_empty());
    }
}
