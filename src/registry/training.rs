//! How a model was trained, as far as its card says; what several models share is a recipe.

use serde::{Deserialize, Serialize};

/// Methods, data and numbers of a training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The stages in order.
    pub methods: Vec<Method>,
    /// What it was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Examples per update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u64>,
    /// The highest learning rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Passes over the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// Updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The longest example in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// Decoupled weight decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Warm-up as a fraction of all updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_ratio: Option<f64>,
    /// Warm-up in updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Shape of the learning rate after the warm-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleShape>,
    /// The optimizer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<String>,
    /// The norm that gradients are cut to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grad_clip: Option<f64>,
    /// Arithmetic of the training: `bf16`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Which parameters are trained, where it is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainable: Option<String>,
    /// What it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// What else is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// Where it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
}

/// A stage of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From random weights.
    Pretraining,
    /// Plain text, from trained weights.
    ContinuedPretraining,
    /// Plain text or answers at a greater length, with stretched positions.
    LongContext,
    /// Supervised fine-tuning on instructions or conversations.
    Sft,
    /// Through low-rank adapters.
    Lora,
    /// A reward model and reinforcement learning.
    Rlhf,
    /// Rounded to few bits with GPTQ.
    Gptq,
}

impl Method {
    /// The word used in cards.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Pretraining => "pretraining",
            Method::ContinuedPretraining => "continued-pretraining",
            Method::LongContext => "long-context",
            Method::Sft => "sft",
            Method::Lora => "lora",
            Method::Rlhf => "rlhf",
            Method::Gptq => "gptq",
        }
    }
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleShape {
    /// Half a cosine.
    Cosine,
    /// A straight line.
    Linear,
    /// No change.
    Constant,
}
