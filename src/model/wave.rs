//! The tokens of one forward pass: a forest of segments, packed without padding.
//!
//! Sequences that begin alike share the tokens they have in common. A *segment* is a run of tokens
//! between two branchings; the tokens of a sequence are those of the segments from a root to a leaf.

use std::ops::Range;

use ndarray::Array2;

/// A run of consecutive tokens that all sequences through it share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveSegment {
    /// Its tokens' rows in the wave.
    pub rows: Range<usize>,
    /// Position of its first token in the sequence.
    pub start: usize,
    /// The segment just before it; `None` for a root, whose `start` is 0.
    pub parent: Option<usize>,
    /// Sequence length that rotary frequencies are made for; matters to dynamic scaling alone.
    pub rope_length: usize,
}

/// Packed tokens; parents stand before their children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wave {
    /// All token ids, segment by segment.
    pub tokens: Vec<u32>,
    /// The segments, covering `tokens` in order.
    pub segments: Vec<WaveSegment>,
    /// So many rows at the beginning are a prefix whose keys and values the wave before kept; nothing of them is computed. No
    /// segment is given in part.
    pub given: usize,
    /// The rows of a path's beginning whose keys and values are kept for the next wave, in the order of positions.
    pub keep: Vec<usize>,
}

/// The rows of a wave whose hidden states are wanted. Whatever the last block would do for others is left out.
#[derive(Debug, Clone, Copy)]
pub enum Kept<'a> {
    /// Those of all tokens.
    All,
    /// These, in ascending order, each once.
    Rows(&'a [usize]),
}

impl Kept<'_> {
    /// The first wanted row; `None` if none is.
    pub(super) fn first(self) -> Option<usize> {
        match self {
            Kept::All => Some(0),
            Kept::Rows(rows) => rows.first().copied(),
        }
    }

    /// The wanted rows of a matrix with a row for every token, in the same memory.
    ///
    /// # Panics
    /// If rows are not in order, or there is no such row.
    pub fn of(self, x: Array2<f32>) -> Array2<f32> {
        let Kept::Rows(rows) = self else { return x };
        assert!(rows.is_sorted_by(|a, b| a < b), "rows in ascending order, each once");
        let width = x.ncols();
        let x = x.as_standard_layout().into_owned();
        let (mut numbers, start) = x.into_raw_vec_and_offset();
        let start = start.unwrap_or(0);
        for (to, &from) in rows.iter().enumerate() {
            let from = start + from * width;
            numbers.copy_within(from..from + width, to * width);
        }
        numbers.truncate(rows.len() * width);
        Array2::from_shape_vec((rows.len(), width), numbers).expect("whole rows")
    }
}

impl Wave {
    /// A single sequence from its beginning.
    pub fn sequence(tokens: &[u32]) -> Self {
        let rows = 0..tokens.len();
        let segment = WaveSegment { rows, start: 0, parent: None, rope_length: tokens.len() };
        Self { tokens: tokens.to_vec(), segments: vec![segment], ..Self::default() }
    }

    /// Appends a segment and returns its index.
    pub fn push(&mut self, tokens: &[u32], parent: Option<usize>, rope_length: usize) -> usize {
        let start = parent.map_or(0, |p| self.segments[p].start + self.segments[p].rows.len());
        let first = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        self.segments.push(WaveSegment { rows: first..self.tokens.len(), start, parent, rope_length });
        self.segments.len() - 1
    }

    /// The rows of everything before and in `segment`, in the order of positions; neighbouring ranges
    /// are joined.
    pub fn path(&self, segment: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut next = Some(segment);
        while let Some(index) = next {
            ranges.push(self.segments[index].rows.clone());
            next = self.segments[index].parent;
        }
        ranges.reverse();
        ranges.dedup_by(|later, earlier| {
            let joins = earlier.end == later.start;
            if joins {
                earlier.end = later.end;
            }
            joins
        });
        ranges
    }

    /// The row of the token at `position` of the sequence that ends in `segment`.
    pub fn row(&self, segment: usize, position: usize) -> Option<usize> {
        let mut next = Some(segment);
        while let Some(index) = next {
            let segment = &self.segments[index];
            if position >= segment.start {
                let offset = position - segment.start;
                return (offset < segment.rows.len()).then(|| segment.rows.start + offset);
            }
            next = segment.parent;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_rows_are_those_of_the_matrix() {
        let x = Array2::from_shape_fn((5, 3), |(i, j)| (10 * i + j) as f32);
        for rows in [vec![], vec![0], vec![4], vec![1, 2, 4], vec![0, 1, 2, 3, 4]] {
            assert_eq!(Kept::Rows(&rows).of(x.clone()), x.select(ndarray::Axis(0), &rows));
            assert_eq!(
                Kept::Rows(&rows).of(x.t().to_owned().reversed_axes()),
                x.select(ndarray::Axis(0), &rows)
            );
        }
        assert_eq!(Kept::All.of(x.clone()), x);
    }

    #[test]
    fn paths_and_rows_follow_the_parents() {
        let mut wave = Wave::default();
        let root = wave.push(&[1, 2, 3], None, 9);
        let left = wave.push(&[4, 5], Some(root), 9);
        let right = wave.push(&[6], Some(root), 9);
        let leaf = wave.push(&[7], Some(left), 9);
        assert_eq!(wave.path(left), vec![0..5]);
        assert_eq!(wave.path(right), vec![0..3, 5..6]);
        assert_eq!(wave.path(leaf), vec![0..5, 6..7]);
        assert_eq!(wave.segments[leaf].start, 5);
        assert_eq!(
            (0..7).map(|p| wave.row(leaf, p)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 6].map(Some).into_iter().chain([None]).collect::<Vec<_>>()
        );
    }
}
