//! Writing a GGUF file of version 3, tensor by tensor.
//!
//! The header lists every tensor with its place, and all places follow from types and shapes. So it is written first,
//! and the data follow in one pass: no more than one tensor has to be in memory, and the output need not seek.
//! Source: ggml's `docs/gguf.md`; the limits of names and axes are those of `ggml.h`.

use std::collections::HashSet;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use super::{Metadata, header, tensors, values};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::{TensorInfo, WeightsError};

/// The version that is written.
const VERSION: u32 = 3;
/// Longest tensor name: `GGML_MAX_NAME` with its final zero.
const MAX_NAME: usize = 63;
/// Most axes: `GGML_MAX_DIMS`.
const MAX_AXES: usize = 4;

/// A GGUF file that is being written to `W`, with its header done.
#[derive(Debug)]
pub struct GgufWriter<W> {
    out: W,
    /// Where `out` leads, as errors name it.
    file: PathBuf,
    /// Tensors whose data are to come, the next one last.
    waiting: Vec<(TensorInfo, usize)>,
    alignment: usize,
}

impl<W: Write> GgufWriter<W> {
    /// Writes the header: all metadata, and `infos` in the order in which their data will come. Integers and floats
    /// of the metadata get 32 bits, as llama.cpp's readers ask for, integers 64 if they need them.
    ///
    /// `file` names the output in errors.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] for what the format cannot hold: a type of other formats, more than four axes, an
    /// empty one, a name that is too long or comes twice. [`WeightsError::Io`] if writing fails.
    pub fn new(
        mut out: W,
        file: &Path,
        metadata: &Metadata,
        infos: Vec<TensorInfo>,
    ) -> Result<Self, WeightsError> {
        let alignment = header::alignment(file, metadata)?;
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((infos.len() as u64).to_le_bytes());
        bytes.extend((metadata.0.len() as u64).to_le_bytes());
        for (key, value) in &metadata.0 {
            values::put_string(key, &mut bytes);
            values::put(value, &mut bytes);
        }
        let mut names = HashSet::new();
        let mut offset = 0u64;
        let mut waiting = Vec::with_capacity(infos.len());
        for info in infos {
            let length = put_info(file, &info, offset, &mut bytes)?;
            if !names.insert(info.name.clone()) {
                return Err(unwritable(file, &info, "each name once", "it twice").into());
            }
            let end =
                offset.checked_add(length as u64).and_then(|end| end.checked_next_multiple_of(alignment));
            offset = end.ok_or_else(|| unwritable(file, &info, "data that end before 2^64", "more"))?;
            waiting.push((info, length));
        }
        waiting.reverse();
        let alignment = usize::try_from(alignment).expect("alignments have 32 bits");
        bytes.resize(bytes.len().next_multiple_of(alignment), 0);
        out.write_all(&bytes).map_err(|e| WeightsError::io(file, "write", e))?;
        Ok(GgufWriter { out, file: file.to_owned(), waiting, alignment })
    }

