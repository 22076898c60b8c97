//! How the model of a card was trained: the recipe that it names with what is the card's own laid over it, or the
//! recipe inside of the card. An adapter that was released is the one that was trained.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::load::{Loaded, advised};
use super::recipe::{Recipe, Stage, check};
use super::{Card, Lora, Reference, RegistryError, ReleaseKind};
use crate::base::yaml::FileError;

/// The recipe of a card, if it has one; `shared` are the recipes that cards can name, by name.
pub(super) fn recipe_of(
    loaded: &Loaded<Card>,
    shared: &BTreeMap<&str, &Loaded<Recipe>>,
) -> Result<Option<Recipe>, RegistryError> {
    let (card, checker) = (&loaded.value, loaded.checker());
    let mut recipe = match &card.recipe {
        Some(Reference::Named(name)) => {
            let recipe = shared.get(name.as_str());
            let recipe =
                recipe.ok_or_else(|| checker.wrong("recipe", "the name of a file in recipes", name))?;
            recipe.value.clone()
        }
        Some(Reference::Inline(recipe)) => {
            let mut recipe = (**recipe).clone();
            if recipe.title.is_empty() {
                recipe.title = format!("{}, as its card says", card.name);
            }
            Recipe { name: card.id.clone(), ..recipe }
        }
        None if card.training.is_empty() => return Ok(None),
        None => {
            let expected = "beside it the recipe that it changes: its name under `recipe`, or all of it in \
                            `recipe: {stages: [{method: sft, …}]}`";
            return Err(checker.wrong("training", expected, "none"));
        }
    };
    if card.training.is_empty() {
        return Ok(Some(recipe));
    }
    let mut change = card.training.clone();
    let number = change.remove("stage").unwrap_or(1.into());
    let position = number.as_u64().and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
    let count = recipe.stages.len();
    let Some(stage) = position.and_then(|position| recipe.stages.get_mut(position)) else {
        let found = serde_yaml::to_string(&number).expect("what was YAML can be written as YAML");
        return Err(checker.wrong("training.stage", format!("a number from 1 to {count}"), found.trim()));
    };
    *stage = changed(stage, change).map_err(|message| {
        // A key stands in backquotes, or at the end of the path that the message begins with.
        let quoted = message.split('`').nth(1);
        let path = message.split(':').next().and_then(|path| path.rsplit('.').next());
        let keys = [quoted, path, Some("training")].into_iter().flatten();
        let line = keys.map(|key| checker.line(key, "")).find(|&line| line > 0);
        let file = loaded.file.clone();
        FileError::Syntax { file, line: line.unwrap_or(0), message: format!("training: {message}") }
    })?;
    check::stage(&checker, "training.", stage)?;
    Ok(Some(recipe))
}

/// The stage with the card's keys in place of its own: maps are merged, `notes` and `doubts` added.
fn changed(stage: &Stage, change: Mapping) -> Result<Stage, String> {
    let mut value = serde_yaml::to_value(stage).expect("a stage can be written as YAML");
    merge(&mut value, Value::Mapping(change));
    if let Ok(stage) = Stage::deserialize(&value) {
        return Ok(stage);
    }
    // Again by way of text, since only then an error has the path to the key; its line is that of the text.
    let text = serde_yaml::to_string(&value).expect("what was YAML can be written as YAML");
    serde_yaml::from_str(&text).map_err(|error| {
        let message = error.to_string();
        advised(message.split(" at line ").next().unwrap_or(&message).to_owned())
    })
}

fn merge(value: &mut Value, change: Value) {
    let (Value::Mapping(map), Value::Mapping(changes)) = (&mut *value, &change) else {
        *value = change;
        return;
    };
    for (key, change) in changes {
        match (map.get_mut(key), change) {
            (Some(Value::Sequence(old)), Value::Sequence(new))
                if matches!(key.as_str(), Some("notes" | "doubts")) =>
            {
                old.extend(new.iter().cloned());
            }
            (Some(old), change) => merge(old, change.clone()),
            (None, change) => {
                map.insert(key.clone(), change.clone());
            }
        }
    }
}

