//! Whether suites are asked with as many examples as a model's published scores were measured with.

use std::collections::BTreeSet;

use super::Options;
use super::subjects::Model;
use crate::registry::Card;
use crate::tasks::Suite;

/// Says of each model with a card what [`remarks`] has to say.
pub fn warn(models: &[Model], suites: &[Suite], options: &Options) {
    let card = |model: &'_ Model| match model {
        Model::Local(subject) => subject.card.clone(),
        Model::Remote(_) => None,
    };
    for card in models.iter().filter_map(card) {
        remarks(&card, suites, options).iter().for_each(|line| tracing::warn!("{line}"));
    }
}

/// A line for each suite whose published scores were all measured with another number of examples than it is asked with;
/// none if the user chose the number.
fn remarks(card: &Card, suites: &[Suite], options: &Options) -> Vec<String> {
    let mut lines = Vec::new();
    if options.num_fewshot.is_none() {
        suites.iter().for_each(|suite| collect(card, suite, &mut lines));
    }
    lines.dedup();
    lines
}

fn collect(card: &Card, suite: &Suite, lines: &mut Vec<String>) {
    let published = card.published.iter().filter(|score| score.suite == suite.name());
    let measured: BTreeSet<u32> = published.filter_map(|score| score.num_fewshot).collect();
    let asked: BTreeSet<usize> =
        suite.tasks().iter().map(|task| task.config.num_fewshot.unwrap_or(0)).collect();
    if let (Some(first), [asked]) = (measured.first(), asked.iter().collect::<Vec<_>>().as_slice())
        && measured.iter().all(|&shots| shots as usize != **asked)
    {
        let known: Vec<String> = measured.iter().map(u32::to_string).collect();
        lines.push(format!(
            "{}: {} is asked with {asked} examples, its published scores were measured with {}; --num-fewshot {first} asks \
             as they do",
            card.id,
            suite.name(),
            known.join(" or ")
        ));
    }
    if let Suite::Group(group) = suite {
        group.children.iter().for_each(|child| collect(card, child, lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::tasks::Index;

    #[test]
    fn other_numbers_of_examples_are_said_with_the_flag() {
        let registry = Registry::load(None).unwrap();
        let card = registry.find("llama-7b").unwrap();
        let mut card = card.clone();
        card.published.retain(|score| score.suite != "arc_challenge");
        let yaml = "{suite: arc_challenge, metric: acc_norm, num_fewshot: 25, value: 0.5, source: a board}";
        card.published.push(serde_yaml::from_str(yaml).unwrap());
        let index = Index::load(&[]).unwrap();
        let lines = |options: &Options, name: &str| remarks(&card, &[index.resolve(name).unwrap()], options);
        let default = Options::default();
        assert_eq!(
            lines(&default, "arc_challenge"),
            [
                "llama-7b: arc_challenge is asked with 0 examples, its published scores were measured with 25; \
              --num-fewshot 25 asks as they do"
            ]
        );
        assert_eq!(lines(&default, "wikitext"), Vec::<String>::new());
        let chosen = Options { num_fewshot: Some(0), ..Options::default() };
        assert_eq!(lines(&chosen, "arc_challenge"), Vec::<String>::new());
        // A group that asks as the board does has nothing to say.
        assert!(lines(&default, "open-llm-v1").iter().all(|line| !line.contains("arc_challenge")));
    }
}
