//! `dataset_kwargs` of task files: which files are read, packed or not, and what is refused.

use std::fs;
use std::io::Write;

use zoo::tasks::{DataStore, Index, PrepareOptions, Suite, TaskError, prepare};

/// The first prompt of a task with this data set, read from a folder with these files.
fn prompts(dataset: &str, files: &[(&str, &[u8])]) -> Result<Vec<String>, TaskError> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let task = format!(
        "task: zz\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: \"{{{{q}}}}\"\n\
         doc_to_choice: [a, b]\ndoc_to_target: 0\n{dataset}\n"
    );
    write("tasks/zz.yaml", task.as_bytes());
    files.iter().for_each(|(name, content)| write(name, content));
    let index = Index::load(&[folder.path().join("tasks")]).unwrap();
    let Suite::Task(task) = index.resolve("zz")? else { panic!("no task") };
    let store = DataStore::new(Some(&folder.path().join("hub")), None);
    let prepared = prepare(&task, &store, &PrepareOptions::default())?;
    Ok(prepared.docs.iter().map(|doc| doc.requests[0].context.to_string()).collect())
}

fn row(text: &str) -> Vec<u8> {
    format!("{{\"q\": \"{text}\"}}\n").into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_table_without_a_header_has_the_columns_that_the_task_names() {
    let kwargs = "dataset_path: csv\ndataset_kwargs: {column_names: [q, n], data_files: {test: ../d/t.csv}}";
    assert_eq!(prompts(kwargs, &[("d/t.csv", b"one,1\ntwo,2\n")]).unwrap(), ["one", "two"]);
}

#[test]
fn folders_and_patterns_in_any_part_of_a_path() {
    let files: [(&str, &[u8]); 4] = [
        ("d/a/x/test-1.jsonl", &row("ax1")),
        ("d/a/y/test-2.jsonl", &row("ay2")),
        ("d/b/x/test-1.jsonl", &row("bx1")),
        ("d/a/x/other.jsonl", &row("no")),
    ];
    let with = |pattern: &str| {
        prompts(
            &format!("dataset_path: json\ndataset_kwargs: {{data_files: {{test: \"{pattern}\"}}}}"),
            &files,
        )
    };
    assert_eq!(with("../d/*/x/test-?.jsonl").unwrap(), ["ax1", "bx1"]);
    assert_eq!(with("../d/**/test-*.jsonl").unwrap(), ["ax1", "ay2", "bx1"]);
    assert_eq!(with("../d/[a]/[!x]/test-[0-9].jsonl").unwrap(), ["ay2"]);
    let folder = "dataset_path: json\ndataset_kwargs: {data_dir: ../d/a, data_files: {test: y/*.jsonl}}";
    assert_eq!(prompts(folder, &files).unwrap(), ["ay2"]);
    let nothing = with("../d/*/z/*.jsonl").unwrap_err().to_string();
    assert!(nothing.contains("*.jsonl: no such file"), "{nothing}");
}

#[test]
fn a_folder_alone_is_searched_for_the_split() {
    let kwargs = "dataset_path: json\ndataset_kwargs: {data_dir: ../d}";
    assert_eq!(
        prompts(kwargs, &[("d/test.jsonl", &row("t")), ("d/train.jsonl", &row("no"))]).unwrap(),
        ["t"]
    );
    let missing = prompts(kwargs, &[("d/train.jsonl", &row("no"))]).unwrap_err().to_string();
    assert!(missing.contains("no file is called test"), "{missing}");
}

#[test]
fn packed_files_are_unpacked() {
    let zst = zstd::encode_all(row("z").as_slice(), 1).unwrap();
    let named =
        "dataset_path: json\ndataset_kwargs: {data_files: {test: [../d/a.jsonl.gz, ../d/b.json.zst]}}";
    assert_eq!(
        prompts(named, &[("d/a.jsonl.gz", &gzip(&row("g"))), ("d/b.json.zst", &zst)]).unwrap(),
        ["g", "z"]
    );
    let hub = "dataset_path: o/n";
    assert_eq!(prompts(hub, &[("hub/o/n/test.jsonl.gz", &gzip(&row("h")))]).unwrap(), ["h"]);
    let damaged =
        prompts(named, &[("d/a.jsonl.gz", b"no gzip"), ("d/b.json.zst", &zst)]).unwrap_err().to_string();
    assert!(damaged.contains("a.jsonl.gz") && damaged.contains("cannot be unpacked"), "{damaged}");
    // The bytes decide, not the name.
    assert_eq!(prompts(hub, &[("hub/o/n/test.jsonl", &gzip(&row("g")))]).unwrap(), ["g"]);
    for (bytes, how) in [(b"BZh91AY".as_slice(), "bzip2"), (b"\xfd7zXZ\0\0", "xz"), (b"PK\x03\x04..", "zip")]
    {
        let said = prompts(hub, &[("hub/o/n/test.jsonl", bytes)]).unwrap_err().to_string();
        assert!(said.contains("test.jsonl") && said.contains(&format!("packed by {how}")), "{said}");
    }
}

#[test]
fn files_of_a_hub_s_data_set_can_be_named() {
    let files: [(&str, &[u8]); 2] =
        [("hub/o/n/test.jsonl", &row("by name")), ("hub/o/n/hard/items.jsonl", &row("hard"))];
    let kwargs = "dataset_path: o/n\ndataset_kwargs: {data_files: {test: hard/*.jsonl}}";
    assert_eq!(prompts(kwargs, &files).unwrap(), ["hard"]);
    let below = "dataset_path: o/n\ndataset_kwargs: {data_dir: hard, data_files: {test: items.jsonl}}";
    assert_eq!(prompts(below, &files).unwrap(), ["hard"]);
}

#[test]
fn keys_that_are_not_honoured_are_refused() {
    for (dataset, words) in [
        (
            "dataset_path: json\ndataset_kwargs: {data_file: {test: ../d/t.jsonl}}",
            "did you mean \"data_files\"?",
        ),
        (
            "dataset_path: csv\ndataset_kwargs: {skiprows: 1, data_files: {test: ../d/t.jsonl}}",
            "dataset_kwargs.skiprows",
        ),
        ("dataset_path: o/n\ndataset_kwargs: {revision: abc}", "dataset_kwargs.revision: is not supported"),
    ] {
        let files: [(&str, &[u8]); 2] = [("d/t.jsonl", &row("t")), ("hub/o/n/test.jsonl", &row("t"))];
        let said = prompts(dataset, &files).unwrap_err().to_string();
        assert!(said.contains(words) && said.contains("task \"zz\""), "{said}");
    }
}

#[test]
fn files_come_in_the_order_in_which_they_are_named() {
    let rows: [(&str, &[u8]); 3] =
        [("d/a.jsonl", &row("a")), ("d/b.jsonl", &row("b")), ("d/._a.jsonl", b"\x00\x05\x16\x07")];
    let own = |patterns: &str| {
        let kwargs = format!(
            "dataset_path: json\ndataset_kwargs: {{data_dir: ../d, data_files: {{test: {patterns}}}}}"
        );
        prompts(&kwargs, &rows).unwrap()
    };
    assert_eq!(own("[b.jsonl, a.jsonl]"), ["b", "a"]);
    // As in `datasets`, a file that two patterns name comes twice, and what macOS leaves is no file.
    assert_eq!(own("[b.jsonl, '*.jsonl']"), ["b", "a", "b"]);
    let hub = |patterns: &str| {
        let files = rows.map(|(name, content)| (name.replace("d/", "hub/o/n/"), content));
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
        let kwargs = format!("dataset_path: o/n\ndataset_kwargs: {{data_files: {patterns}}}");
        prompts(&kwargs, &files).unwrap()
    };
    assert_eq!(hub("{test: [b.jsonl, a.jsonl]}"), ["b", "a"]);
    assert_eq!(hub("[{split: test, path: [b.jsonl, '*.jsonl']}]"), ["b", "a", "b"]);
}

#[test]
fn what_stands_in_place_of_data_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    let page = b"<!DOCTYPE html><html><body>Sign in</body></html>";
    for (name, content, words) in [
        ("hub/o/n/test-00000-of-00001.parquet", pointer.as_slice(), "Git LFS"),
        ("hub/o/n/test-00000-of-00001.parquet", page.as_slice(), "web page"),
        ("hub/o/n/test.jsonl", pointer.as_slice(), "Git LFS"),
        ("hub/o/n/test.csv", page.as_slice(), "web page"),
    ] {
        let said = prompts("dataset_path: o/n", &[(name, content)]).unwrap_err().to_string();
        assert!(said.contains(name) && said.contains(words), "{said}");
    }
}

#[test]
fn each_series_of_files_has_to_be_whole() {
    let card = "configs:\n- config_name: default\n  data_files:\n  - {split: test, path: ['*/test-*']}\n";
    let card = format!("---\n{card}---\n");
    let read = |names: &[&str]| {
        let names: Vec<(String, Vec<u8>)> =
            names.iter().map(|name| (format!("hub/o/n/{name}.jsonl"), row(name))).collect();
        let mut files: Vec<(&str, &[u8])> =
            names.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        files.push(("hub/o/n/README.md", card.as_bytes()));
        prompts("dataset_path: o/n", &files)
    };
    let two = ["a/test-00000-of-00001", "b/test-00000-of-00001-0ab1"];
    assert_eq!(read(&two).unwrap(), two);
    let said = read(&["a/test-00000-of-00002", "b/test-00000-of-00001"]).unwrap_err().to_string();
    assert!(said.contains("1 of 2 files of this split, a/test-"), "{said}");
}
