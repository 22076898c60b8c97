//! How fast linear layers and a whole forward pass are: `cargo bench`.
//!
//! Prints the median of several runs. Compare numbers of one machine in one sitting only.

use std::time::Instant;

use ndarray::{Array1, Array2};
use zoo::kernels::{self, MatMul};
use zoo::model::{Layer, Linear, Llama, LlamaConfig, Network, RopeScaling, Wave};

const RUNS: usize = 7;

fn median_seconds(mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[RUNS / 2]
}

fn numbers(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5)
}

fn products(matmul: &dyn MatMul) {
    for (n, k) in [(576, 576), (1536, 576), (5632, 2048)] {
        for m in [1, 8, 64, 512, 2048] {
            let (x, w, mut y) = (numbers(m, k), numbers(n, k), Array2::zeros((m, n)));
            let seconds = median_seconds(|| matmul.linear(x.view(), w.view(), y.view_mut()));
            let gflops = 2.0 * (m * n * k) as f64 / seconds / 1e9;
            println!("{:>9}  {m:>5} x {n:>5} x {k:>5}  {gflops:>8.1} GFLOP/s", matmul.name());
        }
    }
}

/// SmolLM2-135M's layer shape with few layers.
fn model(layers: usize, matmul: Box<dyn MatMul>) -> Llama {
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
    let linear = |out, input| Linear { weight: numbers(out, input), bias: None };
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
    let layers = (0..layers).map(|_| layer()).collect();
    Llama { embedding: numbers(4096, 576), norm: Array1::ones(576), lm_head: None, config, layers, matmul }
}

fn forward(matmul: Box<dyn MatMul>) {
    const LAYERS: usize = 3;
    let name = matmul.name();
    let model = model(LAYERS, matmul);
    for tokens in [64, 512, 2048] {
        let ids: Vec<u32> = (0..tokens).map(|i| i * 37 % 4096).collect();
        let wave = Wave::sequence(&ids);
        let seconds = median_seconds(|| {
            model.forward(&wave, &mut || {});
        });
        let rate = f64::from(tokens) * LAYERS as f64 / 30.0 / seconds;
        println!("{name:>9}  {tokens:>5} tokens of one sequence  {rate:>8.0} tokens/s at 30 layers");
    }
}

fn main() {
    for name in kernels::names() {
        if let (Some(matmul), Some(again)) = (kernels::by_name(name), kernels::by_name(name)) {
            products(matmul.as_ref());
            forward(again);
        }
    }
}
