//! The tensor infos of a GGUF file: types, shapes, and the byte ranges of their data.
//!
//! Source: ggml's `docs/gguf.md`; type numbers from `ggml.h`.

use std::ops::Range;
use std::path::Path;

use super::cursor::Cursor;
use crate::base::fault::{Fault, FaultKind};
use crate::weights::table::{TensorTable, checked_elements};
use crate::weights::{Dtype, TensorInfo};

/// Most axes of a tensor (ggml's `GGML_MAX_DIMS`).
const MAX_DIMS: u32 = 4;
/// Axes that some future version might have; more is no tensor at all.
const ABSURD_DIMS: u32 = 16;
/// Longest tensor name. ggml itself stops at 63 bytes; some converters were built with larger limits.
const MAX_NAME: u64 = 1024;

/// A tensor info with its offset from the start of the data section.
pub(super) struct Placed {
    info: TensorInfo,
    offset: u64,
    bytes: usize,
}

/// Reads one tensor info and checks it by itself.
pub(super) fn tensor_info(cursor: &mut Cursor<'_>, alignment: u64) -> Result<Placed, Box<Fault>> {
    use FaultKind::{InconsistentHeader, LimitExceeded, Unsupported};
    let name = cursor.string_of("tensor name", MAX_NAME)?;
    let what = "tensor info";
    let dims = cursor.u32(what)?;
    if dims > MAX_DIMS {
        let kind = if dims > ABSURD_DIMS { LimitExceeded } else { Unsupported };
        let fault = cursor.fault(kind, what, format!("at most {MAX_DIMS} axes"), dims.to_string());
        return Err(fault.tensor(&name));
    }
    let mut shape = Vec::with_capacity(MAX_DIMS as usize);
    for _ in 0..dims {
        shape.push(cursor.u64(what)?);
    }
    if shape.contains(&0) {
        let fault = cursor.fault(InconsistentHeader, what, "no empty axis", format!("{shape:?}"));
        return Err(fault.tensor(&name));
    }
    let row = shape.first().copied().unwrap_or(1);
    shape.reverse();

    let code = cursor.u32(what)?;
    let dtype = dtype_of(code)
        .map_err(|found| cursor.fault(Unsupported, what, supported_types(), found).tensor(&name))?;
    let too_large = |cursor: &Cursor<'_>| {
        let expected = "a size that fits into a machine word";
        cursor.fault(LimitExceeded, what, expected, format!("{shape:?} of {dtype}")).tensor(&name)
    };
    let elements = checked_elements(&shape).ok_or_else(|| too_large(cursor))?;
    let block = dtype.block_size();
    if !row.is_multiple_of(block as u64) {
        let expected = format!("rows of whole {dtype} blocks of {block}");
        let fault = cursor.fault(InconsistentHeader, what, expected, format!("rows of {row}"));
        return Err(fault.tensor(&name));
    }
    let bytes = dtype.bytes_for(elements).ok_or_else(|| too_large(cursor))?;
    let offset = cursor.u64(what)?;
    if offset.checked_add(bytes as u64).is_none() {
        let expected = "offset and size of 64 bits";
        return Err(cursor.fault(LimitExceeded, what, expected, format!("offset {offset}")).tensor(&name));
    }
    if !offset.is_multiple_of(alignment) {
        let expected = format!("an offset that is a multiple of {alignment}");
        return Err(cursor.fault(InconsistentHeader, what, expected, offset.to_string()).tensor(&name));
    }
    // All axes are at least 1 and their product fits, so each of them fits.
    let shape: Result<Vec<usize>, _> = shape.iter().map(|&dim| usize::try_from(dim)).collect();
    let shape = shape.map_err(|_| too_large(cursor))?;
    Ok(Placed { info: TensorInfo { name, dtype, shape }, offset, bytes })
}

/// The first byte of the data section.
pub(super) fn data_start(cursor: &Cursor<'_>, alignment: u64) -> Result<u64, Box<Fault>> {
    (cursor.position() as u64).checked_next_multiple_of(alignment).ok_or_else(|| {
        let found = format!("alignment {alignment}");
        cursor.fault(FaultKind::LimitExceeded, "data section", "a start that fits into 64 bits", found)
    })
}

/// Turns offsets into byte ranges, all inside the file.
pub(super) fn place(
    file: &Path,
    length: usize,
    start: u64,
    placed: Vec<Placed>,
) -> Result<Vec<(TensorInfo, Range<usize>)>, Box<Fault>> {
    let mut tensors = Vec::with_capacity(placed.len());
    for Placed { info, offset, bytes } in placed {
        let span =
            offset.checked_add(start).and_then(|begin| Some((begin, begin.checked_add(bytes as u64)?)));
        let Some((begin, end)) = span else {
            let expected = "data that ends before 2^64";
            let fault = Fault::new(file, FaultKind::LimitExceeded, expected, format!("offset {offset}"));
            return Err(fault.tensor(&info.name));
        };
        let (Some(first), Some(last)) = (within(begin, length), within(end, length)) else {
            let expected = format!("its data at bytes {begin} to {end}");
            let fault = Fault::new(file, FaultKind::Truncated, expected, format!("a file of {length} bytes"));
            return Err(fault.tensor(&info.name));
        };
        tensors.push((info, first..last));
    }
    Ok(tensors)
}

