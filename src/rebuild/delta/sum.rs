//! The sum of all elements of a model, the one check that Alpaca's authors published.
//!
//! It is a weak check: the published figure was summed in f32, where the order matters, and it contains the buffers
//! of rotary frequencies that `transformers` kept in checkpoints in 2023. So it is made in f64, with the buffers
//! computed from the configuration, and a difference is a warning with both figures, never a refusal. The tensors are
//! summed while they are written; only those that were not asked for are read afterwards.
//! Source: Stanford Alpaca `weight_diff.py`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::rebuild::arithmetic::{Operand, sum};
use crate::weights::{Access, TensorInfo, TensorSource, TensorView, WeightsError, is_buffer};

/// Layers of the largest model whose buffers are counted.
const MAX_LAYERS: u64 = 1 << 12;
/// The largest head whose buffers are counted.
const MAX_HEAD_DIM: u64 = 1 << 16;

/// Sums of the tensors that have been asked for, by name.
type Sums = Arc<Mutex<BTreeMap<String, f64>>>;

/// A source that notes the sum of each tensor it hands out.
pub struct Summed {
    inner: Box<dyn TensorSource>,
    sums: Sums,
}

/// The published sum, and what is known of the model's own.
#[derive(Debug, Clone)]
pub struct SumCheck {
    expected: f64,
    atol: f64,
    buffers: f64,
    sums: Sums,
}

/// A model's sum beside the published one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SumVerdict {
    /// The sum that the authors published.
    pub expected: f64,
    /// The published tolerance.
    pub atol: f64,
    /// The sum over all tensors without rotary buffers.
    pub without_buffers: f64,
    /// The same with the buffers that checkpoints of 2023 had.
    pub with_buffers: f64,
}

impl Summed {
    /// Wraps `inner`, whose sum should be `expected` within `atol`. `config` is the model's `config.json`.
    pub fn new(
        inner: Box<dyn TensorSource>,
        expected: f64,
        atol: f64,
        config: &Map<String, Value>,
    ) -> (Summed, SumCheck) {
        let sums = Sums::default();
        let check = SumCheck { expected, atol, buffers: buffer_sum(config), sums: Arc::clone(&sums) };
        (Summed { inner, sums }, check)
    }
}

impl TensorSource for Summed {
    fn tensors(&self) -> &[TensorInfo] {
        self.inner.tensors()
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let view = self.inner.tensor(name)?;
        let known = self.sums.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name);
        if !known && !is_buffer(view.info) {
            let sum = sum_of(&view)?;
            self.sums.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), sum);
        }
        Ok(view)
    }

    fn files(&self) -> Vec<PathBuf> {
        self.inner.files()
    }

    fn hint(&self, name: &str, access: Access) {
        self.inner.hint(name, access);
    }
}

impl SumCheck {
    /// Compares, once all tensors were asked for; `written` is the result, for those that a resumed build did not
    /// ask for.
    ///
    /// # Errors
    /// As reading and widening the missing tensors.
    pub fn verdict(&self, written: &dyn TensorSource) -> Result<SumVerdict, WeightsError> {
        let known = self.sums.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut total = 0.0;
        for info in written.tensors().iter().filter(|info| !is_buffer(info)) {
            total += match known.get(&info.name) {
                Some(sum) => *sum,
                None => {
                    let sum = sum_of(&written.tensor(&info.name)?)?;
                    written.hint(&info.name, Access::Done);
                    sum
                }
            };
        }
        Ok(SumVerdict {
            expected: self.expected,
            atol: self.atol,
            without_buffers: total,
            with_buffers: total + self.buffers,
        })
    }
}

/// How many tolerances a sum can be off by its order alone: the published one was summed in f32, whose rounding over
/// billions of elements is far larger than the tolerance that the authors' own order meets.
const ROUNDING: f64 = 1000.0;

