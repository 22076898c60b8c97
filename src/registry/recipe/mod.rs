//! Recipes: how a model was trained, as data.
//!
//! A recipe is stages in order, each with data, batch, learning rate, optimizer and adapters: one YAML file in
//! `zoo/recipes` for models that share a set-up, or a map inside of a card. What one of these models has of its
//! own stands in its card. The learning rate can be computed at any step as soon as the number of steps is known,
//! and where it is not, [`Recipe::schedule`] says what is missing.

pub(super) mod check;
mod count;
mod schedule;
mod stage;
mod steps;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use count::Count;
pub use schedule::{Decay, Schedule};
pub use stage::{Batch, Data, LearningRate, Method, Optimizer, Ppo, Share, Stage, Trainable};
pub use steps::{NoSchedule, StepBasis, TotalSteps};

/// How a model, or a group of models that differ in little, was trained.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The file's name without its ending; inside of a card nothing, or the card's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The stages in the order in which they were run.
    pub stages: Vec<Stage>,
    /// What a user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where the facts without a `src` of their own come from.
    pub src: Option<String>,
    /// What is contradictory or only remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// A word by which `--method` finds a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tag {
    /// From random weights.
    Pretraining,
    /// Plain text, from trained weights.
    ContinuedPretraining,
    /// Beyond the context of the base, with stretched positions.
    LongContext,
    /// Supervised fine-tuning on instructions or conversations.
    Sft,
    /// Through low-rank adapters.
    Lora,
    /// A reward model, and learning from its scores.
    Rlhf,
    /// Direct optimisation of preferences.
    Dpo,
    /// Rounded to few bits.
    Gptq,
}

impl Tag {
    /// All of them.
    pub const ALL: [Tag; 8] = [
        Tag::Pretraining,
        Tag::ContinuedPretraining,
        Tag::LongContext,
        Tag::Sft,
        Tag::Lora,
        Tag::Rlhf,
        Tag::Dpo,
        Tag::Gptq,
    ];
}

impl Recipe {
    /// The methods in a few words: `pretraining`, `SFT (LoRA)`, `SFT + RLHF`.
    pub fn method_label(&self) -> String {
        let mut labels: Vec<String> = Vec::new();
        for stage in &self.stages {
            let name = if stage.method.is_rlhf() { "RLHF" } else { stage.method.label() };
            let lora = if stage.trainable == Trainable::Lora { " (LoRA)" } else { "" };
            let label = format!("{name}{lora}");
            match labels.last_mut() {
                Some(last) if last.trim_end_matches(" (LoRA)") == name => *last = label,
                _ => labels.push(label),
            }
        }
        labels.join(" + ")
    }

    /// The words by which `--method` finds it: what was done, then whether through adapters.
    pub fn tags(&self) -> Vec<&'static str> {
        let mut tags = BTreeSet::new();
        for stage in &self.stages {
            tags.insert(match stage.method {
                Method::Pretraining => Tag::Pretraining,
                Method::ContinuedPretraining => Tag::ContinuedPretraining,
                Method::Sft => Tag::Sft,
                Method::RewardModel | Method::RejectionSampling | Method::Ppo => Tag::Rlhf,
                Method::Dpo => Tag::Dpo,
                Method::Quantization => Tag::Gptq,
            });
            tags.extend(stage.long_context.then_some(Tag::LongContext));
            tags.extend((stage.trainable == Trainable::Lora).then_some(Tag::Lora));
        }
        let lora = tags.take(&Tag::Lora);
        tags.into_iter().chain(lora).map(Tag::as_str).collect()
    }

    /// The data of the stages in a few words: the sizes where they are known, without repetition.
    pub fn data_label(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for data in self.stages.iter().filter_map(|stage| stage.data.as_ref()) {
            let short = data.short();
            if !parts.contains(&short) {
                parts.push(short);
            }
        }
        parts.join(", ")
    }

    /// All doubts: the recipe's own, then those of its stages.
    pub fn all_doubts(&self) -> impl Iterator<Item = &str> {
        self.doubts.iter().chain(self.stages.iter().flat_map(|stage| &stage.doubts)).map(String::as_str)
    }
}
