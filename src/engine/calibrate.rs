//! Speed at which this machine multiplies matrices of a model's shapes, measured in less than a second.

use std::time::{Duration, Instant};

use ndarray::Array2;
use rayon::prelude::*;

use super::cost::Speed;
use crate::config::ModelConfig;
use crate::kernels::{MatMul, MatrixLayout, Store, StoredMatrix, multiply, multiply_small};
use crate::weights::Dtype;

/// Tokens of a measured product.
const ROWS: usize = 128;
/// Columns and rows of a measured weight, at most: larger ones are no faster, and take time to make.
const WIDTH: usize = 4096;
/// How long each kind of product is measured.
const TIME: Duration = Duration::from_millis(250);
/// Keys of a measured product of attention.
const KEYS: usize = 512;

/// Measures products as wide as the model's, with weights of a type or, of blocks, with those that they are widened to, on all
/// threads of the pool.
pub fn calibrate(matmul: &dyn MatMul, config: &ModelConfig, weights: Dtype) -> Speed {
    let shape = config.shape();
    let (hidden, head) = (shape.hidden_size.min(WIDTH), shape.head_dim.min(WIDTH));
    let x = Array2::from_shape_vec((ROWS, hidden), numbers(ROWS * hidden)).expect("rows of the hidden size");
    let mut y = Array2::zeros((ROWS, hidden));
    let stored = if weights.is_narrowable() { weights } else { Dtype::F32 };
    let mut bytes = vec![0; stored.bytes_for(hidden * hidden).expect("numbers one by one")];
    stored.narrow(&numbers(hidden * hidden), &mut bytes).expect("a type that numbers are written in");
    let w = StoredMatrix::new(stored, hidden, hidden, bytes).expect("a square of numbers");
    let w = matmul.prepare(&w);
    let linear = speed(2.0 * ROWS as f64 * hidden as f64 * hidden as f64, || {
        multiply(w.as_ref(), x.view(), y.view_mut(), Store::Overwrite);
    });
    let (q, k) = (numbers(ROWS * head), numbers(head * KEYS));
    let mut scores: Vec<Vec<f32>> = vec![vec![0.0; ROWS * KEYS]; rayon::current_num_threads()];
    let each = 2.0 * ROWS as f64 * head as f64 * KEYS as f64;
    let attention = speed(each * scores.len() as f64, || {
        scores.par_iter_mut().for_each(|scores| {
            let (q, k) = ((&*q, MatrixLayout::packed(ROWS, head)), (&*k, MatrixLayout::packed(head, KEYS)));
            multiply_small(q, k, (scores, MatrixLayout::packed(ROWS, KEYS)), false);
        });
    });
    Speed { linear, attention }
}

/// Operations a second of work of so many operations: the best of several goes, since what disturbs only slows.
fn speed(operations: f64, mut work: impl FnMut()) -> f64 {
    let measured = || {
        work();
        operations
    };
    rates(TIME, measured).into_iter().fold(0.0, f64::max)
}

/// Amounts a second of work that returns how much it did, again and again for `time`, after a first go that warms up.
pub(crate) fn rates(time: Duration, mut work: impl FnMut() -> f64) -> Vec<f64> {
    let begun = Instant::now();
    work();
    let mut all = Vec::new();
    while all.is_empty() || begun.elapsed() <= time {
        let start = Instant::now();
        let amount = work();
        // Clocks have a resolution; nothing takes no time.
        all.push(amount / start.elapsed().as_secs_f64().max(1e-9));
    }
    all
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 31 % 64) as f32 / 64.0 - 0.5).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Native, Precision};

    #[test]
    fn a_speed_is_a_number_above_zero() {
        let config =
            crate::config::LlamaConfig { hidden_size: 64, ..crate::config::LlamaConfig::SMOLLM2_135M };
        let config = config.into();
        for dtype in [Dtype::F32, Dtype::BF16, Dtype::Q4_0] {
            let Speed { linear, attention } = calibrate(&Native::new(Precision::Exact), &config, dtype);
            assert!(linear > 1e3 && linear.is_finite() && attention > 1e3 && attention.is_finite());
        }
    }
}
