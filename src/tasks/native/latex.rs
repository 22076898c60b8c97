//! Answers in LaTeX made comparable: the last box of a solution, and the normal form of MATH's authors.
//!
//! Behaviour of `math_equivalence` of Hendrycks et al. 2021 (arXiv:2103.03874), as AGIEval and
//! lm-evaluation-harness 0.4.13 use it. What raises an exception there is `None` here.

use crate::python::text as python;

/// The last `\boxed{…}` or `\fbox{…}` with its braces matched, from its backslash on.
pub(super) fn last_boxed(text: &str) -> Option<&str> {
    let start = text.rfind("\\boxed").or_else(|| text.rfind("\\fbox"))?;
    let rest = text.get(start..)?;
    let mut open = 0i64;
    for (at, c) in rest.char_indices() {
        match c {
            '{' => open += 1,
            '}' => {
                open -= 1;
                if open == 0 {
                    return rest.get(..=at);
                }
            }
            _ => {}
        }
    }
    None
}

/// As [`last_boxed`], and the form `\boxed 5` that ends before the next `$`, with the box taken off.
pub(super) fn boxed_answer(text: &str) -> Option<&str> {
    if let Some((_, rest)) = text.rsplit_once("\\boxed ") {
        return rest.split('$').next();
    }
    last_boxed(text)?.strip_prefix("\\boxed{")?.strip_suffix('}')
}

/// What to do with a quotient of which a side is no whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotient {
    /// Leave the text as it is (AGIEval).
    Keep,
    /// Give up (MATH).
    Fail,
}

/// Whether two answers, if there are any, are the same in normal form; where one has none, as they are.
pub(super) fn equal(ours: Option<&str>, right: Option<&str>, quotient: Quotient) -> bool {
    let form = |answer: Option<&str>| normal_form(answer?, quotient);
    match (form(ours), form(right)) {
        (Some(ours), Some(right)) => ours == right,
        _ => ours == right,
    }
}

/// The normal form of an answer.
fn normal_form(text: &str, quotient: Quotient) -> Option<String> {
    let mut text = text.replace('\n', "").replace("\\!", "").replace("\\\\", "\\");
    for (from, to) in [
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        text = text.replace(from, to);
    }
    text = without_unit(&text)?;
    text = text.replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    // A short name before a single equals sign is dropped.
    if let [name, value] = text.split('=').collect::<Vec<_>>()[..]
        && name.chars().count() <= 2
    {
        text = value.to_owned();
    }
    text = braced_roots(&text)?.replace(' ', "");
    text = braced_fractions(&text)?;
    if text == "0.5" {
        text = "\\frac{1}{2}".into();
    }
    quotient_as_fraction(text, quotient)
}

/// A unit begins with `\text{ ` and ends the answer.
fn without_unit(text: &str) -> Option<String> {
    let mut parts = text.split("\\text{ ");
    let before = parts.next()?.to_owned();
    match (parts.next(), parts.next()) {
        (None, _) | (Some(_), None) => Some(before),
        _ => None,
    }
}

/// `\sqrt3` is `\sqrt{3}`.
fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let first = part.chars().next()?;
        out.push_str("\\sqrt");
        if first == '{' {
            out.push_str(part);
        } else {
            out.push_str(&format!("{{{first}}}{}", part.get(first.len_utf8()..)?));
        }
    }
    Some(out)
}

/// `\frac12` is `\frac{1}{2}`, and `\frac1{72}` is `\frac{1}{72}`.
fn braced_fractions(text: &str) -> Option<String> {
    let mut parts = text.split("\\frac");
    let mut out = parts.next()?.to_owned();
    for part in parts {
        out.push_str("\\frac");
        let mut chars = part.chars();
        let above = chars.next()?;
        if above == '{' {
            out.push_str(part);
            continue;
        }
        // Too short for a fraction: the whole answer stays as it was.
        let Some(below) = chars.next() else { return Some(text.to_owned()) };
        let rest = chars.as_str();
        match below {
            '{' => out.push_str(&format!("{{{above}}}{below}{rest}")),
            _ => out.push_str(&format!("{{{above}}}{{{below}}}{rest}")),
        }
    }
    Some(out)
}

/// `3/4` is `\frac{3}{4}`, if both are whole numbers in their usual form.
fn quotient_as_fraction(text: String, quotient: Quotient) -> Option<String> {
    let [above, below] = text.split('/').collect::<Vec<_>>()[..] else { return Some(text) };
    match (python_int(above), python_int(below)) {
        (Some(a), Some(b)) if a == above && b == below => Some(format!("\\frac{{{a}}}{{{b}}}")),
        (Some(_), Some(_)) => Some(text),
        _ if quotient == Quotient::Keep => Some(text),
        _ => None,
    }
}

/// The whole number that Python's `int` reads, in its usual form.
fn python_int(text: &str) -> Option<String> {
    let text = python::strip(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let grouped =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !grouped {
        return None;
    }
    let digits = digits.replace('_', "");
    let digits = digits.trim_start_matches('0');
    Some(match (negative, digits) {
        (_, "") => "0".into(),
        (true, digits) => format!("-{digits}"),
        (false, digits) => digits.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_with_their_braces() {
        assert_eq!(last_boxed("a \\boxed{1} b \\boxed{\\frac{1}{2}}."), Some("\\boxed{\\frac{1}{2}}"));
        assert_eq!(last_boxed("\\boxed{1"), None);
        assert_eq!(last_boxed("none"), None);
        assert_eq!(boxed_answer("is \\boxed{x+1}."), Some("x+1"));
        assert_eq!(boxed_answer("is $\\boxed 7$."), Some("7"));
        assert_eq!(boxed_answer("is \\fbox{7}"), None);
    }

    /// Each line is what the Python original gives.
    #[test]
    fn normal_forms() {
        for (text, wanted) in [
            ("\\dfrac12", Some("\\frac{1}{2}")),
            ("\\frac1{72}", Some("\\frac{1}{72}")),
            ("\\frac{1}{2}", Some("\\frac{1}{2}")),
            ("3/4", Some("\\frac{3}{4}")),
            ("-3/04", Some("-3/04")),
            ("x = 5", Some("5")),
            ("xyz = 5", Some("xyz=5")),
            (".5", Some("\\frac{1}{2}")),
            ("5\\text{ cm}", Some("5")),
            ("\\sqrt3 + 1", Some("\\sqrt{3}+1")),
            ("90^\\circ", Some("90")),
            ("50\\%", Some("50")),
            ("", Some("")),
            ("\\sqrt", None),
            ("\\frac", None),
            ("\\frac1", Some("\\frac1")),
            ("1\\text{ a}\\text{ b}", None),
        ] {
            assert_eq!(normal_form(text, Quotient::Keep).as_deref(), wanted, "{text}");
        }
        assert_eq!(normal_form("a/b", Quotient::Keep).as_deref(), Some("a/b"));
        assert_eq!(normal_form("a/b", Quotient::Fail), None);
        assert_eq!(python_int(" +1_000 ").as_deref(), Some("1000"));
        assert_eq!(python_int("1__0"), None);
    }
}
