//! Values of documents → the metrics of a task and what each document shows of them.

use std::collections::BTreeMap;

use super::EvaluateError;
use crate::metrics::{Aggregate, Aggregation};
use crate::tasks::{DocValue, MetricSpec};

/// A metric of a task after one filter.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMetric {
    /// The metric.
    pub metric: String,
    /// The filter; `none` where there is nothing to filter.
    pub filter: String,
    /// Its value over all documents.
    pub value: Aggregate,
    /// Its values of the documents, in their order.
    pub documents: Vec<DocValue>,
}

/// Metrics of a task under way.
pub(super) struct Collector<'a> {
    task: &'a str,
    /// In the order in which they were added.
    pub metrics: Vec<TaskMetric>,
    /// By `metric,filter`, one map per document.
    pub per_document: Vec<BTreeMap<String, f64>>,
}

impl<'a> Collector<'a> {
    pub fn new(task: &'a str, documents: usize) -> Self {
        Self { task, metrics: Vec::new(), per_document: vec![BTreeMap::new(); documents] }
    }

    /// Adds a metric; `values` holds one value per document.
    pub fn add(
        &mut self,
        spec: &MetricSpec,
        filter: &str,
        values: Vec<DocValue>,
    ) -> Result<(), EvaluateError> {
        let unknown = || EvaluateError::UnknownAggregation {
            task: self.task.to_owned(),
            metric: spec.name.clone(),
            aggregation: spec.aggregation.clone(),
        };
        let aggregation = Aggregation::by_name(&spec.aggregation).ok_or_else(unknown)?;
        let value = aggregation.of_documents(&values).ok_or_else(unknown)?;
        // What a perplexity is made of is the log-likelihood that the line has anyway.
        if matches!(aggregation, Aggregation::Mean | Aggregation::Median) {
            for (line, value) in self.per_document.iter_mut().zip(&values) {
                if let DocValue::Number(number) = value {
                    line.insert(format!("{},{filter}", spec.name), *number);
                }
            }
        }
        let (metric, filter) = (spec.name.clone(), filter.to_owned());
        self.metrics.push(TaskMetric { metric, filter, value, documents: values });
        Ok(())
    }
}

/// The values of one metric, of documents that a native function graded.
pub(super) fn of_function(documents: &[crate::tasks::native::Values], metric: &str) -> Option<Vec<DocValue>> {
    let value = |values: &crate::tasks::native::Values| {
        values.iter().find(|(name, _)| *name == metric).map(|(_, value)| value.clone())
    };
    documents.iter().map(value).collect()
}
