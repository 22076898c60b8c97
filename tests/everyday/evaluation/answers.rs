//! Written answers graded from their texts: filters, several right answers, native functions, and what is refused.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;
use zoo::evaluate::harness::samples;
use zoo::evaluate::{Answers, EvaluateError, filter, grade, unparsed};
use zoo::tasks::{DataStore, Index, PrepareOptions, PreparedTask, Suite, Task, prepare};

fn data(files: &[(&str, serde_json::Value)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, rows) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rows = rows.as_array().unwrap();
        fs::write(path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    }
    dir
}

fn suite(name: &str) -> Arc<Task> {
    match Index::load(&[]).unwrap().resolve(name).unwrap() {
        Suite::Task(task) => task,
        Suite::Group(_) => panic!("{name} is a group"),
    }
}

fn prepared(name: &str, data: &TempDir, shots: usize) -> Arc<PreparedTask> {
    let options = PrepareOptions { num_fewshot: Some(shots), ..PrepareOptions::default() };
    Arc::new(prepare(&suite(name), &DataStore::new(Some(data.path()), None), &options).unwrap())
}

fn answers(texts: &[&str]) -> Answers {
    Answers::Written(texts.iter().map(|text| vec![(*text).to_owned()]).collect())
}

#[test]
fn each_filter_has_its_own_metric() {
    let rows = json!([{"question": "1 + 1?", "answer": "It is\n#### 2"}, {"question": "2 + 2?", "answer": "#### 4"}]);
    let data =
        data(&[("openai/gsm8k/main/test.jsonl", rows.clone()), ("openai/gsm8k/main/train.jsonl", rows)]);
    let task = prepared("gsm8k", &data, 0);
    assert_eq!(&*task.docs[0].requests[0].context, "Question: 1 + 1?\nAnswer:");
    let graded = grade(&task, &answers(&["So\n#### 2", "It is 4."])).unwrap();
    let value = |filter| graded.metric("exact_match", filter).unwrap().value;
    assert_eq!((value("strict-match"), value("flexible-extract")), (0.5, 1.0));
    let line = &graded.samples[1];
    assert_eq!(line.filtered["strict-match"], "[invalid]");
    assert_eq!(line.filtered["flexible-extract"], "4.");
    assert_eq!(line.metrics["exact_match,flexible-extract"], 1.0);
    let written = serde_json::to_value(line).unwrap();
    assert_eq!(written["text"], "It is 4.");
    assert!(written.get("choices").is_none() && written.get("n_ctx_tokens").is_none());
}

