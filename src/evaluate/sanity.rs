//! Facts that a score does not show: documents that saw their own answer, prompts that were cut, choices that the
//! model cannot tell apart.
//!
//! Nothing here changes a number. Every finding names documents, so that one can look.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{EncodedDoc, EncodedTask, EvaluateError, TaskResult};
use crate::base::names::name_of;
use crate::metrics::DocValue;
use crate::tasks::{OutputType, PreparedDoc, PreparedTask};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// How many documents a finding names.
pub(super) const NAMED: usize = 5;
/// How many tasks have a line each for one check.
const MOST_TASKS: usize = 3;

/// What was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SanityCheck {
    /// The document stands among its own examples.
    OwnExample,
    /// The document asks what an earlier one asks.
    Repeated,
    /// Two BOS in a row.
    DoubleBos,
    /// No BOS, where the tokenizer puts one.
    MissingBos,
    /// A choice without text.
    EmptyChoice,
    /// Nothing to score: a continuation without tokens.
    EmptyContinuation,
    /// Choices of the same text.
    EqualText,
    /// Choices of different texts and the same tokens.
    EqualTokens,
    /// A prompt that is longer than the context, without any answer.
    LongPrompt,
    /// Tokens were cut from the left.
    Truncated,
    /// Examples were left out.
    DroppedExamples,
    /// The document was left out.
    Skipped,
    /// A filter found nothing in the answer.
    Unparsed,
}

impl SanityCheck {
    /// What the documents are or have, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::OwnExample => "stand among their own examples, answer included: the score is too high",
            Self::Repeated => "ask what an earlier document asks",
            Self::DoubleBos => "begin with BOS twice",
            Self::MissingBos => "lack the BOS that the tokenizer puts",
            Self::EmptyChoice => "have an empty choice",
            Self::EmptyContinuation => "have nothing to score: a continuation without tokens",
            Self::EqualText => "have choices of the same text",
            Self::EqualTokens => "have choices of the same tokens",
            Self::LongPrompt => "have prompts longer than the context",
            Self::Truncated => "lost tokens on the left",
            Self::DroppedExamples => "lost examples to fit",
            Self::Skipped => "were left out as too long",
            Self::Unparsed => "have an answer in which a filter found nothing",
        }
    }

    /// The name in tables: `own-example`, …
    pub fn name(self) -> &'static str {
        name_of(&self)
    }
}

/// What a cut took away, in tokens over all documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// BOS.
    pub bos: usize,
    /// System instruction and description.
    pub description: usize,
    /// Examples.
    pub examples: usize,
    /// The question; of a prompt without parts all of it.
    pub question: usize,
}

impl Cut {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            bos: self.bos + other.bos,
            description: self.description + other.description,
            examples: self.examples + other.examples,
            question: self.question + other.question,
        }
    }

    /// ` (tokens: 7 of BOS, 20 of examples)`.
    fn words(self) -> String {
        let Self { bos, description, examples, question } = self;
        let parts =
            [(bos, "BOS"), (description, "description"), (examples, "examples"), (question, "question")];
        let parts = parts.iter().filter(|(tokens, _)| *tokens > 0);
        let parts: Vec<String> = parts.map(|(tokens, part)| format!("{tokens} of {part}")).collect();
        format!(" (tokens: {})", parts.join(", "))
    }

    /// Takes `tokens` from parts of these lengths, the first part first.
    fn of(mut tokens: usize, bos: usize, description: usize, examples: usize) -> Self {
        let mut take = |most: usize| {
            let taken = tokens.min(most);
            tokens -= taken;
            taken
        };
        Self { bos: take(bos), description: take(description), examples: take(examples), question: tokens }
    }
}

