//! Operators of templates that pay for their values before they make them.
//!
//! minijinja charges fuel for most of what a template does, but joins, repeats and cuts lists lazily and for nothing, and
//! puts values into lists without looking at them: a list that is joined to itself sixty times, or holds itself twice on each
//! of sixty levels, is small until something walks over it. So these few instructions of a compiled template are replaced by
//! filters here, under names that no template can spell. Lists are lists then, no longer lazy ones, and values that are put
//! into others are measured, also those that are kept in a namespace, which could hold itself otherwise. What an operator gives
//! is still minijinja's own answer, but for `~`, which prints as Python does.

use std::sync::LazyLock;

use minijinja::machinery::{CompiledTemplate, Instruction, Instructions};
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, State, UndefinedBehavior, Value, filters};

use super::{invalid, text_of};
use crate::python::print::MAX_DEPTH;

/// Bytes for which one unit of fuel pays, in minijinja.
const BYTES_PER_FUEL: u64 = 64;
/// Bytes of a place in a list, by minijinja's account.
pub const SLOT: usize = 32;
/// The most values that a list or map in a template's text has to be replaced: a call has room for no more. Longer ones are as
/// long as the text.
const MAX_ITEMS: usize = 1 << 14;

const PLUS: &str = "+";
const TIMES: &str = "*";
const CONCAT: &str = "~";
const SLICE: &str = "[:]";
const LIST: &str = "[]";
const TUPLE: &str = "()";
const MAP: &str = "{}";
const KWARGS: &str = "**";
const KEEP: &str = ".=";

/// Adds the operators to an environment.
pub fn install(env: &mut Environment<'static>) {
    env.add_filter(PLUS, plus);
    env.add_filter(TIMES, times);
    env.add_filter(CONCAT, concat);
    env.add_filter(SLICE, slice);
    env.add_filter(LIST, |state: &State<'_, '_>, items: Rest<Value>| measured(state, Value::from(items.0)));
    env.add_filter(TUPLE, |state: &State<'_, '_>, items: Rest<Value>| {
        measured(state, Value::from(Tuple::from(items.0)))
    });
    env.add_filter(MAP, |state: &State<'_, '_>, pairs: Rest<Value>| {
        measured(state, Value::from_pairs(pairs.0.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()))))
    });
    env.add_filter(KWARGS, |state: &State<'_, '_>, pairs: Rest<Value>| {
        let named = pairs.0.chunks(2).map(|pair| (pair[0].to_string(), pair[1].clone()));
        measured(state, Value::from(named.collect::<Kwargs>()))
    });
    env.add_filter(KEEP, keep);
    env.add_filter("batch", |state: &State<'_, '_>, list: Value, count: usize, fill: Option<Value>| {
        measured(state, filters::batch(state, list, count, fill)?)
    });
    env.add_filter("slice", |state: &State<'_, '_>, list: Value, count: usize, fill: Option<Value>| {
        measured(state, filters::slice(state, list, count, fill)?)
    });
    env.add_filter("groupby", groupby);
    env.add_filter("sum", sum);
    // Jinja has none of these: two join lists lazily, one shows all there is.
    env.remove_filter("chain");
    env.remove_filter("zip");
    env.remove_global("debug");
}

/// Puts the operators in place of the compiler's own instructions.
pub fn replace(compiled: &mut CompiledTemplate<'_>) {
    for instructions in std::iter::once(&mut compiled.instructions).chain(compiled.blocks.values_mut()) {
        replace_in(instructions);
        guard_namespaces(instructions);
    }
}

fn replace_in(instructions: &mut Instructions<'_>) {
    let mut at = 0;
    while let Some(instruction) = instructions.get_mut(at) {
        let arguments = |values: usize| (values <= MAX_ITEMS).then_some(values);
        let operator = match instruction {
            Instruction::Add => Some((PLUS, 2)),
            Instruction::Mul => Some((TIMES, 2)),
            Instruction::StringConcat => Some((CONCAT, 2)),
            Instruction::Slice => Some((SLICE, 4)),
            Instruction::BuildList(Some(items)) => arguments(*items).map(|items| (LIST, items)),
            Instruction::BuildTuple(Some(items)) => arguments(*items).map(|items| (TUPLE, items)),
            Instruction::BuildMap(pairs) => arguments(*pairs * 2).map(|items| (MAP, items)),
            Instruction::BuildKwargs(pairs) => arguments(*pairs * 2).map(|items| (KWARGS, items)),
            _ => None,
        };
        if let Some((name, arguments)) = operator {
            let arguments = u16::try_from(arguments).expect("a replaced instruction has few arguments");
            // The last number is that of no remembered filter.
            *instruction = Instruction::ApplyFilter(name, Some(arguments), !0);
        }
        at += 1;
    }
}

