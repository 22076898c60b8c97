//! Against answers that Python gave (`tests/fixtures/python/make.py`).

use minijinja::{Environment, Value as TemplateValue};
use serde_json::{Value, json};

use super::literal;
use super::print::{self, Json, to_value};
use super::regex::{Found, PyRegex};
use super::text::capitalize;

fn recorded(name: &str) -> Value {
    let text = match name {
        "regex" => include_str!("../../tests/fixtures/python/regex.json"),
        _ => include_str!("../../tests/fixtures/python/text.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn rows<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Vec<Value>> {
    value[key].as_array().unwrap().iter().map(|row| row.as_array().unwrap())
}

/// Fails with all differences at once.
fn none_differ(differences: Vec<String>) {
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

fn findall(regex: &PyRegex, text: &str) -> Value {
    let found = regex.find_all(text).unwrap().into_iter().map(|found| match found {
        Found::Text(text) => json!(text),
        Found::Groups(groups) => json!(groups),
    });
    found.collect()
}

/// Start and end in characters, then the groups.
fn search(regex: &PyRegex, text: &str) -> Value {
    let Some(groups) = regex.search(text).unwrap() else { return Value::Null };
    let mut rest = 0;
    let before = regex.replace_up_to(1, text, |groups| {
        rest = groups[0].chars().count();
        Ok(String::from("\0"))
    });
    let start =
        before.unwrap().chars().zip(text.chars().chain(['\u{1}'])).take_while(|(a, b)| a == b).count();
    let mut out = vec![json!(start), json!(start + rest)];
    out.extend(groups.into_iter().skip(1).map(|group| json!(group)));
    Value::Array(out)
}

#[test]
fn patterns_find_and_replace_what_python_s_do() {
    let mut differences = Vec::new();
    for case in recorded("regex")["cases"].as_array().unwrap() {
        let pattern = case["pattern"].as_str().unwrap();
        let regex = match PyRegex::new(pattern) {
            Ok(regex) => regex,
            Err(error) => {
                differences.push(format!("{pattern:?}: {error}"));
                continue;
            }
        };
        let anchored = PyRegex::new(&format!(r"\A(?:{pattern})"));
        for answer in case["answers"].as_array().unwrap() {
            let text = answer["text"].as_str().unwrap();
            let mut compare = |what: &str, ours: Value| {
                if ours != answer[what] {
                    differences
                        .push(format!("{what} of {pattern:?} in {text:?}: {ours}, not {}", answer[what]));
                }
            };
            compare("findall", findall(&regex, text));
            compare("sub", json!(regex.replace(text, |groups| Ok(format!("<{}>", groups[0]))).unwrap()));
            if !text.contains('\0') {
                compare("search", search(&regex, text));
            }
            // Global flags stand at the start, where nothing may be put before them.
            if let Ok(anchored) = &anchored {
                let end =
                    anchored.search(text).unwrap().map(|groups| groups[0].as_ref().unwrap().chars().count());
                compare("match", json!(end));
            }
        }
    }
    none_differ(differences);
}

#[test]
fn what_python_refuses_and_what_is_unknown_here_is_refused() {
    let recorded = recorded("regex");
    let mut differences = Vec::new();
    for pattern in ["refused", "unsupported"].iter().flat_map(|key| recorded[*key].as_array().unwrap()) {
        let pattern = pattern.as_str().unwrap();
        if PyRegex::new(pattern).is_ok() {
            differences.push(format!("{pattern:?} is taken"));
        }
    }
    none_differ(differences);
}

#[test]
fn replacements_are_python_s() {
    let mut differences = Vec::new();
    for row in rows(&recorded("regex"), "substitutions") {
        let [pattern, replacement, text] = [0, 1, 2].map(|i| row[i].as_str().unwrap());
        let count = row[3].as_u64().unwrap() as usize;
        let ours = PyRegex::new(pattern).unwrap().sub(replacement, text, count).ok();
        if json!(ours) != row[4] {
            differences.push(format!("{row:?}: {ours:?}"));
        }
    }
    none_differ(differences);
}

#[test]
fn values_print_as_python_prints_them() {
    let recorded = recorded("text");
    let mut differences = Vec::new();
    for row in rows(&recorded, "repr") {
        let ours = print::repr_data(&row[0]);
        if row[1] != ours.as_str() {
            differences.push(format!("{}: {ours}, not {}", row[0], row[1]));
        }
    }
    for row in rows(&recorded, "floats") {
        let [repr, dumped] = [0, 1].map(|i| row[i].as_str().unwrap());
        let number: f64 = repr.parse().unwrap();
        assert_eq!(print::float(number), repr);
        assert_eq!(print::json(&TemplateValue::from(number), &Json::new(None)).unwrap(), dumped);
    }
    for row in rows(&recorded, "json") {
        let given = &row[1];
        let text = |i: usize| row[1]["separators"][i].as_str().map(str::to_owned);
        let mut style = Json::new(given["indent"].as_u64().map(|n| n as usize));
        style.ensure_ascii = given["ensure_ascii"].as_bool().unwrap_or(true);
        style.sort_keys = given["sort_keys"].as_bool().unwrap_or(false);
        style.item = text(0).unwrap_or(style.item);
        style.key = text(1).unwrap_or(style.key);
        let ours = print::json(&to_value(&row[0]), &style).unwrap();
        if row[2] != ours.as_str() {
            differences.push(format!("{} with {given}: {ours}, not {}", row[0], row[2]));
        }
    }
    none_differ(differences);
}

/// Keys that are no texts; Python: `json.dumps({True: 1, None: 2, 3: 4, 1.5: 5})`, `repr((1, ()))`.
#[test]
fn keys_and_tuples_print_as_in_python() {
    let env = Environment::new();
    let shown = |source: &str| {
        let value = env.compile_expression(source).unwrap().eval(()).unwrap();
        let json = print::json(&value, &Json::new(None)).unwrap();
        format!("{json} {}", print::repr(&value).unwrap())
    };
    assert_eq!(
        shown("{true: 1, none: 2, 3: 4, 1.5: 5}"),
        "{\"true\": 1, \"null\": 2, \"3\": 4, \"1.5\": 5} {True: 1, None: 2, 3: 4, 1.5: 5}"
    );
    assert_eq!(shown("(1, (), ('a',))"), "[1, [], [\"a\"]] (1, (), ('a',))");
}

#[test]
fn methods_of_texts_are_python_s() {
    let mut env = Environment::new();
    env.set_unknown_method_callback(super::jinja::methods::method);
    let recorded = recorded("text");
    let mut differences = Vec::new();
    for row in rows(&recorded, "methods") {
        let (name, wanted) = (row[1].as_str().unwrap(), row.last().unwrap());
        let arguments: Vec<TemplateValue> = row[2..row.len() - 1].iter().map(to_value).collect();
        let given: Vec<String> = (0..arguments.len()).map(|i| format!("a[{i}]")).collect();
        let call = format!("t.{name}({})", given.join(", "));
        let variables = TemplateValue::from_pairs([("t", to_value(&row[0])), ("a", arguments.into())]);
        let ours = env.compile_expression(&call).unwrap().eval(variables).map_err(|error| error.to_string());
        let ours = ours.and_then(|value| print::json(&value, &Json::new(None)));
        let ours = ours.map(|text| serde_json::from_str::<Value>(&text).unwrap());
        if ours.as_ref().ok() != Some(wanted) {
            differences.push(format!("{row:?}: {ours:?}"));
        }
    }
    for row in rows(&recorded, "titles") {
        let ours = capitalize(row[0].as_str().unwrap());
        if row[1] != ours.as_str() {
            differences.push(format!("title of {}: {ours}, not {}", row[0], row[1]));
        }
    }
    none_differ(differences);
}

#[test]
fn literals_read_as_in_python() {
    let recorded = recorded("text");
    let mut differences = Vec::new();
    for row in rows(&recorded, "literals") {
        let ours = literal::parse(row[0].as_str().unwrap());
        if ours.as_ref() != Ok(&row[1]) {
            differences.push(format!("{}: {ours:?}, not {}", row[0], row[1]));
        }
    }
    for text in recorded["no_literals"].as_array().unwrap() {
        if let Ok(value) = literal::parse(text.as_str().unwrap()) {
            differences.push(format!("{text} is read as {value}"));
        }
    }
    none_differ(differences);
}
