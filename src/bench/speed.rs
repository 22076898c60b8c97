//! Speed of a loaded model, and what it could be at the peak.

use std::sync::Arc;

use ndarray::s;

use super::goes::seconds;
use super::measurement::{DECODE, PREFILL};
use super::{BenchError, Goes, Measurement, Peaks};
use crate::config::ModelConfig;
use crate::engine::{Limits, Plan, PlannedWave, ScoreRequest, Speed, Work, work, work_of_writing};
use crate::kernels::Precision;
use crate::model::{BLOCK, BlockTable, CacheUse, Kept, KvCache, Network, Wave, WaveSegment, unwatched};
use crate::weights::Dtype;

/// Goes of a prefill.
const PREFILLS: usize = 5;
/// Tokens before the one that is decoded.
const DECODE_CONTEXT: usize = 256;
/// From one token of a sequence to the next: no two are the same before the vocabulary is used up.
const STRIDE: usize = 7919;

/// One sequence of `tokens` tokens through the whole network, with the logits of its last row.
pub fn prefill(
    model: &Network,
    config: &ModelConfig,
    (precision, weights): (Precision, Dtype),
    tokens: usize,
    peaks: &Peaks,
) -> Result<Measurement, BenchError> {
    let waves = sequence(config, tokens)?;
    let wave = &waves.first().expect("a sequence takes a wave").wave;
    let seconds = seconds(PREFILLS, || {
        let hidden = model.forward(wave, Kept::All, &mut unwatched)?;
        std::hint::black_box(model.logits(hidden.slice(s![-1.., ..])));
        Ok::<(), BenchError>(())
    })?;
    let least = least_seconds(work(&waves, config), (precision, weights), peaks);
    let rates = Goes::rates(tokens as f64, &seconds);
    let what = (PREFILL, precision.name());
    let peak = tokens as f64 / least;
    Ok(Measurement::of_tokens(what, peaks.threads, tokens, rates, peak))
}

/// Floating-point operations of one sequence of `tokens` tokens, attention included.
///
/// # Errors
/// A sequence that cannot be planned.
pub fn operations(config: &ModelConfig, tokens: usize) -> Result<f64, BenchError> {
    let Work { linear, attention } = work(&sequence(config, tokens)?, config);
    Ok(linear + attention)
}

/// One more token for each of so many `sequences`, each after 256 others, `goes` times and at least once: all
/// layers, attention and logits.
///
/// What it could be at most is how often weights, keys and values can be read from memory, or how fast products are if that is
/// less.
pub fn decode(
    model: &Network,
    config: &ModelConfig,
    (precision, weights): (Precision, Dtype),
    sequences: usize,
    goes: usize,
    peaks: &Peaks,
) -> Result<Measurement, BenchError> {
    let mut bytes = 0;
    model.for_each_linear(|linear| bytes += linear.weight.bytes())?;
    let mut cache = KvCache::new(&model.shape, model.precision);
    let length = DECODE_CONTEXT + 1;
    let tables: Vec<BlockTable> =
        (0..sequences).map(|_| cache.branch(&BlockTable::default(), 0, length)).collect();
    // Each has keys and values of its own, as sequences without a common beginning have.
    let past: Vec<u32> = (0..DECODE_CONTEXT).map(|at| (at * STRIDE % config.vocab_size()) as u32).collect();
    let rows = |table| (0..DECODE_CONTEXT).map(move |at| (at, BlockTable::slot(table, at)));
    let mut keep: Vec<_> = tables.iter().flat_map(rows).collect();
    keep.sort_by_key(|&(_, slot)| slot);
    let places = CacheUse { keep, ..CacheUse::default() };
    model.forward_with(&mut cache, &places, &Wave::sequence(&past), Kept::Rows(&[]), &mut unwatched)?;
    let mut wave = Wave::default();
    for row in 0..sequences {
        wave.tokens.push((row * STRIDE % config.vocab_size()) as u32);
        let segment =
            WaveSegment { rows: row..row + 1, start: DECODE_CONTEXT, parent: None, rope_length: length };
        wave.segments.push(segment);
    }
    let mut keep: Vec<_> = (0..).zip(&tables).map(|(row, table)| (row, table.slot(DECODE_CONTEXT))).collect();
    keep.sort_by_key(|&(_, slot)| slot);
    let places = CacheUse { given: Vec::new(), keep, tables: tables.iter().collect() };
    let seconds = seconds(goes, || {
        let hidden = model.forward_with(&mut cache, &places, &wave, Kept::All, &mut unwatched)?;
        std::hint::black_box(model.logits(hidden.view()));
        Ok::<(), BenchError>(())
    })?;
    let of_a_token = KvCache::block_bytes(&model.shape, model.precision) as usize / BLOCK;
    let read = (bytes + sequences * length * of_a_token) as f64 / peaks.memory.max;
    let work = work_of_writing(sequences as u64, length as u64, config);
    let least = least_seconds(work, (precision, weights), peaks).max(read);
    let rates = Goes::rates(sequences as f64, &seconds);
    let what = (DECODE, precision.name());
    Ok(Measurement::of_tokens(what, peaks.threads, sequences, rates, sequences as f64 / least))
}

