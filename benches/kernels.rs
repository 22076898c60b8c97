//! Products of linear layers in every precision, at the widths of a small and of a middle model: `cargo bench --bench kernels`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use zoo::kernels::{MatMul, Native, Precision, Store, StoredMatrix, multiply};
use zoo::weights::Dtype;

/// `[out, in]` of SmolLM2-135M's and TinyLlama-1.1B's layers.
const SHAPES: [(usize, usize); 4] = [(576, 576), (1536, 576), (5632, 2048), (2048, 5632)];

fn weight(rows: usize, columns: usize) -> StoredMatrix<'static> {
    let bytes = (0..rows * columns).flat_map(|i| (0x3c00u16 + (i % 509) as u16).to_le_bytes());
    StoredMatrix::new(Dtype::BF16, rows, columns, bytes.collect::<Vec<u8>>()).expect("whole rows")
}

fn products(criterion: &mut Criterion) {
    for precision in Precision::ALL {
        let matmul = Native::new(precision);
        let mut group = criterion.benchmark_group(format!("product/{precision}"));
        group.sample_size(10);
        for (out, input) in SHAPES {
            let w = matmul.prepare(&weight(out, input));
            for tokens in [1, 64, 512] {
                let x = Array2::from_shape_fn((tokens, input), |(i, j)| {
                    ((i * 31 + j * 17) % 101) as f32 / 101.0 - 0.5
                });
                let mut y = Array2::zeros((tokens, out));
                // Criterion shows elements a second: multiply-adds.
                group.throughput(Throughput::Elements((tokens * out * input) as u64));
                group.bench_function(BenchmarkId::new(format!("{out}x{input}"), tokens), |bencher| {
                    bencher
                        .iter(|| multiply(w.as_ref(), black_box(x.view()), y.view_mut(), Store::Overwrite));
                });
            }
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