impl SumVerdict {
    /// Whether the sum is the published one, with the buffers or without.
    pub fn agrees(&self) -> bool {
        self.distance() <= self.atol
    }

    /// Whether the sum is so far off that no order of summing explains it: this is another model.
    pub fn is_another_model(&self) -> bool {
        let distance = self.distance();
        distance.is_nan() || distance > self.atol * ROUNDING
    }

    /// To the nearer of the two sums; not a number if a weight is none.
    fn distance(&self) -> f64 {
        let [with, without] =
            [self.with_buffers, self.without_buffers].map(|sum| (sum - self.expected).abs());
        if with < without { with } else { without }
    }
}

impl fmt::Display for SumVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SumVerdict { expected, atol, without_buffers, with_buffers } = self;
        if self.agrees() {
            return write!(
                f,
                "the sum of all elements is the published one: {with_buffers:.4} with the rotary buffers of 2023, \
                 {without_buffers:.4} without, published {expected} ± {atol}"
            );
        }
        write!(
            f,
            "the sum of all elements is not the published one: expected {expected} ± {atol}, found \
             {with_buffers:.4} with the rotary buffers of 2023 and {without_buffers:.4} without; a small difference \
             can come from the order of a sum in f32 or from the base's conversion, a large one means another base: \
             compare the base's digests"
        )
    }
}

fn sum_of(view: &TensorView<'_>) -> Result<f64, WeightsError> {
    sum(Operand::of(view), view.info.elements())
}

/// The sum of the rotary frequencies of all layers; 0 if the configuration does not say enough.
fn buffer_sum(config: &Map<String, Value>) -> f64 {
    let number = |key: &str| config.get(key).and_then(Value::as_u64);
    let (Some(hidden), Some(heads), Some(layers)) =
        (number("hidden_size"), number("num_attention_heads"), number("num_hidden_layers"))
    else {
        return 0.0;
    };
    let head_dim = number("head_dim").or_else(|| hidden.checked_div(heads)).unwrap_or(0);
    if layers > MAX_LAYERS || head_dim > MAX_HEAD_DIM {
        return 0.0;
    }
    let theta = config.get("rope_theta").and_then(Value::as_f64).unwrap_or(10_000.0);
    let frequency = |i: u64| 1.0 / theta.powf(i as f64 / head_dim as f64);
    layers as f64 * (0..head_dim).step_by(2).map(frequency).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::sample::MemorySource;
    use crate::weights::Dtype;
    use serde_json::json;

    fn config() -> Map<String, Value> {
        let config = json!({"hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 5});
        config.as_object().unwrap().clone()
    }

    #[test]
    fn buffers_are_those_of_the_published_recipe() {
        assert!((buffer_sum(&config()) - 5.555).abs() < 1e-9);
        let llama = json!({"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32});
        assert!((buffer_sum(llama.as_object().unwrap()) - 238.72).abs() < 0.01);
        assert_eq!(buffer_sum(&Map::new()), 0.0);
    }

    #[test]
    fn tensors_are_summed_as_they_pass_and_the_others_read_from_the_result() {
        let model = || {
            Box::new(MemorySource::new(vec![
                ("a", Dtype::F16, vec![2], vec![1.0, 2.0]),
                ("b", Dtype::F32, vec![1], vec![0.5]),
                ("x.rotary_emb.inv_freq", Dtype::F32, vec![1], vec![100.0]),
            ]))
        };
        let (summed, check) = Summed::new(model(), 9.055, 0.01, &config());
        summed.tensor("a").unwrap();
        let verdict = check.verdict(model().as_ref()).unwrap();
        assert!(verdict.agrees() && (verdict.without_buffers - 3.5).abs() < 1e-12, "{verdict}");
        let (_, check) = Summed::new(model(), 3.0, 0.01, &config());
        let verdict = check.verdict(model().as_ref()).unwrap();
        assert!(!verdict.agrees() && verdict.to_string().contains("9.0550"), "{verdict}");
    }
}
