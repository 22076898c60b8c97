//! Writing a file of `torch.save`: a zip archive with a pickle of names and shapes, and a member per tensor.
//!
//! The pickle has protocol 2 and names three things only: `OrderedDict`, `_rebuild_tensor_v2` and the storage
//! classes, so `torch.load(weights_only=True)` reads it. It needs no data, only types and shapes, so it comes
//! first and the tensors follow one by one. Each tensor has a storage of its own and is contiguous.
//! Source: the files that `torch.save` writes, disassembled; `torch/serialization.py` for the members.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::value::STORAGES;
use crate::base::fault::{Fault, FaultKind};
use crate::base::zip::ZipWriter;
use crate::weights::{TensorInfo, WeightsError};

/// A file of `torch.save` that is being written to `W`, with its pickle done.
#[derive(Debug)]
pub struct TorchWriter<W> {
    zip: ZipWriter<W>,
    file: PathBuf,
    prefix: String,
    infos: Vec<TensorInfo>,
    written: usize,
}

impl<W: Write> TorchWriter<W> {
    /// Writes the pickle: `infos` in the order in which their data will come. `file` names the output in errors, and
    /// its stem the folder in the archive.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] for a block format, which PyTorch does not have; [`WeightsError::Io`].
    pub fn new(out: W, file: &Path, infos: Vec<TensorInfo>) -> Result<Self, WeightsError> {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let prefix = stem.filter(|stem| stem.is_ascii() && stem.len() < 100).unwrap_or("archive".into());
        let pickle = pickle(file, &infos)?;
        let mut zip = ZipWriter::new(out);
        let begin = |zip: &mut ZipWriter<W>| -> io::Result<()> {
            zip.store(&format!("{prefix}/data.pkl"), &pickle)?;
            zip.store(&format!("{prefix}/byteorder"), b"little")
        };
        begin(&mut zip).map_err(|e| WeightsError::io(file, "write", e))?;
        Ok(Self { zip, file: file.to_owned(), prefix, infos, written: 0 })
    }

    /// Writes the data of the next tensor.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if there is no tensor left or its data have another length than its type and shape
    /// ask for, [`WeightsError::Io`] if writing fails.
    pub fn write(&mut self, data: &[u8]) -> Result<(), WeightsError> {
        let expected = self.infos.get(self.written).map(TensorInfo::bytes);
        if expected != Some(data.len()) {
            let expected = expected.map_or("no more data".to_owned(), |n| format!("{n} bytes of data"));
            return Err(self.fault(expected, format!("{} bytes", data.len())));
        }
        let name = format!("{}/data/{}", self.prefix, self.written);
        self.zip.store(&name, data).map_err(|e| WeightsError::io(&self.file, "write", e))?;
        self.written += 1;
        Ok(())
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if the data of a tensor are missing; [`WeightsError::Io`].
    pub fn finish(mut self) -> Result<W, WeightsError> {
        if self.written < self.infos.len() {
            return Err(self.fault("the data of every tensor".into(), "the end of the writing".into()));
        }
        let end = self.zip.store(&format!("{}/version", self.prefix), b"3\n");
        end.and_then(|()| self.zip.finish()).map_err(|e| WeightsError::io(&self.file, "write", e))
    }

    fn fault(&self, expected: String, found: String) -> WeightsError {
        let fault = Fault::new(&self.file, FaultKind::InconsistentHeader, expected, found);
        match self.infos.get(self.written) {
            Some(info) => fault.tensor(&info.name).into(),
            None => fault.into(),
        }
    }
}

/// An `OrderedDict` from name to tensor.
fn pickle(file: &Path, infos: &[TensorInfo]) -> Result<Vec<u8>, Box<Fault>> {
    let mut out = Pickle(vec![0x80, 2]);
    out.ordered_dict();
    out.op(b'(');
    for (key, info) in infos.iter().enumerate() {
        let Some((storage, _)) = STORAGES.iter().find(|(_, dtype)| *dtype == info.dtype) else {
            let expected = "a type of PyTorch";
            return Err(Fault::new(file, FaultKind::Unsupported, expected, info.dtype.to_string())
                .tensor(&info.name)
                .advice("convert the weights to f16, bf16 or f32"));
        };
        out.text(&info.name);
        out.global("torch._utils", "_rebuild_tensor_v2");
        out.op(b'(');
        out.op(b'(');
        out.text("storage");
        out.global("torch", storage);
        out.text(&key.to_string());
        out.text("cpu");
        out.integer(info.elements());
        // A tuple, then the object that it is the persistent identifier of.
        out.op(b't');
        out.op(b'Q');
        out.integer(0);
        out.tuple(&info.shape);
        out.tuple(&strides(&info.shape));
        // No gradient, no hooks.
        out.op(0x89);
        out.ordered_dict();
        out.op(b't');
        out.op(b'R');
    }
    out.op(b'u');
    out.op(b'.');
    Ok(out.0)
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|inner| shape[inner..].iter().map(|&axis| axis.max(1)).product()).collect()
}

