//! A restricted unpickler: the instructions of Python's pickle machine, and no function that they could call.
//!
//! A pickle is a program. Here its only names are those of [`Global::find`], each of which describes a tensor or a
//! container; any other name is a fault that quotes it. Stack, memo, nesting and lengths are limited, so the work
//! and the memory are a small multiple of the bytes read.
//! Source: the opcode table of Python's `pickletools`, protocols 0 to 5; `torch/serialization.py` for persistent ids.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::construct::{self, Made};
use super::cursor::Cursor;
use super::value::{Global, Object, Objects, Value};
use crate::weights::error::quoted;
use crate::weights::{Dtype, Fault, FaultKind};

/// Newest protocol there is.
const MAX_PROTOCOL: u8 = 5;
/// Most objects of one stream. A tensor takes about ten; the largest models have some thousands of tensors.
const MAX_OBJECTS: usize = 1 << 20;
/// Most values on the stack.
const MAX_STACK: usize = 1 << 20;
/// Deepest nesting of containers. State dicts need 4.
const MAX_DEPTH: u16 = 100;

/// The result of one stream.
#[derive(Debug)]
pub(super) struct Unpickled {
    pub objects: Objects,
    pub root: Value,
    /// Bytes read, the last instruction included.
    pub length: usize,
}

/// Runs the pickle that begins at `start` of `bytes` up to its STOP. `what` names it in messages.
pub(super) fn unpickle(file: &Path, what: &str, bytes: &[u8], start: usize) -> Result<Unpickled, Box<Fault>> {
    let mut machine = Machine {
        cursor: Cursor::new(file, what, bytes, start),
        objects: Objects::default(),
        depths: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        storages: BTreeMap::new(),
        copied: 0,
    };
    while machine.step()? {}
    let root = machine.pop()?;
    let length = machine.cursor.position() - start;
    Ok(Unpickled { objects: machine.objects, root, length })
}

struct Machine<'a> {
    cursor: Cursor<'a>,
    objects: Objects,
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

type Outcome<T = ()> = Result<T, Box<Fault>>;

