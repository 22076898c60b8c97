//! Operators of templates that pay for their values before they make them.
//!
//! minijinja charges fuel for most of what a template does, but joins, repeats and cuts lists lazily and for nothing, and
//! puts values into lists without looking at them: a list that is joined to itself sixty times, or holds itself twice on each
//! of sixty levels, is small until something walks over it. So these few instructions of a compiled template are replaced by
//! filters here, under names that no template can spell. Lists are lists then, no longer lazy ones, and values that are put
//! into others are measured, also those that are kept in a namespace, which could hold itself otherwise. What an operator gives
//! is still minijinja's own answer, but for `~`, which prints as Python does. Where they are put in is in `rewrite.rs`, what
//! comparing costs in `compared.rs`.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, State, UndefinedBehavior, Value, filters};

use super::{deadline, invalid, text_of};
use crate::python::print::MAX_DEPTH;

/// Bytes for which one unit of fuel pays, in minijinja.
const BYTES_PER_FUEL: u64 = 64;
/// Bytes of a place in a list, by minijinja's account.
pub const SLOT: usize = 32;
pub const PLUS: &str = "+";
pub const TIMES: &str = "*";
pub const CONCAT: &str = "~";
pub const SLICE: &str = "[:]";
pub const LIST: &str = "[]";
pub const TUPLE: &str = "()";
pub const MAP: &str = "{}";
pub const KWARGS: &str = "**";
pub const KEEP: &str = ".=";

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
        // A key is read to find its place.
        pairs.0.chunks(2).try_for_each(|pair| measure(state, &pair[0], true).map(|_| ()))?;
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
    env.add_filter("sum", sum);
    // Jinja has none of these: two join lists lazily, one shows all there is.
    env.remove_filter("chain");
    env.remove_filter("zip");
    env.remove_global("debug");
}

/// Refuses to make a value of so many bytes if the fuel that is left would not pay for it.
///
/// # Errors
/// That it would not.
pub fn ensure(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    deadline::check()?;
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
    deadline::check()?;
    state.consume_fuel(bytes as u64 / BYTES_PER_FUEL)
}

/// The bytes of a value as if no part of it were shared, with or without those of its texts; the template pays for them.
///
/// # Errors
/// A value that nests too deep, or is too large for the fuel that is left.
pub fn measure(state: &State<'_, '_>, value: &Value, texts: bool) -> Result<usize, Error> {
    walked(state, texts, false, |walk| walk.value(value, 0))
}

/// Pays for comparing two values: for the bytes of the shorter of two texts, and all that stands at the same places of two lists.
///
/// # Errors
/// Values that nest too deep, or are too large for the fuel that is left.
pub fn compare(state: &State<'_, '_>, a: &Value, b: &Value) -> Result<(), Error> {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => charge(state, a.len().min(b.len())),
        _ => walked(state, true, false, |walk| walk.pair(a, b, 0)).map(|_| ()),
    }
}

/// Looks for a value in a list, and pays for as many comparisons as it takes; `found` is told of each place and says whether to stop.
///
/// # Errors
/// Those of [`compare`].
pub fn search(
    state: &State<'_, '_>,
    list: &Value,
    wanted: &Value,
    mut found: impl FnMut(usize) -> bool,
) -> Result<(), Error> {
    walked(state, true, false, |walk| {
        for (place, item) in list.try_iter()?.checked().enumerate() {
            let item = item?;
            walk.pair(&item, wanted, 0)?;
            if item == *wanted && found(place) {
                break;
            }
        }
        Ok(())
    })
    .map(|_| ())
}

/// Goes over values and pays for their bytes, which are given back.
fn walked(
    state: &State<'_, '_>,
    texts: bool,
    plain: bool,
    over: impl FnOnce(&mut Walk) -> Result<(), Error>,
) -> Result<usize, Error> {
    let all = fuel_left(state).saturating_mul(BYTES_PER_FUEL);
    let mut walk = Walk { texts, plain, left: all };
    over(&mut walk)?;
    let bytes = usize::try_from(all - walk.left).unwrap_or(usize::MAX);
    charge(state, bytes)?;
    Ok(bytes)
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
        walked(state, false, true, |walk| walk.value(&value, 0))?;
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
        self.pay(0, depth)?;
        if self.plain && is_changeable(value) {
            let said = "expected data to keep in a namespace, found a namespace, a macro or another object";
            return Err(invalid(said.to_owned()));
        }
        let text = value.as_str().filter(|_| self.texts).map_or(0, str::len);
        self.pay(SLOT + text, depth)?;
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

    /// What it takes to compare two values until they differ, or more.
    fn pair(&mut self, a: &Value, b: &Value, depth: usize) -> Result<(), Error> {
        let text = a.as_str().zip(b.as_str()).map_or(0, |(a, b)| a.len().min(b.len()));
        self.pay(SLOT + text, depth)?;
        if is_list(a) && is_list(b) {
            for (a, b) in a.try_iter()?.checked().zip(b.try_iter()?.checked()) {
                self.pair(&a?, &b?, depth + 1)?;
            }
        } else if a.kind() == ValueKind::Map && b.kind() == ValueKind::Map {
            self.value(a, depth)?;
        }
        Ok(())
    }

    fn pay(&mut self, bytes: usize, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid(format!("expected values nested at most {MAX_DEPTH} deep, found more")));
        }
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or_else(|| Error::from(ErrorKind::OutOfFuel))?;
        Ok(())
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
    charge(state, of.as_str().map_or_else(|| slots(of), str::len))?;
    answer(state, &CUT, &[of, start, stop, step])
}
