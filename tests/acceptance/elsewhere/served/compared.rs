//! Two runs of the same documents, held against each other: how far the numbers are apart, and what is decided otherwise.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::support::served::samples;

/// A task of two runs.
pub struct Compared {
    /// Its name.
    pub task: String,
    /// Documents of the second run, which are the first ones of the first.
    pub documents: usize,
    /// Continuations, or whole texts, that both have scored.
    pub continuations: usize,
    /// How far the two log-likelihoods of each are apart, and its tokens.
    pub apart: Vec<(f64, usize)>,
    /// Continuations that are greedy in one run alone.
    pub flags: usize,
    /// The largest lead of a most probable choice in the first run that another one has in the second; 0 if there is none.
    pub lost_lead: f64,
    /// Documents whose most probable choices are two.
    pub choices: usize,
    /// Answers that were written.
    pub written: usize,
    /// Where these are two texts: the document, and what follows what is the same.
    pub texts: Vec<(u64, [String; 2])>,
    /// Means of the documents' metrics in both; of whole texts the log-likelihood of a token.
    pub metrics: [BTreeMap<String, f64>; 2],
}

impl Compared {
    /// The tasks of `second`, each against as many documents of `first`.
    pub fn of(first: &Path, second: &Path) -> Vec<Self> {
        let (mut first, second) = (samples(first), samples(second));
        second.into_iter().map(|(task, other)| Self::new(first.remove(&task).unwrap(), other, task)).collect()
    }

    fn new(own: Vec<Value>, other: Vec<Value>, task: String) -> Self {
        let documents = other.len();
        let metrics = [&own[..documents], &other].map(means);
        let mut compared = Self {
            task,
            documents,
            continuations: 0,
            apart: Vec::new(),
            flags: 0,
            lost_lead: 0.0,
            choices: 0,
            written: 0,
            texts: Vec::new(),
            metrics,
        };
        own.iter().zip(&other).for_each(|(own, other)| compared.add(own, other));
        compared
    }

    fn add(&mut self, own: &Value, other: &Value) {
        for key in ["doc_id", "prompt_sha256", "target"] {
            assert_eq!(own[key], other[key], "{}, {key}", self.task);
        }
        let of = |line: &Value| line["choices"].as_array().cloned().unwrap_or_default();
        let (a, b) = (of(own), of(other));
        assert_eq!(a.len(), b.len(), "{}", self.task);
        let logprobs =
            |all: &[Value]| all.iter().map(|one| one["logprob"].as_f64().unwrap()).collect::<Vec<_>>();
        let (here, there) = (logprobs(&a), logprobs(&b));
        for (at, (a, b)) in a.iter().zip(&b).enumerate() {
            for key in ["tokens", "n_tokens"] {
                assert_eq!(a[key], b[key], "{}, {key}", self.task);
            }
            self.continuations += 1;
            self.apart.push(((here[at] - there[at]).abs(), a["n_tokens"].as_u64().unwrap() as usize));
            self.flags += usize::from(a["is_greedy"] != b["is_greedy"]);
        }
        if here.len() > 1 && best(&here) != best(&there) {
            self.choices += 1;
            self.lost_lead = self.lost_lead.max(here[best(&here)] - here[best(&there)]);
        }
        if let (Some(a), Some(b)) = (own["text"].as_str(), other["text"].as_str()) {
            self.written += 1;
            if a != b {
                let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
                let rest = |text: &str| text.chars().skip(same).take(40).collect();
                self.texts.push((own["doc_id"].as_u64().unwrap(), [rest(a), rest(b)]));
            }
        }
    }

    /// The largest difference.
    pub fn most(&self) -> f64 {
        self.apart.iter().map(|(apart, _)| *apart).fold(0.0, f64::max)
    }

    /// The mean difference; 0 of none.
    pub fn mean(&self) -> f64 {
        self.apart.iter().map(|(apart, _)| apart).sum::<f64>() / self.apart.len().max(1) as f64
    }

    /// The largest difference of two metrics.
    pub fn metrics_apart(&self) -> f64 {
        let [here, there] = &self.metrics;
        assert!(here.keys().eq(there.keys()), "{}: {here:?} and {there:?}", self.task);
        here.iter().map(|(name, value)| (value - there[name]).abs()).fold(0.0, f64::max)
    }
}

/// The first of the largest.
fn best(values: &[f64]) -> usize {
    (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap()
}

fn means(lines: &[Value]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for (name, value) in lines.iter().filter_map(|line| line["metrics"].as_object()).flatten() {
        *sums.entry(name.clone()).or_default() += value.as_f64().unwrap() / lines.len() as f64;
    }
    if sums.is_empty() {
        let whole = lines.iter().filter_map(|line| line["choices"].as_array()).flatten();
        let of = |one: &Value| (one["logprob"].as_f64().unwrap(), one["n_tokens"].as_f64().unwrap());
        let (sum, tokens) = whole.map(of).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
        sums.insert("log-likelihood of a token".to_owned(), sum / tokens);
    }
    sums
}

/// A line for each task, as Markdown.
pub fn table(title: &str, all: &[Compared]) -> String {
    let mut text = format!(
        "{title}\n| task | documents | continuations | largest difference | mean | other flags | other choices (largest lead) \
         | other texts | metrics here and there |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for one in all {
        let [here, there] = &one.metrics;
        let shown: Vec<String> = here
            .iter()
            .map(|(name, value)| format!("{name} {value:.4} {:.4}", there.get(name).unwrap_or(&f64::NAN)))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1e} | {:.1e} | {} | {} ({:.3}) | {} of {} | {} |",
            one.task,
            one.documents,
            one.continuations,
            one.most(),
            one.mean(),
            one.flags,
            one.choices,
            one.lost_lead,
            one.texts.len(),
            one.written,
            shown.join(", ")
        );
    }
    for one in all {
        for (document, [here, there]) in &one.texts {
            let _ = writeln!(text, "{} {document}: here {here:?}, there {there:?}", one.task);
        }
    }
    text
}
