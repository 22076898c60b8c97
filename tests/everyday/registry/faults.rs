//! More than two hundred broken cards and records: each is an error that names file and line or field,
//! none is a panic, and none is let through.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_yaml::{Mapping, Value};
use zoo::base::yaml::FileError;
use zoo::registry::{Registry, RegistryError};

/// A whole model with its network inside of the card.
const FULL: &str = include_str!("../../fixtures/registry/own-full.yaml");

/// An adapter in a chain.
const CHAIN: &str = include_str!("../../fixtures/registry/own-chain.yaml");

/// Encrypted files, and a difference with a row more.
const XOR: &str = include_str!("../../fixtures/registry/own-xor.yaml");

const TOKENIZER: &str = include_str!("../../fixtures/registry/own-tokenizer.yaml");

/// Files to be checked together: (path below the folder, text).
type Files = Vec<(&'static str, String)>;

/// Writes the files and checks them beside the built-in ones.
fn check(files: &[(&str, String)]) -> Result<(), RegistryError> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    Registry::check_files(&paths, None).map(|_| ()).map_err(|mut faults| faults.swap_remove(0))
}

/// The ways to every value of a tree: keys and positions.
fn ways(value: &Value) -> Vec<Vec<Value>> {
    let mut all = vec![Vec::new()];
    let mut below = |key: Value, child: &Value| {
        all.extend(ways(child).into_iter().map(|way| [vec![key.clone()], way].concat()));
    };
    match value {
        Value::Mapping(map) => map.iter().for_each(|(key, child)| below(key.clone(), child)),
        Value::Sequence(list) => list.iter().enumerate().for_each(|(i, child)| below(i.into(), child)),
        _ => {}
    }
    all
}

fn at<'v>(value: &'v mut Value, way: &[Value]) -> &'v mut Value {
    way.iter().fold(value, |value, key| match value {
        Value::Mapping(map) => map.get_mut(key).unwrap(),
        Value::Sequence(list) => &mut list[key.as_u64().unwrap() as usize],
        _ => unreachable!("ways end at scalars"),
    })
}

/// Every value once as a value of another type, and every map once with a key too many. The expected
/// message names the key for the latter, the line for both.
fn broken_types(name: &'static str, text: &str) -> Vec<(Files, String)> {
    let tree: Value = serde_yaml::from_str(text).unwrap();
    let mut cases = Vec::new();
    for way in ways(&tree) {
        let mut broken = tree.clone();
        let place = at(&mut broken, &way);
        let is_map = place.is_mapping();
        *place = match place {
            Value::Mapping(_) => Value::Sequence(vec![Value::from(7), Value::from("x")]),
            _ => Value::Mapping(Mapping::from_iter([(Value::from("zzz"), Value::from(1))])),
        };
        cases.push((vec![(name, serde_yaml::to_string(&broken).unwrap())], String::new()));
        // Tables of names to values (files, revisions, tokens) take any key.
        let free = ["files", "revisions", "added", "landmarks"];
        if is_map && !way.last().and_then(Value::as_str).is_some_and(|key| free.contains(&key)) {
            let mut broken = tree.clone();
            at(&mut broken, &way).as_mapping_mut().unwrap().insert("zzz".into(), 1.into());
            // A source is a map of one key: the complaint is about their number.
            let is_source = matches!(way.as_slice(), [key, _] if key == "sources");
            let named = if is_source { "sources[" } else { "zzz" };
            cases.push((vec![(name, serde_yaml::to_string(&broken).unwrap())], named.to_owned()));
        }
    }
    cases
}

/// A text in a file, what takes its place, and what the message must name.
type Swap<'a> = (&'a str, &'a str, &'a str);

