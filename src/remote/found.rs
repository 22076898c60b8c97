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
    /// Whether another server can stand in for this one: all that decides numbers is the same.
    pub fn is_same(&self, other: &Self) -> bool {
        let plain = |found: &Self| Self { repeated: 0.0, at_once: 0.0, ..found.clone() };
        plain(self) == plain(other)
    }
}
