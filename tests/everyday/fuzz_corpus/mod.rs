//! Every reader of untrusted files over the inputs in `fuzz/`: all seeds, all inputs that once broke a reader, and a
//! fixed number of mutations of both. It needs no fuzzer and does the same each time; `ZOO_FUZZ_TIMES=70` makes so many times the
//! mutations, for a long run by hand.

use std::fs;
use std::path::Path;

use zoo::fuzzing::{FuzzTarget, TARGETS, target};

mod mutate;

use mutate::Mutator;

/// Mutated inputs of each reader. What makes a tokenizer compiles patterns and builds tables, so there are fewer.
fn mutations(target: &FuzzTarget) -> usize {
    let times =
        std::env::var("ZOO_FUZZ_TIMES").map_or(1, |times| times.parse().expect("ZOO_FUZZ_TIMES is a number"));
    times
        * match target.name {
            "chat_template" | "task_template" => 2_000,
            "tokenizer_json" | "gguf_vocabulary" => 5_000,
            "tokenizer_model" | "adapter_config" => 10_000,
            _ => 20_000,
        }
}

/// The files of a folder in the order of their names, with their names; none if there is no folder.
fn inputs(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(kind).join(target);
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Runs an input; a panic is reported with the input that caused it.
fn run(target: &FuzzTarget, origin: &str, bytes: &[u8]) -> bool {
    let caught = std::panic::catch_unwind(|| (target.run)(bytes));
    caught.unwrap_or_else(|_| panic!("{}: broken by {origin}: {}", target.name, bytes.escape_ascii()))
}

fn check(name: &str) {
    let target = target(name).unwrap();
    let seeds = inputs("seeds", name);
    assert!(seeds.len() >= 8, "{name}: {} seeds", seeds.len());
    for (file, bytes) in &seeds {
        assert_eq!(run(&target, file, bytes), file.starts_with("good-"), "{name}/{file}");
    }
    let regressions = inputs("regressions", name);
    for (file, bytes) in &regressions {
        run(&target, file, bytes);
    }
    let all: Vec<&[u8]> = seeds.iter().chain(&regressions).map(|(_, bytes)| bytes.as_slice()).collect();
    let mut mutator = Mutator::new(name);
    let accepted =
        (0..mutations(&target)).filter(|_| run(&target, "a mutation", &mutator.input(&all))).count();
    // Mutations that are all refused at the door would test nothing behind it.
    assert!(accepted > mutations(&target) / 1000, "{name}: {accepted} mutations were accepted");
}

macro_rules! check_each {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn no_reader_is_left_out() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),+]);
        }
    };
}

check_each!(
    torch_zip,
    torch_pickle,
    torch_old,
    safetensors_header,
    gguf_header,
    gguf_vocabulary,
    tokenizer_model,
    tokenizer_json,
    params_json,
    config_json,
    adapter_config,
    chat_template,
    task_template,
    task_yaml,
    ledger,
    samples,
    run_yaml,
    hub_listing,
    card,
    shard_yaml,
    server_answer
);

#[test]
fn mutations_are_the_same_each_time_and_differ_from_each_other() {
    let seeds: [&[u8]; 2] = [b"{\"a\": 1}", &[0; 64]];
    let make = || {
        let mut mutator = Mutator::new("x");
        (0..100).map(|_| mutator.input(&seeds)).collect::<Vec<_>>()
    };
    let (first, second) = (make(), make());
    assert_eq!(first, second);
    let distinct: std::collections::BTreeSet<&Vec<u8>> = first.iter().collect();
    assert!(distinct.len() > 90, "{}", distinct.len());
    assert!(first.iter().all(|input| input.len() <= mutate::MAX_LENGTH));
}
