//! Recipes from text: the embedded `recipes/*.yaml` and those of a user's folder, checked.

use std::collections::BTreeMap;
use std::path::Path;

use serde_yaml::Value;

use super::{Recipe, Stage};
use crate::base::yaml::{self, FileError};
use crate::registry::{RegistryError, embedded};

/// The largest recipe that is read, in bytes.
const MAX_RECIPE_BYTES: u64 = 1 << 18;

/// The subfolder of recipes in `zoo/` and in a user's folder.
const FOLDER: &str = "recipes";

/// All recipes, by name.
#[derive(Debug, Clone, Default)]
pub struct Recipes {
    all: BTreeMap<String, Recipe>,
    /// Which recipe lists a model under `models:`.
    of_model: BTreeMap<String, String>,
}

/// The embedded recipes, and those of `folder/recipes` if there is such a folder.
///
/// A user's recipe replaces an embedded one of the same name. Errors name file, line or field.
pub fn load(folder: Option<&Path>) -> Result<Recipes, RegistryError> {
    let mut recipes = Recipes::default();
    for (path, text) in embedded::files() {
        if path.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/')) {
            recipes.add(parse(text, &format!("zoo/{path}"))?);
        }
    }
    let own = folder.map(|folder| folder.join(FOLDER)).filter(|folder| folder.is_dir());
    for path in own.map_or_else(|| Ok(Vec::new()), |folder| yaml::files_in(&folder))? {
        let text = yaml::read_text(&path, MAX_RECIPE_BYTES)?;
        recipes.add(parse(&text, &path.display().to_string())?);
    }
    Ok(recipes)
}

impl Recipes {
    fn add(&mut self, recipe: Recipe) {
        for id in recipe.models.keys() {
            self.of_model.insert(id.clone(), recipe.name.clone());
        }
        self.all.insert(recipe.name.clone(), recipe);
    }

    /// The recipe of that name.
    pub fn get(&self, name: &str) -> Option<&Recipe> {
        self.all.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    /// All recipes, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Recipe> {
        self.all.values()
    }

    /// The recipe of a model with the model's own changes in it: the one `named` by its card, or if it
    /// names none, the one that lists the model's id. `None` if there is none.
    pub fn of(&self, id: &str, named: Option<&str>) -> Option<Recipe> {
        let name = named.or_else(|| self.of_model.get(id).map(String::as_str))?;
        self.all.get(name)?.for_model(id).ok()
    }
}

/// Reads and checks one recipe; `file` is for messages.
pub(super) fn parse(text: &str, file: &str) -> Result<Recipe, RegistryError> {
    let recipe: Recipe = yaml::parse(file, text)?;
    let check = Check { file, text };
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    check.require(recipe.name == stem, "name", "the file's name without its ending", &recipe.name)?;
    check.require(!recipe.stages.is_empty(), "stages", "at least one stage", "none")?;
    recipe.stages.iter().try_for_each(|stage| check.stage(stage))?;
    for id in recipe.models.keys() {
        let own = recipe.for_model(id).map_err(|message| FileError::Syntax {
            file: file.to_owned(),
            line: check.line(id, ""),
            message: format!("models.{id}: {message}"),
        })?;
        own.stages.iter().try_for_each(|stage| check.stage(stage))?;
    }
    Ok(recipe)
}

/// Lays `change` over `value`: maps key by key, `notes` and `doubts` added, everything else replaced.
pub(super) fn merge(value: &mut Value, change: &Value) {
    let (Value::Mapping(map), Value::Mapping(changes)) = (&mut *value, change) else {
        *value = change.clone();
        return;
    };
    for (key, change) in changes {
        match (map.get_mut(key), change) {
            (Some(Value::Sequence(old)), Value::Sequence(new))
                if matches!(key.as_str(), Some("notes" | "doubts")) =>
            {
                old.extend(new.iter().cloned());
            }
            (Some(old), change) => merge(old, change),
            (None, change) => {
                map.insert(key.clone(), change.clone());
            }
        }
    }
}

/// Values that no training can have, named with their line.
struct Check<'a> {
    file: &'a str,
    text: &'a str,
}

