//! Rows of an embedding that are zero or equal to another row: what a grown vocabulary leaves behind.

use std::hash::{DefaultHasher, Hasher as _};

use rayon::prelude::*;

use crate::weights::TensorView;

/// What is odd about the rows of a matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFacts {
    /// Rows in all.
    pub rows: usize,
    /// Rows of nothing but zero bytes.
    pub zero: Vec<usize>,
    /// Rows that are not zero and equal to an earlier one. Rows are told apart by 64-bit hashes.
    pub repeated: Vec<usize>,
}

impl RowFacts {
    /// Looks at each row; `None` for anything but a matrix of a plain type.
    pub fn of(view: &TensorView<'_>) -> Option<RowFacts> {
        let [rows, columns] = *view.info.shape.as_slice() else { return None };
        let bytes = view.info.dtype.bytes_for(columns).filter(|bytes| *bytes > 0)?;
        if view.info.dtype.block_size() != 1 {
            return None;
        }
        let hashes: Vec<Option<u64>> = view
            .data
            .par_chunks_exact(bytes)
            .map(|row| {
                row.iter().any(|&byte| byte != 0).then(|| {
                    let mut hasher = DefaultHasher::new();
                    hasher.write(row);
                    hasher.finish()
                })
            })
            .collect();
        let mut facts = RowFacts { rows, ..RowFacts::default() };
        let mut known = Vec::with_capacity(hashes.len());
        for (row, hash) in hashes.into_iter().enumerate() {
            match hash {
                Some(hash) => known.push((hash, row)),
                None => facts.zero.push(row),
            }
        }
        known.sort_unstable();
        for pair in known.windows(2) {
            if let [(first, _), (second, row)] = pair
                && first == second
            {
                facts.repeated.push(*row);
            }
        }
        facts.repeated.sort_unstable();
        Some(facts)
    }
}

/// `3 rows (7, 8, 511)`, or the first few of many.
pub(super) fn listed(rows: &[usize]) -> String {
    const SHOWN: usize = 5;
    let first: Vec<String> = rows.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if rows.len() > SHOWN { ", …" } else { "" };
    let plural = if rows.len() == 1 { "row" } else { "rows" };
    format!("{} {plural} ({}{more})", rows.len(), first.join(", "))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::weights::{Dtype, TensorInfo};

    #[test]
    fn zero_and_repeated_rows_are_found() {
        let info = TensorInfo { name: "e".into(), dtype: Dtype::F16, shape: vec![6, 2] };
        let rows: [[u8; 4]; 6] = [[1, 0, 2, 0], [0; 4], [3, 0, 4, 0], [1, 0, 2, 0], [0; 4], [1, 0, 2, 0]];
        let facts = RowFacts::of(&TensorView { info: &info, data: Cow::Owned(rows.concat()) }).unwrap();
        assert_eq!(facts, RowFacts { rows: 6, zero: vec![1, 4], repeated: vec![3, 5] });
        assert_eq!(listed(&facts.zero), "2 rows (1, 4)");
        assert_eq!(listed(&(0..9).collect::<Vec<_>>()), "9 rows (0, 1, 2, 3, 4, …)");
    }

    #[test]
    fn other_shapes_have_no_rows() {
        for shape in [vec![4], vec![2, 2, 1], vec![4, 0]] {
            let info = TensorInfo { name: "e".into(), dtype: Dtype::U8, shape };
            let data = vec![0; info.elements()];
            assert_eq!(RowFacts::of(&TensorView { info: &info, data: Cow::Owned(data) }), None);
        }
    }
}
