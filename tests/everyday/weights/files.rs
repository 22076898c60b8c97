//! Weights through the public interface: block formats against the `gguf` package, safetensors against the
//! `safetensors` crate, folders and indices.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as OracleDtype, TensorView as OracleView, serialize};
use zoo::base::fault::FaultKind;
use zoo::weights::gguf::Value;
use zoo::weights::{self, Dtype, GgufFile, SafetensorsFile, ShardedWeights, TensorSource};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/blocks").join(name)
}

#[test]
fn block_formats_widen_to_the_reference_bit_for_bit() {
    let blocks = GgufFile::open(fixture("blocks.gguf")).unwrap();
    let values = SafetensorsFile::open(fixture("values.safetensors")).unwrap();
    let mut seen = Vec::new();
    for info in blocks.tensors() {
        assert_eq!(info.name, info.dtype.name());
        assert_eq!(info.shape, [3, 512], "{}", info.name);
        let found = blocks.tensor(&info.name).unwrap().to_f32().unwrap();
        let expected = values.tensor(&info.name).unwrap().to_f32().unwrap();
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!(
                found.to_bits() == expected.to_bits(),
                "{} element {i}: expected {expected:e}, found {found:e}",
                info.name
            );
        }
        seen.push(info.dtype);
    }
    let missing: Vec<Dtype> =
        Dtype::ALL.into_iter().filter(|d| d.block_size() > 1 && !seen.contains(d)).collect();
    assert!(missing.is_empty(), "block formats without a fixture: {missing:?}");
}

#[test]
fn parts_of_a_row_widen_like_the_whole() {
    let blocks = GgufFile::open(fixture("blocks.gguf")).unwrap();
    for info in blocks.tensors() {
        let view = blocks.tensor(&info.name).unwrap();
        let whole = view.to_f32().unwrap();
        let size = info.dtype.block_bytes();
        let parts: Vec<f32> = view
            .data
            .chunks(size)
            .flat_map(|block| {
                let mut part = vec![0.0; info.dtype.block_size()];
                info.dtype.widen(block, &mut part).unwrap();
                part
            })
            .collect();
        assert!(whole.iter().map(|x| x.to_bits()).eq(parts.iter().map(|x| x.to_bits())), "{}", info.name);
    }
}

#[test]
fn metadata_of_every_kind() {
    let file = GgufFile::open(fixture("blocks.gguf")).unwrap();
    let metadata = file.metadata();
    let expected = [
        ("kind.uint8", Value::Unsigned(200)),
        ("kind.int8", Value::Signed(-100)),
        ("kind.uint16", Value::Unsigned(65_535)),
        ("kind.int16", Value::Signed(-32_768)),
        ("kind.uint32", Value::Unsigned(u32::MAX.into())),
        ("kind.int32", Value::Signed(i32::MIN.into())),
        ("kind.uint64", Value::Unsigned(u64::MAX)),
        ("kind.int64", Value::Signed(i64::MIN)),
        ("kind.float32", Value::Float(0.1f32.into())),
        ("kind.float64", Value::Float(0.1)),
        ("kind.bool", Value::Bool(true)),
        ("kind.string", Value::String("▁zoo".into())),
        ("array.string", Value::Strings(vec!["<s>".into(), String::new(), "▁a".into()])),
        ("array.float32", Value::Floats(vec![0.5, -1000.0])),
        ("array.int32", Value::Integers(vec![3, -1, 6])),
        ("array.bool", Value::Bools(vec![true, false])),
    ];
    for (key, value) in expected {
        assert_eq!(metadata.0.get(key), Some(&value), "{key}");
    }
    assert_eq!(metadata.string("general.architecture").unwrap(), Some("fixture"));
    assert_eq!(file.version(), 3);
}

const PLAIN: [(Dtype, OracleDtype); 13] = [
    (Dtype::F64, OracleDtype::F64),
    (Dtype::F32, OracleDtype::F32),
    (Dtype::F16, OracleDtype::F16),
    (Dtype::BF16, OracleDtype::BF16),
    (Dtype::I64, OracleDtype::I64),
    (Dtype::I32, OracleDtype::I32),
    (Dtype::I16, OracleDtype::I16),
    (Dtype::I8, OracleDtype::I8),
    (Dtype::U64, OracleDtype::U64),
    (Dtype::U32, OracleDtype::U32),
    (Dtype::U16, OracleDtype::U16),
    (Dtype::U8, OracleDtype::U8),
    (Dtype::Bool, OracleDtype::BOOL),
];

/// Tensors by name: position in [`PLAIN`], shape, seed of the bytes.
type Drawn = BTreeMap<String, (usize, Vec<usize>, u8)>;

fn drawn() -> impl Strategy<Value = Drawn> {
    let tensor = (0..PLAIN.len(), prop::collection::vec(0usize..5, 0..4), any::<u8>());
    prop::collection::btree_map("[a-z.\"\\\\é]{0,12}", tensor, 0..8)
}

/// The file the reference library writes for these tensors, and their bytes.
fn written(drawn: &Drawn) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let data: BTreeMap<String, Vec<u8>> = drawn
        .iter()
        .map(|(name, (kind, shape, seed))| {
            let bytes = shape.iter().product::<usize>() * PLAIN[*kind].0.block_bytes();
            (name.clone(), (0..bytes).map(|i| (i as u8).wrapping_mul(31).wrapping_add(*seed)).collect())
        })
        .collect();
    let views = drawn.iter().map(|(name, (kind, shape, _))| {
        (name.clone(), OracleView::new(PLAIN[*kind].1, shape.clone(), &data[name]).unwrap())
    });
    let note = [("format".to_owned(), "pt".to_owned())].into();
    (serialize(views, Some(note)).unwrap(), data)
}