/// Instructions of the pickle machine.
struct Pickle(Vec<u8>);

impl Pickle {
    fn op(&mut self, code: u8) {
        self.0.push(code);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.op(b')');
        self.op(b'R');
    }

    fn text(&mut self, text: &str) {
        self.op(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn integer(&mut self, n: usize) {
        match (u8::try_from(n), u16::try_from(n), i32::try_from(n)) {
            (Ok(n), _, _) => self.0.extend([b'K', n]),
            (_, Ok(n), _) => {
                self.op(b'M');
                self.0.extend(n.to_le_bytes());
            }
            (_, _, Ok(n)) => {
                self.op(b'J');
                self.0.extend(n.to_le_bytes());
            }
            _ => {
                // A signed number of 9 bytes: the last one keeps it positive.
                self.0.extend([0x8a, 9]);
                self.0.extend((n as u64).to_le_bytes());
                self.op(0);
            }
        }
    }

    fn tuple(&mut self, numbers: &[usize]) {
        self.op(b'(');
        numbers.iter().for_each(|&n| self.integer(n));
        self.op(b't');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Dtype, TensorSource, TorchFile};

    fn info(name: &str, dtype: Dtype, shape: &[usize]) -> TensorInfo {
        TensorInfo { name: name.into(), dtype, shape: shape.to_vec() }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("consolidated.00.pth");
        let infos = vec![
            info("b.weight", Dtype::F16, &[2, 3, 5]),
            info("a", Dtype::BF16, &[300]),
            info("wide", Dtype::U8, &[70_000]),
            info("scalar", Dtype::F64, &[]),
            info("flags", Dtype::Bool, &[1, 2]),
        ];
        let data: Vec<Vec<u8>> = infos
            .iter()
            .map(|info| (0..info.dtype.bytes_for(info.elements()).unwrap()).map(|i| (i % 2) as u8).collect())
            .collect();
        let mut writer = TorchWriter::new(Vec::new(), &path, infos.clone()).unwrap();
        data.iter().for_each(|data| writer.write(data).unwrap());
        std::fs::write(&path, writer.finish().unwrap()).unwrap();
        let file = TorchFile::open(&path).unwrap();
        assert_eq!(file.tensors().len(), infos.len());
        for (info, data) in infos.iter().zip(&data) {
            let view = file.tensor(&info.name).unwrap();
            assert_eq!((view.info, &view.data[..]), (info, &data[..]));
        }
    }

    #[test]
    fn wrong_data_and_types_are_refused() {
        let path = Path::new("x.pth");
        let writer = || TorchWriter::new(Vec::new(), path, vec![info("a", Dtype::F16, &[2])]).unwrap();
        assert!(
            writer().write(&[0; 3]).unwrap_err().to_string().contains("expected 4 bytes of data, found 3")
        );
        assert!(writer().finish().unwrap_err().to_string().contains("\"a\""));
        let mut full = writer();
        full.write(&[0; 4]).unwrap();
        assert!(full.write(&[]).unwrap_err().to_string().contains("no more data"));
        let blocks = vec![info("q", Dtype::Q8_0, &[32])];
        let message = TorchWriter::new(Vec::new(), path, blocks).unwrap_err().to_string();
        assert!(message.contains("a type of PyTorch, found Q8_0"), "{message}");
    }
}
