//! Metadata values of a GGUF file, from bytes to [`Value`] and back.
//!
//! Source: `gguf_metadata_value_type` of ggml's `docs/gguf.md`.

use super::cursor::Cursor;
use super::metadata::Value;
use crate::base::fault::{Fault, FaultKind};

/// Most elements of an array. The largest vocabularies have fewer than a million entries.
const MAX_ARRAY: u64 = 1 << 28;

/// Type codes of the specification.
mod code {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// Reads one value: its type code, then itself.
pub(super) fn read(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, Box<Fault>> {
    let kind = cursor.u32(key)?;
    if kind == code::ARRAY { array(cursor, key) } else { scalar(cursor, key, kind) }
}

/// Bytes of a value of fixed size, or the least bytes of a string; `None` for arrays and unknown codes.
fn least_bytes(kind: u32) -> Option<usize> {
    Some(match kind {
        code::U8 | code::I8 | code::BOOL => 1,
        code::U16 | code::I16 => 2,
        code::U32 | code::I32 | code::F32 => 4,
        code::U64 | code::I64 | code::F64 | code::STRING => 8,
        _ => return None,
    })
}

fn unknown(cursor: &Cursor<'_>, key: &str, kind: u32) -> Box<Fault> {
    cursor.fault(FaultKind::Unsupported, key, "a value type of 0 to 12", kind.to_string())
}

fn scalar(cursor: &mut Cursor<'_>, key: &str, kind: u32) -> Result<Value, Box<Fault>> {
    if kind == code::STRING {
        return cursor.string(key).map(Value::String);
    }
    let bytes = cursor.take(least_bytes(kind).ok_or_else(|| unknown(cursor, key, kind))?, key)?;
    number(kind, bytes).ok_or_else(|| {
        let found = bytes[0].to_string();
        cursor.fault(FaultKind::InconsistentHeader, key, "a bool of 0 or 1", found)
    })
}

/// A number or bool from exactly its bytes; `None` for a bool other than 0 and 1.
fn number(kind: u32, bytes: &[u8]) -> Option<Value> {
    fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    Some(match kind {
        code::U8 => Value::Unsigned(u8::from_le_bytes(fixed(bytes)?).into()),
        code::I8 => Value::Signed(i8::from_le_bytes(fixed(bytes)?).into()),
        code::U16 => Value::Unsigned(u16::from_le_bytes(fixed(bytes)?).into()),
        code::I16 => Value::Signed(i16::from_le_bytes(fixed(bytes)?).into()),
        code::U32 => Value::Unsigned(u32::from_le_bytes(fixed(bytes)?).into()),
        code::I32 => Value::Signed(i32::from_le_bytes(fixed(bytes)?).into()),
        code::U64 => Value::Unsigned(u64::from_le_bytes(fixed(bytes)?)),
        code::I64 => Value::Signed(i64::from_le_bytes(fixed(bytes)?)),
        code::F32 => Value::Float(f32::from_le_bytes(fixed(bytes)?).into()),
        code::F64 => Value::Float(f64::from_le_bytes(fixed(bytes)?)),
        code::BOOL => match bytes {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        _ => return None,
    })
}

fn array(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, Box<Fault>> {
    let kind = cursor.u32(key)?;
    if kind == code::ARRAY {
        let expected = "an array of numbers, bools or strings";
        return Err(cursor.fault(FaultKind::LimitExceeded, key, expected, "an array of arrays"));
    }
    let least = least_bytes(kind).ok_or_else(|| unknown(cursor, key, kind))?;
    let count = cursor.count(key, least, MAX_ARRAY)?;
    if kind == code::STRING {
        let strings = (0..count).map(|_| cursor.string(key));
        return strings.collect::<Result<_, _>>().map(Value::Strings);
    }
    let bytes = cursor.take(count * least, key)?;
    let elements = bytes.chunks_exact(least).map(|element| number(kind, element));
    let array = match kind {
        code::F32 | code::F64 => elements.map(as_float).collect::<Option<_>>().map(Value::Floats),
        code::BOOL => elements.map(as_bool).collect::<Option<_>>().map(Value::Bools),
        _ => elements.map(as_integer).collect::<Option<_>>().map(Value::Integers),
    };
    array.ok_or_else(|| {
        let expected = "bools of 0 or 1, and integers that fit into 63 bits";
        cursor.fault(FaultKind::InconsistentHeader, key, expected, "an element outside this range")
    })
}

fn as_float(value: Option<Value>) -> Option<f32> {
    match value? {
        Value::Float(x) => Some(x as f32),
        _ => None,
    }
}

fn as_bool(value: Option<Value>) -> Option<bool> {
    match value? {
        Value::Bool(b) => Some(b),
        _ => None,
    }
}

fn as_integer(value: Option<Value>) -> Option<i64> {
    match value? {
        Value::Unsigned(n) => i64::try_from(n).ok(),
        Value::Signed(n) => Some(n),
        _ => None,
    }
}

/// Appends a string: its length in bytes, then itself.
pub(super) fn put_string(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a value after its type code. Numbers have 32 bits, integers 64 where they need them.
pub(super) fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Unsigned(n) => match u32::try_from(*n) {
            Ok(n) => put_scalar(code::U32, &n.to_le_bytes(), out),
            Err(_) => put_scalar(code::U64, &n.to_le_bytes(), out),
        },
        Value::Signed(n) => match i32::try_from(*n) {
            Ok(n) => put_scalar(code::I32, &n.to_le_bytes(), out),
            Err(_) => put_scalar(code::I64, &n.to_le_bytes(), out),
        },
        Value::Float(x) => put_scalar(code::F32, &(*x as f32).to_le_bytes(), out),
        Value::Bool(b) => put_scalar(code::BOOL, &[u8::from(*b)], out),
        Value::String(text) => {
            out.extend(code::STRING.to_le_bytes());
            put_string(text, out);
        }
        Value::Strings(texts) => {
            put_array(code::STRING, texts.len(), out);
            texts.iter().for_each(|text| put_string(text, out));
        }
        Value::Floats(numbers) => {
            put_array(code::F32, numbers.len(), out);
            out.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
        }
        Value::Integers(numbers) => {
            let narrow: Result<Vec<i32>, _> = numbers.iter().map(|&n| i32::try_from(n)).collect();
            match narrow {
                Ok(numbers) => {
                    put_array(code::I32, numbers.len(), out);
                    out.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
                }
                Err(_) => {
                    put_array(code::I64, numbers.len(), out);
                    out.extend(numbers.iter().flat_map(|n| n.to_le_bytes()));
                }
            }
        }
        Value::Bools(bools) => {
            put_array(code::BOOL, bools.len(), out);
            out.extend(bools.iter().map(|&b| u8::from(b)));
        }
    }
}

fn put_scalar(kind: u32, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

fn put_array(kind: u32, count: usize, out: &mut Vec<u8>) {
    out.extend(code::ARRAY.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((count as u64).to_le_bytes());
}
