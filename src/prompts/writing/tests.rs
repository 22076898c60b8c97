use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::super::stop::cut;
use super::*;

/// Byte-level tokens, some of which end within a character (中 is E4 B8 AD) or hold parts of stops.
const TOKENS: [&str; 16] =
    ["a", "b", "#", "##", "a#", "#b", "Ċ", "Ġ", "Ċä", "ä", "¸Ń", "¸", "Ń", "ĊĊ", "aĊ", "Ġ#"];

fn tokenizer() -> Tokenizer {
    let vocabulary: serde_json::Map<_, _> =
        TOKENS.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let special = json!({"id": 16, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                         "normalized": false, "special": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "added_tokens": [special],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []}
    });
    let read = |name: &str| Ok((name == "tokenizer.json").then(|| json.to_string().into_bytes()));
    Tokenizer::from_files(Path::new("a-model"), &read).unwrap()
}

fn id(token: &str) -> u32 {
    TOKENS.iter().position(|known| *known == token).unwrap_or(16) as u32
}

/// What is told token by token, and the answer. The model ends it if nothing else does.
fn written(mut writing: Writing<'_>, tokens: &[&str]) -> (Vec<String>, String, bool) {
    let mut told = Vec::new();
    for token in tokens {
        let goes_on = writing.push(id(token)).is_continue();
        told.push(writing.news().to_owned());
        if !goes_on {
            break;
        }
    }
    writing.close();
    told.push(writing.news().to_owned());
    assert_eq!(told.concat(), writing.answer());
    (told, writing.answer().to_owned(), writing.is_stopped())
}

fn stops(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_may_become_a_stop_is_held_back() {
    let tokenizer = tokenizer();
    let writing = |texts: &[&str]| Writing::new(&tokenizer, &stops(texts));
    let (told, answer, stopped) = written(writing(&["###"]), &["a", "##", "b", "##", "#b", "a"]);
    assert_eq!(
        (told, answer, stopped),
        (vec!["a".into(), "".into(), "##b".into(), "".into(), "".into(), "".into()], "a##b".into(), true)
    );
    // What was held back belongs to the answer if the model ends it there.
    let (told, answer, stopped) = written(writing(&["###"]), &["a#", "#"]);
    assert_eq!((told.last().unwrap().as_str(), answer.as_str(), stopped), ("##", "a##", false));
    // In the middle of a character, and before special tokens are asked about.
    let (_, answer, stopped) = written(writing(&["\n"]), &["a", "<s>", "Ċä", "b"]);
    assert_eq!((answer.as_str(), stopped), ("a", true));
    // A stop of several bytes that are no character by themselves.
    let (_, answer, stopped) = written(writing(&["b中"]), &["b", "ä", "¸", "Ń"]);
    assert_eq!((answer.as_str(), stopped), ("", true));
    let (told, answer, _) = written(writing(&[]), &["ä", "¸", "Ń", "ä"]);
    assert_eq!(
        (told, answer.as_str()),
        (["", "", "中", "", "\u{fffd}"].map(str::to_owned).to_vec(), "中\u{fffd}")
    );
}

#[test]
fn the_whole_text_and_the_number_of_tokens_are_kept() {
    let tokenizer = tokenizer();
    let mut writing = Writing::new(&tokenizer, &stops(&["#"]));
    assert!(writing.push(id("a")).is_continue());
    assert!(writing.push(id("#b")).is_break() && writing.push(id("a")).is_break());
    assert_eq!(writing.news(), "a");
    assert_eq!(writing.answer(), "a");
    assert_eq!(writing.finish().unwrap(), ("a#b".to_owned(), 2));
}

#[test]
fn a_lead_is_no_part_of_the_answer() {
    let tokenizer = tokenizer();
    let of = |lead: &str, tokens: &[&str]| {
        let stops = StopRules { strings: stops(&["\n"]), ..StopRules::default() };
        let (told, answer, _) = written(Writing::of(TextStream::alone(&tokenizer), stops, lead), tokens);
        (told[0].clone(), answer)
    };
    assert_eq!(of(" ", &["Ġ", "a", "b"]), (String::new(), "ab".to_owned()));
    assert_eq!(of(" ", &["a", "Ġ", "b"]), ("a".to_owned(), "a b".to_owned()));
    assert_eq!(of(" #", &["Ġ", "a"]), (String::new(), " a".to_owned()));
    assert_eq!(of(" #", &["Ġ", "Ċ", "a"]), (String::new(), " ".to_owned()));
    assert_eq!(of(" ", &["Ġ"]), (String::new(), String::new()));
}

#[test]
fn an_expression_holds_everything_back() {
    let tokenizer = tokenizer();
    let stops: StopRules = serde_yaml::from_str("regex: '(?is)(##|b a).*'").unwrap();
    let writing = Writing::of(TextStream::alone(&tokenizer), stops, "");
    let (told, answer, stopped) = written(writing, &["a", "b", "Ġ", "a#", "a"]);
    assert_eq!((answer.as_str(), stopped), ("a", true));
    assert!(told[..3].iter().all(String::is_empty), "{told:?}");
}

proptest! {
    /// Against the rule as it is stated: the answer ends with the first token after which its text has a stop.
    #[test]
    fn answers_are_those_of_the_rule(
        ids in proptest::collection::vec(0u32..17, 0..30),
        stops in proptest::collection::vec("[ab#\n ]{0,3}|中", 0..4),
        lead in "[ a]{0,2}",
    ) {
        let tokenizer = tokenizer();
        let rules = || StopRules { strings: stops.clone(), ..StopRules::default() };
        let mut whole = String::new();
        let mut expected = None;
        for end in 1..=ids.len() {
            whole = tokenizer.decode_without_specials(&ids[..end]).unwrap();
            let answer = match whole.strip_prefix(&lead) {
                Some(answer) => answer,
                None if lead.starts_with(&whole) => "",
                None => &whole,
            };
            expected = cut(answer, &stops).map(str::to_owned);
            whole = answer.to_owned();
            if expected.is_some() {
                break;
            }
        }
        let stopped = expected.is_some();
        let tokens: Vec<&str> = ids.iter().map(|&id| TOKENS.get(id as usize).copied().unwrap_or("<s>")).collect();
        let found = written(Writing::of(TextStream::alone(&tokenizer), rules(), &lead), &tokens);
        prop_assert_eq!((found.1, found.2), (expected.unwrap_or(whole), stopped));
    }
}
