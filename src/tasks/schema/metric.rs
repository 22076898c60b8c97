//! `metric_list` and `filter_list`: what is measured and how answers are prepared for it.

use serde_json::{Map, Value};

use super::field::OutputType;
use super::keys::FromSlot;
use super::value::{FunctionRef, Slot};
use crate::tasks::error::TaskError;

/// One entry of `metric_list`, as written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricConfig {
    /// The name; of a function its last part.
    pub metric: String,
    /// Set if the metric is a function.
    pub function: Option<FunctionRef>,
    /// The name of the aggregation, if given.
    pub aggregation: Option<String>,
    /// Whether more is better, if given.
    pub higher_is_better: Option<bool>,
    /// Whether the metric is one of the `evaluate` library.
    pub hf_evaluate: bool,
    /// All other keys: arguments of the metric.
    pub kwargs: Map<String, Value>,
}

/// A metric of a task with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSpec {
    /// The name: `acc`, `acc_norm`, …
    pub name: String,
    /// How the values of the documents become one: `mean`, `perplexity`, …
    pub aggregation: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Set if the metric is a function.
    pub function: Option<FunctionRef>,
    /// Arguments of the metric.
    pub kwargs: Map<String, Value>,
}

/// Name, aggregation and direction of the metrics that need no word of their own in a task file.
const KNOWN: [(&str, &str, bool); 21] = [
    ("acc", "mean", true),
    ("acc_norm", "mean", true),
    ("acc_bytes", "mean", true),
    ("acc_token", "mean", true),
    ("acc_ppl", "mean", true),
    ("acc_mutual_info", "mean", true),
    ("acc_all", "mean", true),
    ("exact_match", "mean", true),
    ("perplexity", "perplexity", false),
    ("word_perplexity", "weighted_perplexity", false),
    ("byte_perplexity", "weighted_perplexity", false),
    ("bits_per_byte", "bits_per_byte", false),
    ("likelihood", "mean", true),
    ("brier_score", "brier_score", false),
    ("f1", "f1", true),
    ("mcc", "matthews_corrcoef", true),
    ("bleu", "bleu", true),
    ("chrf", "chrf", true),
    ("chrf++", "chrf++", true),
    ("ter", "ter", false),
    ("bypass", "bypass", true),
];

impl MetricSpec {
    fn known(name: &str) -> Self {
        let found = KNOWN.iter().find(|(known, _, _)| *known == name);
        let (aggregation, higher_is_better) = found.map_or(("mean", true), |(_, a, h)| (*a, *h));
        let (name, aggregation) = (name.into(), aggregation.into());
        Self { name, aggregation, higher_is_better, function: None, kwargs: Map::new() }
    }

    /// The metrics of a task that lists none.
    pub fn defaults(output_type: OutputType) -> Vec<Self> {
        let names: &[&str] = match output_type {
            OutputType::Loglikelihood => &["perplexity", "acc"],
            OutputType::LoglikelihoodRolling => &["word_perplexity", "byte_perplexity", "bits_per_byte"],
            OutputType::MultipleChoice => &["acc", "acc_norm"],
            OutputType::GenerateUntil => &["exact_match"],
        };
        names.iter().map(|name| Self::known(name)).collect()
    }
}

impl MetricConfig {
    /// A metric of which only the name is given.
    pub fn named(name: &str) -> Self {
        Self { metric: name.to_owned(), ..Self::default() }
    }

    /// The metric with its defaults filled in.
    pub fn spec(&self) -> MetricSpec {
        let known = MetricSpec::known(&self.metric);
        MetricSpec {
            name: known.name,
            aggregation: self.aggregation.clone().unwrap_or(known.aggregation),
            higher_is_better: self.higher_is_better.unwrap_or(known.higher_is_better),
            function: self.function.clone(),
            kwargs: self.kwargs.clone(),
        }
    }
}

impl FromSlot for MetricConfig {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let mut config = Self::default();
        for (key, slot) in slot.pairs()? {
            match key {
                "metric" => (config.metric, config.function) = (slot.name()?, slot.function()),
                "aggregation" if slot.value.is_null() => {}
                "aggregation" => config.aggregation = Some(slot.name()?),
                "higher_is_better" => config.higher_is_better = FromSlot::from_slot(&slot)?,
                "hf_evaluate" => config.hf_evaluate = slot.bool()?,
                other => {
                    config.kwargs.insert(other.to_owned(), slot.json()?);
                }
            }
        }
        if config.metric.is_empty() {
            return Err(slot.error("a metric needs the key `metric` with its name"));
        }
        Ok(config)
    }
}

