//! Planning the requests of a suite: `cargo bench --bench plan`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use zoo::engine::{Limits, Plan, ScoreRequest};

/// Questions with four single-letter choices after examples that all of them share.
fn requests(questions: u32) -> Vec<ScoreRequest> {
    let shared: Vec<u32> = (0..600).collect();
    let question = |number: u32| {
        let own = (0..80).map(|i| (number * 131 + i * 17) % 30_000);
        let context: Arc<[u32]> = shared.iter().copied().chain(own).collect();
        (0..4).map(move |letter| ScoreRequest { context: Arc::clone(&context), continuation: vec![letter] })
    };
    (0..questions).flat_map(question).collect()
}

fn plans(criterion: &mut Criterion) {
    let limits =
        Limits { max_length: 8192, vocab_size: 49_152, wave_tokens: 16_384, length_dependent_beyond: None };
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for questions in [100, 2000] {
        let requests = requests(questions);
        group.throughput(Throughput::Elements(requests.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(questions), |bencher| {
            bencher.iter(|| Plan::new(black_box(&requests), limits).expect("requests that fit").waves());
        });
    }
}

criterion_group!(benches, plans);
criterion_main!(benches);
