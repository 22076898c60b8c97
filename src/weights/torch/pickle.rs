//! A restricted unpickler: the instructions of Python's pickle machine, and no function that they could call.
//!
//! A pickle is a program. Here its only names are those of [`Global::find`], each of which describes a tensor or a
//! container; any other name is a fault that quotes it. Stack, memo, nesting and lengths are limited, so the work
//! and the memory are a small multiple of the bytes read.
//! Source: the opcode table of Python's `pickletools`, protocols 0 to 5; `torch/serialization.py` for persistent ids.

use std::path::Path;

use super::cursor::Cursor;
use super::machine::{Machine, Outcome};
use super::value::{Object, Objects, Value};
use crate::base::fault::{Fault, FaultKind, quoted};

/// Newest protocol there is.
const MAX_PROTOCOL: u8 = 5;

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
    let mut machine = Machine::new(Cursor::new(file, what, bytes, start));
    while machine.step()? {}
    let root = machine.pop()?;
    let length = machine.cursor.position() - start;
    Ok(Unpickled { objects: machine.objects, root, length })
}

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
            b'(' => self.mark()?,
            b'0' => self.drop_top()?,
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
            0x94 => self.memoize_next()?,
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
}
