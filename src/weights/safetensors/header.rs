//! Reading and checking the header of a safetensors file.
//!
//! Source: the format section of the safetensors README; limits as in the reference implementation
//! (header of at most 100 MB).

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::file;
use crate::weights::json::{self, Entries};
use crate::weights::table::{TensorTable, checked_elements};
use crate::weights::{Dtype, TensorInfo, WeightsError};

/// Bytes of the length field.
pub(super) const LENGTH: usize = 8;
/// Largest header, as in the reference implementation.
pub(super) const MAX_HEADER: u64 = 100_000_000;
/// Largest number of axes.
pub(super) const MAX_RANK: usize = 16;
/// The one key that is not a tensor.
pub(super) const METADATA: &str = "__metadata__";

/// What a header says, checked against itself and the size of the file.
#[derive(Debug)]
pub struct SafetensorsHeader {
    pub(super) table: TensorTable,
    pub(super) metadata: BTreeMap<String, String>,
}

/// A value of the header's object: a tensor, or the metadata.
#[derive(Debug, Deserialize)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's object. The value's type depends on the key, so the map is visited by hand.
#[derive(Debug, Default)]
struct RawHeader {
    tensors: Vec<(String, RawTensor)>,
    metadata: Option<Entries<String>>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> serde::de::Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of tensors by name")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key != METADATA {
                        header.tensors.push((key, map.next_value()?));
                    } else if header.metadata.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom("__metadata__ occurs twice"));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

impl file::FileHeader for SafetensorsHeader {
    type Place = Range<usize>;
    const FORMAT: &'static str = "a safetensors file";

    fn parse(file: &Path, bytes: &[u8]) -> Result<Self, WeightsError> {
        parse(file, bytes)
    }

    fn table(&self) -> &TensorTable {
        &self.table
    }
}

fn parse(file: &Path, bytes: &[u8]) -> Result<SafetensorsHeader, WeightsError> {
    let (text, data_start) = header_text(file, bytes)?;
    let raw: RawHeader = json::parse(file, "safetensors header", text)?;
    let data_bytes = bytes.len() - data_start;

    let mut tensors = Vec::with_capacity(raw.tensors.len());
    for (name, tensor) in raw.tensors {
        tensors.push(check_tensor(file, name, tensor, data_start)?);
    }
    let table = TensorTable::new(file, tensors)?;
    check_cover(file, &table, data_start, data_bytes)?;

    let metadata = match raw.metadata {
        None => BTreeMap::new(),
        Some(entries) => entries.unique().map(BTreeMap::from_iter).map_err(|key| {
            let found = format!("{} twice", quoted(&key));
            Fault::new(file, FaultKind::InconsistentHeader, "each metadata key once", found)
        })?,
    };
    Ok(SafetensorsHeader { table, metadata })
}