#[test]
fn written_answers_are_logged_as_the_harness_logs_them() {
    let rows = json!([{"question": "1 + 1?", "answer": "It is\n#### 2"}, {"question": "2 + 2?", "answer": "#### 4"}]);
    let data =
        data(&[("openai/gsm8k/main/test.jsonl", rows.clone()), ("openai/gsm8k/main/train.jsonl", rows)]);
    let task = prepared("gsm8k", &data, 0);
    let graded = grade(&task, &answers(&["So\n#### 2", "It is 4."])).unwrap();
    let lines = samples(&graded).map(|s| serde_json::from_str(&s.line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let seen: Vec<_> = lines.iter().map(|l| (l["filter"].as_str().unwrap(), l["doc_id"].as_u64())).collect();
    let (strict, flexible) = ("strict-match", "flexible-extract");
    assert_eq!(seen, [(strict, Some(0)), (strict, Some(1)), (flexible, Some(0)), (flexible, Some(1))]);
    assert_eq!(lines[1]["resps"], json!([["It is 4."]]));
    assert_eq!(lines[1]["filtered_resps"], json!(["[invalid]"]));
    assert_eq!((&lines[3]["filtered_resps"], &lines[3]["exact_match"]), (&json!(["4."]), &json!(1.0)));
    let asked = json!({"gen_args_0": {"arg_0": "Question: 2 + 2?\nAnswer:", "arg_1": {
        "until": ["Question:", "</s>", "<|im_end|>"], "do_sample": false, "temperature": 0.0}}});
    assert_eq!(lines[1]["arguments"], asked);
    assert_eq!(lines[1]["target"], "#### 4");
    let lost = unparsed(&graded).unwrap();
    assert_eq!((lost.documents, lost.of, lost.first), (1, 2, vec![1]));
}

#[test]
fn any_of_several_answers_is_right() {
    let rows = json!([{"question": "who", "answer": ["The Beatles", "Beatles"]}, {"question": "when", "answer": ["1972"]}]);
    let folder = "google-research-datasets/nq_open";
    let data = data(&[
        (&format!("{folder}/validation.jsonl"), rows.clone()),
        (&format!("{folder}/train.jsonl"), rows),
    ]);
    let task = prepared("nq_open", &data, 1);
    let shown = "Answer these questions:\n\nQ: when?\nA: 1972\nQ: who?\nA:";
    assert_eq!(&*task.docs[0].requests[0].context, shown);
    let graded = grade(&task, &answers(&[" a beatles! ", "1973"])).unwrap();
    assert_eq!(graded.samples[0].metrics["exact_match,remove_whitespace"], 1.0);
    assert_eq!(graded.samples[1].metrics["exact_match,remove_whitespace"], 0.0);
    assert_eq!(graded.samples[0].target, json!(["The Beatles", "Beatles"]));
}

#[test]
fn worked_examples_come_first_and_the_answer_follows_its_phrase() {
    let data = data(&[("SaylorTwift/bbh/navigate/test.jsonl", json!([{"input": "Turn?", "target": "No"}]))]);
    let task = prepared("bbh_cot_fewshot_navigate", &data, 3);
    let context = &task.docs[0].requests[0].context;
    assert!(context.ends_with("\n\nQ: Turn?\nA: Let's think step by step.\n"), "{context}");
    assert_eq!(context.matches("Let's think step by step.\n").count(), 4);
    let graded = grade(&task, &answers(&["We turn. So the answer is No."])).unwrap();
    assert_eq!(graded.metric("exact_match", "get-answer").unwrap().value, 1.0);
}

#[test]
fn a_native_function_grades_in_place_of_metrics() {
    let row = json!([{"query": "Q: 1/2?\nA: The answer is", "answer": "$\\frac{1}{2}$"}]);
    let data = data(&[("hails/agieval-math/test.jsonl", row)]);
    let task = prepared("agieval_math", &data, 0);
    let graded = grade(&task, &answers(&[" $0.5$"])).unwrap();
    assert_eq!(graded.metric("acc", "none").unwrap().value, 1.0);
}

#[test]
fn programs_are_put_together_and_not_run() {
    let row = json!([{"prompt": "def f():\n", "test": "def check(f): pass", "entry_point": "f"}]);
    let data = data(&[("openai/openai_humaneval/test.jsonl", row)]);
    let task = prepared("humaneval", &data, 0);
    assert_eq!(task.docs[0].target_text, "def check(f): pass\ncheck(f)");
    let filtered = filter(&task, &answers(&["    return 1"])).unwrap();
    assert_eq!(filtered.samples[0].filtered["create_test"], json!(["def f():\n    return 1"]));
    let error = grade(&task, &answers(&["    return 1"])).unwrap_err();
    assert!(matches!(error, EvaluateError::RunsPrograms { .. }));
    assert!(error.to_string().contains("--predict-only"), "{error}");
}

#[test]
fn examples_of_programs_are_byte_by_byte_those_of_the_harness() {
    let row = json!([{"text": "Add.", "code": "x", "test_list": ["a", "b", "c"]}]);
    let data = data(&[("google-research-datasets/mbpp/full/test.jsonl", row)]);
    let task = prepared("mbpp", &data, 3);
    let context = &task.docs[0].requests[0].context;
    assert!(context.starts_with(
        "You are an expert Python programmer, and here is your task: Write a function to find the similar elements from \
         the given two tuple lists. Your code should pass these tests:\n\nassert similar_elements((3, 4, 5, 6),"
    ));
    assert!(context.contains("[BEGIN]\ndef similar_elements(test_tup1, test_tup2):\r\n  res = "));
    assert!(
        context.ends_with("here is your task: Add. Your code should pass these tests:\n\na\nb\nc\n[BEGIN]\n")
    );
    assert_eq!(task.docs[0].target_text, "a\nb\nc");
}

#[test]
fn answers_that_do_not_fit_the_documents_are_refused() {
    let data = data(&[("SaylorTwift/bbh/navigate/test.jsonl", json!([{"input": "Turn?", "target": "No"}]))]);
    let task = prepared("bbh_fewshot_navigate", &data, 0);
    let said =
        |answers: &[Vec<String>]| grade(&task, &Answers::Written(answers.to_vec())).unwrap_err().to_string();
    assert!(said(&[]).contains("found answers to 0"), "{}", said(&[]));
    assert!(said(&[vec![]]).contains("found 0 to document 0"), "{}", said(&[vec![]]));
    let sorted = prepared(
        "bbh_zeroshot_word_sorting",
        &self::data(&[(
            "SaylorTwift/bbh/word_sorting/test.jsonl",
            json!([{"input": "Sort these.", "target": "a"}]),
        )]),
        0,
    );
    let error = grade(&sorted, &answers(&["a"])).unwrap_err().to_string();
    assert!(error.contains("document 0: filter flexible-extract") && error.contains("List:"), "{error}");
}

/// Expected values: `bleu`, `chrf`, `chrfpp` and `ter` of `lm_eval.api.metrics` 0.4.13 with sacrebleu 2.6 for the same pairs.
#[test]
fn likeness_to_the_right_answer_is_measured_over_all_documents() {
    let folder = data(&[(
        "o/n/test.jsonl",
        json!([{"q": "1", "a": "the cat sat on the mat"}, {"q": "2", "a": "two birds saw my tree"}]),
    )]);
    let file = "task: zz\noutput_type: generate_until\ndataset_path: o/n\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n\
                metric_list: [{metric: bleu}, {metric: chrf}, {metric: chrf++}, {metric: ter}]\n";
    fs::write(folder.path().join("zz.yaml"), file).unwrap();
    let index = Index::load(&[folder.path().to_owned()]).unwrap();
    let Suite::Task(task) = index.resolve("zz").unwrap() else { panic!("no task") };
    let store = DataStore::new(Some(folder.path()), None);
    let task = Arc::new(prepare(&task, &store, &PrepareOptions::default()).unwrap());
    let graded = grade(&task, &answers(&["on the mat the cat sat", "two birds saw an old tree"])).unwrap();
    for (name, expected, is_better) in [
        ("bleu", 35.355339059327356, true),
        ("chrf", 73.2902256037655, true),
        ("chrf++", 74.28084459155271, true),
        ("ter", 27.27272727272727, false),
    ] {
        let metric = graded.metric(name, "none").unwrap_or_else(|| panic!("{name}"));
        assert!((metric.value - expected).abs() < 1e-9, "{name}: {}", metric.value);
        assert!(metric.stderr.is_some(), "{name}");
        assert_eq!(
            task.task.config.metrics().iter().find(|m| m.name == name).unwrap().higher_is_better,
            is_better
        );
    }
}

#[test]
fn a_search_that_takes_long_is_finished_and_one_without_end_is_named() {
    let rows = json!([{"q": "?", "a": "b"}, {"q": "?", "a": "b"}]);
    let folder = data(&[("rows.jsonl", rows)]);
    let task = "task: mine\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\ntest_split: test\n\
                output_type: generate_until\nnum_fewshot: 0\ndoc_to_text: q\ndoc_to_target: a\nmetric_list: [{metric: exact_match}]\n\
                filter_list:\n- name: last\n  filter:\n  - function: regex\n    regex_pattern: '(?:a|aa)+(?<=b)$|b'\n  \
                - function: take_first\n";
    fs::write(folder.path().join("mine.yaml"), task).unwrap();
    let Suite::Task(task) = Index::load(&[folder.path().to_owned()]).unwrap().resolve("mine").unwrap() else {
        panic!("mine is a group")
    };
    let task = Arc::new(prepare(&task, &DataStore::new(None, None), &PrepareOptions::default()).unwrap());
    // Python takes a while, too, and finds the same.
    let long = "a".repeat(29) + " b";
    let graded = grade(&task, &answers(&["b", &long])).unwrap();
    assert_eq!(graded.metric("exact_match", "last").unwrap().value, 1.0);
    let error = grade(&task, &answers(&["b", &("a".repeat(80) + " b")])).unwrap_err().to_string();
    assert!(error.contains("document 1") && error.contains("cannot be searched"), "{error}");
}
