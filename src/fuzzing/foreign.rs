//! Templates, task files and cards of others, and what runs and hubs write: whatever is accepted is within its limits.

use std::path::{Component, Path};

use serde_json::json;

use super::understood;
use crate::base::yaml;
use crate::engine::Score;
use crate::hub::files_of_page;
use crate::prompts::chat_template::ChatTemplate;
use crate::prompts::{ChatFormat, End, Message};
use crate::python::jinja::{MAX_RENDERED, Program, Template, describe};
use crate::python::print::to_value;
use crate::records::{Identity, Ledger, RunRecord, RunSettings, SampleLine, samples_of};
use crate::registry::Registry;
use crate::remote::readings;
use crate::run::ShardFile;
use crate::tasks::read_text;
use crate::tokenizer::SpecialNames;

/// A checkpoint's chat template, as a file of its own.
pub(super) fn chat_template(bytes: &[u8]) -> bool {
    let Ok(source) = std::str::from_utf8(bytes) else { return false };
    let template = ChatTemplate { name: "default".to_owned(), source: source.to_owned() };
    let mut specials = SpecialNames::default();
    specials.tokens.insert("eos_token".to_owned(), "</s>".to_owned());
    let conversation =
        [Message::user("Hello! {{ 1 }}"), Message::assistant(" Hi\n"), Message::user("{% if %}")];
    let format = ChatFormat::of_checkpoint(&template, &specials);
    let write = |messages, end| {
        let chat = understood(format.write(messages, end));
        assert!(chat.as_ref().is_none_or(|chat| chat.text.len() <= MAX_RENDERED));
        chat.is_some()
    };
    write(&conversation[..2], End::Open);
    write(&conversation, End::Answer)
}

/// A template of a task file, over one document.
pub(super) fn task_template(bytes: &[u8]) -> bool {
    let Ok(source) = std::str::from_utf8(bytes) else { return false };
    let described = |error| describe(&error);
    let template = Template::new(source, Program::LmEval).map_err(described);
    let Some(template) = understood(template) else { return false };
    let document = json!({
        "question": "What is 1 + 1?", "choices": ["one", "two"], "answer": 1, "x": 0.5, "none": null, "map": {"a": [1]}
    });
    let text = understood(template.render(&to_value(&document)).map_err(described));
    assert!(text.as_ref().is_none_or(|text| text.len() <= MAX_RENDERED));
    text.is_some()
}

/// A file of tasks by itself.
pub(super) fn task_yaml(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| understood(read_text("mine.yaml", text)).unwrap_or(false))
}

/// Whose ledgers are read.
pub(super) fn identity() -> Identity {
    Identity {
        weights_sha256: "w".repeat(64),
        config_sha256: "c".repeat(64),
        tokenizer_sha256: "t".repeat(64),
        precision: "exact".to_owned(),
        matmul: "native".to_owned(),
        arithmetic: 1,
    }
}

/// A ledger of one model. Damaged lines are noted, and no answer is made of one.
pub(super) fn ledger(bytes: &[u8]) -> bool {
    let Some((answers, _)) = understood(Ledger::answers_in(bytes, &identity())) else { return false };
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(answers < lines, "{answers} answers in {lines} lines");
    true
}

/// A file of samples.
pub(super) fn samples(bytes: &[u8]) -> bool {
    let read = samples_of::<SampleLine>("samples.jsonl", bytes);
    let Some((_, lines)) = understood(read) else { return false };
    for choice in lines.iter().flat_map(|line| &line.choices) {
        Score::can_be(choice.logprob, choice.n_tokens);
    }
    true
}

/// The description of a run.
pub(super) fn run_yaml(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(record) = understood(yaml::parse::<RunRecord>("run.yaml", text)) else { return false };
    let again = serde_yaml::to_string(&record).unwrap_or_else(|error| panic!("read, not written: {error}"));
    let again = yaml::parse::<RunRecord>("run.yaml", &again);
    assert!(again.is_ok(), "written, not read: {again:?}");
    true
}

/// A page of a hub's listing. Every path stays below the folder that it is joined to.
pub(super) fn hub_listing(bytes: &[u8]) -> bool {
    let Some(files) = understood(files_of_page(bytes)) else { return false };
    for (path, _) in &files {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside && !path.is_empty() && !path.contains('\0'), "{path:?}");
    }
    true
}

/// A card.
pub(super) fn card(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    understood(Registry::card_of_text("tiny.yaml", text)).is_some()
}

/// What a shard knows of its documents, or its settings. What is read is written and read again.
pub(super) fn shard_yaml(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let settings = understood(yaml::parse::<RunSettings>("settings.yaml", text));
    if let Some(settings) = &settings {
        assert!(settings.compared(settings).is_empty(), "settings that differ from themselves: {settings:?}");
    }
    let Some(shard) = understood(ShardFile::parse("shard.yaml", text)) else { return settings.is_some() };
    let written = |shard: &ShardFile| {
        serde_yaml::to_string(shard).unwrap_or_else(|error| panic!("read, not written: {error}"))
    };
    let again = ShardFile::parse("shard.yaml", &written(&shard));
    let again = again.unwrap_or_else(|error| panic!("written, not read: {error}"));
    assert_eq!(written(&shard), written(&again));
    assert!(shard.shard.index() < shard.shard.of(), "{:?}", shard.shard);
    true
}

/// The prompt that servers were asked about, and how many of its last tokens are scored.
const ASKED: ([u32; 3], usize) = ([5, 6, 7], 2);

/// The answer of a server, to whatever it was asked. Scores are those that a model can give.
pub(super) fn server_answer(bytes: &[u8]) -> bool {
    let (prompt, scored) = ASKED;
    let mut is_one = false;
    for reading in readings(bytes, &prompt, scored) {
        let Some(scores) = understood(reading) else { continue };
        is_one = true;
        assert!(scores.iter().all(|score| Score::can_be(score.logprob, scored)), "{scores:?}");
    }
    is_one
}
