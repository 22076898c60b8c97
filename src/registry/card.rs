//! What a model card says, typed. Field names are those of `config.json` where it has them.
//!
//! Unknown keys are errors: a misspelt fact must not be a silently missing one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Source;

/// One model of the zoo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The registry id: lower-case letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// The name its authors use.
    pub name: String,
    /// Other names that find it (case-insensitive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The branch of the family: `llama`, `vicuna`, `smollm2`, …
    pub family: String,
    /// The id of the model it was made from, if that is in the registry too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Number of parameters, shared ones counted once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The shape of the network, as far as it is known without its files.
    #[serde(default)]
    pub architecture: Architecture,
    /// The longest context in tokens that it was trained for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// The licence of the weights, an SPDX id where there is one.
    pub license: String,
    /// Languages as ISO 639 codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// In what form the authors released it.
    pub release: Release,
    /// Where the weights can be had, best first.
    #[serde(default, with = "serde_yaml::with::singleton_map_recursive")]
    pub sources: Vec<Source>,
    /// Whether a BOS token goes before a text.
    #[serde(default)]
    pub bos: Bos,
    /// The name of the prompt template that it was tuned with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_template: Option<String>,
    /// Scores that others have published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
    /// What a user should know, one paragraph each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The file the card was read from.
    #[serde(skip)]
    pub origin: Origin,
}

/// Shape of a LLaMA-architecture network; every fact is optional because some releases state only a few.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Width of the residual stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_size: Option<u64>,
    /// Width of the feed-forward layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intermediate_size: Option<u64>,
    /// Number of transformer blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_hidden_layers: Option<u64>,
    /// Number of query heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_attention_heads: Option<u64>,
    /// Number of key and value heads; divides the number of query heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<u64>,
    /// Rows of the embedding matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<u64>,
    /// The longest position the configuration allows, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_position_embeddings: Option<u64>,
    /// Added to the mean square in RMSNorm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rms_norm_eps: Option<f64>,
    /// Base of the rotary frequencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// Whether the output layer is the embedding matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tie_word_embeddings: Option<bool>,
}

/// How a model was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Whole weights or something that needs a base.
    pub kind: ReleaseKind,
    /// File format: `safetensors`, `gguf`, `consolidated.NN.pth`, …
    pub format: String,
    /// Element type of the released weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
}

/// What a release consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseKind {
    /// All weights.
    Full,
    /// The difference to the base's weights.
    Delta,
    /// The bytes of the weights XOR those of the base's files.
    Xor,
    /// Low-rank adapters of the base.
    Lora,
    /// Training data or a recipe only.
    Recipe,
    /// Nothing that can be downloaded.
    None,
}

impl ReleaseKind {
    /// The word used in cards.
    pub fn as_str(self) -> &'static str {
        match self {
            ReleaseKind::Full => "full",
            ReleaseKind::Delta => "delta",
            ReleaseKind::Xor => "xor",
            ReleaseKind::Lora => "lora",
            ReleaseKind::Recipe => "recipe",
            ReleaseKind::None => "none",
        }
    }
}

/// Whether the BOS token is put before a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bos {
    /// As the tokenizer's own files say.
    #[default]
    Tokenizer,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Bos {
    /// The word used in cards.
    pub fn as_str(self) -> &'static str {
        match self {
            Bos::Tokenizer => "tokenizer",
            Bos::Always => "always",
            Bos::Never => "never",
        }
    }
}

/// One score from a paper, a model card or a leaderboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The suite's name in this program: `mmlu`, `hellaswag`, …
    pub suite: String,
    /// The metric's name: `acc`, `acc_norm`, `exact_match`, …
    pub metric: String,
    /// Number of examples in the prompt, if it was stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_fewshot: Option<u32>,
    /// The score in the metric's own unit (fractions, not percent, for accuracies).
    pub value: f64,
    /// Where it was published.
    pub source: String,
    /// How it was measured, where that differs from what this program does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Where a card was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, for messages: `zoo/x.yaml` if it is part of the binary, else its path.
    pub file: String,
    /// The folder of a card on disk: `path:` sources start here. `None` if it is part of the binary.
    pub folder: Option<PathBuf>,
}
