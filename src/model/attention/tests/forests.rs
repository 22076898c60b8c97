//! Random forests of segments against the naive sum of the definition, within bounds that follow from rounding.

use proptest::prelude::*;

use super::*;

/// Half the distance from 1 to the next f32.
const UNIT: f32 = 1.0 / (1 << 24) as f32;
/// The same of bf16.
const BF16_UNIT: f32 = 1.0 / (1 << 8) as f32;
/// Of an exponential, and of the sum that outputs are divided by.
const SOFTMAX_ERROR: f32 = 1e-6;

/// Lengths around those of a block of keys, and the parents of all but the first segment.
fn forests() -> impl Strategy<Value = Wave> {
    let length = prop_oneof![3 => 1usize..6, 2 => 58usize..70, 1 => 120usize..135];
    prop::collection::vec((length, any::<prop::sample::Index>(), prop::bool::weighted(0.8)), 1..8).prop_map(
        |segments| {
            let mut wave = Wave::default();
            for (at, (length, parent, has_parent)) in segments.into_iter().enumerate() {
                let parent = (at > 0 && has_parent).then(|| parent.index(at.max(1)));
                wave.push(&vec![0; length], parent, 0);
            }
            wave
        },
    )
}

/// Numbers in -1..1 that look random.
fn numbers(seed: u32, rows: usize, columns: usize) -> Array2<f32> {
    let mut state = seed.wrapping_mul(2654435761).wrapping_add(1);
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_random_forest_attends_as_the_definition_says(
        wave in forests(),
        keys in 1usize..=3,
        group in 1usize..=3,
        head_dim in prop::sample::select(vec![1, 2, 3, 4, 8, 20, 33]),
        sloped in any::<bool>(),
        leaf in any::<prop::sample::Index>(),
        seed in 0u32..1 << 20,
    ) {
        let queries = keys * group;
        let slopes: Vec<f32> = (0..queries).map(|head| 0.5 / (1 + (head * 5) % queries) as f32).collect();
        let heads = Heads { queries, keys, head_dim, slopes: sloped.then_some(&slopes[..]), precision: Precision::Exact };
        let rows = wave.tokens.len();
        let q = numbers(seed, rows, queries * head_dim);
        let (k, v) = (numbers(seed + 1, rows, keys * head_dim), numbers(seed + 2, rows, keys * head_dim));
        let run = |heads, wave: &Wave, [q, k, v]: [&Array2<f32>; 3]| {
            let mut out = q.clone();
            attention(heads, wave, None, out.view_mut(), k.view(), v.view());
            out
        };
        let expected = by_definition(heads, &wave, &q, &k, &v);
        let longest = wave.segments.iter().map(|segment| segment.start + segment.rows.len()).max().unwrap() as f32;

        // All values are below 1, so a score is below the root of the width and what its place adds; an error of scores
        // counts twice in a weight, in its exponential and in the sum of all.
        let width = head_dim as f32;
        let score = width.sqrt() + if sloped { 0.5 * longest } else { 0.0 };
        let exact = 2.0 * (width + 6.0) * UNIT * score + 2.0 * (longest + 4.0) * UNIT + SOFTMAX_ERROR;
        let rounded = exact + 2.1 * (2.01 * BF16_UNIT * width.sqrt()) + 2.1 * BF16_UNIT;
        for (rounds, bound) in [(false, exact), (true, rounded)] {
            let heads = Heads { precision: if rounds { Precision::Bf16 } else { Precision::Exact }, ..heads };
            let found = run(heads, &wave, [&q, &k, &v]);
            let worst = (&found - &expected).fold(0.0f32, |worst, difference| {
                if difference.is_nan() { f32::INFINITY } else { worst.max(difference.abs()) }
            });
            prop_assert!(worst <= bound, "{:?} {:?}: {} above {}", heads, wave.segments, worst, bound);

            // A sequence alone has the bits that it has in the forest.
            let path = wave.path(leaf.index(wave.segments.len()));
            let own: Vec<usize> = path.into_iter().flatten().collect();
            let alone = [&q, &k, &v].map(|x| x.select(Axis(0), &own));
            let sequence = Wave::sequence(&vec![0; own.len()]);
            prop_assert_eq!(run(heads, &sequence, alone.each_ref()), found.select(Axis(0), &own));
        }
    }
}
