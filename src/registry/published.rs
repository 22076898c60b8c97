//! Scores that others have published. Many come from one table, so a card may write a source once, with
//! the scores below it:
//!
//! ```yaml
//! published:
//!   - source: a paper
//!     src: R
//!     scores:
//!       - {suite: mmlu, metric: acc, num_fewshot: 5, value: 0.351}
//!       - {metric: acc, num_fewshot: 0, values: {boolq: 0.765, piqa: 0.798}}
//!   - {suite: gsm8k, metric: exact_match, value: 0.11, source: a leaderboard}
//! ```

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// One score from a paper, a model card or a leaderboard.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The suite's name in this program, or the benchmark's own: `mmlu`, `hellaswag`, `mt_bench`, …
    pub suite: String,
    /// The metric's name: `acc`, `acc_norm`, `exact_match`, …
    pub metric: String,
    /// Number of examples in the prompt, if it was stated.
    pub num_fewshot: Option<u32>,
    /// The score in the metric's own unit (fractions, not percent, for accuracies).
    pub value: f64,
    /// Where it was published.
    pub source: String,
    /// How it was measured, where that differs from what this program does.
    pub protocol: Option<String>,
    /// Where it was read, a provenance mark.
    pub src: Option<String>,
}

/// One item of the list in a card: a score, or a source with its scores.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    source: String,
    suite: Option<String>,
    metric: Option<String>,
    num_fewshot: Option<u32>,
    value: Option<f64>,
    protocol: Option<String>,
    src: Option<String>,
    scores: Option<Vec<Score>>,
}

/// A score below its source, or several that share metric and shots; what it does not say itself is as the source says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    suite: Option<String>,
    metric: String,
    num_fewshot: Option<u32>,
    value: Option<f64>,
    /// By suite, in the order of the file.
    values: Option<Map<String, Value>>,
    protocol: Option<String>,
    src: Option<String>,
}

impl Score {
    /// Each suite with its value.
    fn values(&self) -> Result<Vec<(String, f64)>, &'static str> {
        match (&self.suite, self.value, &self.values) {
            (Some(suite), Some(value), None) => Ok(vec![(suite.clone(), value)]),
            (None, None, Some(values)) if !values.is_empty() => values
                .iter()
                .map(|(suite, value)| Some((suite.clone(), value.as_f64()?)))
                .collect::<Option<_>>()
                .ok_or("expected numbers in values"),
            _ => Err("expected suite and value, or values: a map from suites to values"),
        }
    }
}

/// The scores of one item.
struct Group(Vec<Published>);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a visitor, because an error that is made inside of the map has the map's line.
        struct GroupVisitor;
        impl<'de> Visitor<'de> for GroupVisitor {
            type Value = Group;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map with a score, or with a source and its scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Group, A::Error> {
                Item::deserialize(MapAccessDeserializer::new(map))?.try_into().map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(GroupVisitor)
    }
}

impl TryFrom<Item> for Group {
    type Error = &'static str;

    fn try_from(item: Item) -> Result<Self, Self::Error> {
        let Item { source, suite, metric, num_fewshot, value, protocol, src, scores } = item;
        let group = match (scores, suite, metric, value) {
            (None, Some(suite), Some(metric), Some(value)) => {
                vec![Published { suite, metric, num_fewshot, value, source, protocol, src }]
            }
            (Some(scores), None, None, None) if num_fewshot.is_none() => {
                let mut all = Vec::new();
                for score in scores {
                    for (suite, value) in score.values()? {
                        all.push(Published {
                            suite,
                            metric: score.metric.clone(),
                            num_fewshot: score.num_fewshot,
                            value,
                            source: source.clone(),
                            protocol: score.protocol.clone().or_else(|| protocol.clone()),
                            src: score.src.clone().or_else(|| src.clone()),
                        });
                    }
                }
                all
            }
            _ => return Err("expected suite, metric and value, or scores: a list of maps with them"),
        };
        Ok(Group(group))
    }
}

/// Reads the list of a card.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Published>, D::Error> {
    let groups = Vec::<Group>::deserialize(deserializer)?;
    Ok(groups.into_iter().flat_map(|Group(scores)| scores).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Published>, serde_yaml::Error> {
        deserialize(serde_yaml::Deserializer::from_str(text))
    }

    #[test]
    fn a_group_is_its_scores() {
        let grouped = "\
- source: a paper
  src: R
  scores:
    - {suite: mmlu, metric: acc, num_fewshot: 5, value: 0.351}
    - {suite: gsm8k, metric: exact_match, value: 0.11, protocol: maj1, src: V}
- {suite: piqa, metric: acc, value: 0.5, source: a card}
";
        let flat = "\
- {suite: mmlu, metric: acc, num_fewshot: 5, value: 0.351, source: a paper, src: R}
- {suite: gsm8k, metric: exact_match, value: 0.11, protocol: maj1, source: a paper, src: V}
- {suite: piqa, metric: acc, value: 0.5, source: a card}
";
        assert_eq!(read(grouped).unwrap(), read(flat).unwrap());
    }

    #[test]
    fn half_a_score_is_an_error_with_its_line() {
        for text in ["{suite: mmlu, source: x}", "{source: x}", "{suite: mmlu, source: x, scores: []}"] {
            let error =
                read(&format!("- {{suite: a, metric: acc, value: 0, source: x}}\n- {text}\n")).unwrap_err();
            assert!(error.to_string().contains("expected suite, metric and value, or scores"), "{error}");
            assert_eq!(error.location().map(|place| place.line()), Some(2), "{error}");
        }
        assert!(read("- {source: x, scores: [{suite: a, metric: acc, value: 0, what: 1}]}").is_err());
    }
}
