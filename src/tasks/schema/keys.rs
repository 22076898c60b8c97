//! The keys of a file, written down once: name, type, default, and how the value is read.

use serde_json::{Map, Value};

use super::value::{FunctionRef, Slot};
use crate::tasks::error::TaskError;

/// What a key can hold.
pub(super) trait FromSlot: Sized {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError>;
}

macro_rules! from_slot {
    ($($type:ty: $read:expr;)*) => {$(
        impl FromSlot for $type {
            fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
                $read(slot)
            }
        }
    )*};
}

from_slot! {
    String: Slot::string;
    bool: Slot::bool;
    usize: Slot::usize;
    FunctionRef: Slot::a_function;
    Map<String, Value>: Slot::optional_map;
}

impl<T: FromSlot> FromSlot for Option<T> {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        if slot.value.is_null() { Ok(None) } else { T::from_slot(slot).map(Some) }
    }
}

impl<T: FromSlot> FromSlot for Vec<T> {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        slot.items()?.iter().map(T::from_slot).collect()
    }
}

/// A struct with a field for each key, its defaults, and `set`, which reads one key. `name: type = default => reader`;
/// without a default it is that of the type, and without a reader [`FromSlot`] reads. The keys under `known` may stand
/// in a file and are not kept, those under `suggested` are only offered where another one is not known; `also` are fields
/// without a key of their own.
macro_rules! keys {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty $(= $default:expr)? $(=> $read:expr)?,)*
        }
        known $known:tt;
        suggested [$($suggested:literal),*];
        also { $($(#[doc = $also_doc:literal])* $also:ident: $also_type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
            $($(#[doc = $also_doc])* pub $also: $also_type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: keys!(@default $($default)?),)* $($also: Default::default(),)* }
            }
        }

        impl $name {
            /// Reads one key.
            fn set(&mut self, key: &str, slot: &Slot<'_>) -> Result<(), TaskError> {
                const KNOWN: &[&str] = &$known;
                $(if key == stringify!($field) {
                    self.$field = keys!(@read slot $($read)?)?;
                    return Ok(());
                })*
                if KNOWN.contains(&key) {
                    return Ok(());
                }
                let all = [$(stringify!($field),)* $($suggested,)*];
                Err(slot.unknown(key, all.into_iter().chain(KNOWN.iter().copied())))
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@read $slot:ident) => { FromSlot::from_slot($slot) };
    (@read $slot:ident $read:expr) => { $read($slot) };
}

pub(super) use keys;
