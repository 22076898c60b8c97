//! Meta's form of a LLaMA seen as a Hugging Face model: its names, and its row order of the query and key matrices.
//!
//! The shards are joined by [`MetaShards`]; here their tensors get other names, and the rows of q and k go from pairs
//! to halves (see `rows`), with the key and value heads of grouped-query attention counted by themselves.
//! Source: the `transformers` LLaMA conversion script.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::forms::find;
use crate::forms::rows::{halves_from_pairs, has_heads};
use crate::weights::{
    Access, Dtype, Fault, FaultKind, MetaShards, TensorInfo, TensorSource, TensorView, WeightsError,
};
pub use params::config_from_params;
use params::{MetaParams, PARAMS_FILE};

mod params;
#[cfg(test)]
mod tests;

/// The length of the context that readers take a `params.json` with this content to mean, which has no word for it.
pub(crate) fn context_of(params: &[u8]) -> Option<usize> {
    MetaParams::parse(Path::new(PARAMS_FILE), params).ok().map(|params| params.context())
}

/// The tensors of a folder of Meta's under their Hugging Face names.
#[derive(Debug)]
pub struct MetaAsHf {
    shards: MetaShards,
    config: Map<String, Value>,
    config_path: PathBuf,
    /// HF names, sorted.
    infos: Vec<TensorInfo>,
    /// Meta's name of each of `infos`, and the number of heads whose rows are reordered.
    origins: Vec<(String, Option<usize>)>,
}

impl MetaAsHf {
    /// Whether a folder holds Meta's form: a first shard, or `params.json` without one.
    pub fn is_in(folder: &Path) -> bool {
        MetaShards::is_in(folder) || folder.join(PARAMS_FILE).is_file()
    }

    /// Opens a folder with `params.json` and `consolidated.NN.pth`; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Fault`]: `MissingData` for a file that is not there, `InvalidConfig` for a value of
    /// `params.json` that no model has, `InconsistentHeader` if it contradicts the tensors or they each other.
    pub fn open(folder: &Path) -> Result<Self, WeightsError> {
        let params = MetaParams::read(folder)?;
        let shards = MetaShards::open(folder)?;
        let (vocabulary, dtype) = check(&params, &shards)?;
        let mut tensors = Vec::with_capacity(shards.tensors().len());
        for info in shards.tensors() {
            let Some((name, heads)) = hf_name(&info.name, &params) else {
                let expected = format!("a tensor of one of {} layers", params.n_layers);
                return Err(Fault::new(folder, FaultKind::InconsistentHeader, expected, "another one")
                    .tensor(&info.name)
                    .into());
            };
            if let Some(heads) = heads
                && !has_heads(&info.shape, heads)
            {
                let expected = format!("a matrix of {heads} heads with an even number of rows each");
                let found = format!("shape {:?}", info.shape);
                return Err(Fault::new(folder, FaultKind::InconsistentHeader, expected, found)
                    .tensor(&info.name)
                    .into());
            }
            let renamed = TensorInfo { name, dtype: info.dtype, shape: info.shape.clone() };
            tensors.push((renamed, (info.name.clone(), heads)));
        }
        // The names stay distinct: `hf_name` is injective, and Meta's are.
        tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let (infos, origins) = tensors.into_iter().unzip();
        let config = params.config(vocabulary, dtype);
        Ok(MetaAsHf { shards, config, config_path: params.path, infos, origins })
    }

    /// The content of `config.json` by `params.json` and the tensors.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// `params.json`.
    pub fn config_path(&self) -> &Path {
        &self.config_path
    }

    /// The shards under Meta's names.
    pub fn shards(&self) -> &MetaShards {
        &self.shards
    }

    fn origin(&self, name: &str) -> Option<(&TensorInfo, &(String, Option<usize>))> {
        let index = self.infos.binary_search_by(|info| info.name.as_str().cmp(name)).ok()?;
        self.infos.get(index).zip(self.origins.get(index))
    }
}

