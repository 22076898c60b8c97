//! MATH in the form of Minerva: four worked examples, a fixed last sentence, a normal form without units.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `minerva_math_*`; the normal form is that of appendix D.1 of
//! Lewkowycz et al. 2022 (arXiv:2206.14858). Answers that differ as texts are also equal there if a computer
//! algebra system finds so; here only numbers and fractions of numbers are compared by value, so an
//! answer in another algebraic form counts as wrong.

use std::sync::LazyLock;

use serde_json::Value;

use super::hendrycks_math::with_answers;
use super::{DocValue, Document, NativeError, Values, text};
use crate::python::regex::PyRegex;
use crate::python::text as python;

/// Replaced one after the other.
const SUBSTITUTIONS: [(&str, &str); 10] = [
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
];
/// Removed in this order: words (units, mostly) and pieces of LaTeX.
const REMOVED: &str = "square ways integers dollars mph inches ft hours km units \\ldots sue points feet minutes digits cents \
     degrees cm gm pounds meters meals edges students childrentickets multiples \\text{s} \\text{.} \\text{\ns} \\text{}^2 \
     \\text{}^3 \\text{\n} \\text{} \\mathrm{th} ^\\circ ^{\\circ} \\; ,\\! {,}";
const REMOVED_LAST: [&str; 2] = ["\"", "\\dots"];

struct Patterns {
    /// Each word of [`REMOVED`] as a word of its own.
    words: Vec<PyRegex>,
    command: PyRegex,
    /// What each match becomes, one after the other.
    rewritten: Vec<(PyRegex, &'static str)>,
    thousands: PyRegex,
    last_sentence: PyRegex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let words = REMOVED.split(' ').filter(|word| is_word(word));
    Patterns {
        words: words.map(|word| PyRegex::ours(&format!(r"(?<!\\)\b{word}\b"))).collect(),
        command: PyRegex::ours(r"\\[a-zA-Z]+"),
        rewritten: [
            (r"(.*?)(\$)(.*?)(\$)(.*)", r"$\3$"),
            (r"(\\text\{)(.*?)(\})", r"\2"),
            (r"(\\textbf\{)(.*?)(\})", r"\2"),
            (r"(\\overline\{)(.*?)(\})", r"\2"),
            (r"(\\boxed\{)(.*)(\})", r"\2"),
            (r"(frac)([^{])(.)", r"frac{\2}{\3}"),
            (r"(sqrt)(\[[^\]]*\])(\w)", r"sqrt\2{\3}"),
            (r"(sqrt)(?!\[)([^{])", r"sqrt{\2}"),
        ]
        .map(|(pattern, to)| (PyRegex::ours(pattern), to))
        .into(),
        thousands: PyRegex::ours(r"\A-?\d{1,3}(,\d{3})+\Z"),
        last_sentence: PyRegex::ours(r"Final Answer: The final answer is(.*?). I hope it is correct."),
    }
});

fn is_word(text: &str) -> bool {
    text.chars().all(char::is_alphabetic)
}

pub fn doc_to_text(document: &Document) -> Result<Value, String> {
    Ok(format!("Problem:\n{}\n\nSolution:", text(document, "problem")?).into())
}

/// Adds the `answer` in the last box of the solution, in normal form.
pub fn process_docs(documents: Vec<Document>) -> Result<Vec<Document>, NativeError> {
    with_answers(documents, normal_form)
}

/// `exact_match`.
pub fn process_results(document: &Document, answer: &str) -> Result<Values, String> {
    let patterns = &*PATTERNS;
    // An answer that was cut short may still lack its last words.
    let found = patterns.last_sentence.search(&format!("{answer}I hope it is correct."))?;
    let stated = found.and_then(|groups| groups.into_iter().nth(1).flatten());
    let stated = stated.as_deref().map_or("[invalidanswer]", python::strip);
    let (ours, right) = (normal_form(stated)?, text(document, "answer")?);
    let equal = (!ours.is_empty() && ours == right)
        || matches!((number(&ours), number(right)), (Some(a), Some(b)) if same(a, b));
    Ok(vec![("exact_match", DocValue::Number(f64::from(equal)))])
}

