//! One file out of a zip archive, read without trusting the archive.
//!
//! A wheel is a zip (PKWARE APPNOTE 6.3, sections 4.3 to 4.5). Only what wheels use is read: one disk,
//! no encryption, members stored or deflated, sizes below 4 GiB. Names inside the archive never become
//! paths: the caller asks for one name and says where the bytes go.

use std::io::{self, Read, Seek, SeekFrom};

/// End-of-central-directory record: 22 bytes and a comment of at most 65535.
const END_BYTES: usize = 22;
const MAX_TAIL: u64 = END_BYTES as u64 + 65_535;
const END: [u8; 4] = *b"PK\x05\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// The largest central directory that is read into memory.
const MAX_DIRECTORY: u64 = 64 << 20;

/// Why a member cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Reading the archive or writing the member failed.
    #[error("reading the archive failed")]
    Io(#[from] io::Error),
    /// Not a zip archive, or cut off.
    #[error("expected a zip archive, found no end-of-directory record; the file is damaged or cut off")]
    NotZip,
    /// Something that no wheel has.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// A record that contradicts itself or the file.
    #[error("byte {at}: expected {expected}, found {found}")]
    Corrupt {
        /// Position in the archive.
        at: u64,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// No member of that name.
    #[error("expected a file {name:?} inside, found none of that name among {among}")]
    NoMember {
        /// The name asked for.
        name: String,
        /// How many members there are.
        among: usize,
    },
    /// The member is not as long as it should be.
    #[error("{name:?}: expected {expected} bytes, found {found}")]
    Size {
        /// The member.
        name: String,
        /// The expected length.
        expected: u64,
        /// The length in the archive.
        found: u64,
    },
    /// The member's bytes are damaged.
    #[error("{name:?}: expected CRC-32 {expected:08x}, found {found:08x}; the download is damaged")]
    Crc {
        /// The member.
        name: String,
        /// The archive's checksum.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
}

/// A member whose records have been checked against the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    name: String,
    deflated: bool,
    crc: u32,
    compressed: u64,
    /// Length of the extracted file.
    pub size: u64,
    start: u64,
}

/// Little-endian numbers of a record.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn u16(&self, at: usize) -> u16 {
        self.0.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
    }

    fn u32(&self, at: usize) -> u32 {
        self.0.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
    }
}

fn corrupt(at: u64, expected: &'static str, found: impl ToString) -> ArchiveError {
    ArchiveError::Corrupt { at, expected, found: found.to_string() }
}

/// Finds `name` in the directory and checks its records.
pub(super) fn find<R: Read + Seek>(archive: &mut R, name: &str) -> Result<Member, ArchiveError> {
    let (directory, directory_start, entries) = directory(archive)?;
    let mut found = None;
    let mut at = 0_usize;
    for _ in 0..entries {
        let here = directory_start + at as u64;
        let Some(header) = directory.get(at..).and_then(|rest| rest.get(..46)) else {
            return Err(corrupt(here, "another directory entry", "the end of the directory"));
        };
        if !header.starts_with(&CENTRAL) {
            return Err(corrupt(here, "a directory entry", "something else"));
        }
        let record = Record(header);
        let name_end = at + 46 + usize::from(record.u16(28));
        let Some(entry_name) = directory.get(at + 46..name_end) else {
            return Err(corrupt(here, "a name inside the directory", "one that ends behind it"));
        };
        if entry_name == name.as_bytes() {
            if found.is_some() {
                return Err(corrupt(here, "each name once", format!("{name:?} twice")));
            }
            found = Some(member(archive, name, &record, directory_start)?);
        }
        at = name_end + usize::from(record.u16(30)) + usize::from(record.u16(32));
    }
    found.ok_or_else(|| ArchiveError::NoMember { name: name.to_owned(), among: usize::from(entries) })
}