/// Documents of a task of which something is to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SanityFinding {
    /// The task's name, as in `results.csv`.
    pub task: String,
    /// What it is.
    pub check: SanityCheck,
    /// How many documents.
    pub documents: usize,
    /// Of how many.
    pub of: usize,
    /// The first of them, by row of the evaluation split.
    pub first: Vec<usize>,
    /// Of cut documents, what was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// In which turn of a conversation, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl SanityFinding {
    /// A finding over the given documents; none without any.
    pub fn new(task: &str, check: SanityCheck, of: usize, doc_ids: Vec<usize>) -> Option<Self> {
        let documents = doc_ids.len();
        let first = doc_ids.into_iter().take(NAMED).collect();
        let finding = Self { task: task.to_owned(), check, documents, of, first, cut: None, turn: 0 };
        (documents > 0).then_some(finding)
    }

    /// The largest number in it.
    pub fn largest(&self) -> usize {
        let Self { documents, of, first, turn, cut, .. } = self;
        let Cut { bos, description, examples, question } = cut.unwrap_or_default();
        let all = [*documents, *of, *turn, bos, description, examples, question];
        all.iter().chain(first).copied().max().unwrap_or_default()
    }

    /// One line: `arc_easy: 3 of 500 documents lost tokens on the left (…); documents 4, 17, 90`.
    pub fn line(&self) -> String {
        let Self { task, check, documents, of, first, .. } = self;
        let shown: Vec<String> = first.iter().map(usize::to_string).collect();
        let more = if *documents > shown.len() { ", …" } else { "" };
        format!(
            "{task}: {documents} of {of} documents {}{}; see {}{more}",
            check.words(),
            self.cut.map(Cut::words).unwrap_or_default(),
            shown.join(", ")
        )
    }
}

/// The findings of several tasks: what was done to documents before what was seen of them. What is found again in a later turn
/// of the same documents is said once.
pub fn ordered(all: impl Iterator<Item = SanityFinding>) -> Vec<SanityFinding> {
    let mut findings: Vec<SanityFinding> = Vec::new();
    for finding in all {
        let is_same =
            |known: &SanityFinding| SanityFinding { turn: finding.turn, ..known.clone() } == finding;
        if finding.turn == 0 || !findings.iter().any(is_same) {
            findings.push(finding);
        }
    }
    findings
        .sort_by_key(|finding| !matches!(finding.check, SanityCheck::Skipped | SanityCheck::DroppedExamples));
    findings
}

/// The lines of findings; a check that found something in many tasks has one line for all of them.
pub fn summary(findings: &[SanityFinding]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut done: Vec<SanityCheck> = Vec::new();
    for finding in findings.iter() {
        if done.contains(&finding.check) {
            continue;
        }
        done.push(finding.check);
        let same: Vec<&SanityFinding> =
            findings.iter().filter(|other| other.check == finding.check).collect();
        if same.len() <= MOST_TASKS {
            lines.extend(same.iter().map(|finding| finding.line()));
            continue;
        }
        let count = |of: fn(&SanityFinding) -> usize| same.iter().map(|finding| of(finding)).sum::<usize>();
        let cut = same.iter().filter_map(|finding| finding.cut).reduce(Cut::and);
        let most = same.iter().max_by_key(|finding| finding.documents).map_or("", |most| most.task.as_str());
        lines.push(format!(
            "{} tasks: {} of {} documents {}{}; most in {most}",
            same.len(),
            count(|finding| finding.documents),
            count(|finding| finding.of),
            finding.check.words(),
            cut.map(Cut::words).unwrap_or_default()
        ));
    }
    lines
}

