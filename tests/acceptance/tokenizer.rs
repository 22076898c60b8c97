//! Tokenizers against stored ids: SentencePiece goldens, llama.cpp's vectors, and one vocabulary in several forms.
//!
//! These need the shared reference folder (`ZOO_SHARED`, else `../shared` beside the checkout) and are ignored in
//! everyday runs: `cargo test --test acceptance tokenizer:: -- --ignored`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};
use zoo::tokenizer::{AddSpecials, Tokenizer};
use zoo::weights::gguf::{GgufFile, Metadata};

/// A tokenizer from a single vocabulary file, as if it stood alone in a folder under `name`.
pub(crate) fn alone(file: &Path, name: &str) -> Result<Tokenizer, zoo::tokenizer::TokenizerError> {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(file, folder.path().join(name)).unwrap();
    Tokenizer::from_folder(folder.path())
}

pub(crate) fn gguf(file: &Path) -> Tokenizer {
    Tokenizer::from_gguf(GgufFile::open(file).unwrap().metadata()).unwrap()
}

/// All strings in the first `rows` rows of a parquet file.
fn strings(file: &Path, rows: usize, texts: &mut Vec<String>) {
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    for row in reader.get_row_iter(None).unwrap().take(rows) {
        for (_, field) in row.unwrap().get_column_iter() {
            if let Field::Str(text) = field {
                texts.push(text.clone());
            }
        }
    }
}

/// Texts of many kinds: English and Chinese questions, code, Wikipedia, and awkward ones.
pub(crate) fn texts(shared: &Path) -> Vec<String> {
    let datasets = shared.join("hub/datasets");
    let mut texts = Vec::new();
    for (file, rows) in [
        ("cais/mmlu/all/test-00000-of-00001.parquet", 1500),
        ("Rowan/hellaswag/data/validation-00000-of-00001.parquet", 500),
        ("EleutherAI/wikitext_document_level/wikitext-2-raw-v1/test-00000-of-00001.parquet", 4),
        ("SaylorTwift/bbh/dyck_languages/test-00000-of-00001.parquet", 100),
    ] {
        strings(&datasets.join(file), rows, &mut texts);
    }
    for folder in
        ["haonan-li/cmmlu", "ceval/ceval-exam", "openai/openai_humaneval", "google-research-datasets/mbpp"]
    {
        let mut files = Vec::new();
        parquet_files(&datasets.join(folder), &mut files);
        files.sort();
        for file in files {
            strings(&file, 40, &mut texts);
        }
    }
    for part in [
        "🦙",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\u{a0}",
        "\u{3000}",
        "1",
        "１２",
        "½",
        "é",
        "e\u{301}",
        "我",
        "們",
        "'s",
        "</s",
        "ﬁ",
        "\u{200d}",
        "👩\u{200d}👩",
        "\0",
        "▁",
        "Ġ",
        "<0x41>",
        "\u{feff}",
        "ÿ",
        "ﷺ",
        "z͑ͫ̓",
        "क्षि",
        "...",
        "\"",
        "\\",
    ] {
        for other in ["", "a", " ", "\n", "7", "好", "🦙", "▁", "."] {
            for repeat in [1, 2, 3, 7] {
                texts.push(format!("{other}{}{other}", part.repeat(repeat)));
                texts.push(format!("x {} y{other}", part.repeat(repeat)));
            }
        }
    }
    texts
}

fn parquet_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            parquet_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
}

/// Compares two tokenizers on all texts: ids, and text from ids. Returns the number of texts.
pub(crate) fn assert_same(name: &str, a: &Tokenizer, b: &Tokenizer, texts: &[String]) -> usize {
    let mut different = Vec::new();
    for text in texts {
        for specials in [AddSpecials::Default, AddSpecials::None] {
            let (left, right) = (a.encode(text, specials).unwrap(), b.encode(text, specials).unwrap());
            if left != right {
                different.push(format!("{text:?}: {left:?} and {right:?}"));
            } else if a.decode(&left).unwrap() != b.decode(&left).unwrap() {
                different.push(format!("{text:?}: decoded {:?} and {:?}", a.decode(&left), b.decode(&left)));
            }
        }
        let (left, right) = (a.encode_raw(text).unwrap(), b.encode_raw(text).unwrap());
        if left != right {
            different.push(format!("{text:?}, raw: {left:?} and {right:?}"));
        }
    }
    let shown: Vec<&String> = different.iter().take(10).collect();
    assert!(different.is_empty(), "{name}: {} of {} texts differ: {shown:#?}", different.len(), texts.len());
    eprintln!("{name}: {} texts equal", texts.len());
    texts.len()
}

