//! How tokens are drawn: what was said of it, over what the checkpoint's own `generation_config.json` says.
//!
//! That file is read as transformers 4.57 reads it: rules of drawing count with `do_sample` alone, the 50 most probable tokens
//! (`top_k`) are its default then, a penalty and `max_new_tokens` count always. `max_length` does not: positions bound an answer.

use std::path::Path;

use serde_json::{Map, Value};

use super::RunError;
use super::subject::Subject;
use crate::base::fault::Refusal;
use crate::base::recognise::without_mark;
use crate::base::yaml::read_bytes;
use crate::engine::{Sampling, SamplingError};
use crate::forms::TokenizerSource;

/// The file's name.
pub const FILE: &str = "generation_config.json";
/// Bytes of it, at most; lists of tokens are in some.
const MAX_BYTES: u64 = 4 << 20;
/// transformers' own `top_k`.
const TOP_K: usize = 50;

/// How tokens are drawn, as far as somebody has said it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Drawing {
    /// See [`Sampling`].
    pub temperature: Option<f64>,
    /// See [`Sampling`].
    pub top_k: Option<usize>,
    /// See [`Sampling`].
    pub top_p: Option<f64>,
    /// See [`Sampling`].
    pub min_p: Option<f64>,
    /// See [`Sampling`].
    pub repetition_penalty: Option<f64>,
    /// Seed of all generators.
    pub seed: u64,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// How tokens are drawn; `None` for the most probable ones.
    pub sampling: Option<Sampling>,
    /// Tokens of an answer, at most; `None` where nobody says.
    pub max_tokens: Option<usize>,
}

impl Drawing {
    /// What the engine is told if nobody else says anything; `None` where the most probable token is taken.
    ///
    /// # Errors
    /// The first value that cannot be, with its flag.
    pub fn alone(&self) -> Result<Option<Sampling>, RunError> {
        self.over(&Recommended::default()).map_err(|SamplingError { rule, expected, found }| {
            let flag = rule.replace('_', "-");
            RunError::Usage(format!("--{flag}: expected {expected}, found {found}"))
        })
    }

    /// The same where this says the rest.
    fn over(&self, own: &Recommended) -> Result<Option<Sampling>, SamplingError> {
        let neutral = Sampling::default();
        let names_rule = self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        let draws = own.draws || names_rule;
        let as_drawn = own.temperature.unwrap_or(neutral.temperature);
        let temperature = self.temperature.unwrap_or(if draws { as_drawn } else { 0.0 });
        let sampling = Sampling {
            temperature,
            top_k: self.top_k.or(own.top_k).unwrap_or(neutral.top_k),
            top_p: self.top_p.or(own.top_p).unwrap_or(neutral.top_p),
            min_p: self.min_p.or(own.min_p).unwrap_or(neutral.min_p),
            repetition_penalty: self
                .repetition_penalty
                .or(own.repetition_penalty)
                .unwrap_or(neutral.repetition_penalty),
            seed: self.seed,
        };
        let sampling = sampling.checked()?;
        let is_greedy = sampling.temperature == 0.0 && sampling.repetition_penalty == 1.0;
        Ok((!is_greedy).then_some(sampling))
    }
}

