//! Prompt templates against the compiled facts: texts, default systems, stop rules, sampling and token ids.
//!
//! These need the shared reference folder (`ZOO_SHARED`, else `../shared` beside the checkout) and are ignored in
//! everyday runs: `cargo test --test acceptance prompt_templates:: -- --ignored`.

use std::fs;
use std::path::Path;

use crate::support::shared::shared;
use serde_yaml::Value;
use zoo::prompts::{EncodeMode, End, Message, PromptSegment, PromptTemplate, load, sample, text};
use zoo::tokenizer::Tokenizer;

fn facts(shared: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(shared.join("family/facts.yaml")).unwrap()).unwrap()
}

/// A tokenizer from a single SentencePiece file.
fn tokenizer(shared: &Path, name: &str) -> Tokenizer {
    let file = match name {
        "chinese-llama-1" => "chinese-llama",
        "chinese-alpaca-1" => "chinese-alpaca",
        other => other,
    };
    let folder = tempfile::tempdir().unwrap();
    let source = shared.join(format!("data/tokenizers/{file}.model"));
    fs::copy(source, folder.path().join("tokenizer.model")).unwrap();
    Tokenizer::from_folder(folder.path()).unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_sequence().unwrap().iter().map(|item| u32::try_from(item.as_u64().unwrap()).unwrap()).collect()
}

fn one() -> Vec<Message> {
    vec![Message::user("Hello!")]
}

fn two() -> Vec<Message> {
    vec![Message::user("Hello!"), Message::assistant("Hi!"), Message::user("How are you?")]
}

fn segments(template: &PromptTemplate, messages: &[Message]) -> Vec<PromptSegment> {
    template.render(messages, End::Answer).unwrap()
}

fn rendered(template: &PromptTemplate, messages: &[Message]) -> String {
    text(&segments(template, messages))
}

fn texts(segments: &[PromptSegment]) -> Vec<&str> {
    let texts = segments.iter().filter_map(|segment| match segment {
        PromptSegment::Text(text) => Some(text.as_str()),
        PromptSegment::Special(_) => None,
    });
    texts.collect()
}

/// Compares one key of a record; `None` if the key is no fact that can be compared (prose, sources).
fn compare(template: &PromptTemplate, record: &Value, key: &str, value: &Value) -> Option<()> {
    let told = || value.as_str().unwrap();
    match key {
        "golden" => {
            // The record says which conversation it is by what it holds.
            let messages = if told().contains("How are you?") { two() } else { one() };
            let messages = match (template.name.as_str(), &template.default_system) {
                ("vicuna-llamacpp", None) => {
                    let system = told().split("\n\n").next().unwrap();
                    [vec![Message::system(system)], messages].concat()
                }
                _ => messages,
            };
            assert_eq!(rendered(template, &messages), told(), "{}", template.name);
        }
        "golden_llama2_sys" => assert_eq!(rendered(template, &two()), told()),
        "golden_first_turn" => assert_eq!(rendered(template, &one()), told()),
        "golden_text_per_turn" => assert_eq!(texts(&segments(template, &two())), strings(value)),
        "golden_system_text" => {
            let messages = [vec![Message::system("Be brief.")], one()].concat();
            assert_eq!(texts(&segments(template, &messages)), [told()]);
        }
        "no_input" => {
            let wanted = told().replace("{instruction}", "Do {content}.");
            assert_eq!(rendered(template, &[Message::user("Do {content}.")]), wanted);
        }
        "with_input" => {
            let wanted = told().replace("{instruction}", "Do it.").replace("{input}", "{eos}");
            let message = Message { input: Some("{eos}".to_owned()), ..Message::user("Do it.") };
            assert_eq!(rendered(template, &[message]), wanted);
        }
        "render" if template.name == "none" => assert_eq!(told(), "{prompt}"),
        "system" => assert_eq!(template.default_system.as_deref(), Some(told())),
        "context" => assert_eq!(template.default_system.as_deref(), Some(told())),
        "default_system" => assert_eq!(template.default_system.as_deref(), value.as_str()),
        "old_default_system" | "alt_system_long" => {
            assert!(template.other_systems.values().any(|other| other.text == told()), "{}", template.name);
        }
        "stop_ids" => {
            assert_eq!(ids(value), [2]);
            assert!(template.stop.eos, "{}", template.name);
        }
        "stop" if told() == "</s>" => assert!(template.stop.eos),
        "stop" if told() == "###" => assert_eq!(template.stop.strings, ["###"]),
        "stop" if told().starts_with("regex") => {
            let pattern = told().split(' ').nth(1).unwrap();
            assert_eq!(template.stop.regex.as_ref().unwrap().as_str(), format!("(?is){pattern}"));
        }
        "sampling" | "sampling_card" => {
            let found = template.sampling.as_ref().unwrap();
            let number = |key: &str| value.get(key).map(|number| number.as_f64().unwrap());
            assert_eq!(found.temperature, number("temperature"), "{}", template.name);
            assert_eq!(found.top_p, number("top_p"), "{}", template.name);
            assert_eq!(found.top_k.map(f64::from), number("top_k"), "{}", template.name);
            assert_eq!(found.repetition_penalty, number("repetition_penalty"), "{}", template.name);
            assert_eq!(found.max_new_tokens.map(f64::from), number("max_new_tokens"), "{}", template.name);
        }
        "same_as" => {
            assert_eq!(rendered(template, &one()), rendered(&load(None).unwrap()[told()], &one()));
        }
        "src" => {
            // Every source that the record names is named by the template too.
            for source in told().split([' ', ',', ';']).filter(|word| word.starts_with("R:")) {
                assert!(
                    template.src.contains(source),
                    "{}: {source} is not in {:?}",
                    template.name,
                    template.src
                );
            }
        }
        _ => {
            assert!(record.get(key).is_some());
            return None;
        }
    }
    Some(())
}

