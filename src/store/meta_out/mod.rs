//! A Hugging Face model in Meta's form: `consolidated.NN.pth`, `params.json`, `checklist.chk`, `tokenizer.model`.
//!
//! Each shard holds a slice of every matrix, as model parallelism needs it. A tensor is read and hashed once and cut for
//! all shards, which are written side by side; `params.json` comes last, so an interrupted folder is not taken for a
//! model. Rows of q and k go back to neighbouring pairs, per key-value head where heads are grouped.
//! Source: the conversion script of `transformers`, read backwards; the axes of `llama/model.py` of Meta.

mod params;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::base::atomic::{AtomicFile, write_atomically};
use crate::base::digest::{Digest as _, Md5, hex, md5};
use crate::base::fault::Refusal;
use crate::base::progress::{self, Progress, Unit};
use crate::config::LlamaConfig;
use crate::config::params::{PARAMS_FILE, is_llama_3, read as read_params};
use crate::forms::{FormError, HfModel, Sidecar};
use crate::store::{TensorDigest, llama};
use crate::tokenizer::ModelFile;
use crate::weights::torch::TorchWriter;
use crate::weights::{Dtype, TensorInfo, TensorView, in_turn, is_buffer};
use slices::{ShardPart, counterpart};

/// Most shards: as many files are open at once.
const MAX_SHARDS: usize = 64;
/// Meta's name of the matrix whose rows make the logits.
const OUTPUT: &str = "output.weight";

/// Shards of the released sizes by width and layers: 13B, Code Llama's 34B, 33B, 65B and 70B. The others have one.
/// Source: the tables of model-parallel values of Meta's `llama` and `codellama` repositories.
const RELEASED: [(usize, usize, usize); 4] = [(5120, 40, 2), (6656, 60, 4), (8192, 48, 4), (8192, 80, 8)];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaReport {
    /// File names in the folder.
    pub files: Vec<String>,
    /// Digests of the tensors under Hugging Face's names and in its row order, as a reader gives them back.
    pub tensors: Vec<TensorDigest>,
    /// What a user should know: what the form could not say.
    pub notes: Vec<String>,
}

/// A model whose way into Meta's form is known; nothing of its tensors is read yet.
pub struct MetaPlan<'a> {
    model: &'a HfModel,
    shards: usize,
    tensors: Vec<MetaTensor>,
    tokenizer: Option<Vec<u8>>,
    params: Vec<u8>,
    notes: Vec<String>,
}

impl<'a> MetaPlan<'a> {
    /// Plans `model` as `shards` files, by default as many as Meta's release of its size has. Element types stay as
    /// they are.
    ///
    /// # Errors
    /// [`FormError::Refused`] for a model that is no LLaMA, has biases or lacks tensors, has a rotary scaling that
    /// Meta's code does not know, or cannot be cut into so many shards; [`FormError::Tokenizer`] for a damaged
    /// `tokenizer.model`; [`FormError::Io`] if that cannot be read.
    pub fn new(model: &'a HfModel, shards: Option<usize>) -> Result<Self, FormError> {
        let config = llama(model, "Meta's form")?;
        let shards = shards.unwrap_or_else(|| released_shards(&config));
        let tokenizer = model.sidecar("tokenizer.model").map(Sidecar::read).transpose()?;
        let file = tokenizer.as_ref().map(|bytes| ModelFile { place: "tokenizer.model", bytes });
        let tiktoken = file.map(ModelFile::is_tiktoken);
        let is_llama_3 = is_llama_3(config.rope_theta, config.vocab_size, tiktoken);
        let tensors = plan(model, &config, is_llama_3, shards)?;
        let mut notes = Vec::new();
        let counted = file.map(ModelFile::count).transpose()?;
        match counted {
            None => notes.push(
                "the model has no tokenizer.model: put the one of its family beside the weights".to_owned(),
            ),
            Some(counted) if counted != config.vocab_size => notes.push(format!(
                "tokenizer.model has {counted} pieces and the embedding {} rows: tokens that other files added are not \
                 known to Meta's code",
                config.vocab_size
            )),
            Some(_) => {}
        }
        let params = params::params(model, &config, is_llama_3, counted == Some(config.vocab_size))?;
        let params = serde_json::Value::Object(params).to_string().into_bytes();
        let context = read_params(&params, config.vocab_size, tiktoken, PARAMS_FILE)?.max_position_embeddings;
        if context != config.max_position_embeddings {
            notes.push(format!(
                "params.json has no length of context: readers will take {context} tokens, and the model has {}",
                config.max_position_embeddings
            ));
        }
        Ok(MetaPlan { model, shards, tensors, tokenizer, params, notes })
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.info.bytes() as u64).sum()
    }

    /// Writes the files into the folder `out`. One tensor at a time is in memory, and its slices.
    ///
    /// # Errors
    /// [`FormError::Weights`] for what the source reports, [`FormError::Io`].
    pub fn write(&self, out: &Path, progress: &dyn Progress) -> Result<MetaReport, FormError> {
        fs::create_dir_all(out).map_err(|e| FormError::io(out, "create", e))?;
        let (mut sums, tensors) = self.write_shards(out, progress)?;
        if let Some(bytes) = &self.tokenizer {
            write_small(out, "tokenizer.model", bytes)?;
        }
        sums.insert("params.json".to_owned(), md5(&self.params));
        let lines: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
        write_small(out, "checklist.chk", lines.as_bytes())?;
        write_small(out, "params.json", &self.params)?;

        let mut files: Vec<String> = sums.into_keys().collect();
        files.push("checklist.chk".to_owned());
        files.extend(self.tokenizer.as_ref().map(|_| "tokenizer.model".to_owned()));
        Ok(MetaReport { files, tensors, notes: self.notes.clone() })
    }

    /// Writes all `consolidated.NN.pth`; gives their MD5 sums by name, and the digests of the tensors.
    fn write_shards(
        &self,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<String, String>, Vec<TensorDigest>), FormError> {
        let shards = self.shards;
        let tensors = &self.tensors;
        let names: Vec<String> = (0..shards).map(|shard| format!("consolidated.{shard:02}.pth")).collect();
        let mut writers = Vec::with_capacity(shards);
        for (shard, name) in names.iter().enumerate() {
            let path = out.join(name);
            let file = AtomicFile::create(&path).map_err(|e| FormError::io(&path, "create", e))?;
            let infos = tensors.iter().map(|tensor| TensorInfo {
                name: tensor.name.clone(),
                dtype: tensor.info.dtype,
                shape: tensor.part.shape(&tensor.info.shape, shard, shards),
            });
            writers.push(TorchWriter::new(Summed { inner: file, sum: Md5::new() }, &path, infos.collect())?);
        }
        let mut digests = Vec::with_capacity(tensors.len());
        let write = |tensor: &MetaTensor, view: TensorView<'_>| {
            for (shard, writer) in writers.iter_mut().enumerate() {
                writer.write(&tensor.part.cut(&view, shard, shards))?;
            }
            digests.push(tensor.digest(&view.data));
            progress.advance(view.data.len() as u64);
            Ok::<_, FormError>(())
        };
        progress::during(progress, "writing Meta's shards", Some(self.bytes()), Unit::Bytes, || {
            in_turn(&self.model.tensors, tensors, |tensor| &tensor.origin, write)
        })?;
        let mut sums = BTreeMap::new();
        for (name, writer) in names.into_iter().zip(writers) {
            let Summed { inner, sum } = writer.finish()?;
            inner.commit().map_err(|e| FormError::io(&out.join(&name), "write", e))?;
            sums.insert(name, hex(sum.finalize()));
        }
        Ok((sums, digests))
    }
}

