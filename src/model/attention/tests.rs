use ndarray::{Array2, Axis};

use super::*;
use crate::kernels::multiplies_pairs;
use crate::model::{BlockTable, KvCache};

mod forests;

/// f32 sums over at most a few hundred keys against f64.
const ATTENTION_TOLERANCE: f32 = 2e-6;

const GROUPED: Heads = Heads { queries: 6, keys: 2, head_dim: 4, slopes: None, precision: Precision::Exact };
/// Slopes in no order, so that a mixed-up head is seen.
const SLOPED: Heads = Heads { slopes: Some(&[0.25, 0.0625, 0.5, 0.03125, 1.0, 0.125]), ..GROUPED };

fn values(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        (((i * 37 + j * 11 + seed) % 101) as f32 / 50.0 - 1.0) * 2.0
    })
}

/// What rounding to bf16 changes: 2⁻⁹ of numbers up to 2, in scores below 10.
const ROUNDED_TOLERANCE: f32 = 4e-2;

/// Attention as the definition has it, one query at a time, in f64.
fn by_definition(
    heads: Heads,
    wave: &Wave,
    q: &Array2<f32>,
    k: &Array2<f32>,
    v: &Array2<f32>,
) -> Array2<f32> {
    let width = heads.head_dim;
    let mut out = Array2::zeros(q.dim());
    for (index, segment) in wave.segments.iter().enumerate() {
        for row in segment.rows.clone() {
            let position = segment.start + row - segment.rows.start;
            let keys: Vec<usize> = (0..=position).map(|p| wave.row(index, p).unwrap()).collect();
            for head in 0..heads.queries {
                let kv = head / (heads.queries / heads.keys);
                let slope = f64::from(heads.slopes.map_or(0.0, |slopes| slopes[head]));
                let score = |key: usize| -> f64 {
                    (0..width)
                        .map(|d| f64::from(q[[row, head * width + d]]) * f64::from(k[[key, kv * width + d]]))
                        .sum::<f64>()
                        / (width as f64).sqrt()
                };
                let biased = |(at, &key): (usize, &usize)| (score(key) + slope * at as f64).exp();
                let weights: Vec<f64> = keys.iter().enumerate().map(biased).collect();
                let total: f64 = weights.iter().sum();
                for d in 0..width {
                    let sum: f64 = keys
                        .iter()
                        .zip(&weights)
                        .map(|(&key, w)| w * f64::from(v[[key, kv * width + d]]))
                        .sum();
                    out[[row, head * width + d]] = (sum / total) as f32;
                }
            }
        }
    }
    out
}

#[test]
fn a_forest_of_segments_attends_along_its_paths() {
    let mut wave = Wave::default();
    let root = wave.push(&[0; 150], None, 0);
    let left = wave.push(&[0; 3], Some(root), 0);
    wave.push(&[0; 1], Some(left), 0);
    wave.push(&[0; 130], Some(root), 0);
    wave.push(&[0; 5], None, 0);
    let rows = wave.tokens.len();
    let (q, k, v) = (values(rows, 24, 1), values(rows, 8, 5), values(rows, 8, 9));
    for heads in [GROUPED, SLOPED] {
        let mut out = q.clone();
        attention(heads, &wave, None, out.view_mut(), k.view(), v.view());
        let expected = by_definition(heads, &wave, &q, &k, &v);
        let worst = (&out - &expected).fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(worst < ATTENTION_TOLERANCE, "{heads:?}: {worst}");

        let rounded = Heads { precision: Precision::Bf16, ..heads };
        let mut out = q.clone();
        attention(rounded, &wave, None, out.view_mut(), k.view(), v.view());
        let worst = (&out - &expected).fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(worst < ROUNDED_TOLERANCE, "{heads:?}: {worst}");
        assert_eq!(worst > ATTENTION_TOLERANCE, multiplies_pairs(), "{heads:?}: {worst}");
    }
}

#[test]
fn the_cut_into_segments_does_not_change_a_bit() {
    let whole = Wave::sequence(&[0; 200]);
    let mut cut = Wave::default();
    let a = cut.push(&[0; 77], None, 0);
    cut.push(&[0; 10], Some(a), 0);
    let b = cut.push(&[0; 60], Some(a), 0);
    cut.push(&[0; 3], None, 0);
    cut.push(&[0; 63], Some(b), 0);
    // The rows of the whole sequence inside the cut wave.
    let rows: Vec<usize> = (0..77).chain(87..147).chain(150..213).collect();
    let run = |heads, wave: &Wave, [q, k, v]: [&Array2<f32>; 3]| {
        let mut out = q.clone();
        attention(heads, wave, None, out.view_mut(), k.view(), v.view());
        out
    };
    let all = [values(213, 24, 2), values(213, 8, 3), values(213, 8, 4)];
    let own = all.each_ref().map(|x| x.select(Axis(0), &rows));
    for heads in [GROUPED, SLOPED, Heads { precision: Precision::Bf16, ..GROUPED }] {
        let cut = run(heads, &cut, all.each_ref()).select(Axis(0), &rows);
        assert_eq!(run(heads, &whole, own.each_ref()), cut);
    }
}

#[test]
fn tables_that_begin_alike_are_taken_together() {
    let mut cache = KvCache::default();
    let first = cache.branch(&BlockTable::default(), 0, 5 * KEYS);
    let alike = cache.branch(&first, 4 * KEYS, 4 * KEYS + 1);
    let copy = cache.branch(&first, 5 * KEYS, 5 * KEYS + 3);
    let other = cache.branch(&first, KEYS, 6 * KEYS);
    let alone = cache.branch(&BlockTable::default(), 0, 9);
    let tables = [&other, &first, &alone, &copy, &alike];
    let runs: Vec<Run> = (0..tables.len())
        .map(|segment| Run { segment, rows: segment..segment + 1, start: tables[segment].len() - 1 })
        .collect();
    let of = |piece: usize| {
        let units = units_of_tables(&tables, &runs, piece);
        let mut found: Vec<_> = units.into_iter().map(|unit| (unit.runs, unit.shared_blocks)).collect();
        found.iter_mut().for_each(|(runs, _)| runs.sort());
        found.sort();
        found
    };
    // What three have in common is worth more than what two of them have beyond it; of the fourth's, one block is not.
    assert_eq!(of(8), [(vec![0], 5), (vec![1, 3, 4], 4), (vec![2], 0)]);
    assert_eq!(of(1).len(), 5);
    assert!(of(2).iter().all(|(runs, _)| runs.len() <= 2));
    for table in [first, alike, copy, other, alone] {
        cache.release(table);
    }
}
