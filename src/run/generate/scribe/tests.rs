use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::asked::AskedPrompt;
use super::*;
use crate::prompts::StopRules;

/// a=0 b=1 space=2 ###=3 `# `=4, and an end of text.
fn tokenizer() -> Tokenizer {
    let special = json!({"id": 5, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                         "normalized": false, "special": true});
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "added_tokens": [special],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "Ġ": 2, "##": 3, "#Ġ": 4}, "merges": []}
    });
    let read = |name: &str| Ok((name == "tokenizer.json").then(|| json.to_string().into_bytes()));
    Tokenizer::from_files(Path::new("a-model"), &read).unwrap()
}

/// Writes down what it hears, and leaves after so many words.
#[derive(Default)]
struct Hearer {
    heard: Vec<String>,
    patience: Option<usize>,
}

impl Hearer {
    fn hear(&mut self, text: String) -> ControlFlow<()> {
        self.heard.push(text);
        let leaves = self.patience.is_some_and(|patience| self.heard.len() >= patience);
        if leaves { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Audience for Hearer {
    fn is_live(&self) -> bool {
        true
    }

    fn text(&mut self, prompt: usize, text: &str) -> ControlFlow<()> {
        self.hear(format!("{prompt}: {text}"))
    }

    fn ended(&mut self, prompt: usize, answer: &Answer) -> ControlFlow<()> {
        let Answer { text, end, tokens, logprobs, .. } = answer;
        let logprobs = logprobs.as_ref().map(Vec::len);
        self.hear(format!("{prompt}: {text:?} {end:?} {tokens:?} {logprobs:?} {}", answer.n_prompt_tokens))
    }
}

/// What is heard of three answers to prompts of two tokens, whose tokens and ends come as told; a request may stop by itself.
fn heard(hearer: &mut Hearer, logprobs: bool, work: &[(usize, Result<u32, End>)]) -> (usize, usize) {
    let tokenizer = tokenizer();
    let prompt = || AskedPrompt { ids: Arc::from([0, 1]), lead: " ".to_owned() };
    let asked = Asked {
        prompts: vec![prompt(), prompt(), prompt()],
        stops: StopRules { strings: vec!["###".to_owned()], ..StopRules::default() },
        ends: Arc::from([5]),
    };
    let texts = ["one", "two", "three"].map(str::to_owned);
    let stop = Stop::default();
    let mut scribe =
        Scribe::new(&asked, &tokenizer, (&texts, logprobs), Instant::now(), (&stop, hearer)).unwrap();
    for &(request, event) in work {
        if scribe.is_stopped() {
            break;
        }
        match event {
            Ok(id) => {
                if scribe.token(request, Token { id, logprob: -0.5 }).is_break() {
                    scribe.ended(request, End::Broken).unwrap();
                }
            }
            Err(end) => scribe.ended(request, end).unwrap(),
        }
    }
    scribe.finish().unwrap()
}

#[test]
fn answers_are_told_as_they_come_and_at_their_end() {
    let mut hearer = Hearer::default();
    let end = Err(End::Stop(5));
    let work = [(0, Ok(2)), (0, Ok(0)), (1, Ok(3)), (0, end), (1, Ok(1)), (1, Ok(3)), (1, Ok(4)), (2, Ok(1))];
    assert_eq!(heard(&mut hearer, true, &work), (2, 7));
    let expected = [
        "0: a",
        "0: \"a\" Eos [2, 0] Some(2) 2",
        "1: ##b",
        "1: \"##b\" Stop [3, 1, 3, 4] Some(4) 2",
        "2: b",
        "2: \"b\" Interrupted [1] Some(1) 2",
    ];
    assert_eq!(hearer.heard, expected);
}

#[test]
fn what_was_held_back_is_told_at_the_end() {
    let mut hearer = Hearer::default();
    assert_eq!(heard(&mut hearer, false, &[(1, Ok(3)), (1, Err(End::Length))]), (1, 1));
    assert_eq!(hearer.heard, ["1: ##", "1: \"##\" Length [3] None 2"]);
}

#[test]
fn an_audience_that_leaves_ends_the_work() {
    let mut hearer = Hearer { patience: Some(1), ..Hearer::default() };
    let (complete, tokens) = heard(&mut hearer, false, &[(0, Ok(0)), (0, Ok(0)), (1, Ok(1))]);
    assert_eq!((complete, tokens, hearer.heard), (0, 1, vec!["0: a".to_owned()]));
}
