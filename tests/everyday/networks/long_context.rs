//! Attention over 16 384 positions, the longest context in the family, in bounded memory.
//!
//! In a process of its own, because the memory is that of the process.

use crate::support::alone::alone;
use ndarray::Array1;
use zoo::config::{LlamaConfig, RopeScaling};
use zoo::kernels::{self, StoredMatrix};
use zoo::model::{Activation, Kept, Layer, Layers, Linear, Mlp, Network, Norm, Positions, Wave, unwatched};

const TOKENS: usize = 16_384;
const THREADS: usize = 2;
/// What a forward pass may add. One matrix of all scores alone would be 1 GiB.
const BYTES_KIB: u64 = 256 * 1024;

/// The largest resident size this process has had, in KiB; `None` where the system does not tell.
fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

fn numbers(rows: usize, columns: usize) -> StoredMatrix<'static> {
    let number = |at: usize| ((at / columns * 31 + at % columns * 17) % 23) as f32 / 11.0 - 1.0;
    let values: Vec<f32> = (0..rows * columns).map(number).collect();
    StoredMatrix::from_f32(rows, columns, &values).unwrap()
}

/// One layer with two heads over one key-value head, scaled as the 16k models of the family are.
fn model() -> Network {
    let config = LlamaConfig {
        vocab_size: 32,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        max_position_embeddings: TOKENS,
        rms_norm_eps: 1e-5,
        rope_theta: 1e4,
        rope_scaling: RopeScaling::Linear { factor: 4.0 },
        tie_word_embeddings: true,
        attention_bias: false,
        mlp_bias: false,
    };
    let matmul = kernels::default();
    let linear = |out, input| Linear::new(matmul.as_ref(), &numbers(out, input), None);
    let norm = || Norm::Rms { weight: Array1::ones(8), eps: 1e-5 };
    let layer = Layer {
        input_norm: norm(),
        q: linear(8, 8),
        k: linear(4, 8),
        v: linear(4, 8),
        o: linear(8, 8),
        post_attention_norm: norm(),
        mlp: Mlp {
            activation: Activation::SwiGlu { gate: linear(12, 8) },
            up: linear(12, 8),
            down: linear(8, 12),
        },
    };
    Network {
        shape: config.shape(),
        embedding: numbers(32, 8),
        embedding_norm: None,
        positions: Positions::Rotary(config),
        layers: Layers::Resident(vec![layer]),
        residual_after_norm: false,
        norm: norm(),
        head: linear(32, 8),
        precision: matmul.precision(),
    }
}

#[test]
fn sixteen_thousand_tokens_take_blocks_of_memory_and_the_start_is_that_of_a_short_text() {
    alone(|| {
        let model = model();
        let ids: Vec<u32> = (0..TOKENS as u32).map(|i| i * i % 31).collect();
        let before = peak_resident();
        // Every thread has a block of its own.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
        let hidden =
            pool.install(|| model.forward(&Wave::sequence(&ids), Kept::All, &mut unwatched)).unwrap();
        if let (Some(before), Some(after)) = (before, peak_resident()) {
            println!("{} KiB", after - before);
            assert!(after - before < BYTES_KIB, "{} KiB more", after - before);
        }
        assert!(hidden.iter().all(|x| x.is_finite()));
        let short = model.forward(&Wave::sequence(&ids[..300]), Kept::All, &mut unwatched).unwrap();
        assert_eq!(hidden.slice(ndarray::s![..300, ..]), short);
    });
}