/// The normal form of an answer.
fn normal_form(answer: &str) -> Result<String, String> {
    let patterns = &*PATTERNS;
    let mut text = answer.rsplit('=').next().unwrap_or(answer).to_owned();
    for word in &patterns.words {
        text = word.remove(&text)?;
    }
    for (from, to) in SUBSTITUTIONS {
        text = text.replace(from, to);
    }
    for removed in REMOVED.split(' ').chain(REMOVED_LAST) {
        text = if is_word(removed) {
            outside_commands(&patterns.command, &text, removed)?
        } else {
            text.replace(removed, "")
        };
    }
    for (pattern, to) in &patterns.rewritten {
        text = pattern.sub(to, &text, 0)?;
    }
    text = text.replace('$', "");
    if patterns.thousands.is_match(&text)? {
        text = text.replace(',', "");
    }
    Ok(text)
}

/// The text without a word, but for LaTeX commands that hold it (`\left` holds `ft`).
fn outside_commands(command: &PyRegex, text: &str, word: &str) -> Result<String, String> {
    const MARK: char = '\0';
    let mut commands = Vec::new();
    let plain = command.replace(&text.replace(MARK, ""), |groups| {
        commands.push(groups[0].to_owned());
        Ok(MARK.to_string())
    })?;
    let mut commands = commands.into_iter();
    let mut out = String::with_capacity(text.len());
    for (i, piece) in plain.split(MARK).enumerate() {
        if i > 0 {
            out.push_str(&commands.next().expect("each mark stands for a command"));
        }
        out.push_str(&piece.replace(word, ""));
    }
    Ok(out)
}

/// A number as a quotient of whole ones: `-3`, `2.50`, `\frac{3}{4}`.
fn number(text: &str) -> Option<(i128, i128)> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let whole = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse::<i128>().ok() } else { None }
    };
    if let Some(inner) = text.strip_prefix("\\frac{").and_then(|t| t.strip_suffix('}')) {
        let (above, below) = inner.split_once("}{")?;
        let below = whole(below).filter(|below| *below != 0)?;
        return Some((whole(above)?.checked_mul(sign)?, below));
    }
    let (before, after) = text.split_once('.').unwrap_or((text, ""));
    if after.is_empty() {
        return if text.ends_with('.') { None } else { Some((whole(before)?.checked_mul(sign)?, 1)) };
    }
    let scale = 10i128.checked_pow(u32::try_from(after.len()).ok().filter(|n| *n <= 15)?)?;
    let value = whole(before)?.checked_mul(scale)?.checked_add(whole(after)?)?;
    Some((value.checked_mul(sign)?, scale))
}

fn same((a, b): (i128, i128), (c, d): (i128, i128)) -> bool {
    matches!((a.checked_mul(d), c.checked_mul(b)), (Some(x), Some(y)) if x == y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Each line is what the Python original gives.
    #[test]
    fn normal_forms() {
        for (text, wanted) in [
            ("x = 5", "5"),
            ("2\\pi cm", "2\\pi"),
            ("\\left(3, 4\\right)", "\\left(3,4\\right)"),
            ("$\\frac12$", "\\frac{1}{2}"),
            ("\\sqrt3", "\\sqrt{3}"),
            ("\\sqrt[3]8", "\\sqrt[3]{8}"),
            ("100,000", "100000"),
            ("0,1", "0,1"),
            ("5 \\text{ hours}", "5"),
            ("30^\\circ", "30"),
            ("\\text{Monday}", "Monday"),
            ("an apple", "apple"),
        ] {
            assert_eq!(normal_form(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn the_last_sentence_is_graded() {
        let document = json!({"problem": "p", "solution": "\\boxed{\\frac{1}{2}}"});
        let document = process_docs(vec![document.as_object().cloned().unwrap()]).unwrap().remove(0);
        assert_eq!(document["answer"], "\\frac{1}{2}");
        let grade = |answer: &str| process_results(&document, answer).unwrap()[0].1 == DocValue::Number(1.0);
        assert!(grade("x\nFinal Answer: The final answer is $\\frac{1}{2}$. I hope it is correct."));
        assert!(grade("Final Answer: The final answer is $0.5$. "));
        assert!(!grade("Final Answer: The final answer is $2$. I hope it is correct."));
        assert!(!grade("The answer is 1/2"));
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let equal = |a, b| matches!((number(a), number(b)), (Some(a), Some(b)) if same(a, b));
        assert!(equal("0.50", "\\frac{1}{2}") && equal("-3", "-3.0") && equal("007", "7"));
        assert!(!equal("1", "2") && !equal("x", "x") && !equal("\\frac{1}{0}", "1") && !equal("1.", "1"));
    }
}
