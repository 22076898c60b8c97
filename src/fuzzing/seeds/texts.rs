//! The small JSON files: `params.json`, `config.json`, `adapter_config.json`.

use serde_json::{Value, json};

use super::Seeds;

/// An object with some of its members changed; `null` takes a member away.
fn changed(object: &Value, changes: Value) -> Vec<u8> {
    let mut object = object.clone();
    if let (Some(object), Value::Object(changes)) = (object.as_object_mut(), changes) {
        for (key, value) in changes {
            match value {
                Value::Null => drop(object.remove(&key)),
                value => drop(object.insert(key, value)),
            }
        }
    }
    object.to_string().into_bytes()
}

pub(super) fn params() -> Seeds {
    let llama = json!({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-6, "vocab_size": -1});
    let llama_2 = json!({"n_kv_heads": 8, "n_heads": 64, "dim": 8192, "ffn_dim_multiplier": 1.3, "multiple_of": 4096, "n_layers": 80, "norm_eps": 1e-5, "vocab_size": 32000});
    let third =
        json!({"rope_theta": 5e5, "use_scaled_rope": true, "vocab_size": 128_256, "ffn_dim_multiplier": 1.3});
    let with = |changes: Value| changed(&llama, changes);
    vec![
        ("good-7b", with(json!({}))),
        ("good-70b", changed(&llama_2, json!({}))),
        ("good-code", with(json!({"rope_theta": 1e6, "vocab_size": 32016}))),
        ("bad-no-width", with(json!({"dim": null}))),
        ("bad-width", with(json!({"dim": 1u64 << 40}))),
        ("bad-heads", with(json!({"n_heads": 33}))),
        ("bad-kv-heads", with(json!({"n_kv_heads": 5}))),
        ("bad-epsilon", with(json!({"norm_eps": -1.0}))),
        ("bad-epsilon-text", with(json!({"norm_eps": "\u{1b}[2J\n".repeat(50)}))),
        ("bad-multiplier", with(json!({"ffn_dim_multiplier": 1e300}))),
        ("good-llama-3", with(third)),
        (
            "good-llama-3.2",
            with(
                json!({"rope_theta": 5e5, "use_scaled_rope": true, "vocab_size": 128_256, "dim": 2048, "n_layers": 16}),
            ),
        ),
        ("bad-rotary", with(json!({"use_scaled_rope": true}))),
        (
            "bad-rotary-factor",
            with(
                json!({"use_scaled_rope": true, "vocab_size": 128_256, "rope_theta": 5e5, "rope_scaling_factor": 16}),
            ),
        ),
        ("bad-llama-3", with(json!({"vocab_size": 128_256}))),
        ("bad-array", b"[]".to_vec()),
        ("bad-depth", "[".repeat(300).into_bytes()),
        ("bad-number", br#"{"dim": 1e999}"#.to_vec()),
        ("bad-cut", with(json!({}))[..50].to_vec()),
    ]
}

pub(super) fn configs() -> Seeds {
    let llama = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 64,
        "intermediate_size": 172, "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "hidden_act": "silu", "tie_word_embeddings": false
    });
    let bloom = json!({
        "model_type": "bloom", "vocab_size": 250_880, "n_embed": 4096, "n_layer": 30, "num_attention_heads": 32,
        "layer_norm_epsilon": 1e-5, "seq_length": 2048
    });
    let llama_3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    let with = |changes: Value| changed(&llama, changes);
    vec![
        ("good-llama", with(json!({}))),
        ("good-linear", with(json!({"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 5e5}))),
        ("good-condensed", with(json!({"rope_condense_ratio": 8}))),
        (
            "bad-condensed",
            with(json!({"rope_condense_ratio": 8, "rope_scaling": {"type": "dynamic", "factor": 2.0}})),
        ),
        ("good-dynamic", with(json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}))),
        ("good-llama-3", with(json!({"rope_scaling": llama_3, "head_dim": 8, "attention_bias": true}))),
        ("good-newer", with(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}))),
        ("good-bloom", changed(&bloom, json!({}))),
        ("bad-bloom-twice", changed(&bloom, json!({"hidden_size": 1024}))),
        ("bad-quantized", with(json!({"quantization_config": {"bits": 4}}))),
        ("bad-heads", with(json!({"num_attention_heads": 0}))),
        ("bad-head-width", with(json!({"head_dim": 1u64 << 62, "num_attention_heads": 1u64 << 20}))),
        ("bad-layers", with(json!({"num_hidden_layers": 1u64 << 40}))),
        ("bad-negative", with(json!({"vocab_size": -1}))),
        ("bad-fraction", with(json!({"vocab_size": 0.5}))),
        ("bad-factor", with(json!({"rope_scaling": {"type": "linear", "factor": 0.0}}))),
        ("bad-kind", with(json!({"model_type": "\u{1b}[2Jgptj\n"}))),
        ("bad-nothing", b"{}".to_vec()),
        ("bad-cut", with(json!({}))[..100].to_vec()),
    ]
}

pub(super) fn adapters() -> Seeds {
    let lora = json!({
        "peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", "fan_in_fan_out": false,
        "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "x"
    });
    let with = |changes: Value| changed(&lora, changes);
    let patterns = json!({
        "rank_pattern": {"layers.0.self_attn.q_proj": 2, "v_proj": 4}, "alpha_pattern": {"v_.*": 3.5},
        "layers_to_transform": [0, 31], "modules_to_save": ["lm_head"], "exclude_modules": "x|y", "use_rslora": true
    });
    vec![
        ("good-lora", with(json!({}))),
        ("good-patterns", with(patterns)),
        ("good-pattern", with(json!({"target_modules": r".*self_attn\.[kv]_proj"}))),
        ("good-all", with(json!({"target_modules": "all-linear", "fan_in_fan_out": true}))),
        ("bad-relative", with(json!({"peft_type": "IA3"}))),
        ("bad-dora", with(json!({"use_dora": true}))),
        ("bad-start", with(json!({"init_lora_weights": "pissa_niter_4"}))),
        ("bad-rank", with(json!({"r": 0}))),
        ("bad-alpha", with(json!({"lora_alpha": 1e300}))),
        ("bad-pattern", with(json!({"target_modules": "("}))),
        ("bad-large-pattern", with(json!({"target_modules": "(a{1000}){1000}"}))),
        ("bad-control", with(json!({"target_modules": "\u{1b}[2J(\u{7}"}))),
        ("bad-names", with(json!({"target_modules": [1]}))),
        ("bad-layers", with(json!({"layers_to_transform": "all"}))),
        ("bad-array", b"[]".to_vec()),
        ("bad-cut", with(json!({}))[..40].to_vec()),
    ]
}