/// One card with one text replaced by another, and what the message must name.
fn swaps() -> Vec<(Files, String)> {
    let sha = "2a2c24d096f5d509f24946fdbd8c25e1ce4a0acb955902f7436d74c0c0379d86";
    let full = [
        ("id: own-full", "id: Own Full", "id"),
        ("id: own-full", "id: -own", "id"),
        ("id: own-full\n", "", "id"),
        ("license: MIT\n", "", "license"),
        ("license: MIT", "license: ' '", "license"),
        ("name: Own", "name: ''", "name"),
        ("family: own\n", "", "family"),
        ("[own-model]", "[own model]", "aliases"),
        ("[own-model]", "[vicuna]", "\"vicuna\""),
        ("[own-model]", "[VICUNA-13b]", "\"vicuna-13b\""),
        ("[own-model]", "[own-full]", "\"own-full\""),
        ("id: own-full", "id: vicuna", "\"vicuna\""),
        ("base: llama-7b", "base: llama-8b", "base"),
        ("base: llama-7b", "base: llama", "base"),
        ("base: llama-7b", "base: own-full", "own-full → own-full"),
        ("parameters: 6738415616\narch", "parameters: 6738415617\narch", "parameters"),
        ("parameters: 6738415616\narch", "parameters: 0\narch", "parameters"),
        ("  parameters: 6738415616", "  parameters: 7", "architecture.parameters"),
        ("hidden_size: 4096", "hidden_size: 4095", "num_attention_heads"),
        ("hidden_size: 4096", "hidden_size: 0", "architecture.hidden_size"),
        ("hidden_size: 4096", "hidden_size: 18446744073709551615", "architecture.hidden_size"),
        ("hidden_size: 4096", "hidden_size: -1", "hidden_size"),
        ("hidden_size: 4096", "hidden_size: 8192", "architecture.parameters"),
        ("intermediate_size: 11008", "intermediate_size: 11009", "architecture.parameters"),
        ("num_hidden_layers: 32", "num_hidden_layers: 2000", "architecture.num_hidden_layers"),
        ("num_attention_heads: 32", "num_attention_heads: 33", "architecture.num_attention_heads"),
        ("num_attention_heads: 32", "num_attention_heads: 0", "architecture.num_attention_heads"),
        ("num_attention_heads: 32", "num_attention_heads: 4096", "architecture.num_attention_heads"),
        ("num_key_value_heads: 32", "num_key_value_heads: 5", "architecture.num_key_value_heads"),
        ("num_key_value_heads: 32", "num_key_value_heads: 0", "architecture.num_key_value_heads"),
        ("num_key_value_heads: 32", "head_dim: 127", "architecture.head_dim"),
        ("num_key_value_heads: 32", "head_dim: 64", "architecture.parameters"),
        ("vocab_size: 32000", "vocab_size: 32001", "parameters"),
        ("vocab_size: 32000", "vocab_size: 99999999", "architecture.vocab_size"),
        ("  max_context: 4096\n", "", "max_context"),
        ("  max_context: 4096", "  max_context: 99999999", "architecture.max_context"),
        ("rms_norm_eps: 1.0e-6", "rms_norm_eps: -1.0e-6", "architecture.rms_norm_eps"),
        ("rms_norm_eps: 1.0e-6", "rms_norm_eps: .nan", "architecture.rms_norm_eps"),
        ("rms_norm_eps", "layer_norm_epsilon", "architecture.layer_norm_epsilon"),
        ("rope_theta: 10000.0", "rope_theta: .inf", "architecture.rope_theta"),
        ("rope_theta: 10000.0", "rope_theta: 0", "architecture.rope_theta"),
        ("model_type: llama", "model_type: gpt", "model_type"),
        ("model_type: llama", "model_type: bloom", "architecture.rope_theta"),
        ("factor: 2.0", "factor: 0.0", "rope_scaling.factor"),
        ("type: linear", "type: cubic", "cubic"),
        (
            "type: linear, factor: 2.0, original_max_position_embeddings: 2048",
            "type: yarn, factor: 2.0",
            "original_max_position_embeddings",
        ),
        ("tokenizer: llama", "tokenizer: lama", "tokenizer"),
        ("tokenizer: llama", "tokenizer: chinese-llama-2", "tokenizer"),
        ("tokenizer: llama", "tokenizer: alpaca", "tokenizer"),
        ("\ncontext: 4096", "\ncontext: 5000", "context"),
        ("\ncontext: 4096", "\ncontext: 0", "context"),
        ("\ncontext: 4096", "\ncontext: -4", "context"),
        ("[en, zh]", "[en, english]", "languages"),
        ("[en, zh]", "[en, xx]", "languages"),
        ("[en, zh]", "[EN]", "languages"),
        ("kind: full", "kind: whole", "kind"),
        ("kind: full", "kind: delta", "release.rule"),
        ("kind: full", "kind: lora", "release.rule"),
        ("kind: full", "kind: full\n  rule: vicuna_delta", "release.rule"),
        ("kind: full", "kind: full\n  hub: org/x", "release.hub"),
        ("kind: full", "kind: full\n  merge_order: [own-full]", "release.merge_order"),
        ("kind: full", "kind: full\n  base: nobody", "release.base"),
        ("kind: full", "kind: full\n  vocabulary: {rule: same, rows: 32001}", "release.vocabulary.rows"),
        ("kind: full", "kind: full\n  vocabulary: {rule: append-zero-row}", "release.vocabulary.rule"),
        ("kind: full", "kind: full\n  vocabulary: {rule: shrink}", "shrink"),
        ("shards: 2", "shards: 0", "release.shards"),
        ("md5: fe7729", "md5: fe772", "md5"),
        ("md5: fe7729", "md5: FE7729", "md5"),
        ("        sha256: 2a2c", "        sha256: 2a2", "sha256"),
        ("model.safetensors:\n", "../model.safetensors:\n", "release.digests.files"),
        ("        size: 5", "        size: 0", "size"),
        ("v1: llama-7b", "v1: llama-9b", "release.revisions"),
        ("org/own", "../own", "sources.hub.repo"),
        ("revision: main", "revision: '--x'", "sources.hub.revision"),
        ("[model.safetensors]", "[/etc/x]", "sources.hub.files"),
        ("version: 1.0.0", "version: '>=1'", "sources.pip.version"),
        ("package: own", "package: --own", "sources.pip.package"),
        ("own/model.gguf", "../model.gguf", "sources.pip.member"),
        ("own/model.gguf", "own/model.bin", "sources.pip.member"),
        (&format!("gguf, sha256: {sha}"), "gguf, sha256: ''", "sources.pip.sha256"),
        ("  - pip:", "  - ftp:", "ftp"),
        ("  stage: 1", "  stage: 2", "training.stage"),
        ("  stage: 1", "  stage: 0", "training.stage"),
        ("  stage: 1", "  stage: first", "training.stage"),
        ("  stage: 1", "  method: magic", "magic"),
        ("examples: 52K", "examples: many", "training: data.examples"),
        ("sequences: 128", "sequences: 0", "training.batch.sequences"),
        ("peak: 2.0e-5", "peak: -2.0e-5", "training.learning_rate.peak"),
        ("epochs: 3", "epochs: .inf", "training.epochs"),
        ("sequence_length: 512", "sequence_length: 0", "training.sequence_length"),
        ("weight_decay: 0.0", "weight_decay: 2", "training.optimizer.weight_decay"),
        ("gradient_clipping: 1.0", "gradient_clipping: 0", "training.optimizer.gradient_clipping"),
        ("warmup_ratio: 0.03", "warmup_ratio: 3", "training.learning_rate.warmup_ratio"),
        ("schedule: cosine", "schedule: wavy", "wavy"),
        ("recipe: vicuna\n", "", "training: expected beside it the recipe"),
        ("batch: {sequences: 128}", "batch_size: 128", "`batch: {sequences: …}`"),
        ("  stage: 1", "  methods: [sft]", "the recipe's name under `recipe`"),
        ("epochs: 3", "lora: {r: 8, alpha: 16, rank: 8}", "it is now `r`"),
        ("recipe: vicuna", "recipe: no-such-recipe", "recipe"),
        ("prompt: vicuna-v1.1", "prompt: vicuna-v9", "prompt"),
        ("prompt: vicuna-v1.1", "prompt: ../x", "prompt"),
        ("'(?is)###.*'", "'(###'", "stop.regex"),
        ("ids: [2]", "ids: [-2]", "stop"),
        ("bos: always", "bos: sometimes", "bos"),
        ("suite: mmlu", "suite: m m", "published.suite"),
        ("metric: acc", "metric: a c", "published.metric"),
        ("value: 0.35", "value: 35", "published.value"),
        ("value: 0.35", "value: .nan", "published.value"),
        ("num_fewshot: 5", "num_fewshot: -5", "num_fewshot"),
        ("source: a paper", "source: ' '", "published.source"),
        ("atol: 0.01", "atol: 0", "integrity.atol"),
        ("sum: 50637.1836", "sum: .inf", "integrity.sum"),
        ("id: own-full", "id: own-full\nid: again", "duplicate"),
        ("notes: [One.]", "notes: [One.", "flow sequence"),
        ("name: Own", "name: \u{7}", ""),
        ("name: Own", "name: *nothing", ""),
        ("name: Own", "\tname: Own", ""),
    ];
    let chain = [
        ("rule: chinese_lora", "rule: chinese", "chinese"),
        ("rule: chinese_lora", "rule: belle_xor", "release.rule"),
        ("  rule: chinese_lora\n", "", "release.rule"),
        ("  base: llama-7b", "  base: own-chain", "own-chain → own-chain"),
        ("[chinese-llama-plus-7b, own-chain]", "[chinese-llama-plus-7b]", "release.merge_order"),
        ("[chinese-llama-plus-7b, own-chain]", "[own-chain, chinese-llama-plus-7b]", "release.merge_order"),
        ("[chinese-llama-plus-7b, own-chain]", "[nobody, own-chain]", "release.merge_order"),
        ("[chinese-llama-plus-7b, own-chain]", "[llama-7b, own-chain]", "release.merge_order"),
        ("method: sft", "method: magic", "magic"),
        ("steps: 100", "steps: 0", "recipe.steps"),
        ("percent: 40", "percent: 30", "recipe.data.mixture"),
        ("beta1: 0.9", "beta1: 1.9", "recipe.optimizer.beta1"),
        ("title: A chain", "name: another", "recipe.name"),
        ("steps: 100", "lora: {r: 4, alpha: 16, target_modules: [q_proj]}", "release.lora"),
        ("    dropout: 0.05\n", "    dtype: fp16\n", "now stands under `release`"),
        ("r: 8", "r: 0", "release.lora.r"),
        ("r: 8", "r: 99999999", "release.lora.r"),
        ("alpha: 16", "alpha: -1", "release.lora.alpha"),
        ("dropout: 0.05", "dropout: 1.5", "release.lora.dropout"),
        ("[q_proj, v_proj]", "[]", "release.lora.target_modules"),
        ("[q_proj, v_proj]", "[q_proj, x_proj]", "release.lora.target_modules"),
        ("[embed_tokens, lm_head]", "[norm]", "release.lora.modules_to_save"),
        ("rows: 49954", "rows: 49953", "release.vocabulary.rows"),
        ("rows: 49954", "rows: 0", "release.vocabulary.rows"),
        ("tokenizer: chinese-alpaca-1", "tokenizer: chinese-llama-1", "tokenizer"),
        ("architecture: chinese-alpaca-7b", "architecture: chinese-llama-7b", "tokenizer"),
        ("architecture: chinese-alpaca-7b", "architecture: nothing", "architecture"),
        ("architecture: chinese-alpaca-7b", "architecture: ../x", "architecture"),
        ("rule: replace", "rule: append-zero-row", "release.vocabulary.rule"),
        ("kind: lora", "kind: full", "release.rule"),
    ];
    let xor = [
        ("model: llama-7b", "model: llama-1b", "release.key.model"),
        ("file: consolidated.00.pth", "file: /etc/passwd", "release.key.file"),
        ("sha256: 700d", "sha256: 700", "release.key.sha256"),
        ("kind: diff", "kind: delta", "release.rule"),
        ("hub: org/own-diff", "hub: a/b/c", "other_releases.hub"),
        ("rule: append-mean-row", "rule: same", "release.vocabulary.rule"),
        ("rows: 32001", "rows: 32000", "release.vocabulary.rows"),
        ("base: llama-7b", "base: llama-2-70b-cha", "base"),
        ("base: llama-7b\n", "", "base"),
        ("base: llama-7b", "base: chinese-llama-7b", "release.vocabulary.rule"),
    ];
    let tokenizer = [
        ("kind: sentencepiece-bpe", "kind: unigram", "unigram"),
        ("kind: sentencepiece-bpe", "kind: byte-level-bpe", "sentencepiece_pieces"),
        ("base: llama", "base: nothing", "base"),
        ("base: llama", "base: own", "base"),
        ("base: llama", "base: chinese-llama-2", "vocab_size"),
        ("vocab_size: 32002", "vocab_size: 0", "vocab_size"),
        ("vocab_size: 32002", "vocab_size: 32001", "added"),
        ("embedding_rows: 32064", "embedding_rows: 32001", "embedding_rows"),
        ("sentencepiece_pieces: 32000", "sentencepiece_pieces: 40000", "sentencepiece_pieces"),
        ("eos: 2", "eos: 40000", "eos"),
        ("pad: 32000", "pad: -1", "pad"),
        ("'<own>': 32001", "'<own>': 31999", "added"),
        ("Hello: 15043", "Hello: 33000", "landmarks"),
        ("[3, 258]", "[3, 259]", "byte_fallback"),
        ("[3, 258]", "[258, 3]", "byte_fallback"),
        ("sha256: 9e55", "sha256: 9e5", "sha256"),
    ];
    let mut cases = Vec::new();
    let tables: [(&str, &str, &[Swap]); 4] = [
        ("own-full.yaml", FULL, &full),
        ("own-chain.yaml", CHAIN, &chain),
        ("own-xor.yaml", XOR, &xor),
        ("tokenizers/own.yaml", TOKENIZER, &tokenizer),
    ];
    for (name, text, table) in tables {
        for (from, to, named) in table {
            assert!(text.contains(from), "{name} has no {from:?}");
            cases.push((vec![(name, text.replacen(from, to, 1))], (*named).to_owned()));
        }
    }
    cases
}