/// Has what is kept in a namespace pass a filter: a value and the namespace are on the stack then, in this order.
fn guard_namespaces(instructions: &mut Instructions<'_>) {
    let guard = [Instruction::Swap, Instruction::ApplyFilter(KEEP, Some(1), !0), Instruction::Swap];
    // Where each instruction moves to.
    let mut moved = Vec::new();
    let mut at = 0_u32;
    while let Some(instruction) = instructions.get(moved.len() as u32) {
        moved.push(at);
        at += if matches!(instruction, Instruction::SetAttr(_)) { guard.len() as u32 + 1 } else { 1 };
    }
    if moved.len() as u32 == at {
        return;
    }
    moved.push(at);
    let mut guarded = Instructions::new(instructions.name(), instructions.source());
    for number in 0..moved.len() as u32 - 1 {
        let mut instruction = instructions.get(number).expect("an instruction that was counted").clone();
        if let Instruction::Iterate(target)
        | Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::BuildMacro(_, target, _) = &mut instruction
        {
            *target = moved[*target as usize];
        }
        let guard = if matches!(instruction, Instruction::SetAttr(_)) { &guard[..] } else { &[] };
        for added in guard.iter().cloned().chain([instruction]) {
            match instructions.get_line(number).and_then(|line| u16::try_from(line).ok()) {
                Some(line) => guarded.add_with_line(added, line),
                None => guarded.add(added),
            };
        }
    }
    *instructions = guarded;
}

/// Refuses to make a value of so many bytes if the fuel that is left would not pay for it.
///
/// # Errors
/// That it would not.
pub fn ensure(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    match bytes as u64 / BYTES_PER_FUEL < fuel_left(state) {
        true => Ok(()),
        false => Err(Error::from(ErrorKind::OutOfFuel)),
    }
}

/// Pays for reading so many bytes.
///
/// # Errors
/// No fuel is left.
pub fn charge(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / BYTES_PER_FUEL)
}

/// The bytes of a value as if no part of it were shared, with or without those of its texts; the template pays for them.
///
/// # Errors
/// A value that nests too deep, or is too large for the fuel that is left.
pub fn measure(state: &State<'_, '_>, value: &Value, texts: bool) -> Result<usize, Error> {
    let all = fuel_left(state).saturating_mul(BYTES_PER_FUEL);
    let mut walk = Walk { texts, plain: false, left: all };
    walk.value(value, 0)?;
    let bytes = all - walk.left;
    state.consume_fuel(bytes / BYTES_PER_FUEL)?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// A list or map that a template writes. The characters of its texts are not copied into it.
fn measured(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    measure(state, &value, false)?;
    Ok(value)
}

/// A value to be kept in a namespace: data alone. A namespace that is kept in another could hold itself, which Jinja allows and
/// no template needs.
fn keep(state: &State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.as_str().is_none() && value.kind() != ValueKind::Number {
        let all = fuel_left(state).saturating_mul(BYTES_PER_FUEL);
        let mut walk = Walk { texts: false, plain: true, left: all };
        walk.value(&value, 0)?;
        charge(state, usize::try_from(all - walk.left).unwrap_or(usize::MAX))?;
    }
    Ok(value)
}

fn fuel_left(state: &State<'_, '_>) -> u64 {
    state.fuel_levels().map_or(u64::MAX, |(_, left)| left)
}

/// Goes over a value as a tree.
struct Walk {
    texts: bool,
    /// Nothing but data is allowed.
    plain: bool,
    /// Bytes that the value may still have.
    left: u64,
}

impl Walk {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!("expected values nested at most {MAX_DEPTH} deep, found more")));
        }
        if self.plain && is_changeable(value) {
            let said = "expected data to keep in a namespace, found a namespace, a macro or another object";
            return Err(invalid(said.to_owned()));
        }
        let text = value.as_str().filter(|_| self.texts).map_or(0, str::len);
        let left = self.left.checked_sub((SLOT + text) as u64);
        self.left = left.ok_or_else(|| Error::from(ErrorKind::OutOfFuel))?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                value.try_iter()?.checked().try_for_each(|item| self.value(&item?, depth + 1))
            }
            ValueKind::Map => value.try_iter()?.checked().try_for_each(|key| {
                let key = key?;
                self.value(&key, depth + 1)?;
                self.value(&value.get_item(&key)?, depth + 1)
            }),
            _ => Ok(()),
        }
    }
}

/// What may hold other values later on: a namespace, a macro with what it encloses, and what is no data.
fn is_changeable(value: &Value) -> bool {
    let of_engine = |name: &str| name.starts_with("minijinja::vm::") || name.ends_with("::Namespace");
    value.kind() == ValueKind::Plain || value.as_object().is_some_and(|object| of_engine(object.type_name()))
}

