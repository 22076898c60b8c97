//! BIG-Bench Hard without examples: answers picked out of free text.
//!
//! Behaviour of lm-evaluation-harness 0.4.13, tasks `bbh_zeroshot_*` and `bbh_cot_zeroshot_*` (Suzgun et al. 2022,
//! arXiv:2210.09261). Where the original stops with an error, over number words that make no number, the
//! answer counts as not found.

use std::sync::LazyLock;

use serde_json::Value;

use super::{Document, FilterResult, number_words, text};
use crate::python::regex::{Found, PyRegex};
use crate::tasks::filters::{self, FilterArgs, Ignores, Select, find_in_each};

/// A choice of a question: what follows its letter, up to the end of the line or the next bracket.
static CHOICE: LazyLock<PyRegex> = LazyLock::new(|| PyRegex::ours(r"\([A-Z]\)([^\n^(]*)"));

/// Number words that read as one number; the last of them must be whole.
static NUMBER_WORDS: LazyLock<PyRegex> = LazyLock::new(|| {
    let ones = "zero|one|two|three|four|five";
    let stems = "(?:twen|thir|for|fif|six|seven|nine)";
    let larger = "ten|eleven|twelve|fourteen|hundred|thousand|(?:m|b|tr)illion";
    let whole = format!("{ones}|{stems}(?:teen|ty)|eight(?:een|y)|{larger}");
    // Before it also bare stems, bare "eight" in one place, spaces and "and".
    let first = format!("{ones}|{stems}(?:teen|ty)|eight(?:|een|y)|{larger}");
    let inner = format!("{ones}|{stems}(?:|teen|ty)|eight(?:een|y)|{larger}");
    let between = r"[^\S\r\n]|,|and|&";
    PyRegex::ours(&format!("((?:(?:{first})(?:{inner}|{between})+)?(?:{whole}))"))
});

/// Choices that stand in the question, by letter or text.
pub fn multi_choice(args: FilterArgs) -> FilterResult {
    filters::multi_choice(args, choices_in_question)
}

fn choices_in_question(document: &Document) -> Result<Vec<String>, String> {
    let found = CHOICE.find_all(text(document, "input")?)?;
    Ok(found.into_iter().filter_map(Found::first_text).collect())
}

/// A number in digits, or else in English words.
pub fn number_parse(mut args: FilterArgs) -> FilterResult {
    let regex = args.text("regex_pattern")?.ok_or("regex_pattern: missing; it finds numbers in digits")?;
    let regex = PyRegex::new(&regex)?;
    let select = Select::read(&mut args)?;
    Ignores::read(&mut args)?;
    args.done()?;
    Ok(find_in_each(select.fallback(), move |_, answer| {
        let mut found = select.find(&regex, answer)?.filter(|text| !text.is_empty());
        if found.is_none() {
            let spelled = select.find(&NUMBER_WORDS, &answer.to_lowercase())?;
            found = spelled.and_then(|words| number_words::read(&words)).map(|number| number.to_string());
        }
        Ok(found.map(Value::String))
    }))
}

/// The value of the first pattern that what was found fits.
pub fn map_regex(mut args: FilterArgs) -> FilterResult {
    let map = args.map("regex_pattern_to_value")?;
    let any = PyRegex::new(&map.keys().map(String::as_str).collect::<Vec<_>>().join("|"))?;
    let values = map.into_iter().map(|(pattern, value)| Ok((PyRegex::new(&pattern)?, value)));
    let values: Vec<(PyRegex, Value)> = values.collect::<Result<_, String>>()?;
    let select = Select::read(&mut args)?;
    let ignores = Ignores::read(&mut args)?;
    args.done()?;
    Ok(find_in_each(select.fallback(), move |_, answer| {
        let found = select.find(&any, &ignores.apply(answer)?)?;
        if let Some(found) = found.filter(|text| !text.is_empty()) {
            let found = ignores.apply(&found)?;
            for (regex, value) in &values {
                if select.find(regex, &found)?.is_some_and(|text| !text.is_empty()) {
                    return Ok(Some(value.clone()));
                }
            }
        }
        Ok(None)
    }))
}

/// The words of the list in the question, in the order of their last places in the answer.
pub fn word_sort(args: FilterArgs) -> FilterResult {
    args.done()?;
    Ok(find_in_each("".into(), |document, answer| {
        let question = text(document, "input")?;
        let list = question.split("List:").nth(1).ok_or("the column \"input\" has no \"List:\"")?;
        let words: Vec<String> = list.split_whitespace().map(|word| format!(r"\b{word}\b")).collect();
        let mut order: Vec<String> = Vec::new();
        for word in
            PyRegex::new(&words.join("|"))?.find_all(answer)?.into_iter().filter_map(Found::first_text)
        {
            order.retain(|known| *known != word);
            order.push(word);
        }
        Ok((!order.is_empty()).then(|| order.join(" ").into()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(build: fn(FilterArgs) -> FilterResult, kwargs: Value, input: &str, answer: &str) -> Value {
        let filter = build(FilterArgs::new(kwargs.as_object().unwrap())).unwrap();
        let document = json!({"input": input});
        filter.apply(document.as_object().unwrap(), vec![answer.into()]).unwrap().answers.remove(0)
    }

    #[test]
    fn choices_come_from_the_question() {
        let question = "Which one?\nOptions:\n(A) midsize old sweater\n(B) old midsize sweater";
        let kwargs =
            json!({"regex_pattern": r"(\([A-Z]\))", "ignore_case": true, "ignore_punctuation": true});
        for (answer, wanted) in [
            (" (A)", "(A)"),
            ("It is the Old midsize sweater.", "(B)"),
            ("Answer: A", "(A)"),
            ("neither", "[invalid]"),
        ] {
            assert_eq!(run(multi_choice, kwargs.clone(), question, answer), wanted, "{answer}");
        }
    }

    /// Each line is what the Python original gives.
    #[test]
    fn numbers_in_digits_and_words() {
        let kwargs = json!({"regex_pattern": "([-0-9]+)"});
        for (answer, wanted) in [
            ("I count 12 of 13", "12"),
            ("Twenty two apples", "22"),
            ("there are fourteen", "4"),
            ("twenty-two", "-"),
            ("six", "[invalid]"),
            ("sixty six and seven", "60"),
            ("one hundred and two", "102"),
            ("none", "1"),
            ("many", "[invalid]"),
        ] {
            assert_eq!(run(number_parse, kwargs.clone(), "", answer), wanted, "{answer}");
        }
    }

    #[test]
    fn patterns_stand_for_values() {
        let map = json!({r"\b(no|not plausible)\b": "no", r"\b(yes|plausible)\b": "yes"});
        let kwargs = json!({"regex_pattern_to_value": map, "ignore_case": true});
        for (answer, wanted) in
            [("Not plausible", "no"), ("It is PLAUSIBLE", "yes"), ("perhaps", "[invalid]")]
        {
            assert_eq!(run(map_regex, kwargs.clone(), "", answer), wanted, "{answer}");
        }
    }

    #[test]
    fn words_in_the_order_of_their_last_places() {
        let question = "Sort these. List: syndrome therefrom a";
        let sorted = run(word_sort, json!({}), question, "therefrom, a, syndrome: syndrome a therefrom");
        assert_eq!(sorted, "syndrome a therefrom");
        let filter = word_sort(FilterArgs::new(&serde_json::Map::new())).unwrap();
        let said = filter.apply(json!({"input": "none"}).as_object().unwrap(), vec!["a".into()]).unwrap_err();
        assert!(said.contains("List:"));
    }
}