/// What only several files together get wrong.
fn between_files() -> Vec<(Files, String)> {
    let minimal = |id: &str, rest: &str| {
        format!("id: {id}\nname: X\nfamily: own\nlicense: MIT\nrelease: {{kind: full}}\n{rest}")
    };
    vec![
        (
            vec![("a.yaml", minimal("a", "base: b\n")), ("b.yaml", minimal("b", "base: a\n"))],
            "a → b → a".to_owned(),
        ),
        (
            vec![
                ("a.yaml", minimal("a", "base: b\n")),
                ("b.yaml", minimal("b", "base: c\n")),
                ("c.yaml", minimal("c", "base: a\n")),
            ],
            "a → b → c → a".to_owned(),
        ),
        (
            vec![("a.yaml", minimal("a", "aliases: [x]\n")), ("b.yaml", minimal("b", "aliases: [X]\n"))],
            "\"x\"".to_owned(),
        ),
        (vec![("a.yaml", minimal("same", "")), ("b.yaml", minimal("same", ""))], "\"same\"".to_owned()),
        (
            vec![("tokenizers/a.yaml", TOKENIZER.to_owned()), ("a/tokenizers/a.yaml", TOKENIZER.to_owned())],
            "\"a\"".to_owned(),
        ),
        // A change to a built-in record that its models do not survive.
        (
            vec![("tokenizers/llama.yaml", "kind: sentencepiece-bpe\nvocab_size: 32001\n".to_owned())],
            "zoo/tokenizers/alpaca.yaml:10: added".to_owned(),
        ),
        (vec![("llama-7b.yaml", minimal("llama-7b", "base: alpaca-7b\n"))], "llama-7b".to_owned()),
    ]
}