fn open_bytes(bytes: &[u8]) -> Result<SafetensorsFile, weights::WeightsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    SafetensorsFile::open(path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reads_what_the_reference_library_writes(drawn in drawn()) {
        let (bytes, data) = written(&drawn);
        let file = open_bytes(&bytes).unwrap();
        prop_assert_eq!(file.tensors().len(), drawn.len());
        prop_assert_eq!(file.metadata().get("format").map(String::as_str), Some("pt"));
        for (info, (name, (kind, shape, _))) in file.tensors().iter().zip(&drawn) {
            prop_assert_eq!(&info.name, name);
            prop_assert_eq!(info.dtype, PLAIN[*kind].0);
            prop_assert_eq!(&info.shape, shape);
            prop_assert_eq!(&*file.tensor(name).unwrap().data, &data[name][..]);
        }
    }

    /// Whatever is accepted, the reference library accepts with the same content.
    #[test]
    fn is_at_least_as_strict_as_the_reference_library(
        drawn in drawn(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut bytes, _) = written(&drawn);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(file) = open_bytes(&bytes) {
            let oracle = SafeTensors::deserialize(&bytes).unwrap();
            prop_assert_eq!(oracle.len(), file.tensors().len());
            for info in file.tensors() {
                let view = oracle.tensor(&info.name).unwrap();
                prop_assert_eq!(view.shape(), &info.shape[..]);
                prop_assert_eq!(view.data(), &*file.tensor(&info.name).unwrap().data);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = open_bytes(&bytes);
    }
}

/// A folder with one f32 tensor per shard, `values[i]` in shard `i`.
fn sharded(shards: &[(&str, &str)], weight_map: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, (file, tensor)) in shards.iter().enumerate() {
        let data = (i as f32).to_le_bytes();
        let view = OracleView::new(OracleDtype::F32, vec![1], &data).unwrap();
        fs::write(folder.path().join(file), serialize([(tensor, view)], None).unwrap()).unwrap();
    }
    let index = format!(r#"{{"metadata": {{"total_size": 8}}, "weight_map": {weight_map}}}"#);
    fs::write(folder.path().join(weights::INDEX_FILE), index).unwrap();
    folder
}

const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";

#[test]
fn shards_are_one_source() {
    let map = format!(r#"{{"b": "{SECOND}", "a": "{FIRST}"}}"#);
    let folder = sharded(&[(FIRST, "a"), (SECOND, "b")], &map);
    let source = weights::open(folder.path()).unwrap();
    let names: Vec<&str> = source.tensors().iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(source.tensor("a").unwrap().to_f32().unwrap(), [0.0]);
    assert_eq!(source.tensor("b").unwrap().to_f32().unwrap(), [1.0]);
    assert!(matches!(source.tensor("c"), Err(weights::WeightsError::MissingTensor { .. })));
    assert_eq!(source.files(), [folder.path().join(FIRST), folder.path().join(SECOND)]);
    let sharded = ShardedWeights::open(folder.path().join(weights::INDEX_FILE)).unwrap();
    assert!(sharded.warnings().is_empty(), "{:?}", sharded.warnings());
}

#[test]
fn a_single_file_goes_before_an_index() {
    let folder = sharded(&[("model.safetensors", "whole")], "{}");
    assert_eq!(weights::open(folder.path()).unwrap().tensors()[0].name, "whole");
}

#[test]
fn index_and_shards_must_agree() {
    use FaultKind::{InconsistentHeader, MissingData, PathEscape};
    let cases = [
        ("a tensor is in the other shard", format!(r#"{{"a": "{SECOND}", "b": "{FIRST}"}}"#), MissingData),
        ("a tensor is not listed", format!(r#"{{"a": "{FIRST}"}}"#), InconsistentHeader),
        ("a tensor is listed twice", format!(r#"{{"a": "{FIRST}", "a": "{SECOND}"}}"#), InconsistentHeader),
        (
            "a tensor is nowhere",
            format!(r#"{{"a": "{FIRST}", "b": "{SECOND}", "c": "{FIRST}"}}"#),
            MissingData,
        ),
        ("a shard is absent", r#"{"a": "x.safetensors"}"#.to_owned(), MissingData),
        ("a shard is a folder", r#"{"a": "."}"#.to_owned(), MissingData),
        ("a path upwards", format!(r#"{{"a": "../{FIRST}"}}"#), PathEscape),
        ("an absolute path", r#"{"a": "/dev/null"}"#.to_owned(), PathEscape),
        ("nothing is listed", "{}".to_owned(), InconsistentHeader),
        ("no object", "[]".to_owned(), InconsistentHeader),
    ];
    for (case, map, kind) in cases {
        let folder = sharded(&[(FIRST, "a"), (SECOND, "b")], &map);
        let error = weights::open(folder.path()).err().unwrap_or_else(|| panic!("{case}: accepted"));
        assert_eq!(error.fault_kind(), Some(kind), "{case}: {error}");
    }
}

#[test]
fn the_same_tensor_in_two_listed_shards_is_refused() {
    let map = format!(r#"{{"a": "{FIRST}", "b": "{SECOND}"}}"#);
    let folder = sharded(&[(FIRST, "a")], &map);
    let data = [0; 8];
    let view = |at: usize| OracleView::new(OracleDtype::F32, vec![1], &data[at..at + 4]).unwrap();
    let both = serialize([("a", view(0)), ("b", view(4))], None).unwrap();
    fs::write(folder.path().join(SECOND), both).unwrap();
    let error = weights::open(folder.path()).err().unwrap();
    assert_eq!(error.fault_kind(), Some(FaultKind::InconsistentHeader), "{error}");
}
