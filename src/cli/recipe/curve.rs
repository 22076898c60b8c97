//! The learning rate as numbers and as a plot.

use crate::registry::Card;
use crate::registry::recipe::{Count, Recipe, Schedule};
use crate::report::figure::{Curve, Mark};

/// `stage,step,tokens,learning_rate`, one line to a step; tokens are empty if the batch is not in tokens.
pub fn csv(recipe: &Recipe, stage: usize, schedule: &Schedule, steps: &[u64]) -> anyhow::Result<String> {
    let each = batch_tokens(recipe, stage);
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["stage", "step", "tokens", "learning_rate"])?;
    for &step in steps {
        let tokens = each.and_then(|Count(each)| each.checked_mul(step));
        let tokens = tokens.map_or_else(String::new, |tokens| tokens.to_string());
        out.write_record([stage.to_string(), step.to_string(), tokens, number(schedule.lr(step))])?;
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}

/// A rate with twelve significant digits at most, so that the last bits of binary arithmetic do not show.
pub fn number(value: f64) -> String {
    format!("{value:.11e}").parse::<f64>().unwrap_or(value).to_string()
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
        batch_tokens(recipe, stage).map(|each| format!(" ({each} tokens each)")).unwrap_or_default();
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

/// `3e-4`, `1.5e-4`.
pub fn rate(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.5e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// `500 000`: groups of three from five digits on.
pub fn spaced(value: u64) -> String {
    let digits = value.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn batch_tokens(recipe: &Recipe, stage: usize) -> Option<Count> {
    recipe.stages.get(stage.checked_sub(1)?)?.batch.as_ref()?.tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact() {
        let texts = [0.0, 3e-4, 0.1 * 3e-4, 1.65e-4, 2e-5].map(number);
        assert_eq!(texts, ["0", "0.0003", "0.00003", "0.000165", "0.00002"]);
        assert_eq!([0.0, 3e-4, 0.1 * 3e-4, 1.65e-4].map(rate), ["0", "3e-4", "3e-5", "1.65e-4"]);
        assert_eq!(
            [7, 2000, 12_345, 500_000, 1_234_567].map(spaced),
            ["7", "2000", "12 345", "500 000", "1 234 567"]
        );
    }
}
