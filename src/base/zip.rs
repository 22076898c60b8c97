//! Zip archives, read without trusting them: the directory is checked before anything in it is used.
//!
//! PyTorch (1.6 and later) writes an archive whose members are stored, never compressed, so that a tensor can be
//! used where it lies in the mapped file. This reader therefore finds byte ranges, and unpacks (from a Python wheel)
//! only what it is asked for; names inside an archive never become paths. It reads zip64, since real files exceed
//! 4 GiB. Checksums are compared where a member is unpacked: PyTorch can be told not to compute them.
//! Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::fault::{Fault, FaultKind, quoted};

const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

const LOCAL_BYTES: usize = 30;
const ENTRY_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_64_BYTES: usize = 20;
/// The comment behind the end record has a 16-bit length.
const MAX_COMMENT: usize = u16::MAX as usize;
/// Most members of an archive. The largest models have some thousands of tensors.
const MAX_MEMBERS: u64 = 1 << 20;

/// Bits of the flags: the member is encrypted, strongly encrypted, its local header masked.
const ENCRYPTED: u16 = 0x2041;
/// Bits of the flags that say how well a member was compressed, which nobody needs.
const LEVEL: u16 = 0b110;
/// Bit of the flags: sizes follow the data instead of standing in the local header.
const SIZES_BEHIND: u16 = 1 << 3;
/// Methods of compression that are read.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Values that refer to the zip64 records.
const SEE_64: (u16, u32) = (u16::MAX, u32::MAX);

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name, with `/` between folders.
    pub name: String,
    /// Where its bytes are in the archive, as they are stored there.
    pub data: Range<usize>,
    /// The length of the file.
    pub size: u64,
    method: u16,
    crc: u32,
}

impl Member {
    /// How the bytes are compressed; `None` if they are the file's own.
    pub fn compression(&self) -> Option<String> {
        (self.method != STORED).then(|| method_name(self.method))
    }
}

/// What the directory says of a member before its local header was looked at.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    crc: u32,
    stored: u64,
    size: u64,
    header: u64,
}

/// Whether a file of these first bytes is a zip archive.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL_HEADER) || bytes.starts_with(&END)
}

/// The members of the archive, in the order in which they lie in the file.
pub(crate) fn members(file: &Path, bytes: &[u8]) -> Result<Vec<Member>, Box<Fault>> {
    let archive = Archive { file, bytes };
    let (directory, count) = archive.directory()?;
    let entries = archive.entries(directory.clone(), count)?;
    let mut placed = Vec::with_capacity(entries.len());
    for entry in entries {
        let data = archive.locate(&entry, directory.start)?;
        let Entry { name, size, method, crc, header, .. } = entry;
        placed.push((header, Member { name, data, size, method, crc }));
    }
    placed.sort_by_key(|(header, member)| (*header, member.data.end));
    for pair in placed.windows(2) {
        if let [(_, first), (second_start, second)] = pair
            && (first.data.end as u64) > *second_start
        {
            let found = format!("{} inside {}", quoted(&second.name), quoted(&first.name));
            return Err(archive.inconsistent("members that do not overlap", found));
        }
    }
    let members: Vec<Member> = placed.into_iter().map(|(_, member)| member).collect();
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(archive.inconsistent("each member once", format!("{} twice", quoted(name))));
    }
    Ok(members)
}

/// Why the content of a member does not come out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// The archive is damaged, or of a kind that is not read.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
    /// A compressed stream that cannot be read, or a target that cannot be written.
    #[error("unpacking the archive failed")]
    Io(#[from] io::Error),
}

/// Passes the content of a member of [`members`] on, piece by piece. Length and CRC-32 are right when this returns
/// `Ok`; on an error the pieces so far are worthless.
pub(crate) fn unpack(
    file: &Path,
    bytes: &[u8],
    member: &Member,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), ZipError> {
    let place = format!("member {}", quoted(&member.name));
    let fault = |kind, expected: String, found: String| {
        ZipError::from(Fault::new(file, kind, expected, found).at(place.clone()))
    };
    let stored = &bytes[member.data.clone()];
    let mut decoder = DeflateDecoder::new(stored);
    let mut plain = stored;
    let reader: &mut dyn Read = match member.method {
        STORED => &mut plain,
        DEFLATED => &mut decoder,
        other => {
            let expected = "members that are stored or deflated".to_owned();
            return Err(fault(FaultKind::Unsupported, expected, method_name(other)));
        }
    };
    let mut buffer = vec![0; 1 << 17];
    let (mut size, mut crc) = (0, Crc::new());
    loop {
        let piece = match reader.read(&mut buffer)? {
            0 => break,
            read => &buffer[..read],
        };
        size += piece.len() as u64;
        if size > member.size {
            break;
        }
        crc.update(piece);
        write(piece)?;
    }
    if size != member.size {
        let found = if size > member.size { "more".to_owned() } else { size.to_string() };
        return Err(fault(FaultKind::InconsistentHeader, format!("{} bytes", member.size), found));
    }
    let consumed = if member.method == DEFLATED { decoder.total_in() } else { size };
    if consumed != stored.len() as u64 {
        let expected = format!("a compressed stream of {} bytes", stored.len());
        return Err(fault(FaultKind::InconsistentHeader, expected, consumed.to_string()));
    }
    if crc.sum() != member.crc {
        let (expected, found) = (format!("CRC-32 {:08x}", member.crc), format!("{:08x}", crc.sum()));
        return Err(fault(FaultKind::DigestMismatch, expected, found));
    }
    Ok(())
}

