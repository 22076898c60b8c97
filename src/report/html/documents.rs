//! From samples and texts of a run's models to the documents of a page.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::samples::{PageAnswer, PageDocument, PageOrder, TaskSamples, Verdict};
use crate::records::{SampleLine, TextLine};

/// The metrics that say of a document whether it is right; the first that there is counts.
const JUDGES: [&str; 6] = ["acc,", "exact_match,", "em,", "pass@1,", "acc_norm,", "f1,"];

/// What one column has of a task.
#[derive(Debug, Clone, Copy)]
pub struct ColumnSamples<'a> {
    /// Its answers.
    pub lines: &'a [SampleLine],
    /// What it was asked; empty where no texts were kept.
    pub texts: &'a [TextLine],
}

/// The documents of a task that any column was asked, with the answers of each. `None` is a column that was not asked.
pub fn task_samples(columns: &[Option<ColumnSamples<'_>>]) -> TaskSamples {
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for line in columns.iter().flatten().flat_map(|own| own.lines) {
        places.entry(line.doc_id).or_default();
    }
    for (place, own) in places.values_mut().enumerate() {
        *own = place;
    }
    let texts: Vec<HashMap<(usize, &str), &TextLine>> = columns.iter().map(by_prompt).collect();
    let mut samples = TaskSamples {
        documents: places.keys().map(|id| PageDocument { id: *id, ..PageDocument::default() }).collect(),
        ..TaskSamples::default()
    };
    let mut before: HashMap<String, usize> = HashMap::new();
    let judge = judge(columns);
    for (own, texts) in columns.iter().zip(&texts) {
        let Some(own) = own else {
            samples.answers.push(None);
            continue;
        };
        let mut answers: Vec<Option<PageAnswer>> = vec![None; samples.documents.len()];
        for line in own.lines {
            let place = places[&line.doc_id];
            let document = &mut samples.documents[place];
            let text = texts.get(&(line.doc_id, line.prompt_sha256.as_str())).copied();
            if document.sha256.is_empty() {
                *document = asked(line, text, &mut before);
                samples.kept |= text.is_some();
            }
            let other = text.filter(|_| document.sha256 != line.prompt_sha256);
            let prompt = other.map(|text| text.prompt.clone());
            let choices = text.map_or_else(Vec::new, |text| text.choices.clone());
            let order = PageOrder { choices, gold: right_ones(line) };
            let differs =
                order.gold != document.gold || (text.is_some() && order.choices != document.choices);
            let order = Some(order).filter(|_| differs);
            answers[place] = Some(PageAnswer { prompt, order, ..answer(line, judge.as_deref()) });
        }
        samples.answers.push(Some(answers));
    }
    samples.before = vec![String::new(); before.len()];
    for (text, place) in before {
        samples.before[place] = text;
    }
    samples
}

fn by_prompt<'a>(own: &Option<ColumnSamples<'a>>) -> HashMap<(usize, &'a str), &'a TextLine> {
    let texts = own.iter().flat_map(|own| own.texts);
    texts.map(|text| ((text.doc_id, text.prompt_sha256.as_str()), text)).collect()
}

/// The metric that judges: one for all columns.
fn judge(columns: &[Option<ColumnSamples<'_>>]) -> Option<String> {
    let mut firsts = columns.iter().flatten().filter_map(|own| own.lines.first());
    let of = |line: &SampleLine| {
        JUDGES.iter().find_map(|judge| line.metrics.keys().find(|key| key.starts_with(judge)).cloned())
    };
    firsts.find_map(of)
}

fn asked(line: &SampleLine, text: Option<&TextLine>, before: &mut HashMap<String, usize>) -> PageDocument {
    let written = || match &line.target {
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            (!all.is_empty()).then(|| all.join("\n"))
        }
        _ => None,
    };
    let document = PageDocument {
        id: line.doc_id,
        sha256: line.prompt_sha256.clone(),
        gold: right_ones(line),
        ..PageDocument::default()
    };
    let Some(text) = text else { return PageDocument { target: written(), ..document } };
    let [first, question] = text.parts(&text.prompt);
    let next = before.len();
    let place = (!first.is_empty()).then(|| *before.entry(first.to_owned()).or_insert(next));
    PageDocument {
        before: place,
        question: if text.prompts.is_empty() { question.to_owned() } else { String::new() },
        choices: text.choices.clone(),
        prompts: text.prompts.iter().map(|prompt| text.parts(prompt)[1].to_owned()).collect(),
        turns: text.turns.clone(),
        target: text.target.clone(),
        ..document
    }
}

/// The right choices; none where the right answer is a text.
fn right_ones(line: &SampleLine) -> Vec<usize> {
    match &line.target {
        Value::Array(all) => all.iter().filter_map(index).collect(),
        one => index(one).into_iter().collect(),
    }
}

fn index(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|index| usize::try_from(index).ok())
}

fn answer(line: &SampleLine, judge: Option<&str>) -> PageAnswer {
    let verdict = match judge.and_then(|judge| line.metrics.get(judge)) {
        Some(value) if *value == 1.0 => Verdict::Right,
        Some(value) if *value == 0.0 => Verdict::Wrong,
        Some(value) if *value > 0.0 && *value < 1.0 => Verdict::InPart,
        _ => Verdict::Unjudged,
    };
    let extracted = line.filtered.iter().map(|(filter, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (filter.clone(), Value::from(text))
    });
    let ids = line.choices.iter().map(|choice| choice.tokens.clone());
    let ids: Vec<Vec<u32>> = ids.collect();
    PageAnswer {
        verdict,
        logprobs: line.choices.iter().map(|choice| rounded(choice.logprob)).collect(),
        ids: if ids.iter().all(Vec::is_empty) { Vec::new() } else { ids },
        texts: line.text.iter().chain(&line.turns).cloned().collect(),
        extracted: extracted.collect(),
        metrics: line.metrics.iter().map(|(key, value)| (key.clone(), rounded(*value).into())).collect(),
        programs: line.programs.values().flatten().map(ToString::to_string).collect(),
        tokens: line.n_prompt_tokens,
        cut: line.truncated,
        prompt: None,
        order: None,
    }
}

