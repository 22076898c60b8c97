//! Instructions without right answers: no score, but files that people or models judge; turns that hold the answers before them.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::interrupted::{Interrupted, files, ledger_bytes};
use crate::support::place::{Place, assert_says};
use crate::support::tiny::{command, stderr, stdout};

/// A template that shows who says what, in a checkpoint of its own.
const TEMPLATE: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
/// Questions of MT-bench's form.
const QUESTIONS: usize = 12;

/// A model with a chat template, and sets of instructions in the forms of their authors.
fn world() -> Place {
    let place = Place::new(&["--max-length", "400"]);
    let settings = place.path("tiny/tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap();
    config["chat_template"] = TEMPLATE.into();
    fs::write(settings, config.to_string()).unwrap();
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let kinds = ["writing", "math", "fermi"];
    let mt: Vec<Value> = (0..QUESTIONS)
        .map(|n| {
            let turns = [format!("Say {n}."), format!("Again {n}.")];
            let mut row = json!({"question_id": 81 + n, "category": kinds[n % 3], "turns": turns});
            if n % 3 == 1 {
                row["reference"] = json!(["one", "two"]);
            }
            row
        })
        .collect();
    let vicuna = [
        json!({"question_id": 1, "text": "How are you?", "category": "generic"}),
        json!({"question_id": 2, "text": "And now?", "category": "math"}),
    ];
    let belle = [
        json!({"question": "你好吗？", "class": "open qa", "std_answer": ""}),
        json!({"question": "一加一？", "class": "math", "std_answer": "二"}),
    ];
    let own = [
        json!({"id": "user_oriented_task_0", "motivation_app": "Mail", "instruction": "Add.",
               "instances": [{"input": "1 2", "output": "3"}]}),
        json!({"id": "user_oriented_task_1", "motivation_app": "Mail", "instruction": "Sing.",
               "instances": [{"input": "", "output": "La."}]}),
    ];
    for (name, text) in [
        ("mt_bench/question.jsonl", lines(&mt)),
        ("vicuna_bench/question.jsonl", lines(&vicuna)),
        ("belle_eval/eval_set.json", lines(&belle)),
        ("self_instruct/user_oriented_instructions.jsonl", lines(&own)),
    ] {
        let path = place.path("data").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    place
}

fn args<'a>(data: &'a str, suite: &'a str, extra: &[&'a str]) -> Vec<&'a str> {
    let own = ["--suite", suite, "--data-dir", data, "--gen-kwargs"];
    let most = if extra.contains(&"greedy") { "max_gen_toks=12,do_sample=false" } else { "max_gen_toks=12" };
    own.into_iter().chain([most]).chain(extra.iter().copied().filter(|word| *word != "greedy")).collect()
}