struct Archive<'a> {
    file: &'a Path,
    bytes: &'a [u8],
}

impl Archive<'_> {
    /// Where the central directory is, and how many entries it has.
    fn directory(&self) -> Result<(Range<usize>, u64), Box<Fault>> {
        let end = self.end_record().ok_or_else(|| {
            let expected = "the directory of a zip archive at the end";
            Fault::new(self.file, FaultKind::Truncated, expected, "no end-of-directory record")
        })?;
        let record = self.fields(end, END_BYTES).expect("the end record was found whole");
        let mut count = u64::from(u16_at(record, 10));
        let mut size = u64::from(u32_at(record, 12));
        let mut start = u64::from(u32_at(record, 16));
        let mut before = end;
        if let Some(locator) = end.checked_sub(LOCATOR_64_BYTES)
            && let Some(fields) = self.fields(locator, LOCATOR_64_BYTES)
            && fields.starts_with(&LOCATOR_64)
        {
            let place = u64_at(fields, 8);
            let record = usize::try_from(place).ok().and_then(|place| self.fields(place, END_64_BYTES));
            let Some(record) = record.filter(|record| record.starts_with(&END_64)) else {
                let expected = format!("a zip64 end record at byte {place}");
                return Err(self.truncated(expected, "none there").at(format!("byte {locator}")));
            };
            count = u64_at(record, 32);
            size = u64_at(record, 40);
            start = u64_at(record, 48);
            before = locator.min(place as usize);
        } else if count == u64::from(SEE_64.0) || [size, start].contains(&u64::from(SEE_64.1)) {
            let found = "none before the end record, which refers to it";
            return Err(self.inconsistent("a zip64 end record", found).at(format!("byte {end}")));
        }
        let range = start.checked_add(size).map(|stop| start..stop);
        let Some(range) = range.filter(|range| range.end <= before as u64) else {
            let found = format!("{size} bytes at byte {start}");
            return Err(self.truncated(format!("a directory that ends by byte {before}"), found));
        };
        if count > MAX_MEMBERS {
            let expected = format!("at most {MAX_MEMBERS} members");
            return Err(Fault::new(self.file, FaultKind::LimitExceeded, expected, count.to_string()));
        }
        // Both ends are below the file's length.
        Ok((range.start as usize..range.end as usize, count))
    }

    /// The byte at which the end record begins: the last one whose comment reaches the end of the file.
    fn end_record(&self) -> Option<usize> {
        let last = self.bytes.len().checked_sub(END_BYTES)?;
        let first = last.saturating_sub(MAX_COMMENT);
        (first..=last).rev().find(|&place| {
            let Some(record) = self.fields(place, END_BYTES) else { return false };
            record.starts_with(&END)
                && place + END_BYTES + usize::from(u16_at(record, 20)) == self.bytes.len()
        })
    }

    fn entries(&self, directory: Range<usize>, count: u64) -> Result<Vec<Entry>, Box<Fault>> {
        let size = directory.len();
        let wrong = |found: String| {
            self.inconsistent(format!("{count} entries that fill the directory's {size} bytes"), found)
        };
        if count.saturating_mul(ENTRY_BYTES as u64) > size as u64 {
            return Err(wrong("room for fewer".to_owned()));
        }
        let mut entries = Vec::with_capacity(count as usize);
        let mut place = directory.start;
        for number in 0..count {
            let entry = self.fields(place, ENTRY_BYTES).filter(|entry| entry.starts_with(&DIRECTORY_ENTRY));
            let entry = entry.filter(|_| place + ENTRY_BYTES <= directory.end);
            let Some(entry) = entry else { return Err(wrong(format!("no entry {number} at byte {place}"))) };
            let name = place + ENTRY_BYTES..place + ENTRY_BYTES + usize::from(u16_at(entry, 28));
            let extra = name.end..name.end + usize::from(u16_at(entry, 30));
            let next = extra.end + usize::from(u16_at(entry, 32));
            if next > directory.end {
                return Err(wrong(format!("entry {number} reaching beyond it")));
            }
            let name = self.name(&self.bytes[name], place)?;
            entries.push(self.entry(entry, name, &self.bytes[extra])?);
            place = next;
        }
        if place != directory.end {
            return Err(wrong(format!("{} bytes left over", directory.end - place)));
        }
        Ok(entries)
    }

    fn entry(&self, entry: &[u8], name: String, extra: &[u8]) -> Result<Entry, Box<Fault>> {
        let (flags, method, crc) = (u16_at(entry, 8), u16_at(entry, 10), u32_at(entry, 16));
        if flags & ENCRYPTED != 0 {
            return Err(self.unsupported("members that are not encrypted", quoted(&name)));
        }
        let mut wide = zip64_values(extra);
        let mut resolve = |value: u32| match value {
            value if value == SEE_64.1 => wide.next(),
            value => Some(u64::from(value)),
        };
        // The order in which the values stand in the zip64 field.
        let size = resolve(u32_at(entry, 24));
        let stored = resolve(u32_at(entry, 20));
        let header = resolve(u32_at(entry, 42));
        let (Some(size), Some(stored), Some(header)) = (size, stored, header) else {
            let found = format!("{} without them", quoted(&name));
            return Err(self.inconsistent("sizes of 64 bits where those of 32 refer to them", found));
        };
        if method == STORED && size != stored {
            let found = format!("{} with {stored} bytes for {size}", quoted(&name));
            return Err(self.inconsistent("a stored member as long as its content", found));
        }
        let disk = u16_at(entry, 34);
        if disk != 0 && disk != SEE_64.0 {
            return Err(
                self.unsupported("an archive in one file", format!("{} on disk {disk}", quoted(&name)))
            );
        }
        Ok(Entry { name, flags, method, crc, stored, size, header })
    }

    /// A member's name, refused where it could mean a file outside a folder. Names never become paths here, but an
    /// archive with such a name is not to be trusted.
    fn name(&self, bytes: &[u8], place: usize) -> Result<String, Box<Fault>> {
        let Ok(name) = String::from_utf8(bytes.to_vec()) else {
            return Err(self.inconsistent("a name in UTF-8", "other bytes").at(format!("byte {place}")));
        };
        let escapes = name.starts_with('/')
            || name.contains(['\\', ':'])
            || name.chars().any(char::is_control)
            || name.split('/').any(|part| part == "..");
        if escapes {
            let expected = "names of members inside the archive";
            return Err(Fault::new(self.file, FaultKind::PathEscape, expected, quoted(&name))
                .advice("do not trust this file: no honest program writes such names"));
        }
        Ok(name)
    }

    /// The bytes of a member, after its local header was compared with the directory.
    fn locate(&self, entry: &Entry, directory: usize) -> Result<Range<usize>, Box<Fault>> {
        let place = format!("member {}", quoted(&entry.name));
        let start = usize::try_from(entry.header).ok();
        let Some((start, header)) = start.and_then(|start| Some((start, self.fields(start, LOCAL_BYTES)?)))
        else {
            let found = format!("byte {} of {}", entry.header, self.bytes.len());
            return Err(self.truncated("a local header inside the file", found).at(place));
        };
        let name = start + LOCAL_BYTES..start + LOCAL_BYTES + usize::from(u16_at(header, 26));
        let data = name.end + usize::from(u16_at(header, 28));
        let flags = u16_at(header, 6);
        let same = header.starts_with(&LOCAL_HEADER)
            && self.bytes.get(name) == Some(entry.name.as_bytes())
            && u16_at(header, 8) == entry.method
            && (flags ^ entry.flags) & !LEVEL == 0;
        if !same {
            let expected = "a local header that says what the directory says";
            return Err(self.inconsistent(expected, format!("another one at byte {start}")).at(place));
        }
        let end = (data as u64).checked_add(entry.stored).filter(|&end| end <= self.bytes.len() as u64);
        let Some(end) = end.and_then(|end| usize::try_from(end).ok()) else {
            let found = format!("{} bytes left", self.bytes.len().saturating_sub(data));
            return Err(self.truncated(format!("{} bytes", entry.stored), found).at(place));
        };
        if end > directory {
            let found = format!("data up to byte {end}");
            return Err(self.inconsistent("data before the directory", found).at(place));
        }
        if flags & SIZES_BEHIND == 0 {
            for (field, known) in [(18, entry.stored), (22, entry.size)] {
                let size = u32_at(header, field);
                if size != SEE_64.1 && u64::from(size) != known {
                    let expected = format!("{known} bytes, as in the directory");
                    return Err(self.inconsistent(expected, size.to_string()).at(place));
                }
            }
        }
        Ok(data..end)
    }

    fn fields(&self, start: usize, length: usize) -> Option<&[u8]> {
        self.bytes.get(start..start.checked_add(length)?)
    }

    fn inconsistent(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        Fault::new(self.file, FaultKind::InconsistentHeader, expected, found)
    }

    fn truncated(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        Fault::new(self.file, FaultKind::Truncated, expected, found)
    }

    fn unsupported(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        Fault::new(self.file, FaultKind::Unsupported, expected, found)
    }
}

