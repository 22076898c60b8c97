//! Files of tensors: PyTorch's two containers, safetensors, GGUF.

use std::borrow::Cow;
use std::path::Path;

use super::{accepted, check_config};
use crate::base::zip::ZipWriter;
use crate::forms::GgufAsHf;
use crate::weights::gguf::GgufWriter;
use crate::weights::{GgufFile, SafetensorsFile, TensorSource, TorchFile};

/// Elements of a tensor may be gathered up to this many bytes per input; more would only cost time.
const MAX_GATHERED: usize = 1 << 16;
/// Largest alignment of a GGUF file that is written again.
const MAX_ALIGNMENT: u64 = 4096;
/// What the tensors of a small file of PyTorch may have together, however often they share its bytes.
const MAX_UNFOLDED: usize = 1 << 20;

/// A file of `torch.save` in either container.
pub(super) fn torch_file(bytes: &[u8]) -> bool {
    torch(bytes.to_vec())
}

/// The pickle of an archive that is good otherwise, with storages `0`, `1` and `2` of 16, 64 and 4096 bytes.
pub(super) fn torch_pickle(pickle: &[u8]) -> bool {
    let mut zip = ZipWriter::new(Vec::new());
    let members =
        [("a/data.pkl", pickle), ("a/data/0", &[1; 16]), ("a/data/1", &[2; 64]), ("a/data/2", &[3; 4096])];
    let stored = members.iter().try_for_each(|(name, data)| zip.store(name, data));
    match stored.and_then(|()| zip.finish()) {
        Ok(bytes) => torch(bytes),
        Err(error) => panic!("writing to memory failed: {error}"),
    }
}

fn torch(bytes: Vec<u8>) -> bool {
    let length = bytes.len();
    let Some(file) = accepted(TorchFile::from_bytes(Path::new("x.bin"), bytes)) else { return false };
    let total = check_tensors(&file);
    assert!(total <= (16 * length).max(MAX_UNFOLDED), "tensors of {total} bytes in {length}");
    true
}

/// A safetensors file. Its tensors cover the file behind the header exactly.
pub(super) fn safetensors_header(bytes: &[u8]) -> bool {
    let path = Path::new("x.safetensors");
    let Some(file) = accepted(SafetensorsFile::from_bytes(path, bytes.to_vec())) else { return false };
    let total = check_tensors(&file);
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    assert_eq!(total as u64 + header + 8, bytes.len() as u64, "the data section is covered once");
    check_disjoint(&file);
    true
}

/// A GGUF file: its header, the configuration that it makes, and the same header written again.
pub(super) fn gguf_header(bytes: &[u8]) -> bool {
    let path = Path::new("x.gguf");
    let Some(file) = accepted(GgufFile::from_bytes(path, bytes.to_vec())) else { return false };
    let total = check_tensors(&file);
    assert!(total <= bytes.len(), "tensors of {total} bytes in {}", bytes.len());
    check_disjoint(&file);
    check_rewritten(&file);
    if let Some(model) = accepted(GgufAsHf::new(file)) {
        check_tensors(&model);
        if let Some(stated) = accepted(model.config()).and_then(accepted) {
            check_config(&stated.config.into());
        }
    }
    true
}

/// What a file says is what a file written from it says.
fn check_rewritten(file: &GgufFile) {
    let path = Path::new("y.gguf");
    // A larger alignment is read, but writing it means padding of that size.
    if !matches!(file.metadata().unsigned("general.alignment"), Ok(None | Some(..=MAX_ALIGNMENT))) {
        return;
    }
    let writer = GgufWriter::new(Vec::new(), path, file.metadata(), file.tensors().to_vec());
    let Some(mut writer) = accepted(writer) else { return };
    for info in file.tensors() {
        let view = file.tensor(&info.name).unwrap_or_else(|error| panic!("{error}"));
        writer.write(&view.data).unwrap_or_else(|error| panic!("{error}"));
    }
    let bytes = writer.finish().unwrap_or_else(|error| panic!("{error}"));
    let again =
        GgufFile::from_bytes(path, bytes).unwrap_or_else(|error| panic!("written, not read: {error}"));
    assert_eq!(file.tensors(), again.tensors());
    let keys = |file: &GgufFile| file.metadata().0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(file), keys(&again));
}

/// Names are sorted and unique, and every tensor has the bytes that its shape asks for. Returns all bytes together.
fn check_tensors(source: &dyn TensorSource) -> usize {
    check_names(source);
    let (mut total, mut gathered) = (0usize, 0usize);
    for info in source.tensors() {
        let expected = info.dtype.bytes_for(info.elements());
        let expected = expected.unwrap_or_else(|| panic!("{info:?} has no number of bytes"));
        total =
            total.checked_add(expected).unwrap_or_else(|| panic!("more bytes than a machine word counts"));
        gathered = gathered.saturating_add(expected);
        if gathered > MAX_GATHERED {
            continue;
        }
        let view = source.tensor(&info.name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(view.data.len(), expected, "{info:?}");
        if let Some(numbers) = accepted(view.to_f32()) {
            assert_eq!(numbers.len(), info.elements(), "{info:?}");
        }
    }
    total
}

fn check_names(source: &dyn TensorSource) {
    let sorted = source.tensors().windows(2).all(|pair| match pair {
        [first, second] => first.name < second.name,
        _ => true,
    });
    assert!(sorted, "names in order, each once");
    assert!(source.tensor("no such name").is_err());
}

/// No two tensors share a byte, and none was copied.
fn check_disjoint(source: &dyn TensorSource) {
    let mut places: Vec<(usize, usize)> = Vec::new();
    for info in source.tensors() {
        match source.tensor(&info.name).map(|view| view.data) {
            Ok(Cow::Borrowed([])) => {}
            Ok(Cow::Borrowed(data)) => places.push((data.as_ptr().addr(), data.len())),
            other => panic!("{info:?}: {other:?}"),
        }
    }
    places.sort_unstable();
    for pair in places.windows(2) {
        if let [(start, length), (next, _)] = pair {
            assert!(start + length <= *next, "two tensors share bytes");
        }
    }
}
