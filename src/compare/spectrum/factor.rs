//! Choice of the method that decomposes a matrix.

use super::{
    Difference, EXACT_SIDE, Spectrum, SpectrumMethod, SpectrumOptions, Truncated, exact, randomized,
};
use crate::forms::FormError;
use crate::kernels::Blas;

/// The singular values of a difference of finite numbers; `total` is the sum of squares of its elements.
///
/// # Errors
/// [`FormError::Refused`] if LAPACK does not succeed, or if the tensors cannot be read.
pub fn spectrum(
    difference: &Difference<'_>,
    total: f64,
    options: &SpectrumOptions,
) -> Result<Spectrum, FormError> {
    // LAPACK must run on one thread inside rayon's, see `Blas::new`.
    Blas::new();
    let count = difference.side();
    let rank = options.rank.min(difference.side());
    let (values, method) = match options.method {
        SpectrumMethod::Auto if count <= EXACT_SIDE => (exact::svd_values(difference)?, SpectrumMethod::Svd),
        SpectrumMethod::Svd => (exact::svd_values(difference)?, SpectrumMethod::Svd),
        SpectrumMethod::Gram => (exact::gram_values(difference)?, SpectrumMethod::Gram),
        SpectrumMethod::Auto | SpectrumMethod::Randomized if randomized::fits(count, rank) => {
            (randomized::truncated(difference, rank)?.s, SpectrumMethod::Randomized)
        }
        SpectrumMethod::Auto | SpectrumMethod::Randomized => {
            (exact::svd_values(difference)?, SpectrumMethod::Svd)
        }
    };
    Ok(Spectrum { values, total, count, method })
}

