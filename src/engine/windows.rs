//! A whole text → windows that predict each of its tokens exactly once, by the rule of lm-evaluation-harness 0.4.13.

use super::ScoreRequest;

/// Windows of at most `max_length` inputs.
///
/// The first window predicts as many tokens as fit, after `prefix` (BOS, or EOS in vocabularies without one).
/// Every later one predicts the next tokens after the input that ends just before them; the last one has few
/// left to predict and sees more of what came before. Tokens of a text that carries BOS itself are predicted
/// as all others. An empty text has no windows.
///
/// ```text
/// max_length 4, tokens 0…9:   [prefix]→0123   [3]→4567   [5 6 7]→89
/// ```
///
/// # Panics
/// If `max_length` is 0.
pub fn windows(tokens: &[u32], prefix: Option<u32>, max_length: usize) -> Vec<ScoreRequest> {
    let mut done = 0;
    let window = |next: &[u32]| {
        let context = match done {
            0 => prefix.into_iter().collect(),
            // The inputs are the last `max_length` tokens but the very last one, which is only predicted.
            _ => tokens[done + next.len() - 1 - max_length..done].into(),
        };
        done += next.len();
        ScoreRequest { context, continuation: next.to_vec() }
    };
    tokens.chunks(max_length).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(tokens: u32, max_length: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
        let tokens: Vec<u32> = (0..tokens).collect();
        let windows = windows(&tokens, Some(99), max_length);
        windows.into_iter().map(|w| (w.context.to_vec(), w.continuation)).collect()
    }

    #[test]
    fn the_last_window_sees_more() {
        let wanted = [(vec![99], vec![0, 1, 2, 3]), (vec![3], vec![4, 5, 6, 7]), (vec![5, 6, 7], vec![8, 9])];
        assert_eq!(shown(10, 4), wanted);
        assert_eq!(shown(3, 4), [(vec![99], vec![0, 1, 2])]);
        assert_eq!(shown(0, 4), []);
        assert_eq!(shown(2, 1), [(vec![99], vec![0]), (vec![0], vec![1])]);
    }

    proptest! {
        #[test]
        fn each_token_is_predicted_once_and_windows_fit(tokens in 0u32..200, max_length in 1usize..40) {
            let windows = shown(tokens, max_length);
            let predicted: Vec<u32> = windows.iter().flat_map(|(_, next)| next.clone()).collect();
            prop_assert_eq!(predicted, (0..tokens).collect::<Vec<_>>());
            for (at, (context, next)) in windows.iter().enumerate() {
                let inputs = context.len() + next.len() - 1;
                prop_assert!(!context.is_empty() && inputs <= max_length);
                prop_assert!(at == 0 || inputs == max_length);
                prop_assert!(at == 0 || context.last().map(|t| t + 1) == next.first().copied());
            }
        }
    }
}