/// Looks at every document of a task as a model with `max_length` positions gets it.
///
/// # Errors
/// A text that cannot be encoded.
pub(super) fn inspect(
    tokenizer: &Tokenizer,
    task: &PreparedTask,
    encoded: &EncodedTask,
    max_length: usize,
) -> Result<Vec<SanityFinding>, EvaluateError> {
    let whole = task.task.config.output_type == OutputType::LoglikelihoodRolling;
    let written = task.task.config.output_type == OutputType::GenerateUntil;
    let look = Look { tokenizer, whole, max_length };
    let pairs = || task.docs.iter().zip(&encoded.docs);
    let among = |check: SanityCheck, is: &dyn Fn(&PreparedDoc, &EncodedDoc) -> bool| {
        let ids = pairs().filter(|(doc, tokens)| is(doc, tokens)).map(|(doc, _)| doc.doc_id).collect();
        SanityFinding::new(&task.task.name, check, task.docs.len(), ids)
    };
    let mut truncated =
        among(SanityCheck::Truncated, &|_, tokens| !whole && tokens.truncated(max_length) > 0);
    if let Some(finding) = &mut truncated {
        let cut = |(doc, tokens): (&PreparedDoc, &EncodedDoc)| {
            look.cut(doc, tokens).map_err(|source| EvaluateError::of(task, doc, source))
        };
        let cuts = task.docs.par_iter().zip(&encoded.docs).map(cut);
        finding.cut = Some(cuts.try_reduce(Cut::default, |a, b| Ok(a.and(b)))?);
    }
    let found = [
        among(SanityCheck::OwnExample, &|doc, _| doc.meets_itself),
        repeated_questions(task),
        among(SanityCheck::DoubleBos, &|_, tokens| look.has_double_bos(tokens)),
        among(SanityCheck::MissingBos, &|_, tokens| look.lacks_bos(tokens)),
        among(SanityCheck::EmptyChoice, &|doc, _| !written && doc.choices.iter().any(String::is_empty)),
        among(SanityCheck::EmptyContinuation, &|_, tokens| {
            !written && tokens.requests.iter().any(|pair| pair.request.continuation.is_empty())
        }),
        among(SanityCheck::EqualText, &|doc, _| has_equal(&texts(doc))),
        among(SanityCheck::EqualTokens, &|doc, tokens| {
            !whole && !has_equal(&texts(doc)) && has_equal(&token_lists(tokens))
        }),
        among(SanityCheck::LongPrompt, &|_, tokens| {
            // What is written needs place of its own: such prompts are among those that were cut.
            !whole && !written && tokens.requests.iter().any(|pair| pair.n_context_tokens > max_length)
        }),
        truncated,
    ];
    Ok(found.into_iter().flatten().collect())
}

/// The documents with an answer in which a filter of the task found nothing.
pub fn unparsed(result: &TaskResult) -> Option<SanityFinding> {
    let lost = |at: usize| {
        result.extracted.iter().any(|filter| !matches!(filter.documents[at], DocValue::Number(1.0)))
    };
    let lines = result.samples.iter().enumerate().filter(|(at, _)| lost(*at));
    let ids = lines.map(|(_, line)| line.doc_id).collect();
    SanityFinding::new(result.name(), SanityCheck::Unparsed, result.samples.len(), ids)
}

/// Context and continuation of every request; a context that the first one shares is left out.
fn texts(doc: &PreparedDoc) -> Vec<(&str, &str)> {
    let first = doc.requests.first().map(|request| &request.context);
    let own = |context| if first.is_some_and(|first| Arc::ptr_eq(first, context)) { "" } else { &**context };
    doc.requests.iter().map(|request| (own(&request.context), request.continuation.as_str())).collect()
}

/// The same in tokens.
fn token_lists(doc: &EncodedDoc) -> Vec<(&[u32], &[u32])> {
    let first = doc.requests.first().map(|pair| &pair.request.context);
    let own = |context| if first.is_some_and(|first| Arc::ptr_eq(first, context)) { &[] } else { &**context };
    let lists = doc.requests.iter().map(|pair| &pair.request);
    lists.map(|request| (own(&request.context), request.continuation.as_slice())).collect()
}

fn has_equal<T: Eq + std::hash::Hash>(items: &[T]) -> bool {
    let mut seen = HashSet::with_capacity(items.len());
    !items.iter().all(|item| seen.insert(item))
}

/// The documents of a task that ask what an earlier one asks.
pub fn repeated_questions(task: &PreparedTask) -> Option<SanityFinding> {
    SanityFinding::new(&task.task.name, SanityCheck::Repeated, task.docs.len(), repeated(&task.docs))
}

/// Documents whose question and choices an earlier one has, whatever examples stand before them.
fn repeated(docs: &[PreparedDoc]) -> Vec<usize> {
    let mut seen: HashMap<Vec<(&str, &str)>, usize> = HashMap::with_capacity(docs.len());
    let asked = |doc: &PreparedDoc, context: &str| {
        doc.parts.as_ref().map_or(0, |parts| parts.before_question(context).len())
    };
    let mut again = Vec::new();
    for doc in docs {
        let key = doc.requests.iter().map(|request| {
            let question = &request.context[asked(doc, &request.context)..];
            (question, request.continuation.as_str())
        });
        if seen.insert(key.collect(), doc.doc_id).is_some() {
            again.push(doc.doc_id);
        }
    }
    again
}