/// minijinja's own operators.
static OPERATORS: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);
static ADD: LazyLock<Expression<'static, 'static>> = LazyLock::new(|| expression("a + b"));
static MULTIPLY: LazyLock<Expression<'static, 'static>> = LazyLock::new(|| expression("a * b"));
static CUT: LazyLock<Expression<'static, 'static>> = LazyLock::new(|| expression("a[b:c:d]"));

fn expression(text: &'static str) -> Expression<'static, 'static> {
    OPERATORS.compile_expression(text).expect("an operator's expression is one")
}

/// What minijinja makes of operands that are called a, b, c and d; a list becomes one that is no longer lazy.
fn answer(
    state: &State<'_, '_>,
    operator: &Expression<'static, 'static>,
    operands: &[&Value],
) -> Result<Value, Error> {
    let names = ["a", "b", "c", "d"];
    let named = Value::from_pairs(names.iter().zip(operands).map(|(name, value)| (*name, (*value).clone())));
    let value = operator.eval(named).map_err(|error| {
        // Without the place, which would be that in our expression.
        error
            .detail()
            .map_or_else(|| Error::from(error.kind()), |detail| Error::new(error.kind(), detail.to_owned()))
    })?;
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    ensure(state, slots(&value))?;
    Ok(Value::from(value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?))
}

/// The bytes of a list's places; of what has no length, none.
fn slots(list: &Value) -> usize {
    list.len().unwrap_or(0).saturating_mul(SLOT)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

fn plus(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    // The usual ones, without the way around.
    match (a.as_str(), b.as_str()) {
        (Some(first), Some(second)) if !a.is_safe() && !b.is_safe() => {
            ensure(state, first.len() + second.len())?;
            return Ok(Value::from([first, second].concat()));
        }
        (None, None) if a.is_integer() && b.is_integer() => {
            let sum = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b));
            if let Some(sum) = sum {
                return Ok(Value::from(sum));
            }
        }
        (Some(first), Some(second)) => ensure(state, first.len() + second.len())?,
        _ => {}
    }
    if is_list(a) && is_list(b) {
        ensure(state, slots(a).saturating_add(slots(b)))?;
    }
    answer(state, &ADD, &[a, b])
}

/// The sum of a list's numbers, or of its lists where a list is given to start from.
fn sum(
    state: &State<'_, '_>,
    items: Value,
    attribute: Option<String>,
    start: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let attribute = attribute.or(options.get("attribute")?);
    let start = start.or(options.get("start")?).unwrap_or_else(|| Value::from(0));
    options.assert_all_used()?;
    if !is_list(&start) {
        if start.as_str().is_some() {
            return Err(invalid("sum: expected a number or a list to start from, found a text".to_owned()));
        }
        let none = std::iter::empty::<(String, Value)>().collect();
        return filters::sum(state, items, attribute.as_deref(), Some(start), none);
    }
    let of = |item: Value| match &attribute {
        Some(path) => path.split('.').try_fold(item, |item, name| item.get_attr(name)),
        None => Ok(item),
    };
    let mut all = Vec::new();
    for list in std::iter::once(Ok(start.clone())).chain(items.try_iter()?.checked().map(|item| of(item?))) {
        let list = list?;
        if !is_list(&list) {
            return Err(invalid(format!(
                "sum: expected lists after a list to start from, found {}",
                list.kind()
            )));
        }
        charge(state, slots(&list).saturating_add(SLOT))?;
        for item in list.try_iter()?.checked() {
            all.push(item?);
        }
    }
    Ok(Value::from(all))
}

/// The items of a list with equal attributes together; pays for sorting them.
fn groupby(
    state: &State<'_, '_>,
    list: Value,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    if list.is_undefined() && state.undefined_behavior() == UndefinedBehavior::Strict {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let length = list.len().unwrap_or(0);
    charge(state, slots(&list).saturating_mul(length.max(2).ilog2() as usize))?;
    measured(state, filters::groupby(list, attribute, options)?)
}

fn times(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    for (repeated, count) in [(a, b), (b, a)] {
        let size = match repeated.as_str() {
            Some(text) => text.len(),
            None if is_list(repeated) => slots(repeated),
            None => continue,
        };
        ensure(state, size.saturating_mul(count.as_usize().unwrap_or(0)))?;
    }
    answer(state, &MULTIPLY, &[a, b])
}

fn concat(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<Value, Error> {
    let (a, b) = (text_of(state, a)?, text_of(state, b)?);
    ensure(state, a.len() + b.len())?;
    Ok(Value::from(a + &b))
}

fn slice(
    state: &State<'_, '_>,
    of: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    if of.is_undefined() && state.undefined_behavior() == UndefinedBehavior::Strict {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    ensure(state, of.as_str().map_or_else(|| slots(of), str::len))?;
    answer(state, &CUT, &[of, start, stop, step])
}
