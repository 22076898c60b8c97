//! A document and what a model answered to it, for reading.

use serde::Serialize;

use super::Table;
use super::numbers::digits;
use super::table::{Cell, data, number, text};

/// Characters of a prompt's end that are shown, unless all are wanted.
const TAIL: usize = 1200;
/// Columns before what was said by others, so that no text looks like a line of the page.
const MARGIN: &str = "    ";

/// What a model answered to a document, and what that is worth by one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// The column of the comparison that the model is.
    pub model: String,
    /// The suite that was asked for.
    pub suite: String,
    /// The task.
    pub task: String,
    /// Row of the evaluation split, from 0.
    pub doc_id: usize,
    /// What the document is judged by: `acc,none`.
    pub metric: String,
    /// Its value, where the document has one.
    pub value: Option<f64>,
    /// Whether the answer is right, where values are 1 and 0.
    pub right: Option<bool>,
    /// What was asked, if the run keeps texts.
    pub prompt: Option<String>,
    /// Where in the prompt the document's own question begins, in bytes.
    #[serde(skip)]
    pub question_from: Option<usize>,
    /// SHA-256 of the prompt.
    pub prompt_sha256: String,
    /// Tokens of the prompt.
    pub n_prompt_tokens: Option<usize>,
    /// Whether any request lost tokens.
    pub truncated: bool,
    /// What could be answered.
    pub choices: Vec<SampleChoice>,
    /// What the model wrote, turn by turn.
    pub written: Vec<String>,
    /// What filters found in it: filter and answer.
    pub extracted: Vec<(String, String)>,
    /// The right answer, as the samples have it.
    pub target: serde_json::Value,
    /// Its words, where they are known.
    pub target_text: Option<String>,
    /// Few-shot examples.
    pub num_fewshot: Option<usize>,
    /// Whether the task was asked with other numbers of examples as well.
    #[serde(skip)]
    pub has_other_shots: bool,
}

/// A choice of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleChoice {
    /// What is scored after the prompt, if the run keeps texts.
    pub text: Option<String>,
    /// Its own prompt, where those differ.
    pub prompt: Option<String>,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Whether greedy decoding would produce it.
    pub is_greedy: bool,
    /// Tokens scored.
    pub n_tokens: usize,
    /// Their ids.
    pub tokens: Vec<u32>,
    /// Whether it is right.
    pub is_right: bool,
    /// Whether it is the likeliest, the first among equals.
    pub is_likeliest: bool,
}

