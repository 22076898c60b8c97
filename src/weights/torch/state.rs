//! From an unpickled state dict to named tensors.
//!
//! A state dict is a dictionary from names to tensors. Trainers put it into another one, beside numbers and texts:
//! those are passed over, and tensors of inner dictionaries are named `outer.inner`. Where all tensors lie in one
//! inner dictionary (`{"epoch": 3, "state_dict": {…}}`), its key is the trainer's and no part of their names.

use std::collections::HashSet;
use std::path::Path;

use super::value::{Object, Objects, TensorRef, Value};
use crate::base::fault::{Fault, FaultKind, quoted};

/// Most tensors of one file.
const MAX_TENSORS: usize = 1 << 16;
/// Dictionaries around a state dict that are looked through.
const MAX_WRAPPERS: usize = 4;
/// Longest name of a tensor, outer keys included.
const MAX_NAME: usize = 1024;

/// The tensors below `root`, in the order of the file.
pub(super) fn named_tensors(
    file: &Path,
    objects: &Objects,
    root: Value,
) -> Result<Vec<(String, TensorRef)>, Box<Fault>> {
    let walk = Walk { file, objects };
    let Some(mut entries) = dict(objects, root) else {
        let expected = "a state dict: a dictionary from names to tensors";
        let found = objects.describe(root);
        return Err(Fault::new(file, FaultKind::InconsistentHeader, expected, found)
            .advice("save the model's state_dict() instead"));
    };
    for _ in 0..MAX_WRAPPERS {
        match walk.only_dict_with_tensors(entries) {
            Some(inner) => entries = inner,
            None => break,
        }
    }
    walk.collect(entries)
}

struct Walk<'a> {
    file: &'a Path,
    objects: &'a Objects,
}

type Entries<'a> = &'a [(Value, Value)];

fn dict(objects: &Objects, value: Value) -> Option<Entries<'_>> {
    match objects.get(value)? {
        Object::Dict(entries) => Some(entries),
        _ => None,
    }
}

impl<'a> Walk<'a> {
    /// The single inner dictionary that has tensors, if there are none beside it.
    fn only_dict_with_tensors(&self, entries: Entries<'a>) -> Option<Entries<'a>> {
        let mut only = None;
        let mut seen = HashSet::new();
        for (_, value) in entries {
            if self.holds_tensors(*value, &mut seen) {
                match (only, dict(self.objects, *value)) {
                    (None, Some(inner)) => only = Some(inner),
                    _ => return None,
                }
            }
        }
        only
    }

    /// Whether a tensor lies anywhere below a value. Containers in `seen` are not looked through again, so shared
    /// ones cost nothing and circles end.
    fn holds_tensors(&self, value: Value, seen: &mut HashSet<u32>) -> bool {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            let Value::Object(number) = value else { continue };
            match self.objects.get(value) {
                Some(Object::Tensor(_)) => return true,
                Some(Object::Dict(_) | Object::List(_) | Object::Tuple(_)) if !seen.insert(number) => {}
                Some(Object::Dict(entries)) => {
                    open.extend(entries.iter().flat_map(|(key, value)| [*key, *value]));
                }
                Some(Object::List(items)) => open.extend(items),
                Some(Object::Tuple(items)) => open.extend(items.iter().copied()),
                _ => {}
            }
        }
        false
    }

    fn collect(&self, entries: Entries<'a>) -> Result<Vec<(String, TensorRef)>, Box<Fault>> {
        let (mut named, mut walked, mut passed) = (Vec::new(), HashSet::new(), HashSet::new());
        // Dictionaries below a key that is no string have no prefix: tensors in them would have no name.
        let mut open = vec![(Some(String::new()), entries)];
        while let Some((prefix, entries)) = open.pop() {
            for &(key, value) in entries {
                match (value, self.objects.get(value)) {
                    (_, Some(Object::Tensor(tensor))) => {
                        let prefix = prefix.as_ref().ok_or_else(|| self.nameless("a key that is none"))?;
                        let name = self.name(prefix, key)?;
                        if named.len() >= MAX_TENSORS {
                            let expected = format!("at most {MAX_TENSORS} tensors");
                            return Err(Fault::new(self.file, FaultKind::LimitExceeded, expected, "more"));
                        }
                        named.push((name, **tensor));
                    }
                    (Value::Object(number), Some(Object::Dict(inner))) if !inner.is_empty() => {
                        if !walked.insert(number) {
                            let expected = "each inner dictionary once";
                            let found = "one in two places";
                            return Err(Fault::new(
                                self.file,
                                FaultKind::InconsistentHeader,
                                expected,
                                found,
                            ));
                        }
                        let prefix = match (&prefix, self.objects.text(key)) {
                            (Some(prefix), Some(_)) => Some(self.name(prefix, key)? + "."),
                            _ => None,
                        };
                        open.push((prefix, inner));
                    }
                    (_, Some(Object::List(_) | Object::Tuple(_)))
                        if self.holds_tensors(value, &mut passed) =>
                    {
                        return Err(self.in_a_list(key));
                    }
                    _ => {}
                }
            }
        }
        Ok(named)
    }

    fn name(&self, prefix: &str, key: Value) -> Result<String, Box<Fault>> {
        let key = self.objects.text(key).ok_or_else(|| self.nameless(self.objects.describe(key)))?;
        let name = format!("{prefix}{key}");
        if name.len() > MAX_NAME {
            let expected = format!("tensor names of at most {MAX_NAME} bytes");
            return Err(Fault::new(self.file, FaultKind::LimitExceeded, expected, quoted(&name)));
        }
        Ok(name)
    }

    fn nameless(&self, found: &str) -> Box<Fault> {
        Fault::new(self.file, FaultKind::InconsistentHeader, "tensors named by strings", found)
    }

    fn in_a_list(&self, key: Value) -> Box<Fault> {
        let found = format!("a list of tensors below {}", quoted(self.objects.text(key).unwrap_or_default()));
        Fault::new(self.file, FaultKind::Unsupported, "a dictionary from names to tensors", found)
            .advice("save the model's state_dict() instead")
    }
}