/// Padding between tensors is free; sharing bytes is not.
pub(super) fn refuse_overlap(file: &Path, table: &TensorTable) -> Result<(), Box<Fault>> {
    let mut previous_end = 0;
    for (info, span) in table.in_file_order() {
        if span.start < previous_end {
            let expected = format!("data after byte {previous_end}, where the tensor before it ends");
            let found = format!("an overlap from byte {}", span.start);
            return Err(Fault::new(file, FaultKind::InconsistentHeader, expected, found).tensor(&info.name));
        }
        previous_end = span.end;
    }
    Ok(())
}

fn within(position: u64, length: usize) -> Option<usize> {
    usize::try_from(position).ok().filter(|&position| position <= length)
}

/// The types that are read, with ggml's numbers of them.
const TYPES: [(u32, Dtype); 18] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (2, Dtype::Q4_0),
    (3, Dtype::Q4_1),
    (6, Dtype::Q5_0),
    (7, Dtype::Q5_1),
    (8, Dtype::Q8_0),
    (10, Dtype::Q2K),
    (11, Dtype::Q3K),
    (12, Dtype::Q4K),
    (13, Dtype::Q5K),
    (14, Dtype::Q6K),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (30, Dtype::BF16),
];

/// The type with ggml's number `code`, or a description of what it is.
fn dtype_of(code: u32) -> Result<Dtype, String> {
    let known = TYPES.iter().find(|(number, _)| *number == code).map(|(_, dtype)| *dtype);
    known.ok_or_else(|| match code {
        4 | 5 => format!("type {code}, Q4_{}, which ggml removed", code - 2),
        9 | 15 => format!("type {code}, an intermediate format that is never stored"),
        16..=23 | 29 => format!("type {code}, an importance-matrix (IQ) format"),
        _ => format!("type {code}"),
    })
}

/// ggml's number of a type; `None` for the types that ggml does not have.
pub(super) fn code_of(dtype: Dtype) -> Option<u32> {
    TYPES.iter().find(|(_, known)| *known == dtype).map(|(number, _)| *number)
}

fn supported_types() -> &'static str {
    "F32, F16, BF16, F64, I8 to I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, or Q2_K to Q6_K"
}

#[cfg(test)]
mod tests {
    use super::super::header::GgufHeader;
    use super::super::testing::{Builder, Tensor};
    use super::*;
    use crate::weights::file::FileHeader as _;

    /// What is found in a file of one good tensor and one that was changed.
    fn kind(change: impl FnOnce(&mut Tensor)) -> Option<FaultKind> {
        let (shape, data) = (vec![2, 32], vec![0; 36]);
        let mut tensor = Tensor { name: "t".into(), shape, code: 2, data, offset: None };
        change(&mut tensor);
        let bytes = Builder::new().f32("a", &[32], &[1.0; 32]).tensor(tensor).build();
        GgufHeader::parse(Path::new("test.gguf"), &bytes).err().map(|error| error.fault_kind().unwrap())
    }

    #[test]
    fn numbers_of_types_are_those_that_are_read() {
        let with_code = Dtype::ALL.into_iter().filter_map(|dtype| Some((dtype, code_of(dtype)?)));
        for (dtype, code) in with_code {
            assert_eq!(dtype_of(code), Ok(dtype));
        }
        assert_eq!((0..64).filter(|&code| dtype_of(code).is_ok()).count(), 18);
    }

    #[test]
    fn tensor_infos_are_checked() {
        use FaultKind::{InconsistentHeader, LimitExceeded, Truncated, Unsupported};
        let cases = [
            ("nothing changed", kind(|_| ()), None),
            ("rows of half a block", kind(|t| t.shape = vec![4, 16]), Some(InconsistentHeader)),
            ("an empty axis", kind(|t| t.shape = vec![0, 32]), Some(InconsistentHeader)),
            ("five axes", kind(|t| t.shape = vec![1, 1, 1, 2, 32]), Some(Unsupported)),
            ("a hundred axes", kind(|t| t.shape = vec![1; 100]), Some(LimitExceeded)),
            ("a product that overflows", kind(|t| t.shape = vec![1 << 40, 1 << 40]), Some(LimitExceeded)),
            ("a product that wraps to 64", kind(|t| t.shape = vec![(1 << 59) + 2, 32]), Some(LimitExceeded)),
            ("an unknown type", kind(|t| t.code = 77), Some(Unsupported)),
            ("a removed type", kind(|t| t.code = 5), Some(Unsupported)),
            ("the name of another", kind(|t| t.name = "a".into()), Some(InconsistentHeader)),
            ("a long name", kind(|t| t.name = "n".repeat(2000)), Some(LimitExceeded)),
            ("an overlap", kind(|t| t.offset = Some(96)), Some(InconsistentHeader)),
            ("an offset outside", kind(|t| t.offset = Some(1 << 40)), Some(Truncated)),
            ("an offset beyond all files", kind(|t| t.offset = Some(u64::MAX - 31)), Some(LimitExceeded)),
            ("an unaligned offset", kind(|t| t.offset = Some(129)), Some(InconsistentHeader)),
        ];
        for (case, found, expected) in cases {
            assert_eq!(found, expected, "{case}");
        }
    }
}
