//! A conversation on its way to a file: for programs as one object of JSON, for people as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::turn::Turn;
use crate::engine::Sampling;
use crate::records::{Identity, Timestamp};

/// What the files are, and the number of their form: it is raised when a key changes its meaning.
const FORM: &str = "zoo chat 1";

/// All that was said, and by what.
#[derive(Debug, Clone)]
pub struct Transcript {
    parts: Vec<Part>,
    saved: Timestamp,
}

/// The conversation with one model.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub model: String,
    pub path: String,
    pub identity: Identity,
    /// `None` where the conversation is one text.
    pub template: Option<String>,
    pub template_sha256: Option<String>,
    pub positions: usize,
    pub max_tokens: Option<usize>,
    pub sampling: Option<Sampling>,
    pub stops: Vec<String>,
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    /// Turns at the beginning that the model is not told any more.
    pub left_out: usize,
}

/// The same as it stands in a file.
#[derive(Serialize)]
struct Saved<'p> {
    model: &'p str,
    path: &'p str,
    #[serde(flatten)]
    identity: &'p Identity,
    template: Option<&'p str>,
    template_sha256: Option<&'p str>,
    max_length: usize,
    max_tokens: Option<usize>,
    sampling: Option<Sampling>,
    stops: &'p [String],
    left_out: usize,
    messages: Vec<Value>,
}

impl Transcript {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        Self { parts, saved: Timestamp::now() }
    }

    /// The form that a file of this name has.
    pub fn for_file(&self, file: &Path) -> String {
        let is_markdown = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("md"));
        if is_markdown { self.markdown() } else { self.json() }
    }

    fn json(&self) -> String {
        let conversations: Vec<Saved<'_>> = self.parts.iter().map(Part::saved).collect();
        let all = json!({
            "form": FORM,
            "zoo": env!("CARGO_PKG_VERSION"),
            "saved": self.saved.rfc3339(),
            "conversations": serde_json::to_value(conversations).expect("texts and numbers have a form in JSON"),
        });
        format!("{all:#}\n")
    }

    fn markdown(&self) -> String {
        let names: Vec<&str> = self.parts.iter().map(|part| part.model.as_str()).collect();
        let mut text = format!("# Conversation with {}\n\n", names.join(", "));
        for part in &self.parts {
            let template = part.template.as_deref().unwrap_or("none");
            let Part { model, identity, .. } = part;
            let drawn = part.sampling.map_or_else(|| "the most probable tokens".to_owned(), described);
            let _ = writeln!(
                text,
                "* {model}: weights `{}`, template {template}, {} arithmetic, {drawn}",
                identity.weights_sha256, identity.precision
            );
        }
        let _ = writeln!(text, "* saved {} by zoo {}", self.saved.rfc3339(), env!("CARGO_PKG_VERSION"));
        if let Some(system) = self.parts.first().and_then(|part| part.system.as_deref()) {
            let _ = write!(text, "\n## System\n\n{}\n", system.trim_end());
        }
        let turns = self.parts.iter().flat_map(|part| &part.turns);
        let numbers: BTreeSet<usize> = turns.clone().map(|turn| turn.number).collect();
        for number in numbers {
            let asked = turns.clone().find(|turn| turn.number == number).expect("the number is of a turn");
            let _ = write!(text, "\n## {number}. User\n\n{}\n", asked.message.trim_end());
            for part in &self.parts {
                let Some(turn) = part.turns.iter().find(|turn| turn.number == number) else { continue };
                let _ = write!(text, "\n### {}\n\n{}\n", part.model, turn.answer.trim());
            }
        }
        text
    }
}

impl Part {
    fn saved(&self) -> Saved<'_> {
        let system = self.system.iter().map(|text| json!({"role": "system", "content": text}));
        let said = self.turns.iter().flat_map(|turn| {
            [
                json!({"role": "user", "content": turn.message}),
                json!({
                    "role": "assistant",
                    "content": turn.answer,
                    "end": turn.end,
                    "n_prompt_tokens": turn.prompt_tokens,
                    "n_known_tokens": turn.known_tokens,
                    "n_tokens": turn.tokens,
                    "seconds": (turn.reading + turn.writing).as_secs_f64(),
                }),
            ]
        });
        Saved {
            model: &self.model,
            path: &self.path,
            identity: &self.identity,
            template: self.template.as_deref(),
            template_sha256: self.template_sha256.as_deref(),
            max_length: self.positions,
            max_tokens: self.max_tokens,
            sampling: self.sampling,
            stops: &self.stops,
            left_out: self.left_out,
            messages: system.chain(said).collect(),
        }
    }
}

