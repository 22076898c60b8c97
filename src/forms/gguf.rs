//! A GGUF file seen as a Hugging Face model: its names, and its row order of the query and key matrices.
//!
//! llama.cpp rotates neighbouring pairs of a head's dimensions, `transformers` its two halves, so the
//! converter to GGUF reorders the rows of q and k, which is undone here (`rows`). Blocks of quantised
//! types run along rows, so whole rows move as bytes whatever their type.

use serde_json::{Map, Value, json};

use super::model::Stated;
use super::names::{Spelling, TensorRole};
use super::renamed::{NewName, Renamed};
use super::rows::has_heads;
use crate::base::fault::{Fault, FaultKind};
use crate::base::names::number_in_name;
use crate::config::{ConfigError, gguf};
use crate::weights::gguf::{Metadata, MetadataKindError};
use crate::weights::{Dtype, GgufFile, TensorSource, WeightsError};

/// The only architecture whose layout this is.
const ARCHITECTURE: &str = "llama";
/// Per-frequency factors of the rotary embedding (LLaMA 3.1), kept beside the weights.
pub(crate) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The tensors of a GGUF file of architecture `llama` under their Hugging Face names.
pub type GgufAsHf = Renamed<GgufFile>;

impl GgufAsHf {
    /// Maps names and row orders; no tensor data is read.
    ///
    /// # Errors
    /// [`WeightsError::Fault`] if the architecture is not `llama`, the head counts are absent or do not fit
    /// the matrices, or a tensor has no counterpart in a LLaMA model (experts, for example).
    pub fn new(file: GgufFile) -> Result<Self, WeightsError> {
        let architecture =
            file.metadata().string("general.architecture").map_err(|e| kind_fault(&file, e))?;
        if architecture != Some(ARCHITECTURE) {
            let found = architecture.map_or("no architecture".to_owned(), |name| format!("{name:?}"));
            return Err(Fault::new(file.path(), FaultKind::Unsupported, format!("{ARCHITECTURE:?}"), found)
                .at("metadata \"general.architecture\"")
                .advice("fetch this model as safetensors")
                .into());
        }
        let heads = head_count(&file, "llama.attention.head_count")?.ok_or_else(|| {
            let expected = "the number of attention heads";
            Fault::new(file.path(), FaultKind::MissingData, expected, "no such key")
                .at("metadata \"llama.attention.head_count\"")
        })?;
        let kv_heads = head_count(&file, "llama.attention.head_count_kv")?.unwrap_or(heads);
        let path = file.path().to_owned();
        Self::with_names(file, |info| {
            if is_computed(&info.name) {
                return Ok(None);
            }
            let Some(part) = TensorRole::parse(&info.name, Spelling::Gguf) else {
                let expected = "a tensor of a dense LLaMA model";
                let fault = Fault::new(&path, FaultKind::Unsupported, expected, "another one");
                return Err(fault.tensor(&info.name).advice("fetch this model as safetensors").into());
            };
            let heads = part.heads(heads, kv_heads);
            if let Some(heads) = heads.filter(|&heads| !has_heads(&info.shape, heads)) {
                let expected = format!("a matrix of {heads} heads with an even number of rows each");
                let found = format!("shape {:?}", info.shape);
                let fault = Fault::new(&path, FaultKind::InconsistentHeader, expected, found);
                return Err(fault.tensor(&info.name).into());
            }
            let name = part.name(Spelling::Hf).expect("what GGUF has, Hugging Face has");
            Ok(Some(NewName { name, heads }))
        })
    }

    /// The file itself, for its metadata.
    pub fn gguf(&self) -> &GgufFile {
        self.inner()
    }