/// The best approximation of rank `r` (Eckart and Young): exact if the smaller side is at most [`EXACT_SIDE`] or not
/// much larger than `r`, randomised otherwise.
///
/// # Errors
/// As for [`spectrum`].
pub fn truncated(difference: &Difference<'_>, r: usize) -> Result<Truncated, FormError> {
    Blas::new();
    let r = r.min(difference.side());
    if difference.side() <= EXACT_SIDE || !randomized::fits(difference.side(), r) {
        exact::truncated(difference, r)
    } else {
        randomized::truncated(difference, r)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::testing::{Matrix, known_spectrum, numbers};
    use super::*;
    use crate::weights::Dtype;

    /// Relative to the largest singular value: base and tuned are f32, so the difference of two elements near 1 is off
    /// by up to 6e-8, and a matrix of such errors has singular values of about √1000 times that.
    const STORED_F32: f64 = 1e-5;
    /// Relative error of the smallest of the values asked for, of a matrix of noise: the worst case, a flat spectrum.
    const FLAT: f64 = 0.04;

    /// A base and a tuned matrix whose difference has these singular values.
    fn pair(rows: usize, columns: usize, s: &[f64]) -> (Matrix, Matrix, f64) {
        let base = Array2::from_shape_simple_fn((rows, columns), numbers(11));
        let tuned = &base + &known_spectrum(rows, columns, s).mapv(|x| x as f32);
        let total = tuned.iter().zip(&base).map(|(b, a)| (f64::from(*b) - f64::from(*a)).powi(2)).sum();
        (Matrix::of(Dtype::F32, &base), Matrix::of(Dtype::F32, &tuned), total)
    }

    fn values(rows: usize, columns: usize, s: &[f64], method: SpectrumMethod, rank: usize) -> Spectrum {
        let (base, tuned, total) = pair(rows, columns, s);
        let (a, b) = (base.view(), tuned.view());
        let difference = Difference::new(&a, &b).unwrap();
        spectrum(&difference, total, &SpectrumOptions { method, rank }).unwrap()
    }

    #[test]
    fn known_singular_values_are_found_by_every_method() {
        let s = [9.0, 4.0, 2.0, 1.0, 0.5];
        for (rows, columns) in [(120, 90), (90, 120), (64, 64)] {
            for method in [SpectrumMethod::Svd, SpectrumMethod::Gram, SpectrumMethod::Randomized] {
                let found = values(rows, columns, &s, method, 8);
                assert_eq!(found.method, method);
                assert_eq!(
                    found.values.len(),
                    if method == SpectrumMethod::Randomized { 8 } else { rows.min(columns) }
                );
                for (i, &x) in found.values.iter().enumerate() {
                    let expected = s.get(i).copied().unwrap_or(0.0);
                    assert!(
                        (x - expected).abs() <= STORED_F32 * s[0],
                        "{method:?} {rows}x{columns} σ{i}: {x}"
                    );
                }
                assert!(found.energy(5).unwrap() > 1.0 - STORED_F32);
                assert!((found.stable_rank().unwrap() - 102.25 / 81.0).abs() < STORED_F32);
            }
        }
    }

    #[test]
    fn a_long_tail_is_found_on_every_side_of_a_block_by_every_method() {
        // σᵢ = 1/i: what is left out of a Gram matrix would be missing from σ₁ and add to the tail.
        for (rows, columns) in [
            (90, 130),
            (256, 256),
            (296, 256),
            (257, 257),
            (257, 300),
            (600, 640),
            (640, 600),
            (832, 832),
            (872, 832),
        ] {
            let side = rows.min(columns);
            let s: Vec<f64> = (1..side).map(|i| 1.0 / i as f64).collect();
            let (base, tuned, total) = pair(rows, columns, &s);
            let (a, b) = (base.view(), tuned.view());
            let difference = Difference::new(&a, &b).unwrap();
            // exp(−Σ p ln p) of the true values, to which the rounding of what is stored adds next to nothing.
            let squares: f64 = s.iter().map(|s| s * s).sum();
            let entropy: f64 = s.iter().map(|s| -s * s / squares * (s * s / squares).ln()).sum();
            for method in [SpectrumMethod::Svd, SpectrumMethod::Gram, SpectrumMethod::Randomized] {
                let found = spectrum(&difference, total, &SpectrumOptions { method, rank: 32 }).unwrap();
                assert_eq!(found.method, method);
                let known = if method == SpectrumMethod::Randomized { 8 } else { s.len() };
                for (i, (x, expected)) in found.values.iter().zip(&s).take(known).enumerate() {
                    let at = format!("{method:?} {rows}x{columns} σ{i}: {x}, not {expected}");
                    assert!((x - expected).abs() <= STORED_F32, "{at}");
                }
                assert!((found.stable_rank().unwrap() - squares).abs() < 1e-4, "{method:?} {rows}x{columns}");
                let (low, high) = found.effective_rank().unwrap();
                let rank = entropy.exp();
                assert!(
                    low <= rank * 1.001 && rank <= high * 1.001,
                    "{method:?}: {low} to {high}, not {rank}"
                );
                if method != SpectrumMethod::Randomized {
                    assert!((low - rank).abs() < 0.01, "{method:?} {rows}x{columns}: {low}, not {rank}");
                }
            }
        }
    }

    #[test]
    fn the_method_follows_the_size() {
        let method = |rows, columns, rank| values(rows, columns, &[1.0], SpectrumMethod::Auto, rank).method;
        assert_eq!(method(100, 50, 4), SpectrumMethod::Svd);
        assert_eq!(method(800, EXACT_SIDE + 1, 4), SpectrumMethod::Randomized);
        // No room for a projection: as many values are wanted as there are.
        assert_eq!(values(30, 20, &[1.0], SpectrumMethod::Randomized, 64).method, SpectrumMethod::Svd);
    }

    #[test]
    fn a_flat_spectrum_is_close_and_never_above() {
        let noise = |seed| Array2::from_shape_simple_fn((500, 400), numbers(seed));
        let (base, tuned) = (Matrix::of(Dtype::F32, &noise(1)), Matrix::of(Dtype::F32, &noise(2)));
        let (a, b) = (base.view(), tuned.view());
        let difference = Difference::new(&a, &b).unwrap();
        let total: f64 = difference.dense().unwrap().iter().map(|x| x * x).sum();
        let of = |method| spectrum(&difference, total, &SpectrumOptions { method, rank: 32 }).unwrap();
        let (exact, found) = (of(SpectrumMethod::Svd), of(SpectrumMethod::Randomized));
        for (i, (x, e)) in found.values.iter().zip(&exact.values).enumerate() {
            assert!(*x <= e * (1.0 + 1e-9) && *x >= e * (1.0 - FLAT), "σ{i}: {x}, exact {e}");
        }
        let ((low, high), (rank, _)) = (found.effective_rank().unwrap(), exact.effective_rank().unwrap());
        assert!(low <= rank * (1.0 + FLAT) && rank <= high, "{low} to {high}, exact {rank}");
        assert_eq!(found, of(SpectrumMethod::Randomized), "the seed is fixed");
    }

    #[test]
    fn the_truncated_product_is_the_nearest_of_its_rank() {
        for (rows, columns) in [(60, 50), (900, 800)] {
            let (base, tuned, _) = pair(rows, columns, &[5.0, 3.0, 1.0, 0.25]);
            let (a, b) = (base.view(), tuned.view());
            let difference = Difference::new(&a, &b).unwrap();
            let found = truncated(&difference, 2).unwrap();
            assert_eq!((found.u.dim(), found.vt.dim(), found.s.len()), ((rows, 2), (2, columns), 2));
            let product = (&found.u * &ndarray::aview1(&found.s)).dot(&found.vt);
            let rest = (&difference.dense().unwrap() - &product).iter().map(|x| x * x).sum::<f64>().sqrt();
            // What is left are the other two: √(1 + 1/16).
            assert!((rest - 1.0625_f64.sqrt()).abs() < 5.0 * STORED_F32, "{rows}x{columns}: {rest}");
        }
    }
}
