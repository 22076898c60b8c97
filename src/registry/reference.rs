//! What a card says where it refers to a record: the record's name, or the record itself.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{ArchitectureRecord, recipe::Recipe};

/// A record by its name, or inside of the card.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reference<T> {
    /// The name of a shared record.
    Named(String),
    /// The record itself.
    Inline(Box<T>),
}

/// What errors call a record.
pub(super) trait Record {
    /// `an architecture record`.
    const KIND: &'static str;
}

impl Record for ArchitectureRecord {
    const KIND: &'static str = "an architecture record";
}

impl Record for Recipe {
    const KIND: &'static str = "a recipe";
}

impl<'de, T: Record + Deserialize<'de>> Deserialize<'de> for Reference<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrRecord<T>(PhantomData<T>);
        impl<'de, T: Record + Deserialize<'de>> Visitor<'de> for NameOrRecord<T> {
            type Value = Reference<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the name of {}, or a map with its fields", T::KIND)
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Reference::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
                    .map(|record| Reference::Inline(Box::new(record)))
            }
        }
        deserializer.deserialize_any(NameOrRecord(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_or_a_record() {
        type Network = Reference<ArchitectureRecord>;
        let named: Network = serde_yaml::from_str("llama-7b").unwrap();
        assert_eq!(named, Reference::Named("llama-7b".to_owned()));
        let error = serde_yaml::from_str::<Network>("{hidden_size: 8}").unwrap_err();
        assert!(error.to_string().contains("missing field `intermediate_size`"), "{error}");
        let error = serde_yaml::from_str::<Network>("7").unwrap_err();
        assert!(error.to_string().contains("expected the name of an architecture record"), "{error}");
        let error = serde_yaml::from_str::<Reference<Recipe>>("[sft]").unwrap_err();
        assert!(error.to_string().contains("expected the name of a recipe"), "{error}");
    }
}
