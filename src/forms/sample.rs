//! Small models in memory, for the tests of this room.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::forms::HfModel;
use crate::weights::{Dtype, TensorInfo, TensorSource, TensorView, WeightsError};

/// Tensors in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemorySource {
    infos: Vec<TensorInfo>,
    data: Vec<Vec<u8>>,
}

impl MemorySource {
    /// Tensors of `(name, type, shape, values)`.
    pub fn new<N: Into<String>>(tensors: Vec<(N, Dtype, Vec<usize>, Vec<f32>)>) -> MemorySource {
        let mut all: Vec<(TensorInfo, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, dtype, shape, values)| {
                let mut bytes = vec![0; dtype.bytes_for(values.len()).unwrap()];
                dtype.narrow(&values, &mut bytes).unwrap();
                assert_eq!(shape.iter().product::<usize>(), values.len());
                (TensorInfo { name: name.into(), dtype, shape }, bytes)
            })
            .collect();
        all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let (infos, data) = all.into_iter().unzip();
        MemorySource { infos, data }
    }

    /// The same with one tensor more, given by its bytes.
    pub fn with_bytes(mut self, name: &str, dtype: Dtype, shape: &[usize], data: Vec<u8>) -> MemorySource {
        let info = TensorInfo { name: name.to_owned(), dtype, shape: shape.to_vec() };
        assert_eq!(dtype.bytes_for(info.elements()), Some(data.len()), "{name}");
        let at = self.infos.partition_point(|other| other.name.as_str() < name);
        self.infos.insert(at, info);
        self.data.insert(at, data);
        self
    }

    /// The model of these tensors, with the configuration of [`tiny`].
    pub fn model(self, path: &str) -> HfModel {
        HfModel {
            path: PathBuf::from(path),
            tensors: Box::new(self),
            config: config(),
            config_name: format!("{path}/config.json"),
            sidecars: vec![],
        }
    }

    /// The same tensors, each value changed by `f(name, index, value)`.
    pub fn map(&self, f: impl Fn(&str, usize, f32) -> f32) -> MemorySource {
        let values = |info: &TensorInfo| {
            let values = self.tensor(&info.name).unwrap().to_f32().unwrap();
            values.into_iter().enumerate().map(|(i, x)| f(&info.name, i, x)).collect()
        };
        MemorySource::new(
            self.infos.iter().map(|i| (i.name.clone(), i.dtype, i.shape.clone(), values(i))).collect(),
        )
    }

    /// The same with one tensor more, or another in its place.
    pub fn with(&self, name: &str, shape: &[usize], values: Vec<f32>) -> MemorySource {
        let mut tensors: Vec<_> = self.without(name).tensor_list();
        tensors.push((name.to_owned(), Dtype::F16, shape.to_vec(), values));
        MemorySource::new(tensors)
    }

    /// The same without one tensor.
    pub fn without(&self, name: &str) -> MemorySource {
        MemorySource::new(self.tensor_list().into_iter().filter(|(n, ..)| n != name).collect())
    }

    fn tensor_list(&self) -> Vec<(String, Dtype, Vec<usize>, Vec<f32>)> {
        let values = |info: &TensorInfo| self.tensor(&info.name).unwrap().to_f32().unwrap();
        self.infos.iter().map(|i| (i.name.clone(), i.dtype, i.shape.clone(), values(i))).collect()
    }
}

impl TensorSource for MemorySource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        match self.infos.iter().position(|info| info.name == name) {
            Some(i) => Ok(TensorView { info: &self.infos[i], data: Cow::Borrowed(&self.data[i]) }),
            None => Err(WeightsError::MissingTensor { file: PathBuf::from("memory"), name: name.to_owned() }),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }
}

/// Rows of the vocabulary of [`tiny`].
pub(crate) const ROWS: usize = 6;
/// Hidden size of [`tiny`].
pub(crate) const HIDDEN: usize = 4;

pub(crate) fn config() -> Map<String, Value> {
    let config = json!({
        "model_type": "llama", "hidden_size": HIDDEN, "num_attention_heads": 2, "num_hidden_layers": 2,
        "intermediate_size": 6, "vocab_size": ROWS, "torch_dtype": "float16"
    });
    config.as_object().unwrap().clone()
}

/// A LLaMA of two layers in f16 with plausible magnitudes; its values are multiples of 2^-8.
pub(crate) fn tiny() -> MemorySource {
    let mut state = 7u32;
    let mut value = |base: f32| {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        base + ((state >> 24) as f32 - 128.0) / 256.0
    };
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], base: f32| {
        let values = (0..shape.iter().product()).map(|_| value(base)).collect();
        tensors.push((name, Dtype::F16, shape.to_vec(), values));
    };
    add("model.embed_tokens.weight".into(), &[ROWS, HIDDEN], 0.0);
    add("lm_head.weight".into(), &[ROWS, HIDDEN], 0.0);
    add("model.norm.weight".into(), &[HIDDEN], 1.0);
    for layer in 0..2 {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(name(&format!("self_attn.{part}")), &[HIDDEN, HIDDEN], 0.0);
        }
        add(name("mlp.gate_proj"), &[6, HIDDEN], 0.0);
        add(name("mlp.up_proj"), &[6, HIDDEN], 0.0);
        add(name("mlp.down_proj"), &[HIDDEN, 6], 0.0);
        add(name("input_layernorm"), &[HIDDEN], 1.0);
        add(name("post_attention_layernorm"), &[HIDDEN], 1.0);
    }
    MemorySource::new(tensors)
}
