//! Writing a zip archive of stored members, each of whose data start at a multiple of 64 bytes.
//!
//! PyTorch maps such files into memory, so it asks for aligned data; the padding hides in the extra field of the
//! local header, as PyTorch does it. A member is given whole, so its checksum and size stand before its data and
//! nothing is patched afterwards. Sizes and offsets of 4 GiB and more go to zip64 fields.
//! Source: PKWARE's APPNOTE 6.3.10, sections 4.3, 4.4 and 4.5.3.

use std::io::{self, Write};

use flate2::Crc;

/// Alignment of the data in the file.
const ALIGNMENT: u64 = 64;
/// Identifier of the extra field that only fills up, PyTorch's "FB".
const PADDING: u16 = 0x4246;
/// Identifier of the extra field with 64-bit sizes and offsets.
const ZIP64: u16 = 0x0001;
/// Versions of the format that a reader needs: stored members, zip64.
const PLAIN_VERSION: u16 = 10;
const ZIP64_VERSION: u16 = 45;
/// Flag: names are UTF-8.
const UTF8: u16 = 1 << 11;
/// 1 January 1980, the first day of the format: the same input makes the same bytes.
const DATE: u16 = 0x0021;

/// An archive that is being written.
#[derive(Debug)]
pub(crate) struct ZipWriter<W> {
    out: W,
    position: u64,
    members: Vec<Member>,
    /// The least size or offset that goes to zip64 fields; tests lower it.
    zip64_from: u64,
}

#[derive(Debug)]
struct Member {
    name: String,
    crc: u32,
    size: u64,
    offset: u64,
}

impl<W: Write> ZipWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, position: 0, members: Vec::new(), zip64_from: u32::MAX.into() }
    }

    /// Appends a member. Names are short and given once.
    pub(crate) fn store(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let mut crc = Crc::new();
        crc.update(data);
        let crc = crc.sum();
        let size = data.len() as u64;
        let offset = self.position;
        let wide = size >= self.zip64_from;
        let mut extra = Vec::new();
        if wide {
            put_field(&mut extra, ZIP64, &[size.to_le_bytes(), size.to_le_bytes()].concat());
        }
        let before_padding = offset + (LOCAL_BYTES + name.len() + extra.len() + FIELD_BYTES) as u64;
        let padding = before_padding.next_multiple_of(ALIGNMENT) - before_padding;
        put_field(&mut extra, PADDING, &vec![0; padding as usize]);

        let narrow_size = if wide { u32::MAX } else { size as u32 };
        let mut header = b"PK\x03\x04".to_vec();
        header.extend(version(wide).to_le_bytes());
        put_common(&mut header, crc, narrow_size);
        header.extend((name.len() as u16).to_le_bytes());
        header.extend((extra.len() as u16).to_le_bytes());
        header.extend(name.as_bytes());
        header.extend(extra);
        self.write(&header)?;
        self.write(data)?;
        self.members.push(Member { name: name.to_owned(), crc, size, offset });
        Ok(())
    }

    /// Writes the directory and gives the output back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let mut directory = Vec::new();
        for member in &self.members {
            self.put_entry(member, &mut directory);
        }
        let start = self.position;
        let size = directory.len() as u64;
        let count = self.members.len() as u64;
        self.write(&directory)?;
        let mut end = Vec::new();
        let wide = start >= self.zip64_from || size >= self.zip64_from || count >= u64::from(u16::MAX);
        if wide {
            let record = self.position;
            end.extend(b"PK\x06\x06");
            // The record's length without its first 12 bytes.
            end.extend(44u64.to_le_bytes());
            end.extend(ZIP64_VERSION.to_le_bytes());
            end.extend(ZIP64_VERSION.to_le_bytes());
            end.extend([0; 8]);
            for value in [count, count, size, start] {
                end.extend(value.to_le_bytes());
            }
            end.extend(b"PK\x06\x07");
            end.extend([0; 4]);
            end.extend(record.to_le_bytes());
            end.extend(1u32.to_le_bytes());
        }
        let narrow = |value: u64| if wide { u32::MAX } else { value as u32 };
        let narrow_count = if wide { u16::MAX } else { count as u16 };
        end.extend(b"PK\x05\x06");
        end.extend([0; 4]);
        end.extend(narrow_count.to_le_bytes());
        end.extend(narrow_count.to_le_bytes());
        end.extend(narrow(size).to_le_bytes());
        end.extend(narrow(start).to_le_bytes());
        end.extend([0; 2]);
        self.write(&end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn put_entry(&self, member: &Member, out: &mut Vec<u8>) {
        let (wide_size, wide_offset) = (member.size >= self.zip64_from, member.offset >= self.zip64_from);
        let mut wide = Vec::new();
        if wide_size {
            wide.extend([member.size.to_le_bytes(), member.size.to_le_bytes()].concat());
        }
        if wide_offset {
            wide.extend(member.offset.to_le_bytes());
        }
        let mut extra = Vec::new();
        if !wide.is_empty() {
            put_field(&mut extra, ZIP64, &wide);
        }
        let version = version(!wide.is_empty());
        out.extend(b"PK\x01\x02");
        out.extend(version.to_le_bytes());
        out.extend(version.to_le_bytes());
        put_common(out, member.crc, if wide_size { u32::MAX } else { member.size as u32 });
        out.extend((member.name.len() as u16).to_le_bytes());
        out.extend((extra.len() as u16).to_le_bytes());
        // No comment, the first disk, no attributes.
        out.extend([0; 10]);
        out.extend((if wide_offset { u32::MAX } else { member.offset as u32 }).to_le_bytes());
        out.extend(member.name.as_bytes());
        out.extend(extra);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// Bytes of a local header before its name.
const LOCAL_BYTES: usize = 30;
/// Bytes of an extra field before its content.
const FIELD_BYTES: usize = 4;

fn version(zip64: bool) -> u16 {
    if zip64 { ZIP64_VERSION } else { PLAIN_VERSION }
}

/// The fields that a local header and a directory entry share: flags, method, time, checksum, sizes.
fn put_common(out: &mut Vec<u8>, crc: u32, size: u32) {
    out.extend(UTF8.to_le_bytes());
    out.extend([0; 4]);
    out.extend(DATE.to_le_bytes());
    out.extend(crc.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(size.to_le_bytes());
}

fn put_field(out: &mut Vec<u8>, id: u16, content: &[u8]) {
    out.extend(id.to_le_bytes());
    out.extend((content.len() as u16).to_le_bytes());
    out.extend(content);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::members;
    use super::*;

    #[test]
    fn members_are_found_aligned_in_both_sizes() {
        let long = vec![7; 1000];
        let files: [(&str, &[u8]); 4] =
            [("a/data.pkl", b"pickle"), ("a/data/0", &long), ("a/empty", b""), ("a/ä", b"x")];
        for zip64_from in [u64::from(u32::MAX), 500, 0] {
            let mut writer = ZipWriter { zip64_from, ..ZipWriter::new(Vec::new()) };
            for (name, data) in files {
                writer.store(name, data).unwrap();
            }
            let bytes = writer.finish().unwrap();
            let members = members(Path::new("t.zip"), &bytes).unwrap();
            assert_eq!(members.len(), files.len());
            for (member, (name, data)) in members.iter().zip(files) {
                assert_eq!((member.name.as_str(), &bytes[member.data.clone()]), (name, data));
                assert_eq!(member.data.start % 64, 0, "{name}");
            }
        }
    }
}