fn eval(place: &Place, suite: &str, out: &str, extra: &[&str]) -> Output {
    place.eval(out, &args(&place.text("data"), suite, extra))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn samples(place: &Place, out: &str, task: &str) -> Vec<Value> {
    lines(&place.path(out).join(format!("samples/tiny/{task}.jsonl"))).split_off(1)
}

/// The texts of all turns of a line of samples.
fn texts(sample: &Value) -> Vec<String> {
    let turns = sample["turns"].as_array().cloned().unwrap_or_default();
    std::iter::once(&sample["text"]).chain(&turns).map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_second_turn_holds_the_first_answer_and_the_file_is_fastchats() {
    let place = world();
    let output = eval(&place, "mt-bench", "run", &["greedy"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "there is no score");
    let file = place.path("run/judged/mt_bench/model_answer/tiny.jsonl");
    let said = format!("{QUESTIONS} answers and no score; written for judges: {}", file.display());
    assert!(stderr(&output).contains(&said), "{}", stderr(&output));
    assert!(
        place
            .read("run/comparison.md")
            .contains("written for judges: judged/mt_bench/model_answer/tiny.jsonl")
    );
    assert_eq!(place.read("run/results.csv").lines().count(), 1, "a head alone");

    let (answers, samples) = (lines(&file), samples(&place, "run", "mt-bench"));
    assert_eq!((answers.len(), samples.len()), (QUESTIONS, QUESTIONS));
    for (number, (answer, sample)) in answers.iter().zip(&samples).enumerate() {
        let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["question_id", "answer_id", "model_id", "choices", "tstamp"]);
        assert_eq!((&answer["question_id"], &answer["model_id"]), (&json!(81 + number), &json!("tiny")));
        assert!(
            answer["tstamp"].as_f64().unwrap() > 1.6e9 && answer["answer_id"].as_str().unwrap().len() == 22
        );
        let spoken: Vec<String> = texts(sample).iter().map(|text| text.trim().to_owned()).collect();
        assert_eq!(answer["choices"], json!([{"index": 0, "turns": spoken}]));
        assert_eq!(spoken.len(), 2);
    }
    // The second turn is what follows the conversation until then, asked by itself.
    place.task(
        "plain.yaml",
        "task: plain\noutput_type: generate_until\ndataset_path: json\n\
         dataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\ndoc_to_text: \"{{q}}\"\n\
         doc_to_target: x\ngeneration_kwargs: {until: [], max_gen_toks: 12}\nmetric_list: [{metric: exact_match}]\n",
    );
    let prompts = samples.iter().enumerate().map(|(n, sample)| {
        let first = texts(sample)[0].trim().to_owned();
        format!(
            "{}\n",
            json!({"q": format!("<user>Say {n}.\n<assistant>{first}\n<user>Again {n}.\n<assistant>")})
        )
    });
    fs::write(place.path("tasks/rows.jsonl"), prompts.collect::<String>()).unwrap();
    let tasks = place.text("tasks");
    place.run("plain", &["--suite", "plain", "--include-path", &tasks]);
    for (plain, sample) in self::samples(&place, "plain", "plain").iter().zip(&samples) {
        assert_eq!(plain["text"], texts(sample)[1].as_str());
    }
}

#[test]
fn answers_are_drawn_as_warm_as_their_kind_unless_one_asks_otherwise() {
    let place = world();
    for (out, extra) in [("warm", &[][..]), ("again", &["--threads", "1"]), ("greedy", &["greedy"])] {
        let output = eval(&place, "mt-bench", out, extra);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let [warm, again, greedy] = ["warm", "again", "greedy"].map(|out| samples(&place, out, "mt-bench"));
    assert_eq!(warm, again);
    let differ =
        |kind: usize| (kind..QUESTIONS).step_by(3).filter(|&n| texts(&warm[n]) != texts(&greedy[n])).count();
    // Mathematics at 0; writing, and what the table does not know, at 0.7.
    assert!(differ(0) > 0 && differ(2) > 0, "{} {}", differ(0), differ(2));
    assert_eq!(differ(1), 0);
}

#[test]
fn an_interrupted_conversation_goes_on_and_is_taken_over_and_graded_again() {
    let place = world();
    let data = place.text("data");
    let output = eval(&place, "mt-bench", "whole", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let without_times = |out: &str| {
        let mut files = files(&place.path(out));
        files.retain(|name, _| !name.starts_with("judged/"));
        (
            files,
            lines(&place.path(out).join("judged/mt_bench/model_answer/tiny.jsonl"))
                .into_iter()
                .map(|mut line| {
                    line["tstamp"] = Value::Null;
                    line
                })
                .collect::<Vec<_>>(),
        )
    };
    let (expected, size) = (without_times("whole"), ledger_bytes(&place.path("whole")));
    let mut kills = 0;
    for part in [1, 4] {
        let resume = args(&data, "mt-bench", &["--resume", "--threads", "1"]);
        let mut run = Interrupted::start(command(&[]), &place.args("run", &resume), &place.path("run"));
        kills += u32::from(run.kill_after_bytes(size * part / 6));
    }
    let output = eval(&place, "mt-bench", "run", &["--resume"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(without_times("run"), expected, "after {kills} kills");
    let whole = place.text("whole");
    let output = eval(&place, "mt-bench", "reused", &["--reuse", &whole]);
    assert!(output.status.success(), "{}", stderr(&output));
    let all = format!("{0} of {0} requests were taken over", 2 * QUESTIONS);
    assert!(stderr(&output).contains(&all), "{}", stderr(&output));
    assert_eq!(without_times("reused"), expected);
    // What is graded again has the same file, times and all, and needs no model.
    let again = place.text("again");
    let output = place.zoo(&["score", &whole, "--data-dir", &data, "--out", &again]);
    assert!(output.status.success(), "{}", stderr(&output));
    let judged = "judged/mt_bench/model_answer/tiny.jsonl";
    assert_eq!(place.read(&format!("again/{judged}")), place.read(&format!("whole/{judged}")));
    assert_eq!(samples(&place, "again", "mt-bench"), samples(&place, "whole", "mt-bench"));
}

#[test]
fn other_sets_are_lines_with_the_instruction_beside_the_answer() {
    let place = world();
    let output = eval(&place, "vicuna-80,belle-eval,self-instruct-252", "run", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let vicuna = lines(&place.path("run/judged/vicuna_bench/model_answer/tiny.jsonl"));
    assert_eq!(vicuna.iter().map(|line| line["question_id"].clone()).collect::<Vec<_>>(), [1, 2]);
    let shown = |name: &str| -> Vec<Value> {
        let show = |line: Value| {
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["id", "instruction", "input", "output", "model"]);
            assert!(line["output"].is_string() && line["model"] == "tiny");
            json!([line["id"], line["instruction"], line["input"]])
        };
        lines(&place.path("run/judged").join(name)).into_iter().map(show).collect()
    };
    assert_eq!(shown("belle_eval/tiny.jsonl"), [json!([0, "你好吗？", ""]), json!([1, "一加一？", ""])]);
    let own = [json!(["user_oriented_task_0", "Add.", "1 2"]), json!(["user_oriented_task_1", "Sing.", ""])];
    assert_eq!(shown("self_instruct/tiny.jsonl"), own);
    // A template with a place for the input puts it there; others have it below the instruction.
    let digest = |text: &str| zoo::base::digest::sha256(text);
    let asked = samples(&place, "run", "self-instruct-252");
    assert_eq!(asked[0]["prompt_sha256"], digest("<user>Add.\n\n1 2\n<assistant>"));
    assert_eq!(asked[1]["prompt_sha256"], digest("<user>Sing.\n<assistant>"));
    let output = eval(&place, "self-instruct-252", "alpaca", &["--apply-chat-template=alpaca"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let name = "judged/self_instruct/tiny__chat_.jsonl";
    assert_eq!(lines(&place.path("alpaca").join(name)).len(), 2);
    let header = "alpaca/samples/tiny__chat_/self-instruct-252.jsonl";
    let alpaca = "Below is an instruction that describes a task, paired with an input that provides further context. Write a \
                  response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:";
    assert_eq!(lines(&place.path(header))[1]["prompt_sha256"], digest(alpaca));
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_written() {
    let place = world();
    let output = eval(&place, "mt-bench", "alpaca", &["--apply-chat-template=alpaca"]);
    assert_says(&output, 1, &["2 turns", "single turn", "alpaca"]);
    let output = eval(&place, "mt-bench", "none", &["--apply-chat-template=none"]);
    assert_says(&output, 1, &["conversation of 2 turns", "--apply-chat-template=NAME"]);
    let output = eval(&place, "mt-bench,basics_letters_en", "mixed", &[]);
    assert_says(&output, 2, &["mt-bench", "basics_letters_en", "run them apart"]);
    let empty = place.text("empty");
    fs::create_dir(&empty).unwrap();
    let output = place.eval("missing", &args(&empty, "mt-bench", &[]));
    assert_says(&output, 1, &["zoo does not fetch this one", "mt_bench/question.jsonl", "--data-dir"]);
    for folder in ["alpaca", "none", "mixed", "missing"] {
        assert!(!place.path(folder).exists(), "{folder}");
    }
    // Questions that share a name, and turns that are no texts.
    let question = |id: u64, turns: Value| {
        format!("{}\n", json!({"question_id": id, "category": "math", "turns": turns}))
    };
    for (text, words) in [
        (question(5, json!(["a"])) + &question(5, json!(["b"])), &["document 1", "a second 5"][..]),
        (question(5, json!(["a", 7])), &["document 0", "metadata.judged", "turns"]),
    ] {
        fs::write(place.path("data/mt_bench/question.jsonl"), text).unwrap();
        let output = eval(&place, "mt-bench", "wrong", &[]);
        assert_says(&output, 1, words);
        assert!(!place.path("wrong").exists());
    }
}
