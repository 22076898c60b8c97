//! From a task file and a few rows to requests: prompts, examples, data formats, and what is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use zoo::metrics::Gold;
use zoo::tasks::{
    DataStore, DatasetRef, Index, Limit, PrepareOptions, PreparedTask, Suite, Task, TaskError, prepare,
};

/// Task files and data sets in one temporary folder.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            fixture.write(name, text);
        }
        fixture
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn task(&self, name: &str) -> Arc<Task> {
        let index = Index::load(&[self.dir.path().join("tasks")]).unwrap();
        assert!(index.problems().is_empty(), "{:?}", index.problems());
        match index.resolve(name).unwrap() {
            Suite::Task(task) => task,
            Suite::Group(_) => panic!("{name} is a group"),
        }
    }

    fn store(&self) -> DataStore {
        DataStore::new(Some(&self.dir.path().join("data")), None)
    }

    fn prepare(&self, name: &str, options: &PrepareOptions) -> Result<PreparedTask, TaskError> {
        prepare(&self.task(name), &self.store(), options)
    }

    fn contexts(&self, name: &str, options: &PrepareOptions) -> Vec<String> {
        let prepared = self.prepare(name, options).unwrap();
        prepared.docs.iter().map(|doc| doc.requests[0].context.to_string()).collect()
    }
}

fn shots(n: usize) -> PrepareOptions {
    PrepareOptions { num_fewshot: Some(n), ..PrepareOptions::default() }
}

fn rows(prefix: &str, n: usize) -> String {
    (0..n).map(|i| format!("{{\"q\": \"{prefix}q{i}\", \"label\": {}}}\n", i % 2)).collect()
}

const QA: &str = "task: qa\ndataset_path: o/d\noutput_type: multiple_choice\ntest_split: test\n\
                  training_split: train\nfewshot_config: {sampler: first_n}\n\
                  description: \"Desc {{q}}.\\n\\n\"\ndoc_to_text: \"Q: {{q}}\\nA:\"\n\
                  doc_to_target: label\ndoc_to_choice: [\"no\", \"yes\"]\n";

fn qa() -> Fixture {
    Fixture::new(&[
        ("tasks/qa.yaml", QA),
        (
            "tasks/prefixed.yaml",
            "include: qa.yaml\ntask: prefixed\ndescription: \"\"\ngen_prefix: The answer is\n",
        ),
        ("data/o/d/test.jsonl", &rows("e", 2)),
        ("data/o/d/train.jsonl", &rows("t", 3)),
    ])
}

#[test]
fn plain_rendering_with_description_and_examples() {
    let contexts = qa().contexts("qa", &shots(2));
    let wanted = "Desc eq0.\n\nQ: tq0\nA: no\n\nQ: tq1\nA: yes\n\nQ: eq0\nA:";
    assert_eq!(contexts[0], wanted);
    assert_eq!(contexts[1], wanted.replace("eq0", "eq1"));
}

#[test]
fn a_system_instruction_stands_first() {
    let options = PrepareOptions { system_instruction: Some("SYS".into()), ..shots(1) };
    assert_eq!(qa().contexts("qa", &options)[0], "SYS\n\nDesc eq0.\n\nQ: tq0\nA: no\n\nQ: eq0\nA:");
}

#[test]
fn a_prefix_begins_every_answer() {
    let wanted = "Q: tq0\nA: The answer is no\n\nQ: eq0\nA: The answer is";
    assert_eq!(qa().contexts("prefixed", &shots(1))[0], wanted);
}

#[test]
fn requests_share_the_context_and_carry_the_delimiter() {
    let prepared = qa().prepare("qa", &shots(0)).unwrap();
    let doc = &prepared.docs[1];
    let continuations: Vec<&str> = doc.requests.iter().map(|r| r.continuation.as_str()).collect();
    assert_eq!(continuations, [" no", " yes"]);
    assert!(Arc::ptr_eq(&doc.requests[0].context, &doc.requests[1].context));
    assert_eq!((doc.gold.clone(), doc.target_text.as_str()), (Gold::Index(1), "1"));
    assert_eq!(doc.choices, ["no", "yes"]);
    assert!(doc.unconditional.is_empty());
    assert_eq!((prepared.total_docs, prepared.data_sha256.len()), (2, 64));
}

