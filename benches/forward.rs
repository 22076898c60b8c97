//! How fast linear layers and a whole forward pass are: `cargo bench`.
//!
//! Prints the median of several runs. Compare numbers of one machine in one sitting only.

use std::time::Instant;

use ndarray::{Array1, Array2};
use zoo::kernels::{self, MatMul, Precision, Store, StoredMatrix, multiply};
use zoo::model::{Layer, Layers, Linear, Llama, LlamaConfig, Network, RopeScaling, Wave};
use zoo::weights::Dtype;

const RUNS: usize = 5;

fn best_seconds(mut work: impl FnMut()) -> f64 {
    work();
    let seconds = (0..RUNS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

fn weight(rows: usize, columns: usize) -> StoredMatrix<'static> {
    let bytes = (0..rows * columns).flat_map(|i| (0x3c00u16 + (i % 509) as u16).to_le_bytes());
    StoredMatrix::new(Dtype::BF16, rows, columns, bytes.collect::<Vec<u8>>()).unwrap()
}

fn products(matmul: &dyn MatMul) {
    for (n, k) in [(576, 576), (1536, 576), (5632, 2048), (2048, 5632)] {
        let w = matmul.prepare(&weight(n, k));
        for m in [1, 64, 512, 2048] {
            let x = Array2::from_shape_fn((m, k), |(i, j)| ((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5);
            let mut y = Array2::zeros((m, n));
            let seconds = best_seconds(|| multiply(w.as_ref(), x.view(), y.view_mut(), Store::Overwrite));
            let gflops = 2.0 * (m * n * k) as f64 / seconds / 1e9;
            println!(
                "{:>9} {:>6} {m:>5} x {n:>5} x {k:>5}  {gflops:>8.1} GFLOP/s",
                matmul.name(),
                matmul.precision()
            );
        }
    }
}

/// SmolLM2-135M's layer shape with few layers.
fn model(layers: usize, matmul: &dyn MatMul) -> Llama {
    let config = LlamaConfig {
        vocab_size: 4096,
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: layers,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        head_dim: 64,
        max_position_embeddings: 8192,
        rms_norm_eps: 1e-5,
        rope_theta: 1e5,
        rope_scaling: RopeScaling::None,
        tie_word_embeddings: true,
        attention_bias: false,
        mlp_bias: false,
    };
    let linear = |out, input| Linear::new(matmul, &weight(out, input), None);
    let layer = || Layer {
        input_norm: Array1::ones(576),
        q: linear(576, 576),
        k: linear(192, 576),
        v: linear(192, 576),
        o: linear(576, 576),
        post_attention_norm: Array1::ones(576),
        gate: linear(1536, 576),
        up: linear(1536, 576),
        down: linear(576, 1536),
    };
    Llama {
        layers: Layers::Resident((0..layers).map(|_| layer()).collect()),
        embedding: weight(4096, 576),
        norm: Array1::ones(576),
        head: linear(4096, 576),
        config,
    }
}

fn forward(matmul: &dyn MatMul) {
    const LAYERS: usize = 3;
    let model = model(LAYERS, matmul);
    for tokens in [64, 512, 2048] {
        let ids: Vec<u32> = (0..tokens).map(|i| i * 37 % 4096).collect();
        let wave = Wave::sequence(&ids);
        let seconds = best_seconds(|| {
            model.forward(&wave, &mut || {}).unwrap();
        });
        let rate = f64::from(tokens) * LAYERS as f64 / 30.0 / seconds;
        println!(
            "{:>9} {:>6} {tokens:>5} tokens of one sequence  {rate:>8.0} tokens/s at 30 layers",
            matmul.name(),
            matmul.precision()
        );
    }
}

fn main() {
    for name in kernels::names().iter().filter(|name| **name != "portable") {
        for precision in Precision::ALL {
            if let Some(matmul) = kernels::by_name(name, precision) {
                products(matmul.as_ref());
                forward(matmul.as_ref());
            }
        }
    }
}
