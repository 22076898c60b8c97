//! The interval of a mean difference.

use super::special::student_tails;

/// Where a quantile lies between, for any number of documents: 1.96 for very many, 12.71 for two.
const BRACKET: [f64; 2] = [1.0, 13.0];

/// The 95 % interval of a mean difference with this standard error, of so many independent documents or clusters; `None` for
/// fewer than two.
///
/// Student's (Biometrika 6, 1908), which is the normal one for many documents and wider for few: `difference` ± t · `stderr` with
/// n − 1 degrees of freedom, as `scipy.stats.ttest_rel` has it.
pub fn interval_of_mean(difference: f64, stderr: f64, n: usize) -> Option<[f64; 2]> {
    let half = (n > 1).then(|| quantile(n as f64 - 1.0) * stderr)?;
    Some([difference - half, difference + half])
}

/// The t that |T| exceeds in 5 % of cases.
fn quantile(freedom: f64) -> f64 {
    let [mut low, mut high] = BRACKET;
    // Halves until there is no number between.
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if student_tails(middle, freedom) > 0.05 { low = middle } else { high = middle }
    }
}
