//! A tiny model of random weights with a byte-level tokenizer, written by the tests themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

const HIDDEN: usize = 16;
const INNER: usize = 24;
const LAYERS: usize = 2;
/// 256 bytes, then `<s>` and `</s>`.
const VOCABULARY: usize = 258;

/// Runs the built program.
pub fn zoo(args: &[&str]) -> Output {
    command(args).output().expect("zoo starts")
}

/// The built program with an empty cache and no settings of the user.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    let nowhere = std::env::temp_dir().join("zoo-tests-without-cache");
    command
        .args(args)
        .env("ZOO_HOME", nowhere)
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("ZOO_LOG")
        .env_remove("ZOO_ISA");
    command
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes a model folder: `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json`.
pub fn write_tiny_model(folder: &Path) {
    let config = json!({
        "model_type": "llama", "hidden_act": "silu", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true, "bos_token_id": 256, "eos_token_id": 257
    });
    let mut random = Random::default();
    random.add("model.embed_tokens.weight".into(), &[VOCABULARY, HIDDEN], 0.0, 0.8);
    random.add("model.norm.weight".into(), &[HIDDEN], 1.0, 0.1);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for (part, out, input) in [
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", HIDDEN / 2, HIDDEN),
            ("self_attn.v_proj", HIDDEN / 2, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", INNER, HIDDEN),
            ("mlp.up_proj", INNER, HIDDEN),
            ("mlp.down_proj", HIDDEN, INNER),
        ] {
            random.add(name(part), &[out, input], 0.0, 0.5);
        }
        random.add(name("input_layernorm"), &[HIDDEN], 1.0, 0.1);
        random.add(name("post_attention_layernorm"), &[HIDDEN], 1.0, 0.1);
    }
    write_folder(folder, config, random);
}

/// A BLOOM model in the same form, of three heads.
pub fn write_tiny_bloom(folder: &Path) {
    const WIDTH: usize = 12;
    let config = json!({
        "model_type": "bloom", "vocab_size": VOCABULARY, "n_embed": WIDTH, "n_layer": LAYERS, "n_head": 3,
        "layer_norm_epsilon": 1e-5, "bos_token_id": 256, "eos_token_id": 257
    });
    let mut random = Random::default();
    random.add("transformer.word_embeddings.weight".into(), &[VOCABULARY, WIDTH], 0.0, 0.8);
    let layers: Vec<String> = (0..LAYERS).map(|layer| format!("transformer.h.{layer}")).collect();
    let mut norms = vec!["transformer.word_embeddings_layernorm".into(), "transformer.ln_f".into()];
    for layer in &layers {
        for (part, out, input) in [
            ("self_attention.query_key_value", 3 * WIDTH, WIDTH),
            ("self_attention.dense", WIDTH, WIDTH),
            ("mlp.dense_h_to_4h", 4 * WIDTH, WIDTH),
            ("mlp.dense_4h_to_h", WIDTH, 4 * WIDTH),
        ] {
            random.add(format!("{layer}.{part}.weight"), &[out, input], 0.0, 0.5);
            random.add(format!("{layer}.{part}.bias"), &[out], 0.0, 0.2);
        }
        norms.extend(["input_layernorm", "post_attention_layernorm"].map(|part| format!("{layer}.{part}")));
    }
    for norm in norms {
        random.add(format!("{norm}.weight"), &[WIDTH], 1.0, 0.1);
        random.add(format!("{norm}.bias"), &[WIDTH], 0.0, 0.1);
    }
    write_folder(folder, config, random);
}

fn write_folder(folder: &Path, config: serde_json::Value, weights: Random) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let settings =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"});
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).unwrap();
    fs::write(folder.join("model.safetensors"), weights.bytes()).unwrap();
}

/// Tensors of numbers that look random and are always the same.
struct Random {
    state: u32,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl Default for Random {
    fn default() -> Self {
        Self { state: 1, tensors: BTreeMap::new() }
    }
}

impl Random {
    /// Numbers from `base - spread` to `base + spread`.
    fn add(&mut self, name: String, shape: &[usize], base: f32, spread: f32) {
        let mut next = || {
            self.state = self.state.wrapping_mul(1664525).wrapping_add(1013904223);
            base + spread * ((self.state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        let bytes = (0..shape.iter().product()).flat_map(|_| next().to_le_bytes()).collect();
        self.tensors.insert(name, (shape.to_vec(), bytes));
    }

    /// The safetensors file.
    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (shape, bytes))| {
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }
}

/// Byte-level BPE without merges: every byte is a token, spelled with GPT-2's printable stand-ins.
fn tokenizer() -> serde_json::Value {
    let mut spare = 256u32;
    let vocabulary: serde_json::Map<String, serde_json::Value> = (0u32..256)
        .map(|byte| {
            let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            let spelled = if printable {
                byte
            } else {
                spare += 1;
                spare - 1
            };
            (char::from_u32(spelled).unwrap().to_string(), json!(byte))
        })
        .collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(256, "<s>"), special(257, "</s>")],
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": vocabulary, "merges": []}
    })
}