impl Machine<'_> {
    /// One instruction; false after STOP.
    fn step(&mut self) -> Outcome<bool> {
        match self.cursor.opcode()? {
            b'.' => return Ok(false),
            0x80 => {
                let protocol = self.cursor.u8()?;
                if protocol > MAX_PROTOCOL {
                    let expected = format!("pickle protocol 0 to {MAX_PROTOCOL}");
                    return Err(self.cursor.fault(
                        FaultKind::Unsupported,
                        expected,
                        format!("protocol {protocol}"),
                    ));
                }
            }
            0x95 => self.cursor.frame()?,
            b'(' => {
                if self.marks.len() >= MAX_STACK {
                    return Err(self.too_many("marks", MAX_STACK));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => {
                // Python lets POP take a MARK as well.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.push(top)?;
                self.push(top)?;
            }

            b'N' => self.push(Value::Plain)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let number = self.cursor.i32()?;
                self.push(Value::Int(i64::from(number)))?;
            }
            b'K' => {
                let number = self.cursor.u8()?;
                self.push(Value::Int(i64::from(number)))?;
            }
            b'M' => {
                let number = self.cursor.u16()?;
                self.push(Value::Int(i64::from(number)))?;
            }
            opcode @ (0x8a | 0x8b) => {
                let number = self.cursor.long(opcode == 0x8b)?;
                self.push_integer(number)?;
            }
            b'I' => {
                let value = self.cursor.decimal()?;
                match value {
                    (number, Some(flag)) if number == i128::from(flag) => self.push(Value::Bool(flag))?,
                    (number, _) => self.push_integer(number)?,
                }
            }
            b'L' => {
                let (number, _) = self.cursor.decimal()?;
                self.push_integer(number)?;
            }
            b'F' => {
                self.cursor.line()?;
                self.push(Value::Plain)?;
            }
            b'G' => {
                self.cursor.skip(8)?;
                self.push(Value::Plain)?;
            }

            opcode @ (b'X' | 0x8c | 0x8d | b'T' | b'U' | b'S' | b'V') => {
                let text = self.cursor.text(opcode)?;
                self.push_object(Object::Text(text), 0)?;
            }
            opcode @ (b'B' | b'C' | 0x8e | 0x96) => {
                self.cursor.skip_bytes(opcode)?;
                self.push(Value::Plain)?;
            }

            b')' => self.push_object(Object::Tuple(Box::default()), 1)?,
            opcode @ 0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let items = self.pop_many(count)?;
                self.push_tuple(items)?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items)?;
            }
            b']' | 0x8f => self.push_object(Object::List(Vec::new()), 1)?,
            b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                let depth = self.depth_above(&items)?;
                self.push_object(Object::List(items), depth)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(items)?;
            }
            b'}' => self.push_object(Object::Dict(Vec::new()), 1)?,
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push_object(Object::Dict(Vec::new()), 1)?;
                self.set_items(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(items)?;
            }

            b'p' => {
                let (index, _) = self.cursor.decimal()?;
                self.memoize(u32::try_from(index).ok())?;
            }
            b'q' => {
                let index = self.cursor.u8()?;
                self.memoize(Some(u32::from(index)))?;
            }
            b'r' => {
                let index = self.cursor.u32()?;
                self.memoize(Some(index))?;
            }
            0x94 => self.memoize(u32::try_from(self.memo.len()).ok())?,
            b'g' => {
                let (index, _) = self.cursor.decimal()?;
                self.recall(u32::try_from(index).ok())?;
            }
            b'h' => {
                let index = self.cursor.u8()?;
                self.recall(Some(u32::from(index)))?;
            }
            b'j' => {
                let index = self.cursor.u32()?;
                self.recall(Some(index))?;
            }

            b'c' => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                let global = self.global_named(&module, &name)?;
                self.push_object(Object::Global(global), 0)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (self.objects.text(module), self.objects.text(name)) else {
                    return Err(self.inconsistent("module and name as strings", "other values"));
                };
                let global = self.global_named(module, name)?;
                self.push_object(Object::Global(global), 0)?;
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)?;
            }

            b'i' => {
                let (module, name) = (self.cursor.line()?, self.cursor.line()?);
                return Err(self.forbidden(format!("an instance of {}", quoted(&format!("{module}.{name}")))));
            }
            b'o' | 0x92 => {
                return Err(self.forbidden("an instance built with arguments".to_owned()));
            }
            0x82..=0x84 => return Err(self.forbidden("an object of the extension registry".to_owned())),
            b'P' => {
                let id = self.cursor.line()?;
                return Err(self.forbidden(format!("the persistent id {}", quoted(&id))));
            }
            0x97 | 0x98 => return Err(self.forbidden("a buffer from outside the file".to_owned())),
            other => {
                let expected = "an opcode of pickle protocols 0 to 5";
                return Err(self.cursor.fault(FaultKind::Unsupported, expected, format!("{other:#04x}")));
            }
        }
        Ok(true)
    }

    fn push(&mut self, value: Value) -> Outcome {
        if self.stack.len() >= MAX_STACK {
            return Err(self.too_many("values on the stack", MAX_STACK));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_integer(&mut self, number: i128) -> Outcome {
        match i64::try_from(number) {
            Ok(number) => self.push(Value::Int(number)),
            Err(_) => self.push_object(Object::Long(number), 0),
        }
    }

    fn push_object(&mut self, object: Object, depth: u16) -> Outcome {
        let number = self.objects.0.len();
        if number >= MAX_OBJECTS {
            return Err(self.too_many("objects", MAX_OBJECTS));
        }
        self.objects.0.push(object);
        self.depths.push(depth);
        self.push(Value::Object(number as u32))
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Outcome {
        let depth = self.depth_above(&items)?;
        self.push_object(Object::Tuple(items.into_boxed_slice()), depth)
    }

    /// The depth of a container of these items.
    fn depth_above(&self, items: &[Value]) -> Outcome<u16> {
        let depth = |value: &Value| match value {
            Value::Object(number) => self.depths.get(*number as usize).copied().unwrap_or(0),
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
    fn pop(&mut self) -> Outcome<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.inconsistent("a value on the stack", "none"));
        }
        self.stack.pop().ok_or_else(|| self.inconsistent("a value on the stack", "none"))
    }

    fn pop_many(&mut self, count: usize) -> Outcome<Vec<Value>> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Outcome<Vec<Value>> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => Err(self.inconsistent("a mark on the stack", "none")),
        }
    }

    /// The container on top of the stack, which stays there.
    fn top(&self) -> Outcome<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().filter(|_| self.stack.len() > floor).copied();
        top.ok_or_else(|| self.inconsistent("a value on the stack", "none"))
    }

    fn extend(&mut self, items: Vec<Value>) -> Outcome {
        let (depth, top) = (self.depth_above(&items)?, self.top()?);
        self.deepen(top, depth);
        match self.objects.get_mut(top) {
            Some(Object::List(list)) => list.extend(items),
            _ => return Err(self.inconsistent("a list to append to", self.objects.describe(top))),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Value>) -> Outcome {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.inconsistent("a value for each key", "a key without one"));
        }
        let (depth, top) = (self.depth_above(&items)?, self.top()?);
        self.deepen(top, depth);
        match self.objects.get_mut(top) {
            Some(Object::Dict(entries)) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.inconsistent("a dictionary to fill", self.objects.describe(top))),
        }
        Ok(())
    }

    fn deepen(&mut self, container: Value, depth: u16) {
        if let Value::Object(number) = container
            && let Some(known) = self.depths.get_mut(number as usize)
        {
            *known = (*known).max(depth);
        }
    }

    fn memoize(&mut self, index: Option<u32>) -> Outcome {
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

    fn recall(&mut self, index: Option<u32>) -> Outcome {
        match index.and_then(|index| self.memo.get(&index)) {
            Some(&value) => self.push(value),
            None => {
                let found = index.map_or("no number".to_owned(), |index| format!("entry {index}"));
                Err(self.inconsistent("an entry that was put into the memo", found))
            }
        }
    }

    fn global_named(&self, module: &str, name: &str) -> Outcome<Global> {
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
    fn call(&mut self, callable: Value, arguments: Value) -> Outcome {
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
    fn build(&mut self) -> Outcome {
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

    fn persistent(&mut self, id: Value) -> Outcome {
        let storage = construct::storage(&self.objects, id).map_err(|wrong| wrong.at(&self.cursor))?;
        let now = (storage.dtype, storage.elements);
        let key = self.objects.text(storage.key).unwrap_or_default();
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

    fn forbidden(&self, found: String) -> Box<Fault> {
        self.cursor.fault(FaultKind::Forbidden, "only what tensors need", found)
    }

    fn inconsistent(&self, expected: impl Into<String>, found: impl Into<String>) -> Box<Fault> {
        self.cursor.fault(FaultKind::InconsistentHeader, expected, found)
    }

    fn too_many(&self, what: &str, limit: usize) -> Box<Fault> {
        self.cursor.fault(FaultKind::LimitExceeded, format!("at most {limit} {what}"), "more")
    }
}
