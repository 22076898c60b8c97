//! Stand-ins for files: a pointer, a web page, an error's text, a link to nowhere, what macOS leaves behind.
//!
//! The accidents of fetching files look alike in every format, so they are named here, before a reader calls the file
//! damaged. Bytes decide, never the name, except for what macOS leaves beside each file on foreign disks.

use std::fs;
use std::path::{Path, PathBuf};

use super::digest::hex;
use super::fault::{Fault, FaultKind, Refusal, quoted};

/// Bytes from which a stand-in is told.
const HEAD: usize = 512;
/// Bytes of a text that is more than the beginning of a file of numbers.
const MARK: usize = 8;
/// Bytes of a text that are shown.
const SHOWN: usize = 80;
/// The mark that some editors of Windows put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// How texts in UTF-16 begin, of either order of bytes.
const UTF_16_MARKS: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];
/// How AppleDouble files begin, in which macOS keeps what foreign disks have no place for.
const APPLE_DOUBLE: &[u8] = &[0x00, 0x05, 0x16, 0x07];
/// Where a tar archive has its mark, and the mark.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// A file that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// The class of the fault.
    pub kind: FaultKind,
    /// What is there.
    pub found: String,
    /// What to do.
    pub advice: &'static str,
}

impl StandIn {
    fn new(kind: FaultKind, found: impl Into<String>, advice: &'static str) -> Option<Self> {
        Some(Self { kind, found: found.into(), advice })
    }

    /// The fault of `file`, which should be `expected`.
    pub fn fault(self, file: &Path, expected: &str) -> Box<Fault> {
        Fault::new(file, self.kind, expected, self.found).advice(self.advice)
    }
}

/// What a file that begins with `bytes` is, if it is no file of a model at all, of whatever format.
pub fn stand_in(bytes: &[u8]) -> Option<StandIn> {
    use FaultKind::{MissingData, Truncated, Unsupported};
    let start = without_mark(bytes.get(..HEAD).unwrap_or(bytes));
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if bytes.is_empty() {
        return StandIn::new(Truncated, "an empty file", "fetch the file again");
    }
    if text.starts_with(b"version https://git-lfs") {
        let advice = "the repository was cloned without its large files: run `git lfs pull` in it, or download the \
                      file itself";
        return StandIn::new(MissingData, "a Git LFS pointer, which only names it", advice);
    }
    if ["<!doctype html", "<html", "<head", "<body"].iter().any(|mark| text.starts_with(mark.as_bytes())) {
        let advice = "a page was saved in place of the file, perhaps a login or an error: download it again";
        return StandIn::new(Unsupported, "a web page (HTML)", advice);
    }
    if text.starts_with(b"<?xml") {
        let advice = "a server's answer was saved in place of the file, perhaps an error: download it again";
        return StandIn::new(Unsupported, "a text in XML", advice);
    }
    if bytes.starts_with(APPLE_DOUBLE) {
        let advice = "macOS wrote it beside the file of the same name without `._`: name that one";
        return StandIn::new(Unsupported, "what macOS keeps beside a file (AppleDouble)", advice);
    }
    None
}

/// The same for a file of numbers: no such file is a text, and those of other formats are known by their first bytes.
pub fn stand_in_for_weights(bytes: &[u8]) -> Option<StandIn> {
    let known = stand_in(bytes);
    let start = bytes.get(..HEAD).unwrap_or(bytes);
    let is_text = |bytes: &[u8]| {
        let plain = |c: char| !c.is_control() || c.is_ascii_whitespace();
        match std::str::from_utf8(bytes) {
            Ok(text) => text.chars().all(plain),
            // The head may end in the middle of a letter.
            Err(cut) if cut.error_len().is_none() => {
                String::from_utf8_lossy(&bytes[..cut.valid_up_to()]).chars().all(plain)
            }
            Err(_) => false,
        }
    };
    if known.is_some() || start.len() < MARK || !is_text(start) {
        return known;
    }
    let shown: String = String::from_utf8_lossy(start).trim().chars().take(SHOWN).collect();
    let advice = "an answer of the server was saved in place of the file, perhaps that it is not there or that a login \
                  is needed: download it again";
    StandIn::new(FaultKind::Unsupported, format!("a text, {}", quoted(&shown)), advice)
}

/// The same for a text of any kind, which is in UTF-8 everywhere.
pub fn stand_in_for_text(bytes: &[u8]) -> Option<StandIn> {
    let is_utf_16 = UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark));
    let advice = "save it in UTF-8 (in PowerShell with -Encoding utf8)";
    let utf_16 = || StandIn::new(FaultKind::Unsupported, "a text in UTF-16", advice).filter(|_| is_utf_16);
    stand_in(bytes).or_else(utf_16)
}

