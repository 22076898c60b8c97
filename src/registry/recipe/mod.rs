//! Recipes: how a model was trained, as data.
//!
//! A recipe is one YAML file in `zoo/recipes`: stages in order, each with data, batch, learning rate,
//! optimizer and adapters. Models that share a set-up share the file; what differs between them stands
//! under `models:` and is laid over the stage. The learning rate can be computed at any step as soon as
//! the number of steps is known, and where it is not, [`Recipe::schedule`] says what is missing.

mod count;
mod inline;
mod load;
mod schedule;
mod stage;
mod steps;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use count::Count;
pub use load::{Recipes, load};
pub use schedule::{Decay, Schedule};
pub use stage::{Batch, Data, LearningRate, Lora, Method, Optimizer, Ppo, Share, Stage, Trainable};
pub use steps::{NoSchedule, StepBasis, TotalSteps};

/// How a model, or a group of models that differ in little, was trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name by which cards refer to it; the file's name without its ending.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// The stages in the order in which they were run.
    pub stages: Vec<Stage>,
    /// What is different for single models, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, Change>,
    /// What a user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Where the facts without a `src` of their own come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// What is contradictory or only remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// What one model's training has different: the keys of a stage, and which stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The stage that is changed, counted from 1.
    #[serde(default = "first_stage")]
    pub stage: usize,
    /// Keys of [`Stage`]; maps are merged, `notes` and `doubts` are added, the rest is replaced.
    #[serde(flatten)]
    pub keys: serde_yaml::Mapping,
}

fn first_stage() -> usize {
    1
}

impl Recipe {
    /// The recipe as it was for one model: its changes laid over the stages, and no `models` left.
    ///
    /// A model without changes has the recipe as it stands.
    pub fn for_model(&self, id: &str) -> Result<Recipe, String> {
        let mut recipe = Recipe { models: BTreeMap::new(), ..self.clone() };
        let Some(change) = self.models.get(id) else {
            return Ok(recipe);
        };
        let count = recipe.stages.len();
        let stage = change.stage.checked_sub(1).and_then(|at| recipe.stages.get_mut(at));
        let Some(stage) = stage else {
            return Err(format!("stage: expected 1 to {count}, found {}", change.stage));
        };
        let mut value = serde_yaml::to_value(&*stage).map_err(|error| error.to_string())?;
        load::merge(&mut value, &serde_yaml::Value::Mapping(change.keys.clone()));
        *stage = serde_yaml::from_value(value).map_err(|error| error.to_string())?;
        Ok(recipe)
    }

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

    /// The words by which `--method` finds it: `pretraining`, `continued-pretraining`, `sft`, `lora`,
    /// `rlhf`, `quantization`.
    pub fn method_tags(&self) -> Vec<&'static str> {
        let mut tags = Vec::new();
        for stage in &self.stages {
            let own = match stage.method {
                Method::Pretraining => "pretraining",
                Method::ContinuedPretraining => "continued-pretraining",
                Method::Sft => "sft",
                Method::RewardModel | Method::RejectionSampling | Method::Ppo => "rlhf",
                Method::Quantization => "quantization",
            };
            let lora = (stage.trainable == Trainable::Lora).then_some("lora");
            for tag in [Some(own), lora].into_iter().flatten() {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
        }
        tags
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
