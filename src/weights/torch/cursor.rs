//! The bytes of a pickle, read forwards: numbers, lines and strings, each checked before it is copied.

use std::path::Path;

use crate::base::fault::{Fault, FaultKind, quoted};

/// Largest pickle. A thousand tensors take a hundred kilobytes.
const MAX_PICKLE: usize = 64 << 20;
/// Longest string: names, and the settings that trainers store beside tensors.
const MAX_STRING: u64 = 1 << 20;
/// Longest line of the text opcodes.
const MAX_LINE: usize = 4096;

pub(super) struct Cursor<'a> {
    file: &'a Path,
    what: &'a str,
    bytes: &'a [u8],
    position: usize,
    /// Where the last instruction began.
    instruction: usize,
    start: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes`, which are those of the whole file or member, from `start`.
    pub(super) fn new(file: &'a Path, what: &'a str, bytes: &'a [u8], start: usize) -> Self {
        Cursor { file, what, bytes, position: start, instruction: start, start }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// A fault at the last instruction.
    pub(super) fn fault(
        &self,
        kind: FaultKind,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Fault> {
        Fault::new(self.file, kind, expected, found).at(format!("{}, byte {}", self.what, self.instruction))
    }

    pub(super) fn opcode(&mut self) -> Result<u8, Box<Fault>> {
        self.instruction = self.position;
        if self.position - self.start > MAX_PICKLE {
            let expected = format!("a description of tensors of at most {MAX_PICKLE} bytes");
            return Err(self.fault(FaultKind::LimitExceeded, expected, "a longer one"));
        }
        match self.bytes.get(self.position) {
            Some(&opcode) => {
                self.position += 1;
                Ok(opcode)
            }
            None => Err(self.fault(FaultKind::Truncated, "an instruction, and STOP at the end", "the end")),
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Box<Fault>> {
        let Some(&array) = self.rest().first_chunk::<N>() else {
            let found = format!("{} left", self.rest().len());
            return Err(self.fault(FaultKind::Truncated, format!("{N} bytes"), found));
        };
        self.position += N;
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Box<Fault>> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Box<Fault>> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Box<Fault>> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Box<Fault>> {
        self.array().map(i32::from_le_bytes)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Box<Fault>> {
        if length > MAX_STRING {
            let expected = format!("a string of at most {MAX_STRING} bytes");
            return Err(self.fault(FaultKind::LimitExceeded, expected, format!("{length} announced")));
        }
        let Some(taken) = self.rest().get(..length as usize) else {
            let found = format!("{} left", self.rest().len());
            return Err(self.fault(FaultKind::Truncated, format!("a string of {length} bytes"), found));
        };
        self.position += taken.len();
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), Box<Fault>> {
        self.take(length).map(drop)
    }

    /// FRAME announces bytes that follow; only the announcement is checked.
    pub(super) fn frame(&mut self) -> Result<(), Box<Fault>> {
        let length = u64::from_le_bytes(self.array()?);
        if length > MAX_PICKLE as u64 {
            let expected = format!("a frame of at most {MAX_PICKLE} bytes");
            return Err(self.fault(FaultKind::LimitExceeded, expected, length.to_string()));
        }
        if length > self.rest().len() as u64 {
            let found = format!("{} left", self.rest().len());
            return Err(self.fault(FaultKind::Truncated, format!("a frame of {length} bytes"), found));
        }
        Ok(())
    }

    /// LONG1 and LONG4: an integer of up to 16 bytes.
    pub(super) fn long(&mut self, four: bool) -> Result<i128, Box<Fault>> {
        let length = if four { i64::from(self.i32()?) } else { i64::from(self.u8()?) };
        let Ok(length) = u64::try_from(length) else {
            let expected = "the length of an integer";
            return Err(self.fault(FaultKind::InconsistentHeader, expected, length.to_string()));
        };
        if length > 16 {
            let expected = "an integer of at most 16 bytes";
            return Err(self.fault(FaultKind::LimitExceeded, expected, format!("{length} bytes")));
        }
        let taken = self.take(length)?;
        let negative = taken.last().is_some_and(|last| last & 0x80 != 0);
        let mut bytes = if negative { [0xff; 16] } else { [0; 16] };
        for (to, from) in bytes.iter_mut().zip(taken) {
            *to = *from;
        }
        Ok(i128::from_le_bytes(bytes))
    }

    /// The text up to the next line feed.
    pub(super) fn line(&mut self) -> Result<String, Box<Fault>> {
        let rest = self.rest();
        let window = rest.get(..MAX_LINE).unwrap_or(rest);
        let Some(length) = window.iter().position(|&byte| byte == b'\n') else {
            return Err(if window.len() < rest.len() {
                let expected = format!("a line of at most {MAX_LINE} bytes");
                self.fault(FaultKind::LimitExceeded, expected, "a longer one")
            } else {
                self.fault(FaultKind::Truncated, "a line and its end", format!("{} bytes", rest.len()))
            });
        };
        self.position += length + 1;
        String::from_utf8(window[..length].to_vec())
            .map_err(|_| self.fault(FaultKind::InconsistentHeader, "text in UTF-8", "other bytes"))
    }

    /// A decimal number in a line, and the truth value that `00` and `01` stand for.
    pub(super) fn decimal(&mut self) -> Result<(i128, Option<bool>), Box<Fault>> {
        let line = self.line()?;
        let text = line.trim_end_matches('\r').trim_end_matches('L');
        let flag = match text {
            "00" => Some(false),
            "01" => Some(true),
            _ => None,
        };
        match text.parse() {
            Ok(number) => Ok((number, flag)),
            Err(_) => Err(self.fault(FaultKind::InconsistentHeader, "a decimal number", quoted(&line))),
        }
    }

    /// The text of one of the string opcodes.
    pub(super) fn text(&mut self, opcode: u8) -> Result<Box<str>, Box<Fault>> {
        let bytes = match opcode {
            b'S' | b'V' => return self.written_text(opcode == b'S').map(String::into_boxed_str),
            b'U' | 0x8c => {
                let length = self.u8()?;
                self.take(u64::from(length))?
            }
            b'T' => {
                let length = self.i32()?;
                let Ok(length) = u64::try_from(length) else {
                    let expected = "the length of a string";
                    return Err(self.fault(FaultKind::InconsistentHeader, expected, length.to_string()));
                };
                self.take(length)?
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.take(length)?
            }
            _ => {
                let length = self.u32()?;
                self.take(u64::from(length))?
            }
        };
        // Copied first: mapped bytes are not ours alone and must not change between check and use.
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Ok(text.into_boxed_str()),
            Err(_) => Err(self.fault(FaultKind::InconsistentHeader, "a string in UTF-8", "other bytes")),
        }
    }

    /// STRING and UNICODE of protocol 0: a line, with or without quotes. PyTorch writes neither, so escapes in
    /// them are not interpreted.
    fn written_text(&mut self, is_quoted: bool) -> Result<String, Box<Fault>> {
        let line = self.line()?;
        if line.contains('\\') {
            return Err(self.fault(FaultKind::Unsupported, "a string without escapes", quoted(&line)));
        }
        if !is_quoted {
            return Ok(line);
        }
        let inner = ['\'', '"'].iter().find_map(|&mark| line.strip_prefix(mark)?.strip_suffix(mark));
        match inner {
            Some(inner) => Ok(inner.to_owned()),
            None => Err(self.fault(FaultKind::InconsistentHeader, "a string in quotes", quoted(&line))),
        }
    }

    /// Passes over the bytes of BINBYTES and its kin, which no tensor needs.
    pub(super) fn skip_bytes(&mut self, opcode: u8) -> Result<(), Box<Fault>> {
        let length = match opcode {
            b'C' => u64::from(self.u8()?),
            b'B' => u64::from(self.u32()?),
            _ => u64::from_le_bytes(self.array()?),
        };
        self.skip(length)
    }
}
