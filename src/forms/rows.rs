//! The two orders of the rows of query and key matrices.
//!
//! The rotary embedding turns pairs of a head's dimensions. Meta's code and llama.cpp take neighbours (2i, 2i+1),
//! `transformers` the two halves (i, i+d/2). Within a head of `d` rows, row `r < d/2` of the second order is row
//! `2r` of the first, and row `d/2 + r` is row `2r + 1`. Whole rows move, so their type does not matter, and
//! neither does the number of columns: a bias is a matrix of one column.
//! Source: `permute` of the LLaMA conversion script of `transformers`.

use rayon::prelude::*;

/// Neighbouring pairs to halves: from Meta and GGUF to Hugging Face. `data` are `rows` rows of equal size.
pub(crate) fn halves_from_pairs(data: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    reorder(data, rows, heads, |row, half| (row % half) * 2 + row / half)
}

/// Halves to neighbouring pairs: from Hugging Face to Meta and GGUF.
pub(crate) fn pairs_from_halves(data: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    reorder(data, rows, heads, |row, half| row / 2 + (row % 2) * half)
}

/// Whether `shape` is a matrix or bias of `heads` heads with an even number of rows each.
pub(crate) fn has_heads(shape: &[usize], heads: usize) -> bool {
    let rows = shape.first().copied().unwrap_or(1);
    shape.len() <= 2 && rows.checked_rem(heads) == Some(0) && (rows / heads).is_multiple_of(2)
}

/// Within each head, puts the row `origin(row, half of the head's rows)` at `row`.
fn reorder(data: &[u8], rows: usize, heads: usize, origin: impl Fn(usize, usize) -> usize + Sync) -> Vec<u8> {
    let (row_bytes, head_rows) = (data.len() / rows.max(1), rows / heads.max(1));
    let (head_bytes, half) = (row_bytes * head_rows, (head_rows / 2).max(1));
    let mut out = vec![0; data.len()];
    if head_bytes == 0 {
        return out;
    }
    out.par_chunks_exact_mut(head_bytes).zip(data.par_chunks_exact(head_bytes)).for_each(|(out, data)| {
        for (row, out) in out.chunks_exact_mut(row_bytes).enumerate() {
            let start = origin(row, half) * row_bytes;
            if let Some(source) = data.get(start..start + row_bytes) {
                out.copy_from_slice(source);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_move_within_their_head() {
        let rows: Vec<u8> = (0..8).flat_map(|row| [row, 100 + row]).collect();
        let first = |data: Vec<u8>| data.into_iter().step_by(2).collect::<Vec<u8>>();
        assert_eq!(first(halves_from_pairs(&rows, 8, 2)), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(first(pairs_from_halves(&rows, 8, 1)), [0, 4, 1, 5, 2, 6, 3, 7]);
    }

    #[test]
    fn heads_are_whole_and_even() {
        assert!(has_heads(&[8, 3], 2) && has_heads(&[8], 4));
        assert!(!has_heads(&[8, 3], 0) && !has_heads(&[8, 3], 3) && !has_heads(&[6, 3], 2));
        assert!(!has_heads(&[8, 3, 1], 2) && !has_heads(&[], 2));
    }

    proptest! {
        #[test]
        fn one_undoes_the_other(heads in 1usize..5, half in 1usize..6, columns in 1usize..4, seed: u8) {
            let rows = heads * half * 2;
            let data: Vec<u8> = (0..rows * columns).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            prop_assert_eq!(&halves_from_pairs(&pairs_from_halves(&data, rows, heads), rows, heads), &data);
            prop_assert_eq!(&pairs_from_halves(&halves_from_pairs(&data, rows, heads), rows, heads), &data);
        }
    }
}