/// The fault for a file that has none of the marks of `expected`, the format that was asked for.
pub fn other_format(file: &Path, expected: &str, bytes: &[u8]) -> Box<Fault> {
    let fault =
        |found: &str, advice: &str| Fault::new(file, FaultKind::Unsupported, expected, found).advice(advice);
    if let Some(stand_in) = stand_in_for_weights(bytes) {
        return stand_in.fault(file, expected);
    }
    if bytes.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
        let advice = "if PyTorch 0.1 wrote it in 2016, load it in PyTorch 0.4 to 2.5 and save it again; else unpack it";
        return fault("a tar archive", advice);
    }
    if bytes.starts_with(b"GGUF") {
        return fault("a GGUF file", "rename it to end in .gguf");
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return fault("a file that gzip has compressed", "unpack it with gunzip");
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80, 0x02]) {
        return fault("a file of PyTorch's (torch.save)", "rename it to end in .bin");
    }
    if bytes.get(8..10) == Some(b"{\"") {
        return fault("a safetensors file", "rename it to end in .safetensors");
    }
    let found = format!("a file that begins with bytes {}", hex(&bytes[..bytes.len().min(4)]));
    fault(&found, "fetch the file again and compare its digest")
}

/// What is wrong with the text of a small file that could not be read as `expected`: a stand-in by its name, else what the
/// reader says.
pub fn unreadable_text(
    place: &str,
    expected: &str,
    bytes: &[u8],
    error: impl Into<String>,
    advice: &str,
) -> Box<Refusal> {
    match stand_in_for_text(bytes) {
        Some(StandIn { found, advice, .. }) => Refusal::new(place, expected, found, advice),
        None => Refusal::new(place, expected, error, advice),
    }
}

/// Bytes of a text without the byte order mark before them. Python's `json` refuses a text that begins with one; it says
/// nothing but "UTF-8", so it is passed over here.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Where a link leads that leads nowhere; `None` for everything else.
pub fn dangling(path: &Path) -> Option<PathBuf> {
    let target = fs::read_link(path).ok()?;
    fs::metadata(path).is_err().then_some(target)
}

/// The fault for a path that is a link to nothing.
pub fn dangling_fault(path: &Path) -> Option<Box<Fault>> {
    let target = dangling(path)?;
    let found = format!("a link to {}, where there is nothing", target.display());
    let advice = "the file that it led to was moved or never fetched: fetch the model again";
    Some(Fault::new(path, FaultKind::MissingData, "a file, or a link to one", found).advice(advice))
}

/// Whether macOS wrote a file of this name beside the one that it is named after (`._model.gguf`).
pub fn is_apple_double(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_in_place_of_a_file_is_named() {
        use FaultKind::{MissingData, Truncated, Unsupported};
        for (bytes, kind, words) in [
            (&b""[..], Truncated, "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", MissingData, "Git LFS"),
            (b"\n <!DOCTYPE html><html>", Unsupported, "HTML"),
            (b"\xef\xbb\xbf<html lang=en>", Unsupported, "HTML"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", Unsupported, "XML"),
            (&[0x00, 0x05, 0x16, 0x07, 0x00, 0x02], Unsupported, "AppleDouble"),
        ] {
            let found = stand_in(bytes).unwrap();
            assert!(found.kind == kind && found.found.contains(words), "{found:?}");
            assert_eq!(stand_in_for_weights(bytes), Some(found));
        }
        for text in ["Entry not found", "{\"error\": \"Access to model x is restricted\"}"] {
            assert_eq!(stand_in(text.as_bytes()), None);
            let found = stand_in_for_weights(text.as_bytes()).unwrap().found;
            assert!(found.starts_with("a text, "), "{found}");
        }
        // Letters of three bytes, the last of which the head cuts.
        let page = "无权访问该文件，请先登录".repeat(20);
        assert!(stand_in_for_weights(page.as_bytes()).unwrap().found.starts_with("a text, \"无权访问"));
        assert_eq!(stand_in_for_weights(b"\x08\0\0\0\0\0\0\0{}"), None);
        assert_eq!(stand_in_for_weights(b"GGUF\x03\0\0\0"), None);
        assert_eq!(stand_in_for_weights(b"GGUF"), None, "a file that was cut");
        let utf_16 = stand_in_for_text(&[0xff, 0xfe, b'{', 0, b'}', 0]).unwrap();
        assert!(utf_16.found.contains("UTF-16") && stand_in_for_text(b"\xef\xbb\xbf{}").is_none());
        let fault = |bytes: &[u8]| other_format(Path::new("x.bin"), "a file of torch.save", bytes).found;
        assert!(fault(b"GGUF\x03\0\0\0").contains("GGUF") && fault(&[0x1f, 0x8b, 8]).contains("gzip"));
        assert!(fault(b"\x40\0\0\0\0\0\0\0{\"a\"").contains("safetensors"));
        assert!(fault(&[1, 2, 3, 4, 5]).contains("01020304"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_nowhere_says_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("model.safetensors");
        std::os::unix::fs::symlink("../blobs/abc", &link).unwrap();
        let text = dangling_fault(&link).unwrap().to_string();
        assert!(text.contains("model.safetensors") && text.contains("../blobs/abc"), "{text}");
        fs::write(folder.path().join("file"), "x").unwrap();
        assert_eq!(dangling(&folder.path().join("file")), None);
        assert_eq!(dangling(&folder.path().join("absent")), None);
    }

    #[test]
    fn marks_and_names_that_are_no_content() {
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_mark(b"{}"), b"{}");
        assert!(is_apple_double(Path::new("a/._m.gguf")) && !is_apple_double(Path::new("._a/m.gguf")));
    }
}
