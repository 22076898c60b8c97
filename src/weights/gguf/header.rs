//! Reading and checking the header of a GGUF file.
//!
//! Source: ggml's `docs/gguf.md`; type numbers from `ggml.h`. No allocation is larger than a small multiple
//! of what the file itself holds.

use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::Path;

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::values;
use crate::weights::error::quoted;
use crate::weights::table::{TensorTable, checked_elements};
use crate::weights::{Dtype, Fault, FaultKind, TensorInfo, WeightsError};

/// Data alignment where the file does not set `general.alignment`.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Most axes of a tensor (ggml's `GGML_MAX_DIMS`).
const MAX_DIMS: u32 = 4;
/// Axes that some future version might have; more is no tensor at all.
const ABSURD_DIMS: u32 = 16;
/// Longest tensor name. ggml itself stops at 63 bytes; some converters were built with larger limits.
const MAX_NAME: u64 = 1024;
/// Longest metadata key, from the specification.
const MAX_KEY: u64 = 65_535;
/// Most tensors, and most key–value pairs. A model of 100 layers has about a thousand and fifty.
const MAX_COUNT: u64 = 1 << 20;
/// Least bytes of a key–value pair: key length, value type, a one-byte value.
const LEAST_KV: usize = 8 + 4 + 1;
/// Least bytes of a tensor info: name length, number of axes, type, offset.
const LEAST_INFO: usize = 8 + 4 + 4 + 8;

/// What a header says, checked against itself and the size of the file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) table: TensorTable,
}

/// A tensor info with its offset from the start of the data section.
struct Placed {
    info: TensorInfo,
    offset: u64,
    bytes: usize,
}

/// Reads the header of `file`, whose whole content is `bytes`.
pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Header, WeightsError> {
    let mut cursor = Cursor::new(file, bytes);
    let version = magic_and_version(&mut cursor)?;
    let tensor_count = cursor.count("tensor count", LEAST_INFO, MAX_COUNT)?;
    let kv_count = cursor.count("metadata count", LEAST_KV, MAX_COUNT)?;

    let mut metadata = Metadata::default();
    for _ in 0..kv_count {
        let key = cursor.string_of("metadata key", MAX_KEY)?;
        let value = values::read(&mut cursor, &format!("metadata {}", quoted(key)))?;
        match metadata.0.entry(key.to_owned()) {
            Entry::Vacant(entry) => entry.insert(value),
            Entry::Occupied(_) => {
                let kind = FaultKind::InconsistentHeader;
                let found = format!("{} twice", quoted(key));
                return Err(cursor.fault(kind, "metadata", "each key once", found).into());
            }
        };
    }
    let alignment = alignment(file, &metadata)?;
    refuse_split(file, &metadata)?;

    let mut placed = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        placed.push(tensor_info(&mut cursor, alignment)?);
    }
    // An empty tensor list needs no data section, and none of its padding.
    let table = match placed.is_empty() {
        true => TensorTable::default(),
        false => {
            let tensors = place(file, bytes.len(), data_start(&cursor, alignment)?, placed)?;
            TensorTable::new(file, tensors)?
        }
    };
    refuse_overlap(file, &table)?;
    Ok(Header { version, metadata, table })
}

fn magic_and_version(cursor: &mut Cursor<'_>) -> Result<u32, Box<Fault>> {
    let magic = cursor.take(4, "magic")?;
    if magic != b"GGUF" {
        let (found, advice) = match magic {
            b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => (
                "a file of the old ggml family (before August 2023)",
                "convert it with llama.cpp's convert_llama_ggml_to_gguf.py, or fetch a GGUF",
            ),
            _ => ("another kind of file", "check that this is a .gguf file and not, say, an error page"),
        };
        let fault = cursor.fault(
            FaultKind::Unsupported,
            "magic",
            "\"GGUF\"",
            format!("\"{}\", {found}", magic.escape_ascii()),
        );
        return Err(fault.advice(advice));
    }
    let version = cursor.u32("version")?;
    let (found, advice) = match version {
        2 | 3 => return Ok(version),
        1 => ("1".to_owned(), "convert it again: version 1 was used for a few days only"),
        // A big-endian file has the version's bytes the other way round.
        _ if version.swap_bytes() <= 0xffff && version > 0xffff => (
            format!("a big-endian file of version {}", version.swap_bytes()),
            "fetch or convert to a little-endian GGUF",
        ),
        _ => (version.to_string(), "fetch a GGUF of version 2 or 3"),
    };
    Err(cursor.fault(FaultKind::Unsupported, "version", "GGUF version 2 or 3", found).advice(advice))
}