/// Four decimals, as they are shown.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::digest::sha256;

    fn sample(doc_id: usize, prompt: &str, right: f64) -> SampleLine {
        let choice = |logprob: f64| json!({"logprob": logprob, "is_greedy": false, "n_tokens": 1, "tokens": [319], "prompt_sha256": null, "n_ctx_tokens": null});
        let line = json!({
            "doc_id": doc_id, "prompt_sha256": sha256(prompt), "n_prompt_tokens": 9, "truncated": false,
            "choices": [choice(-1.234_567), choice(-2.0)], "target": 1, "metrics": {"acc,none": right, "acc_norm,none": 1.0},
        });
        serde_json::from_value(line).unwrap()
    }

    fn text(doc_id: usize, before: &str, question: &str) -> TextLine {
        let prompt = format!("{before}{question}");
        TextLine {
            doc_id,
            prompt_sha256: sha256(&prompt),
            prompt,
            question_from: Some(before.len()),
            prompts: Vec::new(),
            choices: vec![" A".to_owned(), " B".to_owned()],
            target: None,
            turns: Vec::new(),
        }
    }

    #[test]
    fn documents_of_all_columns_stand_once_and_examples_too() {
        let texts = [text(0, "ex ", "q0"), text(2, "ex ", "q2"), text(2, "", "q2")];
        let all = [sample(0, "ex q0", 1.0), sample(2, "ex q2", 0.0)];
        let short = [sample(2, "q2", 0.5), sample(5, "unknown", 2.0)];
        let column = |lines| Some(ColumnSamples { lines, texts: &texts[..] });
        let samples = task_samples(&[column(&all[..]), None, column(&short[..])]);
        assert!(samples.kept);
        assert_eq!(samples.before, ["ex "]);
        let ids: Vec<usize> = samples.documents.iter().map(|document| document.id).collect();
        assert_eq!(ids, [0, 2, 5]);
        assert_eq!((samples.documents[1].before, samples.documents[1].question.as_str()), (Some(0), "q2"));
        assert_eq!(samples.documents[1].gold, [1]);
        assert!(samples.documents[2].question.is_empty() && samples.documents[2].sha256 == sha256("unknown"));
        let first = samples.answers[0].as_ref().unwrap();
        let own = first[0].as_ref().unwrap();
        assert_eq!(
            (own.verdict, &own.logprobs[..], own.prompt.as_ref()),
            (Verdict::Right, &[-1.2346, -2.0][..], None)
        );
        assert_eq!((first[1].as_ref().unwrap().verdict, &first[2]), (Verdict::Wrong, &None));
        assert_eq!(samples.answers[1], None);
        let last = samples.answers[2].as_ref().unwrap();
        let [part, none] = [1, 2].map(|at| last[at].as_ref().unwrap());
        assert_eq!((part.verdict, part.prompt.as_deref()), (Verdict::InPart, Some("q2")));
        assert_eq!((none.verdict, none.prompt.as_deref()), (Verdict::Unjudged, None));
    }

    #[test]
    fn choices_in_another_order_are_a_column_s_own() {
        let texts = [text(0, "", "q0")];
        let rotated = [TextLine { choices: vec![" B".to_owned(), " A".to_owned()], ..texts[0].clone() }];
        let lines = [sample(0, "q0", 1.0)];
        let mut moved = lines.clone();
        moved[0].target = json!(0);
        let samples = task_samples(&[
            Some(ColumnSamples { lines: &lines, texts: &texts }),
            Some(ColumnSamples { lines: &moved, texts: &rotated }),
        ]);
        let own =
            |column: usize| samples.answers[column].as_ref().unwrap()[0].as_ref().unwrap().order.clone();
        assert_eq!(own(0), None);
        assert_eq!(own(1), Some(PageOrder { choices: rotated[0].choices.clone(), gold: vec![0] }));
    }

    #[test]
    fn what_was_written_is_shown_with_what_was_found_in_it() {
        let line = json!({
            "doc_id": 0, "prompt_sha256": "x", "truncated": true, "text": "It is 4.", "turns": ["More"],
            "filtered": {"digits": "4", "all": ["4", "5"]}, "target": ["4", "four"], "metrics": {"exact_match,digits": 1.0},
            "programs": {"digits": [{"verdict": "failed", "error": "NameError"}]},
        });
        let lines = [serde_json::from_value(line).unwrap()];
        let samples = task_samples(&[Some(ColumnSamples { lines: &lines, texts: &[] })]);
        assert!(!samples.kept);
        assert_eq!(samples.documents[0].target.as_deref(), Some("4\nfour"));
        let own = samples.answers[0].as_ref().unwrap()[0].as_ref().unwrap();
        assert_eq!((own.verdict, own.cut, own.texts.len()), (Verdict::Right, true, 2));
        assert_eq!((&own.extracted["digits"], &own.extracted["all"]), (&json!("4"), &json!("[\"4\",\"5\"]")));
        assert_eq!(own.programs, ["failed: NameError"]);
    }
}
