//! The recipe of a card: a shared one, or the `training:` block that a card brings itself.

use super::{Batch, Data, Decay, LearningRate, Method, Optimizer, Recipe, Recipes, Stage, Trainable};
use crate::registry::{Card, Method as CardMethod, ScheduleShape, Training};

impl Recipes {
    /// How the model of a card was trained.
    ///
    /// That is the recipe that the card names, else the one that lists the model, in both cases with the
    /// model's own changes; else what stands under `training:` in the card. If a card names a recipe that
    /// does not list the model, its `training:` numbers are laid over the last supervised stage.
    pub fn of_card(&self, card: &Card) -> Option<Recipe> {
        let Some(mut recipe) = self.of(&card.id, card.recipe.as_deref()) else {
            return card.training.as_ref().map(|training| inline(card, training));
        };
        let listed = self.get(&recipe.name).is_some_and(|shared| shared.models.contains_key(&card.id));
        if let (false, Some(training)) = (listed, &card.training) {
            let supervised = recipe.stages.iter_mut().rfind(|stage| !stage.method.is_rlhf());
            supervised.into_iter().for_each(|stage| lay_over(stage, training));
        }
        Some(recipe)
    }
}

fn inline(card: &Card, training: &Training) -> Recipe {
    let mut stages: Vec<Stage> = Vec::new();
    for method in &training.methods {
        let method = match method {
            CardMethod::Pretraining => Method::Pretraining,
            CardMethod::ContinuedPretraining | CardMethod::LongContext => Method::ContinuedPretraining,
            CardMethod::Sft => Method::Sft,
            CardMethod::Rlhf => Method::Ppo,
            CardMethod::Gptq => Method::Quantization,
            // Adapters are a way to train, not a stage: they belong to the stage before, if there is one.
            CardMethod::Lora if stages.is_empty() => Method::Sft,
            CardMethod::Lora => continue,
        };
        stages.push(Stage::new(method));
    }
    if let Some(stage) = stages.first_mut() {
        if training.methods.contains(&CardMethod::Lora) {
            stage.trainable = Trainable::Lora;
        }
        lay_over(stage, training);
    }
    Recipe {
        name: card.id.clone(),
        title: format!("{}, as its card says", card.name),
        stages,
        models: Default::default(),
        notes: training.trainable.iter().map(|what| format!("Trained: {what}.")).collect(),
        src: training.src.clone(),
        doubts: Vec::new(),
    }
}

/// The numbers that the card states, in place of the stage's.
fn lay_over(stage: &mut Stage, training: &Training) {
    if let Some(name) = &training.data {
        stage.data = Some(Data { name: name.clone(), ..Data::default() });
    }
    if let Some(sequences) = training.batch_size {
        stage.batch = Some(Batch { sequences: Some(sequences), ..Batch::default() });
    }
    let rate = stage.learning_rate.clone().or(training.learning_rate.map(|_| LearningRate::default()));
    if let Some(mut rate) = rate {
        rate.peak = training.learning_rate.unwrap_or(rate.peak);
        rate.schedule = training.schedule.map(decay).or(rate.schedule);
        if training.warmup_ratio.is_some() || training.warmup_steps.is_some() {
            rate.warmup_ratio = training.warmup_ratio.filter(|_| training.warmup_steps.is_none());
            rate.warmup_steps = training.warmup_steps;
        }
        stage.learning_rate = Some(rate);
    }
    if training.optimizer.is_some() || training.weight_decay.is_some() || training.grad_clip.is_some() {
        let old = stage.optimizer.take().unwrap_or_default();
        stage.optimizer = Some(Optimizer {
            name: training.optimizer.clone().or(old.name.clone()),
            weight_decay: training.weight_decay.or(old.weight_decay),
            gradient_clipping: training.grad_clip.or(old.gradient_clipping),
            ..old
        });
    }
    stage.epochs = training.epochs.or(stage.epochs);
    stage.steps = training.steps.or(stage.steps);
    stage.sequence_length = training.max_length.or(stage.sequence_length);
    stage.precision = training.precision.clone().or(stage.precision.take());
    stage.hardware = training.hardware.clone().or(stage.hardware.take());
    stage.notes.extend(training.details.clone());
}

fn decay(shape: ScheduleShape) -> Decay {
    match shape {
        ScheduleShape::Cosine => Decay::Cosine,
        ScheduleShape::Linear => Decay::Linear,
        ScheduleShape::Constant => Decay::Constant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::recipe;

    fn card(id: &str, extra: &str) -> Card {
        let text = format!(
            "id: {id}\nname: X\nfamily: llama\nlicense: MIT\nrelease: {{kind: full, format: gguf}}\n{extra}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    #[test]
    fn a_card_brings_its_own_training() {
        let text = "training: {methods: [sft, lora], data: notes, batch_size: 8, learning_rate: 1.0e-4, \
                    schedule: linear, warmup_ratio: 0.1, steps: 100, weight_decay: 0.01}";
        let recipe = recipe::load(None).unwrap().of_card(&card("own", text)).unwrap();
        assert_eq!(recipe.method_label(), "SFT (LoRA)");
        assert_eq!(recipe.data_label(), "notes");
        let schedule = recipe.schedule(1).unwrap();
        assert_eq!((schedule.warmup_steps, schedule.total_steps), (10, 100));
        assert_eq!(schedule.lr(10), 1e-4);
    }

    #[test]
    fn a_named_recipe_takes_the_numbers_of_the_card() {
        let recipes = recipe::load(None).unwrap();
        let text = "recipe: alpaca\ntraining: {methods: [sft], epochs: 5, learning_rate: 1.0e-5}";
        let own = recipes.of_card(&card("own", text)).unwrap();
        // 52 000 / 128 = 406, five times.
        let schedule = own.schedule(1).unwrap();
        assert_eq!((schedule.peak, schedule.total_steps), (1e-5, 2030));
        assert_eq!(own.stages, recipes.of("alpaca-13b", None).map(without_doubts).unwrap());
        assert!(recipes.of_card(&card("own", "")).is_none());
    }

    fn without_doubts(mut recipe: Recipe) -> Vec<Stage> {
        recipe.stages.iter_mut().for_each(|stage| stage.doubts.clear());
        recipe.stages
    }
}
