//! Whole tokenizers from small folders and small GGUF metadata.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::library::tests::small_json;
use super::model_proto::tests::{NORMALIZER, TRAINER, model_file};
use super::vocabulary::tests::pieces;
use super::*;
use crate::weights::gguf::Value;

/// `▁`=259, `a`=260, `b`=261, `▁a`=262, `ab`=263 after the special tokens and bytes.
const PIECES: [(&str, f32); 5] = [("▁", -5.0), ("a", -5.0), ("b", -5.0), ("▁a", -1.0), ("ab", -2.0)];

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// A tokenizer from `tokenizer.model` and these settings files.
fn from_model(settings: &[(&str, &str)]) -> Result<Tokenizer, TokenizerError> {
    let model = model_file(&pieces(&PIECES), TRAINER, NORMALIZER);
    let mut files: Vec<(&str, &[u8])> = vec![("tokenizer.model", &model)];
    files.extend(settings.iter().map(|(name, content)| (*name, content.as_bytes())));
    Tokenizer::from_folder(folder(&files).path())
}

/// A tokenizer from the small `tokenizer.json` and this `tokenizer_config.json`.
fn from_json(config: &Json) -> Result<Tokenizer, TokenizerError> {
    let (json, config) = (small_json().to_string(), config.to_string());
    let folder = folder(&[("tokenizer.json", json.as_bytes()), ("tokenizer_config.json", config.as_bytes())]);
    Tokenizer::from_folder(folder.path())
}

fn llama_metadata() -> Metadata {
    let pieces = pieces(&PIECES);
    let mut meta = Metadata::default();
    let mut put = |key: &str, value| meta.0.insert(format!("tokenizer.ggml.{key}"), value);
    put("model", Value::String("llama".into()));
    put("tokens", Value::Strings(pieces.iter().map(|piece| piece.text.clone()).collect()));
    put("scores", Value::Floats(pieces.iter().map(|piece| piece.score).collect()));
    put("token_type", Value::Integers(pieces.iter().map(|piece| piece.kind as i64 + 1).collect()));
    meta
}

fn byte_level_metadata(pre: &str) -> Metadata {
    let tokens = ["<|end|>", "<|tool|>", "a", "b", "ab", "Ġ", "Ġa", "1", "11", "<", "|", ">"];
    let mut meta = Metadata::default();
    let mut put = |key: &str, value| meta.0.insert(format!("tokenizer.ggml.{key}"), value);
    put("model", Value::String("gpt2".into()));
    put("pre", Value::String(pre.into()));
    put("tokens", Value::Strings(tokens.map(str::to_owned).to_vec()));
    put("token_type", Value::Integers([vec![3, 4], vec![1; 10]].concat()));
    put("merges", Value::Strings(["a b", "Ġ a", "1 1"].map(str::to_owned).to_vec()));
    put("bos_token_id", Value::Unsigned(0));
    put("eos_token_id", Value::Unsigned(0));
    meta
}

fn with(mut meta: Metadata, key: &str, value: Value) -> Metadata {
    meta.0.insert(format!("tokenizer.ggml.{key}"), value);
    meta
}

#[test]
fn a_tokenizer_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
}

#[test]
fn a_lone_model_file_has_its_own_special_tokens_and_adds_bos() {
    let tokenizer = from_model(&[]).unwrap();
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.pad()),
        (Some(1), Some(2), Some(0), None)
    );
    assert_eq!(tokenizer.encode("ab a", AddSpecials::Default).unwrap(), [1, 262, 261, 262]);
    assert_eq!(tokenizer.encode("ab a", AddSpecials::None).unwrap(), [262, 261, 262]);
    assert_eq!(tokenizer.encode("</s>", AddSpecials::None).unwrap(), [2]);
    assert_eq!(tokenizer.encode_raw("</s>").unwrap().len(), 5);
    assert_eq!((tokenizer.prefix_token(), tokenizer.prefix_text()), (Some(1), Some("<s>")));
    assert!(tokenizer.adds_bos());
    assert_eq!(tokenizer.vocab_size(), 264);
    assert_eq!(tokenizer.token_text(262).as_deref(), Some("▁a"));
    assert_eq!(
        tokenizer.sha256(),
        crate::base::digest::sha256(model_file(&pieces(&PIECES), TRAINER, NORMALIZER))
    );
}

