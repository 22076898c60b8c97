//! Prompts, choices and targets against what lm-evaluation-harness 0.4.13 built on the same rows.
//!
//! Needs the shared folder with the reference outputs and the mirror of the data sets: `ZOO_SHARED`, or
//! `shared` beside the checkout.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::support::shared::shared;
use serde_json::Value;
use zoo::base::digest::sha256;
use zoo::tasks::{DataStore, Index, PrepareOptions, PreparedDoc, PreparedTask, Suite, prepare};

/// Everything that the reference says about one document; a sentence for the first thing that differs.
fn compare(doc: &PreparedDoc, reference: &Value) -> Result<(), String> {
    let differ =
        |what: &str, ours: &str, theirs: &Value| Err(format!("{what}: ours {ours:?}, reference {theirs}"));
    let first = doc.requests.first().map(|r| sha256(r.context.as_bytes())).unwrap_or_default();
    if reference["prompt_sha256"] != *first {
        return differ("prompt_sha256", &first, &reference["prompt_sha256"]);
    }
    // Where the model writes there is a text instead of choices.
    let none = Vec::new();
    let choices = match reference.get("text") {
        Some(_) => &none,
        None => reference["choices"].as_array().ok_or("no choices in the reference")?,
    };
    if reference.get("text").is_none() && choices.len() != doc.requests.len() {
        return Err(format!("{} requests, the reference has {}", doc.requests.len(), choices.len()));
    }
    let scored = doc.requests.first().map(|r| sha256(&r.continuation)).unwrap_or_default();
    if reference.get("text_sha256").is_some_and(|theirs| *theirs != *scored) {
        return differ("text_sha256", &scored, &reference["text_sha256"]);
    }
    for (request, choice) in doc.requests.iter().zip(choices) {
        let ours = sha256(request.context.as_bytes());
        if choice.get("prompt_sha256").is_some_and(|theirs| *theirs != *ours) {
            return differ("prompt_sha256 of a choice", &ours, &choice["prompt_sha256"]);
        }
    }
    let target: String = doc.target_text.chars().take(300).collect();
    if reference["target"] != *target {
        return differ("target", &target, &reference["target"]);
    }
    if let Some(prompt) = reference.get("prompt").and_then(Value::as_str)
        && doc.requests.first().is_none_or(|r| *r.context != *prompt)
    {
        return Err("the prompt differs as text".into());
    }
    if let Some(continuations) = reference.get("continuations").and_then(Value::as_array) {
        let ours: Vec<&str> = doc.requests.iter().map(|r| r.continuation.as_str()).collect();
        if *continuations != ours {
            return Err(format!("continuations: ours {ours:?}, reference {continuations:?}"));
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the shared reference folder"]
fn prompts_equal_the_reference() {
    let Some(shared) = shared() else { return };
    let index = Index::load(&[]).unwrap();
    let data = DataStore::new(Some(&shared.join("hub")), None);
    let mut prepared: BTreeMap<(String, u64), PreparedTask> = BTreeMap::new();
    let (mut files, mut documents) = (0, 0);
    let mut failures = Vec::new();
    let mut names: Vec<PathBuf> =
        fs::read_dir(shared.join("reference/lm_eval")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|p| p.extension().is_some_and(|e| e == "jsonl")) {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let header = lines.next().unwrap();
        let task = header["task"].as_str().unwrap();
        let Ok(Suite::Task(suite)) = index.resolve(task) else { continue };
        let shots = header["num_fewshot"].as_u64().unwrap();
        let key = (task.to_owned(), shots);
        if !prepared.contains_key(&key) {
            let options = PrepareOptions { num_fewshot: Some(shots as usize), ..PrepareOptions::default() };
            prepared.insert(key.clone(), prepare(&suite, &data, &options).unwrap());
        }
        let ours = &prepared[&key];
        assert_eq!(suite.config.output_type.name(), header["output_type"]);
        assert_eq!(suite.config.version().and_then(Value::as_f64), header["task_version"].as_f64(), "{task}");
        files += 1;
        for reference in lines {
            documents += 1;
            let id = reference["doc_id"].as_u64().unwrap() as usize;
            if let Err(difference) = compare(&ours.docs[id], &reference) {
                failures.push(format!("{}, document {id}: {difference}", path.display()));
            }
        }
    }
    eprintln!("{files} reference files, {documents} documents, {} differ", failures.len());
    assert!(files >= 76 && documents >= 4282, "only {files} files and {documents} documents were compared");
    assert!(failures.is_empty(), "{}", failures[..failures.len().min(20)].join("\n"));
}