/// The values of the zip64 field among a directory entry's extra fields.
fn zip64_values(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    const ZIP64: u16 = 1;
    let mut field: &[u8] = &[];
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let content = extra.get(4..4 + length);
        match content {
            Some(content) if id == ZIP64 => {
                field = content;
                break;
            }
            Some(_) => extra = &extra[4 + length..],
            None => break,
        }
    }
    let (values, _) = field.as_chunks::<8>();
    values.iter().map(|value| u64::from_le_bytes(*value))
}

fn method_name(method: u16) -> String {
    match method {
        8 => "deflate".to_owned(),
        12 => "bzip2".to_owned(),
        14 => "LZMA".to_owned(),
        93 => "zstd".to_owned(),
        other => format!("method {other}"),
    }
}

/// Little-endian numbers at places that the caller has bounded.
fn u16_at(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes(chunk_at(bytes, place))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    u32::from_le_bytes(chunk_at(bytes, place))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    u64::from_le_bytes(chunk_at(bytes, place))
}

fn chunk_at<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
    *bytes[place..].first_chunk().expect("a record was taken whole")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
            let mut crc = Crc::new();
            crc.update(bytes);
            let mut common = vec![20, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
            for number in [crc.sum(), data.len() as u32, bytes.len() as u32, name.len() as u32] {
                common.extend(number.to_le_bytes());
            }
            let start = out.len() as u32;
            out.extend(LOCAL_HEADER);
            out.extend(&common);
            out.extend(name.as_bytes());
            out.extend(data);
            directory.extend(DIRECTORY_ENTRY);
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

    fn read(archive: &[u8], name: &str) -> Result<Option<Vec<u8>>, ZipError> {
        let path = Path::new("a.zip");
        let members = members(path, archive)?;
        let Some(member) = members.iter().find(|member| member.name == name) else { return Ok(None) };
        let mut out = Vec::new();
        unpack(path, archive, member, |piece| out.write_all(piece))?;
        Ok(Some(out))
    }

    fn kind(result: Result<Option<Vec<u8>>, ZipError>) -> FaultKind {
        match result.unwrap_err() {
            ZipError::Fault(fault) => fault.kind,
            ZipError::Io(error) => panic!("{error}"),
        }
    }

    #[test]
    fn stored_and_deflated_members_come_out() {
        let long: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        let archive =
            zip(&[("a", b"alpha", false), ("b/long", &long, true), ("empty", b"", true)], b"a comment");
        assert_eq!(read(&archive, "a").unwrap().unwrap(), b"alpha");
        assert_eq!(read(&archive, "b/long").unwrap().unwrap(), long);
        assert_eq!(read(&archive, "empty").unwrap().unwrap(), b"");
        assert_eq!(read(&archive, "c").unwrap(), None);
        assert_eq!(read(&zip(&[], b""), "c").unwrap(), None);
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
                    if let Ok(Some(found)) = read(&damaged, name) {
                        assert_eq!(found, content, "byte {at} ^ {flip}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_its_declared_size() {
        let mut archive = zip(&[("a", &[0; 1 << 20], true)], b"");
        let declared = (1_u32 << 20).to_le_bytes();
        let places: Vec<usize> =
            (0..archive.len() - 4).filter(|&at| archive[at..].starts_with(&declared)).collect();
        places.iter().for_each(|&at| archive[at..at + 4].copy_from_slice(&100_u32.to_le_bytes()));
        let path = Path::new("a.zip");
        let members = members(path, &archive).unwrap();
        let mut written = 0;
        let result = unpack(path, &archive, &members[0], |piece| {
            written += piece.len();
            Ok(())
        });
        assert_eq!(kind(result.map(|()| None)), FaultKind::InconsistentHeader);
        assert_eq!((members[0].size, written), (100, 0));
    }

    #[test]
    fn damaged_content_is_told_by_its_checksum() {
        let mut archive = zip(&[("a", b"alpha", false)], b"");
        archive[LOCAL_BYTES + 1] ^= 1;
        assert_eq!(kind(read(&archive, "a")), FaultKind::DigestMismatch);
    }

    #[test]
    fn a_name_twice_is_refused() {
        let archive = zip(&[("a", b"one", false), ("a", b"two", false)], b"");
        assert_eq!(kind(read(&archive, "a")), FaultKind::InconsistentHeader);
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
