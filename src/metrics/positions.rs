//! Whether a model prefers choices for where they stand.
//!
//! How often each position is chosen is held against how often the right answer stands there, on the same documents. Whether
//! they differ by more than luck is the test of marginal homogeneity of A. Stuart, Biometrika 42, 1955, and A. Maxwell, Br. J.
//! Psychiatry 116, 1970: McNemar's for more than two classes. A model that is always right has no such bias.

use super::inference::chi_square_tail;
use super::proportion::wilson;

/// Documents with the same number of choices, and where their right and their chosen answers stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    /// `counts[right][chosen]`.
    counts: Vec<Vec<usize>>,
}

/// The test that chosen and right answers stand in the same positions equally often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Homogeneity {
    /// χ² of Stuart and Maxwell.
    pub statistic: f64,
    /// Positions that differ freely: one less than there are, less those that nothing joins.
    pub freedom: usize,
    /// How likely a statistic of this size is without bias.
    pub p: f64,
}

impl Positions {
    /// Of documents with `choices` choices: the place of the right and of the chosen one.
    ///
    /// # Panics
    /// For a place that is none of the choices.
    pub fn of(choices: usize, documents: impl IntoIterator<Item = [usize; 2]>) -> Self {
        let mut counts = vec![vec![0; choices]; choices];
        for [right, chosen] in documents {
            counts[right][chosen] += 1;
        }
        Self { counts }
    }

    /// Documents.
    pub fn n(&self) -> usize {
        self.counts.iter().flatten().sum()
    }

    /// How often the right answer stands in each position.
    pub fn right(&self) -> Vec<usize> {
        self.counts.iter().map(|row| row.iter().sum()).collect()
    }

    /// How often each position is chosen.
    pub fn chosen(&self) -> Vec<usize> {
        (0..self.counts.len()).map(|place| self.counts.iter().map(|row| row[place]).sum()).collect()
    }

    /// Wilson's 95 % interval of the share of documents in which each position is chosen; none for no documents.
    pub fn chosen_intervals(&self) -> Vec<[f64; 2]> {
        let n = self.n();
        let chosen = self.chosen().into_iter().filter(|_| n > 0);
        chosen.map(|count| wilson(count as f64 / n as f64, n)).collect()
    }

    /// The test of both; `None` where every answer is right, so that nothing differs.
    pub fn homogeneity(&self) -> Option<Homogeneity> {
        let k = self.counts.len();
        // d = right − chosen; S has the documents that leave or reach a position on its diagonal, and those that go between
        // two of them, negative, beside it.
        let mut difference: Vec<f64> = self
            .right()
            .iter()
            .zip(self.chosen())
            .map(|(right, chosen)| *right as f64 - chosen as f64)
            .collect();
        let moved = |a: usize, b: usize| (self.counts[a][b] + self.counts[b][a]) as f64;
        let mut scatter: Vec<Vec<f64>> = (0..k)
            .map(|a| {
                let beside = |b| if a == b { 0.0 } else { moved(a, b) };
                let all: f64 = (0..k).map(beside).sum();
                (0..k).map(|b| if a == b { all } else { -beside(b) }).collect()
            })
            .collect();
        let largest = (0..k).map(|a| scatter[a][a]).fold(0.0, f64::max);
        // dᵀ S⁻ d by elimination. S has no inverse, as d sums to 0 among positions that are joined; a pivot of 0 is such a sum.
        let (mut statistic, mut freedom) = (0.0, 0);
        for pivot in 0..k {
            let own = scatter[pivot][pivot];
            if own <= largest * 1e-10 {
                continue;
            }
            freedom += 1;
            statistic += difference[pivot] * difference[pivot] / own;
            for below in pivot + 1..k {
                let factor = scatter[below][pivot] / own;
                difference[below] -= factor * difference[pivot];
                let (above, rest) = scatter.split_at_mut(below);
                let of_pivot = &above[pivot][pivot..k];
                rest[0][pivot..k].iter_mut().zip(of_pivot).for_each(|(own, x)| *own -= factor * x);
            }
        }
        (freedom > 0).then(|| Homogeneity { statistic, freedom, p: chi_square_tail(statistic, freedom) })
    }
}
