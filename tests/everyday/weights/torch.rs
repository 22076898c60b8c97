//! Files written by PyTorch (`tests/fixtures/torch/make.py`) hold what PyTorch reads from them.

use std::path::{Path, PathBuf};

use zoo::weights::{Dtype, SafetensorsFile, TensorSource, TorchFile};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch").join(name)
}

#[test]
fn views_types_and_containers() {
    let expected = SafetensorsFile::open(fixture("values.safetensors")).unwrap();
    for name in ["zip.bin", "old.bin", "nested.bin"] {
        let file = TorchFile::open(fixture(name)).unwrap();
        assert_eq!(file.tensors(), expected.tensors(), "{name}");
        for info in expected.tensors() {
            let (ours, theirs) = (file.tensor(&info.name).unwrap(), expected.tensor(&info.name).unwrap());
            assert_eq!(ours.data, theirs.data, "{name}: {}", info.name);
        }
    }
}

#[test]
fn contiguous_tensors_are_not_copied() {
    let file = TorchFile::open(fixture("zip.bin")).unwrap();
    let borrowed = |name: &str| matches!(file.tensor(name).unwrap().data, std::borrow::Cow::Borrowed(_));
    assert!(borrowed("whole") && borrowed("rows") && borrowed("tied") && borrowed("scalar"));
    assert!(!borrowed("transposed") && !borrowed("columns") && !borrowed("expanded"));
}

#[test]
fn a_newer_type_comes_from_untyped_bytes() {
    let file = TorchFile::open(fixture("newer.bin")).unwrap();
    let view = file.tensor("torch.uint16").unwrap();
    assert_eq!((view.info.dtype, &view.info.shape[..]), (Dtype::U16, &[2][..]));
    assert_eq!(view.data[..], [1, 0, 255, 255]);
}
