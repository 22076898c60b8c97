//! Safetensors and GGUF files.

use super::Seeds;
use crate::weights::gguf::testing::{Builder, Tensor};

/// A header with that many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0x3f);
    bytes
}

pub(super) fn safetensors() -> Seeds {
    let one = |dtype: &str, shape: &str, offsets: &str, data: usize| {
        file(&format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#), data)
    };
    let several = r#"{"__metadata__":{"format":"pt","é\n":"\u00e9"},
        "w":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
        "e":{"dtype":"F16","shape":[0,7],"data_offsets":[20,20]},"b":{"dtype":"BOOL","shape":[3],"data_offsets":[20,23]}}  "#;
    let two = |offsets: &str| {
        let a = r#""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
        file(&format!(r#"{{{a},"b":{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}}}"#), 8)
    };
    vec![
        ("good-several", file(several, 23)),
        ("good-two", two("[4,8]")),
        ("good-f32", one("F32", "[1,2]", "[0,8]", 8)),
        ("good-nothing", file("{}", 0)),
        ("bad-cut", one("F32", "[1,2]", "[0,8]", 7)),
        ("bad-overlap", two("[2,6]")),
        (
            "bad-name-twice",
            file(
                r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
                2,
            ),
        ),
        ("bad-wraps", one("F32", "[4611686018427387905,4]", "[0,16]", 16)),
        ("bad-reversed", one("F32", "[1]", "[4,0]", 4)),
        ("bad-axes", one("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]", 1)),
        ("bad-block-format", one("Q4_0", "[32]", "[0,18]", 18)),
        ("bad-depth", file(&format!(r#"{{"a":{}"#, "[".repeat(200)), 0)),
        ("bad-length", u64::MAX.to_le_bytes().to_vec()),
        ("bad-control", one("F\\u001b[2J", "[1]", "[0,4]", 4)),
    ]
}

/// A LLaMA of one layer of width 4, in names only as large as its tensors.
fn model(head_count: u32) -> Builder {
    let keys = [
        ("context_length", 16),
        ("embedding_length", 4),
        ("block_count", 1),
        ("feed_forward_length", 8),
        ("attention.head_count", head_count),
        ("attention.head_count_kv", 1),
    ];
    let start = Builder::new().string("general.architecture", "llama");
    let sized = keys.iter().fold(start, |file, (key, value)| file.u32(&format!("llama.{key}"), *value));
    sized
        .raw("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes())
        .raw("llama.rope.freq_base", 6, &1e4f32.to_le_bytes())
        .f32("token_embd.weight", &[5, 4], &[0.5; 20])
        .f32("output_norm.weight", &[4], &[1.0; 4])
        .f32("blk.0.attn_q.weight", &[4, 4], &[0.25; 16])
        .f32("blk.0.attn_k.weight", &[2, 4], &[0.25; 8])
}

pub(super) fn gguf() -> Seeds {
    let array = |code: u32, count: u64, rest: &[u8]| {
        let value = [&code.to_le_bytes()[..], &count.to_le_bytes(), rest].concat();
        Builder::new().raw("x", 9, &value).build()
    };
    let every_value = (0..=12u32).filter(|code| ![8, 9].contains(code)).fold(Builder::new(), |file, code| {
        let width = match code {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            _ => 8,
        };
        let bytes = [1, 0, 0, 0, 0, 0, 0, 0];
        let list = [&code.to_le_bytes()[..], &1u64.to_le_bytes(), &bytes[..width]].concat();
        file.raw(&format!("value.{code}"), code, &bytes[..width]).raw(&format!("list.{code}"), 9, &list)
    });
    let blocks = Builder::new().q8_0("q", &[2, 32], vec![1; 68]).f32("b", &[3], &[1.0; 3]);
    let mut wide = blocks.clone().u32("general.alignment", 64);
    wide.alignment = 64;
    let wrong = |shape: &[u64], code: u32, offset: Option<u64>| {
        let tensor = Tensor { name: "t".into(), shape: shape.to_vec(), code, data: vec![0; 36], offset };
        Builder::new().f32("a", &[32], &[1.0; 32]).tensor(tensor).build()
    };
    let split = Builder::new().raw("split.count", 2, &[3, 0]).build();
    vec![
        ("good-model", model(2).build()),
        ("good-odd-heads", model(3).build()),
        ("good-values", every_value.build()),
        ("good-blocks", blocks.clone().build()),
        ("good-version-2", Builder { version: 2, ..blocks }.build()),
        ("good-alignment", wide.build()),
        ("good-empty", Builder::new().build()),
        ("good-strings", array(8, 2, &[&1u64.to_le_bytes()[..], b"a", &0u64.to_le_bytes()].concat())),
        ("bad-list-count", array(0, 1 << 60, &[])),
        ("bad-list-of-lists", array(9, 1, &[])),
        ("bad-bool", array(7, 2, &[1, 7])),
        ("bad-alignment", Builder::new().u32("general.alignment", 0).build()),
        ("bad-split", split),
        ("bad-overlap", wrong(&[2, 32], 2, Some(96))),
        ("bad-offset", wrong(&[2, 32], 2, Some(u64::MAX - 31))),
        ("bad-rows", wrong(&[4, 16], 2, None)),
        ("bad-product", wrong(&[1 << 40, 1 << 40], 0, None)),
        ("bad-type", wrong(&[2, 32], 77, None)),
        ("bad-magic", b"lmgg\x01\0\0\0".to_vec()),
        ("bad-big-endian", b"GGUF\0\0\0\x03".to_vec()),
        ("bad-counts", [&b"GGUF\x03\0\0\0"[..], &[0xff; 16]].concat()),
    ]
}