#[test]
fn mutual_information_asks_for_the_choices_alone() {
    let fixture = qa();
    fixture.write("tasks/mi.yaml", "include: qa.yaml\ntask: mi\nmetric_list: [{metric: acc_mutual_info}]\n");
    let doc = &fixture.prepare("mi", &shots(0)).unwrap().docs[0];
    let alone: Vec<(&str, &str)> =
        doc.unconditional.iter().map(|r| (&*r.context, r.continuation.as_str())).collect();
    assert_eq!(alone, [("", " no"), ("", " yes")]);
}

#[test]
fn the_digest_depends_on_the_data_that_is_read() {
    let fixture = qa();
    let digest = |n| fixture.prepare("qa", &shots(n)).unwrap().data_sha256;
    let before = (digest(0), digest(1));
    assert_ne!(before.0, before.1);
    fixture.write("data/o/d/train.jsonl", &rows("u", 3));
    let after = (digest(0), digest(1));
    assert_eq!(before.0, after.0);
    assert_ne!(before.1, after.1);
}

#[test]
fn limits_take_the_first_documents() {
    let fixture = qa();
    fixture.write("data/o/d/test.jsonl", &rows("e", 10));
    let count = |limit| {
        let options = PrepareOptions { limit: Some(limit), ..shots(0) };
        fixture.prepare("qa", &options).map(|p| (p.docs.len(), p.total_docs))
    };
    assert_eq!(count(Limit::Count(3)).unwrap(), (3, 10));
    assert_eq!(count(Limit::Count(30)).unwrap(), (10, 10));
    assert_eq!(count(Limit::Fraction(0.11)).unwrap(), (2, 10));
    assert!(count(Limit::Count(0)).is_err());
    assert!(count(Limit::Fraction(1.5)).is_err());
    assert!(count(Limit::Fraction(f64::NAN)).is_err());
}

#[test]
fn zero_shots_in_the_file_stay_zero_and_other_numbers_are_defaults() {
    let fixture = qa();
    fixture.write("tasks/zero.yaml", "include: qa.yaml\ntask: zero\nnum_fewshot: 0\n");
    fixture.write("tasks/two.yaml", "include: qa.yaml\ntask: two\nnum_fewshot: 2\n");
    assert_eq!(fixture.prepare("zero", &shots(3)).unwrap().num_fewshot, 0);
    assert_eq!(fixture.prepare("two", &PrepareOptions::default()).unwrap().num_fewshot, 2);
    assert_eq!(fixture.prepare("two", &shots(1)).unwrap().num_fewshot, 1);
    let said = fixture.prepare("qa", &shots(4)).unwrap_err().to_string();
    assert!(said.contains("holds 3") && said.contains("document 0"), "{said}");
}

/// A task over one split of eight rows; the configuration decides whether documents see themselves.
fn one_split(keys: &str) -> (Vec<String>, Vec<String>) {
    let base = "task: one\ndataset_path: o/d\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\n\
                doc_to_target: label\ndoc_to_choice: [\"no\", \"yes\"]\n";
    let fixture =
        Fixture::new(&[("tasks/one.yaml", &format!("{base}{keys}")), ("data/o/d/rows.jsonl", &rows("e", 8))]);
    let prepared = fixture.prepare("one", &shots(3)).unwrap();
    let leaks = prepared.docs.iter().filter(|doc| {
        let question = doc.doc["q"].as_str().unwrap();
        doc.requests[0].context.matches(question).count() > 1
    });
    (leaks.map(|doc| doc.doc["q"].to_string()).collect(), prepared.warnings)
}

#[test]
fn a_document_is_kept_out_of_its_examples_exactly_where_the_reference_does() {
    for excluding in ["validation_split: rows\n", "test_split: rows\nfewshot_split: rows\n"] {
        assert_eq!(one_split(excluding), (vec![], vec![]), "{excluding}");
    }
    for leaking in ["test_split: rows\n", "validation_split: rows\nfewshot_split: rows\n"] {
        let (leaks, warnings) = one_split(leaking);
        // Python: [i for i in range(8) if i in r.sample(range(8), 3)] with r = random.Random(1234)
        assert_eq!(leaks, ["\"eq0\"", "\"eq1\"", "\"eq5\""], "{leaking}");
        assert!(warnings.len() == 1 && warnings[0].contains("too high"), "{warnings:?}");
    }
}

