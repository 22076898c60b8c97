//! Zip archives, read without trusting them: the directory is checked before anything in it is used.
//!
//! PyTorch (1.6 and later) writes an archive whose members are stored, never compressed, so that a tensor can be
//! used where it lies in the mapped file. This reader therefore finds byte ranges, and unpacks (from a Python wheel)
//! only what it is asked for; names inside an archive never become paths. It reads zip64, since real files exceed
//! 4 GiB. Checksums are compared where a member is unpacked: PyTorch can be told not to compute them.
//! Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.

mod read;
mod unpack;
mod write;

pub(crate) use read::{Member, is_zip, members};
pub use unpack::ZipError;
pub(crate) use unpack::unpack;
pub(crate) use write::ZipWriter;
