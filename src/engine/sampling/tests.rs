use proptest::prelude::*;

use super::*;

const LOGITS: [f32; 8] = [1.5, -0.5, 2.25, 1.5, 0.0, -3.0, 2.0, -1.25];
/// What was there before, some of it twice.
const BEFORE: [u32; 4] = [2, 1, 2, 5];

/// The tokens that may be drawn and their probabilities.
fn distribution(sampling: Sampling, logits: &[f32], before: &[u32]) -> Vec<(u32, f64)> {
    let kept = Sampler::new(&sampling, 0).candidates(logits, before);
    let total: f64 = kept.iter().map(|candidate| candidate.weight).sum();
    kept.iter().map(|candidate| (candidate.id, candidate.weight / total)).collect()
}

/// The values are those of transformers' classes, line by line, in numpy's f32.
#[test]
fn rules_keep_the_tokens_of_the_reference_with_its_probabilities() {
    let s = Sampling::default;
    let whole = [
        (0, 0.161311),
        (1, 0.021831),
        (2, 0.341494),
        (3, 0.161311),
        (4, 0.035993),
        (5, 0.001792),
        (6, 0.265956),
        (7, 0.010312),
    ];
    let hot = [
        (0, 0.170002),
        (1, 0.048706),
        (2, 0.271662),
        (3, 0.170002),
        (4, 0.066574),
        (5, 0.010209),
        (6, 0.232365),
        (7, 0.03048),
    ];
    let punished = [
        (0, 0.188099),
        (1, 0.021911),
        (2, 0.236924),
        (3, 0.188099),
        (4, 0.041971),
        (5, 0.00085),
        (6, 0.310123),
        (7, 0.012025),
    ];
    let four = [(0, 0.173439), (2, 0.36717), (3, 0.173439), (6, 0.285952)];
    let five = [(0, 0.166977), (2, 0.35349), (3, 0.166977), (4, 0.037258), (6, 0.275298)];
    let all_rules =
        Sampling { temperature: 0.7, top_k: 5, top_p: 0.85, min_p: 0.15, repetition_penalty: 1.2, seed: 0 };
    let cases: [(Sampling, &[(u32, f64)]); 15] = [
        (s(), &whole),
        (Sampling { temperature: 1.6, ..s() }, &hot),
        (Sampling { repetition_penalty: 1.3, ..s() }, &punished),
        // Two tokens are as probable as each other, the third and the fourth of all.
        (Sampling { top_k: 3, ..s() }, &four),
        (Sampling { top_k: 4, ..s() }, &four),
        (Sampling { top_k: 50, ..s() }, &whole),
        (Sampling { top_p: 0.8, ..s() }, &four),
        (Sampling { top_p: 0.3, ..s() }, &[(2, 1.0)]),
        (Sampling { top_p: 1e-12, ..s() }, &[(2, 1.0)]),
        (Sampling { min_p: 0.1, ..s() }, &five),
        (Sampling { min_p: 1.0, ..s() }, &[(2, 1.0)]),
        (all_rules, &[(0, 0.173871), (2, 0.297088), (3, 0.173871), (6, 0.355171)]),
        // Of the two the one with the lower id stays.
        (Sampling { top_k: 3, top_p: 0.7, ..s() }, &[(0, 0.209832), (2, 0.444214), (6, 0.345954)]),
        (Sampling { temperature: 2.0, top_p: 0.6, min_p: 0.7, ..s() }, &[(2, 0.531209), (6, 0.468791)]),
        (Sampling { temperature: 0.0, repetition_penalty: 1.3, ..s() }, &[(6, 1.0)]),
    ];
    for (sampling, expected) in cases {
        let found = distribution(sampling, &LOGITS, &BEFORE);
        let ids = |list: &[(u32, f64)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        assert_eq!(ids(&found), ids(expected), "{sampling:?}");
        for ((id, found), (_, expected)) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{sampling:?}: {id}: {found}, not {expected}");
        }
    }
}

#[test]
fn equal_logits_go_to_the_lower_id() {
    let coldest = Sampling { temperature: 0.0, ..Sampling::default() };
    assert_eq!(Sampler::new(&coldest, 0).pick(&[0.5, 2.0, -1.0, 2.0], &[]), 1);
    let mass = Sampling { top_p: 0.5, ..Sampling::default() };
    assert_eq!(distribution(mass, &[1.0; 4], &[]), [(0, 0.5), (1, 0.5)]);
    let least = Sampling { top_p: 1e-9, ..Sampling::default() };
    assert_eq!(distribution(least, &[1.0; 4], &[]), [(0, 1.0)]);
}

/// A small temperature divides by almost nothing, but never makes a number that is none.
#[test]
fn extreme_values_are_no_trouble() {
    for temperature in [1e-300, 1e-40, 1e300] {
        let sampling = Sampling { temperature, top_p: 0.9, ..Sampling::default() };
        let found = distribution(sampling, &[-30.0, 1e30, 5.0], &[]);
        assert!(
            found.iter().all(|(_, p)| p.is_finite()) && found.iter().any(|(id, _)| *id == 1),
            "{found:?}"
        );
    }
}

