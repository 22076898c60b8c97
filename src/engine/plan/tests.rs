//! What waves have to be, whatever the requests.

use super::*;
use proptest::prelude::*;

fn request(context: &[u32], continuation: &[u32]) -> ScoreRequest {
    ScoreRequest { context: context.into(), continuation: continuation.to_vec() }
}

const LIMITS: Limits =
    Limits { max_length: 100, vocab_size: 10, wave_tokens: 1000, length_dependent_beyond: None };

/// The tokens from the root to `row`, that row included.
fn history(wave: &Wave, row: usize) -> Vec<u32> {
    let segment = wave.segments.iter().position(|s| s.rows.contains(&row)).unwrap();
    let rows = wave.path(segment).into_iter().flatten();
    rows.take_while(|&r| r != row).chain([row]).map(|r| wave.tokens[r]).collect()
}

#[test]
fn four_letters_after_one_question_are_one_sequence() {
    let requests: Vec<_> = (4..8).map(|letter| request(&[1, 2, 3], &[letter])).collect();
    let mut plan = Plan::new(&requests, LIMITS).unwrap();
    let wave = plan.next_wave(100).unwrap();
    assert_eq!(plan.tokens, TokenCounts { asked: 12, distinct: 3, computed: 3 });
    assert_eq!(
        wave.targets.iter().map(|t| (t.row, t.token)).collect::<Vec<_>>(),
        [(2, 4), (2, 5), (2, 6), (2, 7)]
    );
}

#[test]
fn requests_that_cannot_be_scored_are_refused() {
    assert_eq!(
        Plan::new(&[request(&[1], &[])], LIMITS).unwrap_err(),
        EngineError::EmptyContinuation { request: 0 }
    );
    assert_eq!(
        Plan::new(&[request(&[], &[1])], LIMITS).unwrap_err(),
        EngineError::EmptyContext { request: 0 }
    );
    assert!(matches!(
        Plan::new(&[request(&[1], &[3; 101])], LIMITS),
        Err(EngineError::ContinuationTooLong { .. })
    ));
    assert!(matches!(
        Plan::new(&[request(&[1], &[10])], LIMITS),
        Err(EngineError::UnknownToken { token: 10, .. })
    ));
}

#[test]
fn a_request_longer_than_the_context_keeps_its_end() {
    let limits = Limits { max_length: 3, ..LIMITS };
    let long = request(&[1, 2, 3, 4, 5], &[6, 7]);
    assert_eq!(long.truncated(3), 3);
    let requests = [long];
    let wave = Plan::new(&requests, limits).unwrap().waves().remove(0);
    assert_eq!(wave.wave.tokens, [4, 5, 6]);
    assert_eq!(wave.targets.iter().map(|t| (t.row, t.token)).collect::<Vec<_>>(), [(1, 6), (2, 7)]);
}

fn requests() -> impl Strategy<Value = Vec<ScoreRequest>> {
    let tokens = |sizes| prop::collection::vec(0u32..3, sizes);
    prop::collection::vec((tokens(1..12), tokens(1..5)).prop_map(|(a, b)| request(&a, &b)), 0..40)
}

proptest! {
    #[test]
    fn every_target_sees_exactly_its_own_past(
        requests in requests(), max_length in 5usize..14, wave_tokens in 1usize..60, dynamic in prop::option::of(4usize..9),
        sizes in prop::collection::vec(1usize..80, 1..9), kept_tokens in 0usize..14, answered in prop::collection::vec(any::<bool>(), 40),
    ) {
        let limits = Limits { max_length, wave_tokens, length_dependent_beyond: dynamic, ..LIMITS };
        let plan = Plan::new(&requests, limits).unwrap().without(|request| answered[request]);
        let mut plan = plan.keeping(kept_tokens);
        // The tokens whose keys and values the wave before has kept, and for which length they were turned.
        let mut kept: Vec<(u32, usize)> = Vec::new();
        let (mut seen, mut sizes) = (vec![Vec::new(); requests.len()], sizes.iter().cycle());
        let (to_compute, mut fresh) = (plan.left(), 0);
        let mut size = *sizes.next().unwrap();
        while let Some(planned) = plan.next_wave(size) {
            let single = planned.targets.iter().map(|t| input_tokens(&requests[t.request], max_length).len()).max().unwrap();
            prop_assert!(planned.wave.tokens.len() <= wave_tokens.min(size.max(SHARING * single) + single).max(single));
            prop_assert_eq!(planned.computed, planned.wave.tokens.len() - planned.wave.given);
            prop_assert!(planned.wave.given <= kept.len() && planned.wave.keep.len() <= kept_tokens);
            let turned = |row: usize| {
                let segment = planned.wave.segments.iter().find(|s| s.rows.contains(&row)).unwrap();
                (planned.wave.tokens[row], segment.rope_length)
            };
            for (row, &kept) in kept.iter().enumerate().take(planned.wave.given) {
                prop_assert_eq!(turned(row), kept);
            }
            prop_assert!(planned.wave.segments.iter().all(|s| s.rows.end <= planned.wave.given || s.rows.start >= planned.wave.given));
            if let Some(&last) = planned.wave.keep.last() {
                let past: Vec<u32> = planned.wave.keep.iter().map(|&row| planned.wave.tokens[row]).collect();
                prop_assert_eq!(history(&planned.wave, last), past);
            }
            kept = planned.wave.keep.iter().map(|&row| turned(row)).collect();
            prop_assert!(planned.fresh <= planned.wave.tokens.len() as u64);
            fresh += planned.fresh;
            prop_assert_eq!(plan.left(), to_compute - fresh);
            for target in &planned.targets {
                let past = history(&planned.wave, target.row);
                seen[target.request].push((past, target.token));
                let segment = planned.wave.segments.iter().find(|s| s.rows.contains(&target.row)).unwrap();
                let input = input_tokens(&requests[target.request], max_length).len();
                if dynamic.is_some_and(|limit| input > limit) {
                    prop_assert_eq!(segment.rope_length, input);
                }
            }
            size = *sizes.next().unwrap();
        }
        prop_assert_eq!(fresh, to_compute);
        for (at, (request, seen)) in requests.iter().zip(seen).enumerate() {
            let input = input_tokens(request, max_length);
            let first = input.len() - request.continuation.len();
            let expected: Vec<_> = request.continuation.iter().enumerate()
                .map(|(i, &token)| (input[..=first + i].to_vec(), token)).collect();
            prop_assert_eq!(seen, if answered[at] { Vec::new() } else { expected });
        }
        prop_assert!(to_compute <= plan.tokens.computed && plan.tokens.computed <= plan.tokens.asked);
        let scores_last_alone = requests.iter().all(|request| request.continuation.len() == 1);
        if kept_tokens >= max_length && scores_last_alone {
            prop_assert_eq!(plan.tokens.computed, to_compute, "nothing is computed twice");
        }
    }

    #[test]
    fn one_wave_computes_each_distinct_token_once(requests in requests()) {
        let mut plan = Plan::new(&requests, LIMITS).unwrap();
        let wave = plan.next_wave(LIMITS.wave_tokens);
        let mut prefixes = std::collections::HashSet::new();
        for request in &requests {
            let input = input_tokens(request, LIMITS.max_length);
            for end in 1..=input.len() {
                prefixes.insert(input[..end].to_vec());
            }
        }
        prop_assert_eq!(plan.tokens.computed, prefixes.len() as u64);
        prop_assert_eq!(plan.tokens.distinct, prefixes.len() as u64);
        prop_assert_eq!(wave.map_or(0, |wave| wave.fresh), prefixes.len() as u64);
    }
}
