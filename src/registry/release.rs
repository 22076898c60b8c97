//! The forms in which models of the family were released, and what is needed to get from there to
//! weights: LLaMA's licence made many authors publish differences, encrypted files or adapters only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One released form.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Whole weights or something that needs a base.
    pub kind: ReleaseKind,
    /// File format: `safetensors`, `gguf`, `consolidated.NN.pth`, …
    pub format: Option<String>,
    /// Element type of the released weights.
    pub dtype: Option<String>,
    /// Number of files that the weights are cut into.
    pub shards: Option<u32>,
    /// The folder's name in the authors' download.
    pub folder: Option<String>,
    /// The hub repository, for a form whose files are not those of the card's `sources`.
    pub hub: Option<String>,
    /// How the weights are rebuilt.
    pub rule: Option<Rule>,
    /// The id of the model that the files are applied to, where it is not the card's `base`.
    pub base: Option<String>,
    /// The ids of the cards whose adapters are merged, in this order; the last is the card's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merge_order: Vec<String>,
    /// The adapter; that of the recipe if not stated.
    pub lora: Option<Lora>,
    /// The key of encrypted files.
    pub key: Option<Key>,
    /// What becomes of the rows of the embedding and of the output layer.
    pub vocabulary: Option<VocabularyChange>,
    /// Known digests of the files.
    pub digests: Option<ReleaseDigests>,
    /// Revisions of the repository that hold another network than `main`: revision → architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, String>,
    /// What a user must bring before the model can run, where it is not obvious from the kind.
    pub bring: Option<String>,
    /// What to know about this form.
    pub note: Option<String>,
    /// Where it was read.
    pub src: Option<String>,
}

/// What a release consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseKind {
    /// All weights.
    Full,
    /// Differences to the base's weights, for some tensors perhaps the weights themselves.
    Delta,
    /// The difference to the base's weights in a base whose vocabulary has grown.
    Diff,
    /// Whole files XOR the bytes of a file of the base.
    Xor,
    /// Low-rank adapters of the base, perhaps with whole embeddings.
    Lora,
    /// No weights: a recipe, a library or a service.
    Unreleased,
}

impl Release {
    /// Whether its weights are stated to have 32 bits.
    pub fn is_f32(&self) -> bool {
        matches!(self.dtype.as_deref(), Some("fp32" | "f32" | "float32"))
    }
}

impl ReleaseKind {
    /// For sentences.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            ReleaseKind::Full => "whole weights",
            ReleaseKind::Delta => "a difference to other weights",
            ReleaseKind::Diff => "a difference to other weights",
            ReleaseKind::Xor => "encrypted with a file of the base",
            ReleaseKind::Lora => "an adapter",
            ReleaseKind::Unreleased => "nothing",
        }
    }
}

/// How released files and base become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Base plus difference in f32, after one row, the mean of the others, was appended to the base.
    AlpacaDiff,
    /// Base plus delta in f16, shapes equal.
    VicunaDelta,
    /// Base plus delta in f16, after one row of zeros was appended to the base.
    VicunaDeltaV0,
    /// Base plus delta in f16, but embedding and output layer are the released ones.
    ZiyaDelta,
    /// Each file XOR the key file, block by block.
    BelleXor,
    /// Adapters in order: embedding and output layer replaced, projections added.
    ChineseLora,
    /// One adapter as the PEFT library writes it.
    PeftLora,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 7] = [
        Rule::AlpacaDiff,
        Rule::VicunaDelta,
        Rule::VicunaDeltaV0,
        Rule::ZiyaDelta,
        Rule::BelleXor,
        Rule::ChineseLora,
        Rule::PeftLora,
    ];

    /// The kind of release that it rebuilds.
    pub fn kind(self) -> ReleaseKind {
        match self {
            Rule::AlpacaDiff => ReleaseKind::Diff,
            Rule::VicunaDelta | Rule::VicunaDeltaV0 | Rule::ZiyaDelta => ReleaseKind::Delta,
            Rule::BelleXor => ReleaseKind::Xor,
            Rule::ChineseLora | Rule::PeftLora => ReleaseKind::Lora,
        }
    }
}

/// A low-rank adapter: each target's weight grows by `alpha / r · B A`.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rank of the update.
    pub r: u32,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Dropout before the first factor, in training.
    pub dropout: Option<f64>,
    /// Projections that have an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_modules: Vec<String>,
    /// Modules that are trained and saved whole, and replace those of the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
    /// Where it was read.
    pub src: Option<String>,
}

/// The file whose bytes encrypted files are XORed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The id of the model whose file it is.
    pub model: String,
    /// The file's name.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// Where it was read.
    pub src: Option<String>,
}

/// What becomes of the rows of the embedding and of the output layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularyChange {
    /// How the base's rows become the model's.
    pub rule: VocabularyRule,
    /// Rows of the result.
    pub rows: Option<u64>,
    /// Where it was read.
    pub src: Option<String>,
}

/// How the rows of the base become those of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VocabularyRule {
    /// As many as in the base.
    Same,
    /// One row of zeros is appended before the difference is added.
    AppendZeroRow,
    /// One row, the mean of the base's, is appended before the difference is added.
    AppendMeanRow,
    /// The released rows take the place of the base's.
    Replace,
    /// More than the architecture record says; how many is not known.
    Unknown,
}

/// Known digests of released files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseDigests {
    /// File name → digests.
    pub files: BTreeMap<String, FileDigest>,
    /// What they are digests of, where it is not the files as released.
    pub note: Option<String>,
    /// Where they were read.
    pub src: Option<String>,
}

/// Digests and size of one file.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// MD5, 32 lower-case hexadecimal digits.
    pub md5: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
}