#[test]
fn winogrande_puts_the_choices_into_the_context() {
    let row = |sentence: &str, answer: u8| {
        format!(
            "{{\"sentence\": \"{sentence}\", \"option1\": \"Tom\", \"option2\": \"Bob\", \"answer\": \"{answer}\"}}\n"
        )
    };
    let fixture = Fixture::new(&[
        ("data/allenai/winogrande/winogrande_xl/train.jsonl", &row("He gave _ a gift .", 1)),
        ("data/allenai/winogrande/winogrande_xl/validation.jsonl", &row("The cat _ ran away fast.", 2)),
    ]);
    let Suite::Task(task) = Index::load(&[]).unwrap().resolve("winogrande").unwrap() else {
        panic!("no task")
    };
    // A pool of one row, of which one more than asked for must be drawn: too few.
    assert!(prepare(&task, &fixture.store(), &shots(1)).is_err());
    let train = row("He gave _ a gift .", 1) + &row("She gave _ a gift .", 1);
    fixture.write("data/allenai/winogrande/winogrande_xl/train.jsonl", &train);
    let prepared = prepare(&task, &fixture.store(), &shots(1)).unwrap();
    let doc = &prepared.docs[0];
    let contexts: Vec<&str> = doc.requests.iter().map(|r| &*r.context).collect();
    assert!(contexts[0].ends_with("e gave Tom a gift .\n\nThe cat Tom"), "{contexts:?}");
    assert!(contexts[1].ends_with("e gave Tom a gift .\n\nThe cat Bob"), "{contexts:?}");
    assert!(doc.requests.iter().all(|r| r.continuation == " ran away fast."));
    assert_eq!((doc.gold.clone(), doc.target_text.as_str()), (Gold::Index(1), "ran away fast."));
}

#[test]
fn loglikelihood_scores_the_target_as_it_is() {
    let fixture =
        Fixture::new(&[("data/EleutherAI/lambada_openai/data/test.jsonl", "{\"text\": \"a b c\"}\n")]);
    let Suite::Task(task) = Index::load(&[]).unwrap().resolve("lambada_openai").unwrap() else {
        panic!("no task")
    };
    let prepared = prepare(&task, &fixture.store(), &shots(0)).unwrap();
    let doc = &prepared.docs[0];
    assert_eq!((&*doc.requests[0].context, doc.requests[0].continuation.as_str()), ("a b", " c"));
    assert_eq!(doc.gold, Gold::Text(" c".into()));
}

#[test]
fn files_of_ones_own_beside_the_task_file() {
    let own = |format: &str, files: &str| {
        format!(
            "task: own\ndataset_path: {format}\ndataset_kwargs: {{data_files: {files}}}\n\
             output_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_target: \"{{{{a}}}}\"\n\
             doc_to_choice: [\"x\", \"y\"]\n"
        )
    };
    for (format, files, name, text) in [
        ("json", "{test: rows.jsonl}", "rows.jsonl", "{\"q\": \"Q?\", \"a\": 1}\n"),
        ("json", "{test: rows.json}", "rows.json", "[{\"q\": \"Q?\", \"a\": 1}]"),
        ("csv", "{test: 'row*.csv'}", "rows.csv", "q,a\nQ?,1\n"),
        ("csv", "{test: [rows.tsv]}", "rows.tsv", "q\ta\nQ?\t1\n"),
    ] {
        let fixture =
            Fixture::new(&[("tasks/own.yaml", &own(format, files)), (&format!("tasks/{name}"), text)]);
        let prepared = fixture.prepare("own", &shots(0)).unwrap();
        let doc = &prepared.docs[0];
        assert_eq!((&*doc.requests[0].context, doc.gold.clone()), ("Q?", Gold::Index(1)), "{name}");
    }
    let fixture = Fixture::new(&[("tasks/own.yaml", &own("json", "{train: rows.jsonl}"))]);
    let said = fixture.prepare("own", &shots(0)).unwrap_err().to_string();
    assert!(said.contains("data_files") && said.contains("\"test\""), "{said}");
}