/// The central directory, where it starts and how many entries it has.
fn directory<R: Read + Seek>(archive: &mut R) -> Result<(Vec<u8>, u64, u16), ArchiveError> {
    let length = archive.seek(SeekFrom::End(0))?;
    let tail_start = length.saturating_sub(MAX_TAIL);
    archive.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    archive.take(MAX_TAIL).read_to_end(&mut tail)?;
    // The record whose comment reaches exactly to the end of the file.
    let ends_here = |at: &usize| {
        tail.get(*at..).is_some_and(|record| {
            record.starts_with(&END) && usize::from(Record(record).u16(20)) + END_BYTES == record.len()
        })
    };
    let at = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(ends_here).ok_or(ArchiveError::NotZip)?;
    let record = Record(tail.get(at..).unwrap_or_default());
    let end_at = tail_start + at as u64;
    let (entries, size, start) = (record.u16(10), u64::from(record.u32(12)), u64::from(record.u32(16)));
    if entries == u16::MAX || size == u64::from(u32::MAX) || start == u64::from(u32::MAX) {
        return Err(ArchiveError::Unsupported("a zip64 archive"));
    }
    if record.u16(4) != 0 || record.u16(6) != 0 || record.u16(8) != entries {
        return Err(ArchiveError::Unsupported("an archive on several disks"));
    }
    if start + size > end_at || size > MAX_DIRECTORY {
        let found = format!("{size} bytes at {start}");
        return Err(corrupt(end_at, "a directory inside the file, before this record", found));
    }
    archive.seek(SeekFrom::Start(start))?;
    let mut directory = Vec::new();
    archive.take(size).read_to_end(&mut directory)?;
    Ok((directory, start, entries))
}

/// The member of a directory entry, checked against its local header.
fn member<R: Read + Seek>(
    archive: &mut R,
    name: &str,
    entry: &Record<'_>,
    directory_start: u64,
) -> Result<Member, ArchiveError> {
    let local_at = u64::from(entry.u32(42));
    let (compressed, size) = (entry.u32(20), entry.u32(24));
    if compressed == u32::MAX || size == u32::MAX || entry.u32(42) == u32::MAX {
        return Err(ArchiveError::Unsupported("a zip64 archive"));
    }
    let deflated = match entry.u16(10) {
        0 => false,
        8 => true,
        _ => return Err(ArchiveError::Unsupported("a compression other than deflate")),
    };
    // Bit 0: encrypted. Bits 6 and 13: strong encryption, masked headers.
    if entry.u16(8) & 0x2041 != 0 {
        return Err(ArchiveError::Unsupported("an encrypted member"));
    }
    if !deflated && compressed != size {
        return Err(corrupt(local_at, "a stored member with one size", format!("{compressed} and {size}")));
    }
    archive.seek(SeekFrom::Start(local_at))?;
    let mut header = [0; 30];
    archive
        .read_exact(&mut header)
        .map_err(|_| corrupt(local_at, "a local header", "the end of the file"))?;
    let local = Record(&header);
    let mut local_name = vec![0; usize::from(local.u16(26))];
    archive.read_exact(&mut local_name).map_err(|_| corrupt(local_at, "a name", "the end of the file"))?;
    if !header.starts_with(&LOCAL) || local_name != name.as_bytes() || local.u16(8) != entry.u16(10) {
        return Err(corrupt(local_at, "the local header of this member", "something else"));
    }
    let start = local_at + 30 + u64::from(local.u16(26)) + u64::from(local.u16(28));
    let compressed = u64::from(compressed);
    if start + compressed > directory_start {
        let found = format!("{compressed} bytes at {start}");
        return Err(corrupt(local_at, "a member that ends before the directory", found));
    }
    Ok(Member { name: name.to_owned(), deflated, crc: entry.u32(16), compressed, size: size.into(), start })
}

/// Passes the member's bytes on piece by piece. Length and CRC-32 are right when this returns `Ok`; on
/// an error the pieces so far are worthless.
pub(super) fn extract<R: Read + Seek>(
    archive: &mut R,
    member: &Member,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), ArchiveError> {
    archive.seek(SeekFrom::Start(member.start))?;
    let raw = archive.take(member.compressed);
    let (length, consumed, crc) = if member.deflated {
        let mut decoder = flate2::read::DeflateDecoder::new(raw);
        let (length, crc) = pump(&mut decoder, member, &mut write)?;
        (length, decoder.total_in(), crc)
    } else {
        let (length, crc) = pump(&mut { raw }, member, &mut write)?;
        (length, length, crc)
    };
    if length != member.size {
        return Err(size_error(member, length));
    }
    if consumed != member.compressed {
        let expected = "a compressed stream of the declared length";
        return Err(corrupt(member.start, expected, format!("{consumed} of {}", member.compressed)));
    }
    if crc != member.crc {
        return Err(ArchiveError::Crc { name: member.name.clone(), expected: member.crc, found: crc });
    }
    Ok(())
}

fn size_error(member: &Member, found: u64) -> ArchiveError {
    ArchiveError::Size { name: member.name.clone(), expected: member.size, found }
}