/// What the looks at one document share.
struct Look<'a> {
    tokenizer: &'a Tokenizer,
    whole: bool,
    max_length: usize,
}

impl Look<'_> {
    /// Of a whole text the prefix token and then the text's own BOS; of a prompt two BOS at its beginning.
    fn has_double_bos(&self, doc: &EncodedDoc) -> bool {
        let Some(bos) = self.tokenizer.bos() else { return false };
        doc.requests.iter().take(if self.whole { 1 } else { usize::MAX }).any(|pair| {
            let tokens = pair.request.context.iter().chain(&pair.request.continuation);
            tokens.take(2).filter(|token| **token == bos).count() == 2
        })
    }

    fn lacks_bos(&self, doc: &EncodedDoc) -> bool {
        let wanted = self.tokenizer.bos().filter(|_| self.tokenizer.adds_bos());
        let Some(bos) = wanted else { return false };
        let first = doc.requests.iter().take(if self.whole { 1 } else { usize::MAX });
        first.into_iter().any(|pair| pair.request.context.first() != Some(&bos))
    }

    /// What the request that loses most loses.
    fn cut(&self, doc: &PreparedDoc, tokens: &EncodedDoc) -> Result<Cut, TokenizerError> {
        let lost = tokens.truncated(self.max_length);
        if lost == 0 {
            return Ok(Cut::default());
        }
        let at = tokens.requests.iter().position(|pair| pair.request.truncated(self.max_length) == lost);
        let at = at.expect("one of the requests loses most");
        let (pair, text) = (&tokens.requests[at], &doc.requests[at]);
        let begins = pair.request.context.first().copied();
        let bos = usize::from(begins.is_some() && begins == self.tokenizer.bos());
        let Some(parts) = &doc.parts else { return Ok(Cut::of(lost, bos, 0, 0)) };
        let length = |text: &str| -> Result<usize, TokenizerError> {
            let own = if text.is_empty() { 0 } else { self.tokenizer.encode_for_model(text)?.len() };
            Ok(own.saturating_sub(bos))
        };
        let opening = length(parts.opening(&text.context))?;
        let before = length(parts.before_question(&text.context))?;
        Ok(Cut::of(lost, bos, opening, before.saturating_sub(opening)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_go_from_the_left() {
        let cut = |tokens| {
            let Cut { bos, description, examples, question } = Cut::of(tokens, 1, 3, 5);
            [bos, description, examples, question]
        };
        assert_eq!(cut(0), [0; 4]);
        assert_eq!(cut(2), [1, 1, 0, 0]);
        assert_eq!(cut(9), [1, 3, 5, 0]);
        assert_eq!(cut(11), [1, 3, 5, 2]);
    }

    #[test]
    fn a_line_says_how_many_and_which() {
        let mut finding = SanityFinding::new("t", SanityCheck::Truncated, 9, (0..7).collect()).unwrap();
        finding.cut = Some(Cut { bos: 7, description: 0, examples: 20, question: 0 });
        assert_eq!(
            finding.line(),
            "t: 7 of 9 documents lost tokens on the left (tokens: 7 of BOS, 20 of examples); see 0, 1, 2, 3, 4, …"
        );
        assert_eq!(finding.check.name(), "truncated");
        assert!(SanityFinding::new("t", SanityCheck::Skipped, 9, Vec::new()).is_none());
    }

    #[test]
    fn many_tasks_have_one_line() {
        let find = |task: &str, documents: usize| {
            let mut finding =
                SanityFinding::new(task, SanityCheck::Truncated, 10, (0..documents).collect()).unwrap();
            finding.cut = Some(Cut { bos: documents, ..Cut::default() });
            finding
        };
        let mut findings = vec![find("a", 1), find("b", 4), find("c", 2)];
        findings.extend(SanityFinding::new("a", SanityCheck::OwnExample, 10, vec![7]));
        assert_eq!(summary(&findings).len(), 4);
        findings.push(find("d", 3));
        let lines = summary(&findings);
        assert_eq!(
            lines[0],
            "4 tasks: 10 of 40 documents lost tokens on the left (tokens: 10 of BOS); most in b"
        );
        assert_eq!((lines.len(), lines[1].as_str()), (2, findings[3].line().as_str()));
    }
}
