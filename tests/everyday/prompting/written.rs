//! Answers that are written after conversations: the prompts are those of lm-evaluation-harness 0.4.13 for a checkpoint's template
//! (`tests/fixtures/chat`), a card's template writes tokens, and the model goes on from exactly these.

use std::fs;
use std::path::Path;

use serde_json::Value;
use zoo::kernels;
use zoo::model::{Checkpoint, Kept, Residence, Wave, unwatched};
use zoo::prompts::{self, ChatFormat, End, Message};
use zoo::tokenizer::Tokenizer;

use super::chat::{eval, fixtures};
use crate::support::tiny::stderr;

/// Tokens of an answer, and documents.
const MOST: usize = 6;
const DOCUMENTS: usize = 3;

/// What follows these tokens by the most probable ones, each by a pass over everything before it.
fn plainly(model: &Path, mut tokens: Vec<u32>) -> String {
    let network = Checkpoint::open(model).unwrap().load(kernels::default(), Residence::Memory).unwrap();
    let tokenizer = Tokenizer::from_folder(model).unwrap();
    let begins = tokens.len();
    while tokens.len() < begins + MOST {
        let last = [tokens.len() - 1];
        let hidden = network.forward(&Wave::sequence(&tokens), Kept::Rows(&last), &mut unwatched).unwrap();
        let logits = network.logits(hidden.view());
        let best = (0..logits.ncols()).max_by(|&a, &b| logits[[0, a]].total_cmp(&logits[[0, b]])).unwrap();
        if tokenizer.eos() == Some(best as u32) {
            break;
        }
        tokens.push(best as u32);
    }
    let text = tokenizer.decode_without_specials(&tokens[begins..]).unwrap();
    text.split("\n\n").next().unwrap().to_owned()
}

/// Runs the written task with two examples; gives of each document its prompt and the answer.
fn written(folder: &Path, flags: &[&str]) -> Vec<(String, String)> {
    let most = format!("max_gen_toks={MOST}");
    let documents = DOCUMENTS.to_string();
    let own = ["--suite", "chat_written", "--num-fewshot", "2", "--limit", &documents, "--log-samples"];
    let _ = fs::remove_dir_all(folder.join("run"));
    let (output, _) = eval(folder, &[&own[..], &["--gen-kwargs", &most], flags].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let folders = fs::read_dir(folder.join("run/lm-eval")).unwrap().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    let samples = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let text = fs::read_to_string(samples.expect("samples were logged")).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let [prompt, answer] = [&line["arguments"]["gen_args_0"]["arg_0"], &line["resps"][0][0]];
        (prompt.as_str().unwrap().to_owned(), answer.as_str().unwrap().to_owned())
    };
    text.lines().map(line).collect()
}

#[test]
fn a_checkpoint_s_template_asks_what_the_reference_asks_and_the_model_goes_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let reference = fs::read_to_string(fixtures().join("requests.jsonl")).unwrap();
    let reference: Vec<Value> = reference.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut seen = Vec::new();
    for (multiturn, flag) in [(true, "--fewshot-as-multiturn=true"), (false, "--fewshot-as-multiturn=false")]
    {
        let found = written(folder.path(), &["--apply-chat-template", flag]);
        let is_same = |row: &&Value| {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            (text("task"), text("template"), text("system")) == ("chat_written", "turns", "")
                && (row["chat"] == true, row["multiturn"] == multiturn, row["shots"] == 2)
                    == (true, true, true)
        };
        let expected: Vec<&Value> = reference.iter().filter(is_same).collect();
        assert_eq!((found.len(), expected.len()), (DOCUMENTS, DOCUMENTS));
        let model = folder.path().join("tiny");
        let tokenizer = Tokenizer::from_folder(&model).unwrap();
        for ((prompt, answer), row) in found.iter().zip(expected) {
            assert_eq!(prompt, row["context"].as_str().unwrap());
            assert_eq!(*answer, plainly(&model, tokenizer.encode_for_model(prompt).unwrap()), "{prompt}");
        }
        seen.push(found);
    }
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_card_s_template_asks_in_tokens_and_the_model_goes_on_from_these() {
    let folder = tempfile::tempdir().unwrap();
    let templates = prompts::load(None).unwrap();
    let card = ChatFormat::of_card(&templates["vicuna-v1.1"]);
    // The examples of the first document, as the reference draws them.
    let (asked, shots) = ("Q: test <s> 0\nA:", ["train 3, é", "train <s> 0"]);
    let question = |shot: &str| format!("Q: {shot}\nA:");
    let turns: Vec<Message> = shots
        .iter()
        .flat_map(|shot| [Message::user(question(shot)), Message::assistant(*shot)])
        .chain([Message::user(asked)])
        .collect();
    let joined: String = shots.iter().map(|shot| format!("{} {shot}\n\n", question(shot))).collect();
    for (flag, messages) in [
        ("--fewshot-as-multiturn=true", turns),
        ("--fewshot-as-multiturn=false", vec![Message::user(joined + asked)]),
    ] {
        let found = written(folder.path(), &["--apply-chat-template=vicuna-v1.1", flag]);
        let model = folder.path().join("tiny");
        let tokenizer = Tokenizer::from_folder(&model).unwrap();
        let chat = card.write(&messages, End::Answer).unwrap();
        assert!(chat.text.ends_with("USER: Q: test <s> 0\nA: ASSISTANT:") || messages.len() == 1);
        let tokens = card.encode(&chat, &tokenizer).unwrap();
        // Of the text of a document nothing is special, of the template's </s> everything.
        let specials = tokens.iter().filter(|&&id| Some(id) == tokenizer.eos()).count();
        assert_eq!(specials, messages.len() / 2);
        assert_eq!(found[0], (chat.text, plainly(&model, tokens)), "{flag}");
    }
}
