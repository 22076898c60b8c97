//! The content of one member, inflated where it is compressed, and compared with its length and checksum.

use std::io::{self, Read};
use std::path::Path;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::read::{DEFLATED, Member, STORED, method_name};
use crate::base::fault::{Fault, FaultKind, quoted};

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
    let mut size = 0;
    let mut crc = Crc::new();
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
        let expected = format!("CRC-32 {:08x}", member.crc);
        let found = format!("{:08x}", crc.sum());
        return Err(fault(FaultKind::DigestMismatch, expected, found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::members;
    use super::super::read::{DIRECTORY_ENTRY, END, END_BYTES, LOCAL_BYTES, LOCAL_HEADER};
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