#[test]
#[ignore = "needs the shared reference folder"]
fn sentencepiece_goldens_of_four_vocabularies() {
    let Some(shared) = shared() else { return };
    let facts: serde_yaml::Value =
        serde_yaml::from_str(&fs::read_to_string(shared.join("family/facts.yaml")).unwrap()).unwrap();
    let mut compared = 0;
    for (name, file) in [
        ("llama", "llama.model"),
        ("chinese-llama-1", "chinese-llama.model"),
        ("chinese-alpaca-1", "chinese-alpaca.model"),
        ("chinese-llama-2", "chinese-llama-2.model"),
    ] {
        let tokenizer = alone(&shared.join("data/tokenizers").join(file), "tokenizer.model").unwrap();
        assert_eq!(Some(tokenizer.sha256()), facts["tokenizers"][name]["sha256"].as_str(), "{name}");
        assert_eq!(
            Some(tokenizer.vocab_size() as u64),
            facts["tokenizers"][name]["vocab"].as_u64(),
            "{name}"
        );
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk()), (Some(1), Some(2), Some(0)));
        assert!(tokenizer.adds_bos());
        for case in facts["tokenizer_goldens"]["cases"].as_sequence().unwrap() {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_yaml::from_value(case["ids"][name].clone()).unwrap();
            assert_eq!(tokenizer.encode_raw(text).unwrap(), expected, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&expected).unwrap(), text, "{name}: {expected:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 80);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn special_tokens_are_split_out_of_llama_text() {
    let Some(shared) = shared() else { return };
    let tokenizer = alone(&shared.join("data/tokenizers/llama.model"), "tokenizer.model").unwrap();
    assert_eq!(
        tokenizer.encode("Hello</s>USER: hi", AddSpecials::Default).unwrap()[..4],
        [1, 15043, 2, 3148]
    );
    assert_eq!(tokenizer.encode_for_model("<s>Hello world").unwrap(), [1, 15043, 3186]);
    assert_eq!(tokenizer.encode_for_model("Hello world").unwrap(), [1, 15043, 3186]);
    assert_eq!(tokenizer.prefix_text(), Some("<s>"));
}

#[test]
#[ignore = "needs the shared reference folder"]
fn llama_cpp_vectors() {
    let Some(shared) = shared() else { return };
    for (name, adds_bos) in [("llama-spm", true), ("phi-3", true), ("gpt-2", false)] {
        let file = shared.join(format!("data/tokenizers/ggml-vocab-{name}.gguf"));
        let tokenizer = gguf(&file);
        assert_eq!(tokenizer.adds_bos(), adds_bos, "{name}");
        let texts = fs::read_to_string(file.with_extension("gguf.inp")).unwrap();
        let expected = fs::read_to_string(file.with_extension("gguf.out")).unwrap();
        let texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
        let lines: Vec<&str> = expected.lines().collect();
        assert_eq!((texts.len(), lines.len()), (47, 46), "{name}: the last text is empty and has no line");
        for (text, line) in texts.iter().zip(lines) {
            let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(tokenizer.encode(text, AddSpecials::None).unwrap(), expected, "{name}: {text:?}");
            assert_eq!(tokenizer.encode_raw(text).unwrap(), expected, "{name}: {text:?}");
            assert_eq!(&tokenizer.decode(&expected).unwrap(), text, "{name}");
        }
    }
}

