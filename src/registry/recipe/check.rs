//! Values that no training can have, named with their line.

use super::{Decay, Recipe, Stage};
use crate::base::yaml;
use crate::registry::RegistryError;
use crate::registry::checker::Checker;
use crate::registry::parts;

/// Checks a recipe of the folder of recipes; `file` has its name.
pub(in crate::registry) fn file(
    checker: &Checker<'_>,
    file: &str,
    recipe: &Recipe,
) -> Result<(), RegistryError> {
    let named = recipe.name == yaml::stem(file);
    checker.require(named, "name", "the file's name without its ending", &recipe.name)?;
    checker.require(!recipe.title.trim().is_empty(), "title", "some text", &recipe.title)?;
    stages(checker, "", recipe)
}

/// Checks the stages of a recipe; `prefix` goes before the names of their fields.
pub(in crate::registry) fn stages(
    checker: &Checker<'_>,
    prefix: &str,
    recipe: &Recipe,
) -> Result<(), RegistryError> {
    checker.require(!recipe.stages.is_empty(), &format!("{prefix}stages"), "at least one stage", "none")?;
    recipe.stages.iter().try_for_each(|one| stage(checker, prefix, one))
}

/// Checks one stage.
pub(in crate::registry) fn stage(
    checker: &Checker<'_>,
    prefix: &str,
    stage: &Stage,
) -> Result<(), RegistryError> {
    let field = |name: &str| format!("{prefix}{name}");
    checker.positive(&field("sequence_length"), stage.sequence_length)?;
    checker.positive_float(&field("epochs"), stage.epochs)?;
    checker.positive(&field("steps"), stage.steps)?;
    if let Some(batch) = &stage.batch {
        checker.positive(&field("batch.sequences"), batch.sequences)?;
    }
    if let Some(data) = &stage.data {
        let sum: f64 = data.mixture.iter().map(|share| share.percent).sum();
        let ok = data.mixture.is_empty() || (sum - 100.0).abs() < 0.5;
        checker.require(ok, &field("data.mixture"), "percentages that sum to 100", &sum.to_string())?;
    }
    if let Some(rate) = &stage.learning_rate {
        checker.positive_float(&field("learning_rate.peak"), Some(rate.peak))?;
        checker.fraction(&field("learning_rate.warmup_ratio"), rate.warmup_ratio)?;
        if let Some(last) = rate.final_fraction {
            let (ok, found) = ((0.0..=1.0).contains(&last), last.to_string());
            checker.require(ok, &field("learning_rate.final_fraction"), "a number from 0 to 1", &found)?;
        }
        checker.positive(&field("learning_rate.decay_steps"), rate.decay_steps)?;
        if let Some(decay) = rate.decay_steps {
            let name = field("learning_rate.decay_steps");
            let falls = matches!(rate.schedule, Some(Decay::Cosine | Decay::Linear));
            checker.require(falls, &name, "schedule: linear or cosine beside it", "none that falls")?;
            let warmup = stage.schedule().map_or(rate.warmup_steps.unwrap_or(0), |curve| curve.warmup_steps);
            let room = stage.total_steps().map(|total| total.steps.saturating_sub(warmup));
            let expected = format!("at most the {} steps after the warm-up", room.unwrap_or(decay));
            checker.require(room.is_none_or(|room| decay <= room), &name, &expected, &decay.to_string())?;
        }
        let one = rate.warmup_steps.is_none() || rate.warmup_ratio.is_none();
        checker.require(one, &field("learning_rate.warmup_ratio"), "not warmup_steps as well", "both")?;
    }
    if let Some(optimizer) = &stage.optimizer {
        checker.fraction(&field("optimizer.beta1"), optimizer.beta1)?;
        checker.fraction(&field("optimizer.beta2"), optimizer.beta2)?;
        checker.fraction(&field("optimizer.weight_decay"), optimizer.weight_decay)?;
        checker.positive_float(&field("optimizer.eps"), optimizer.eps)?;
        checker.positive_float(&field("optimizer.gradient_clipping"), optimizer.gradient_clipping)?;
    }
    stage.lora.iter().try_for_each(|lora| parts::lora(checker, &field("lora"), lora))
}

#[cfg(test)]
mod tests {
    use crate::registry::Registry;

    const RECIPE: &str = "\
name: two
title: Two sizes
stages:
  - method: pretraining
    data: {name: text, tokens: 1.0T}
    batch: {tokens: 4M}
    learning_rate: {peak: 3.0e-4, schedule: cosine, warmup_steps: 2000, final_fraction: 0.1}
    notes: [one]
";

    #[test]
    fn mistakes_are_named_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipes/two.yaml");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let fault = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Registry::file_faults(std::slice::from_ref(&path)).pop().map(|e| e.to_string())
        };
        assert_eq!(fault(RECIPE), None);
        let cases = [
            (RECIPE.replace("name: two\n", "name: three\n"), "two.yaml:1: name:"),
            (RECIPE.replace("title: Two sizes\n", ""), "two.yaml:0: title:"),
            (RECIPE.replace("cosine", "sine"), "two.yaml:7: "),
            (RECIPE.replace("4M}", "many}"), "two.yaml:6: "),
            (RECIPE.replace("peak: 3.0e-4", "peak: -1"), "two.yaml:7: learning_rate.peak:"),
            (RECIPE.replace("notes: [one]", "note: one"), "two.yaml:8: "),
            (RECIPE.replace("final_fraction: 0.1", "final_fraction: 2"), "learning_rate.final_fraction:"),
            (RECIPE.replace("2000", "2000, decay_steps: 0"), "two.yaml:7: learning_rate.decay_steps:"),
            (
                RECIPE.replace("2000", "2000, decay_steps: 248001"),
                "at most the 248000 steps after the warm-up",
            ),
            (RECIPE.replace("cosine", "constant, decay_steps: 9"), "linear or cosine beside it"),
            (RECIPE.replace("2000", "2000, warmup_ratio: 0.1"), "two.yaml:7: learning_rate.warmup_ratio"),
            (RECIPE.replace("notes: [one]", "lora: {r: 8, alpha: 0}"), "two.yaml:8: lora.alpha"),
            (RECIPE.replace("notes: [one]", "lora: {rank: 8, alpha: 0}"), "`rank`"),
            (format!("{RECIPE}models: {{}}\n"), "under `training` in its card"),
        ];
        for (text, start) in cases {
            let message = fault(&text).unwrap();
            assert!(message.contains(start), "expected {start:?} in {message:?}");
        }
    }
}
