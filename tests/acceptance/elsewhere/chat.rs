//! Prompts of chat models against what lm-evaluation-harness 0.4.13 builds, byte by byte and token by token.
//!
//! `ZOO_HARNESS_REQUESTS` names a file that `tests/fixtures/chat/harness.py` wrote, `ZOO_CHAT_CHECKPOINT` the folder
//! of the same tokenizer and chat template. The data is that of the shared reference folder: `ZOO_SHARED`, or `shared`
//! beside the checkout.

use std::sync::Arc;

use crate::support::conversations::{Corpus, compare, format_of};
use crate::support::shared::{named, shared};
use zoo::tasks::{DataStore, Index};
use zoo::tokenizer::Tokenizer;

#[test]
#[ignore = "needs requests of the harness, see ZOO_HARNESS_REQUESTS"]
fn conversations_equal_the_reference() {
    let (Some(requests), Some(checkpoint)) = (named("ZOO_HARNESS_REQUESTS"), named("ZOO_CHAT_CHECKPOINT"))
    else {
        return;
    };
    let Some(hub) = shared().map(|shared| shared.join("hub")) else { return };
    let place = Corpus {
        index: &Index::load(&[]).unwrap(),
        data: &DataStore::new(Some(&hub), None),
        tokenizer: &Tokenizer::from_folder(&checkpoint).unwrap(),
    };
    let format = format_of(&checkpoint);
    let found = compare(&std::fs::read_to_string(&requests).unwrap(), &place, |_| Arc::clone(&format));
    let differ = &found.differences;
    eprintln!(
        "{} sets, {} requests, {} of them in tokens, {} differ",
        found.sets,
        found.requests,
        found.in_tokens,
        differ.len()
    );
    assert!(found.requests > 0 && differ.is_empty(), "{}", differ[..differ.len().min(5)].join("\n"));
}
