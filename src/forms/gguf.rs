//! A GGUF file seen as a Hugging Face model: its names, and its row order of the query and key matrices.
//!
//! llama.cpp rotates neighbouring pairs of a head's dimensions, `transformers` its two halves, so the
//! converter to GGUF reorders the rows of q and k, which is undone here (`rows`). Blocks of quantised
//! types run along rows, so whole rows move as bytes whatever their type.
//! Source: the tensor names of llama.cpp.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::forms::rows::{halves_from_pairs, has_heads};
use crate::weights::gguf::MetadataKindError;
use crate::weights::{
    Access, Dtype, Fault, FaultKind, GgufFile, TensorInfo, TensorSource, TensorView, WeightsError,
};

/// The only architecture whose layout this is.
const ARCHITECTURE: &str = "llama";
/// Per-frequency factors of the rotary embedding (LLaMA 3.1), kept beside the weights.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The tensors of a GGUF file of architecture `llama` under their Hugging Face names.
#[derive(Debug)]
pub struct GgufAsHf {
    file: GgufFile,
    /// HF names, sorted.
    infos: Vec<TensorInfo>,
    /// The GGUF name of each of `infos`, and how its rows are ordered.
    origins: Vec<(String, Rows)>,
}

/// The row order of a tensor in the GGUF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// As in the HF model.
    Same,
    /// Pairs interleaved within each of this many heads.
    Interleaved { heads: usize },
}

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

        let mut tensors = Vec::with_capacity(file.tensors().len());
        for info in file.tensors() {
            let Some(role) = role(&info.name) else {
                let expected = "a tensor of a dense LLaMA model";
                let fault = Fault::new(file.path(), FaultKind::Unsupported, expected, "another one");
                return Err(fault.tensor(&info.name).advice("fetch this model as safetensors").into());
            };
            let (name, rows) = match role {
                Role::Dropped => continue,
                Role::Plain(name) => (name, Rows::Same),
                Role::Query(name) => (name, Rows::Interleaved { heads }),
                Role::Key(name) => (name, Rows::Interleaved { heads: kv_heads }),
            };
            if let Rows::Interleaved { heads } = rows {
                check_heads(&file, info, heads)?;
            }
            let renamed = TensorInfo { name, dtype: info.dtype, shape: info.shape.clone() };
            tensors.push((renamed, (info.name.clone(), rows)));
        }
        // The names stay distinct: `role` is injective, and GGUF names are.
        tensors.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let (infos, origins) = tensors.into_iter().unzip();
        Ok(GgufAsHf { file, infos, origins })
    }

    /// The file itself, for its metadata.
    pub fn gguf(&self) -> &GgufFile {
        &self.file
    }

    /// The divisors of the rotary frequencies (`[head_dim / 2]`) that files of LLaMA 3.1 and later carry instead
    /// of a scaling rule; `None` for the others.
    pub fn rope_factors(&self) -> Result<Option<Vec<f32>>, WeightsError> {
        match self.file.tensor(ROPE_FACTORS) {
            Ok(view) if view.info.dtype == Dtype::F32 => view.to_f32().map(Some),
            Ok(view) => {
                let (kind, found) = (FaultKind::InconsistentHeader, view.info.dtype.to_string());
                Err(Fault::new(self.file.path(), kind, "F32 factors", found).tensor(ROPE_FACTORS).into())
            }
            Err(WeightsError::MissingTensor { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl TensorSource for GgufAsHf {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, WeightsError> {
        let index = self.infos.binary_search_by(|info| info.name.as_str().cmp(name)).ok();
        let found = index.and_then(|i| self.infos.get(i).zip(self.origins.get(i)));
        let Some((info, (origin, rows))) = found else {
            return Err(WeightsError::MissingTensor {
                file: self.file.path().to_owned(),
                name: name.to_owned(),
            });
        };
        let data = self.file.tensor(origin)?.data;
        let data = match *rows {
            Rows::Same => data,
            Rows::Interleaved { heads } => {
                let row_count = info.shape.first().copied().unwrap_or(1);
                Cow::Owned(halves_from_pairs(&data, row_count, heads))
            }
        };
        Ok(TensorView { info, data })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.file.files()
    }

    fn hint(&self, name: &str, access: Access) {
        let index = self.infos.binary_search_by(|info| info.name.as_str().cmp(name)).ok();
        if let Some((origin, _)) = index.and_then(|i| self.origins.get(i)) {
            self.file.hint(origin, access);
        }
    }
}

/// What a GGUF tensor is in the HF model.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    Plain(String),
    Query(String),
    Key(String),
    /// Computed from the configuration in the HF model.
    Dropped,
}

/// The role of the GGUF tensor `name`; `None` if a dense LLaMA has none such.
fn role(name: &str) -> Option<Role> {
    match name {
        "token_embd.weight" => return Some(Role::Plain("model.embed_tokens.weight".into())),
        "output_norm.weight" => return Some(Role::Plain("model.norm.weight".into())),
        "output.weight" => return Some(Role::Plain("lm_head.weight".into())),
        ROPE_FACTORS => return Some(Role::Dropped),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let number: u32 = layer.parse().ok()?;
    // "00" and "+1" would give the name of another layer.
    if number.to_string() != layer {
        return None;
    }
    let (module, parameter) = part.rsplit_once('.')?;
    let hf = |module: &str| format!("model.layers.{number}.{module}.{parameter}");
    let module = match (module, parameter) {
        ("attn_q", "weight" | "bias") => return Some(Role::Query(hf("self_attn.q_proj"))),
        ("attn_k", "weight" | "bias") => return Some(Role::Key(hf("self_attn.k_proj"))),
        ("attn_rot_embd", "weight") => return Some(Role::Dropped),
        ("attn_v", "weight" | "bias") => "self_attn.v_proj",
        ("attn_output", "weight" | "bias") => "self_attn.o_proj",
        ("ffn_gate", "weight" | "bias") => "mlp.gate_proj",
        ("ffn_up", "weight" | "bias") => "mlp.up_proj",
        ("ffn_down", "weight" | "bias") => "mlp.down_proj",
        ("attn_norm", "weight") => "input_layernorm",
        ("ffn_norm", "weight") => "post_attention_layernorm",
        _ => return None,
    };
    Some(Role::Plain(hf(module)))
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

/// The rows of a query or key matrix must be whole heads of an even number of rows.
fn check_heads(file: &GgufFile, info: &TensorInfo, heads: usize) -> Result<(), Box<Fault>> {
    if has_heads(&info.shape, heads) {
        return Ok(());
    }
    let expected = format!("a matrix of {heads} heads with an even number of rows each");
    let fault =
        Fault::new(file.path(), FaultKind::InconsistentHeader, expected, format!("shape {:?}", info.shape));
    Err(fault.tensor(&info.name))
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
    fn what_is_not_a_dense_llama_is_refused() {
        use FaultKind::{InconsistentHeader, MissingData, Unsupported};
        assert_eq!(kind(&Builder::new()), Some(Unsupported));
        assert_eq!(kind(&Builder::new().string("general.architecture", "bloom")), Some(Unsupported));
        assert_eq!(kind(&Builder::new().u32("general.architecture", 1)), Some(InconsistentHeader));
        assert_eq!(kind(&Builder::new().string("general.architecture", "llama")), Some(MissingData));
        assert_eq!(kind(&llama(0, 0)), Some(InconsistentHeader));
        let experts = llama(1, 1).f32("blk.0.ffn_gate_exps.weight", &[1], &[0.0]);
        assert_eq!(kind(&experts), Some(Unsupported));
        for (heads, shape) in [(3, [8, 1]), (8, [8, 1])] {
            let builder = llama(heads, 1).f32("blk.0.attn_q.weight", &shape, &rows(8));
            assert_eq!(kind(&builder), Some(InconsistentHeader), "{heads} heads, {shape:?}");
        }
    }

    #[test]
    fn names_of_a_layer() {
        let plain = |name: &str| Some(Role::Plain(name.to_owned()));
        assert_eq!(role("blk.12.ffn_down.weight"), plain("model.layers.12.mlp.down_proj.weight"));
        assert_eq!(role("blk.0.ffn_norm.weight"), plain("model.layers.0.post_attention_layernorm.weight"));
        assert_eq!(role("token_embd.weight"), plain("model.embed_tokens.weight"));
        assert_eq!(role("output_norm.weight"), plain("model.norm.weight"));
        assert_eq!(role("output.weight"), plain("lm_head.weight"));
        assert_eq!(
            role("blk.0.attn_k.bias"),
            Some(Role::Key("model.layers.0.self_attn.k_proj.bias".to_owned()))
        );
        assert_eq!(role("rope_freqs.weight"), Some(Role::Dropped));
        for other in
            ["blk.0.ffn_gate_exps.weight", "blk.00.attn_q.weight", "blk.+1.attn_q.weight", "x", "blk."]
        {
            assert_eq!(role(other), None, "{other}");
        }
    }
}
