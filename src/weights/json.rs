//! Guards around JSON that comes from a file: size, nesting, and repeated keys.
//!
//! `serde_json` parses; what it does not refuse by itself is refused here, as the same kinds of faults as
//! everything else in this room.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::base::fault::{Fault, FaultKind, shortened};
use crate::base::recognise::{stand_in_for_text, without_mark};

/// Deepest nesting of any header or index (real ones need 3).
const MAX_DEPTH: usize = 16;

/// Parses `bytes` of `file`, after its nesting was checked. `what` names the text in messages.
pub(super) fn parse<T: DeserializeOwned>(file: &Path, what: &str, bytes: &[u8]) -> Result<T, Box<Fault>> {
    // A copy, since mapped bytes are not ours alone and must not change between check and use.
    let bytes = &without_mark(bytes).to_vec();
    if let Some(stand_in) = stand_in_for_text(bytes) {
        return Err(stand_in.fault(file, &format!("the JSON of a {what}")));
    }
    let depth = nesting(bytes);
    if depth > MAX_DEPTH {
        let kind = FaultKind::LimitExceeded;
        let expected = format!("JSON nested at most {MAX_DEPTH} deep");
        let found = format!("{depth} levels");
        return Err(Fault::new(file, kind, expected, found).at(what));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("{what}, line {} column {}", error.line(), error.column());
        let expected = format!("the JSON of a {what}");
        Fault::new(file, FaultKind::InconsistentHeader, expected, shortened(error.to_string(), 200)).at(place)
    })
}

/// How deep brackets nest outside of strings.
fn nesting(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A JSON object as its entries in the order of the file, repeated keys included.
#[derive(Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<T> Entries<T> {
    /// The entries sorted by key; a key that occurs twice comes back as the error.
    pub(super) fn unique(mut self) -> Result<Vec<(String, T)>, String> {
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        match self.0.array_windows().find(|[a, b]| a.0 == b.0) {
            Some([(key, _), _]) => Err(key.clone()),
            None => Ok(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting(br#"{"a\"[[[": [1, [2]], "b": "]]{{"}"#), 3);
        assert_eq!(nesting(b"]]]]"), 0);
    }

    #[test]
    fn deep_nesting_is_a_limit_and_bad_text_an_inconsistency() {
        let file = Path::new("x");
        let deep = "[".repeat(100_000);
        let fault = parse::<Entries<u8>>(file, "header", deep.as_bytes()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::LimitExceeded);
        let fault = parse::<Entries<u8>>(file, "header", b"{\"a\": 1,\n \"b\": x}").unwrap_err();
        assert_eq!(fault.kind, FaultKind::InconsistentHeader);
        assert!(fault.place.unwrap().contains("line 2"));
    }

    #[test]
    fn repeated_keys_are_seen() {
        let entries: Entries<u8> = parse(Path::new("x"), "header", br#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
        assert_eq!(entries.unique().unwrap_err(), "b");
    }
}
