//! Many tests in one table: Holm's step-down adjustment.
//!
//! Of a hundred comparisons of equal models five look significant at 5 %. S. Holm, Scand. J. Statist. 6, 1979: with the p
//! in order, p₍ᵢ₎ is adjusted to max_{j ≤ i} min(1, (m − j + 1) p₍ⱼ₎). Whatever is below 5 % then holds, with 95 %, for all of the
//! table at once, however the tests depend on each other.

/// The adjusted p, each in its place. What has none (`None`) is no test of the table and does not count.
///
/// # Panics
/// For a p outside 0 to 1.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut tests: Vec<(usize, f64)> =
        p.iter().enumerate().filter_map(|(place, p)| p.map(|p| (place, p))).collect();
    assert!(tests.iter().all(|(_, p)| (0.0..=1.0).contains(p)), "p are probabilities");
    tests.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut adjusted = vec![None; p.len()];
    let mut highest = 0.0_f64;
    for (rank, (place, p)) in tests.iter().enumerate() {
        highest = highest.max((tests.len() - rank) as f64 * p).min(1.0);
        adjusted[*place] = Some(highest);
    }
    adjusted
}