#[test]
fn the_whole_ones_are_right() {
    for (name, text) in [
        ("own-full.yaml", FULL),
        ("own-chain.yaml", CHAIN),
        ("own-xor.yaml", XOR),
        ("tokenizers/own.yaml", TOKENIZER),
    ] {
        check(&[(name, text.to_owned())]).unwrap();
    }
}

#[test]
fn each_broken_file_is_an_error_with_its_place() {
    let mut cases = swaps();
    cases.extend(between_files());
    let named = cases.len();
    for (name, text) in [
        ("own-full.yaml", FULL),
        ("own-chain.yaml", CHAIN),
        ("own-xor.yaml", XOR),
        ("tokenizers/own.yaml", TOKENIZER),
    ] {
        cases.extend(broken_types(name, text));
    }
    assert!(named >= 150 && cases.len() >= 350, "{named} of {}", cases.len());
    let complaints: Vec<String> =
        cases.iter().filter_map(|(files, expected)| complaint(files, expected)).collect();
    assert!(complaints.is_empty(), "{}\n{} of {}", complaints.join("\n"), complaints.len(), cases.len());
}

/// What is wrong with the way in which broken files are refused.
fn complaint(files: &Files, expected: &str) -> Option<String> {
    let text = files.iter().map(|(name, text)| format!("--- {name}\n{text}")).collect::<String>();
    let Err(error) = check(files) else {
        return Some(format!("let through (expected {expected:?}):\n{text}"));
    };
    let message = error.to_string();
    if !message.contains(expected) {
        return Some(format!("expected {expected:?} in {message:?}"));
    }
    let (RegistryError::File(FileError::Syntax { file, line, .. } | FileError::Field { file, line, .. })
    | RegistryError::Cycle { file, line, .. }
    | RegistryError::Duplicate { file, line, .. }) = &error
    else {
        return Some(format!("{error:?}:\n{text}"));
    };
    let ours = files.iter().any(|(name, _)| file.ends_with(name)) || file.starts_with("zoo/");
    if !ours || !message.starts_with(&format!("{file}:{line}: ")) {
        return Some(format!("no place in {message:?}"));
    }
    let has_field =
        matches!(&error, RegistryError::File(FileError::Field { field, .. }) if !field.is_empty());
    (*line == 0 && !has_field).then(|| format!("neither line nor field in {message:?}:\n{text}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Text cut, overwritten or repeated anywhere: an error with the file, or a card; never a panic.
    #[test]
    fn damaged_text_never_panics(
        at in 0..FULL.len(), length in 0..80_usize, garbage in "\\PC{0,12}", which in 0..4_usize,
    ) {
        let (name, text) = [("a.yaml", FULL), ("a.yaml", CHAIN), ("a.yaml", XOR), ("tokenizers/a.yaml", TOKENIZER)][which];
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        let damaged = format!("{}{garbage}{}", &text[..start], &text[end..]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, damaged).unwrap();
        for fault in Registry::file_faults(std::slice::from_ref(&path)) {
            prop_assert!(fault.to_string().contains("a.yaml:"), "{fault}");
        }
    }
}
