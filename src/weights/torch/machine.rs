//! The machine that runs a pickle's instructions: stack, marks, memo and objects, each with a limit.

use std::collections::{BTreeMap, HashMap};

use super::construct::{self, Made};
use super::cursor::Cursor;
use super::value::{Global, Object, Objects, Value};
use crate::base::fault::{Fault, FaultKind, quoted};
use crate::weights::Dtype;

/// Most objects of one stream. A tensor takes about ten; the largest models have some thousands of tensors.
const MAX_OBJECTS: usize = 1 << 20;
/// Most values on the stack.
const MAX_STACK: usize = 1 << 20;
/// Most marks that are open at a time. Each begins a container inside of the one before, and those end at [`MAX_DEPTH`].
const MAX_MARKS: usize = 1 << 10;
/// Deepest nesting of containers. State dicts need 4.
const MAX_DEPTH: u16 = 100;

pub(super) type Outcome<T = ()> = Result<T, Box<Fault>>;

pub(super) struct Machine<'a> {
    pub cursor: Cursor<'a>,
    pub objects: Objects,
    /// How deep each object's parts nest, as far as they were there when it was made or last changed.
    depths: Vec<u16>,
    stack: Vec<Value>,
    /// Heights of the stack at which MARK was met.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Type and elements of each storage named so far: one storage is not read as two types.
    storages: BTreeMap<Box<str>, (Option<Dtype>, u64)>,
    /// Entries of dictionaries that were made from lists.
    copied: usize,
}

impl<'a> Machine<'a> {
    /// A machine that has run nothing yet.
    pub(super) fn new(cursor: Cursor<'a>) -> Self {
        Machine {
            cursor,
            objects: Objects::default(),
            depths: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            storages: BTreeMap::new(),
            copied: 0,
        }
    }

