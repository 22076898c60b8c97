//! Reading and checking the header of a GGUF file.
//!
//! Source: ggml's `docs/gguf.md`. No allocation is larger than a small multiple
//! of what the file itself holds.

use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::Path;

use super::cursor::Cursor;
use super::metadata::Metadata;
use super::{tensors, values};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::WeightsError;
use crate::weights::file;
use crate::weights::table::TensorTable;

/// Data alignment where the file does not set `general.alignment`.
const DEFAULT_ALIGNMENT: u64 = 32;
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
pub struct GgufHeader {
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    pub(super) table: TensorTable,
}

impl file::FileHeader for GgufHeader {
    type Place = Range<usize>;
    const FORMAT: &'static str = "a GGUF file";

    fn parse(file: &Path, bytes: &[u8]) -> Result<Self, WeightsError> {
        parse(file, bytes)
    }

    fn table(&self) -> &TensorTable {
        &self.table
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<GgufHeader, WeightsError> {
    let mut cursor = Cursor::new(file, bytes);
    let version = magic_and_version(&mut cursor)?;
    let tensor_count = cursor.count("tensor count", LEAST_INFO, MAX_COUNT)?;
    let kv_count = cursor.count("metadata count", LEAST_KV, MAX_COUNT)?;

    let mut metadata = Metadata::default();
    for _ in 0..kv_count {
        let key = cursor.string_of("metadata key", MAX_KEY)?;
        let value = values::read(&mut cursor, &format!("metadata {}", quoted(&key)))?;
        match metadata.0.entry(key) {
            Entry::Vacant(entry) => entry.insert(value),
            Entry::Occupied(entry) => {
                let kind = FaultKind::InconsistentHeader;
                let found = format!("{} twice", quoted(entry.key()));
                return Err(cursor.fault(kind, "metadata", "each key once", found).into());
            }
        };
    }
    let alignment = alignment(file, &metadata)?;
    refuse_split(file, &metadata)?;

    let mut placed = Vec::with_capacity(tensor_count);
    for _ in 0..tensor_count {
        placed.push(tensors::tensor_info(&mut cursor, alignment)?);
    }
    // An empty tensor list needs no data section, and none of its padding.
    let start = if placed.is_empty() { 0 } else { tensors::data_start(&cursor, alignment)? };
    let table = TensorTable::new(file, tensors::place(file, bytes.len(), start, placed)?)?;
    tensors::refuse_overlap(file, &table)?;
    Ok(GgufHeader { version, metadata, table })
}

fn magic_and_version(cursor: &mut Cursor<'_>) -> Result<u32, Box<Fault>> {
    let magic = cursor.take(4, "magic")?;
    if magic != b"GGUF" {
        let (found, advice) = match magic {
            b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => (
                "a file of the old ggml family (before August 2023)",
                "convert it with llama.cpp's convert_llama_ggml_to_gguf.py, or fetch a GGUF",
            ),
            _ => ("another kind of file", "fetch a GGUF file, or rename this one after what it is"),
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

/// The alignment of the data, in bytes: a power of two.
pub(super) fn alignment(file: &Path, metadata: &Metadata) -> Result<u64, Box<Fault>> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::Builder;
    use super::*;
    use crate::weights::gguf::Value;
    use crate::weights::{Dtype, GgufFile, TensorSource};

    fn parsed(bytes: &[u8]) -> Result<GgufHeader, WeightsError> {
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
            let file = GgufFile::from_bytes(Path::new("x"), bytes).unwrap();
            let view = file.tensor("b").unwrap();
            assert_eq!(view.to_f32().unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        }
    }

    #[test]
    fn another_alignment_is_followed() {
        let mut builder = good().u32("general.alignment", 256);
        builder.alignment = 256;
        let bytes = builder.build();
        let file = GgufFile::from_bytes(Path::new("x"), bytes).unwrap();
        let view = file.tensor("a").unwrap();
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
            if let Ok(file) = GgufFile::from_bytes(Path::new("x"), bytes) {
                for info in file.tensors() {
                    let view = file.tensor(&info.name).unwrap();
                    prop_assert_eq!(info.dtype.bytes_for(info.elements()), Some(view.data.len()));
                }
            }
        }
    }
}
