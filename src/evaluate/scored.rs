//! Tokens of a document's requests that count, by the rule of a protocol.
//!
//! All rules work on the same tokens, context and continuation together; they put the cut between what is given
//! and what is scored in another place.

use std::sync::Arc;

use crate::engine::{EncodedPair, ScoreRequest};
use crate::tasks::protocol::ScoredTokens;

/// Cuts the requests of one document, one per choice and at least one, in another place.
///
/// # Errors
/// Requests that the rule cannot compare, in words.
pub(super) fn recut(
    pairs: Vec<EncodedPair>,
    scored: ScoredTokens,
    max_length: usize,
) -> Result<Vec<EncodedPair>, String> {
    match scored {
        ScoredTokens::Continuation => Ok(pairs),
        ScoredTokens::OneToken => {
            let mut lengths = pairs.iter().map(|pair| pair.request.continuation.len()).enumerate();
            match lengths.find(|(_, length)| *length != 1) {
                None => Ok(pairs),
                Some((choice, found)) => {
                    Err(format!("expected choices of one token each, found {found} in choice {choice}"))
                }
            }
        }
        ScoredTokens::AfterCommonPrefix => after_common_prefix(pairs),
        ScoredTokens::Whole => pairs.into_iter().map(|pair| whole(pair, max_length)).collect(),
    }
}

/// The tokens after those that all choices begin with; at least one, so a choice that another one begins with
/// keeps its last.
fn after_common_prefix(pairs: Vec<EncodedPair>) -> Result<Vec<EncodedPair>, String> {
    let all: Vec<Vec<u32>> = pairs.iter().map(|pair| tokens(&pair.request)).collect();
    let (first, others) = all.split_first().expect("a document has choices");
    let same = |other: &Vec<u32>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
    let shared = others.iter().map(same).min().unwrap_or(first.len());
    let shortest = all.iter().map(Vec::len).min().expect("a document has choices");
    let cut = shared.min(shortest.max(1) - 1);
    let prompt = pairs.iter().map(|pair| pair.n_context_tokens).max().expect("a document has choices");
    // A token may span the join of prompt and choice, but choices after different prompts share less.
    if cut == 0 || cut + 1 < prompt {
        return Err(format!(
            "expected choices after one prompt of {prompt} tokens, found {cut} tokens that all of them share"
        ));
    }
    let own = &pairs[0].request.context;
    let context: Arc<[u32]> = if own.len() == cut { Arc::clone(own) } else { first[..cut].into() };
    let recut = |(pair, tokens): (EncodedPair, Vec<u32>)| {
        let request = ScoreRequest { context: Arc::clone(&context), continuation: tokens[cut..].to_vec() };
        EncodedPair { request, ..pair }
    };
    Ok(pairs.into_iter().zip(all).map(recut).collect())
}

/// All tokens but the first; of a text that is too long, the last `max_length` tokens.
fn whole(pair: EncodedPair, max_length: usize) -> Result<EncodedPair, String> {
    let tokens = tokens(&pair.request);
    let cut = tokens.len() - tokens.len().min(max_length);
    match tokens[cut..].split_first() {
        Some((first, rest)) if !rest.is_empty() => {
            let request = ScoreRequest { context: Arc::from([*first]), continuation: rest.to_vec() };
            Ok(EncodedPair { request, cut, ..pair })
        }
        _ => Err(format!(
            "expected at least 2 tokens to score a text as a whole, found {} (the model has {max_length} positions)",
            tokens.len()
        )),
    }
}

fn tokens(request: &ScoreRequest) -> Vec<u32> {
    request.context.iter().chain(&request.continuation).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(context: &[u32], continuations: &[&[u32]]) -> Vec<EncodedPair> {
        let context: Arc<[u32]> = context.into();
        let pair = |continuation: &&[u32]| EncodedPair {
            request: ScoreRequest { context: Arc::clone(&context), continuation: continuation.to_vec() },
            n_context_tokens: context.len(),
            cut: 0,
        };
        continuations.iter().map(pair).collect()
    }

    fn cut(scored: ScoredTokens, continuations: &[&[u32]]) -> Result<Vec<(usize, Vec<u32>)>, String> {
        let pairs = recut(pairs(&[1, 2, 3], continuations), scored, 5)?;
        Ok(pairs.into_iter().map(|p| (p.request.context.len(), p.request.continuation)).collect())
    }

    #[test]
    fn what_all_choices_share_is_not_scored() {
        let rule = ScoredTokens::AfterCommonPrefix;
        assert_eq!(cut(rule, &[&[7, 8], &[7, 9, 9]]).unwrap(), [(4, vec![8]), (4, vec![9, 9])]);
        assert_eq!(cut(rule, &[&[7], &[8]]).unwrap(), [(3, vec![7]), (3, vec![8])]);
        // One choice begins with the other: its last token still counts.
        assert_eq!(cut(rule, &[&[7], &[7, 9]]).unwrap(), [(3, vec![7]), (3, vec![7, 9])]);
        let mut apart = pairs(&[1, 2, 3, 4], &[&[7]]);
        apart.extend(pairs(&[1, 5, 3, 4], &[&[7]]));
        assert!(recut(apart, rule, 9).unwrap_err().contains("after one prompt of 4 tokens, found 1"));
    }

    #[test]
    fn single_tokens_are_asked_for() {
        assert_eq!(cut(ScoredTokens::OneToken, &[&[7], &[8]]).unwrap(), [(3, vec![7]), (3, vec![8])]);
        assert!(cut(ScoredTokens::OneToken, &[&[7], &[8, 9]]).unwrap_err().contains("found 2 in choice 1"));
        assert_eq!(cut(ScoredTokens::Continuation, &[&[7], &[8, 9]]).unwrap()[1], (3, vec![8, 9]));
    }

    #[test]
    fn whole_texts_lose_their_beginning_where_they_are_too_long() {
        let pairs = recut(pairs(&[1, 2, 3], &[&[7], &[8, 9, 9]]), ScoredTokens::Whole, 5).unwrap();
        assert_eq!(
            (&pairs[0].request.context[..], &pairs[0].request.continuation[..], pairs[0].cut),
            (&[1][..], &[2, 3, 7][..], 0)
        );
        assert_eq!(
            (&pairs[1].request.context[..], &pairs[1].request.continuation[..], pairs[1].cut),
            (&[2][..], &[3, 8, 9, 9][..], 1)
        );
        assert!(cut(ScoredTokens::Whole, &[&[]]).is_ok());
    }

    #[test]
    #[should_panic(expected = "a document has choices")]
    fn documents_without_choices_were_refused_before() {
        let _ = recut(vec![], ScoredTokens::AfterCommonPrefix, 5);
    }
}
