//! Where the columns of a joint table come from: which model, asked how, in which run.

use super::Table;
use super::table::{Cell, data, number, text};

/// A column of a joint table in one of its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The column's head.
    pub label: String,
    /// The run's folder or file.
    pub run: String,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// Whose rules.
    pub protocol: String,
    /// The chat template, if there was one.
    pub template: Option<String>,
    /// The arithmetic.
    pub precision: Option<String>,
    /// Parameters of the model.
    pub parameters: Option<u64>,
    /// The revision of the model's repository.
    pub revision: Option<String>,
    /// Digest of the weights; empty where nobody knows which they were.
    pub weights_sha256: String,
    /// Digest of the tokenizer.
    pub tokenizer_sha256: Option<String>,
    /// What asked: program and version.
    pub program: String,
    /// Documents of each task at most, where there was a limit.
    pub limit: Option<String>,
    /// The processor.
    pub cpu: Option<String>,
    /// Seconds of scoring.
    pub seconds: Option<f64>,
    /// Tokens that were asked for, of all requests.
    pub tokens_asked: Option<u64>,
    /// Tokens that were computed.
    pub tokens_computed: Option<u64>,
}

/// A line for each column and run.
pub fn sources(sources: &[Source]) -> Table<&Source> {
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
    let digest = |digest: &str| {
        if digest.is_empty() { Cell::empty().or_dash() } else { Cell::from(digest).shown(short(digest)) }
    };
    Table::of(sources)
        .column(text("model").wraps(), |source| &source.label)
        .column(text("run").wraps().spare(1), |source| &source.run)
        .column(text("started"), |source| {
            Cell::from(&source.started).shown(source.started.get(..10).unwrap_or("–"))
        })
        .column(text("protocol"), |source| &source.protocol)
        .column(text("template").spare(2), |source| Cell::from(source.template.as_ref()).or_dash())
        .column(text("precision"), |source| Cell::from(source.precision.as_ref()).or_dash())
        .column(text("limit").spare(3), |source| Cell::from(source.limit.as_ref()).or_dash())
        .column(data("parameters"), |source| source.parameters)
        .column(data("revision"), |source| source.revision.as_ref())
        .column(text("weights_sha256").titled("weights"), |source| digest(&source.weights_sha256))
        .column(data("tokenizer_sha256"), |source| source.tokenizer_sha256.as_ref())
        .column(text("program").spare(4), |source| &source.program)
        .column(data("cpu"), |source| source.cpu.as_ref())
        .column(number("seconds").spare(5), |source| {
            Cell::written(source.seconds, |seconds: f64| format!("{seconds:.1}")).or_dash()
        })
        .column(data("tokens_asked"), |source| source.tokens_asked)
        .column(data("tokens_computed"), |source| source.tokens_computed)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn source() -> Source {
        Source {
            label: "llama-7b".to_owned(),
            run: "reports/a".to_owned(),
            started: "2026-11-30T09:00:00Z".to_owned(),
            protocol: "lm-eval-0.4.13".to_owned(),
            template: None,
            precision: Some("exact".to_owned()),
            parameters: Some(6_738_415_616),
            revision: None,
            weights_sha256: "ab".repeat(32),
            tokenizer_sha256: None,
            program: "zoo 0.1.0".to_owned(),
            limit: Some("100".to_owned()),
            cpu: None,
            seconds: Some(12.345),
            tokens_asked: Some(1000),
            tokens_computed: Some(100),
        }
    }

    #[test]
    fn every_column_says_where_it_is_from() {
        let own = [source(), Source { weights_sha256: String::new(), started: String::new(), ..source() }];
        let table = sources(&own);
        insta::assert_snapshot!("sources_text", table.text(120));
        insta::assert_snapshot!("sources_csv", table.csv());
    }
}