/// 20,000 draws of fixed seeds: Pearson's statistic with 7 degrees of freedom is above 24.3 once in a thousand times.
#[test]
fn tokens_are_drawn_as_often_as_they_are_probable() {
    let (draws, sampling) = (20_000, Sampling { temperature: 1.6, seed: 7, ..Sampling::default() });
    let expected = distribution(sampling, &LOGITS, &[]);
    // One sequence for long, and many for a single step.
    let mut sampler = Sampler::new(&sampling, 5);
    let along: Vec<u32> = (0..draws).map(|_| sampler.pick(&LOGITS, &[])).collect();
    let across: Vec<u32> =
        (0..draws).map(|stream| Sampler::new(&sampling, stream).pick(&LOGITS, &[])).collect();
    for drawn in [along, across] {
        let statistic: f64 = expected
            .iter()
            .map(|(id, p)| {
                let found = drawn.iter().filter(|drawn| *drawn == id).count() as f64;
                (found - p * draws as f64).powi(2) / (p * draws as f64)
            })
            .sum();
        assert!(statistic < 24.3, "{statistic}");
    }
}

#[test]
fn a_draw_depends_on_seed_stream_and_step_alone() {
    let text = |seed: u64, stream: u64| {
        let mut sampler = Sampler::new(&Sampling { seed, ..Sampling::default() }, stream);
        (0..40).map(|_| sampler.pick(&LOGITS, &[])).collect::<Vec<u32>>()
    };
    assert_eq!(text(1, 2), text(1, 2));
    assert!(text(1, 2) != text(1, 3) && text(1, 2) != text(2, 2) && text(1, 2) != text(2, 1));
    // What earlier steps looked like does not matter.
    let mut other = Sampler::new(&Sampling { seed: 1, ..Sampling::default() }, 2);
    (0..39).for_each(|step| assert!(other.pick(&[0.0, step as f32], &[1]) < 2));
    assert_eq!(Some(&other.pick(&LOGITS, &[])), text(1, 2).last());
}

/// The first numbers of `splitmix64.c` for the seed 1234567.
#[test]
fn the_generator_is_the_published_one() {
    let mut random = SplitMix64(1_234_567);
    let first: Vec<u64> = (0..5).map(|_| random.next()).collect();
    let published = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];
    assert_eq!(first, published);
}

#[test]
fn values_that_cannot_be_are_named() {
    let read = |text: &str| serde_json::from_str::<Sampling>(text).map_err(|error| error.to_string());
    let some = r#"{"temperature": 0.7, "top_k": 40, "seed": 18446744073709551615}"#;
    let sampling = Sampling { temperature: 0.7, top_k: 40, seed: u64::MAX, ..Sampling::default() };
    assert_eq!(read(some), Ok(sampling));
    assert_eq!(read(&serde_json::to_string(&sampling).unwrap()), Ok(sampling));
    for (text, words) in [
        (r#"{"temperature": -1}"#, "temperature: expected a number from 0, found -1"),
        (r#"{"top_p": 0}"#, "top_p: expected a number above 0 and at most 1, found 0"),
        (r#"{"top_p": 1.5}"#, "top_p: expected"),
        (r#"{"min_p": 2}"#, "min_p: expected a number from 0 to 1, found 2"),
        (r#"{"repetition_penalty": 0}"#, "repetition_penalty: expected a number above 0, found 0"),
        (r#"{"top_k": -1}"#, "expected usize"),
        (r#"{"typical_p": 0.5}"#, "unknown field `typical_p`"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(words), "{text}: {error}");
    }
    let nan = Sampling { temperature: f64::NAN, ..Sampling::default() };
    assert_eq!(nan.checked().unwrap_err().rule, "temperature");
}

/// The rules as they are stated, over whole sorted lists.
fn by_definition(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
    let mut left: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |id: u32| logits[id as usize];
    // The most probable first.
    left.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
    if sampling.top_k > 0 {
        let last = logit(left[sampling.top_k.min(left.len()) - 1]);
        left.retain(|&id| logit(id) >= last);
    }
    let weight = |id: u32| ((f64::from(logit(id)) - f64::from(logit(left[0]))) / sampling.temperature).exp();
    let total: f64 = left.iter().map(|&id| weight(id)).sum();
    let mut kept = left.clone();
    if sampling.top_p < 1.0 {
        let mut mass = 0.0;
        while kept.len() > 1 {
            mass += weight(kept[kept.len() - 1]) / total;
            // Equal up to rounding is not decided here.
            if (mass - (1.0 - sampling.top_p)).abs() < 1e-9 {
                return Vec::new();
            }
            if mass > 1.0 - sampling.top_p {
                break;
            }
            kept.pop();
        }
    }
    kept.retain(|&id| weight(id) >= sampling.min_p);
    kept.sort_unstable();
    kept
}

proptest! {
    #[test]
    fn kept_sets_are_those_of_the_definition(
        // Few different values: many are equal.
        logits in proptest::collection::vec((-8i8..8).prop_map(|x| f32::from(x) * 0.75), 1..60),
        temperature in 0.1f64..3.0,
        top_k in 0usize..20,
        top_p in 0.001f64..1.0,
        min_p in 0.0f64..1.0,
    ) {
        let sampling = Sampling { temperature, top_k, top_p, min_p, ..Sampling::default() };
        let expected = by_definition(sampling, &logits);
        prop_assume!(!expected.is_empty());
        let found: Vec<u32> = distribution(sampling, &logits, &[]).into_iter().map(|(id, _)| id).collect();
        prop_assert_eq!(found, expected);
    }
}
