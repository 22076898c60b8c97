//! Attention over one sequence and over a tree of short segments: `cargo bench --bench attention`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use zoo::kernels::Precision;
use zoo::model::Wave;
use zoo::model::attention::{Heads, attention};

/// SmolLM2-135M's heads.
const HEADS: Heads = Heads { queries: 9, keys: 3, head_dim: 64, slopes: None, precision: Precision::Exact };

/// A question of `length` tokens `count` times, after a common prefix.
fn questions(prefix: usize, length: usize, count: usize) -> Wave {
    let mut wave = Wave::default();
    let root = wave.push(&vec![0; prefix], None, 0);
    for _ in 0..count {
        wave.push(&vec![0; length], Some(root), 0);
    }
    wave
}

fn waves(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    group.sample_size(10);
    for (name, wave) in [
        ("sequence of 512", Wave::sequence(&[0; 512])),
        ("sequence of 2048", Wave::sequence(&[0; 2048])),
        ("30 questions of 70 after 600", questions(600, 70, 30)),
        ("400 endings of 8 after 100", questions(100, 8, 400)),
    ] {
        let tokens = wave.tokens.len();
        let values = |columns: usize| {
            Array2::from_shape_fn((tokens, columns), |(i, j)| ((i * 7 + j) % 19) as f32 / 19.0)
        };
        let (mut q, k, v) = (values(576), values(192), values(192));
        group.throughput(Throughput::Elements(tokens as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| attention(HEADS, black_box(&wave), None, q.view_mut(), k.view(), v.view()));
        });
    }
}

criterion_group!(benches, waves);
criterion_main!(benches);