    /// The divisors of the rotary frequencies (`[head_dim / 2]`) that files of LLaMA 3.1 and later carry instead
    /// of a scaling rule; `None` for the others.
    pub fn rope_factors(&self) -> Result<Option<Vec<f32>>, WeightsError> {
        match self.gguf().tensor(ROPE_FACTORS) {
            Ok(view) if view.info.dtype == Dtype::F32 => view.to_f32().map(Some),
            Ok(view) => {
                let kind = FaultKind::InconsistentHeader;
                let found = view.info.dtype.to_string();
                Err(Fault::new(self.gguf().path(), kind, "F32 factors", found).tensor(ROPE_FACTORS).into())
            }
            Err(WeightsError::MissingTensor { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Shape and constants, and what else a `config.json` of the model says.
    ///
    /// # Errors
    /// Rotary factors that cannot be read; within, a configuration that no model has.
    pub fn config(&self) -> Result<Result<Stated, ConfigError>, WeightsError> {
        let factors = self.rope_factors()?;
        let file = self.gguf().path().display().to_string();
        let metadata = self.gguf().metadata();
        let config = gguf::read(metadata, self.tensors(), factors.as_deref(), &file);
        Ok(config.and_then(|config| Ok(Stated { config, more: self.beside_shape(metadata)? })))
    }

    /// Ids of special tokens, and the type of the weights.
    fn beside_shape(&self, metadata: &Metadata) -> Result<Map<String, Value>, MetadataKindError> {
        let mut more = Map::new();
        for (field, key) in [
            ("bos_token_id", "tokenizer.ggml.bos_token_id"),
            ("pad_token_id", "tokenizer.ggml.padding_token_id"),
        ] {
            if let Some(id) = metadata.unsigned(key)? {
                more.insert(field.to_owned(), json!(id));
            }
        }
        let mut ends = Vec::new();
        for key in ["eos", "eot", "eom"] {
            let id = metadata.unsigned(&format!("tokenizer.ggml.{key}_token_id"))?;
            ends.extend(id.filter(|id| !ends.contains(id)));
        }
        if let Some(eos) = ends.first() {
            let eos = if ends.len() == 1 { json!(eos) } else { json!(ends) };
            more.insert("eos_token_id".to_owned(), eos);
        }
        let mut matrices = self.tensors().iter().filter(|info| info.shape.len() == 2).map(|info| info.dtype);
        let first = matrices.next().filter(|first| matrices.all(|dtype| dtype == *first));
        if let Some(name) = first.and_then(Dtype::torch_name) {
            more.insert("torch_dtype".to_owned(), json!(name));
        }
        Ok(more)
    }
}

/// Whether a tensor follows from the configuration in a Hugging Face model.
fn is_computed(name: &str) -> bool {
    let of_layer = name.strip_prefix("blk.").and_then(|rest| rest.strip_suffix(".attn_rot_embd.weight"));
    name == ROPE_FACTORS || of_layer.is_some_and(|digits| number_in_name(digits).is_some())
}

fn kind_fault(file: &GgufFile, error: MetadataKindError) -> Box<Fault> {
    Fault::new(file.path(), FaultKind::InconsistentHeader, error.expected, error.found)
        .at(format!("metadata {:?}", error.key))
}

fn head_count(file: &GgufFile, key: &str) -> Result<Option<usize>, Box<Fault>> {
    let Some(count) = file.metadata().unsigned(key).map_err(|e| kind_fault(file, e))? else {
        return Ok(None);
    };
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(Some(count)),
        _ => {
            Err(Fault::new(file.path(), FaultKind::InconsistentHeader, "at least 1 head", count.to_string())
                .at(format!("metadata {key:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::testing::Builder;

    fn open(builder: &Builder) -> Result<GgufAsHf, WeightsError> {
        let (_folder, path) = builder.write();
        GgufAsHf::new(GgufFile::open(path)?)
    }

    fn llama(heads: u32, kv_heads: u32) -> Builder {
        Builder::new()
            .string("general.architecture", "llama")
            .u32("llama.attention.head_count", heads)
            .u32("llama.attention.head_count_kv", kv_heads)
    }

    fn kind(builder: &Builder) -> Option<FaultKind> {
        open(builder).unwrap_err().fault_kind()
    }

    /// A column of row numbers.
    fn rows(count: u64) -> Vec<f32> {
        (0..count).map(|row| row as f32).collect()
    }

    #[test]
    fn query_and_key_rows_go_from_pairs_to_halves_within_each_head() {
        let builder = llama(2, 1)
            .f32("blk.0.attn_q.weight", &[8, 1], &rows(8))
            .f32("blk.0.attn_q.bias", &[8], &rows(8))
            .f32("blk.0.attn_k.weight", &[4, 1], &rows(4))
            .f32("blk.0.attn_v.weight", &[4, 1], &rows(4));
        let model = open(&builder).unwrap();
        let values =
            |name: &str| model.tensor(&format!("model.layers.0.self_attn.{name}")).unwrap().to_f32().unwrap();
        assert_eq!(values("q_proj.weight"), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(values("q_proj.bias"), values("q_proj.weight"));
        assert_eq!(values("k_proj.weight"), [0.0, 2.0, 1.0, 3.0]);
        assert_eq!(values("v_proj.weight"), rows(4));
    }

    #[test]
    fn quantised_rows_move_as_bytes() {
        let row = |number: u8| [vec![0, 0x3c], vec![number; 32]].concat();
        let data: Vec<u8> = (0..4).flat_map(row).collect();
        let model = open(&llama(1, 1).q8_0("blk.0.attn_k.weight", &[4, 32], data)).unwrap();
        let view = model.tensor("model.layers.0.self_attn.k_proj.weight").unwrap();
        assert_eq!((view.info.dtype, &view.info.shape[..]), (Dtype::Q8_0, &[4, 32][..]));
        let first: Vec<f32> = view.to_f32().unwrap().into_iter().step_by(32).collect();
        assert_eq!(first, [0.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn rope_factors_are_no_tensor_of_the_model() {
        let model = open(&llama(1, 1).f32("rope_freqs.weight", &[2], &[1.0, 8.0])).unwrap();
        assert!(model.tensors().is_empty());
        assert_eq!(model.rope_factors().unwrap(), Some(vec![1.0, 8.0]));
        assert_eq!(open(&llama(1, 1)).unwrap().rope_factors().unwrap(), None);
    }

    #[test]
    fn a_small_model_has_the_configuration_of_transformers() {
        let mut builder =
            llama(2, 1).raw("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes());
        for (key, value) in [
            ("llama.embedding_length", 8),
            ("llama.feed_forward_length", 12),
            ("llama.block_count", 1),
            ("llama.context_length", 512),
            ("tokenizer.ggml.eos_token_id", 2),
        ] {
            builder = builder.u32(key, value);
        }
        let (_folder, path) = builder.f32("token_embd.weight", &[10, 8], &[0.0; 80]).write();
        let config = crate::forms::open(&path).unwrap().config_json().unwrap();
        insta::assert_snapshot!(format!("{:#}", Value::Object(config)));
    }

    #[test]
    fn what_is_not_a_dense_llama_is_refused() {
        use FaultKind::{InconsistentHeader, MissingData, Unsupported};
        assert_eq!(kind(&Builder::new()), Some(Unsupported));
        assert_eq!(kind(&Builder::new().string("general.architecture", "bloom")), Some(Unsupported));
        assert_eq!(kind(&Builder::new().u32("general.architecture", 1)), Some(InconsistentHeader));
        assert_eq!(kind(&Builder::new().string("general.architecture", "llama")), Some(MissingData));
        assert_eq!(kind(&llama(0, 0)), Some(InconsistentHeader));
        for name in ["blk.x.attn_rot_embd.weight", "blk.attn_rot_embd.weight", "blk.00.attn_rot_embd.weight"]
        {
            assert_eq!(kind(&llama(1, 1).f32(name, &[1], &[0.0])), Some(Unsupported), "{name}");
        }
        assert!(open(&llama(1, 1).f32("blk.0.attn_rot_embd.weight", &[1], &[0.0])).is_ok());
        let experts = llama(1, 1).f32("blk.0.ffn_gate_exps.weight", &[1], &[0.0]);
        assert_eq!(kind(&experts), Some(Unsupported));
        for (heads, shape) in [(3, [8, 1]), (8, [8, 1])] {
            let builder = llama(heads, 1).f32("blk.0.attn_q.weight", &shape, &rows(8));
            assert_eq!(kind(&builder), Some(InconsistentHeader), "{heads} heads, {shape:?}");
        }
    }
}
