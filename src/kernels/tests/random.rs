//! Random shapes in every stored type, precision and instruction set at hand, against sums in f64 and within bounds that
//! follow from the rounding of each precision.

use proptest::prelude::*;

use super::*;

/// Half the distance from 1 to the next f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// The same of bf16.
const BF16_UNIT: f64 = 1.0 / (1 << 8) as f64;
/// Largest error of a number in a block of 8-bit integers, as a part of the block's largest: half a step of 1/127, and what
/// f32 adds on the way.
const INT8_UNIT: f64 = 0.5001 / 127.0;
/// Numbers of a block of 8-bit integers.
const BLOCK: usize = 32;

/// A matrix of this type whose values are numbers of ordinary size.
fn matrix(dtype: Dtype, rows: usize, columns: usize, seed: u32) -> StoredMatrix<'static> {
    let values = numbers(seed, rows, columns);
    let mut bytes = vec![0; dtype.bytes_for(values.len()).expect("whole blocks")];
    if dtype.narrow(values.as_slice().expect("standard layout"), &mut bytes).is_err() {
        // Any bytes are integers or blocks; with these, scales are small.
        let mask = if dtype == Dtype::Bool { 1 } else { 0x3b };
        let values = numbers(seed, 1, bytes.len());
        bytes.iter_mut().zip(&values).for_each(|(byte, value)| *byte = (value.to_bits() >> 9) as u8 & mask);
    }
    StoredMatrix::new(dtype, rows, columns, bytes).expect("bytes of the shape")
}

/// The least number of columns that a row of this type can have.
fn unit(dtype: Dtype) -> usize {
    [1, 32, 256]
        .into_iter()
        .find(|&columns| dtype.bytes_for(columns).is_some())
        .expect("a block of at most 256")
}

/// How far a product of two rows may lie from its sum in f64.
fn bound(precision: Precision, x: &[f32], w: &[f32]) -> f64 {
    let absolute = |(x, w): (&f32, &f32)| f64::from(x.abs()) * f64::from(w.abs());
    let scale: f64 = x.iter().zip(w).map(absolute).sum();
    // Two roundings a step, and one where the sum is added to what was there.
    let sum = (x.len() + 3) as f64 * UNIT;
    match precision {
        Precision::Exact => sum * scale,
        Precision::Bf16 => (2.0 * BF16_UNIT + BF16_UNIT * BF16_UNIT + 1.01 * sum) * scale,
        Precision::Int8 => {
            let blocks = x.chunks(BLOCK).zip(w.chunks(BLOCK)).map(|(x, w)| {
                let error = |of: &[f32]| {
                    INT8_UNIT * of.iter().fold(0.0, |largest: f64, value| largest.max(f64::from(value.abs())))
                };
                let (of_x, of_w) = (error(x), error(w));
                let terms = x.iter().zip(w);
                terms
                    .map(|(x, w)| f64::from(x.abs()) * of_w + f64::from(w.abs()) * of_x + of_x * of_w)
                    .sum::<f64>()
            });
            blocks.sum::<f64>() * 1.01 + 2.0 * sum * scale
        }
    }
}

fn shapes() -> impl Strategy<Value = (usize, usize, usize)> {
    let few = (1usize..=40, 1usize..=100, 1usize..=600);
    // More rows than one block has, of both kinds.
    let many = (prop_oneof![180usize..=210, 760usize..=790], 1usize..=40, 1usize..=70);
    prop_oneof![5 => few, 1 => many]
}

fn implementations(precision: Precision) -> Vec<(String, Box<dyn MatMul>)> {
    let sets = Isa::with_stand_in().into_iter();
    let mut all: Vec<(String, Box<dyn MatMul>)> = sets
        .map(|isa| {
            let native = Native::with_isa(isa, precision).expect("an instruction set of this processor");
            (isa.name().to_owned(), Box::new(native) as Box<dyn MatMul>)
        })
        .collect();
    all.extend(by_name("blas", precision).map(|blas| ("blas".to_owned(), blas)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products_lie_within_the_bounds_of_their_precision(
        (m, n, k) in shapes(),
        dtype in prop::sample::select(Dtype::ALL.into_iter().filter(|dtype| dtype.is_widenable()).collect::<Vec<_>>()),
        store in prop::sample::select(vec![Store::Overwrite, Store::Add]),
        seed in 0u32..1 << 20,
    ) {
        let k = k.next_multiple_of(unit(dtype));
        let (x, matrix) = (numbers(seed, m, k), matrix(dtype, n, k, seed + 1));
        let (w, before) = (widened(&matrix), numbers(seed + 2, m, n));
        let rows = |of: &Array2<f32>| of.rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>();
        let (x_rows, w_rows) = (rows(&x), rows(&w));
        for precision in Precision::ALL {
            let expected = Array2::from_shape_fn((m, n), |(i, j)| {
                let (x, w) = (&x_rows[i], &w_rows[j]);
                let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                let more = if store == Store::Add { f64::from(before[(i, j)]) } else { 0.0 };
                (sum + more, bound(precision, x, w) + UNIT * (sum + more).abs() + 1e-30)
            });
            for (name, matmul) in implementations(precision) {
                let mut y = if store == Store::Add { before.clone() } else { Array2::from_elem((m, n), f32::NAN) };
                let weight = matmul.prepare(&matrix);
                prop_assert_eq!(weight.bytes() as u64, matmul.prepared_bytes(dtype, n, k).expect("a count"), "{} {}", name, dtype);
                multiply(weight.as_ref(), x.view(), y.view_mut(), store);
                for ((place, found), (sum, bound)) in y.indexed_iter().zip(&expected) {
                    let error = (f64::from(*found) - sum).abs();
                    prop_assert!(
                        error <= *bound,
                        "{} {} {} {:?} {:?} at {:?}: {} against {}, error {} above {}",
                        name, precision, dtype, store, (m, n, k), place, found, sum, error, bound
                    );
                }
            }
        }
    }
}
