//! Malformed configurations of the shared reference folder, each with the weights it is meant for: the error of
//! the class that is asked for, or the warning, and no allocation for absurd sizes.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::shared::shared;
use serde_json::Value;
use zoo::config;
use zoo::model::{ModelError, Network, Residence};
use zoo::{kernels, weights};

/// Where the notes of a run are collected.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u8>>>);

impl io::Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Loads the weights by a configuration; what comes of it, and the notes on the way.
fn load(config: &Path, weights: &Path) -> (Result<(), ModelError>, String) {
    let notes = Notes::default();
    let writer = notes.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    let result = tracing::subscriber::with_default(subscriber, || {
        let checked = config::hf::read(config)?;
        let source = weights::open(weights)?;
        let (name, matmul) = (config.display().to_string(), kernels::default());
        Network::load(source.into(), &checked, &name, matmul, Residence::Memory).map(|_| ())
    });
    let notes = String::from_utf8(notes.0.lock().unwrap().clone()).unwrap();
    (result, notes)
}

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_configurations_get_the_error_of_their_class() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    let text = std::fs::read_to_string(kit.join("expected/malformed.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in expected["files"].as_array().unwrap() {
        let (file, class) = (case["file"].as_str().unwrap(), case["class"].as_str().unwrap());
        if !file.starts_with("malformed/config/") {
            continue;
        }
        seen += 1;
        let weights = kit.join(case["with"].as_str().unwrap());
        let (result, notes) = load(&kit.join(file), &weights);
        let outcome = match &result {
            Ok(()) if notes.is_empty() => "ok".to_owned(),
            Ok(()) => "warning".to_owned(),
            Err(error) => error.class().map_or_else(|| "no class".to_owned(), |class| class.to_string()),
        };
        let message = result.err().map_or(notes, |error| error.to_string());
        let says_where = outcome == "ok" || message.contains(".json") && message.len() < 1000;
        if !class.split(" or ").any(|one| one == outcome) || !says_where {
            wrong.push(format!("{file}: expected {class}, found {outcome}: {message}"));
        }
        println!("{file}: {outcome}: {}", message.replace(&kit.display().to_string(), "…"));
    }
    assert!(wrong.is_empty(), "{} of {seen} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen >= 24, "only {seen} cases were found");
}
