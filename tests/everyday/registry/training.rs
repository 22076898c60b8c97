//! The family as a whole: cards and recipes say the same things, and both lead somewhere.

use zoo::registry::recipe::{self, Method, Stage, Trainable};
use zoo::registry::{Method as CardMethod, Registry};

#[test]
fn every_member_of_the_family_has_a_recipe_that_lists_it() {
    let (registry, recipes) = (Registry::load(None).unwrap(), recipe::load(None).unwrap());
    let mut named = Vec::new();
    for card in registry.cards().iter().filter(|card| card.family != "smollm2") {
        let name = card.recipe.as_deref().unwrap_or_else(|| panic!("{} names no recipe", card.id));
        let shared = recipes.get(name).unwrap_or_else(|| panic!("{}: no recipe {name}", card.id));
        assert!(shared.models.contains_key(&card.id), "{name} does not list {}", card.id);
        named.push(name);
    }
    for recipe in recipes.iter() {
        assert!(named.contains(&recipe.name.as_str()), "no card names {}", recipe.name);
        for id in recipe.models.keys() {
            assert!(registry.card(id).is_some_and(|card| card.id == *id), "{}: {id}", recipe.name);
        }
    }
}

#[test]
fn adapters_are_the_same_in_card_and_recipe() {
    let (registry, recipes) = (Registry::load(None).unwrap(), recipe::load(None).unwrap());
    let mut compared = 0;
    for card in registry.cards() {
        let Some(recipe) = recipes.of_card(card) else { continue };
        let trained = recipe.stages.iter().filter_map(|stage| stage.lora.as_ref()).next_back();
        let released = card.releases().find_map(|release| release.lora.as_ref());
        let (Some(trained), Some(released)) = (trained, released) else { continue };
        compared += 1;
        assert_eq!(trained.rank, u64::from(released.r), "{}: rank", card.id);
        assert_eq!(trained.alpha, released.alpha, "{}: alpha", card.id);
        assert_eq!(trained.dropout, released.dropout, "{}: dropout", card.id);
        let sorted = |words: &[String]| {
            let mut words = words.to_vec();
            words.sort();
            words
        };
        assert_eq!(sorted(&trained.targets), sorted(&released.target_modules), "{}: targets", card.id);
        assert_eq!(sorted(&trained.modules_to_save), sorted(&released.modules_to_save), "{}", card.id);
    }
    // Alpaca-LoRA, 15 of Chinese-LLaMA-Alpaca 1, 10 of 2, two of Llama2-Chinese.
    assert_eq!(compared, 28);
}

#[test]
fn methods_are_the_same_in_card_and_recipe() {
    let (registry, recipes) = (Registry::load(None).unwrap(), recipe::load(None).unwrap());
    for card in registry.cards() {
        let (Some(recipe), Some(training)) = (recipes.of_card(card), &card.training) else { continue };
        for method in &training.methods {
            let fits = |stage: &Stage| match method {
                CardMethod::Pretraining => stage.method == Method::Pretraining,
                CardMethod::ContinuedPretraining => stage.method == Method::ContinuedPretraining,
                CardMethod::LongContext => stage.notes.iter().any(|note| note.starts_with("Positions are")),
                CardMethod::Sft => stage.method == Method::Sft,
                CardMethod::Lora => stage.trainable == Trainable::Lora,
                CardMethod::Rlhf => stage.method.is_rlhf(),
                CardMethod::Gptq => stage.method == Method::Quantization,
            };
            assert!(
                recipe.stages.iter().any(fits),
                "{}: {} is not in {}",
                card.id,
                method.as_str(),
                recipe.name
            );
        }
    }
}