fn pump(
    from: &mut impl Read,
    member: &Member,
    write: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(u64, u32), ArchiveError> {
    let mut buffer = vec![0; 1 << 17];
    let (mut length, mut crc) = (0_u64, flate2::Crc::new());
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok((length, crc.sum())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let piece = buffer.get(..n).unwrap_or_default();
        length += n as u64;
        if length > member.size {
            return Err(size_error(member, length));
        }
        crc.update(piece);
        write(piece)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// An archive of (name, bytes, deflated) with a comment.
    fn zip(members: &[(&str, &[u8], bool)], comment: &[u8]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, bytes, deflated) in members {
            let data = if *deflated { deflate(bytes) } else { bytes.to_vec() };
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            let mut common = vec![20, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
            for number in [crc.sum(), data.len() as u32, bytes.len() as u32, name.len() as u32] {
                common.extend(number.to_le_bytes());
            }
            let start = out.len() as u32;
            out.extend(LOCAL);
            out.extend(&common);
            out.extend(name.as_bytes());
            out.extend(data);
            directory.extend(CENTRAL);
            directory.extend([20, 0]);
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(start.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let start = out.len() as u32;
        out.extend(&directory);
        out.extend(END);
        out.extend([0; 4]);
        out.extend((members.len() as u16).to_le_bytes());
        out.extend((members.len() as u16).to_le_bytes());
        out.extend((directory.len() as u32).to_le_bytes());
        out.extend(start.to_le_bytes());
        out.extend((comment.len() as u16).to_le_bytes());
        out.extend(comment);
        out
    }

    fn read(archive: &[u8], name: &str) -> Result<Vec<u8>, ArchiveError> {
        let mut archive = Cursor::new(archive);
        let member = find(&mut archive, name)?;
        let mut out = Vec::new();
        extract(&mut archive, &member, |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn stored_and_deflated_members_come_out() {
        let long: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        let archive =
            zip(&[("a", b"alpha", false), ("b/long", &long, true), ("empty", b"", true)], b"a comment");
        assert_eq!(read(&archive, "a").unwrap(), b"alpha");
        assert_eq!(read(&archive, "b/long").unwrap(), long);
        assert_eq!(read(&archive, "empty").unwrap(), b"");
        assert!(matches!(read(&archive, "c"), Err(ArchiveError::NoMember { among: 3, .. })));
        assert!(matches!(read(&zip(&[], b""), "c"), Err(ArchiveError::NoMember { among: 0, .. })));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let archive = zip(&[("a", b"alpha alpha alpha", true), ("b", b"beta", false)], b"");
        for length in 0..archive.len() {
            assert!(read(&archive[..length], "a").is_err(), "{length}");
        }
    }

    #[test]
    fn a_changed_byte_never_gives_other_content() {
        let archive = zip(&[("a", b"alpha alpha alpha", true), ("b", b"beta", false)], b"");
        for at in 0..archive.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = archive.clone();
                damaged[at] ^= flip;
                for (name, content) in [("a", &b"alpha alpha alpha"[..]), ("b", b"beta")] {
                    if let Ok(found) = read(&damaged, name) {
                        assert_eq!(found, content, "byte {at} ^ {flip}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_its_declared_size() {
        let mut archive = zip(&[("a", &[0; 1 << 20], true)], b"");
        let size = archive.windows(4).rposition(|w| w == (1_u32 << 20).to_le_bytes()).unwrap();
        archive[size..size + 4].copy_from_slice(&100_u32.to_le_bytes());
        let mut written = 0;
        let mut cursor = Cursor::new(&archive);
        let member = find(&mut cursor, "a").unwrap();
        let result = extract(&mut cursor, &member, |piece| {
            written += piece.len();
            Ok(())
        });
        assert!(matches!(result, Err(ArchiveError::Size { expected: 100, .. })), "{result:?}");
        assert_eq!(written, 0);
    }

    #[test]
    fn a_name_twice_is_refused() {
        let archive = zip(&[("a", b"one", false), ("a", b"two", false)], b"");
        assert!(matches!(read(&archive, "a"), Err(ArchiveError::Corrupt { .. })));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let mut archive = zip(&[("a", b"alpha", true)], b"");
            let end = archive.split_off(archive.len() - END_BYTES);
            let at = archive.len().min(bytes.len());
            archive[..at].copy_from_slice(&bytes[..at]);
            archive.extend(end);
            let _ = read(&archive, "a");
            let _ = read(&bytes, "a");
        }
    }
}