/// One pipeline of `filter_list`.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterConfig {
    /// The name, printed after the comma of `metric,filter`.
    pub name: String,
    /// The steps with their arguments, in order.
    pub steps: Vec<FilterStep>,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterStep {
    /// The name of the step: `regex`, `take_first`, …
    pub function: String,
    /// Set if the step is a function, by itself or as the `filter_fn` of `custom`.
    pub native: Option<FunctionRef>,
    /// Keys of the entry beside its function, in order.
    pub kwargs: Map<String, Value>,
}

impl FromSlot for FilterConfig {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let (mut name, mut steps) = (None, Vec::new());
        for (key, slot) in slot.pairs()? {
            match key {
                "name" => name = Some(slot.string()?),
                "filter" => steps = FromSlot::from_slot(&slot)?,
                other => return Err(slot.unknown(other, ["name", "filter"])),
            }
        }
        let name = name.ok_or_else(|| slot.error("a filter needs a `name`"))?;
        Ok(Self { name, steps })
    }
}

impl FromSlot for FilterStep {
    fn from_slot(slot: &Slot<'_>) -> Result<Self, TaskError> {
        let (mut function, mut native, mut kwargs) = (None, None, Map::new());
        for (key, slot) in slot.pairs()? {
            match key {
                "function" => {
                    native = native.or(slot.function());
                    let name = slot.function().map(|f| f.name);
                    function = Some(name.map_or_else(|| slot.string(), Ok)?);
                }
                "filter_fn" if slot.function().is_some() => native = slot.function(),
                _ => {
                    kwargs.insert(key.to_owned(), slot.json()?);
                }
            }
        }
        let function = function.ok_or_else(|| slot.error("a filter step needs a `function`"))?;
        Ok(Self { function, native, kwargs })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::source::{Entry, Location, Origin};
    use super::*;

    fn entry(yaml: &str) -> Entry {
        let origin = Arc::new(Origin::new(Location::Disk("t.yaml".into()), "metric_list: x\n"));
        Entry { value: serde_yaml::from_str(yaml).unwrap(), origin }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let entry = entry(
            "[{metric: perplexity}, {metric: acc, aggregation: nanmean, x: 1}, {metric: !function u.own}]",
        );
        let list = Vec::<MetricConfig>::from_slot(&Slot::new("metric_list", &entry)).unwrap();
        let specs: Vec<MetricSpec> = list.iter().map(MetricConfig::spec).collect();
        let short = |s: &MetricSpec| (s.name.clone(), s.aggregation.clone(), s.higher_is_better);
        assert_eq!(short(&specs[0]), ("perplexity".into(), "perplexity".into(), false));
        assert_eq!(short(&specs[1]), ("acc".into(), "nanmean".into(), true));
        assert_eq!(specs[1].kwargs.get("x"), Some(&Value::from(1)));
        assert_eq!(short(&specs[2]), ("own".into(), "mean".into(), true));
        assert_eq!(list[2].function.as_ref().unwrap().name, "u.own");
    }

    #[test]
    fn defaults_depend_on_the_output_type() {
        let names = |kind| MetricSpec::defaults(kind).into_iter().map(|m| m.name).collect::<Vec<_>>();
        assert_eq!(names(OutputType::MultipleChoice), ["acc", "acc_norm"]);
        assert_eq!(names(OutputType::Loglikelihood), ["perplexity", "acc"]);
    }

    #[test]
    fn filters_have_names_and_steps() {
        let read = |yaml: &str| {
            let entry = entry(yaml);
            Vec::<FilterConfig>::from_slot(&Slot::new("filter_list", &entry))
        };
        let list = read("[{name: strict, filter: [{function: regex, group_select: -1}]}]").unwrap();
        assert_eq!(list[0].steps[0].kwargs.get("group_select"), Some(&Value::from(-1)));
        let said = read("[{name: x, filters: []}]").unwrap_err().to_string();
        assert!(said.contains("filter_list[0].filters") && said.contains("\"filter\""), "{said}");
        assert!(read("[{filter: []}]").is_err());
    }
}
