//! The learning rate as numbers and as a plot.

use crate::registry::Card;
use crate::registry::recipe::{Count, Recipe, Schedule};
use crate::report::Table;
use crate::report::figure::{Curve, Mark};
use crate::report::numbers::{rate, spaced};
use crate::report::table::data;

/// One row to a step; tokens are empty if the batch is not in tokens.
pub fn table<'s>(recipe: &Recipe, stage: usize, schedule: &Schedule, steps: &'s [u64]) -> Table<&'s u64> {
    let each = batch_tokens(recipe, stage);
    Table::of(steps)
        .column(data("stage"), |_| stage)
        .column(data("step"), |step| *step)
        .column(data("tokens"), |step| each.and_then(|Count(each)| each.checked_mul(*step)))
        .column(data("learning_rate"), |step| twelve_digits(schedule.lr(*step)))
        .decimal_floats()
}

/// A rate with twelve significant digits at most, so that the last bits of binary arithmetic do not show.
fn twelve_digits(value: f64) -> f64 {
    format!("{value:.11e}").parse().expect("a printed number can be read")
}

/// A plot of the whole curve; the corner at the end of the warm-up is one of its points.
pub fn svg(card: &Card, recipe: &Recipe, stage: usize, schedule: &Schedule, points: usize) -> String {
    let mut steps = schedule.steps(points.max(2));
    steps.push(schedule.warmup_steps.min(schedule.total_steps));
    steps.sort_unstable();
    steps.dedup();
    let point = |step: u64| (step as f64, schedule.lr(step));
    let mark = |step: u64, rate: &str| {
        let words = format!("{rate} at step {}", spaced(step));
        Mark { x: step as f64, y: schedule.lr(step), words }
    };
    let peak = schedule.warmup_steps.min(schedule.total_steps);
    let marks = vec![
        mark(peak, &rate(schedule.lr(peak))),
        mark(schedule.total_steps, &rate(schedule.lr(schedule.total_steps))),
    ];
    let of = if recipe.stages.len() > 1 { format!(", stage {stage}") } else { String::new() };
    let per_step =
        batch_tokens(recipe, stage).map_or_else(String::new, |each| format!(" ({each} tokens each)"));
    let curve = Curve {
        title: format!("Learning rate of {}{of}", card.name),
        subtitle: format!(
            "{} · {} warm-up steps · {} steps{per_step} · from {} to {}",
            schedule.decay.as_str(),
            spaced(schedule.warmup_steps),
            spaced(schedule.total_steps),
            rate(schedule.peak),
            rate(schedule.lr(schedule.total_steps)),
        ),
        x_label: "step".to_owned(),
        y_label: "learning rate".to_owned(),
        points: steps.into_iter().map(point).collect(),
        marks,
    };
    curve.svg()
}

fn batch_tokens(recipe: &Recipe, stage: usize) -> Option<Count> {
    recipe.stages.get(stage.checked_sub(1)?)?.batch.as_ref()?.tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bits_do_not_show() {
        let texts = [0.0, 3e-4, 0.1 * 3e-4, 1.65e-4, 2e-5].map(|rate| twelve_digits(rate).to_string());
        assert_eq!(texts, ["0", "0.0003", "0.00003", "0.000165", "0.00002"]);
    }
}