#[test]
fn missing_data_says_where_it_was_looked_for_and_what_to_do() {
    let fixture = qa();
    fixture.write("tasks/far.yaml", "include: qa.yaml\ntask: far\ndataset_path: o/nowhere\n");
    let said = fixture.prepare("far", &shots(0)).unwrap_err().to_string();
    for part in ["o/nowhere", "\"test\"", "data/datasets/o/nowhere", "zoo pull suite:far", "--data-dir"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    fixture.write("tasks/config.yaml", "include: qa.yaml\ntask: config\ndataset_name: c\n");
    fixture.write(
        "data/o/d/README.md",
        "---\nconfigs:\n- config_name: a\n  data_files:\n  - {split: test, path: a.jsonl}\n---\n",
    );
    let said = fixture.prepare("config", &shots(0)).unwrap_err().to_string();
    assert!(said.contains("its card has the configs a"), "{said}");
    fixture.write("tasks/out.yaml", "include: qa.yaml\ntask: out\ndataset_path: o/../../d\n");
    assert!(matches!(fixture.prepare("out", &shots(0)), Err(TaskError::MissingData { .. })));
}

#[test]
fn shards_are_read_in_order_and_must_be_complete() {
    let fixture = qa();
    fs::remove_file(fixture.dir.path().join("data/o/d/test.jsonl")).unwrap();
    fixture.write("data/o/d/data/test-00001-of-00002.jsonl", &rows("b", 1));
    let said = fixture.prepare("qa", &shots(0)).unwrap_err().to_string();
    assert!(said.contains("1 of 2 files"), "{said}");
    fixture.write("data/o/d/data/test-00000-of-00002.jsonl", &rows("a", 1));
    let contexts = fixture.contexts("qa", &shots(0));
    assert_eq!((contexts.len(), contexts[0].contains("aq0"), contexts[1].contains("bq0")), (2, true, true));
}

#[test]
fn wrong_documents_are_named() {
    let fixture = qa();
    fixture.write("tasks/column.yaml", "include: qa.yaml\ntask: column\ndoc_to_text: \"{{question}}\"\n");
    let said = fixture.prepare("column", &shots(0)).unwrap_err().to_string();
    assert!(said.contains("document 0, doc_to_text") && said.contains("columns: q, label"), "{said}");
    fixture.write("data/o/d/test.jsonl", "{\"q\": \"a\", \"label\": 0}\n{\"q\": \"b\", \"label\": 5}\n");
    let prepared = fixture.prepare("qa", &shots(0)).unwrap();
    assert_eq!(prepared.docs[1].gold, Gold::OutOfRange);
    assert!(prepared.warnings[0].contains("the first is 1"), "{:?}", prepared.warnings);
    fixture.write("data/o/d/train.jsonl", "{\"q\": \"a\", \"label\": 7}\n");
    let said = fixture.prepare("qa", &shots(1)).unwrap_err().to_string();
    assert!(said.contains("few-shot document 0, doc_to_target") && said.contains("there are 2"), "{said}");
    fixture.write("data/o/d/test.jsonl", "{\"q\": \"a\"}\n[1]\n");
    let said = fixture.prepare("qa", &shots(0)).unwrap_err().to_string();
    assert!(said.contains("test.jsonl, row 1"), "{said}");
}

#[test]
fn what_cannot_run_says_what_can() {
    let fixture = qa();
    for (name, keys, part) in [
        ("gen", "output_type: generate_until\ngeneration_kwargs: {until: 3}\n", "generation_kwargs.until"),
        (
            "filter",
            "output_type: generate_until\nfilter_list: [{name: x, filter: [{function: no}]}]\n",
            "no filter",
        ),
        ("fun", "process_docs: !function utils.f\n", "tasks/utils.f"),
        ("results", "process_results: !function utils.f\n", "line 3: process_results: no native function"),
        ("kind", "process_results: !function wikitext.wikitext_detokenizer\n", "makes a field of the prompt"),
        ("picture", "doc_to_image: image\n", "models of text"),
        ("sampler", "fewshot_config: {sampler: balanced}\n", "default or first_n"),
    ] {
        fixture.write(&format!("tasks/{name}.yaml"), &format!("include: qa.yaml\ntask: {name}\n{keys}"));
        let said = fixture.prepare(name, &shots(0)).unwrap_err().to_string();
        assert!(said.contains(part) && said.contains(&format!("{name}.yaml")), "{said}");
    }
}

#[test]
fn a_copy_of_the_harness_folder_finds_the_native_function() {
    let row = "{\"activity_label\": \"L\", \"ctx_a\": \"a\", \"ctx_b\": \"b\", \"endings\": [\"x\", \"y\"], \"label\": \"1\"}\n";
    let fixture = Fixture::new(&[
        (
            "tasks/hellaswag/h.yaml",
            "task: h\ndataset_path: o/h\noutput_type: multiple_choice\nvalidation_split: validation\n\
             process_docs: !function utils.process_docs\ndoc_to_text: \"{{query}}\"\n\
             doc_to_target: \"{{label}}\"\ndoc_to_choice: choices\n",
        ),
        ("data/datasets/o/h/validation.jsonl", row),
    ]);
    let prepared = fixture.prepare("h", &shots(0)).unwrap();
    assert_eq!(&*prepared.docs[0].requests[0].context, "L: a B");
    assert_eq!(prepared.docs[0].gold, Gold::Index(1));
}

#[test]
fn the_built_in_data_is_found_last() {
    let store = DataStore::new(Some(Path::new("nowhere")), None);
    let index = Index::load(&[]).unwrap();
    let tasks = index.resolve("basics").unwrap().tasks();
    let task = tasks.first().unwrap();
    let split = task.config.test_split.as_deref().unwrap();
    let located = store.locate(&DatasetRef::of(task).unwrap(), split).unwrap();
    assert_eq!(located.place, "built in");
    assert!(!prepare(task, &store, &shots(0)).unwrap().docs.is_empty());
}

#[test]
fn a_whole_text_is_one_request_without_a_prompt() {
    let fixture = qa();
    fixture.write(
        "tasks/roll.yaml",
        "task: roll\ndataset_path: o/d\noutput_type: loglikelihood_rolling\ntest_split: test\n\
         doc_to_target: \"{{q}}!\"\n",
    );
    let prepared = fixture.prepare("roll", &shots(3)).unwrap();
    let doc = &prepared.docs[1];
    assert_eq!((&*doc.requests[0].context, doc.requests[0].continuation.as_str()), ("", "eq1!"));
    assert_eq!((prepared.num_fewshot, doc.target_text.as_str(), &prepared.generation), (0, "eq1!", &None));
}

#[test]
fn a_prompt_to_continue_has_right_answers_and_settings() {
    let fixture = qa();
    fixture.write(
        "tasks/gen.yaml",
        "include: qa.yaml\ntask: gen\noutput_type: generate_until\nrepeats: 2\n\
         generation_kwargs: {until: [\"\\n\"], max_gen_toks: 7, do_sample: false}\n",
    );
    let prepared = fixture.prepare("gen", &shots(1)).unwrap();
    let doc = &prepared.docs[1];
    assert_eq!(&*doc.requests[0].context, "Desc eq1.\n\nQ: tq0\nA: no\n\nQ: eq1\nA:");
    assert_eq!((doc.requests.len(), doc.requests[0].continuation.as_str()), (1, ""));
    assert_eq!(doc.gold, Gold::Text("yes".into()));
    let generation = prepared.generation.unwrap();
    assert_eq!((generation.until, generation.max_gen_toks, generation.repeats), (vec!["\n".into()], 7, 2));
}

#[test]
fn several_right_answers_are_known_from_the_first_document() {
    let fixture = qa();
    let task = "task: many\ndataset_path: o/m\noutput_type: generate_until\ntest_split: test\n\
                doc_to_text: \"{{q}}\"\ndoc_to_target: \"{{a}}\"\n";
    fixture.write("tasks/many.yaml", task);
    fixture.write(
        "data/o/m/test.jsonl",
        "{\"q\": \"a\", \"a\": [\"x\", \"y\"]}\n{\"q\": \"b\", \"a\": [\"z\"]}\n",
    );
    let prepared = fixture.prepare("many", &shots(0)).unwrap();
    assert_eq!(prepared.docs[0].gold, Gold::Texts(vec!["x".into(), "y".into()]));
    assert_eq!(prepared.docs[1].target_text, "['z']");
}