    /// Writes the data of the next tensor.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if there is no tensor left or its data have another length than its type and shape
    /// ask for, [`WeightsError::Io`] if writing fails.
    pub fn write(&mut self, data: &[u8]) -> Result<(), WeightsError> {
        let Some((info, length)) = self.waiting.pop() else {
            let expected = "no data after the last tensor";
            let found = format!("{} bytes more", data.len());
            return Err(Fault::new(&self.file, FaultKind::InconsistentHeader, expected, found).into());
        };
        if data.len() != length {
            let found = format!("{} bytes", data.len());
            return Err(unwritable(&self.file, &info, &format!("{length} bytes of data"), &found).into());
        }
        let padding = length.next_multiple_of(self.alignment) - length;
        let zeros = io::repeat(0).take(padding as u64);
        let written = self.out.write_all(data).and_then(|()| io::copy(&mut { zeros }, &mut self.out));
        written.map(drop).map_err(|e| WeightsError::io(&self.file, "write", e))
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if the data of a tensor are missing.
    pub fn finish(mut self) -> Result<W, WeightsError> {
        match self.waiting.pop() {
            None => Ok(self.out),
            Some((info, length)) => {
                let expected = format!("{length} bytes of data");
                Err(unwritable(&self.file, &info, &expected, "the end of the writing").into())
            }
        }
    }
}

/// Appends one tensor info and returns the length of its data in bytes.
fn put_info(file: &Path, info: &TensorInfo, offset: u64, bytes: &mut Vec<u8>) -> Result<usize, Box<Fault>> {
    if info.name.len() > MAX_NAME {
        let expected = format!("a name of at most {MAX_NAME} bytes");
        return Err(unwritable(file, info, &expected, &quoted(&info.name)));
    }
    if info.shape.len() > MAX_AXES || info.shape.contains(&0) {
        let expected = format!("at most {MAX_AXES} axes, none of them empty");
        return Err(unwritable(file, info, &expected, &format!("shape {:?}", info.shape)));
    }
    let Some(code) = tensors::code_of(info.dtype) else {
        return Err(unwritable(file, info, "a type of ggml", &info.dtype.to_string()));
    };
    let row = info.shape.last().copied().unwrap_or(1);
    let elements = info.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let whole = row.is_multiple_of(info.dtype.block_size());
    let length = elements.filter(|_| whole).and_then(|elements| info.dtype.bytes_for(elements));
    let Some(length) = length else {
        let expected = format!("rows of whole blocks of {}", info.dtype.block_size());
        return Err(unwritable(file, info, &expected, &format!("shape {:?}", info.shape)));
    };
    values::put_string(&info.name, bytes);
    bytes.extend((info.shape.len() as u32).to_le_bytes());
    for &axis in info.shape.iter().rev() {
        bytes.extend((axis as u64).to_le_bytes());
    }
    bytes.extend(code.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    Ok(length)
}

fn unwritable(file: &Path, info: &TensorInfo, expected: &str, found: &str) -> Box<Fault> {
    Fault::new(file, FaultKind::Unsupported, expected, found)
        .tensor(&info.name)
        .advice("such a tensor cannot be stored as GGUF; write safetensors instead")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::Value;
    use crate::weights::{Dtype, GgufFile, TensorSource};

    fn info(name: &str, dtype: Dtype, shape: &[usize]) -> TensorInfo {
        TensorInfo { name: name.into(), dtype, shape: shape.to_vec() }
    }

    fn metadata() -> Metadata {
        let values = [
            ("a.unsigned", Value::Unsigned(7)),
            ("a.large", Value::Unsigned(1 << 40)),
            ("a.signed", Value::Signed(-7)),
            ("a.small", Value::Signed(-(1 << 40))),
            ("a.float", Value::Float(0.5)),
            ("a.bool", Value::Bool(true)),
            ("a.string", Value::String("▁zoo".into())),
            ("a.strings", Value::Strings(vec!["<s>".into(), String::new()])),
            ("a.floats", Value::Floats(vec![0.25, -1e9])),
            ("a.integers", Value::Integers(vec![1, -6])),
            ("a.wide", Value::Integers(vec![1 << 40])),
            ("a.bools", Value::Bools(vec![true, false])),
        ];
        Metadata(values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for alignment in [None, Some(1u64), Some(256)] {
            let path = folder.path().join("a.gguf");
            let mut metadata = metadata();
            if let Some(alignment) = alignment {
                metadata.0.insert("general.alignment".into(), Value::Unsigned(alignment));
            }
            let infos = vec![
                info("b", Dtype::F16, &[3, 5]),
                info("a", Dtype::Q8_0, &[2, 32]),
                info("c", Dtype::F32, &[]),
            ];
            let data: Vec<Vec<u8>> = vec![(0..30).collect(), (0..68).collect(), vec![0, 0, 128, 63]];
            let mut writer = GgufWriter::new(Vec::new(), &path, &metadata, infos.clone()).unwrap();
            for data in &data {
                writer.write(data).unwrap();
            }
            std::fs::write(&path, writer.finish().unwrap()).unwrap();
            let file = GgufFile::open(&path).unwrap();
            assert_eq!((file.version(), file.metadata()), (3, &metadata));
            for (info, data) in infos.iter().zip(&data) {
                let view = file.tensor(&info.name).unwrap();
                assert_eq!((view.info, &view.data[..]), (info, &data[..]));
            }
        }
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let refused = |infos: Vec<TensorInfo>| {
            GgufWriter::new(Vec::new(), Path::new("a.gguf"), &Metadata::default(), infos)
                .unwrap_err()
                .to_string()
        };
        for (infos, expected) in [
            (vec![info("a", Dtype::Bool, &[1])], "expected a type of ggml, found BOOL"),
            (vec![info("a", Dtype::U64, &[1])], "expected a type of ggml, found U64"),
            (vec![info("a", Dtype::F32, &[1; 5])], "at most 4 axes"),
            (vec![info("a", Dtype::F32, &[2, 0])], "none of them empty"),
            (vec![info("a", Dtype::Q4_0, &[64, 16])], "rows of whole blocks of 32"),
            (vec![info("a", Dtype::F32, &[usize::MAX, 2])], "rows of whole blocks"),
            (vec![info(&"a".repeat(64), Dtype::F32, &[1])], "a name of at most 63 bytes"),
            (vec![info("a", Dtype::F32, &[1]), info("a", Dtype::F32, &[1])], "each name once"),
        ] {
            let message = refused(infos);
            assert!(message.contains(expected) && message.contains("a.gguf"), "{message}");
        }
    }

    #[test]
    fn data_that_do_not_fit_the_header_are_refused() {
        let writer = || {
            let infos = vec![info("a", Dtype::F32, &[2])];
            GgufWriter::new(Vec::new(), Path::new("a.gguf"), &Metadata::default(), infos).unwrap()
        };
        assert!(
            writer().write(&[0; 4]).unwrap_err().to_string().contains("expected 8 bytes of data, found 4")
        );
        assert!(writer().finish().unwrap_err().to_string().contains("found the end of the writing"));
        let mut full = writer();
        full.write(&[0; 8]).unwrap();
        assert!(full.write(&[]).unwrap_err().to_string().contains("no data after the last tensor"));
    }
}
