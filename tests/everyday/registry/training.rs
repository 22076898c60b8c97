//! The family as a whole: every card leads to a recipe, every recipe to a card, and what both say is said once.

use std::collections::BTreeSet;

use zoo::registry::recipe::{Decay, Schedule};
use zoo::registry::{Reference, Registry, ReleaseKind};

#[test]
fn every_member_of_the_family_names_a_recipe_and_every_recipe_is_named() {
    let registry = Registry::load(None).unwrap();
    let mut named = BTreeSet::new();
    // A relative has its recipe in its card.
    for card in registry.cards().iter().filter(|card| !card.relative) {
        let Some(Reference::Named(name)) = &card.recipe else { panic!("{} names no recipe", card.id) };
        assert_eq!(&registry.recipe_of(card).unwrap().name, name);
        named.insert(name.as_str());
    }
    let all: BTreeSet<&str> = registry.recipes().map(|recipe| recipe.name.as_str()).collect();
    assert_eq!(named, all);
    for recipe in registry.recipes() {
        let sources = recipe.stages.iter().all(|stage| stage.src.is_some());
        assert!(recipe.src.is_some() || sources, "{}: no src", recipe.name);
    }
}

#[test]
fn a_released_adapter_is_the_one_of_the_recipe() {
    let registry = Registry::load(None).unwrap();
    let mut compared = 0;
    for card in registry.cards() {
        for release in card.releases().filter(|release| release.kind == ReleaseKind::Lora) {
            let stages = &registry.recipe_of(card).unwrap().stages;
            let trained = stages.iter().rev().find_map(|stage| stage.lora.as_ref());
            assert!(trained.is_some() && release.lora.as_ref() == trained, "{}", card.id);
            compared += 1;
        }
    }
    // Alpaca-LoRA, 15 of Chinese-LLaMA-Alpaca 1, 10 of 2, two of Llama2-Chinese, four Guanacos, Baize.
    assert_eq!(compared, 33);
}

/// A comma in a list of YAML cuts a sentence that is not in quotes.
#[test]
fn notes_and_doubts_are_whole_sentences() {
    let registry = Registry::load(None).unwrap();
    let recipes = registry.cards().iter().filter_map(|card| registry.recipe_of(card));
    let of_stages = recipes.clone().flat_map(|recipe| &recipe.stages).flat_map(|stage| &stage.notes);
    let said = recipes.clone().flat_map(|recipe| recipe.notes.iter().map(String::as_str));
    let said =
        said.chain(of_stages.map(String::as_str)).chain(recipes.flat_map(|recipe| recipe.all_doubts()));
    for text in said {
        assert!(!text.starts_with(char::is_lowercase) && text.trim_end().ends_with('.'), "{text}");
    }
}

#[test]
fn models_are_found_by_how_they_were_trained() {
    let registry = Registry::load(None).unwrap();
    let tags = |id: &str| registry.recipe_of(registry.find(id).unwrap()).unwrap().tags().join(" ");
    for (id, expected) in [
        ("llama-7b", "pretraining"),
        ("alpaca-7b", "sft"),
        ("alpaca-lora-7b", "sft lora"),
        ("chinese-llama-2-7b-64k", "continued-pretraining long-context lora"),
        ("chinese-alpaca-2-7b", "sft lora"),
        ("chinese-alpaca-2-7b-16k", "long-context sft lora"),
        ("chinese-alpaca-2-7b-rlhf", "sft rlhf"),
        ("belle-llama-7b-2m-gptq", "sft gptq"),
        ("belle-llama-ext-13b", "continued-pretraining sft"),
        ("chatllama", "sft rlhf lora"),
    ] {
        assert_eq!(tags(id), expected, "{id}");
    }
    for card in registry.cards() {
        for stage in registry.recipe_of(card).iter().flat_map(|recipe| &recipe.stages) {
            let stretched = stage.notes.iter().any(|note| note.starts_with("Positions are"));
            assert_eq!(stage.long_context, stretched, "{}", card.id);
        }
    }
}

#[test]
fn the_llama_recipes_are_those_of_the_papers() {
    let registry = Registry::load(None).unwrap();
    let sizes = [
        ("llama-7b", 3e-4, 250_000),
        ("llama-13b", 3e-4, 250_000),
        ("llama-33b", 1.5e-4, 350_000),
        ("llama-65b", 1.5e-4, 350_000),
        ("llama-2-7b", 3e-4, 500_000),
        ("llama-2-13b", 3e-4, 500_000),
        ("llama-2-70b", 1.5e-4, 500_000),
    ];
    for (id, peak, total_steps) in sizes {
        let recipe = registry.recipe_of(registry.find(id).unwrap()).unwrap();
        let schedule = recipe.schedule(1).unwrap();
        let decay = Decay::Cosine;
        let expected =
            Schedule { peak, decay, warmup_steps: 2000, hold_steps: 0, total_steps, final_fraction: 0.1 };
        assert_eq!(schedule, expected, "{id}");
        let optimizer = recipe.stages[0].optimizer.clone().unwrap();
        assert_eq!((optimizer.beta1, optimizer.beta2), (Some(0.9), Some(0.95)));
        assert_eq!((optimizer.weight_decay, optimizer.gradient_clipping), (Some(0.1), Some(1.0)));
    }
    // Constant, then a line to zero over the last fifth.
    let small = registry.recipe_of(registry.find("smollm2-135m-base").unwrap()).unwrap().schedule(1).unwrap();
    assert_eq!((small.lr(1999) < 3e-3, small.lr(2000), small.lr(1_600_000)), (true, 3e-3, 3e-3));
    assert!((small.lr(1_800_000) - 1.5e-3).abs() < 1e-15, "{}", small.lr(1_800_000));
    assert_eq!(small.lr(2_000_000), 0.0);
    // 52 000 / 128 = 406, five times.
    let alpaca = registry.recipe_of(registry.find("alpaca-13b").unwrap()).unwrap();
    let schedule = alpaca.schedule(1).unwrap();
    assert_eq!((schedule.peak, schedule.total_steps), (1e-5, 2030));
}
