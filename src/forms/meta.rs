//! Meta's form of a LLaMA seen as a Hugging Face model: its names, and its row order of the query and key matrices.
//!
//! The shards are joined by [`MetaShards`]; here their tensors get other names, and the rows of q and k go from pairs
//! to halves (see `rows`), with the key and value heads of grouped-query attention counted by themselves.
//! Source: the `transformers` LLaMA conversion script.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::FormError;
use super::names::{Spelling, TensorRole};
use super::renamed::{NewName, Renamed};
use super::rows::has_heads;
use crate::base::fault::{Fault, FaultKind};
use crate::base::whole::{self, TooLarge};
use crate::config::LlamaConfig;
use crate::config::params::{self, PARAMS_FILE};
use crate::tokenizer::{ModelFile, TokenizerError, meta_model};
use crate::weights::{Dtype, MetaShards, TensorInfo, TensorSource, WeightsError};

#[cfg(test)]
mod tests;

/// Largest `params.json` that is read; real ones have 150 bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A folder of Meta's under Hugging Face's names.
#[derive(Debug)]
pub struct MetaAsHf {
    /// The tensors under Hugging Face's names, in its order of rows.
    pub tensors: Renamed<MetaShards>,
    /// Shape and constants by `params.json`.
    pub config: LlamaConfig,
    /// `params.json`.
    pub config_path: PathBuf,
    /// The type of the weights.
    dtype: Dtype,
}

impl MetaAsHf {
    /// Whether a folder holds Meta's form: a first shard, or `params.json` without one.
    pub fn is_in(folder: &Path) -> bool {
        MetaShards::is_in(folder) || folder.join(PARAMS_FILE).is_file()
    }

    /// Opens a folder with `params.json` and `consolidated.NN.pth`; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Fault`]: `MissingData` for a file that is not there, `InconsistentHeader` if `params.json`
    /// contradicts the tensors or they each other; [`FormError::Config`] for a value that no model has;
    /// [`FormError::Tokenizer`] for a `tokenizer.model` that cannot be read.
    pub fn open(folder: &Path) -> Result<Self, FormError> {
        let config_path = folder.join(PARAMS_FILE);
        // What no model has, and what is not read here, is said before what is missing.
        let bytes = read_params(&config_path);
        let model = meta_model(folder)?;
        let tiktoken =
            model.map(|(_, bytes)| ModelFile { place: "tokenizer.model", bytes: &bytes }.is_tiktoken());
        let parameters =
            |bytes: &[u8], rows| params::read(bytes, rows, tiktoken, &config_path.display().to_string());
        if let Ok(bytes) = &bytes {
            parameters(bytes, 1)?;
        }
        let shards = MetaShards::open(folder)?;
        let bytes = bytes?;
        let rows = shards.info("tok_embeddings.weight").and_then(|info| info.shape.first().copied());
        let Some(rows) = rows else {
            return Err(missing(&shards, "tok_embeddings.weight").into());
        };
        let config = parameters(&bytes, rows)?;
        let dtype = check(&config, &shards)?;
        let fault = |info: &TensorInfo, expected: String, found: String| {
            let fault = Fault::new(folder, FaultKind::InconsistentHeader, expected, found);
            WeightsError::from(fault.tensor(&info.name))
        };
        let tensors = Renamed::with_names(shards, |info| {
            let part = TensorRole::parse(&info.name, Spelling::Meta).filter(|part| match part {
                TensorRole::Layer { layer, .. } => *layer < config.num_hidden_layers,
                _ => true,
            });
            let Some(part) = part else {
                let expected = format!("a tensor of one of {} layers", config.num_hidden_layers);
                return Err(fault(info, expected, "another one".to_owned()));
            };
            let heads = part.heads(config.num_attention_heads, config.num_key_value_heads);
            if let Some(heads) = heads.filter(|&heads| !has_heads(&info.shape, heads)) {
                let expected = format!("a matrix of {heads} heads with an even number of rows each");
                return Err(fault(info, expected, format!("shape {:?}", info.shape)));
            }
            let name = part.name(Spelling::Hf).expect("what Meta has, Hugging Face has");
            Ok(Some(NewName { name, heads }))
        })?;
        Ok(MetaAsHf { tensors, config, config_path, dtype })
    }