impl Check<'_> {
    fn line(&self, key: &str, value: &str) -> usize {
        let has_key = |line: &&str| line.contains(&format!("{key}:"));
        let find = |value: &str| {
            self.text.lines().position(|line| has_key(&line) && line.contains(value)).map(|at| at + 1)
        };
        find(value).or_else(|| find("")).unwrap_or_default()
    }

    fn require(
        &self,
        ok: bool,
        field: &str,
        expected: &'static str,
        found: &str,
    ) -> Result<(), RegistryError> {
        if ok {
            return Ok(());
        }
        Err(FileError::Field {
            file: self.file.to_owned(),
            line: self.line(field.rsplit('.').next().unwrap_or(field), found),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: format!("{found:?}"),
        }
        .into())
    }

    fn positive(&self, field: &str, value: Option<f64>) -> Result<(), RegistryError> {
        let Some(value) = value else { return Ok(()) };
        self.require(value.is_finite() && value > 0.0, field, "a positive number", &value.to_string())
    }

    fn fraction(&self, field: &str, value: Option<f64>) -> Result<(), RegistryError> {
        let Some(value) = value else { return Ok(()) };
        self.require((0.0..=1.0).contains(&value), field, "a number from 0 to 1", &value.to_string())
    }

    fn stage(&self, stage: &Stage) -> Result<(), RegistryError> {
        let whole = |value: Option<u64>| value.map(|n| n as f64);
        self.positive("sequence_length", whole(stage.sequence_length))?;
        self.positive("epochs", stage.epochs)?;
        self.positive("steps", whole(stage.steps))?;
        if let Some(batch) = &stage.batch {
            self.positive("batch.sequences", whole(batch.sequences))?;
        }
        if let Some(data) = &stage.data {
            let sum: f64 = data.mixture.iter().map(|share| share.percent).sum();
            let ok = data.mixture.is_empty() || (sum - 100.0).abs() < 0.5;
            self.require(ok, "data.mixture", "percentages that sum to 100", &sum.to_string())?;
        }
        if let Some(rate) = &stage.learning_rate {
            self.positive("learning_rate.peak", Some(rate.peak))?;
            self.fraction("learning_rate.warmup_ratio", rate.warmup_ratio)?;
            self.fraction("learning_rate.final_fraction", rate.final_fraction)?;
            let one = rate.warmup_steps.is_none() || rate.warmup_ratio.is_none();
            self.require(one, "learning_rate.warmup_ratio", "not warmup_steps as well", "both")?;
        }
        if let Some(optimizer) = &stage.optimizer {
            self.fraction("optimizer.beta1", optimizer.beta1)?;
            self.fraction("optimizer.beta2", optimizer.beta2)?;
            self.fraction("optimizer.weight_decay", optimizer.weight_decay)?;
            self.positive("optimizer.eps", optimizer.eps)?;
            self.positive("optimizer.gradient_clipping", optimizer.gradient_clipping)?;
        }
        if let Some(lora) = &stage.lora {
            self.positive("lora.rank", whole(Some(lora.rank)))?;
            self.positive("lora.alpha", Some(lora.alpha))?;
            self.fraction("lora.dropout", lora.dropout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RECIPE: &str = "\
name: two
title: Two sizes
stages:
  - method: pretraining
    data: {name: text, tokens: 1.0T}
    batch: {tokens: 4M}
    learning_rate: {peak: 3.0e-4, schedule: cosine, warmup_steps: 2000, final_fraction: 0.1}
    notes: [one]
models:
  small: {}
  large:
    data: {tokens: 1.4T}
    learning_rate: {peak: 1.5e-4}
    notes: [two]
";

    fn parse_two(text: &str) -> Result<Recipe, RegistryError> {
        parse(text, "own/two.yaml")
    }

    #[test]
    fn a_model_has_its_own_changes_and_the_rest_is_shared() {
        let recipe = parse_two(RECIPE).unwrap();
        let large = recipe.for_model("large").unwrap();
        let (shared, own) = (&recipe.stages[0], &large.stages[0]);
        assert_eq!(own.learning_rate.as_ref().unwrap().peak, 1.5e-4);
        assert_eq!(own.learning_rate.as_ref().unwrap().warmup_steps, Some(2000));
        assert_eq!(own.data.as_ref().unwrap().name, "text");
        assert_eq!(own.notes, ["one", "two"]);
        assert_eq!(own.total_steps().unwrap().steps, 350_000);
        assert_eq!(shared.total_steps().unwrap().steps, 250_000);
        assert_eq!(recipe.for_model("small").unwrap().stages, recipe.stages);
        assert_eq!(recipe.for_model("unlisted").unwrap().stages, recipe.stages);
    }

    #[test]
    fn mistakes_are_named_with_file_and_line() {
        let cases = [
            (RECIPE.replace("name: two\n", "name: three\n"), "own/two.yaml:1: name:"),
            (RECIPE.replace("cosine", "sine"), "own/two.yaml:7: "),
            (RECIPE.replace("4M}", "many}"), "own/two.yaml:6: "),
            (RECIPE.replace("peak: 3.0e-4", "peak: -1"), "own/two.yaml:7: learning_rate.peak:"),
            (RECIPE.replace("notes: [one]", "note: one"), "own/two.yaml:8: "),
            (RECIPE.replace("peak: 1.5e-4", "top: 1.5e-4"), "own/two.yaml:11: models.large: "),
            (RECIPE.replace("small: {}", "small: {stage: 2}"), "own/two.yaml:10: models.small: stage:"),
            (RECIPE.replace("final_fraction: 0.1", "final_fraction: 2"), "learning_rate.final_fraction:"),
            (RECIPE.replace("2000", "2000, warmup_ratio: 0.1"), "own/two.yaml:7: learning_rate.warmup_ratio"),
        ];
        for (text, start) in cases {
            let message = parse_two(&text).unwrap_err().to_string();
            assert!(message.contains(start), "expected {start:?} in {message:?}");
        }
    }

    #[test]
    fn a_users_folder_is_read_beside_the_embedded_recipes() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("recipes")).unwrap();
        fs::write(folder.path().join("recipes/two.yaml"), RECIPE).unwrap();
        let recipes = load(Some(folder.path())).unwrap();
        assert!(recipes.get("two").is_some() && recipes.get("llama-2-pretraining").is_some());
        assert_eq!(recipes.of("large", None).unwrap().schedule(1).unwrap().peak, 1.5e-4);
        assert_eq!(recipes.of("large", Some("none")), None);
        assert_eq!(recipes.of("unlisted", None), None);
        fs::write(folder.path().join("recipes/bad.yaml"), "name: [").unwrap();
        let message = load(Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains("bad.yaml:"), "{message}");
    }

    #[test]
    fn every_embedded_recipe_has_sources_and_no_model_has_two() {
        let recipes = load(None).unwrap();
        let mut seen = BTreeMap::new();
        for recipe in recipes.iter() {
            for stage in &recipe.stages {
                assert!(recipe.src.is_some() || stage.src.is_some(), "{}: no src", recipe.name);
            }
            for id in recipe.models.keys() {
                assert_eq!(seen.insert(id.clone(), &recipe.name), None, "{id} is in two recipes");
            }
        }
    }

    #[test]
    fn the_llama_recipes_are_those_of_the_papers() {
        let recipes = load(None).unwrap();
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
            let recipe = recipes.of(id, None).unwrap();
            let schedule = recipe.schedule(1).unwrap();
            let decay = super::super::Decay::Cosine;
            let expected =
                super::super::Schedule { peak, decay, warmup_steps: 2000, total_steps, final_fraction: 0.1 };
            assert_eq!(schedule, expected, "{id}");
            let optimizer = recipe.stages[0].optimizer.clone().unwrap();
            assert_eq!((optimizer.beta1, optimizer.beta2), (Some(0.9), Some(0.95)));
            assert_eq!((optimizer.weight_decay, optimizer.gradient_clipping), (Some(0.1), Some(1.0)));
        }
    }
}
