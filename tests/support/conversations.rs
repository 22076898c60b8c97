//! Requests of this program against those that `tests/fixtures/chat/harness.py` wrote down.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use zoo::evaluate::EncodedTask;
use zoo::prompts::ChatFormat;
use zoo::prompts::chat_template::ChatTemplates;
use zoo::tasks::{Chat, DataStore, Index, Limit, OutputType, PrepareOptions, Suite, prepare};
use zoo::tokenizer::{SpecialNames, Tokenizer};

/// Where documents and tasks come from.
pub struct Corpus<'a> {
    pub index: &'a Index,
    pub data: &'a DataStore,
    pub tokenizer: &'a Tokenizer,
}

/// What was compared.
#[derive(Default)]
pub struct Compared {
    pub sets: usize,
    pub requests: usize,
    pub in_tokens: usize,
    pub differences: Vec<String>,
}

/// The format of a checkpoint's own template.
pub fn format_of(checkpoint: &Path) -> Arc<ChatFormat> {
    let own = ChatTemplates::from_folder(checkpoint).unwrap();
    let specials = SpecialNames::from_folder(checkpoint).unwrap();
    Arc::new(ChatFormat::of_checkpoint(own.default_template().unwrap(), &specials))
}

/// Compares every request of `text`, one JSON object a line, text by text and token by token.
pub fn compare(text: &str, place: &Corpus<'_>, format: impl Fn(&Value) -> Arc<ChatFormat>) -> Compared {
    // One set of requests per task and flags, in the order of the file.
    let mut sets: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let key =
            ["task", "template", "chat", "multiturn", "system", "shots", "limit"].map(|k| row[k].to_string());
        sets.entry(key.join(" ")).or_default().push(row);
    }
    let mut compared = Compared { sets: sets.len(), ..Compared::default() };
    for (key, rows) in &sets {
        let first = &rows[0];
        let flag = |name: &str| first[name].as_bool().unwrap();
        let options = PrepareOptions {
            num_fewshot: first["shots"].as_u64().map(|n| n as usize),
            limit: Some(Limit::Count(first["limit"].as_u64().unwrap() as usize)),
            system_instruction: first["system"].as_str().map(str::to_owned),
            chat: flag("chat").then(|| Chat { format: format(first), multiturn: flag("multiturn") }),
            ..PrepareOptions::default()
        };
        let Suite::Task(task) = place.index.resolve(first["task"].as_str().unwrap()).unwrap() else {
            panic!("{key}")
        };
        let prepared = prepare(&task, place.data, &options).unwrap();
        let encoded = (task.config.output_type != OutputType::GenerateUntil)
            .then(|| EncodedTask::new(place.tokenizer, &prepared, 1 << 20).unwrap());
        let requests: usize = prepared.docs.iter().map(|doc| doc.requests.len()).sum();
        assert_eq!(requests, rows.len(), "{key}");
        for row in rows {
            compared.requests += 1;
            let at = |name: &str| row[name].as_u64().unwrap() as usize;
            let ours = &prepared.docs[at("doc_id")].requests[at("idx")];
            if *ours.context != *row["context"].as_str().unwrap() || ours.continuation != row["continuation"]
            {
                compared.differences.push(format!("{key}: ours {ours:?}, reference {row}"));
            }
            if let Some(encoded) = &encoded {
                compared.in_tokens += 1;
                let pair = &encoded.docs[at("doc_id")].requests[at("idx")];
                let theirs: Vec<u32> = serde_json::from_value(row["tokens"].clone()).unwrap();
                if pair.n_context_tokens != at("n_context") || pair.request.continuation != theirs {
                    compared.differences.push(format!("{key}, tokens: ours {pair:?}, reference {row}"));
                }
            }
        }
    }
    compared
}
