//! What a run keeps of what was asked: prompts, choices and right answers in words, once for all who were asked alike.

use std::fs;

use crate::support::interrupted::files;
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{stderr, write_tiny_model};
use serde_json::{Value, json};
use zoo::records::{TextLine, read_texts};

const DATA: &str = "dataset_path: json\ndataset_kwargs: {data_files: {train: train.jsonl, test: rows.jsonl}}\n\
                    training_split: train\ntest_split: test\n";
const RIGHT_TO_LEFT: &str = "\u{202e}</script>\u{0}\u{1b}[31m=1+1";

/// Four tasks, one of each way of asking, each with three documents.
fn place(flags: &[&str]) -> Place {
    let place = Place::new(flags);
    let row = |q: &str, a: &str, gold: usize| format!("{}\n", json!({"q": q, "a": a, "gold": gold}));
    place.task("train.jsonl", row("0 + 0", "0", 0) + &row("1 + 3", "4", 0));
    place.task("rows.jsonl", row("1 + 1", "2", 1) + &row(RIGHT_TO_LEFT, "4", 0) + &row("3 + 3", "6", 1));
    let one = "num_fewshot: 1\ndoc_to_text: \"{{q}} =\"\n";
    for (name, kind, rest) in [
        ("choose", "multiple_choice", format!("{one}doc_to_choice: [four, \"2\"]\ndoc_to_target: gold\n")),
        (
            "page",
            "loglikelihood_rolling",
            "doc_to_text: \"\"\ndoc_to_target: \"{{q}} is {{a}}.\"\n".to_owned(),
        ),
        (
            "write",
            "generate_until",
            format!("{one}doc_to_target: \"{{{{a}}}}\"\ngeneration_kwargs: {{max_gen_toks: 2}}\n"),
        ),
        (
            "fill",
            "multiple_choice",
            "doc_to_text: gold\ndoc_to_choice: [\"{{q}} a\", \"{{q}} b\"]\ndoc_to_target: a\n".to_owned(),
        ),
    ] {
        place.task(&format!("{name}.yaml"), format!("task: {name}\noutput_type: {kind}\n{DATA}{rest}"));
    }
    place
}

fn texts(place: &Place, file: &str) -> Vec<TextLine> {
    read_texts(&place.path(file)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn samples(place: &Place, file: &str) -> Vec<Value> {
    place.read(file).lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn prompts_choices_and_right_answers_are_kept_once_for_all_models() {
    let place = place(&["--suite", "choose,page,write,fill"]);
    write_tiny_model(&place.path("other"));
    place.run("run", &[&place.text("other")]);
    let folder = "run/texts/lm-eval-0.4.13";
    assert_eq!(fs::read_dir(place.path(folder)).unwrap().count(), 4);
    for task in ["choose", "page", "write", "fill"] {
        let texts = texts(&place, &format!("{folder}/{task}.jsonl.zst"));
        for model in ["tiny", "other"] {
            let samples = samples(&place, &format!("run/samples/{model}/{task}.jsonl"));
            assert_eq!(samples.len(), 3, "{task}");
            for (text, sample) in texts.iter().zip(&samples) {
                assert_eq!(sample["doc_id"], text.doc_id);
                assert_eq!(sample["prompt_sha256"], text.prompt_sha256);
                let choices = sample["choices"].as_array().map_or(0, Vec::len);
                assert_eq!(choices, text.choices.len());
                let own = |at: usize| sample["choices"][at]["prompt_sha256"].as_str();
                for (at, prompt) in text.prompts.iter().enumerate() {
                    assert_eq!(own(at), Some(zoo::base::digest::sha256(prompt).as_str()));
                }
            }
        }
        let hostile = &texts[1];
        match task {
            "choose" => {
                let prompt = hostile.prompt.as_str();
                assert!(
                    prompt.starts_with("0 + 0 = four\n\n") || prompt.starts_with("1 + 3 = four\n\n"),
                    "{prompt}"
                );
                assert_eq!(hostile.parts(prompt)[1], format!("{RIGHT_TO_LEFT} ="));
                assert_eq!(
                    (&hostile.choices[..], &hostile.target),
                    (&[" four".to_owned(), " 2".to_owned()][..], &None)
                );
            }
            "page" => assert_eq!(
                (hostile.prompt.as_str(), &hostile.choices[..]),
                ("", &[format!("{RIGHT_TO_LEFT} is 4.")][..])
            ),
            "write" => assert_eq!((hostile.target.as_deref(), hostile.choices.len()), (Some("4"), 0)),
            _ => {
                assert!(hostile.prompts[1].ends_with(" b") && hostile.choices == [" 4", " 4"], "{hostile:?}")
            }
        }
    }
}

#[test]
fn texts_are_written_again_by_who_grades_and_left_out_by_who_says_so() {
    let place = place(&["--suite", "choose,write"]);
    place.run("run", &[]);
    let run = place.text("run");
    let again = place.zoo(&["score", &run, "--out", &place.text("again")]);
    assert!(again.status.success(), "{}", stderr(&again));
    let all = files(&place.path("run"));
    assert!(all.contains_key("texts/lm-eval-0.4.13/write.jsonl.zst"));
    assert_eq!(files(&place.path("again")), all);
    place.run("without", &["--no-texts"]);
    let output = place.zoo(&["score", &run, "--no-texts", "--out", &place.text("graded-without")]);
    assert!(output.status.success(), "{}", stderr(&output));
    for without in ["without", "graded-without"] {
        let mut all = all.clone();
        all.retain(|name, _| !name.starts_with("texts/"));
        assert_eq!(files(&place.path(without)), all, "{without}");
    }
    assert_says(&place.zoo(&["score", &run, "--no-texts"]), 2, &["--out"]);
}

#[test]
fn a_prompt_that_was_shortened_for_one_model_is_a_line_of_its_own() {
    let place = place(&["--suite", "choose", "--overlong", "drop-shots"]);
    write_tiny_model(&place.path("short"));
    let config = place.read("short/config.json");
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["max_position_embeddings"] = 34.into();
    fs::write(place.path("short/config.json"), config.to_string()).unwrap();
    place.run("run", &[&place.text("short")]);
    let texts = texts(&place, "run/texts/lm-eval-0.4.13/choose.jsonl.zst");
    let lines: Vec<(usize, &str)> =
        texts.iter().map(|line| (line.doc_id, line.prompt_sha256.as_str())).collect();
    assert!(lines.is_sorted_by_key(|(doc_id, _)| *doc_id), "{lines:?}");
    for model in ["tiny", "short"] {
        for sample in samples(&place, &format!("run/samples/{model}/choose.jsonl")) {
            let own =
                (sample["doc_id"].as_u64().unwrap() as usize, sample["prompt_sha256"].as_str().unwrap());
            assert!(lines.contains(&own), "{model}: {own:?}");
        }
    }
    // The long document lost its example in the short model alone.
    assert_eq!(lines.iter().filter(|(doc_id, _)| *doc_id == 1).count(), 2, "{texts:?}");
    assert_eq!(lines.iter().filter(|(doc_id, _)| *doc_id == 0).count(), 1, "{texts:?}");
}
