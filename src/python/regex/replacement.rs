//! The replacement of `re.sub`: text with `\1`, `\g<1>`, `\g<name>` and escapes.

use std::collections::HashMap;

use crate::python::text::escaped;

/// A piece of a replacement.
pub(super) enum Piece {
    Text(char),
    Group(usize),
}

/// Reads a replacement for a pattern with so many groups, the whole included, some of which have names.
///
/// # Errors
/// What Python refuses, in words.
pub(super) fn parse(
    replacement: &str,
    groups: usize,
    names: &HashMap<String, usize>,
) -> Result<Vec<Piece>, String> {
    let group = |name: &str| {
        let by_number = name.parse::<usize>().ok().filter(|number| *number < groups);
        let found = by_number.or_else(|| names.get(name).copied());
        found.ok_or_else(|| format!("the pattern has no group {name}"))
    };
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            pieces.push(Piece::Text(c));
            continue;
        }
        let c = rest.chars().next().ok_or("the replacement ends in a single \\")?;
        let digits =
            |most: usize, radix: u32| rest.chars().take(most).take_while(|c| c.is_digit(radix)).count();
        let (piece, used) = match c {
            'g' => {
                let name = rest.strip_prefix("g<").and_then(|t| t.split_once('>')).map(|(name, _)| name);
                let name = name.ok_or("expected \\g<name> in the replacement")?;
                (Piece::Group(group(name)?), name.len() + 3)
            }
            // Octal digits: after a 0, or three of them.
            '0' | '1'..='7' if c == '0' || digits(3, 8) == 3 => {
                let used = digits(3, 8);
                let code = u8::from_str_radix(&rest[..used], 8);
                (Piece::Text(code.map_err(|_| format!("\\{} is above \\377", &rest[..used]))?.into()), used)
            }
            '1'..='9' => {
                let used = digits(2, 10);
                (Piece::Group(group(&rest[..used])?), used)
            }
            c => match escaped(c) {
                Some(c) => (Piece::Text(c), 1),
                None if c.is_ascii_alphabetic() => {
                    return Err(format!("\\{c} is not known in a replacement"));
                }
                // The backslash stays, and what follows it is read next.
                None => (Piece::Text('\\'), 0),
            },
        };
        pieces.push(piece);
        rest = &rest[used..];
    }
    Ok(pieces)
}
