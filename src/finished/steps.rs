//! What each step of the registry's lineages gained or lost, by measured scores and by published ones.

use super::join::{Column, Joined};
use crate::registry::recipe::Recipe;
use crate::registry::{Card, Registry, is_of};
use crate::report::{Row, Step, StepOf};

/// The steps from models to their derivatives of which both were measured by the same rules in the same arithmetic, on suites and the
/// groups right below them. Where what lies between was not measured, a step leads over it.
pub fn measured_steps(joined: &Joined, registry: &Registry) -> Vec<Step> {
    let card = |column: &Column| registry.find(column.card.as_ref()?).ok();
    let mut steps = Vec::new();
    for derivative in joined.columns.iter().filter(|column| column.rotation == 0) {
        let Some(own) = card(derivative) else { continue };
        let line = registry.lineage(own);
        let ancestors = line.iter().rev().skip(1);
        let near = ancestors.map(|ancestor| {
            let bases = joined
                .columns
                .iter()
                .filter(|column| column.rotation == 0 && column.card.as_ref() == Some(&ancestor.id));
            bases.collect::<Vec<_>>()
        });
        let Some(bases) = near.into_iter().find(|bases| !bases.is_empty()) else { continue };
        for base in bases {
            for after in rows_of(joined, derivative).filter(|row| row.depth <= 1) {
                let before = rows_of(joined, base).find(|before| is_same_question(before, after));
                let Some((before, after_value)) = before.zip(after.value) else { continue };
                let Some(before_value) = before.value else { continue };
                steps.push(Step {
                    family: own.family.clone(),
                    base: base.label.clone(),
                    derivative: derivative.label.clone(),
                    method: method(registry, own),
                    suite: after.task.clone(),
                    metric: metric(after),
                    num_fewshot: after.num_fewshot,
                    before: before_value,
                    after: after_value,
                    stderr: before.stderr.zip(after.stderr).map(|(a, b)| a.hypot(b)),
                    of: StepOf::Measured,
                });
            }
        }
    }
    steps
}

fn rows_of<'j>(joined: &'j Joined, column: &'j Column) -> impl Iterator<Item = &'j Row> {
    joined.rows.iter().filter(|row| row.label.as_ref() == Some(&column.label))
}

fn metric(row: &Row) -> String {
    if row.filter == "none" { row.metric.clone() } else { format!("{},{}", row.metric, row.filter) }
}

/// Whether two values are of the same documents, asked alike but for the chat template, which comes with a model.
fn is_same_question(a: &Row, b: &Row) -> bool {
    let key = |row: &Row| {
        let asked = (row.suite.clone(), row.task.clone(), row.num_fewshot, metric(row), row.protocol.clone());
        (asked, row.precision.clone(), row.n, row.data_sha256.clone(), row.version.clone())
    };
    key(a) == key(b)
}

/// The steps of which both scores were published with the same shots and in the same way, each with the nearest ancestor that has
/// such a score; where several pairs are, one of a single source.
pub fn published_steps(cards: &[&Card], registry: &Registry, suites: &[String]) -> Vec<Step> {
    let mut steps = Vec::new();
    for &derivative in cards {
        let line = registry.lineage(derivative);
        for suite in suites {
            let step = line.iter().rev().skip(1).find_map(|base| {
                let pairs = derivative.scores_of(suite).flat_map(|after| {
                    let alike = base.scores_of(suite).filter(move |before| {
                        is_of(&before.suite, &after.suite)
                            && (&before.metric, before.num_fewshot, &before.protocol)
                                == (&after.metric, after.num_fewshot, &after.protocol)
                            && after.num_fewshot.is_some()
                    });
                    alike.map(move |before| (before, after))
                });
                let (before, after) = pairs.min_by_key(|(before, after)| before.source != after.source)?;
                Some(Step {
                    family: derivative.family.clone(),
                    base: base.id.clone(),
                    derivative: derivative.id.clone(),
                    method: method(registry, derivative),
                    suite: after.suite.clone(),
                    metric: after.metric.clone(),
                    num_fewshot: after.num_fewshot.map(|shots| shots as usize),
                    before: before.value,
                    after: after.value,
                    stderr: None,
                    of: if before.source == after.source { StepOf::OneSource } else { StepOf::Sources },
                })
            });
            steps.extend(step);
        }
    }
    steps
}

/// How a derivative was made.
fn method(registry: &Registry, card: &Card) -> String {
    registry.recipe_of(card).map_or_else(Vec::new, Recipe::tags).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_compare_scores_of_the_same_shots_and_ways() {
        let registry = Registry::load(None).unwrap();
        let cards: Vec<&Card> = registry.cards().iter().collect();
        let suites = ["mmlu", "cmmlu", "ceval", "hellaswag"].map(str::to_owned);
        let steps = published_steps(&cards, &registry, &suites);
        assert!(steps.len() >= 5, "{}", steps.len());
        for step in &steps {
            let has = |id: &str, value: f64| {
                let card = registry.find(id).unwrap();
                card.published.iter().any(|score| {
                    (score.value, score.num_fewshot.map(|n| n as usize)) == (value, step.num_fewshot)
                        && is_of(&score.suite, &step.suite)
                })
            };
            assert!(has(&step.base, step.before) && has(&step.derivative, step.after), "{step:?}");
            let line = registry.lineage(registry.find(&step.derivative).unwrap());
            assert!(line.iter().any(|card| card.id == step.base), "{step:?}");
        }
    }
}
