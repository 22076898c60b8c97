//! What a template pays for comparing, sorting and looking up.
//!
//! minijinja pays for a comparison by what is in two lists, whatever the length of texts, and goes through the characters of a
//! text for nothing where one is looked up by its place or a loop begins: with texts of some megabytes and the fuel for a million
//! steps a template would take hours. Here texts are paid for by their bytes, and lists by all that is in them.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters, tests};

use super::bounded::{charge, compare, measure, search};
use super::deadline;

pub const EQUAL: &str = "a==b";
pub const UNEQUAL: &str = "a!=b";
pub const LESS: &str = "a<b";
pub const AT_MOST: &str = "a<=b";
pub const MORE: &str = "a>b";
pub const AT_LEAST: &str = "a>=b";
/// Two values that are compared, as a pair.
pub const PAIR: &str = "(a,b)";
/// A value whose characters are gone through.
pub const TEXT: &str = "a[]";
/// A key.
pub const KEY: &str = "[b]";
/// Nothing but a look at the time.
pub const TIME: &str = "?";
/// `loop.changed`.
pub const CHANGED: &str = ".changed";

/// A filter that keeps some items of a list by a path of attributes and a test.
type ByAttribute = fn(
    &mut State<'_, '_>,
    Value,
    Cow<'_, str>,
    Option<Cow<'_, str>>,
    Rest<ValueOrKwargs>,
) -> Result<Vec<Value>, Error>;
type Comparison = fn(&Value, &Value) -> bool;

/// The names of operators, of the tests that are the same, and what they say.
const COMPARISONS: [(&str, &[&str], Comparison); 6] = [
    (EQUAL, &["==", "eq", "equalto"], |a, b| a == b),
    (UNEQUAL, &["!=", "ne"], |a, b| a != b),
    (LESS, &["<", "lt", "lessthan"], |a, b| a < b),
    (AT_MOST, &["<=", "le"], |a, b| a <= b),
    (MORE, &[">", "gt", "greaterthan"], |a, b| a > b),
    (AT_LEAST, &[">=", "ge"], |a, b| a >= b),
];

/// Adds the operators, tests and filters to an environment.
pub fn install(env: &mut Environment<'static>) {
    for (operator, names, holds) in COMPARISONS {
        env.add_test(operator, move |state: &State<'_, '_>, a: &Value, b: &Value| {
            defined(state, a)?;
            defined(state, b)?;
            compare(state, a, b)?;
            Ok::<_, Error>(holds(a, b))
        });
        for name in names {
            env.add_test(*name, move |state: &State<'_, '_>, a: &Value, b: &Value| {
                compare(state, a, b)?;
                Ok::<_, Error>(holds(a, b))
            });
        }
    }
    env.add_filter(PAIR, |state: &State<'_, '_>, a: &Value, b: &Value| {
        compare(state, a, b)?;
        pay_for_search(state, a, b)?;
        // The first of a pair that is taken apart is the last on the stack.
        Ok::<_, Error>(Value::from(Tuple::from([b.clone(), a.clone()])))
    });
    env.add_test(TEXT, |state: &State<'_, '_>, value: ValueOrKwargs| {
        charge(state, value.as_str().map_or(0, str::len))?;
        Ok::<_, Error>(true)
    });
    env.add_test(KEY, |state: &State<'_, '_>, key: &Value| pay_for_key(state, key).map(|()| true));
    env.add_test(TIME, |_: &State<'_, '_>| deadline::check().map(|()| true));
    env.add_filter(CHANGED, changed);
    env.add_test("in", |state: &State<'_, '_>, value: &Value, of: &Value| {
        pay_for_search(state, value, of)?;
        tests::is_in(state, value, of)
    });
    env.add_test("sameas", |state: &State<'_, '_>, a: &Value, b: &Value| {
        compare(state, a, b)?;
        Ok::<_, Error>(tests::is_sameas(a, b))
    });
    for (name, is) in [("lower", tests::is_lower as fn(&Value) -> bool), ("upper", tests::is_upper)] {
        env.add_test(name, move |state: &State<'_, '_>, value: &Value| {
            charge(state, value.as_str().map_or(0, str::len))?;
            Ok::<_, Error>(is(value))
        });
    }
    // Other values are written as texts for these two.
    for (name, at_start) in [("startingwith", true), ("endingwith", false)] {
        env.add_test(name, move |state: &State<'_, '_>, value: &Value, part: &Value| {
            measure(state, value, true)?;
            measure(state, part, true)?;
            let (value, part) = (value.to_string(), part.to_string());
            Ok::<_, Error>(if at_start { value.starts_with(&part) } else { value.ends_with(&part) })
        });
    }
    install_filters(env);
}