/// How answers of a model are written: as `drawing` and `max_tokens` say, and where they say nothing and the checkpoint `is_heard`,
/// as its own file does. What is taken from there is said in a line.
///
/// # Errors
/// A file that cannot be read, and values that cannot be.
pub(super) fn settle(
    subject: &Subject,
    (drawing, max_tokens): (&Drawing, Option<usize>),
    is_heard: bool,
    say: &dyn Fn(&str),
) -> Result<Settled, RunError> {
    let folder = match &subject.checkpoint.tokenizer {
        TokenizerSource::Folder(folder) if is_heard => folder,
        // The files beside a GGUF file may be anyone's, and Meta's have no such file.
        _ => return Ok(Settled { sampling: drawing.alone()?, max_tokens }),
    };
    let file = folder.join(FILE);
    if !file.exists() {
        return Ok(Settled { sampling: drawing.alone()?, max_tokens });
    }
    let own = Recommended::read(&file)?;
    if !own.others.is_empty() {
        tracing::warn!("{}: {} is not followed here", file.display(), own.others.join(", "));
    }
    let sampling = drawing.over(&own).map_err(|SamplingError { rule, expected, found }| {
        RunError::room(
            Refusal::of_field(&file.display().to_string(), rule, expected, found.to_string()).to_string(),
        )
    })?;
    let taken = own.taken(drawing, sampling.as_ref(), max_tokens);
    if !taken.is_empty() {
        let (name, taken) = (&subject.name, taken.join(", "));
        say(&format!("{name}: as its {FILE} says, {taken}; flags win over it"));
    }
    Ok(Settled { sampling, max_tokens: max_tokens.or(own.max_tokens) })
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Recommended {
    draws: bool,
    temperature: Option<f64>,
    top_k: Option<usize>,
    top_p: Option<f64>,
    min_p: Option<f64>,
    repetition_penalty: Option<f64>,
    max_tokens: Option<usize>,
    /// What it says beside that and is not followed.
    others: Vec<String>,
}

/// What else changes the tokens that transformers writes, with the value that changes nothing.
const OTHERS: [(&str, f64); 20] = [
    ("num_beams", 1.0),
    ("num_beam_groups", 1.0),
    ("penalty_alpha", 0.0),
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("top_h", 0.0),
    ("no_repeat_ngram_size", 0.0),
    ("diversity_penalty", 0.0),
    ("guidance_scale", 1.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("exponential_decay_length_penalty", 0.0),
    ("bad_words_ids", 0.0),
    ("sequence_bias", 0.0),
    ("suppress_tokens", 0.0),
    ("begin_suppress_tokens", 0.0),
    ("forced_bos_token_id", -1.0),
    ("forced_eos_token_id", -1.0),
    ("stop_strings", 0.0),
];

impl Recommended {
    fn read(file: &Path) -> Result<Self, RunError> {
        Self::of(&file.display().to_string(), &read_bytes(file, MAX_BYTES)?)
    }

    /// Of the file's content; `file` names it in errors.
    fn of(file: &str, bytes: &[u8]) -> Result<Self, RunError> {
        let refuse = |field: &str, expected: &str, found: String| {
            RunError::room(Refusal::of_field(file, field, expected, found).to_string())
        };
        let said: Map<String, Value> = serde_json::from_slice(without_mark(bytes))
            .map_err(|error| refuse("the file", "an object of JSON", error.to_string()))?;
        let get = |key: &str| said.get(key).filter(|value| !value.is_null());
        let number = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| refuse(key, "a number", value.to_string())),
        };
        let count = |key: &str| match get(key) {
            None => Ok(None),
            Some(value) => {
                let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
                count.map(Some).ok_or_else(|| refuse(key, "a whole number from 0", value.to_string()))
            }
        };
        let draws = match get("do_sample") {
            None => false,
            Some(Value::Bool(draws)) => *draws,
            Some(value) => return Err(refuse("do_sample", "true or false", value.to_string())),
        };
        let is_said = |&&(key, neutral): &&(&str, f64)| match get(key) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(map)) => !map.is_empty(),
            Some(value) => value.as_f64() != Some(neutral),
        };
        let others = OTHERS.iter().filter(is_said).map(|(key, _)| (*key).to_owned()).collect();
        let max_tokens = match count("max_new_tokens")? {
            Some(0) => return Err(refuse("max_new_tokens", "a whole number from 1", "0".to_owned())),
            most => most,
        };
        let drawn = |value: Option<f64>| value.filter(|_| draws);
        Ok(Self {
            draws,
            temperature: drawn(number("temperature")?),
            top_k: count("top_k")?.or(Some(TOP_K)).filter(|_| draws),
            top_p: drawn(number("top_p")?),
            min_p: drawn(number("min_p")?),
            repetition_penalty: number("repetition_penalty")?,
            max_tokens,
            others,
        })
    }

    /// In words: what of it takes effect beside what was said.
    fn taken(&self, said: &Drawing, sampling: Option<&Sampling>, max_tokens: Option<usize>) -> Vec<String> {
        let neutral = Sampling::default();
        let mut taken = Vec::new();
        let mut add = |rule: &str, own: Option<f64>, said: bool, neutral: Option<f64>| {
            if let Some(own) = own.filter(|own| !said && Some(*own) != neutral) {
                taken.push(format!("{rule} {own}"));
            }
        };
        if let Some(sampling) = sampling {
            if sampling.temperature > 0.0 {
                let temperature = self.temperature.or(self.draws.then_some(neutral.temperature));
                add("temperature", temperature, said.temperature.is_some(), None);
                add("top-k", self.top_k.map(|k| k as f64), said.top_k.is_some(), Some(0.0));
                add("top-p", self.top_p, said.top_p.is_some(), Some(neutral.top_p));
                add("min-p", self.min_p, said.min_p.is_some(), Some(neutral.min_p));
            }
            let penalty = self.repetition_penalty;
            add("repetition-penalty", penalty, said.repetition_penalty.is_some(), Some(1.0));
        }
        add("max-tokens", self.max_tokens.map(|most| most as f64), max_tokens.is_some(), None);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_where_a_rule_of_drawing_is_named() {
        let none = Drawing::default();
        assert_eq!(none.alone().unwrap(), None);
        assert_eq!(Drawing { seed: 3, temperature: Some(0.0), ..none }.alone().unwrap(), None);
        let of = |drawing: Drawing| drawing.alone().unwrap().unwrap();
        let punished = of(Drawing { repetition_penalty: Some(1.2), ..none });
        assert_eq!((punished.temperature, punished.repetition_penalty), (0.0, 1.2));
        assert_eq!(of(Drawing { top_p: Some(0.9), ..none }).temperature, 1.0);
        let both = of(Drawing { top_k: Some(5), temperature: Some(0.3), seed: 9, ..none });
        assert_eq!((both.temperature, both.top_k, both.seed), (0.3, 5, 9));
        let error = Drawing { repetition_penalty: Some(0.0), ..none }.alone().unwrap_err().to_string();
        assert_eq!(error, "--repetition-penalty: expected a number above 0, found 0");
    }

    fn own(json: &str) -> Recommended {
        Recommended::of("g.json", json.as_bytes()).unwrap()
    }

    #[test]
    fn a_checkpoint_is_followed_as_transformers_does_and_flags_win() {
        let none = Drawing::default();
        let full = own(
            r#"{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.1, "max_new_tokens": 70,
                "min_p": null, "eos_token_id": 2, "max_length": 4096, "transformers_version": "4.28.1"}"#,
        );
        let drawn = none.over(&full).unwrap().unwrap();
        // The 50 most probable tokens are what transformers takes where nothing is said.
        let expected = Sampling {
            temperature: 0.6,
            top_k: 50,
            top_p: 0.9,
            repetition_penalty: 1.1,
            ..Sampling::default()
        };
        assert_eq!((drawn, full.max_tokens, full.others.len()), (expected, Some(70), 0));
        let taken = full.taken(&none, Some(&drawn), None);
        assert_eq!(
            taken,
            ["temperature 0.6", "top-k 50", "top-p 0.9", "repetition-penalty 1.1", "max-tokens 70"]
        );

        let flags = Drawing { temperature: Some(1.5), top_k: Some(0), seed: 4, ..none };
        let drawn = flags.over(&full).unwrap().unwrap();
        assert_eq!(drawn, Sampling { temperature: 1.5, top_k: 0, seed: 4, ..expected });
        assert_eq!(full.taken(&flags, Some(&drawn), Some(9)), ["top-p 0.9", "repetition-penalty 1.1"]);
        let greedy = Drawing { temperature: Some(0.0), repetition_penalty: Some(1.0), ..none };
        assert_eq!(greedy.over(&full).unwrap(), None);
        assert_eq!(full.taken(&greedy, None, Some(9)), Vec::<String>::new());
    }

    #[test]
    fn without_do_sample_the_most_probable_token_is_taken() {
        let none = Drawing::default();
        // As LLaMA-2's first files had it.
        let quiet = own(r#"{"temperature": 0.9, "top_p": 0.6, "top_k": 4}"#);
        assert_eq!((none.over(&quiet).unwrap(), &quiet), (None, &Recommended::default()));
        let punished = own(r#"{"repetition_penalty": 1.3}"#);
        let drawn = none.over(&punished).unwrap().unwrap();
        assert_eq!((drawn.temperature, drawn.repetition_penalty), (0.0, 1.3));
        assert_eq!(punished.taken(&none, Some(&drawn), None), ["repetition-penalty 1.3"]);
    }

    #[test]
    fn what_is_not_followed_is_named_and_what_cannot_be_is_refused() {
        let others = own(
            r#"{"num_beams": 4, "typical_p": 1.0, "bad_words_ids": [], "suppress_tokens": [3], "min_length": 0}"#,
        );
        assert_eq!(others.others, ["num_beams", "suppress_tokens"]);
        for (json, words) in [
            ("[]", "g.json: the file: expected an object of JSON"),
            (r#"{"do_sample": 1}"#, "g.json: do_sample: expected true or false, found 1"),
            (r#"{"do_sample": true, "top_p": "x"}"#, "g.json: top_p: expected a number, found \"x\""),
            (
                r#"{"do_sample": true, "top_k": -1}"#,
                "g.json: top_k: expected a whole number from 0, found -1",
            ),
            (r#"{"max_new_tokens": 0}"#, "g.json: max_new_tokens: expected a whole number from 1"),
        ] {
            let error = Recommended::of("g.json", json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{json}: {error}");
        }
        let wrong = own(r#"{"do_sample": true, "top_p": 3}"#);
        assert_eq!(Drawing::default().over(&wrong).unwrap_err().rule, "top_p");
    }
}