impl Sample {
    /// `right`, `wrong`, or nothing where values are no such thing.
    pub fn verdict(&self) -> &'static str {
        match self.right {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "",
        }
    }

    /// For a person: what was asked, what there was to choose or what was written, and what it is worth. Prompts are cut at their
    /// beginning unless they are wanted `full`, with the token ids.
    pub fn page(&self, width: usize, full: bool) -> String {
        let value = self.value.map_or_else(|| "no value".to_owned(), digits);
        let verdict = match self.verdict() {
            "" => format!("{} {value}", self.metric),
            verdict => format!("{verdict} ({} {value})", self.metric),
        };
        let shots = self.num_fewshot.filter(|_| self.has_other_shots);
        let shots = shots.map_or_else(String::new, |shots| format!(" ({shots} shots)"));
        let Self { task, doc_id, model, .. } = self;
        let mut page = format!("── {task}{shots}, document {doc_id}, {model}: {verdict}\n\n");
        match &self.prompt {
            Some(prompt) => page += &quoted(self.end_of(prompt, full)),
            None => {
                let tokens = self.n_prompt_tokens.map_or_else(String::new, |n| format!("{n} tokens, "));
                page += &format!("{MARGIN}(the run has no texts; {tokens}sha256 {})\n", self.prompt_sha256);
            }
        }
        if self.truncated {
            page += "\nThe prompt was cut to fit the model.\n";
        }
        if !self.choices.is_empty() {
            page += &format!("\n{}", self.choices_table(full).text(width));
        }
        for text in &self.written {
            page += &format!("\nwritten:\n{}", quoted(text));
        }
        for (filter, found) in &self.extracted {
            page += &format!("\nextracted by {filter}:\n{}", quoted(found));
        }
        if self.choices.iter().all(|choice| !choice.is_right) {
            let target = self.target_text.clone().unwrap_or_else(|| match &self.target {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            page += &format!("\nright:\n{}", quoted(&target));
        }
        page
    }

    /// The question alone, or of a long one its end.
    fn end_of<'p>(&self, prompt: &'p str, full: bool) -> std::borrow::Cow<'p, str> {
        if full {
            return prompt.into();
        }
        let question = self.question_from.and_then(|at| prompt.get(at..)).unwrap_or(prompt);
        let cut = question.char_indices().rev().nth(TAIL - 1).map_or(0, |(at, _)| at);
        let end = &question[cut..];
        if end.len() == prompt.len() { end.into() } else { format!("…{end}").into() }
    }

    fn choices_table(&self, full: bool) -> Table<(usize, &SampleChoice)> {
        let total: f64 = self.choices.iter().map(|choice| (choice.logprob - self.highest()).exp()).sum();
        let share = move |logprob: f64, highest: f64| (logprob - highest).exp() / total;
        let highest = self.highest();
        let table = Table::of(self.choices.iter().enumerate())
            .column(text("mark").titled(""), |(_, choice): (usize, &SampleChoice)| {
                match (choice.is_likeliest, choice.is_right) {
                    (true, true) => "✓ right, likeliest",
                    (true, false) => "✗ likeliest",
                    (false, true) => "→ right",
                    (false, false) => "",
                }
            })
            .column(number("choice"), |(place, _)| place)
            .column(text("text").wraps(), |(_, choice)| {
                Cell::from(choice.text.as_ref().map(|text| format!("{text:?}"))).or_dash()
            })
            .column(number("logprob"), |(_, choice)| {
                Cell::written(Some(choice.logprob), |logprob: f64| format!("{logprob:.4}"))
            })
            .column(number("share"), |(_, choice)| {
                Cell::written(Some(share(choice.logprob, highest)), |share: f64| format!("{share:.3}"))
            })
            .column(number("tokens"), |(_, choice)| choice.n_tokens)
            .column(text("greedy"), |(_, choice)| if choice.is_greedy { "greedy" } else { "" });
        if !full {
            return table;
        }
        table.column(text("ids").wraps(), |(_, choice)| {
            choice.tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
        })
    }

    fn highest(&self) -> f64 {
        self.choices.iter().map(|choice| choice.logprob).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A line for each document and model; texts whole.
pub fn samples_table(samples: &[Sample]) -> Table<&Sample> {
    let of_choices = |sample: &Sample, of: fn(&SampleChoice) -> String| {
        let all: Vec<String> = sample.choices.iter().map(of).collect();
        (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
    };
    let place = |sample: &Sample, of: fn(&SampleChoice) -> bool| sample.choices.iter().position(of);
    Table::of(samples)
        .column(text("model"), |sample| &sample.model)
        .column(text("suite"), |sample| &sample.suite)
        .column(text("task"), |sample| &sample.task)
        .column(number("doc_id"), |sample| sample.doc_id)
        .column(text("metric"), |sample| &sample.metric)
        .column(number("value"), |sample| sample.value)
        .column(text("verdict"), |sample| sample.verdict())
        .column(number("right_choice"), move |sample| place(sample, |choice| choice.is_right))
        .column(number("likeliest_choice"), move |sample| place(sample, |choice| choice.is_likeliest))
        .column(data("logprobs"), move |sample| of_choices(sample, |choice| choice.logprob.to_string()))
        .column(data("extracted"), |sample| sample.extracted.first().map(|(_, found)| found))
        .column(data("written"), |sample| sample.written.first())
        .column(data("target"), |sample| match &sample.target {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .column(data("prompt"), |sample| sample.prompt.as_ref())
        .column(data("prompt_sha256"), |sample| &sample.prompt_sha256)
        .column(number("num_fewshot"), |sample| sample.num_fewshot)
}

/// A text of somebody else, line by line.
fn quoted(text: impl AsRef<str>) -> String {
    text.as_ref().split('\n').map(|line| format!("{MARGIN}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let choice = |text: &str, logprob: f64, is_right: bool, is_likeliest: bool| SampleChoice {
            text: Some(text.to_owned()),
            prompt: None,
            logprob,
            is_greedy: is_likeliest,
            n_tokens: 1,
            tokens: vec![330],
            is_right,
            is_likeliest,
        };
        let examples = "Q: Is ice warm?\nA: no\n\n";
        Sample {
            model: "llama-7b".to_owned(),
            suite: "zoology".to_owned(),
            task: "zoology_birds".to_owned(),
            doc_id: 3,
            metric: "acc,none".to_owned(),
            value: Some(0.0),
            right: Some(false),
            prompt: Some(format!("{examples}Q: Can penguins fly?\n── zoology, document 4\nA:")),
            question_from: Some(examples.len()),
            prompt_sha256: "ab".repeat(32),
            n_prompt_tokens: Some(24),
            truncated: false,
            choices: vec![choice(" yes", -0.5, false, true), choice(" no\u{1b}[2J", -1.25, true, false)],
            written: Vec::new(),
            extracted: Vec::new(),
            target: 1.into(),
            target_text: None,
            num_fewshot: Some(5),
            has_other_shots: false,
        }
    }

    #[test]
    fn a_document_is_a_page() {
        let page = sample().page(100, false);
        assert!(page.starts_with("── zoology_birds, document 3, llama-7b: wrong (acc,none "), "{page}");
        // What others wrote stands further in, and is no line of the page.
        assert!(page.contains("    …Q: Can penguins fly?\n    ── zoology, document 4\n    A:\n"), "{page}");
        assert!(!page.contains("Is ice warm") && !page.contains("330"), "{page}");
        for words in ["✗ likeliest", "→ right", "-0.5000", "0.679", "\" no\\u{1b}[2J\""] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains('\u{1b}'), "{page}");
        let of_several = Sample { has_other_shots: true, ..sample() }.page(100, false);
        assert!(of_several.starts_with("── zoology_birds (5 shots), document 3, llama-7b: "), "{of_several}");
        let full = sample().page(100, true);
        assert!(full.contains("    Q: Is ice warm?\n") && full.contains("330"), "{full}");
        let written = Sample {
            choices: Vec::new(),
            prompt: None,
            truncated: true,
            written: vec!["Let me see.\nThe answer is 7.".to_owned()],
            extracted: vec![("strict-match".to_owned(), "[invalid]".to_owned())],
            target: "8".into(),
            value: None,
            right: None,
            ..sample()
        };
        let page = written.page(100, false);
        for words in [
            "document 3, llama-7b: acc,none no value\n",
            "(the run has no texts; 24 tokens, sha256 abab",
            "The prompt was cut to fit the model.",
            "written:\n    Let me see.\n    The answer is 7.\n",
            "extracted by strict-match:\n    [invalid]\n",
            "right:\n    8\n",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
    }

    #[test]
    fn a_long_question_is_cut_at_its_beginning() {
        let long = Sample { prompt: Some("漢".repeat(5000)), question_from: None, ..sample() };
        assert_eq!(long.page(100, false).matches('漢').count(), TAIL);
        assert!(long.page(100, false).contains("    …漢"));
        assert_eq!(long.page(100, true).matches('漢').count(), 5000);
        // A place inside a character is of another text.
        let odd = Sample { question_from: Some(1), ..long };
        assert_eq!(odd.page(100, false).matches('漢').count(), TAIL);
    }

    #[test]
    fn for_programs_all_is_there() {
        let csv = samples_table(&[sample()]).csv();
        assert!(
            csv.starts_with("model,suite,task,doc_id,metric,value,verdict,right_choice,likeliest_choice,"),
            "{csv}"
        );
        assert!(csv.contains(",wrong,1,0,\"[-0.5,-1.25]\","), "{csv}");
        assert!(csv.lines().next().unwrap().ends_with(",prompt_sha256,num_fewshot"), "{csv}");
        assert!(csv.trim_end().ends_with(",5"), "{csv}");
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(json["num_fewshot"], 5);
        assert_eq!(json["choices"][1]["text"], " no\u{1b}[2J");
        assert!(json["prompt"].as_str().unwrap().starts_with("Q: Is ice warm?"));
    }
}