fn install_filters(env: &mut Environment<'static>) {
    type Filter = fn(&State<'_, '_>, Value, Kwargs) -> Result<Value, Error>;
    let ordering: [(&str, Filter); 4] =
        [("sort", filters::sort), ("unique", filters::unique), ("min", filters::min), ("max", filters::max)];
    for (name, filter) in ordering {
        env.add_filter(name, move |state: &State<'_, '_>, list: Value, options: Kwargs| {
            let attribute = options.peek::<Option<&str>>("attribute").ok().flatten();
            pay_for_sort(state, &list, attribute, !matches!(name, "min" | "max"))?;
            filter(state, list, options)
        });
    }
    env.add_filter("dictsort", |state: &State<'_, '_>, map: &Value, options: Kwargs| {
        pay_for_sort(state, map, None, true)?;
        filters::dictsort(map, options)
    });
    env.add_filter("groupby", groupby);
    env.add_filter("attr", |state: &State<'_, '_>, value: &Value, key: &Value| {
        pay_for_key(state, key)?;
        charge(state, value.as_str().map_or(0, str::len))?;
        filters::attr(value, key)
    });
    env.add_filter("map", |state: &mut State<'_, '_>, list: Value, args: Rest<ValueOrKwargs>| {
        for options in args.iter().filter(|arg| arg.is_kwargs()) {
            pay_for_attribute(state, &list, options.get_attr("attribute")?.as_str())?;
        }
        filters::map(state, list, args)
    });
    let by_attribute: [(&str, ByAttribute); 2] =
        [("selectattr", filters::selectattr), ("rejectattr", filters::rejectattr)];
    for (name, filter) in by_attribute {
        env.add_filter(
            name,
            move |state: &mut State<'_, '_>,
                  list: Value,
                  path: Cow<'_, str>,
                  test: Option<Cow<'_, str>>,
                  args: Rest<ValueOrKwargs>| {
                pay_for_attribute(state, &list, Some(&path))?;
                filter(state, list, path, test, args)
            },
        );
    }
}

/// That an operand is defined, where it has to be.
fn defined(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.is_undefined() && state.undefined_behavior() == UndefinedBehavior::Strict {
        true => Err(Error::from(ErrorKind::UndefinedError)),
        false => Ok(()),
    }
}

/// For looking a value up in a text, a list or a map; the bytes of a text are paid for by the engine.
fn pay_for_search(state: &State<'_, '_>, value: &Value, of: &Value) -> Result<(), Error> {
    match of.kind() {
        ValueKind::Seq | ValueKind::Iterable => search(state, of, value, |_| true),
        ValueKind::Map => pay_for_key(state, value),
        // What is no text is written as one.
        ValueKind::String if value.as_str().is_none() => measure(state, value, true).map(|_| ()),
        _ => Ok(()),
    }
}

fn pay_for_key(state: &State<'_, '_>, key: &Value) -> Result<(), Error> {
    match key.as_str() {
        Some(text) => charge(state, text.len()),
        None if key.as_object().is_some() => measure(state, key, true).map(|_| ()),
        None => Ok(()),
    }
}

/// For reading a path of attributes of each of a list's items.
fn pay_for_attribute(state: &State<'_, '_>, list: &Value, path: Option<&str>) -> Result<(), Error> {
    charge(state, path.map_or(0, str::len).saturating_mul(list.len().unwrap_or(0)))
}

/// For going over the items of a list or map and comparing each with some others, or with one.
fn pay_for_sort(
    state: &State<'_, '_>,
    items: &Value,
    attribute: Option<&str>,
    with_some: bool,
) -> Result<(), Error> {
    pay_for_attribute(state, items, attribute)?;
    let bytes = measure(state, items, true)?;
    let others = if with_some { items.len().unwrap_or(0).max(2).ilog2() as usize } else { 1 };
    charge(state, bytes.saturating_mul(others))
}

/// The items of a list with equal attributes together.
fn groupby(
    state: &State<'_, '_>,
    list: Value,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    defined(state, &list)?;
    let named = options.peek::<Option<&str>>("attribute").ok().flatten();
    pay_for_sort(state, &list, attribute.or(named), true)?;
    let groups = filters::groupby(list, attribute, options)?;
    measure(state, &groups, false)?;
    Ok(groups)
}

/// `loop.changed(…)`, which compares its arguments with those before.
fn changed(state: &mut State<'_, '_>, args: Rest<Value>) -> Result<Value, Error> {
    let (of, args) = args.split_first().expect("a method is called on a value");
    for arg in args {
        measure(state, arg, true)?;
    }
    of.call_method(state, "changed", args)
}
