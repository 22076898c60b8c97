//! The container of PyTorch before 1.6: pickles one after the other, then the bare storages.
//!
//! In order: a magic number, the protocol's version, facts about the writing machine, the state dict, the list of
//! storage names, and for each name its number of elements (64 bits) and its elements.
//! Source: `_legacy_load` in `torch/serialization.py`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::Parsed;
use super::layout::storage_bytes;
use super::pickle::{Unpickled, unpickle};
use super::value::{Object, Objects, Value};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::Dtype;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// Whether a file of these first bytes may have this form: a pickle of protocol 2 or later.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80)
}

/// Reads the pickles and finds the storages.
pub(super) fn read(file: &Path, bytes: &[u8]) -> Result<Parsed, Box<Fault>> {
    let mut position = 0;
    let mut next = |what: &str| -> Result<Unpickled, Box<Fault>> {
        let unpickled = unpickle(file, what, bytes, position)?;
        position += unpickled.length;
        Ok(unpickled)
    };
    let magic = next("magic number")?;
    if magic.objects.integer(magic.root) != Some(MAGIC) {
        return Err(unsupported(
            file,
            "PyTorch's magic number at the start of a pickle",
            magic.objects.describe(magic.root),
        )
        .advice("only files of torch.save are read: save the model's state_dict() with it"));
    }
    let version = next("protocol version")?;
    if version.objects.integer(version.root) != Some(PROTOCOL) {
        return Err(unsupported(file, "version 1001 of the format", "another one"));
    }
    let machine = next("machine facts")?;
    if is_big_endian(&machine) {
        return Err(unsupported(file, "numbers in little-endian order", "big-endian order"));
    }
    let state = next("state dict")?;
    let keys = next("list of storages")?;
    let used = used_storages(&state.objects);
    let storages = place_storages(file, bytes, position, &keys, &used)?;
    Ok(Parsed { objects: state.objects, root: state.root, storages })
}

fn unsupported(file: &Path, expected: &str, found: &str) -> Box<Fault> {
    Fault::new(file, FaultKind::Unsupported, expected, found)
}

fn is_big_endian(machine: &Unpickled) -> bool {
    let Some(Object::Dict(facts)) = machine.objects.get(machine.root) else { return false };
    facts.iter().any(|(key, value)| {
        machine.objects.text(*key) == Some("little_endian") && *value == Value::Bool(false)
    })
}

/// Type and number of elements of the storages that the state dict names.
fn used_storages(objects: &Objects) -> BTreeMap<&str, (Option<Dtype>, u64)> {
    let storage = |object: &Object| match object {
        Object::Storage(storage) => Some(**storage),
        _ => None,
    };
    let named = objects.0.iter().filter_map(storage);
    named
        .filter_map(|storage| Some((objects.text(storage.key)?, (storage.dtype, storage.elements))))
        .collect()
}

fn place_storages(
    file: &Path,
    bytes: &[u8],
    mut position: usize,
    keys: &Unpickled,
    used: &BTreeMap<&str, (Option<Dtype>, u64)>,
) -> Result<BTreeMap<String, Range<usize>>, Box<Fault>> {
    let inconsistent = |expected: &str, found: String| {
        Fault::new(file, FaultKind::InconsistentHeader, expected, found).at("list of storages")
    };
    let Some(names) = keys.objects.items(keys.root) else {
        return Err(inconsistent("a list", keys.objects.describe(keys.root).to_owned()));
    };
    let mut storages = BTreeMap::new();
    for name in names {
        let Some(name) = keys.objects.text(*name) else {
            return Err(inconsistent("names", keys.objects.describe(*name).to_owned()));
        };
        let Some((dtype, elements)) = used.get(name) else {
            return Err(inconsistent("storages of the state dict", quoted(name)));
        };
        let at = |fault: Box<Fault>| fault.at(format!("storage {}, byte {position}", quoted(name)));
        let count = bytes.get(position..).and_then(|rest| rest.first_chunk());
        let Some(count) = count.map(|count| u64::from_le_bytes(*count)) else {
            let expected = "the number of elements of a storage";
            return Err(at(Fault::new(file, FaultKind::Truncated, expected, "the end of the file")));
        };
        let length = storage_bytes(file, count, *dtype).map_err(at)?;
        if count != *elements {
            let expected = format!("{elements} elements, as in the state dict");
            return Err(at(inconsistent(&expected, count.to_string())));
        }
        let start = position + size_of::<u64>();
        let Some(end) = start.checked_add(length).filter(|&end| end <= bytes.len()) else {
            let found = format!("{} left", bytes.len() - start);
            return Err(at(Fault::new(file, FaultKind::Truncated, format!("{length} bytes"), found)));
        };
        if storages.insert(name.to_owned(), start..end).is_some() {
            return Err(inconsistent("each storage once", format!("{} twice", quoted(name))));
        }
        position = end;
    }
    Ok(storages)
}