#[test]
#[ignore = "needs the shared reference folder"]
fn goldens_of_small_released_vocabularies() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    let goldens = fs::read_to_string(kit.join("expected/tokenizer_goldens.json")).unwrap();
    let goldens: serde_json::Value = serde_json::from_str(&goldens).unwrap();
    let mut compared = 0;
    for (name, golden) in goldens["tokenizers"].as_object().unwrap() {
        let file = kit.join(golden["file"].as_str().unwrap());
        let tokenizer = Tokenizer::from_folder(file.parent().unwrap()).unwrap();
        assert_eq!(Some(tokenizer.vocab_size() as u64), golden["pieces"].as_u64(), "{name}");
        for case in golden["encode"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            // The BLOOM ids were made with special tokens split out of the text, the others without.
            let ids = if name == "bloom" {
                tokenizer.encode(text, AddSpecials::None).unwrap()
            } else {
                tokenizer.encode_raw(text).unwrap()
            };
            assert_eq!(ids, expected, "{name}: {text:?}");
            assert_eq!(
                Some(&*tokenizer.decode(&expected).unwrap()),
                case["decoded"].as_str(),
                "{name}: {text:?}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 64);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn marks_of_released_folders() {
    let Some(shared) = shared() else { return };
    let kit = shared.join("lineage-kit");
    let alpaca = Tokenizer::from_folder(&kit.join("alpaca/wdiff")).unwrap();
    assert_eq!((alpaca.pad(), alpaca.vocab_size()), (Some(512), 513));
    assert_eq!(alpaca.encode("a[PAD]", AddSpecials::Default).unwrap().last(), Some(&512));
    let meta = Tokenizer::from_folder(&kit.join("base/meta/1shard")).unwrap();
    assert_eq!((meta.bos(), meta.eos(), meta.adds_bos()), (Some(1), Some(2), true));
    let bloom = Tokenizer::from_folder(&kit.join("bloom/heads-pow2")).unwrap();
    assert_eq!((bloom.bos(), bloom.pad(), bloom.adds_bos()), (Some(1), Some(3), false));
    let ziya = Tokenizer::from_folder(&kit.join("ziya/delta")).unwrap();
    let ids = ziya.encode("<human>:a\n<bot>:", AddSpecials::None).unwrap();
    assert_eq!((ids.first(), ids.iter().filter(|&&id| id == 513).count()), (Some(&512), 1));
    let story = Tokenizer::from_folder(&shared.join("hub/models/zoo-fixtures/story-infinitensor")).unwrap();
    assert_eq!(story.prefix_text(), Some("<|start_story|>"));
    assert!(story.adds_bos());
}

#[test]
#[ignore = "needs the shared reference folder"]
fn malformed_models_are_refused_with_their_name() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("lineage-kit/malformed/tokenizer");
    let cases = [
        ("empty", "no pieces"),
        ("truncated", "expected a length within the enclosing message"),
        ("length-overflow", "length 18446744073709551615"),
        ("varint-11-bytes", "expected a varint of at most"),
        ("group", "groups are not supported"),
        ("duplicate-piece", "each text once"),
        ("no-unk", "exactly one piece of type 2"),
        ("no-bytes", "256 of them missing"),
        ("nan-score", "a finite score"),
        ("unigram", "a unigram model is not supported"),
    ];
    for (name, expected) in cases {
        let message =
            alone(&folder.join(format!("{name}.model")), "tokenizer.model").unwrap_err().to_string();
        assert!(message.contains("tokenizer.model: ") && message.contains(expected), "{name}: {message}");
    }
    // A complete, smaller vocabulary: only the model it stands beside shows the fault (512 rows).
    let fewer = alone(&folder.join("fewer-pieces.model"), "tokenizer.model").unwrap();
    assert_eq!(fewer.vocab_size(), 500);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        cases.len() + 1,
        "every file of the folder has a case"
    );
    let unigram = alone(&shared.join("data/tokenizers/chinese_sp.model"), "tokenizer.model").unwrap_err();
    assert!(unigram.to_string().contains("a unigram model"), "{unigram}");
}

