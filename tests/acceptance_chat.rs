//! Prompts of chat models against what lm-evaluation-harness 0.4.13 builds, byte by byte and token by token.
//!
//! `ZOO_HARNESS_REQUESTS` names a file that `tests/fixtures/chat/requests.py` wrote, `ZOO_CHAT_CHECKPOINT` the folder
//! of the same tokenizer and chat template. The data is that of the shared reference folder: `ZOO_SHARED`, or `shared`
//! beside the checkout; `ZOO_CHAT_TASKS` names a folder of own task files, if the requests have such.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use zoo::evaluate::EncodedTask;
use zoo::prompts::ChatFormat;
use zoo::prompts::chat_template::ChatTemplates;
use zoo::tasks::{Chat, DataStore, Index, Limit, OutputType, PrepareOptions, Suite, prepare};
use zoo::tokenizer::Tokenizer;

fn folder(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// The format of a checkpoint's own template.
fn format_of(checkpoint: &Path) -> ChatFormat {
    let own = ChatTemplates::from_folder(checkpoint).unwrap();
    let mark = |text: &Option<String>| text.clone().unwrap_or_default();
    ChatFormat::of_checkpoint(own.default_template().unwrap(), &mark(&own.bos_token), &mark(&own.eos_token))
}

#[test]
#[ignore = "needs the shared reference folder"]
fn conversations_equal_the_reference() {
    let (Some(requests), Some(checkpoint)) = (folder("ZOO_HARNESS_REQUESTS"), folder("ZOO_CHAT_CHECKPOINT"))
    else {
        eprintln!(
            "SKIPPED: conversations against the reference: ZOO_HARNESS_REQUESTS, ZOO_CHAT_CHECKPOINT not set"
        );
        return;
    };
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("shared");
    let hub = folder("ZOO_SHARED").unwrap_or_else(beside).join("hub");
    let own_tasks: Vec<PathBuf> = folder("ZOO_CHAT_TASKS").into_iter().collect();
    let (index, data) = (Index::load(&own_tasks).unwrap(), DataStore::new(Some(&hub), None));
    let tokenizer = Tokenizer::from_folder(&checkpoint).unwrap();
    let format = Arc::new(format_of(&checkpoint));

    // One set of requests per task and flags, in the order of the file.
    let mut sets: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(&requests).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let key = ["task", "chat", "multiturn", "system", "shots", "limit"].map(|k| row[k].to_string());
        sets.entry(key.join(" ")).or_default().push(row);
    }
    let (mut compared, mut tokens, mut differ) = (0, 0, Vec::new());
    for (key, rows) in &sets {
        let first = &rows[0];
        let flag = |name: &str| first[name].as_bool().unwrap();
        let chat = flag("chat").then(|| Chat { format: Arc::clone(&format), multiturn: flag("multiturn") });
        let options = PrepareOptions {
            num_fewshot: first["shots"].as_u64().map(|n| n as usize),
            limit: Some(Limit::Count(first["limit"].as_u64().unwrap() as usize)),
            system_instruction: first["system"].as_str().map(str::to_owned),
            chat,
            ..PrepareOptions::default()
        };
        let Suite::Task(task) = index.resolve(first["task"].as_str().unwrap()).unwrap() else {
            panic!("{key}")
        };
        let prepared = prepare(&task, &data, &options).unwrap();
        let encoded = (task.config.output_type != OutputType::GenerateUntil)
            .then(|| EncodedTask::new(&tokenizer, &prepared, 1 << 20).unwrap());
        assert_eq!(prepared.docs.iter().map(|doc| doc.requests.len()).sum::<usize>(), rows.len(), "{key}");
        for row in rows {
            compared += 1;
            let at = |name: &str| row[name].as_u64().unwrap() as usize;
            let ours = &prepared.docs[at("doc_id")].requests[at("idx")];
            if *ours.context != *row["context"].as_str().unwrap() || ours.continuation != row["continuation"]
            {
                differ.push(format!("{key}: ours {ours:?}, reference {row}"));
            }
            if let Some(encoded) = &encoded {
                tokens += 1;
                let pair = &encoded.docs[at("doc_id")].requests[at("idx")];
                let theirs: Vec<u32> = serde_json::from_value(row["tokens"].clone()).unwrap();
                if pair.n_context_tokens != at("n_context") || pair.request.continuation != theirs {
                    differ.push(format!("{key}, tokens: ours {pair:?}, reference {row}"));
                }
            }
        }
    }
    eprintln!(
        "{} sets, {compared} requests, {tokens} of them in tokens, {} differ",
        sets.len(),
        differ.len()
    );
    assert!(compared > 0 && differ.is_empty(), "{}", differ[..differ.len().min(5)].join("\n"));
}