    /// What a `config.json` of the model says beside its shape.
    pub(super) fn beside_shape(&self) -> Map<String, Value> {
        let dtype = self.dtype.torch_name().unwrap_or("float16");
        let more = json!({"initializer_range": 0.02, "torch_dtype": dtype, "use_cache": true});
        let Value::Object(mut more) = more else { unreachable!("an object was written") };
        // What is wrong with a damaged tokenizer is said where it is read.
        let (bos, ends) = self.special_ids().unwrap_or_default();
        more.extend(bos.map(|bos| ("bos_token_id".to_owned(), json!(bos))));
        match ends[..] {
            [] => {}
            [eos] => drop(more.insert("eos_token_id".to_owned(), json!(eos))),
            _ => drop(more.insert("eos_token_id".to_owned(), json!(ends))),
        }
        more
    }

    /// What texts begin with and where the model stops writing: by its tokenizer, else by its generation.
    fn special_ids(&self) -> Result<(Option<u32>, Vec<u32>), TokenizerError> {
        let folder = self.config_path.parent().expect("a file in a folder");
        match meta_model(folder)? {
            Some((file, bytes)) => {
                ModelFile { place: &file.display().to_string(), bytes: &bytes }.begin_and_ends()
            }
            None => {
                let (bos, ends) = params::special_ids(&self.config);
                Ok((Some(bos), ends))
            }
        }
    }
}

/// The bytes of `params.json`.
fn read_params(path: &Path) -> Result<Vec<u8>, WeightsError> {
    if !path.is_file() {
        let folder = path.parent().expect("a file in a folder");
        return Err(Fault::new(folder, FaultKind::MissingData, PARAMS_FILE, "no such file")
            .advice("fetch it from the release of the weights; it is a small file")
            .into());
    }
    whole::read(path, MAX_BYTES).map_err(|error| match TooLarge::of(&error) {
        Some(TooLarge { bytes, limit }) => {
            let expected = format!("at most {limit} bytes");
            Fault::new(path, FaultKind::LimitExceeded, expected, bytes.to_string()).into()
        }
        None => WeightsError::io(path, "read", error),
    })
}

fn missing(shards: &MetaShards, name: &str) -> WeightsError {
    let expected = "a tensor that every LLaMA has";
    Fault::new(shards.path(), FaultKind::MissingData, expected, "none of the name").tensor(name).into()
}

/// Compares the parameters with the shapes of the embedding and of the MLPs, and returns the type of the weights.
fn check(config: &LlamaConfig, shards: &MetaShards) -> Result<Dtype, WeightsError> {
    let shape_of = |name: &str| match shards.info(name) {
        Some(TensorInfo { shape, dtype, .. }) => match shape.as_slice() {
            &[rows, columns] => Ok((rows, columns, *dtype)),
            _ => Err(missing(shards, name)),
        },
        None => Err(missing(shards, name)),
    };
    let wrong = |name: &str, field: &str, expected: String, found: (usize, usize)| {
        let found = format!("shape [{}, {}]", found.0, found.1);
        Fault::new(shards.path(), FaultKind::InconsistentHeader, expected, found)
            .tensor(name)
            .at(field)
            .advice("fetch params.json and the weights from one release")
            .into()
    };
    let (rows, columns, dtype) = shape_of("tok_embeddings.weight")?;
    if columns != config.hidden_size {
        let expected = format!("{} columns, the model's width by params.json", config.hidden_size);
        return Err(wrong("tok_embeddings.weight", "dim", expected, (rows, columns)));
    }
    if config.vocab_size != rows {
        let expected = format!("{} rows, the vocabulary by params.json", config.vocab_size);
        return Err(wrong("tok_embeddings.weight", "vocab_size", expected, (rows, columns)));
    }
    for layer in 0..config.num_hidden_layers {
        let name = format!("layers.{layer}.feed_forward.w1.weight");
        let (rows, columns, _) = shape_of(&name)?;
        if (rows, columns) != (config.intermediate_size, config.hidden_size) {
            let expected = format!(
                "shape [{}, {}] by dim, multiple_of and ffn_dim_multiplier of params.json",
                config.intermediate_size, config.hidden_size
            );
            return Err(wrong(&name, "dim", expected, (rows, columns)));
        }
    }
    Ok(dtype)
}
