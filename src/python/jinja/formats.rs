//! Texts with fields that values are filled in: `'{0[key]:>8}'.format(…)` and `'%(key)8s'|format(…)`.
//!
//! What they make is measured, and what the template library cannot read is refused, before it reads them.

use minijinja::Error;

use super::invalid;

/// How many fields `str.format` fills in a text, and all widths and precisions of theirs together.
pub fn fields(text: &str) -> (usize, usize) {
    let mut widths = 0_usize;
    let specs = text.split('{').skip(1).map(|field| field.split('}').next().unwrap_or(field));
    let count = specs
        .map(|spec| {
            let numbers = spec.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
            for number in numbers {
                widths = widths.saturating_add(number.parse().unwrap_or(usize::MAX));
            }
        })
        .count();
    (count, widths)
}

/// Fields are filled in by code that goes over keys byte by byte, and panics within a character.
///
/// # Errors
/// A key, as in `{0[key]}` and `%(key)s`, with a character of several bytes: `field` begins a field, `key` are what stands around a key.
pub fn ensure_keys(text: &str, field: u8, key: [u8; 2]) -> Result<(), Error> {
    let mut bytes = text.bytes();
    while bytes.any(|byte| byte == field) {
        while let Some(byte) = bytes.next() {
            if byte == key[0] {
                if !bytes.by_ref().take_while(|byte| *byte != key[1]).all(|byte| byte.is_ascii()) {
                    let start: String = text.chars().take(80).collect();
                    return Err(invalid(format!(
                        "format: expected keys of ASCII letters, found others in {start:?}"
                    )));
                }
            } else if field == b'%' || !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')) {
                // Names and numbers may stand before a key in braces; behind them is the format, or a doubled brace.
                break;
            }
        }
    }
    Ok(())
}