/// The JSON text, and where the data section begins.
fn header_text<'a>(file: &Path, bytes: &'a [u8]) -> Result<(&'a [u8], usize), Box<Fault>> {
    let fault = |kind, expected: String, found: String| Fault::new(file, kind, expected, found);
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        let expected = "at least the 8 bytes of the header length".to_owned();
        return Err(fault(FaultKind::Truncated, expected, format!("{} bytes", bytes.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        let expected = format!("a header of at most {MAX_HEADER} bytes");
        return Err(fault(FaultKind::LimitExceeded, expected, format!("{length} bytes")).at("byte 0"));
    }
    let text = usize::try_from(length).ok().and_then(|length| rest.get(..length)).ok_or_else(|| {
        let expected = format!("a header of {length} bytes after byte {LENGTH}");
        fault(FaultKind::Truncated, expected, format!("{} bytes", rest.len()))
    })?;
    if text.first() != Some(&b'{') {
        let found = text.first().map_or("an empty header".to_owned(), |b| format!("byte {b:#04x}"));
        let fault = fault(FaultKind::InconsistentHeader, "a header that begins with `{`".to_owned(), found);
        return Err(fault.at(format!("byte {LENGTH}")));
    }
    Ok((text, LENGTH + text.len()))
}

/// Checks a tensor by itself: type, shape, and that shape and offsets agree.
fn check_tensor(
    file: &Path,
    name: String,
    raw: RawTensor,
    data_start: usize,
) -> Result<(TensorInfo, Range<usize>), Box<Fault>> {
    use FaultKind::{InconsistentHeader, LimitExceeded, Unsupported};
    let RawTensor { dtype, shape, data_offsets: (begin, end) } = raw;
    let fault = |kind, expected: String, found: String| Fault::new(file, kind, expected, found).tensor(&name);

    let Some(dtype) = dtype_called(&dtype) else {
        return Err(fault(Unsupported, format!("a dtype out of {}", plain_names()), quoted(&dtype)));
    };
    if shape.len() > MAX_RANK {
        return Err(fault(LimitExceeded, format!("at most {MAX_RANK} axes"), shape.len().to_string()));
    }
    let bytes = checked_elements(&shape).and_then(|elements| dtype.bytes_for(elements));
    let Some(bytes) = bytes else {
        let expected = "a shape whose size fits into a machine word".to_owned();
        return Err(fault(LimitExceeded, expected, format!("{shape:?} of {dtype}")));
    };
    let given = end.checked_sub(begin).ok_or_else(|| {
        fault(InconsistentHeader, "begin ≤ end".to_owned(), format!("data_offsets [{begin}, {end}]"))
    })?;
    if given != bytes as u64 {
        let expected = format!("{bytes} bytes for shape {shape:?} of {dtype}");
        return Err(fault(InconsistentHeader, expected, format!("data_offsets of {given} bytes")));
    }
    let in_file = |offset: u64| usize::try_from(offset).ok().and_then(|o| o.checked_add(data_start));
    let (Some(begin), Some(end)) = (in_file(begin), in_file(end)) else {
        let expected = "offsets that fit into a machine word".to_owned();
        return Err(fault(LimitExceeded, expected, format!("data_offsets [{begin}, {end}]")));
    };
    // Each dimension fits: none is larger than the product, unless the product is zero.
    let shape: Result<Vec<usize>, _> = shape.into_iter().map(usize::try_from).collect();
    let Ok(shape) = shape else {
        return Err(fault(LimitExceeded, "dimensions of a machine word".to_owned(), "more".to_owned()));
    };
    Ok((TensorInfo { name, dtype, shape }, begin..end))
}

/// Checks that the tensors cover the data section exactly.
fn check_cover(
    file: &Path,
    table: &TensorTable,
    data_start: usize,
    data_bytes: usize,
) -> Result<(), Box<Fault>> {
    let mut covered = data_start;
    for (info, span) in table.in_file_order() {
        if span.start != covered {
            let what = if span.start < covered { "an overlap" } else { "a hole" };
            let expected = format!("its data to begin at byte {covered}, where the previous tensor ends");
            let found = format!("{what}: it begins at byte {}", span.start);
            return Err(Fault::new(file, FaultKind::InconsistentHeader, expected, found).tensor(&info.name));
        }
        covered = span.end;
    }
    let length = data_start + data_bytes;
    let kind = match covered.cmp(&length) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => FaultKind::Truncated,
        std::cmp::Ordering::Less => FaultKind::InconsistentHeader,
    };
    let expected = format!("{covered} bytes, where the last tensor ends");
    Err(Fault::new(file, kind, expected, format!("{length} bytes")))
}

/// The types a safetensors header can name.
fn plain() -> impl Iterator<Item = Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| dtype.block_size() == 1)
}

fn plain_names() -> String {
    plain().map(Dtype::name).collect::<Vec<_>>().join(", ")
}

