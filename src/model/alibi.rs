//! Attention with linear biases (Press et al. 2022): a key counts less the farther it is behind its query.
//!
//! Each head has a slope. Implementations often add slope × position of the key instead of −slope × distance;
//! the two differ by one number per query, which softmax does not see. Distances keep the sums small, and make
//! it plain that a shared prefix gives the same numbers in every sequence.

/// One slope per head: powers of two for a power of two of heads, `2^(-8i/n)`.
///
/// Any other number takes the slopes of the power of two below it, and then every second one of the next
/// power of two.
pub fn slopes(heads: usize) -> Vec<f32> {
    // `heads` is limited by the configuration's check, so the next power of two exists.
    let below = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |i: usize, n: usize| (-8.0 * i as f64 / n as f64).exp2() as f32;
    let own = (1..=below).map(|i| slope(i, below));
    let between = (0..heads.saturating_sub(below)).map(|i| slope(2 * i + 1, 2 * below));
    own.chain(between).collect()
}

/// `scores[j] -= slope · distance`, for keys at positions from `first_key` on and a query at `query`, not before them.
pub fn bias(scores: &mut [f32], slope: f32, first_key: usize, query: usize) {
    for (key, score) in (first_key..).zip(scores) {
        *score -= slope * query.saturating_sub(key) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_fall_by_a_constant_factor() {
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        assert_eq!(slopes(1), [0.00390625]);
    }

    #[test]
    fn other_numbers_of_heads_fill_up_between() {
        // Four heads, then the first and third of eight.
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
        // BLOOM-176B has 112 heads.
        let many = slopes(112);
        assert_eq!(many.len(), 112);
        assert_eq!(many[..64], slopes(64)[..]);
        assert_eq!(many[64..], slopes(128).into_iter().step_by(2).take(48).collect::<Vec<_>>()[..]);
    }

    #[test]
    fn the_query_s_own_key_is_not_lowered() {
        let mut scores = [1.0, 2.0, 3.0];
        bias(&mut scores, 0.25, 5, 7);
        assert_eq!(scores, [0.5, 1.75, 3.0]);
        bias(&mut [], 1.0, 0, 1);
    }
}