#[test]
fn prompts_that_start_with_the_prefix_get_no_second_one() {
    let tokenizer = from_model(&[]).unwrap();
    assert_eq!(tokenizer.encode_for_model("a").unwrap(), [1, 262]);
    assert_eq!(tokenizer.encode_for_model("<s>a").unwrap(), [1, 262]);
    assert_eq!(tokenizer.encode_for_model("a<s>").unwrap(), [1, 262, 1]);
    // With neither BOS nor EOS there is no prefix, and the default holds.
    let specials = r#"{"bos_token": null, "eos_token": null}"#;
    let bare = from_model(&[("tokenizer_config.json", specials)]).unwrap();
    assert_eq!((bare.prefix_token(), bare.adds_bos()), (None, false));
    assert_eq!(bare.encode_for_model("a").unwrap(), [262]);
}

#[test]
fn settings_decide_what_a_model_file_adds() {
    let config = r#"{"add_bos_token": false, "add_eos_token": true}"#;
    let tokenizer = from_model(&[("tokenizer_config.json", config)]).unwrap();
    assert_eq!(tokenizer.encode("a", AddSpecials::Default).unwrap(), [262, 2]);
    assert!(!tokenizer.adds_bos());
    // Empty special tokens, as some releases have them, mean the model's own.
    let tokenizer =
        from_model(&[("tokenizer_config.json", r#"{"bos_token": "", "eos_token": ""}"#)]).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    // The ids of a model configuration do not overrule the special tokens of the vocabulary.
    let tokenizer = from_model(&[("config.json", r#"{"bos_token_id": 0, "eos_token_id": 1}"#)]).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(1), Some(2)));
    let tokenizer = from_model(&[("tokenizer_config.json", r#"{"legacy": false}"#)]).unwrap();
    assert_eq!(tokenizer.encode("a</s>a", AddSpecials::None).unwrap(), [262, 2, 260]);
}

#[test]
fn added_tokens_extend_a_model_file() {
    let added = ("added_tokens.json", r#"{"[PAD]": 264}"#);
    let map = ("special_tokens_map.json", r#"{"pad_token": "[PAD]"}"#);
    let tokenizer = from_model(&[added, map]).unwrap();
    assert_eq!((tokenizer.pad(), tokenizer.vocab_size()), (Some(264), 265));
    assert_eq!(tokenizer.encode("a[PAD]", AddSpecials::None).unwrap(), [262, 264]);
    assert_eq!(tokenizer.decode(&[262, 264]).unwrap(), "a[PAD]");
    assert_eq!(tokenizer.decode_without_specials(&[262, 264]).unwrap(), "a");
    let message = from_model(&[("added_tokens.json", r#"{"x": 262}"#)]).unwrap_err().to_string();
    assert!(message.contains("id 262 for the piece \"▁a\""), "{message}");
    let message =
        from_model(&[("tokenizer_config.json", r#"{"eos_token": "<eot>"}"#)]).unwrap_err().to_string();
    assert!(message.contains("eos_token: expected a token of the vocabulary, found \"<eot>\""), "{message}");
}

#[test]
fn meta_folders_use_the_model_file_above() {
    let model = model_file(&pieces(&PIECES), TRAINER, NORMALIZER);
    let above = folder(&[("tokenizer.model", &model)]);
    let size = above.path().join("7B");
    std::fs::create_dir(&size).unwrap();
    let message = Tokenizer::from_folder(&size).unwrap_err().to_string();
    assert!(message.contains("expected tokenizer.json or tokenizer.model, found neither"), "{message}");
    std::fs::write(size.join("params.json"), "{}").unwrap();
    assert_eq!(Tokenizer::from_folder(&size).unwrap().vocab_size(), 264);
}

#[test]
fn a_json_file_keeps_its_post_processor_unless_a_llama_class_says_otherwise() {
    let adds = |config: Json| {
        let tokenizer = from_json(&config).unwrap();
        let ids = tokenizer.encode("ab", AddSpecials::Default).unwrap();
        assert_eq!(tokenizer.adds_bos(), ids == [0, 3], "{config}");
        assert_eq!(tokenizer.encode("ab", AddSpecials::None).unwrap(), [3]);
        tokenizer.adds_bos()
    };
    assert!(adds(json!({"bos_token": "<s>"})));
    assert!(adds(
        json!({"bos_token": "<s>", "add_bos_token": false, "tokenizer_class": "BloomTokenizerFast"})
    ));
    assert!(!adds(json!({"bos_token": "<s>", "add_bos_token": false, "tokenizer_class": "LlamaTokenizer"})));
    assert!(adds(
        json!({"bos_token": "<s>", "add_eos_token": false, "tokenizer_class": "LlamaTokenizerFast"})
    ));
    let without = json!({"bos_token": null, "add_bos_token": true, "tokenizer_class": "LlamaTokenizer"});
    assert!(from_json(&without).unwrap_err().to_string().contains("add_bos_token"));
}

#[test]
fn json_is_preferred_and_damaged_json_is_named() {
    let model = model_file(&pieces(&PIECES), TRAINER, NORMALIZER);
    let json = small_json().to_string();
    let both = folder(&[("tokenizer.json", json.as_bytes()), ("tokenizer.model", &model)]);
    assert_eq!(Tokenizer::from_folder(both.path()).unwrap().vocab_size(), 10);
    let cut = folder(&[("tokenizer.json", &json.as_bytes()[..100])]);
    let message = Tokenizer::from_folder(cut.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json: EOF"), "{message}");
    assert!(Tokenizer::from_folder(Path::new("/no/such/folder")).is_err());
}

#[test]
fn gguf_and_model_file_agree() {
    let (gguf, model) = (Tokenizer::from_gguf(&llama_metadata()).unwrap(), from_model(&[]).unwrap());
    for text in ["", "a", " ab  a", "é<s>b</s>", "\n", "▁a"] {
        for specials in [AddSpecials::Default, AddSpecials::None] {
            assert_eq!(
                gguf.encode(text, specials).unwrap(),
                model.encode(text, specials).unwrap(),
                "{text:?}"
            );
        }
    }
    assert_eq!((gguf.bos(), gguf.eos(), gguf.unk(), gguf.adds_bos()), (Some(1), Some(2), Some(0), true));
}

#[test]
fn gguf_keys_decide_over_defaults() {
    let no_bos = with(llama_metadata(), "add_bos_token", Value::Bool(false));
    assert!(!Tokenizer::from_gguf(&no_bos).unwrap().adds_bos());
    let no_prefix = with(llama_metadata(), "add_space_prefix", Value::Bool(false));
    assert_eq!(Tokenizer::from_gguf(&no_prefix).unwrap().encode("a", AddSpecials::None).unwrap(), [260]);
    let with_eos = with(byte_level_metadata("smollm"), "add_eos_token", Value::Bool(true));
    assert_eq!(Tokenizer::from_gguf(&with_eos).unwrap().encode("a", AddSpecials::Default).unwrap(), [2, 0]);
}

#[test]
fn byte_level_gguf_splits_special_tokens_and_adds_none() {
    let tokenizer = Tokenizer::from_gguf(&byte_level_metadata("smollm")).unwrap();
    assert!(!tokenizer.adds_bos());
    assert_eq!(tokenizer.encode("ab a11<|end|><|tool|>", AddSpecials::Default).unwrap(), [4, 6, 7, 7, 0, 1]);
    assert_eq!(tokenizer.decode(&[4, 6, 0, 1]).unwrap(), "ab a<|end|><|tool|>");
    // A user-defined token is no special one.
    assert_eq!(tokenizer.decode_without_specials(&[4, 6, 0, 1]).unwrap(), "ab a<|tool|>");
    assert_eq!(tokenizer.prefix_text(), Some("<|end|>"));
    assert_eq!(tokenizer.encode_for_model("<|end|>a").unwrap(), [0, 2]);
    let grouped = Tokenizer::from_gguf(&byte_level_metadata("llama-bpe")).unwrap();
    assert_eq!(grouped.encode("11", AddSpecials::Default).unwrap(), [0, 8]);
}

#[test]
fn digests_follow_the_content() {
    let digest = |meta: &Metadata| Tokenizer::from_gguf(meta).unwrap().sha256().to_owned();
    let base = digest(&llama_metadata());
    assert_eq!(base.len(), 64);
    assert_eq!(base, digest(&llama_metadata()));
    assert_eq!(base, digest(&with(llama_metadata(), "chat_template", Value::String("x".into()))));
    assert_ne!(base, digest(&with(llama_metadata(), "add_bos_token", Value::Bool(false))));
    assert_ne!(base, digest(&with(llama_metadata(), "eos_token_id", Value::Unsigned(1))));
    assert_ne!(digest(&byte_level_metadata("smollm")), digest(&byte_level_metadata("gpt-2")));
}

/// Files hold these digests: with others, the scores of a ledger are those of another tokenizer.
#[test]
fn digests_of_gguf_vocabularies_stay() {
    let digest = |meta: &Metadata| Tokenizer::from_gguf(meta).unwrap().sha256().to_owned();
    assert_eq!(digest(&llama_metadata()), "7d3bf229844e4133528b3742b5ec3bfdc869ff575ffadb30658471dd76b63a6b");
    assert_eq!(
        digest(&byte_level_metadata("smollm")),
        "68410904d42ebaef9398448503ea920fe6b74aa286fdc2b21df7ed1712913d1a"
    );
}

#[test]
fn wrong_metadata_is_refused_with_its_key() {
    let message = |meta: &Metadata| Tokenizer::from_gguf(meta).unwrap_err().to_string();
    assert!(message(&Metadata::default()).contains("tokenizer.ggml.model"));
    let cases = [
        ("model", Value::String("bert".into()), "\"bert\" is not supported"),
        ("model", Value::Unsigned(1), "expected a string, found an unsigned integer"),
        ("scores", Value::Floats(vec![0.0]), "expected 264 entries, one per token, found 1"),
        ("token_type", Value::Integers(vec![1]), "expected 264 entries"),
        (
            "token_type",
            Value::Integers(vec![9; 264]),
            "token_type[0]: expected a token type from 1 to 6, found 9",
        ),
        ("bos_token_id", Value::Unsigned(264), "expected an id below 264, found 264"),
        ("tokens", Value::Strings(vec![]), "entries"),
    ];
    for (key, value, expected) in cases {
        let message = message(&with(llama_metadata(), key, value));
        assert!(message.contains(expected), "{message}");
    }
    assert!(message(&byte_level_metadata("new-model")).contains("pre-tokenizer \"new-model\""));
    for meta in [llama_metadata(), byte_level_metadata("gpt-2")] {
        for key in ["model", "tokens"] {
            let mut meta = meta.clone();
            meta.0.remove(&format!("tokenizer.ggml.{key}"));
            assert!(message(&meta).contains(&format!("tokenizer.ggml.{key}")));
        }
    }
    let mut no_merges = byte_level_metadata("gpt-2");
    no_merges.0.remove("tokenizer.ggml.merges");
    assert!(message(&no_merges).contains("tokenizer.ggml.merges"));
    let outside = with(byte_level_metadata("gpt-2"), "merges", Value::Strings(vec!["b a".into()]));
    assert!(message(&outside).contains("model.merges[0]"));
    let mut no_bos = with(byte_level_metadata("gpt-2"), "add_bos_token", Value::Bool(true));
    no_bos.0.remove("tokenizer.ggml.bos_token_id");
    assert!(message(&no_bos).contains("tokenizer.ggml.bos_token_id"));
}

proptest! {
    #[test]
    fn any_text_survives_the_round_trip(text in "\\PC{0,40}") {
        let tokenizer = from_model(&[]).unwrap();
        // `▁` is the vocabulary's own space.
        prop_assume!(!text.contains('▁'));
        let ids = tokenizer.encode_raw(&text).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

#[test]
fn the_settings_say_whether_text_gets_a_prefix() {
    let config = |text: &str| from_model(&[("tokenizer_config.json", text)]).unwrap();
    let ids = |tokenizer: &Tokenizer, text: &str| tokenizer.encode(text, AddSpecials::None).unwrap();
    let without = config(r#"{"add_prefix_space": false}"#);
    assert_eq!((ids(&without, "a</s>a"), ids(&without, " a")), (vec![260, 2, 260], vec![262]));
    assert_eq!(without.decode(&[262]).unwrap(), " a");
    let at_start = config(r#"{"add_prefix_space": true, "legacy": false}"#);
    assert_eq!((ids(&at_start, "a</s>a"), ids(&at_start, " a")), (vec![262, 2, 260], vec![262]));
    // The class of Code Llama does not ask.
    let code = config(r#"{"add_prefix_space": false, "tokenizer_class": "CodeLlamaTokenizer"}"#);
    assert_eq!(ids(&code, "a"), [262]);
}

#[test]
fn a_stated_prefix_has_the_tokenizer_built_from_the_model() {
    let model = model_file(&pieces(&PIECES), TRAINER, NORMALIZER);
    let json = small_json().to_string();
    let ids = |config: &str| {
        let files: [(&str, &[u8]); 3] = [
            ("tokenizer.model", &model),
            ("tokenizer.json", json.as_bytes()),
            ("tokenizer_config.json", config.as_bytes()),
        ];
        Tokenizer::from_folder(folder(&files).path()).unwrap().encode("a", AddSpecials::Default).unwrap()
    };
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false}"#), [1, 260]);
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": true}"#), [1, 262]);
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": null}"#), [0, 1]);
    assert_eq!(ids(r#"{"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true}"#), [0, 5]);
}

/// The ids of a text by the small `tokenizer.json`, changed, and these settings.
fn by_json(
    change: impl Fn(&mut Json),
    files: &[(&str, &str)],
    text: &str,
) -> Result<Vec<u32>, TokenizerError> {
    let mut json = small_json();
    change(&mut json);
    let json = json.to_string();
    let mut all: Vec<(&str, &[u8])> = vec![("tokenizer.json", json.as_bytes())];
    all.extend(files.iter().map(|(name, content)| (*name, content.as_bytes())));
    Tokenizer::from_folder(folder(&all).path())?.encode(text, AddSpecials::Default)
}

#[test]
fn a_json_alone_follows_the_stated_prefix() {
    let metaspace = |json: &mut Json| {
        json["pre_tokenizer"] =
            json!({"type": "Metaspace", "replacement": "Ġ", "prepend_scheme": "first", "split": false});
        json["decoder"] = Json::Null;
    };
    let ids = |config: &str| by_json(metaspace, &[("tokenizer_config.json", config)], "a");
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}"#).unwrap(), [0, 5]);
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false}"#).unwrap(), [0, 1]);
    assert_eq!(ids(r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": true}"#).unwrap(), [0, 5]);
    let config = r#"{"tokenizer_class": "LlamaTokenizer", "add_prefix_space": true}"#;
    let refused = by_json(|_| (), &[("tokenizer_config.json", config)], "a").unwrap_err().to_string();
    assert!(refused.contains("puts a space before text, as add_prefix_space says"), "{refused}");
    // A byte-level pre-tokenizer has a prefix only where the settings say so.
    let prefixed = |json: &mut Json| json["pre_tokenizer"]["add_prefix_space"] = json!(true);
    assert_eq!(by_json(prefixed, &[], "a").unwrap(), [0, 1]);
    let stated = [("tokenizer_config.json", r#"{"add_prefix_space": true}"#)];
    assert_eq!(by_json(|_| (), &stated, "a").unwrap(), [0, 5]);
}

#[test]
fn a_llama_class_puts_bos_first_whatever_the_json_says() {
    let bare = |json: &mut Json| json["post_processor"] = Json::Null;
    let llama = ("config.json", r#"{"model_type": "llama"}"#);
    assert_eq!(by_json(bare, &[llama], "a").unwrap(), [0, 1]);
    assert_eq!(by_json(bare, &[], "a").unwrap(), [1]);
    let fast =
        ("tokenizer_config.json", r#"{"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true}"#);
    assert_eq!(by_json(bare, &[llama, fast], "a").unwrap(), [1]);
    assert_eq!(
        by_json(|_| (), &[("tokenizer_config.json", r#"{"add_bos_token": false}"#)], "a").unwrap(),
        [0, 1]
    );
    let no = ("tokenizer_config.json", r#"{"add_bos_token": false}"#);
    assert_eq!(by_json(|_| (), &[llama, no], "a").unwrap(), [1]);
}

#[test]
fn settings_that_would_change_ids_are_honoured_or_refused_by_name() {
    for (key, value) in [
        ("split_special_tokens", "true"),
        ("from_slow", "true"),
        ("fix_mistral_regex", "true"),
        ("tokenizer_class", r#""YiTokenizer""#),
        ("add_prefix_space", r#""no""#),
    ] {
        let config = format!("{{{key:?}: {value}}}");
        let message = from_model(&[("tokenizer_config.json", &config)]).unwrap_err().to_string();
        assert!(message.contains(&format!("tokenizer_config.json: {key}")), "{message}");
    }
    // Tokens that the vocabulary lacks have the ids after its last, also by the name of a role.
    for config in [
        r#"{"additional_special_tokens": ["[A]"]}"#,
        r#"{"extra_special_tokens": {"role": "[A]"}}"#,
        r#"{"extra_special_tokens": ["[A]"]}"#,
    ] {
        let model = from_model(&[("tokenizer_config.json", config)]).unwrap();
        assert_eq!(model.encode("[A]", AddSpecials::None).unwrap(), [264], "{config}");
        assert_eq!(
            by_json(|_| (), &[("tokenizer_config.json", config)], "[A]").unwrap(),
            [0, 10],
            "{config}"
        );
    }
    // What settings say of a token holds over what tokenizer.json says.
    let strips = r#"{"added_tokens_decoder": {"0": {"content": "<s>", "rstrip": true, "special": true}}}"#;
    assert_eq!(by_json(|_| (), &[], "<s> a").unwrap(), [0, 0, 5]);
    assert_eq!(by_json(|_| (), &[("tokenizer_config.json", strips)], "<s> a").unwrap(), [0, 0, 1]);
}
