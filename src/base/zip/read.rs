//! Members of an archive and their places. The whole directory is checked before anything in it is used.

use std::ops::Range;
use std::path::Path;

use crate::base::fault::{Fault, FaultKind, quoted};

pub(super) const LOCAL_HEADER: [u8; 4] = *b"PK\x03\x04";
pub(super) const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
pub(super) const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

pub(super) const LOCAL_BYTES: usize = 30;
const ENTRY_BYTES: usize = 46;
pub(super) const END_BYTES: usize = 22;
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
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;
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
    pub(super) method: u16,
    pub(super) crc: u32,
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
        let flags = u16_at(entry, 8);
        let method = u16_at(entry, 10);
        let crc = u32_at(entry, 16);
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

pub(super) fn method_name(method: u16) -> String {
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