/// The one wave of a sequence of which the last row is read.
fn sequence(config: &ModelConfig, tokens: usize) -> Result<Vec<PlannedWave>, BenchError> {
    let vocabulary = config.vocab_size();
    let context: Arc<[u32]> = (0..tokens).map(|i| (i * STRIDE % vocabulary) as u32).collect();
    let request = ScoreRequest { context, continuation: vec![0] };
    Ok(Plan::new(&[request], Limits::new(config, Some(tokens), tokens))?.waves())
}

/// Seconds of this work at the peak. In less than exact precision attention multiplies numbers of bf16.
fn least_seconds(work: Work, (precision, weights): (Precision, Dtype), peaks: &Peaks) -> f64 {
    let of_attention = match precision {
        Precision::Exact => Precision::Exact,
        Precision::Bf16 | Precision::Int8 => Precision::Bf16,
    };
    // What attention multiplies is f32, whatever the weights are.
    let attention = peaks.products(of_attention, Dtype::F32);
    work.seconds(Speed { linear: peaks.products(precision, weights), attention })
}

#[cfg(test)]
mod tests {
    use super::super::BenchModel;
    use super::*;
    use crate::config::LlamaConfig;
    use crate::kernels::Isa;

    /// 2 layers of width 8, 2 query heads and 1 key-value head of 4, inner width 16, 10 tokens.
    fn tiny() -> LlamaConfig {
        LlamaConfig {
            vocab_size: 10,
            hidden_size: 8,
            intermediate_size: 16,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: 1,
            head_dim: 4,
            ..crate::config::LlamaConfig::SMOLLM2_135M
        }
    }

    fn peaks() -> Peaks {
        let goes = |peak| Goes { median: peak, min: peak, max: peak };
        Peaks {
            isa: Isa::Plain,
            threads: 2,
            multiply_add: goes(1e9),
            one_thread: goes(6e8),
            bf16: None,
            tiles: None,
            integer: goes(4e9),
            memory: goes(1e10),
        }
    }

    #[test]
    fn the_operations_of_a_sequence_by_hand() {
        let config = tiny().into();
        let waves = sequence(&config, 3).unwrap();
        assert_eq!((waves.len(), waves[0].wave.tokens.len()), (1, 3));
        let work = work(&waves, &config);
        // q, k, v, o, then gate, up, down; one row of the output; 1 + 2 + 3 positions seen.
        let block = 8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 16;
        assert_eq!(work.linear, f64::from(2 * (3 * 2 * block + 8 * 10)));
        assert_eq!(work.attention, f64::from(4 * 6 * 2 * 8));
        let least = |precision| least_seconds(work, (precision, Dtype::BF16), &peaks());
        assert_eq!(least(Precision::Exact), work.linear / 1e9 + work.attention / 1e9);
        assert_eq!(least(Precision::Int8), work.linear / 4e9 + work.attention / 1e9);
        let peaks = Peaks { bf16: Some(Goes { median: 2e9, min: 2e9, max: 2e9 }), ..peaks() };
        let least = least_seconds(work, (Precision::Int8, Dtype::BF16), &peaks);
        assert_eq!(least, work.linear / 4e9 + work.attention / 2e9);
    }

    #[test]
    fn both_ways_have_a_speed_in_every_precision() {
        let config = tiny();
        let subject = BenchModel::random("tiny", config.clone());
        for precision in Precision::ALL {
            let model = subject.load(precision, 5).unwrap();
            let prefill =
                prefill(&model, &subject.config, (precision, subject.weights()), 5, &peaks()).unwrap();
            let decode =
                decode(&model, &tiny().into(), (precision, subject.weights()), 3, 3, &peaks()).unwrap();
            for line in [prefill, decode] {
                assert!(line.value > 0.0 && line.value.is_finite(), "{line:?}");
                assert!(line.min <= line.value && line.value <= line.max, "{line:?}");
                assert_eq!((line.unit.as_str(), line.precision.as_str()), ("tokens/s", precision.name()));
                assert_eq!(line.fraction, line.peak.map(|peak| line.value / peak));
            }
        }
    }
}
