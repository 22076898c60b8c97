//! Softmax over keys that come block by block (Milakov & Gimelshein 2018).
//!
//! Every row keeps the highest score so far and the sum of exponentials relative to it. A row's bits depend on its own
//! scores alone, and on where the blocks are cut.

use super::Isa;
use super::exp::exp;
use super::wide::on_widest;

#[cfg(target_arch = "x86_64")]
mod x86;

/// Lanes of maxima and sums; they depend on the index alone.
const LANES: usize = 8;

/// What a row has seen so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningSoftmax {
    /// The highest score so far; −∞ before the first.
    pub highest: f32,
    /// Σ e^(scale · (score − highest)).
    pub sum: f32,
}

impl Default for RunningSoftmax {
    fn default() -> Self {
        Self { highest: f32::NEG_INFINITY, sum: 0.0 }
    }
}

/// One more block of scores, and what it is taken into: a row of each for every query.
pub struct ScoreBlock<'a> {
    /// Rows of [`width`](Self::width) scores, which become `e^(scale · (score − highest))`.
    pub scores: &'a mut [f32],
    /// Scores of a row, a multiple of sixteen.
    pub width: usize,
    /// What scores are multiplied with.
    pub scale: f32,
    /// How many of a row's scores count; the others become 0.
    pub seen: &'a [usize],
    /// What rows have seen before.
    pub rows: &'a mut [RunningSoftmax],
    /// Rows of [`out_width`](Self::out_width) weighted sums so far, which are rescaled.
    pub out: &'a mut [f32],
    /// Sums of a row.
    pub out_width: usize,
}

impl<'a> ScoreBlock<'a> {
    /// So many rows at a time, the last time those that are left.
    fn in_groups(self, rows: usize) -> impl Iterator<Item = ScoreBlock<'a>> {
        let Self { width, scale, out_width, .. } = self;
        let parts = self.scores.chunks_mut(rows * width).zip(self.out.chunks_mut(rows * out_width));
        let states = self.rows.chunks_mut(rows).zip(self.seen.chunks(rows));
        parts.zip(states).map(move |((scores, out), (rows, seen))| ScoreBlock {
            scores,
            width,
            scale,
            seen,
            rows,
            out,
            out_width,
        })
    }
}

/// Takes in a block.
///
/// # Panics
/// If there is not a row of scores, of sums and of the softmax for each other, or rows are no whole vectors.
pub fn take_block(block: ScoreBlock<'_>) {
    let ScoreBlock { width, out_width, .. } = block;
    let lengths = [block.scores.len() / width, block.out.len() / out_width, block.rows.len()];
    assert!(lengths == [block.seen.len(); 3], "a row of scores, of sums and of the softmax for each");
    assert!(width.is_multiple_of(2 * LANES), "rows of whole vectors");
    #[cfg(target_arch = "x86_64")]
    if !matches!(Isa::of_loops(), Isa::Plain | Isa::Avx2) {
        // SAFETY: these sets have AVX-512 Foundation, and the processor was asked.
        #[allow(unsafe_code)]
        return unsafe { x86::take_block(block) };
    }
    take_block_in_loops(block);
}

on_widest! {
    /// [`take_block`] in plain loops.
    pub fn take_block_in_loops(block: ScoreBlock<'_>) {
        for group in block.in_groups(AT_ONCE) {
            match group.rows.len() {
                AT_ONCE => take_rows::<FUSED, AT_ONCE>(group),
                _ => {
                    for row in group.in_groups(1) {
                        take_rows::<FUSED, 1>(row);
                    }
                }
            }
        }
    }
}

/// Rows that are taken together: while one waits for its last comparison or sum, another goes on.
const AT_ONCE: usize = 4;

/// [`take_block`] for `N` rows.
#[inline(always)]
fn take_rows<const FUSED: bool, const N: usize>(block: ScoreBlock<'_>) {
    let ScoreBlock { scores, width, scale, seen, rows, out, out_width } = block;
    for (scores, &seen) in scores.chunks_exact_mut(width).zip(seen) {
        if seen < width {
            scores[seen..].fill(if seen == 0 { 0.0 } else { f32::NEG_INFINITY });
        }
    }
    let mut lanes = [[f32::NEG_INFINITY; LANES]; N];
    for at in (0..width).step_by(LANES) {
        for (lanes, scores) in lanes.iter_mut().zip(scores.chunks_exact(width)) {
            for (lane, &score) in lanes.iter_mut().zip(&scores[at..at + LANES]) {
                *lane = greater(*lane, score);
            }
        }
    }
    // All rows at once, so that a vector of them is one exponential.
    let (mut highest, mut before) = ([0.0; N], [0.0; N]);
    for (((highest, before), lanes), row) in highest.iter_mut().zip(&mut before).zip(lanes).zip(&*rows) {
        *before = row.highest;
        *highest = greater(row.highest, greatest(lanes));
    }
    let mut kept = [0.0; N];
    for ((kept, before), highest) in kept.iter_mut().zip(&before).zip(&highest) {
        *kept = exp::<FUSED>((before - highest) * scale);
    }
    for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
        if seen[row] == 0 {
            continue;
        }
        let (state, highest) = (&mut rows[row], highest[row]);
        if highest > state.highest && state.sum > 0.0 {
            state.sum *= kept[row];
            for out in &mut out[row * out_width..][..out_width] {
                *out *= kept[row];
            }
        }
        state.highest = highest;
        // A loop of its own, so that compilers make vectors of it.
        for score in scores.iter_mut() {
            *score = exp::<FUSED>((*score - highest) * scale);
        }
    }
    let mut sums = [[0.0f32; LANES]; N];
    for at in (0..width).step_by(LANES) {
        for (sums, scores) in sums.iter_mut().zip(scores.chunks_exact(width)) {
            for (sum, score) in sums.iter_mut().zip(&scores[at..at + LANES]) {
                *sum += *score;
            }
        }
    }
    for ((state, sums), &seen) in rows.iter_mut().zip(&sums).zip(seen) {
        if seen > 0 {
            state.sum += sums.iter().sum::<f32>();
        }
    }
}

