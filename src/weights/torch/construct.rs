//! What the few allowed constructors make of their arguments, as descriptions. Nothing is called.
//!
//! Sources: the signatures in `torch/_utils.py`, and `persistent_load` of `torch/serialization.py`.

use super::cursor::Cursor;
use super::value::{Global, Object, Objects, StorageRef, TensorRef, Value};
use crate::base::fault::{Fault, FaultKind, quoted};

/// Longest name of a storage; PyTorch numbers them.
const MAX_KEY: usize = 255;

/// The result of a constructor.
pub(super) enum Made {
    /// One of its arguments.
    Known(Value),
    /// Something new.
    New(Object),
}

/// Why arguments do not serve; the place is added by [`Wrong::at`].
pub(super) struct Wrong {
    kind: FaultKind,
    expected: String,
    found: String,
}

impl Wrong {
    fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Wrong { kind: FaultKind::InconsistentHeader, expected: expected.into(), found: found.into() }
    }

    /// The fault at the cursor's last instruction.
    pub(super) fn at(self, cursor: &Cursor) -> Box<Fault> {
        cursor.fault(self.kind, self.expected, self.found)
    }
}

/// Describes the result of calling `global`.
pub(super) fn call(objects: &Objects, global: Global, arguments: &[Value]) -> Result<Made, Wrong> {
    match (global, arguments) {
        (Global::OrderedDict, []) => Ok(Made::New(Object::Dict(Vec::new()))),
        (Global::OrderedDict, [entries]) => Ok(Made::New(Object::Dict(pairs(objects, *entries)?))),
        (Global::Size, []) => Ok(Made::New(Object::Tuple(Box::default()))),
        (Global::Size, [sizes]) if objects.items(*sizes).is_some() => Ok(Made::Known(*sizes)),
        (Global::Device, [..]) => Ok(Made::Known(Value::Plain)),
        (Global::Parameter | Global::RebuildParameter, [tensor, ..]) => match objects.get(*tensor) {
            Some(Object::Tensor(_)) => Ok(Made::Known(*tensor)),
            _ => Err(Wrong::new("a parameter made from a tensor", objects.describe(*tensor))),
        },
        (Global::RebuildTensor | Global::RebuildTensorV2, [storage, offset, size, stride, ..]) => {
            tensor(objects, [*storage, *offset, *size, *stride], None)
        }
        (Global::RebuildTensorV3, [storage, offset, size, stride, _, _, dtype, ..]) => {
            tensor(objects, [*storage, *offset, *size, *stride], Some(*dtype))
        }
        (Global::Storage(_) | Global::Dtype(_), _) => Err(Wrong {
            kind: FaultKind::Forbidden,
            expected: "only calls that describe tensors".to_owned(),
            found: "a call of a storage or number type".to_owned(),
        }),
        _ => {
            let found = format!("{} of them", arguments.len());
            Err(Wrong::new("the arguments of a tensor, parameter or dictionary", found))
        }
    }
}

/// The values inside a new object.
pub(super) fn parts(object: &Object) -> Vec<Value> {
    match object {
        Object::Dict(entries) => entries.iter().flat_map(|(key, value)| [*key, *value]).collect(),
        _ => Vec::new(),
    }
}

/// `OrderedDict([[key, value], …])`, as Python 2 pickles it.
fn pairs(objects: &Objects, entries: Value) -> Result<Vec<(Value, Value)>, Wrong> {
    let wrong = || Wrong::new("a dictionary made from pairs", "something else");
    let entries = objects.items(entries).ok_or_else(wrong)?;
    let pair = |entry: &Value| match objects.items(*entry) {
        Some(&[key, value]) => Ok((key, value)),
        _ => Err(wrong()),
    };
    entries.iter().map(pair).collect()
}

fn tensor(
    objects: &Objects,
    [storage, offset, size, stride]: [Value; 4],
    dtype: Option<Value>,
) -> Result<Made, Wrong> {
    let storage = match objects.get(storage) {
        Some(Object::Storage(storage)) => **storage,
        _ => return Err(Wrong::new("a tensor made from a storage", objects.describe(storage))),
    };
    let given = match dtype.map(|dtype| (dtype, objects.get(dtype))) {
        None => storage.dtype,
        Some((_, Some(Object::Global(Global::Dtype(dtype))))) => Some(*dtype),
        Some((dtype, _)) => return Err(Wrong::new("an element type", objects.describe(dtype))),
    };
    let Some(dtype) = given else {
        return Err(Wrong::new("a storage with an element type", "untyped bytes"));
    };
    Ok(Made::New(Object::Tensor(Box::new(TensorRef { storage, dtype, offset, size, stride }))))
}

/// The storage that a persistent id names: `("storage", type, key, location, elements[, view])`.
pub(super) fn storage(objects: &Objects, id: Value) -> Result<StorageRef, Wrong> {
    let fields = match objects.items(id) {
        Some(fields) if fields.first().is_some_and(|first| objects.text(*first).is_some()) => fields,
        _ => return Err(Wrong::new("a persistent id that begins with its kind", objects.describe(id))),
    };
    let (class, key, elements, view) = match *fields {
        [kind, class, key, _, elements, ref rest @ ..] if objects.text(kind) == Some("storage") => {
            (class, key, elements, rest.first())
        }
        [kind, ..] => {
            let kind = objects.text(kind).expect("the first field was a text");
            return Err(Wrong {
                kind: if kind == "storage" { FaultKind::InconsistentHeader } else { FaultKind::Forbidden },
                expected: "persistent ids of storages".to_owned(),
                found: format!("{} with {} fields", quoted(kind), fields.len()),
            });
        }
        [] => return Err(Wrong::new("persistent ids of storages", "an empty one")),
    };
    let Some(Object::Global(Global::Storage(dtype))) = objects.get(class) else {
        return Err(Wrong::new("a storage type", objects.describe(class)));
    };
    match objects.text(key) {
        None => return Err(Wrong::new("the name of a storage", objects.describe(key))),
        Some(name) if name.len() > MAX_KEY => {
            return Err(Wrong {
                kind: FaultKind::LimitExceeded,
                expected: format!("a storage name of at most {MAX_KEY} bytes"),
                found: format!("{} bytes", name.len()),
            });
        }
        Some(name) if name.contains(['/', '\\', ':']) || name == ".." => {
            return Err(Wrong {
                kind: FaultKind::PathEscape,
                expected: "the name of a storage of this file".to_owned(),
                found: quoted(name),
            });
        }
        Some(_) => {}
    }
    let count = |value: Value| objects.integer(value).and_then(|number| u64::try_from(number).ok());
    let Some(elements) = count(elements) else {
        let found = objects.integer(elements).map_or("no integer".to_owned(), |number| number.to_string());
        return Err(Wrong::new("the number of a storage's elements", found));
    };
    // Files before PyTorch 0.4: (key of the view, first element, number of elements).
    let view = match view {
        None | Some(Value::Plain) => 0,
        Some(view) => match objects.items(*view) {
            Some(&[_, first, _]) => {
                count(first).ok_or_else(|| Wrong::new("the first element of a view", "another value"))?
            }
            _ => return Err(Wrong::new("the place of a view in its storage", objects.describe(*view))),
        },
    };
    Ok(StorageRef { key, dtype: *dtype, elements, view })
}
