//! What is known of a server: its interface, its model, how it scores and how much alike.

/// By which interface a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// vLLM, and what answers as it does.
    Vllm,
    /// llama-server of llama.cpp.
    LlamaServer,
    /// Anything else with `/v1/completions`.
    Other,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::LlamaServer => "llama-server",
            Self::Other => "OpenAI-style server",
        }
    }
}

/// How a server says how likely a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scoring {
    /// It echoes prompts with their log-probabilities.
    Echo,
    /// It says that of tokens that it is forced to write.
    Forced,
}

impl Scoring {
    /// Its name in a run's description.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Forced => "forced tokens",
        }
    }
}

/// Whether a server makes the same tokens of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// It does.
    Alike,
    /// It does not say.
    Unknown,
}

/// What was found out about a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its interface.
    pub kind: Kind,
    /// Its version.
    pub version: Option<String>,
    /// What it calls itself and its configuration in answers.
    pub fingerprint: Option<String>,
    /// The model's name there.
    pub model: String,
    /// The model's folder or repository there.
    pub root: Option<String>,
    /// The form of its weights, if the server says it.
    pub dtype: Option<String>,
    /// Tokens of a prompt and its answer together.
    pub positions: Option<usize>,
    /// How it scores; `None` if it cannot.
    pub scoring: Option<Scoring>,
    /// Whether it scores several answers of one token at once.
    pub together: bool,
    /// A token that it shows when it is forced to write it, if that is how it scores.
    pub shown: Option<u32>,
    /// Whether it makes the same tokens.
    pub tokens: Tokens,
    /// How far the score of a repeated request is from that of the first one.
    pub repeated: f64,
    /// The same of requests that are answered at once.
    pub at_once: f64,
}

impl Found {
    /// Why another server cannot stand in for this one: what decides numbers and is not the same, with both values. Nothing if it
    /// can.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let Self {
            kind, version, fingerprint, model, root, dtype, positions, scoring, together, tokens, ..
        } = self;
        let name =
            |name: &Option<String>| name.as_ref().map_or_else(|| "none".to_owned(), |it| format!("{it:?}"));
        let number = |number: Option<usize>| number.map_or_else(|| "none".to_owned(), |it| it.to_string());
        let scores = |scoring: Option<Scoring>| scoring.map_or("none", Scoring::name).to_owned();
        let says = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let alike = |tokens: Tokens| says(tokens == Tokens::Alike);
        [
            ("program", kind.name().to_owned(), other.kind.name().to_owned()),
            ("version", name(version), name(&other.version)),
            ("fingerprint", name(fingerprint), name(&other.fingerprint)),
            ("model", format!("{model:?}"), format!("{:?}", other.model)),
            ("root of the model", name(root), name(&other.root)),
            ("form of the weights", name(dtype), name(&other.dtype)),
            ("positions", number(*positions), number(other.positions)),
            ("scores by", scores(*scoring), scores(other.scoring)),
            ("scores of several answers at once", says(*together), says(other.together)),
            ("tokens that could be compared", alike(*tokens), alike(other.tokens)),
        ]
        .into_iter()
        .filter(|(_, there, here)| there != here)
        .map(|(what, there, here)| format!("{what} {there} there, {here} here"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named_with_both_values() {
        let one = Found {
            kind: Kind::Vllm,
            version: Some("0.32.0".to_owned()),
            fingerprint: None,
            model: "m".to_owned(),
            root: None,
            dtype: None,
            positions: Some(2048),
            scoring: Some(Scoring::Echo),
            together: true,
            shown: None,
            tokens: Tokens::Alike,
            repeated: 0.0,
            at_once: 0.0,
        };
        // How far repeated requests are apart is no difference.
        assert!(one.differences(&Found { repeated: 0.5, at_once: 0.1, ..one.clone() }).is_empty());
        let other = Found {
            version: Some("0.33.0".to_owned()),
            root: Some("/m".to_owned()),
            positions: Some(512),
            together: false,
            ..one.clone()
        };
        assert_eq!(
            one.differences(&other),
            [
                "version \"0.32.0\" there, \"0.33.0\" here",
                "root of the model none there, \"/m\" here",
                "positions 2048 there, 512 here",
                "scores of several answers at once yes there, no here",
            ]
        );
        let all = Found {
            kind: Kind::Other,
            fingerprint: Some("f".to_owned()),
            model: "n".to_owned(),
            dtype: Some("F16".to_owned()),
            scoring: None,
            tokens: Tokens::Unknown,
            ..other
        };
        assert_eq!(one.differences(&all).len(), 10);
    }
}
