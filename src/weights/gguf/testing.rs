//! A writer of small GGUF files for tests, which can also write wrong ones.

use crate::weights::Dtype;

/// The parts of a file; every number can be set wrong.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) kvs: Vec<Vec<u8>>,
    pub(crate) tensors: Vec<Tensor>,
}

#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// Row-major, outermost first.
    pub(crate) shape: Vec<u64>,
    pub(crate) code: u32,
    pub(crate) data: Vec<u8>,
    /// Instead of the place where the data are written.
    pub(crate) offset: Option<u64>,
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Builder {
    pub(crate) fn new() -> Self {
        Builder { version: 3, alignment: 32, kvs: Vec::new(), tensors: Vec::new() }
    }

    /// A key with a value given as type code and bytes.
    pub(crate) fn raw(mut self, key: &str, code: u32, value: &[u8]) -> Self {
        self.kvs.push([&string(key), &code.to_le_bytes()[..], value].concat());
        self
    }

    pub(crate) fn string(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &string(value))
    }

    pub(crate) fn u32(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn tensor(mut self, tensor: Tensor) -> Self {
        self.tensors.push(tensor);
        self
    }

    pub(crate) fn f32(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.tensor(Tensor { name: name.into(), shape: shape.to_vec(), code: 0, data, offset: None })
    }

    /// A tensor of Q8_0 blocks, given as bytes.
    pub(crate) fn q8_0(self, name: &str, shape: &[u64], data: Vec<u8>) -> Self {
        assert_eq!(Dtype::Q8_0.bytes_for(shape.iter().product::<u64>() as usize), Some(data.len()));
        self.tensor(Tensor { name: name.into(), shape: shape.to_vec(), code: 8, data, offset: None })
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.kvs.len() as u64).to_le_bytes());
        out.extend(self.kvs.concat());
        let mut data = Vec::new();
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for dim in tensor.shape.iter().rev() {
                out.extend(dim.to_le_bytes());
            }
            out.extend(tensor.code.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }

    /// The file on disk, in a folder that lives as long as the first of the pair.
    pub(crate) fn write(&self) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.gguf");
        std::fs::write(&path, self.build()).unwrap();
        (folder, path)
    }
}
