//! What a recipe says about one stage of training, typed.
//!
//! Every group (data, batch, learning rate, optimizer, adapters) carries its own `src`, because a paper,
//! a script and a model card each give only a part. What is not known is absent, never guessed.

use serde::{Deserialize, Serialize};

use super::Count;
use super::schedule::Decay;

/// One stage: a data set seen with one set of hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// A name, where a recipe has several stages of one method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is learned.
    pub method: Method,
    /// Which parameters change.
    #[serde(default)]
    pub trainable: Trainable,
    /// What it is learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// How much goes into one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// The longest sequence in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_length: Option<u64>,
    /// Passes over the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Optimizer steps, where they are stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The learning rate over time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<LearningRate>,
    /// The optimizer and what keeps it in bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<Optimizer>,
    /// Low-rank adapters, if they are what is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
    /// Constants of policy optimisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppo: Option<Ppo>,
    /// Number format of the arithmetic: `bf16`, `fp16`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Machines and time, as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// GPU hours, as stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<u64>,
    /// What else was done, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where the facts without a `src` of their own come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// What is contradictory or only remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Stage {
    /// A stage of which only the method is known.
    pub fn new(method: Method) -> Stage {
        Stage {
            name: None,
            method,
            trainable: Trainable::All,
            data: None,
            batch: None,
            sequence_length: None,
            epochs: None,
            steps: None,
            learning_rate: None,
            optimizer: None,
            lora: None,
            ppo: None,
            precision: None,
            hardware: None,
            gpu_hours: None,
            notes: Vec::new(),
            src: None,
            doubts: Vec::new(),
        }
    }
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// What it is, in a few words.
    pub name: String,
    /// Number of examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<Count>,
    /// What an example is: `instructions`, `conversations`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Tokens seen in training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Count>,
    /// Size of the text in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Count>,
    /// Sampling proportions in percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mixture: Vec<Share>,
    /// Languages as ISO 639 codes, where the data set is described by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequences: Option<u64>,
    /// Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Count>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// The learning rate over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The highest one.
    pub peak: f64,
    /// What follows the warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Decay>,
    /// Length of the warm-up in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Length of the warm-up as a fraction of all steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_ratio: Option<f64>,
    /// The last rate as a fraction of the peak; zero for cosine and linear if it is not stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_fraction: Option<f64>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// The optimizer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// `AdamW`, `HybridAdam`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Decay of the first moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of the second moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Added to the root of the second moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f64>,
    /// Decoupled weight decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// The gradient's norm is clipped to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_clipping: Option<f64>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// Low-rank adapters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rank of the two factors.
    pub rank: u64,
    /// The product is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Dropout before the first factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Modules with adapters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Modules trained and saved whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// Constants of proximal policy optimisation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ppo {
    /// Learning rate of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_learning_rate: Option<f64>,
    /// Learning rate of the value function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_learning_rate: Option<f64>,
    /// The probability ratio is clipped to 1 ± this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps_clip: Option<f64>,
    /// Weight of the penalty on leaving the first policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_s: Option<f64>,
    /// Where this is known from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}