#[test]
#[ignore = "needs the shared reference folder"]
fn every_record_of_the_facts_is_a_template_that_says_the_same() {
    let Some(shared) = shared() else { return };
    let facts = facts(&shared);
    let templates = load(None).unwrap();
    let records = facts["prompt_templates"].as_mapping().unwrap();
    assert_eq!(records.len(), 26);
    let (mut compared, mut goldens) = (0, 0);
    for (name, record) in records {
        let name = name.as_str().unwrap();
        let template = templates.get(name).unwrap_or_else(|| panic!("no template {name}"));
        for (key, value) in record.as_mapping().unwrap() {
            let key = key.as_str().unwrap();
            if compare(template, record, key, value).is_some() {
                compared += 1;
                goldens += usize::from(key.starts_with("golden"));
            }
        }
    }
    eprintln!("{compared} facts compared, {goldens} of them golden texts");
    // Those of relatives that were described later.
    let later = |name: &&String| !records.contains_key(name.as_str());
    let others: Vec<&str> = templates.keys().filter(later).map(String::as_str).collect();
    let expected =
        ["baize", "guanaco", "koala", "llama-3", "smollm2", "stable-vicuna", "tinyllama-chat", "wizardlm-7b"];
    assert_eq!(others, expected);
    assert_eq!((compared, goldens), (85, 25), "facts, and golden texts among them");
}

#[test]
#[ignore = "needs the shared reference folder"]
fn golden_ids_of_the_facts() {
    let Some(shared) = shared() else { return };
    let facts = facts(&shared);
    let records = &facts["prompt_templates"];
    let templates = load(None).unwrap();
    let llama = tokenizer(&shared, "llama");
    let chinese = tokenizer(&shared, "chinese-llama-2");
    let system = [vec![Message::system("Be brief.")], one()].concat();
    let cases = [
        ("llama-2-chat", "golden_ids", &llama, two()),
        ("llama-2-chat", "golden_system_ids", &llama, system),
        ("vicuna-v1.1", "golden_ids_hf_legacy", &llama, two()),
        ("chinese-alpaca-2", "golden_ids_first_turn", &chinese, one()),
        ("llama2-chinese", "golden_ids_hf_legacy", &llama, one()),
    ];
    for (name, key, tokenizer, messages) in cases {
        let template = &templates[name];
        let found = template.encode(&segments(template, &messages), tokenizer).unwrap();
        assert_eq!(found, ids(&records[name][key]), "{name} {key}");
    }
    // And the ids that the templates' own files state.
    let named = [("llama", &llama), ("chinese-llama-2", &chinese)];
    let stated: usize = templates
        .values()
        .flat_map(|template| named.map(|(name, tokenizer)| check_golden_ids(template, name, tokenizer)))
        .sum();
    assert_eq!(stated, cases_in_files(&templates));
    assert_eq!(stated, 5);
}

/// Compares the ids of all golden conversations that state ids for the named tokenizer; gives their number.
fn check_golden_ids(template: &PromptTemplate, name: &str, tokenizer: &Tokenizer) -> usize {
    let stated = template.golden.iter().filter(|golden| golden.tokenizer.as_deref() == Some(name));
    stated
        .map(|golden| {
            let end = if golden.add_generation_prompt { End::Answer } else { End::Closed };
            let segments = template.render(&golden.messages, end).unwrap();
            let mode = golden.encode.unwrap_or(template.encode);
            assert_eq!(Some(ids_as(template, &segments, tokenizer, mode)), golden.ids, "{}", template.name);
        })
        .count()
}