/// A SentencePiece vocabulary as `tokenizer.json`: each way to build a piece from two others is a merge, the pieces
/// with the highest scores first.
pub(crate) fn converted(meta: &Metadata) -> Value {
    let tokens = meta.strings("tokenizer.ggml.tokens").unwrap().unwrap();
    let scores = meta.floats("tokenizer.ggml.scores").unwrap().unwrap();
    let kinds = meta.integers("tokenizer.ggml.token_type").unwrap().unwrap();
    let vocab: HashMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let normal = |text: &str| vocab.get(text).is_some_and(|&id| kinds[id] == 1);
    let mut merges = Vec::new();
    for (token, &score) in tokens.iter().zip(scores).filter(|(token, _)| normal(token)) {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if normal(left) && normal(right) {
                merges.push((score, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let merges: Vec<[&str; 2]> = merges.into_iter().map(|(_, left, right)| [left, right]).collect();
    let special = |id: usize| {
        json!({"id": id, "content": tokens[id], "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0",
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                  "vocab": vocab, "merges": merges},
    })
}

#[test]
#[ignore = "needs the shared reference folder"]
fn llama_is_the_same_from_model_gguf_and_the_tokenizers_library() {
    let Some(shared) = shared() else { return };
    let data = shared.join("data/tokenizers");
    let model = alone(&data.join("llama.model"), "tokenizer.model").unwrap();
    let file = GgufFile::open(data.join("ggml-vocab-llama-spm.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), converted(file.metadata()).to_string()).unwrap();
    let settings = r#"{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true,
                       "tokenizer_class": "LlamaTokenizer"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
    let json = Tokenizer::from_folder(folder.path()).unwrap();
    let mut texts = texts(&shared);
    texts.extend(["<s>", "a</s>b", "</s> x<unk>  <s>"].map(str::to_owned));
    let file = Tokenizer::from_gguf(file.metadata()).unwrap();
    assert!(assert_same("llama: tokenizer.model and GGUF", &model, &file, &texts) > 10_000);
    assert!(assert_same("llama: tokenizer.model and library", &model, &json, &texts) > 10_000);
}

#[test]
#[ignore = "needs the shared reference folder"]
fn stories260k_is_the_same_from_model_json_and_gguf() {
    let Some(shared) = shared() else { return };
    let models = shared.join("hub/models/zoo-fixtures");
    let json = Tokenizer::from_folder(&models.join("stories260k")).unwrap();
    let model = Tokenizer::from_folder(&models.join("stories260k-meta")).unwrap();
    let file = gguf(&models.join("stories260k-gguf/stories260k-F32.gguf"));
    let mut texts = texts(&shared);
    texts.extend(["<s>", "a</s>b", "</s> x<unk>  <s>"].map(str::to_owned));
    assert_same("stories260k: tokenizer.model and GGUF", &model, &file, &texts);
    assert_same("stories260k: tokenizer.model and tokenizer.json", &model, &json, &texts);
    assert!(json.adds_bos() && model.adds_bos() && file.adds_bos());
}

/// Ids that transformers 4.57.6 gave for LLaMA's vocabulary with these settings, for `Hello`, ` Hello`, `a</s>b` and
/// `a </s> b`.
#[test]
#[ignore = "needs the shared reference folder"]
fn settings_of_a_llama_tokenizer_mean_what_they_mean_to_transformers() {
    const TEXTS: [&str; 4] = ["Hello", " Hello", "a</s>b", "a </s> b"];
    let Some(shared) = shared() else { return };
    let model = shared.join("data/tokenizers/llama.model");
    let legacy: [&[u32]; 4] =
        [&[1, 15043], &[1, 29871, 15043], &[1, 263, 2, 289], &[1, 263, 29871, 2, 29871, 289]];
    let at_start: [&[u32]; 4] = [&[1, 15043], &[1, 15043], &[1, 263, 2, 29890], &[1, 263, 29871, 2, 289]];
    let without: [&[u32]; 4] = [&[1, 10994], &[1, 15043], &[1, 29874, 2, 29890], &[1, 29874, 29871, 2, 289]];
    for (settings, wanted) in [
        (json!({}), legacy),
        (json!({"legacy": true, "add_prefix_space": true}), legacy),
        (json!({"legacy": false}), at_start),
        (json!({"legacy": false, "add_prefix_space": true}), at_start),
        (json!({"add_prefix_space": false}), without),
        (json!({"legacy": true, "add_prefix_space": false}), without),
        (json!({"legacy": false, "add_prefix_space": false}), without),
        (json!({"add_prefix_space": false, "tokenizer_class": "CodeLlamaTokenizer"}), legacy),
    ] {
        for add_bos in [true, false] {
            let mut config = settings.clone();
            config["add_bos_token"] = json!(add_bos);
            let folder = tempfile::tempdir().unwrap();
            fs::copy(&model, folder.path().join("tokenizer.model")).unwrap();
            fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
            let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
            for (text, wanted) in TEXTS.iter().zip(wanted) {
                let ids = tokenizer.encode(text, AddSpecials::Default).unwrap();
                assert_eq!(ids, wanted[usize::from(!add_bos)..], "{config} {text:?}");
            }
        }
    }
}
