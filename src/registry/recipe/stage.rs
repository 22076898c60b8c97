//! What a recipe says about one stage of training, typed.
//!
//! Every group (data, batch, learning rate, optimizer, adapters) carries its own `src`, because a paper,
//! a script and a model card each give only a part. What is not known is absent, never guessed.

use serde::{Deserialize, Serialize};

use super::Count;
use super::schedule::Decay;
use crate::registry::Lora;

/// One stage: a data set seen with one set of hyper-parameters.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// A name, where a recipe has several stages of one method.
    pub name: Option<String>,
    /// What is learned.
    pub method: Method,
    /// Which parameters change.
    #[serde(default)]
    pub trainable: Trainable,
    /// Whether it goes beyond the context of the base, with stretched positions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long_context: bool,
    /// What it is learned from.
    pub data: Option<Data>,
    /// How much goes into one step.
    pub batch: Option<Batch>,
    /// The longest sequence in tokens.
    pub sequence_length: Option<u64>,
    /// Passes over the data.
    pub epochs: Option<f64>,
    /// Optimizer steps, where they are stated.
    pub steps: Option<u64>,
    /// The learning rate over time.
    pub learning_rate: Option<LearningRate>,
    /// The optimizer and what keeps it in bounds.
    pub optimizer: Option<Optimizer>,
    /// Low-rank adapters, if they are what is trained.
    pub lora: Option<Lora>,
    /// Constants of policy optimisation.
    pub ppo: Option<Ppo>,
    /// Number format of the arithmetic: `bf16`, `fp16`, …
    pub precision: Option<String>,
    /// Machines and time, as stated.
    pub hardware: Option<String>,
    /// GPU hours, as stated.
    pub gpu_hours: Option<u64>,
    /// What else was done, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where the facts without a `src` of their own come from.
    pub src: Option<String>,
    /// What is contradictory or only remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Next-token prediction from scratch.
    Pretraining,
    /// Next-token prediction from another model's weights.
    ContinuedPretraining,
    /// Supervised fine-tuning on instructions or dialogues.
    Sft,
    /// A model of human preference, which later stages ask for scores.
    RewardModel,
    /// Fine-tuning on the best of several sampled answers.
    RejectionSampling,
    /// Proximal policy optimisation against a reward model.
    Ppo,
    /// Direct optimisation of preferences, without a reward model.
    Dpo,
    /// Rounding the weights to a few bits.
    Quantization,
}

impl Method {
    /// The word for people: `continued pretraining`, `SFT`.
    pub fn label(self) -> &'static str {
        match self {
            Method::Pretraining => "pretraining",
            Method::ContinuedPretraining => "continued pretraining",
            Method::Sft => "SFT",
            Method::RewardModel => "reward model",
            Method::RejectionSampling => "rejection sampling",
            Method::Ppo => "PPO",
            Method::Dpo => "DPO",
            Method::Quantization => "quantization",
        }
    }

    /// Whether it is a part of learning from human feedback.
    pub fn is_rlhf(self) -> bool {
        matches!(self, Method::RewardModel | Method::RejectionSampling | Method::Ppo)
    }
}

/// Which parameters a stage changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trainable {
    /// All of them.
    #[default]
    All,
    /// Low-rank adapters, and the modules that the adapter file saves whole.
    Lora,
    /// The token embeddings only.
    Embeddings,
    /// None of the sources says.
    Unknown,
}

impl Trainable {
    /// The words for people.
    pub fn label(self) -> &'static str {
        match self {
            Trainable::All => "all parameters",
            Trainable::Lora => "LoRA adapters",
            Trainable::Embeddings => "embeddings only",
            Trainable::Unknown => "not stated",
        }
    }
}

/// A data set as far as it is described; every size is optional.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// What it is, in a few words.
    pub name: String,
    /// Number of examples.
    pub examples: Option<Count>,
    /// What an example is: `instructions`, `conversations`, …
    pub unit: Option<String>,
    /// Tokens seen in training.
    pub tokens: Option<Count>,
    /// Size of the text in bytes.
    pub bytes: Option<Count>,
    /// Sampling proportions in percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mixture: Vec<Share>,
    /// Languages as ISO 639 codes, where the data set is described by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Where this is known from.
    pub src: Option<String>,
}

impl Data {
    /// Name or size in a few characters: `52K instructions`, `1.4T tokens`, `20 GB`.
    pub fn short(&self) -> String {
        let unit = self.unit.as_deref().unwrap_or("examples");
        if let Some(tokens) = self.tokens {
            return format!("{tokens} tokens");
        }
        if let Some(examples) = self.examples {
            return format!("{examples} {unit}");
        }
        if let Some(Count(bytes)) = self.bytes {
            return format!("{} GB", (bytes as f64 / 1e8).round() / 10.0);
        }
        self.name.clone()
    }
}

/// One part of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The part's name.
    pub name: String,
    /// Percent of the whole.
    pub percent: f64,
}

/// The size of one optimizer step; one of the two is stated.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Sequences.
    pub sequences: Option<u64>,
    /// Tokens.
    pub tokens: Option<Count>,
    /// Where this is known from.
    pub src: Option<String>,
}

/// The learning rate over time.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The learning rate at the end of the warm-up.
    pub peak: f64,
    /// What follows the warm-up.
    pub schedule: Option<Decay>,
    /// Length of the warm-up in steps.
    pub warmup_steps: Option<u64>,
    /// Length of the warm-up as a fraction of all steps.
    pub warmup_ratio: Option<f64>,
    /// The last steps, in which the rate falls, where it stays at the peak before.
    pub decay_steps: Option<u64>,
    /// The last rate as a fraction of the peak; zero for cosine and linear if it is not stated.
    pub final_fraction: Option<f64>,
    /// Where this is known from.
    pub src: Option<String>,
}

/// The optimizer.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// `AdamW`, `HybridAdam`, …
    pub name: Option<String>,
    /// Decay of the first moment.
    pub beta1: Option<f64>,
    /// Decay of the second moment.
    pub beta2: Option<f64>,
    /// Added to the root of the second moment.
    pub eps: Option<f64>,
    /// Decoupled weight decay.
    pub weight_decay: Option<f64>,
    /// The gradient's norm is clipped to this.
    pub gradient_clipping: Option<f64>,
    /// Where this is known from.
    pub src: Option<String>,
}

/// Constants of proximal policy optimisation.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ppo {
    /// Learning rate of the policy.
    pub actor_learning_rate: Option<f64>,
    /// Learning rate of the value function.
    pub critic_learning_rate: Option<f64>,
    /// The probability ratio is clipped to 1 ± this.
    pub eps_clip: Option<f64>,
    /// Weight of the penalty on leaving the first policy.
    pub beta_s: Option<f64>,
    /// Where this is known from.
    pub src: Option<String>,
}
