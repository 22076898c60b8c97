//! Reading the small files that go with a model.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use crate::forms::{GgufAsHf, HfModel, LineageError, Sidecar, SidecarContent};
use crate::tokenizer::tokenizer_files;

/// Bytes of such a file that are read at most; the largest known `tokenizer.json` has 34 MB.
const MAX_BYTES: u64 = 256 << 20;

impl HfModel {
    /// The small file called `name`, if the model has it.
    pub fn sidecar(&self, name: &str) -> Option<&Sidecar> {
        self.sidecars.iter().find(|sidecar| sidecar.name == name)
    }
}

impl Sidecar {
    /// Its content.
    ///
    /// # Errors
    /// [`LineageError::Io`] if the file cannot be read or is larger than any such file.
    pub fn read(&self) -> Result<Vec<u8>, LineageError> {
        self.content.read().map_err(|error| LineageError::io(&self.place(), "read", error))
    }

    /// The file that its content is in; its name if that is in no file.
    pub(crate) fn place(&self) -> PathBuf {
        match &self.content {
            SidecarContent::File(path) => path.clone(),
            SidecarContent::Bytes(_) => PathBuf::from(&self.name),
        }
    }
}

impl SidecarContent {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let path = match self {
            SidecarContent::Bytes(bytes) => return Ok(bytes.clone()),
            SidecarContent::File(path) => path,
        };
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::other(format!("expected at most {MAX_BYTES} bytes, found more")));
        }
        Ok(bytes)
    }
}

/// The tokenizer files of a GGUF file, made from its metadata.
///
/// # Errors
/// [`LineageError::Tokenizer`] for a vocabulary of an unknown kind, or a damaged one.
pub fn sidecars_from_gguf(model: &GgufAsHf) -> Result<Vec<Sidecar>, LineageError> {
    let files = tokenizer_files(model.gguf().metadata())?;
    let sidecar = |(name, bytes)| Sidecar { name, content: SidecarContent::Bytes(bytes) };
    Ok(files.into_iter().map(sidecar).collect())
}
