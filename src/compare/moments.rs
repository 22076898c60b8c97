//! Sums over two tensors: norms, distance, cosine, equal elements.

use rayon::prelude::*;

use crate::weights::{TensorView, WeightsError};

/// Elements of a piece; whole blocks of every quantised type.
const PIECE: usize = 1 << 16;

/// Sums over the elements of two tensors A and B, and of the difference B − A.
///
/// Elements that are no finite number in one of them are counted and left out of the sums.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PairMoments {
    /// Elements compared.
    pub elements: u64,
    /// Elements with equal values.
    pub equal: u64,
    /// Elements that are infinite or no number in A or B.
    pub non_finite: u64,
    /// `‖A‖_F²`.
    pub a_squared: f64,
    /// `‖B‖_F²`.
    pub b_squared: f64,
    /// `Σ A·B`.
    pub product: f64,
    /// `‖B − A‖_F²`.
    pub delta_squared: f64,
    /// The largest magnitude in B − A.
    pub delta_max: f64,
}

impl PairMoments {
    /// The moments of the first `count` elements of both.
    ///
    /// # Errors
    /// What widening reports.
    pub fn of(a: &TensorView<'_>, b: &TensorView<'_>, count: usize) -> Result<Self, WeightsError> {
        let pieces: Vec<PairMoments> = (0..count.div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let first = piece * PIECE;
                let length = PIECE.min(count - first);
                let (mut x, mut y) = (vec![0.0; length], vec![0.0; length]);
                a.widen_from(first, &mut x)?;
                b.widen_from(first, &mut y)?;
                Ok(Self::of_piece(&x, &y))
            })
            .collect::<Result<_, WeightsError>>()?;
        // One after the other, so that rounding does not depend on which thread was first.
        Ok(pieces.iter().fold(PairMoments::default(), |sum, piece| sum.plus(piece)))
    }

    fn of_piece(a: &[f32], b: &[f32]) -> Self {
        let mut sum = PairMoments { elements: a.len() as u64, ..PairMoments::default() };
        for (&x, &y) in a.iter().zip(b) {
            sum.equal += u64::from(x == y);
            if !(x.is_finite() && y.is_finite()) {
                sum.non_finite += 1;
                continue;
            }
            let (x, y) = (f64::from(x), f64::from(y));
            let delta = y - x;
            sum.a_squared += x * x;
            sum.b_squared += y * y;
            sum.product += x * y;
            sum.delta_squared += delta * delta;
            sum.delta_max = sum.delta_max.max(delta.abs());
        }
        sum
    }

    /// The moments of both.
    pub fn plus(&self, other: &Self) -> Self {
        PairMoments {
            elements: self.elements + other.elements,
            equal: self.equal + other.equal,
            non_finite: self.non_finite + other.non_finite,
            a_squared: self.a_squared + other.a_squared,
            b_squared: self.b_squared + other.b_squared,
            product: self.product + other.product,
            delta_squared: self.delta_squared + other.delta_squared,
            delta_max: self.delta_max.max(other.delta_max),
        }
    }

    /// Whether every element has the same value in both.
    pub fn is_equal(&self) -> bool {
        self.equal == self.elements
    }

    /// `‖B − A‖_F / ‖A‖_F`; `None` if A is 0 and B is not.
    pub fn relative_change(&self) -> Option<f64> {
        if self.delta_squared == 0.0 {
            return Some(0.0);
        }
        (self.a_squared > 0.0).then(|| (self.delta_squared / self.a_squared).sqrt())
    }

    /// The cosine of the angle between A and B; `None` if one of them is 0.
    pub fn cosine(&self) -> Option<f64> {
        let norms = self.a_squared.sqrt() * self.b_squared.sqrt();
        (norms > 0.0).then(|| (self.product / norms).clamp(-1.0, 1.0))
    }

    /// The share of elements with equal values, 0 to 1; 1 for an empty tensor.
    pub fn equal_share(&self) -> f64 {
        if self.elements == 0 { 1.0 } else { self.equal as f64 / self.elements as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::spectrum::testing::{Matrix, numbers};
    use crate::weights::Dtype;
    use ndarray::array;

    #[test]
    fn a_case_by_hand() {
        let a = Matrix::of(Dtype::F32, &array![[3.0, 4.0, 0.0], [0.0, 0.0, f32::NAN]]);
        let b = Matrix::of(Dtype::F16, &array![[3.0, 0.0, 0.0], [0.0, 2.0, 1.0]]);
        let m = PairMoments::of(&a.view(), &b.view(), 6).unwrap();
        assert_eq!((m.elements, m.equal, m.non_finite), (6, 3, 1));
        assert_eq!((m.a_squared, m.b_squared, m.product, m.delta_squared), (25.0, 13.0, 9.0, 20.0));
        assert_eq!(m.delta_max, 4.0);
        // ‖Δ‖ = √20, ‖A‖ = 5, ‖B‖ = √13; up to the rounding of the roots.
        assert!((m.relative_change().unwrap() - 20.0_f64.sqrt() / 5.0).abs() < 1e-15);
        assert!((m.cosine().unwrap() - 9.0 / (5.0 * 13.0_f64.sqrt())).abs() < 1e-15);
        assert!(!m.is_equal());
    }

    #[test]
    fn zero_and_nothing_have_no_ratio() {
        let zero = Matrix::of(Dtype::F32, &array![[0.0, 0.0]]);
        let one = Matrix::of(Dtype::F32, &array![[0.0, 1.0]]);
        let m = PairMoments::of(&zero.view(), &one.view(), 2).unwrap();
        assert_eq!((m.relative_change(), m.cosine(), m.equal_share()), (None, None, 0.5));
        let none = PairMoments::of(&zero.view(), &one.view(), 0).unwrap();
        assert!(none.is_equal() && none.equal_share() == 1.0 && none.relative_change() == Some(0.0));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let mut next = numbers(5);
        let a = Matrix::random(Dtype::F32, 700, 500, &mut next);
        let b = Matrix::random(Dtype::BF16, 700, 500, &mut next);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| PairMoments::of(&a.view(), &b.view(), 350_000).unwrap())
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn too_few_bytes_are_an_error() {
        let a = Matrix::new(Dtype::F32, 2, 2, vec![0; 12]);
        assert!(PairMoments::of(&a.view(), &a.view(), 4).is_err());
    }
}
