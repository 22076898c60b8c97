//! A bounded reader of the protobuf wire format, enough for SentencePiece models.
//!
//! Source: the protocol buffers encoding specification. A message is a row of (key, value) pairs, the key a
//! varint of `number << 3 | wire type`. Nothing is copied or allocated; every length is checked against the
//! bytes that are there. Groups (wire types 3 and 4, abolished before SentencePiece existed) are refused, so
//! that nesting cannot exhaust the stack.

use crate::base::fault::FaultKind;

/// Length of a field beyond that of any vocabulary file.
const LONGEST: u64 = 1 << 32;

/// One value of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum WireValue<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little-endian.
    Fixed64(u64),
    /// Wire type 2: text, bytes or a nested message.
    Bytes(&'a [u8]),
    /// Wire type 5, little-endian.
    Fixed32(u32),
}

/// A value with its field number and the place of its first content byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WireField<'a> {
    pub number: u64,
    pub value: WireValue<'a>,
    /// Offset of the value (for [`WireValue::Bytes`]: of its content) from the start of the file.
    pub offset: usize,
}

/// Where and why the bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WireError {
    pub kind: FaultKind,
    pub offset: usize,
    pub expected: &'static str,
    pub found: String,
}

impl WireError {
    pub fn new(
        kind: FaultKind,
        offset: usize,
        expected: &'static str,
        found: impl Into<String>,
    ) -> WireError {
        WireError { kind, offset, expected, found: found.into() }
    }

    /// Bytes that no writer of messages makes.
    pub fn malformed(offset: usize, expected: &'static str, found: impl Into<String>) -> WireError {
        WireError::new(FaultKind::InconsistentHeader, offset, expected, found)
    }
}

/// Reads the fields of one message in order.
#[derive(Debug, Clone)]
pub(super) struct WireReader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> WireReader<'a> {
    /// A reader of `message`, which starts `offset` bytes into its file.
    pub fn new(message: &'a [u8], offset: usize) -> WireReader<'a> {
        WireReader { rest: message, offset }
    }

    /// The next field, or `None` at the end of the message.
    pub fn next_field(&mut self) -> Result<Option<WireField<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key_offset = self.offset;
        let key = self.varint()?;
        let number = key >> 3;
        let mut offset = self.offset;
        let value = match key & 7 {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.array("8 bytes of a 64-bit value")?)),
            2 => {
                let length = self.varint()?;
                offset = self.offset;
                WireValue::Bytes(self.take(length, "a length within the enclosing message")?)
            }
            5 => WireValue::Fixed32(u32::from_le_bytes(self.array("4 bytes of a 32-bit value")?)),
            group @ (3 | 4) => {
                let expected = "a field of wire type 0, 1, 2 or 5 (groups are not supported)";
                let found = format!("a group mark, wire type {group}");
                return Err(WireError::new(FaultKind::Unsupported, key_offset, expected, found));
            }
            other => {
                let expected = "a field of wire type 0, 1, 2 or 5";
                return Err(WireError::malformed(key_offset, expected, format!("wire type {other}")));
            }
        };
        if number == 0 {
            return Err(WireError::malformed(key_offset, "a field number from 1", "field number 0"));
        }
        Ok(Some(WireField { number, value, offset }))
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let start = self.offset;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some((&byte, rest)) = self.rest.split_first() else {
                let expected = "another byte of a varint";
                let found = "the end of the message";
                return Err(WireError::new(FaultKind::Truncated, self.offset, expected, found));
            };
            self.rest = rest;
            self.offset += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(WireError::malformed(start, "a varint of at most 64 bits", "a larger number"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::malformed(start, "a varint of at most 10 bytes", "an 11th byte"))
    }

    fn take(&mut self, length: u64, expected: &'static str) -> Result<&'a [u8], WireError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((content, rest)) = split else {
            // What no file holds was not cut off.
            let kind = if length <= LONGEST { FaultKind::Truncated } else { FaultKind::LimitExceeded };
            let found = format!("length {length} with {} bytes left", self.rest.len());
            return Err(WireError::new(kind, self.offset, expected, found));
        };
        self.rest = rest;
        self.offset += content.len();
        Ok(content)
    }

    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], WireError> {
        let Some((content, rest)) = self.rest.split_first_chunk::<N>() else {
            let found = format!("{} bytes", self.rest.len());
            return Err(WireError::new(FaultKind::Truncated, self.offset, expected, found));
        };
        self.rest = rest;
        self.offset += N;
        Ok(*content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<WireField<'_>>, WireError> {
        let mut reader = WireReader::new(bytes, 0);
        let mut fields = Vec::new();
        while let Some(field) = reader.next_field()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn reads_each_wire_type_with_its_offset() {
        let bytes = [
            0x08, 0x96, 0x01, // 1: 150
            0x12, 0x02, b'h', b'i', // 2: "hi"
            0x1d, 0, 0, 0x80, 0x3f, // 3: 1.0f32
            0x21, 1, 0, 0, 0, 0, 0, 0, 0, // 4: 1u64
        ];
        let fields = all(&bytes).unwrap();
        assert_eq!(fields[0], WireField { number: 1, value: WireValue::Varint(150), offset: 1 });
        assert_eq!(fields[1], WireField { number: 2, value: WireValue::Bytes(b"hi"), offset: 5 });
        assert_eq!(fields[2].value, WireValue::Fixed32(1.0f32.to_bits()));
        assert_eq!(fields[3].value, WireValue::Fixed64(1));
    }

    #[test]
    fn refuses_cut_long_and_grouped_input() {
        assert_eq!(all(&[0x08]).unwrap_err().expected, "another byte of a varint");
        assert_eq!(all(&[0x08, 0x80]).unwrap_err().offset, 2);
        assert_eq!(all(&[0x08, 0x80]).unwrap_err().kind, FaultKind::Truncated);
        assert_eq!(all(&[0x12, 0x05, b'h']).unwrap_err().found, "length 5 with 1 bytes left");
        let huge = [&[0x0a][..], &[0xff; 9], &[0x01]].concat();
        let huge = all(&huge).unwrap_err();
        assert!(huge.found.starts_with("length 18446744073709551615"));
        assert_eq!(huge.kind, FaultKind::LimitExceeded);
        let eleven = [&[0x08][..], &[0x80; 10], &[0x01]].concat();
        assert_eq!(all(&eleven).unwrap_err().expected, "a varint of at most 10 bytes");
        let wide = [&[0x08][..], &[0xff; 9], &[0x7f]].concat();
        assert_eq!(all(&wide).unwrap_err().expected, "a varint of at most 64 bits");
        assert!(all(&[0x0b; 5000]).unwrap_err().found.contains("group"));
        assert_eq!(all(&[0x0b; 5000]).unwrap_err().kind, FaultKind::Unsupported);
        assert!(all(&[0x0e, 0]).unwrap_err().found.contains("wire type 6"));
        assert!(all(&[0x00, 0]).unwrap_err().found.contains("field number 0"));
        assert!(all(&[0x0d, 1, 2]).unwrap_err().found.contains("2 bytes"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_reads_past_the_end(bytes: Vec<u8>) {
            if let Ok(fields) = all(&bytes) {
                for field in fields {
                    proptest::prop_assert!(field.offset <= bytes.len());
                }
            }
        }
    }
}
