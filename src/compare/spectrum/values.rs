//! Singular values as an answer: energy, stable rank, effective rank.

use super::SpectrumMethod;

/// The singular values of a difference, all or the largest.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Largest first.
    pub values: Vec<f64>,
    /// The sum of the squares of all, `‖Δ‖_F²`, from the elements themselves.
    pub total: f64,
    /// How many there are: the smaller side of the matrix.
    pub count: usize,
    /// How they were found; never [`SpectrumMethod::Auto`].
    pub method: SpectrumMethod,
}

impl Spectrum {
    /// Whether `values` holds all.
    pub fn is_complete(&self) -> bool {
        self.values.len() >= self.count
    }

    /// The share of `‖Δ‖_F²` in the `r` largest, 0 to 1; `None` if fewer than that are known or nothing changed.
    pub fn energy(&self, r: usize) -> Option<f64> {
        let known = r.min(self.count);
        if self.total <= 0.0 || known > self.values.len() {
            return None;
        }
        if known == self.count {
            return Some(1.0);
        }
        let sum: f64 = self.values.iter().take(known).map(|s| s * s).sum();
        Some((sum / self.total).clamp(0.0, 1.0))
    }

    /// `‖Δ‖_F² / σ₁²`: how many directions as strong as the strongest would make the same norm.
    pub fn stable_rank(&self) -> Option<f64> {
        let first = self.values.first().copied().filter(|s| *s > 0.0)?;
        Some((self.total / (first * first)).max(1.0))
    }

    /// Bounds of the effective rank, `exp(−Σ pᵢ ln pᵢ)` with `pᵢ = σᵢ² / Σσ²`; equal if all values are known.
    ///
    /// Roy and Vetterli (EUSIPCO 2007) take `pᵢ = σᵢ / Σσ`; squares are taken here because their sum is known
    /// without knowing every value. Of the values that are not known, the entropy is least when they
    /// are few and as large as the last known one, and greatest when they are equal.
    pub fn effective_rank(&self) -> Option<(f64, f64)> {
        let last = self.values.last().copied()?;
        let known: f64 = self.values.iter().map(|s| s * s).sum();
        let (total, rest) = if self.is_complete() {
            (known, 0.0)
        } else {
            let rest = (self.total - known).max(0.0);
            // Below this, what is left is the rounding of the sums and not a tail.
            if rest <= 1e-12 * self.total { (known, 0.0) } else { (known + rest, rest) }
        };
        if total <= 0.0 {
            return None;
        }
        let term = |square: f64| {
            let p = square / total;
            if p > 0.0 { -p * p.ln() } else { 0.0 }
        };
        let head: f64 = self.values.iter().map(|s| term(s * s)).sum();
        if rest == 0.0 {
            return Some((head.exp(), head.exp()));
        }
        let unknown = (self.count - self.values.len()) as f64;
        let equal = unknown * term(rest / unknown);
        let largest = last * last;
        let few = if largest > 0.0 && rest / largest < unknown {
            let whole = (rest / largest).floor();
            whole * term(largest) + term((rest - whole * largest).max(0.0))
        } else {
            equal
        };
        Some(((head + few.min(equal)).exp(), (head + equal).exp()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of a handful of doubles.
    const TOLERANCE: f64 = 1e-12;

    fn spectrum(values: &[f64], total: f64, count: usize) -> Spectrum {
        Spectrum { values: values.to_vec(), total, count, method: SpectrumMethod::Svd }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= TOLERANCE * expected.abs().max(1.0), "{found}, not {expected}");
    }

    #[test]
    fn equal_values_have_full_rank_and_one_value_has_rank_one() {
        let flat = spectrum(&[2.0; 5], 20.0, 5);
        near(flat.stable_rank().unwrap(), 5.0);
        let (low, high) = flat.effective_rank().unwrap();
        near(low, 5.0);
        near(high, 5.0);
        near(flat.energy(2).unwrap(), 0.4);
        near(flat.energy(99).unwrap(), 1.0);
        let one = spectrum(&[3.0, 0.0, 0.0], 9.0, 3);
        near(one.stable_rank().unwrap(), 1.0);
        near(one.effective_rank().unwrap().0, 1.0);
    }

    #[test]
    fn what_is_not_known_gives_bounds_that_hold() {
        let all: Vec<f64> = (0..40).map(|i| 10.0 / f64::from(i + 1)).collect();
        let total: f64 = all.iter().map(|s| s * s).sum();
        let (exact, _) = spectrum(&all, total, 40).effective_rank().unwrap();
        let mut width = f64::INFINITY;
        for known in [1, 4, 16, 39] {
            let (low, high) = spectrum(&all[..known], total, 40).effective_rank().unwrap();
            assert!(low <= exact && exact <= high, "{known} known: {low} to {high}, exact {exact}");
            assert!(high - low < width, "{known} known: {low} to {high}");
            width = high - low;
        }
        assert!(spectrum(&all[..4], total, 40).energy(5).is_none());
    }

    #[test]
    fn no_change_has_no_ranks() {
        let none = spectrum(&[0.0; 3], 0.0, 3);
        assert!(none.energy(1).is_none() && none.stable_rank().is_none() && none.effective_rank().is_none());
        assert!(spectrum(&[], 0.0, 0).effective_rank().is_none());
    }
}