    /// MARK.
    pub(super) fn mark(&mut self) -> Outcome {
        if self.marks.len() >= MAX_MARKS {
            return Err(self.too_many("open marks", MAX_MARKS));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// POP. Python lets it take a MARK as well.
    pub(super) fn drop_top(&mut self) -> Outcome {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// MEMOIZE: the next free place.
    pub(super) fn memoize_next(&mut self) -> Outcome {
        self.memoize(u32::try_from(self.memo.len()).ok())
    }

    pub(super) fn push(&mut self, value: Value) -> Outcome {
        if self.stack.len() >= MAX_STACK {
            return Err(self.too_many("values on the stack", MAX_STACK));
        }
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_integer(&mut self, number: i128) -> Outcome {
        match i64::try_from(number) {
            Ok(number) => self.push(Value::Int(number)),
            Err(_) => self.push_object(Object::Long(number), 0),
        }
    }

    pub(super) fn push_object(&mut self, object: Object, depth: u16) -> Outcome {
        let number = self.objects.0.len();
        if number >= MAX_OBJECTS {
            return Err(self.too_many("objects", MAX_OBJECTS));
        }
        self.objects.0.push(object);
        self.depths.push(depth);
        self.push(Value::Object(number as u32))
    }

    pub(super) fn push_tuple(&mut self, items: Vec<Value>) -> Outcome {
        let depth = self.depth_above(&items)?;
        self.push_object(Object::Tuple(items.into_boxed_slice()), depth)
    }

    /// The depth of a container of these items.
    pub(super) fn depth_above(&self, items: &[Value]) -> Outcome<u16> {
        let depth = |value: &Value| match value {
            Value::Object(number) => self.depths[*number as usize],
            _ => 0,
        };
        let depth = items.iter().map(depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            let expected = format!("containers nested at most {MAX_DEPTH} deep");
            return Err(self.cursor.fault(FaultKind::LimitExceeded, expected, "deeper ones"));
        }
        Ok(depth)
    }

    /// Takes the top value; a MARK is in the way of what lies below it.
    pub(super) fn pop(&mut self) -> Outcome<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.inconsistent("a value on the stack", "none"));
        }
        self.stack.pop().ok_or_else(|| self.inconsistent("a value on the stack", "none"))
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Outcome<Vec<Value>> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(items)
    }

    pub(super) fn pop_to_mark(&mut self) -> Outcome<Vec<Value>> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => Err(self.inconsistent("a mark on the stack", "none")),
        }
    }

    /// The container on top of the stack, which stays there.
    pub(super) fn top(&self) -> Outcome<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().filter(|_| self.stack.len() > floor).copied();
        top.ok_or_else(|| self.inconsistent("a value on the stack", "none"))
    }

    pub(super) fn extend(&mut self, items: Vec<Value>) -> Outcome {
        let depth = self.depth_above(&items)?;
        let top = self.top()?;
        self.deepen(top, depth);
        match self.objects.get_mut(top) {
            Some(Object::List(list)) => list.extend(items),
            _ => return Err(self.inconsistent("a list to append to", self.objects.describe(top))),
        }
        Ok(())
    }

    pub(super) fn set_items(&mut self, items: Vec<Value>) -> Outcome {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.inconsistent("a value for each key", "a key without one"));
        }
        let depth = self.depth_above(&items)?;
        let top = self.top()?;
        self.deepen(top, depth);
        match self.objects.get_mut(top) {
            Some(Object::Dict(entries)) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.inconsistent("a dictionary to fill", self.objects.describe(top))),
        }
        Ok(())
    }

    pub(super) fn deepen(&mut self, container: Value, depth: u16) {
        if let Value::Object(number) = container
            && let Some(known) = self.depths.get_mut(number as usize)
        {
            *known = (*known).max(depth);
        }
    }

    pub(super) fn memoize(&mut self, index: Option<u32>) -> Outcome {
        let Some(index) = index else {
            return Err(self.inconsistent("a place in the memo", "a number that is none"));
        };
        let top = self.top()?;
        if self.memo.len() >= MAX_OBJECTS {
            return Err(self.too_many("entries of the memo", MAX_OBJECTS));
        }
        self.memo.insert(index, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, index: Option<u32>) -> Outcome {
        match index.and_then(|index| self.memo.get(&index)) {
            Some(&value) => self.push(value),
            None => {
                let found = index.map_or("no number".to_owned(), |index| format!("entry {index}"));
                Err(self.inconsistent("an entry that was put into the memo", found))
            }
        }
    }

    pub(super) fn global_named(&self, module: &str, name: &str) -> Outcome<Global> {
        if let Some(global) = Global::find(module, name) {
            return Ok(global);
        }
        let full = quoted(&format!("{module}.{name}"));
        if Global::is_other_type(module, name) {
            let expected = "tensors of floats, integers or truth values";
            return Err(self.cursor.fault(FaultKind::Unsupported, expected, full));
        }
        Err(self.forbidden(full))
    }

    /// REDUCE and NEWOBJ: describes what the constructor would make.
    pub(super) fn call(&mut self, callable: Value, arguments: Value) -> Outcome {
        let Some(&Object::Global(global)) = self.objects.get(callable) else {
            let found = self.objects.describe(callable);
            return Err(self.inconsistent("a class or function to call", found));
        };
        let Some(Object::Tuple(arguments)) = self.objects.get(arguments) else {
            return Err(self.inconsistent("arguments in a tuple", self.objects.describe(arguments)));
        };
        let made = construct::call(&self.objects, global, arguments);
        match made.map_err(|wrong| wrong.at(&self.cursor))? {
            Made::Known(value) => self.push(value),
            Made::New(object) => {
                if let Object::Dict(entries) = &object {
                    // The one copy of something that can be named again at no cost.
                    self.copied += entries.len();
                    if self.copied > MAX_OBJECTS {
                        return Err(self.too_many("entries of dictionaries made from lists", MAX_OBJECTS));
                    }
                }
                let depth = self.depth_above(construct::parts(&object).as_slice())?;
                self.push_object(object, depth)
            }
        }
    }

    /// BUILD: attributes of an object, such as a state dict's `_metadata`. No tensor depends on them.
    pub(super) fn build(&mut self) -> Outcome {
        self.pop()?;
        let top = self.top()?;
        match self.objects.get(top) {
            Some(Object::Dict(_) | Object::Tensor(_)) => Ok(()),
            _ => {
                Err(self
                    .inconsistent("a dictionary or tensor that takes attributes", self.objects.describe(top)))
            }
        }
    }

    pub(super) fn persistent(&mut self, id: Value) -> Outcome {
        let storage = construct::storage(&self.objects, id).map_err(|wrong| wrong.at(&self.cursor))?;
        let now = (storage.dtype, storage.elements);
        let key = self.objects.text(storage.key).expect("a storage is made with a text as its key");
        let Some(&known) = self.storages.get(key) else {
            self.storages.insert(key.into(), now);
            return self.push_object(Object::Storage(Box::new(storage)), 0);
        };
        if known != now {
            let words = |(dtype, elements): (Option<Dtype>, u64)| {
                format!("{elements} of {}", dtype.map_or("bytes", Dtype::name))
            };
            let expected = format!("storage {} as before, {}", quoted(key), words(known));
            return Err(self.inconsistent(expected, words(now)));
        }
        self.push_object(Object::Storage(Box::new(storage)), 0)
    }

    pub(super) fn forbidden(&self, found: String) -> Box<Fault> {
        self.cursor.fault(FaultKind::Forbidden, "only what tensors need", found)
    }

    pub(super) fn inconsistent(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        self.cursor.fault(FaultKind::InconsistentHeader, expected, found)
    }

    pub(super) fn too_many(&self, what: &str, limit: usize) -> Box<Fault> {
        self.cursor.fault(FaultKind::LimitExceeded, format!("at most {limit} {what}"), "more")
    }
}
