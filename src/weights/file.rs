//! One file of tensors, mapped into memory, whatever its format.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::mapped::MappedFile;
use super::table::TensorTable;
use super::{Access, TensorInfo, TensorSource, TensorView, WeightsError};
use crate::base::recognise::{StandIn, stand_in, stand_in_for_weights};

/// What the description of a file says, which is all that tells formats apart.
pub trait FileHeader: Sized + Send + Sync {
    /// Where the data of a tensor are.
    type Place: DataPlace;
    /// What such a file is, for messages.
    const FORMAT: &'static str;

    /// Reads the description of `file`, whose whole content is `bytes`, and checks it completely.
    fn parse(file: &Path, bytes: &[u8]) -> Result<Self, WeightsError>;

    /// The tensors and their places, which are inside the file.
    fn table(&self) -> &TensorTable<Self::Place>;
}

/// Where the data of a tensor are in its file.
pub trait DataPlace: Send + Sync {
    /// From its first byte to its last.
    fn span(&self) -> Range<usize>;

    /// Its data, row-major and without gaps, out of all bytes of the file.
    fn data<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(&bytes[self.span()])
    }
}

impl DataPlace for Range<usize> {
    fn span(&self) -> Range<usize> {
        self.clone()
    }
}

/// A memory-mapped file whose description has been checked completely.
#[derive(Debug)]
pub struct TensorFile<H> {
    file: MappedFile,
    pub(super) header: H,
}

impl<H: FileHeader> TensorFile<H> {
    /// Maps the file and checks its description; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Io`] if it cannot be opened, [`WeightsError::Fault`] for whatever is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::open(path.as_ref())?)
    }

    /// The same for a file that is in memory; `path` names it in messages.
    ///
    /// # Errors
    /// [`WeightsError::Fault`], as [`TensorFile::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::of(MappedFile::from_bytes(path, bytes))
    }

    fn of(file: MappedFile) -> Result<Self, WeightsError> {
        let (path, bytes) = (file.path(), file.bytes());
        let fault = |stand_in: StandIn| WeightsError::from(stand_in.fault(path, H::FORMAT));
        // What stands in place of any file is named first; that it is a text only where it is no such file.
        if let Some(stand_in) = stand_in(bytes) {
            return Err(fault(stand_in));
        }
        let header =
            H::parse(path, bytes).map_err(|error| stand_in_for_weights(bytes).map_or(error, fault))?;
        Ok(TensorFile { file, header })
    }

    /// The path it was opened with.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl<H: FileHeader> TensorSource for TensorFile<H> {
    fn tensors(&self) -> &[TensorInfo] {
        self.header.table().infos()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let (info, place) = self.header.table().get(self.path(), name)?;
        Ok(TensorView { info, data: place.data(self.file.bytes()) })
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path().to_owned()]
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some((_, place)) = self.header.table().find(name) {
            self.file.hint(place.span(), access);
        }
    }
}