/// The ids in this mode.
fn ids_as(
    template: &PromptTemplate,
    segments: &[PromptSegment],
    tokenizer: &Tokenizer,
    mode: EncodeMode,
) -> Vec<u32> {
    PromptTemplate { encode: mode, ..template.clone() }.encode(segments, tokenizer).unwrap()
}

fn cases_in_files(templates: &zoo::prompts::PromptTemplates) -> usize {
    templates.values().flat_map(|template| &template.golden).filter(|golden| golden.ids.is_some()).count()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn modes_differ_where_the_dummy_prefix_does() {
    let Some(shared) = shared() else { return };
    let llama = tokenizer(&shared, "llama");
    let templates = load(None).unwrap();
    let vicuna = &templates["vicuna-v1.1"];
    let segments = segments(vicuna, &two());
    let legacy = ids_as(vicuna, &segments, &llama, EncodeMode::Legacy);
    let later = ids_as(vicuna, &segments, &llama, EncodeMode::NonLegacy);
    // One token less per later turn: `▁US`, `ER` becomes `US`, `ER` or shorter, never with a space in front.
    let end = legacy.iter().position(|&id| id == 2).unwrap();
    assert_eq!(legacy[..=end], later[..=end]);
    assert_eq!(llama.token_text(legacy[end + 1]).unwrap(), "▁US");
    assert!(!llama.token_text(later[end + 1]).unwrap().starts_with('▁'));
    assert_eq!(llama.decode(&later).unwrap(), format!("<s> {}", text(&segments)));

    // A text of its own after a cut gets a prefix, a continued one does not.
    let belle = &templates["belle-train-v2"];
    let answered = [Message::user("Hello!"), Message::assistant("Hi!")];
    let rendered = belle.render(&answered, End::Answer).unwrap();
    let parts: Vec<Vec<u32>> =
        texts(&rendered).into_iter().map(|part| llama.encode_raw(part).unwrap()).collect();
    assert_eq!(parts.len(), 2);
    let apart = belle.encode(&rendered, &llama).unwrap();
    assert_eq!(apart, [parts.concat(), vec![2]].concat());
    assert_ne!(ids_as(belle, &rendered, &llama, EncodeMode::Legacy), apart);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn golden_tokens_of_the_facts() {
    let Some(shared) = shared() else { return };
    let facts = facts(&shared);
    let cases = facts["tokenizer_goldens"]["cases"].as_sequence().unwrap();
    let mut compared = 0;
    for name in ["llama", "chinese-llama-1", "chinese-alpaca-1", "chinese-llama-2"] {
        let tokenizer = tokenizer(&shared, name);
        assert_eq!(Some(tokenizer.sha256()), facts["tokenizers"][name]["sha256"].as_str());
        for case in cases {
            let segment = PromptSegment::Text(case["text"].as_str().unwrap().to_owned());
            let found = zoo::prompts::encode(&[segment], &tokenizer, EncodeMode::PerSegment).unwrap();
            assert_eq!(found, ids(&case["ids"][name]), "{name} {:?}", case["text"]);
            compared += 1;
        }
    }
    assert_eq!(compared, 80);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn samples_have_tokens_with_each_familys_vocabulary() {
    let Some(shared) = shared() else { return };
    let llama = tokenizer(&shared, "llama");
    for (name, template) in load(None).unwrap() {
        let shown = sample(&template, Some(&llama));
        let of_others =
            [("ziya", "<human>"), ("llama-3", "<|start_header_id|>"), ("smollm2", "<|im_start|>")];
        if let Some((_, token)) = of_others.into_iter().find(|(template, _)| *template == name) {
            assert!(shown.unwrap_err().to_string().contains(&format!("no token {token}")), "{name}");
            continue;
        }
        let shown = shown.unwrap();
        let tokens = shown.tokens.unwrap();
        assert_eq!(tokens.first().is_some_and(|token| token.0 == 1), template.bos_first(), "{name}");
        let spelled = ["<s>", "</s>"];
        assert!(
            tokens.iter().all(|(id, text)| spelled.contains(&text.as_str()) == matches!(id, 1 | 2)),
            "{name}"
        );
    }
}

/// Whether the prompt starts with BOS, by rule or by layout.
trait BosFirst {
    fn bos_first(&self) -> bool;
}

impl BosFirst for PromptTemplate {
    fn bos_first(&self) -> bool {
        self.bos == zoo::prompts::BosRule::Tokenizer || rendered(self, &one()).starts_with("<s>")
    }
}
