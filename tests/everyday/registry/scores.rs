//! What the cards have as published: how much there is, and that all of it can be followed to where it was read.

use zoo::registry::Registry;

/// Names of the suites by which models with Chinese are compared.
const CHINESE: [&str; 2] = ["ceval", "cmmlu"];

#[test]
fn every_score_has_a_source_that_can_be_followed() {
    let registry = Registry::load(None).unwrap();
    let scores: Vec<_> = registry.cards().iter().flat_map(|card| &card.published).collect();
    let readable = scores.iter().filter(|score| {
        let src = score.src.as_deref().unwrap_or("");
        !score.source.trim().is_empty()
            && ["R", "H", "P", "I#", "V", "D"].iter().any(|mark| src.starts_with(mark))
    });
    let readable = readable.count();
    let scored = registry.cards().iter().filter(|card| !card.published.is_empty()).count();
    let with_chinese = registry.cards().iter().filter(|card| card.languages.iter().any(|code| code == "zh"));
    let (mut chinese, mut compared) = (0, 0);
    for card in with_chinese {
        chinese += 1;
        compared += usize::from(CHINESE.iter().any(|suite| card.scores_of(suite).next().is_some()));
    }
    println!(
        "{} scores, {readable} with a source that can be followed; {scored} of {} models have one; {compared} of {chinese} \
         models with Chinese have C-Eval or CMMLU",
        scores.len(),
        registry.cards().len(),
    );
    assert_eq!(readable, scores.len(), "a score without a place where it was read");
    assert!(scores.len() >= 1350 && scored >= 108 && compared >= 31, "{} {scored} {compared}", scores.len());
}

#[test]
fn one_score_stands_once() {
    for card in Registry::load(None).unwrap().cards() {
        for (at, score) in card.published.iter().enumerate() {
            let twice = card.published[at + 1..].iter().any(|other| {
                (&other.suite, &other.metric, other.num_fewshot, &other.protocol, &other.source, other.value)
                    == (
                        &score.suite,
                        &score.metric,
                        score.num_fewshot,
                        &score.protocol,
                        &score.source,
                        score.value,
                    )
            });
            assert!(!twice, "{}: {score:?}", card.id);
        }
    }
}