fn dtype_called(name: &str) -> Option<Dtype> {
    plain().find(|dtype| dtype.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a header and that many data bytes.
    fn parsed(header: &str, data: usize) -> Result<SafetensorsHeader, WeightsError> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        parse(Path::new("test.safetensors"), &bytes)
    }

    #[test]
    fn scalars_empty_tensors_and_notes_are_read() {
        let header = r#"{"__metadata__": {"format": "pt"},
            "s": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
            "e": {"dtype": "F16", "shape": [0, 7], "data_offsets": [8, 8], "unknown": [1]},
            "m": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]}}   "#;
        let header = parsed(header, 12).unwrap();
        let shapes: Vec<_> =
            header.table.infos().iter().map(|i| (i.name.as_str(), i.dtype, i.elements())).collect();
        assert_eq!(shapes, [("e", Dtype::F16, 0), ("m", Dtype::BF16, 2), ("s", Dtype::I64, 1)]);
        assert_eq!(header.metadata["format"], "pt");
        assert!(parsed("{}", 0).unwrap().table.infos().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_kind() {
        use FaultKind::{InconsistentHeader, LimitExceeded, Truncated, Unsupported};
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"a": {{"dtype": {dtype}, "shape": {shape}, "data_offsets": {offsets}}}}}"#)
        };
        let two = |offsets: &str| {
            format!(
                r#"{{"a": {{"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}},
                    "b": {{"dtype": "U8", "shape": [4], "data_offsets": {offsets}}}}}"#
            )
        };
        let f32 = r#""F32""#;
        let axes = format!("[{}]", ["1"; 17].join(","));
        let cases = [
            ("short data", one(f32, "[1]", "[0, 4]"), 3, Truncated),
            ("trailing data", one(f32, "[1]", "[0, 4]"), 5, InconsistentHeader),
            ("data of nothing", "{}".to_owned(), 1, InconsistentHeader),
            ("another size", one(f32, "[1]", "[0, 8]"), 8, InconsistentHeader),
            ("reversed offsets", one(f32, "[1]", "[4, 0]"), 4, InconsistentHeader),
            ("a hole before", one(f32, "[1]", "[4, 8]"), 8, InconsistentHeader),
            (
                "offsets at the end of all numbers",
                one(f32, "[1]", "[18446744073709551611, 18446744073709551615]"),
                4,
                LimitExceeded,
            ),
            ("a hole between", two("[6, 10]"), 10, InconsistentHeader),
            ("an overlap", two("[2, 6]"), 6, InconsistentHeader),
            ("the same bytes", two("[0, 4]"), 4, InconsistentHeader),
            ("a product that wraps to 4", one(f32, "[4611686018427387905, 4]", "[0, 16]"), 16, LimitExceeded),
            ("bytes that overflow", one(r#""F64""#, "[4611686018427387904]", "[0, 8]"), 8, LimitExceeded),
            ("many axes", one(f32, &axes, "[0, 4]"), 4, LimitExceeded),
            ("a block format", one(r#""Q4_0""#, "[32]", "[0, 18]"), 18, Unsupported),
            ("a lower-case type", one(r#""f32""#, "[1]", "[0, 4]"), 4, Unsupported),
            ("a number as type", one("32", "[1]", "[0, 4]"), 4, InconsistentHeader),
            ("three offsets", one(f32, "[1]", "[0, 4, 4]"), 4, InconsistentHeader),
            ("a leading space", " {}".to_owned(), 0, InconsistentHeader),
            ("text after the object", "{}x".to_owned(), 0, InconsistentHeader),
            (
                "metadata twice",
                r#"{"__metadata__": {}, "__metadata__": {}}"#.to_owned(),
                0,
                InconsistentHeader,
            ),
            ("a note twice", r#"{"__metadata__": {"k": "", "k": ""}}"#.to_owned(), 0, InconsistentHeader),
            ("a note that is no string", r#"{"__metadata__": {"k": 1}}"#.to_owned(), 0, InconsistentHeader),
        ];
        for (case, header, data, expected) in cases {
            let error = parsed(&header, data).err().unwrap_or_else(|| panic!("{case}: accepted"));
            assert_eq!(error.fault_kind(), Some(expected), "{case}: {error}");
        }
    }

    #[test]
    fn a_name_twice_is_refused_with_its_name() {
        let entry = |begin: usize| {
            format!(r#""w": {{"dtype": "U8", "shape": [1], "data_offsets": [{begin}, {}]}}"#, begin + 1)
        };
        let error = parsed(&format!("{{{}, {}}}", entry(0), entry(1)), 2).unwrap_err();
        assert!(error.to_string().contains(r#"tensor "w": expected each name once"#), "{error}");
    }

    #[test]
    fn lengths_are_checked_before_anything_is_read() {
        let kind = |bytes: &[u8]| parse(Path::new("x"), bytes).unwrap_err().fault_kind();
        assert_eq!(kind(b""), Some(FaultKind::Truncated));
        assert_eq!(kind(&[0; 7]), Some(FaultKind::Truncated));
        assert_eq!(kind(&[0; 8]), Some(FaultKind::InconsistentHeader));
        assert_eq!(kind(&9u64.to_le_bytes()), Some(FaultKind::Truncated));
        assert_eq!(kind(&u64::MAX.to_le_bytes()), Some(FaultKind::LimitExceeded));
        assert_eq!(kind(&(1u64 << 30).to_le_bytes()), Some(FaultKind::LimitExceeded));
    }
}