/// Gives a card's releases of adapters the adapter that was trained; where they state one, it must be the same.
pub(super) fn adapters(loaded: &mut Loaded<Card>, recipe: Option<&Recipe>) -> Result<(), RegistryError> {
    let trained = recipe.and_then(|recipe| recipe.stages.iter().rev().find_map(|stage| stage.lora.as_ref()));
    let facts = |lora: &Lora| {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        (lora.r, lora.alpha, lora.dropout, sorted(&lora.target_modules), sorted(&lora.modules_to_save))
    };
    let card = &loaded.value;
    for release in card.releases().filter(|release| release.kind == ReleaseKind::Lora) {
        let (stated, checker) = (release.lora.as_ref(), loaded.checker());
        if let (Some(stated), Some(trained)) = (stated, trained)
            && facts(stated) != facts(trained)
        {
            let expected =
                format!("the adapter of the recipe (rank {}, alpha {}, …)", trained.r, trained.alpha);
            let found = format!("rank {}, alpha {}, …", stated.r, stated.alpha);
            return Err(checker.wrong("release.lora", expected, &found));
        }
        if stated.or(trained).is_none_or(|lora| lora.target_modules.is_empty()) {
            let expected = "an adapter (r, alpha, target_modules), here or in a stage of the recipe";
            return Err(checker.wrong("release.lora", expected, "none"));
        }
    }
    let card = &mut loaded.value;
    for release in std::iter::once(&mut card.release).chain(&mut card.other_releases) {
        if release.kind == ReleaseKind::Lora && release.lora.is_none() {
            release.lora = trained.cloned();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{CardOrigin, load};
    use super::*;

    const SHARED: &str = "\
name: two
title: Two sizes
stages:
  - method: pretraining
    data: {name: text, tokens: 1.0T}
    batch: {tokens: 4M}
    learning_rate: {peak: 3.0e-4, schedule: cosine, warmup_steps: 2000, final_fraction: 0.1}
    notes: [one]
  - method: sft
    trainable: lora
    lora: {r: 8, alpha: 16, target_modules: [q_proj]}
";

    fn card(extra: &str) -> Loaded<Card> {
        let text = format!(
            "id: own\nname: Own\nfamily: llama\nlicense: MIT\nrelease: {{kind: full, format: gguf}}\n{extra}"
        );
        let origin = CardOrigin { file: "own.yaml".to_owned(), folder: None };
        load::card(text.into(), origin, None).unwrap()
    }

    fn recipe(extra: &str) -> Result<Recipe, String> {
        let value: Recipe = serde_yaml::from_str(SHARED).unwrap();
        let shared = Loaded { value, file: String::new(), text: SHARED.into() };
        let shared = BTreeMap::from([("two", &shared)]);
        recipe_of(&card(extra), &shared).map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_has_its_own_changes_and_the_rest_is_shared() {
        let shared = recipe("recipe: two\n").unwrap();
        let own = recipe(
            "recipe: two\ntraining: {data: {tokens: 1.4T}, learning_rate: {peak: 1.5e-4}, notes: [two]}\n",
        );
        let own = own.unwrap();
        let (first, own_first) = (&shared.stages[0], &own.stages[0]);
        assert_eq!(own_first.learning_rate.as_ref().unwrap().peak, 1.5e-4);
        assert_eq!(own_first.learning_rate.as_ref().unwrap().warmup_steps, Some(2000));
        assert_eq!(own_first.data.as_ref().unwrap().name, "text");
        assert_eq!(own_first.notes, ["one", "two"]);
        assert_eq!(own_first.total_steps().unwrap().steps, 350_000);
        assert_eq!(first.total_steps().unwrap().steps, 250_000);
        assert_eq!(own.stages[1], shared.stages[1]);
        let second = recipe("recipe: two\ntraining: {stage: 2, epochs: 3}\n").unwrap();
        assert_eq!((second.stages[0].epochs, second.stages[1].epochs), (None, Some(3.0)));
    }

    #[test]
    fn a_card_brings_its_own_recipe() {
        let own = recipe(
            "recipe:
  stages:
    - method: sft
      trainable: lora
      data: {name: notes}
      learning_rate: {peak: 1.0e-4, schedule: linear, warmup_ratio: 0.1}
      steps: 100
",
        );
        let own = own.unwrap();
        assert_eq!((own.name.as_str(), own.title.as_str()), ("own", "Own, as its card says"));
        assert_eq!((own.method_label().as_str(), own.data_label().as_str()), ("SFT (LoRA)", "notes"));
        let schedule = own.schedule(1).unwrap();
        assert_eq!((schedule.warmup_steps, schedule.total_steps), (10, 100));
        assert_eq!(schedule.lr(10), 1e-4);
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_old_keys_with_their_new_place() {
        let cases = [
            ("recipe: three\n", "own.yaml:6: recipe: expected the name of a file in recipes"),
            ("training: {epochs: 3}\n", "own.yaml:6: training: expected beside it the recipe"),
            (
                "recipe: two\ntraining: {stage: 3}\n",
                "own.yaml:7: training.stage: expected a number from 1 to 2",
            ),
            ("recipe: two\ntraining:\n  epochs: 1\n  top: 1\n", "own.yaml:9: training: unknown field `top`"),
            ("recipe: two\ntraining:\n  epochs: 0\n", "own.yaml:8: training.epochs: expected a positive"),
            ("recipe: two\ntraining:\n  epochs: [1]\n", "own.yaml:8: training: epochs: invalid type"),
            (
                "recipe: two\ntraining:\n  trainable: some\n",
                "own.yaml:8: training: trainable: unknown variant `some`",
            ),
            (
                "recipe: two\ntraining:\n  methods: [sft]\n",
                "name under `recipe`, or `recipe: {stages: [{method: …}]}`",
            ),
            ("recipe: two\ntraining:\n  batch_size: 8\n", "own.yaml:8: training: unknown field `batch_size`"),
            ("recipe: two\ntraining:\n  batch_size: 8\n", "it is now `batch: {sequences: …}`"),
            (
                "recipe: two\ntraining:\n  learning_rate: 0.1\n",
                "own.yaml:8: training: learning_rate: invalid type",
            ),
            ("recipe: two\ntraining:\n  learning_rate: 0.1\n", "it is now `learning_rate: {peak: …}`"),
            ("recipe: two\ntraining:\n  data: notes\n", "it is now `data: {name: …}`"),
        ];
        for (extra, start) in cases {
            let message = recipe(extra).unwrap_err();
            assert!(message.contains(start), "expected {start:?} in {message:?}");
        }
    }

    #[test]
    fn a_released_adapter_is_the_trained_one() {
        let own: Recipe = serde_yaml::from_str(SHARED).unwrap();
        let lora = "base: x\nother_releases:\n- {kind: lora, rule: peft_lora";
        let mut filled = card(&format!("{lora}}}\n"));
        adapters(&mut filled, Some(&own)).unwrap();
        assert_eq!(filled.value.other_releases[0].lora, own.stages[1].lora);
        let message = adapters(&mut card(&format!("{lora}}}\n")), None).unwrap_err().to_string();
        assert!(message.contains("release.lora: expected an adapter"), "{message}");
        let other = format!("{lora}, lora: {{r: 4, alpha: 16, target_modules: [q_proj]}}}}\n");
        let message = adapters(&mut card(&other), Some(&own)).unwrap_err().to_string();
        assert!(
            message.contains("own.yaml:8: release.lora: expected the adapter of the recipe"),
            "{message}"
        );
    }
}