/// The greater of two numbers, the first one if the second is none.
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The greatest of all lanes, half by half.
#[inline(always)]
fn greatest(lanes: [f32; LANES]) -> f32 {
    let mut half: [f32; LANES / 2] = std::array::from_fn(|i| greater(lanes[i], lanes[i + LANES / 2]));
    half = std::array::from_fn(|i| greater(half[i], half[(i + 2) % 4]));
    greater(half[0], half[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block whose scores are halved.
    fn block<'a>(
        scores: &'a mut [f32],
        width: usize,
        seen: &'a [usize],
        rows: &'a mut [RunningSoftmax],
        out: &'a mut [f32],
    ) -> ScoreBlock<'a> {
        let out_width = out.len() / rows.len();
        ScoreBlock { scores, width, scale: 0.5, seen, rows, out, out_width }
    }

    #[test]
    fn blocks_make_the_distribution_of_the_whole() {
        let all: Vec<f32> = (0..32).map(|i| ((i * 37) % 29) as f32 - 6.0).collect();
        let seen = 27;
        let mut row = [RunningSoftmax::default()];
        let mut out = [0.0f32; 1];
        for (number, scores) in all.chunks(16).enumerate() {
            let mut scores = scores.to_vec();
            let own = seen - number * 16;
            take_block(block(&mut scores, 16, &[own.min(16)], &mut row, &mut out));
            // Values are the positions of the keys.
            out[0] += scores.iter().enumerate().map(|(i, p)| p * (number * 16 + i) as f32).sum::<f32>();
        }
        let total: f64 = all[..seen].iter().map(|&s| f64::from(0.5 * s).exp()).sum();
        let mean: f64 =
            all[..seen].iter().enumerate().map(|(i, &s)| f64::from(0.5 * s).exp() * i as f64).sum();
        assert!((f64::from(out[0] / row[0].sum) - mean / total).abs() < 1e-5);
        let log_total = 0.5 * f64::from(row[0].highest) + f64::from(row[0].sum).ln();
        assert!((log_total - total.ln()).abs() < 1e-6);
    }

    /// By intrinsics, where the processor has them, and in loops of fused multiply-adds.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vectors_have_the_bits_of_loops() {
        if matches!(Isa::of_loops(), Isa::Plain | Isa::Avx2) {
            return eprintln!("SKIPPED, nothing was compared: no AVX-512 is taken");
        }
        let (width, out_width, count) = (64, 24, 37);
        let mut in_loops = (vec![RunningSoftmax::default(); count], vec![1.5f32; count * out_width]);
        let mut by_vectors = in_loops.clone();
        for number in 0..4u32 {
            let mut state = number + 1;
            let mut scores: Vec<f32> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / (1 << 20) as f32 - 8.0) * [1.0, 60.0][state as usize >> 20 & 1]
            })
            .take(count * width)
            .collect();
            scores[3] = f32::NEG_INFINITY;
            scores[5 * width + 9] = if number == 3 { f32::NAN } else { -0.0 };
            let mut same = scores.clone();
            let seen: Vec<usize> = (0..count).map(|row| (row * 7 + number as usize) % (width + 1)).collect();
            let (rows, out) = &mut in_loops;
            take_block_in_loops(block(&mut scores, width, &seen, rows, out));
            let (rows, out) = &mut by_vectors;
            take_block(block(&mut same, width, &seen, rows, out));
            let bits = |numbers: &[f32]| -> Vec<u32> {
                numbers.iter().map(|x| if x.is_nan() { f32::NAN } else { *x }.to_bits()).collect()
            };
            assert_eq!(bits(&scores), bits(&same), "block {number}");
            assert_eq!(bits(&in_loops.1), bits(&by_vectors.1), "block {number}");
            for (one, other) in in_loops.0.iter().zip(&by_vectors.0) {
                assert_eq!(
                    bits(&[one.highest, one.sum]),
                    bits(&[other.highest, other.sum]),
                    "block {number}"
                );
            }
        }
    }

    #[test]
    fn a_row_that_sees_nothing_stays_as_it_was() {
        let before = RunningSoftmax { highest: 1.0, sum: 2.0 };
        let (mut row, mut out, mut scores) = ([before], [5.0; 2], [9.0; 16]);
        take_block(block(&mut scores, 16, &[0], &mut row, &mut out));
        assert_eq!((row[0], out, scores), (before, [5.0; 2], [0.0; 16]));
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let (mut row, mut out) = ([RunningSoftmax::default()], [0.0; 1]);
        take_block(block(&mut [f32::NAN; 16], 16, &[16], &mut row, &mut out));
        assert!(row[0].sum.is_nan() || row[0].sum == 0.0);
    }
}