fn alignment(file: &Path, metadata: &Metadata) -> Result<u64, Box<Fault>> {
    let fault = |found: String| {
        Fault::new(file, FaultKind::InconsistentHeader, "a power of two of 32 bits", found)
            .at("metadata \"general.alignment\"")
    };
    let alignment = metadata.unsigned("general.alignment").map_err(|e| fault(e.found.to_owned()))?;
    match alignment {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(n) if n.is_power_of_two() && u32::try_from(n).is_ok() => Ok(n),
        Some(n) => Err(fault(n.to_string())),
    }
}

/// A file that is one part of several holds only some of the tensors.
fn refuse_split(file: &Path, metadata: &Metadata) -> Result<(), Box<Fault>> {
    match metadata.unsigned("split.count") {
        Ok(Some(parts)) if parts > 1 => {
            Err(Fault::new(file, FaultKind::Unsupported, "a whole model", format!("one of {parts} parts"))
                .at("metadata \"split.count\"")
                .advice("join the parts with llama.cpp's `llama-gguf-split --merge`"))
        }
        _ => Ok(()),
    }
}

fn tensor_info(cursor: &mut Cursor<'_>, alignment: u64) -> Result<Placed, Box<Fault>> {
    use FaultKind::{InconsistentHeader, LimitExceeded, Unsupported};
    let name = cursor.string_of("tensor name", MAX_NAME)?;
    let what = "tensor info";
    let dims = cursor.u32(what)?;
    if dims > MAX_DIMS {
        let kind = if dims > ABSURD_DIMS { LimitExceeded } else { Unsupported };
        let fault = cursor.fault(kind, what, format!("at most {MAX_DIMS} axes"), dims.to_string());
        return Err(fault.tensor(name));
    }
    let mut shape = Vec::with_capacity(MAX_DIMS as usize);
    for _ in 0..dims {
        shape.push(cursor.u64(what)?);
    }
    if shape.contains(&0) {
        let fault = cursor.fault(InconsistentHeader, what, "no empty axis", format!("{shape:?}"));
        return Err(fault.tensor(name));
    }
    let row = shape.first().copied().unwrap_or(1);
    shape.reverse();

    let code = cursor.u32(what)?;
    let dtype = dtype_of(code)
        .map_err(|found| cursor.fault(Unsupported, what, supported_types(), found).tensor(name))?;
    let too_large = |cursor: &Cursor<'_>| {
        let expected = "a size that fits into a machine word";
        cursor.fault(LimitExceeded, what, expected, format!("{shape:?} of {dtype}")).tensor(name)
    };
    let elements = checked_elements(&shape).ok_or_else(|| too_large(cursor))?;
    let block = dtype.block_size();
    if !row.is_multiple_of(block as u64) {
        let expected = format!("rows of whole {dtype} blocks of {block}");
        let fault = cursor.fault(InconsistentHeader, what, expected, format!("rows of {row}"));
        return Err(fault.tensor(name));
    }
    let bytes = dtype.bytes_for(elements).ok_or_else(|| too_large(cursor))?;
    let offset = cursor.u64(what)?;
    if offset.checked_add(bytes as u64).is_none() {
        let expected = "offset and size of 64 bits";
        return Err(cursor.fault(LimitExceeded, what, expected, format!("offset {offset}")).tensor(name));
    }
    if !offset.is_multiple_of(alignment) {
        let expected = format!("an offset that is a multiple of {alignment}");
        return Err(cursor.fault(InconsistentHeader, what, expected, offset.to_string()).tensor(name));
    }
    // All axes are at least 1 and their product fits, so each of them fits.
    let shape: Result<Vec<usize>, _> = shape.iter().map(|&dim| usize::try_from(dim)).collect();
    let shape = shape.map_err(|_| too_large(cursor))?;
    Ok(Placed { info: TensorInfo { name: name.to_owned(), dtype, shape }, offset, bytes })
}

/// The first byte of the data section.
fn data_start(cursor: &Cursor<'_>, alignment: u64) -> Result<u64, Box<Fault>> {
    (cursor.position() as u64).checked_next_multiple_of(alignment).ok_or_else(|| {
        let found = format!("alignment {alignment}");
        cursor.fault(FaultKind::LimitExceeded, "data section", "a start that fits into 64 bits", found)
    })
}