/// Rules of drawing in words.
fn described(sampling: Sampling) -> String {
    let rules = serde_json::to_value(sampling).expect("rules are numbers");
    let rules = rules.as_object().expect("rules have names").iter();
    rules.map(|(rule, value)| format!("{} {value}", rule.replace('_', "-"))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::Ending;

    fn part(model: &str, answers: &[(usize, &str)]) -> Part {
        let turn = |&(number, answer): &(usize, &str)| Turn {
            number,
            message: format!("question {number}"),
            answer: answer.to_owned(),
            end: Ending::Eos,
            prompt_tokens: 10 * number,
            known_tokens: number,
            tokens: 3,
            reading: Duration::from_millis(250),
            writing: Duration::from_millis(500),
        };
        Part {
            model: model.to_owned(),
            path: format!("/models/{model}"),
            identity: Identity {
                weights_sha256: "ab".to_owned(),
                config_sha256: "cd".to_owned(),
                tokenizer_sha256: "ef".to_owned(),
                precision: "exact".to_owned(),
                matmul: "native".to_owned(),
                arithmetic: 3,
            },
            template: Some("card: x".to_owned()),
            template_sha256: None,
            positions: 2048,
            max_tokens: None,
            sampling: None,
            stops: vec!["###".to_owned()],
            system: Some("Be brief.".to_owned()),
            turns: answers.iter().map(turn).collect(),
            left_out: 0,
        }
    }

    #[test]
    fn programs_read_all_of_it() {
        let sampling = Some(Sampling { temperature: 0.5, seed: 7, ..Sampling::default() });
        let one = Part { sampling, ..part("a", &[(1, "yes\n\u{1b}[2J")]) };
        let transcript = Transcript::new(vec![one, part("b", &[])]);
        let saved: Value = serde_json::from_str(&transcript.for_file(Path::new("x.json"))).unwrap();
        assert_eq!(
            (&saved["form"], &saved["zoo"]),
            (&json!("zoo chat 1"), &json!(env!("CARGO_PKG_VERSION")))
        );
        let a = &saved["conversations"][0];
        assert_eq!(
            (&a["model"], &a["weights_sha256"], &a["arithmetic"]),
            (&json!("a"), &json!("ab"), &json!(3))
        );
        assert_eq!((&a["sampling"]["temperature"], &a["sampling"]["seed"]), (&json!(0.5), &json!(7)));
        assert_eq!(a["messages"][0], json!({"role": "system", "content": "Be brief."}));
        assert_eq!(a["messages"][1], json!({"role": "user", "content": "question 1"}));
        assert_eq!(
            a["messages"][2],
            json!({"role": "assistant", "content": "yes\n\u{1b}[2J", "end": "eos", "n_prompt_tokens": 10,
                   "n_known_tokens": 1, "n_tokens": 3, "seconds": 0.75})
        );
        assert_eq!(saved["conversations"][1]["messages"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn people_read_answers_side_by_side() {
        // The second model was not asked the first time.
        let transcript =
            Transcript::new(vec![part("a", &[(1, "yes"), (2, "no ")]), part("b", &[(2, "perhaps")])]);
        let text = transcript.for_file(Path::new("x.MD"));
        assert!(
            text.starts_with("# Conversation with a, b\n\n* a: weights `ab`, template card: x, exact"),
            "{text}"
        );
        let said = "\n## System\n\nBe brief.\n\n## 1. User\n\nquestion 1\n\n### a\n\nyes\n\n## 2. User\n\nquestion 2\n\n### a\n\nno\
                    \n\n### b\n\nperhaps\n";
        assert!(text.ends_with(said), "{text}");
    }
}