impl TensorSource for MetaAsHf {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let Some((info, (origin, heads))) = self.origin(name) else {
            let file = self.shards.path().to_owned();
            return Err(WeightsError::MissingTensor { file, name: name.to_owned() });
        };
        let data = self.shards.tensor(origin)?.data;
        let data = match *heads {
            None => data,
            Some(heads) => {
                let rows = info.shape.first().copied().unwrap_or(1);
                Cow::Owned(halves_from_pairs(&data, rows, heads))
            }
        };
        Ok(TensorView { info, data })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.shards.files()
    }

    fn hint(&self, name: &str, access: Access) {
        if let Some((_, (origin, _))) = self.origin(name) {
            self.shards.hint(origin, access);
        }
    }
}

/// The Hugging Face name of Meta's tensor, and the heads whose rows are reordered; `None` if a model of these
/// parameters has none such.
fn hf_name(name: &str, params: &MetaParams) -> Option<(String, Option<usize>)> {
    match name {
        "tok_embeddings.weight" => return Some(("model.embed_tokens.weight".into(), None)),
        "norm.weight" => return Some(("model.norm.weight".into(), None)),
        "output.weight" => return Some(("lm_head.weight".into(), None)),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("layers.")?.split_once('.')?;
    let number: usize = layer.parse().ok()?;
    // "00" and "+1" would give the name of another layer.
    if number.to_string() != layer || number >= params.n_layers {
        return None;
    }
    let (part, heads) = match part {
        "attention.wq.weight" => ("self_attn.q_proj", Some(params.n_heads)),
        "attention.wk.weight" => ("self_attn.k_proj", Some(params.n_kv_heads)),
        "attention.wv.weight" => ("self_attn.v_proj", None),
        "attention.wo.weight" => ("self_attn.o_proj", None),
        "feed_forward.w1.weight" => ("mlp.gate_proj", None),
        "feed_forward.w2.weight" => ("mlp.down_proj", None),
        "feed_forward.w3.weight" => ("mlp.up_proj", None),
        "attention_norm.weight" => ("input_layernorm", None),
        "ffn_norm.weight" => ("post_attention_layernorm", None),
        _ => return None,
    };
    Some((format!("model.layers.{number}.{part}.weight"), heads))
}

/// Compares the parameters with the shapes of the first layer and the embedding, and returns the rows of the
/// embedding and the type of the weights.
fn check(params: &MetaParams, shards: &MetaShards) -> Result<(usize, Dtype), Box<Fault>> {
    let missing = |name: &str| {
        Fault::new(shards.path(), FaultKind::MissingData, "a tensor that every LLaMA has", "none of the name")
            .tensor(name)
    };
    let shape_of = |name: &str| match find(shards, name) {
        Some(TensorInfo { shape, dtype, .. }) => match shape.as_slice() {
            &[rows, columns] => Ok((rows, columns, *dtype)),
            _ => Err(missing(name)),
        },
        None => Err(missing(name)),
    };
    let wrong = |name: &str, field: &str, expected: String, found: (usize, usize)| {
        let found = format!("shape [{}, {}]", found.0, found.1);
        Fault::new(shards.path(), FaultKind::InconsistentHeader, expected, found)
            .tensor(name)
            .at(field)
            .advice("fetch params.json and the weights from one release")
    };
    let (rows, columns, dtype) = shape_of("tok_embeddings.weight")?;
    if columns != params.dim {
        let expected = format!("{} columns, the model's width by params.json", params.dim);
        return Err(wrong("tok_embeddings.weight", "dim", expected, (rows, columns)));
    }
    if let Some(vocabulary) = params.vocab_size
        && vocabulary != rows
    {
        let expected = format!("{vocabulary} rows, the vocabulary by params.json");
        return Err(wrong("tok_embeddings.weight", "vocab_size", expected, (rows, columns)));
    }
    for layer in 0..params.n_layers {
        let name = format!("layers.{layer}.feed_forward.w1.weight");
        let (rows, columns, _) = shape_of(&name)?;
        if (rows, columns) != (params.intermediate_size(), params.dim) {
            let expected = format!(
                "shape [{}, {}] by dim, multiple_of and ffn_dim_multiplier of params.json",
                params.intermediate_size(),
                params.dim
            );
            return Err(wrong(&name, "dim", expected, (rows, columns)));
        }
    }
    Ok((rows, dtype))
}