/// Turns offsets into byte ranges, all inside the file.
fn place(
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
fn refuse_overlap(file: &Path, table: &TensorTable) -> Result<(), Box<Fault>> {
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

/// The type with ggml's number `code`, or a description of what it is.
fn dtype_of(code: u32) -> Result<Dtype, String> {
    Ok(match code {
        0 => Dtype::F32,
        1 => Dtype::F16,
        2 => Dtype::Q4_0,
        3 => Dtype::Q4_1,
        6 => Dtype::Q5_0,
        7 => Dtype::Q5_1,
        8 => Dtype::Q8_0,
        10 => Dtype::Q2K,
        11 => Dtype::Q3K,
        12 => Dtype::Q4K,
        13 => Dtype::Q5K,
        14 => Dtype::Q6K,
        24 => Dtype::I8,
        25 => Dtype::I16,
        26 => Dtype::I32,
        27 => Dtype::I64,
        28 => Dtype::F64,
        30 => Dtype::BF16,
        4 | 5 => return Err(format!("type {code}, Q4_{}, which ggml removed", code - 2)),
        9 | 15 => return Err(format!("type {code}, an intermediate format that is never stored")),
        16..=23 | 29 => return Err(format!("type {code}, an importance-matrix (IQ) format")),
        _ => return Err(format!("type {code}")),
    })
}

fn supported_types() -> &'static str {
    "F32, F16, BF16, F64, I8 to I64, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, or Q2_K to Q6_K"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Builder, Tensor};
    use super::*;
    use crate::weights::gguf::Value;

    fn parsed(bytes: &[u8]) -> Result<Header, WeightsError> {
        parse(Path::new("test.gguf"), bytes)
    }

    fn kind(bytes: &[u8]) -> Option<FaultKind> {
        parsed(bytes).unwrap_err().fault_kind()
    }

    fn good() -> Builder {
        Builder::new()
            .string("general.architecture", "llama")
            .raw("scores", 9, &[&6u32.to_le_bytes()[..], &1u64.to_le_bytes(), &0.5f32.to_le_bytes()].concat())
            .f32("b", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
            .q8_0("a", &[2, 32], vec![1; 68])
    }

    fn with(change: impl FnOnce(&mut Tensor)) -> Vec<u8> {
        let mut tensor =
            Tensor { name: "t".into(), shape: vec![2, 32], code: 2, data: vec![0; 36], offset: None };
        change(&mut tensor);
        good().tensor(tensor).build()
    }

    #[test]
    fn a_good_file_is_read_in_both_versions() {
        for version in [2, 3] {
            let bytes = Builder { version, ..good() }.build();
            let header = parsed(&bytes).unwrap();
            assert_eq!(header.version, version);
            assert_eq!(header.metadata.floats("scores").unwrap(), Some(&[0.5][..]));
            let infos = header.table.infos();
            assert_eq!(
                (infos[0].name.as_str(), infos[0].dtype, &infos[0].shape[..]),
                ("a", Dtype::Q8_0, &[2, 32][..])
            );
            assert_eq!(
                (infos[1].name.as_str(), infos[1].dtype, &infos[1].shape[..]),
                ("b", Dtype::F32, &[2, 3][..])
            );
            let view = header.table.view(Path::new("x"), &bytes, "b").unwrap();
            assert_eq!(view.to_f32().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        }
        let bytes = with(|_| ());
        assert_eq!(parsed(&bytes).unwrap().table.infos().len(), 3);
    }

    #[test]
    fn another_alignment_is_followed() {
        let mut builder = good().u32("general.alignment", 256);
        builder.alignment = 256;
        let bytes = builder.build();
        let header = parsed(&bytes).unwrap();
        let view = header.table.view(Path::new("x"), &bytes, "a").unwrap();
        assert_eq!(&*view.data, [1; 68]);
        builder.alignment = 128;
        assert_eq!(kind(&builder.build()), Some(FaultKind::InconsistentHeader));
    }

    #[test]
    fn a_file_without_tensors_needs_no_data_section() {
        let bytes = Builder { alignment: 1, ..Builder::new().string("a", "b") }.build();
        assert!(parsed(&bytes).unwrap().table.infos().is_empty());
    }

    #[test]
    fn every_cut_is_truncated() {
        let mut bytes = good().build();
        bytes.truncate(bytes.len() - 28); // The padding of the last tensor.
        parsed(&bytes).unwrap();
        for length in 0..bytes.len() {
            assert_eq!(kind(&bytes[..length]), Some(FaultKind::Truncated), "cut after {length} bytes");
        }
    }

    #[test]
    fn tensor_infos_are_checked() {
        use FaultKind::{InconsistentHeader, LimitExceeded, Truncated, Unsupported};
        let cases: [(&str, Vec<u8>, FaultKind); 11] = [
            ("rows of half a block", with(|t| t.shape = vec![4, 16]), InconsistentHeader),
            ("an empty axis", with(|t| t.shape = vec![0, 32]), InconsistentHeader),
            ("five axes", with(|t| t.shape = vec![1, 1, 1, 2, 32]), Unsupported),
            ("a product that overflows", with(|t| t.shape = vec![1 << 40, 1 << 40]), LimitExceeded),
            ("a product that wraps to 64", with(|t| t.shape = vec![(1 << 59) + 2, 32]), LimitExceeded),
            ("an unknown type", with(|t| t.code = 77), Unsupported),
            ("the name of another", with(|t| t.name = "a".into()), InconsistentHeader),
            ("a long name", with(|t| t.name = "n".repeat(2000)), LimitExceeded),
            ("an overlap", with(|t| t.offset = Some(0)), InconsistentHeader),
            ("an offset outside", with(|t| t.offset = Some(1 << 40)), Truncated),
            ("an offset between", with(|t| t.offset = Some(129)), InconsistentHeader),
        ];
        for (case, bytes, expected) in cases {
            assert_eq!(kind(&bytes), Some(expected), "{case}");
        }
    }

    #[test]
    fn metadata_are_checked() {
        use FaultKind::{InconsistentHeader, LimitExceeded, Unsupported};
        let array = |code: u32, count: u64, rest: &[u8]| {
            good().raw("x", 9, &[&code.to_le_bytes()[..], &count.to_le_bytes(), rest].concat()).build()
        };
        let cases = [
            ("a bool of 7", good().raw("x", 7, &[7]).build(), InconsistentHeader),
            ("a bool of 7 in an array", array(7, 2, &[1, 7]), InconsistentHeader),
            ("an integer beyond i64", array(10, 1, &[0xff; 8]), InconsistentHeader),
            ("an unknown type", good().raw("x", 13, &[]).build(), Unsupported),
            ("an array of arrays", array(9, 1, &[]), LimitExceeded),
            ("an array of an unknown type", array(99, 1, &[]), Unsupported),
            ("an absurd array", array(0, 1 << 60, &[]), LimitExceeded),
            ("a key twice", good().string("general.architecture", "llama").build(), InconsistentHeader),
            ("an alignment of 0", good().u32("general.alignment", 0).build(), InconsistentHeader),
            (
                "an alignment that is a string",
                good().string("general.alignment", "32").build(),
                InconsistentHeader,
            ),
            ("a part of a split model", good().raw("split.count", 2, &[3, 0]).build(), Unsupported),
        ];
        for (case, bytes, expected) in cases {
            assert_eq!(kind(&bytes), Some(expected), "{case}");
        }
    }

    #[test]
    fn integer_arrays_of_every_width_are_widened() {
        let array = |code: u32, bytes: &[u8]| {
            let value = [&code.to_le_bytes()[..], &1u64.to_le_bytes(), bytes].concat();
            let bytes = Builder::new().raw("x", 9, &value).build();
            parsed(&bytes).unwrap().metadata.0.remove("x").unwrap()
        };
        assert_eq!(array(0, &[255]), Value::Integers(vec![255]));
        assert_eq!(array(1, &[255]), Value::Integers(vec![-1]));
        assert_eq!(array(3, &[0, 128]), Value::Integers(vec![-32_768]));
        assert_eq!(array(5, &[255; 4]), Value::Integers(vec![-1]));
        assert_eq!(array(11, &[255; 8]), Value::Integers(vec![-1]));
        assert_eq!(array(12, &0.25f64.to_le_bytes()), Value::Floats(vec![0.25]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_a_header(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parsed(&bytes);
            let _ = parsed(&[&b"GGUF\x03\0\0\0"[..], &bytes].concat());
        }

        /// A changed file is refused, or its tensors still lie inside it.
        #[test]
        fn a_changed_file_stays_in_bounds(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = good().build();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(header) = parsed(&bytes) {
                for info in header.table.infos() {
                    let view = header.table.view(Path::new("x"), &bytes, &info.name).unwrap();
                    prop_assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()));
                }
            }
        }
    }
}
