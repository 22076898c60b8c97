//! Documents that belong together, such as questions about one passage, and standard errors that know it.
//!
//! Answers to questions about the same passage are alike, so that many of them say less than as many about passages of their
//! own. What is independent is the cluster: E. Miller, "Adding Error Bars to Evals", 2024 (arXiv:2411.00640), section 2.2.

use std::collections::HashMap;
use std::hash::Hash;

/// Which documents are in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// The documents, cluster after cluster.
    documents: Vec<usize>,
    /// Where each cluster begins in `documents`, and the end of the last one.
    bounds: Vec<usize>,
}

impl Clusters {
    /// Each of `n` documents is one of its own.
    pub fn singletons(n: usize) -> Self {
        Self { documents: (0..n).collect(), bounds: (0..=n).collect() }
    }

    /// Documents with the same key are together; clusters are in the order in which they begin.
    pub fn by<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut places = HashMap::new();
        let mut clusters: Vec<Vec<usize>> = Vec::new();
        for (document, key) in keys.into_iter().enumerate() {
            let place = *places.entry(key).or_insert(clusters.len());
            if place == clusters.len() {
                clusters.push(Vec::new());
            }
            clusters[place].push(document);
        }
        let mut bounds = vec![0];
        let mut end = 0;
        bounds.extend(clusters.iter().map(|cluster| {
            end += cluster.len();
            end
        }));
        Self { documents: clusters.concat(), bounds }
    }

    /// Those of several sets of documents, one after the other.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut documents, mut bounds) = (Vec::new(), vec![0]);
        for part in parts {
            let before = documents.len();
            documents.extend(part.documents.iter().map(|document| document + before));
            bounds.extend(part.bounds[1..].iter().map(|bound| bound + before));
        }
        Self { documents, bounds }
    }

    /// How many clusters there are.
    pub fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// Whether any documents are together.
    pub fn are_any_together(&self) -> bool {
        self.len() < self.documents()
    }

    /// The documents of a cluster.
    pub(super) fn of(&self, cluster: usize) -> &[usize] {
        &self.documents[self.bounds[cluster]..self.bounds[cluster + 1]]
    }

    /// The sum of the documents' values in each cluster.
    pub(super) fn sums(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.documents(), "a value for each document");
        (0..self.len()).map(|cluster| self.of(cluster).iter().map(|at| values[*at]).sum()).collect()
    }

    /// The standard error of the mean of the documents' `values`, √(G / (G − 1) · Σ_g (Σ_{i ∈ g} (xᵢ − x̄))²) / n for G clusters;
    /// `None` for fewer than two.
    ///
    /// It is the sandwich of K.-Y. Liang and S. Zeger, Biometrika 73, 1986, with the usual correction for few clusters, as
    /// statsmodels has it; where each document is a cluster of its own it is s/√n.
    pub fn error_of_mean(&self, values: &[f64]) -> Option<f64> {
        let (n, clusters) = (values.len() as f64, self.len() as f64);
        if self.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let residuals: Vec<f64> = values.iter().map(|value| value - mean).collect();
        let squares: f64 = self.sums(&residuals).iter().map(|sum| sum * sum).sum();
        Some((clusters / (clusters - 1.0) * squares).sqrt() / n)
    }
}