/// The number of files that Meta's release of a model of this size has.
fn released_shards(config: &LlamaConfig) -> usize {
    let size = (config.hidden_size, config.num_hidden_layers);
    RELEASED.iter().find(|(width, layers, _)| (*width, *layers) == size).map_or(1, |(_, _, shards)| *shards)
}

/// One tensor of the model and what becomes of it.
struct MetaTensor {
    origin: String,
    name: String,
    info: TensorInfo,
    part: ShardPart,
}

impl MetaTensor {
    /// What a reader gives back under Hugging Face's name. A tied head is a matrix of its own in Meta's form.
    fn digest(&self, data: &[u8]) -> TensorDigest {
        let name = if self.name == OUTPUT { "lm_head.weight" } else { &self.origin };
        TensorDigest::of(name, &self.info, data)
    }
}

/// The tensors in Meta's names, in the order of the model.
fn plan(
    model: &HfModel,
    config: &LlamaConfig,
    is_llama_3: bool,
    shards: usize,
) -> Result<Vec<MetaTensor>, Box<Refusal>> {
    let whole = model.path.display().to_string();
    if shards == 0 || shards > MAX_SHARDS {
        let expected = format!("1 to {MAX_SHARDS} shards");
        return Err(Refusal::new(whole, expected, shards.to_string(), "choose another number of shards"));
    }
    let mut tensors = Vec::new();
    for info in model.tensors.tensors() {
        if is_buffer(info) || (config.tie_word_embeddings && info.name == "lm_head.weight") {
            continue;
        }
        let place = || format!("{whole}: tensor {:?}", info.name);
        let Some((order, name, part)) = counterpart(&info.name, config, is_llama_3) else {
            let found = format!("shape {:?} under this name", info.shape);
            let advice = "Meta's code has no such weight: write this model as safetensors or GGUF";
            return Err(Refusal::new(place(), "a weight of Meta's LLaMA", found, advice));
        };
        if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let expected = "F32, F16 or BF16";
            let found = info.dtype.to_string();
            return Err(Refusal::new(place(), expected, found, "convert it with --dtype f16"));
        }
        part.check(&info.shape, shards).map_err(|expected| {
            let found = format!("shape {:?}", info.shape);
            Refusal::new(place(), expected, found, format!("choose another number of shards than {shards}"))
        })?;
        tensors.push((order, MetaTensor { origin: info.name.clone(), name, info: info.clone(), part }));
    }
    if config.tie_word_embeddings
        && let Some((_, embedding)) = tensors.iter().find(|(_, t)| t.name == "tok_embeddings.weight")
    {
        let name = OUTPUT.to_owned();
        let origin = embedding.origin.clone();
        let info = embedding.info.clone();
        let part = ShardPart::VOCABULARY;
        tensors.push(((0, 2), MetaTensor { origin, name, info, part }));
    }
    tensors.sort_by_key(|(order, _)| *order);
    let expected = 3 + 9 * config.num_hidden_layers;
    if tensors.len() != expected {
        let expected = format!("{expected} tensors, as {} says", model.config_name);
        let advice = "fetch the rest of the model, or rebuild it from its parts first";
        return Err(Refusal::new(whole, expected, tensors.len().to_string(), advice));
    }
    Ok(tensors.into_iter().map(|(_, tensor)| tensor).collect())
}

fn write_small(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), FormError> {
    let path = folder.join(name);
    write_atomically(&path, bytes).map_err(|e| FormError::io(&path, "write", e))
}

/// An output whose MD5 is computed on the way.
struct Summed<W> {
    inner: W,
    sum: Md5,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
