//! What the description of a run says of a server: what the probe found before the work.

use serde::{Deserialize, Serialize};

/// Who serves a model, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// The program and its version.
    pub program: String,
    /// What it calls itself and its configuration (`system_fingerprint`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The model's name there.
    pub model: String,
    /// The model's folder or repository there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The form of the weights, as it was declared; `None` where nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<String>,
    /// Tokens of a prompt and its answer together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<usize>,
    /// How it says how likely a text is; `None` if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores_by: Option<String>,
    /// Whether answers of one token to the same question were asked for at once.
    pub answers_together: bool,
    /// Whether a text was compared that it and the tokenizer make the same tokens of; it does not say them otherwise.
    pub tokens_compared: bool,
    /// How far the log-likelihood of a repeated request was from that of the first one; 0 for the same bits.
    pub repeated_difference: f64,
    /// The same of a request among others at the same time.
    pub concurrent_difference: f64,
    /// Requests at a time, if somebody said how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// Servers that share the load.
    pub servers: usize,
    /// The folder or file of the tokenizer, which may have the chat template that wrote its prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
}

impl ServerRecord {
    /// Both together, of one model: as far from repeatable as either was found.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            repeated_difference: self.repeated_difference.max(other.repeated_difference),
            concurrent_difference: self.concurrent_difference.max(other.concurrent_difference),
            servers: self.servers.max(other.servers),
            ..self
        }
    }

    /// For people: who answered, as far as it is known, and how far its answers can be repeated.
    pub fn line(&self) -> String {
        let Self { program, fingerprint, dtype, concurrency, servers, .. } = self;
        let fingerprint = fingerprint
            .as_ref()
            .map_or_else(String::new, |fingerprint| format!(" (fingerprint {fingerprint})"));
        let dtype = dtype
            .as_ref()
            .map_or_else(|| "dtype not declared".to_owned(), |dtype| format!("{dtype} as declared"));
        let at_once = concurrency.map_or_else(
            || "concurrency adaptive".to_owned(),
            |concurrency| format!("{concurrency} at a time"),
        );
        let servers = if *servers > 1 { format!(", {servers} servers") } else { String::new() };
        let far = |difference: f64| match difference {
            0.0 => "has the same bits".to_owned(),
            difference => format!("differs by {difference:.1e}"),
        };
        format!(
            "served by {program}{fingerprint}, {dtype}, {at_once}{servers}; a repeated request {}, one among others {}",
            far(self.repeated_difference),
            far(self.concurrent_difference)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_server_is_one_line() {
        let record = ServerRecord {
            program: "vLLM 1".to_owned(),
            fingerprint: Some("f".to_owned()),
            model: "m".to_owned(),
            root: None,
            dtype: Some("bfloat16".to_owned()),
            positions: Some(9),
            scores_by: Some("echo".to_owned()),
            answers_together: true,
            tokens_compared: true,
            repeated_difference: 0.0,
            concurrent_difference: 0.25,
            concurrency: Some(4),
            servers: 2,
            tokenizer: None,
        };
        assert_eq!(
            record.line(),
            "served by vLLM 1 (fingerprint f), bfloat16 as declared, 4 at a time, 2 servers; a repeated request has the same \
             bits, one among others differs by 2.5e-1"
        );
        let noisier =
            ServerRecord { repeated_difference: 0.5, concurrent_difference: 0.125, ..record.clone() };
        for both in [record.clone().and(noisier.clone()), noisier.and(record.clone())] {
            assert_eq!((both.repeated_difference, both.concurrent_difference), (0.5, 0.25));
        }
        let text = serde_yaml::to_string(&record).unwrap();
        assert_eq!(serde_yaml::from_str::<ServerRecord>(&text).unwrap(), record);
    }
}
