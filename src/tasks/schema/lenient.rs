//! YAML as PyYAML reads it where a key is written twice: the last one counts.
//!
//! The strict reader refuses such files, rightly so for files of one's own; several files of the reference
//! harness have them, and mean what Python makes of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde_yaml::value::{Tag, TaggedValue};
use serde_yaml::{Mapping, Value};

use crate::base::yaml;

/// Reads a text, letting the last of several equal keys win.
///
/// # Errors
/// Everything else that is wrong with the text.
pub fn from_str(text: &str) -> Result<Value, serde_yaml::Error> {
    yaml::from_str::<Lenient>(text).map(|lenient| lenient.0)
}

struct Lenient(Value);

impl<'de> Deserialize<'de> for Lenient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LastWins).map(Lenient)
    }
}

struct LastWins;

impl<'de> Visitor<'de> for LastWins {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut sequence = Vec::new();
        while let Some(Lenient(item)) = items.next_element()? {
            sequence.push(item);
        }
        Ok(Value::Sequence(sequence))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut mapping = Mapping::new();
        while let Some((Lenient(key), Lenient(value))) = pairs.next_entry()? {
            mapping.insert(key, value);
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (tag, content) = tagged.variant::<String>()?;
        let Lenient(value) = content.newtype_variant()?;
        Ok(Value::Tagged(Box::new(TaggedValue { tag: Tag::new(tag), value })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_wins_and_all_else_is_as_ever() {
        let text = "a: 1\nb: [x, 2.5, null, true, -3]\nc: !function u.f\na: {k: 1, k: 2}\n";
        assert!(serde_yaml::from_str::<Value>(text).is_err());
        let wanted = "a: {k: 2}\nb: [x, 2.5, null, true, -3]\nc: !function u.f\n";
        assert_eq!(from_str(text).unwrap(), serde_yaml::from_str::<Value>(wanted).unwrap());
        assert!(from_str("a: [").is_err());
    }
}
