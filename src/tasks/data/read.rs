//! Reading the files of a split into documents, and the digest of what was read.

use std::io::Read;
use std::path::Path;

use super::json::{self, Rows, row_error};
use super::kwargs::Kwargs;
use super::locate::unpacked;
use super::{DatasetRef, LocatedSplit, parquet, table};
use crate::base::digest::{sha256, sha256_of_file};
use crate::base::progress::Silent;
use crate::base::recognise::{StandIn, stand_in};
use crate::base::whole::{self, Bounded, TooLarge};
use crate::hub;
use crate::tasks::document::Document;
use crate::tasks::embedded::FILES;
use crate::tasks::error::TaskError;
use crate::tasks::schema::Location;

/// Larger text files are refused: they are read whole.
const MAX_TEXT_BYTES: u64 = 4 << 30;
/// Bytes of a Parquet file that show whether it is one.
const STAND_IN: u64 = 512;

/// The digest of one data file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataDigest {
    /// The name below the folder of the data set.
    pub name: String,
    /// SHA-256 of the bytes, in hex.
    pub sha256: String,
}

/// The documents of a split.
#[derive(Debug, Clone)]
pub struct SplitData {
    /// The documents, in the order of the files, or the first of them if no more are wanted; every one has all columns.
    pub documents: Vec<Document>,
    /// How many there are.
    pub total: usize,
    /// The names of the columns, in order.
    pub columns: Vec<String>,
    /// The files that were read.
    pub files: Vec<DataDigest>,
}

/// One digest for several files: SHA-256 over the lines `<sha256>  <name>`, sorted by name, each file once.
pub fn data_sha256(files: &[DataDigest]) -> String {
    let mut files: Vec<&DataDigest> = files.iter().collect();
    files.sort();
    files.dedup();
    sha256(files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect::<String>())
}

pub(super) fn read(
    located: &LocatedSplit,
    dataset: &DatasetRef<'_>,
    most: usize,
) -> Result<SplitData, TaskError> {
    let mut rows = Rows::new(most);
    let mut files = Vec::new();
    for file in &located.files {
        let sha256 = match &file.at {
            Location::Disk(path) => from_disk(path, dataset, &mut rows)?,
            Location::Embedded(path) => {
                let text = FILES.get(path).expect("it was found among the embedded files").text;
                json::read(text, None, &mut rows).map_err(|e| row_error(Path::new(&file.name), e))?;
                sha256(text)
            }
        };
        files.push(DataDigest { name: file.name.clone(), sha256 });
    }
    let total = rows.total();
    let (documents, columns) = rows.finish();
    Ok(SplitData { documents, total, columns, files })
}

/// Reads a file into rows; gives its digest.
fn from_disk(path: &Path, dataset: &DatasetRef<'_>, rows: &mut Rows) -> Result<String, TaskError> {
    let fail = |message: String| row_error(path, (None, message));
    let io = |e: std::io::Error| fail(format!("cannot be read: {e}"));
    // A file of the cache has to be the one that was fetched, not only as long.
    let is_as_fetched =
        |sha256: &str| hub::changed_since(path, sha256).map_or(Ok(()), |reason| Err(fail(reason)));
    let kwargs = Kwargs::of(dataset)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let ending =
        Path::new(unpacked(&name)).extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
    // A task that says `json`, `csv` or `parquet` means it, whatever its files are called.
    let kind = match dataset.path {
        "csv" if ending == "tsv" => "tsv",
        kind @ ("json" | "csv" | "parquet") => kind,
        _ => ending.as_str(),
    };
    if kind == "parquet" {
        if unpacked(&name) != name {
            return Err(fail("a packed Parquet file; unpack it first (gunzip, zstd -d)".to_owned()));
        }
        let mut head = Vec::new();
        whole::open(path).and_then(|file| file.take(STAND_IN).read_to_end(&mut head)).map_err(io)?;
        if let Some(stand_in) = stand_in(&head) {
            return Err(fail(about(stand_in, "a Parquet file")));
        }
        let sha256 = sha256_of_file(path, &Silent).map_err(io)?;
        is_as_fetched(&sha256)?;
        parquet::read(path)?.into_iter().for_each(|row| rows.push(row));
        return Ok(sha256);
    }
    let bytes = whole::read(path, MAX_TEXT_BYTES).map_err(|error| match TooLarge::of(&error) {
        Some(large) => fail(format!("{large}; use Parquet for large data")),
        None => io(error),
    })?;
    // A split without documents is told where it is used.
    if let Some(stand_in) = stand_in(&bytes).filter(|_| !bytes.is_empty()) {
        return Err(fail(about(stand_in, "documents")));
    }
    let sha256 = sha256(&bytes);
    is_as_fetched(&sha256)?;
    let bytes = unpack(&name, bytes).map_err(|error| fail(format!("cannot be unpacked: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        fail(format!(
            "line {line}: not UTF-8 from byte {good} of the file on; some of it is in another encoding: convert it, for \
             example with iconv -t UTF-8"
        ))
    })?;
    let read = match kind {
        "jsonl" | "json" => json::read(&text, kwargs.field, rows),
        "csv" | "tsv" => {
            let delimiter = kwargs.delimiter.unwrap_or(if kind == "tsv" { b'\t' } else { b',' });
            let read = table::read(&text, delimiter, kwargs.column_names.as_deref());
            read.map(|read| read.into_iter().for_each(|row| rows.push(row)))
        }
        other => return Err(fail(format!("files of the kind {other:?} cannot be read as data"))),
    };
    read.map_err(|e| row_error(path, e))?;
    Ok(sha256)
}

/// What a file is that should be `expected`.
fn about(StandIn { found, advice, .. }: StandIn, expected: &str) -> String {
    format!("expected {expected}, found {found}; {advice}")
}

/// How packed files begin that are unpacked here, and those that are not.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const OTHER_PACKED: [(&[u8], &str); 3] =
    [(b"BZh", "bzip2"), (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"), (b"PK\x03\x04", "zip")];

/// The content of a file. Its first bytes say whether it is packed, whatever its name is, as in `datasets`.
fn unpack(name: &str, bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if let Some((_, how)) = OTHER_PACKED.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return Err(std::io::Error::other(format!(
            "it is packed by {how}; unpack it, or pack it by gzip or zstd"
        )));
    }
    let reader: Box<dyn Read> = if bytes.starts_with(GZIP) {
        Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()))
    } else if bytes.starts_with(ZSTD) {
        Box::new(zstd::Decoder::new(bytes.as_slice())?)
    } else if unpacked(name) != name {
        return Err(std::io::Error::other("it has a mark neither of gzip nor of zstd"));
    } else {
        return Ok(bytes);
    };
    let mut text = Vec::new();
    Bounded::new(reader, MAX_TEXT_BYTES).read_to_end(&mut text).map_err(|error| {
        match TooLarge::of(&error) {
            Some(large) => std::io::Error::other(format!("{large}; use Parquet for large data")),
            None => error,
        }
    })?;
    Ok(text)
}
