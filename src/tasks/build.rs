//! One document's messages and requests.

use std::sync::Arc;

use super::chat::{Chat, Context};
use super::conversation::{Conversation, conversation};
use super::error::TaskError;
use super::fields::{Doc, FieldPart, Maker, Wrong};
use super::gold::{gold, written};
use super::prompt::{Delimited, Turn, plain, system};
use super::request::TextRequest;
use super::schema::{FewshotConfig, Field, OutputType};
use super::suite::Task;
use crate::metrics::Gold;
use crate::python::text::is_space;

/// The fields that a question or an example is made of.
struct Makers {
    text: Maker,
    target: Maker,
    choices: Option<Maker>,
    gen_prefix: Option<Maker>,
    target_delimiter: String,
}

/// Builds what a model sees of one document after the other.
pub(super) struct Builder<'a> {
    task: &'a Task,
    question: Makers,
    example: Makers,
    description: Option<Maker>,
    fewshot_delimiter: String,
    system_instruction: Option<&'a str>,
    chat: Option<&'a Chat>,
    unconditional: bool,
    /// Whether choices stand in the context; known from the first document on.
    multiple_input: Option<bool>,
    /// Whether a written answer may be any of several; known from the first document on.
    multiple_target: bool,
}

/// The requests of one document.
pub(super) struct Built {
    pub requests: Vec<TextRequest>,
    pub unconditional: Vec<TextRequest>,
    pub choices: Vec<String>,
    pub gold: Gold,
    /// Whether all answers are among the choices.
    pub in_range: bool,
    /// Whether the chat template refused the system text.
    pub without_system: bool,
    pub target_text: String,
    /// Of an instruction whose answer is judged elsewhere.
    pub conversation: Option<Arc<Conversation>>,
}

impl Built {
    /// A document of a single request, without choices.
    fn of_one(request: TextRequest, gold: Gold, target_text: String) -> Self {
        Self {
            requests: vec![request],
            unconditional: Vec::new(),
            choices: Vec::new(),
            gold,
            in_range: true,
            without_system: false,
            target_text,
            conversation: None,
        }
    }
}

impl<'a> Builder<'a> {
    /// Compiles the fields of a task; `columns` are those of the evaluated split.
    pub fn new(
        task: &'a Task,
        columns: &[String],
        system_instruction: Option<&'a str>,
        chat: Option<&'a Chat>,
    ) -> Result<Self, TaskError> {
        let config = &task.config;
        let own = &config.fewshot_config;
        let maker =
            |key, field: Option<&Field>| field.map(|field| Maker::new(task, key, field, columns)).transpose();
        let required = |key, field: Option<&Field>| {
            let missing = || task.wrong(key, "missing; it says how this part of the prompt is made");
            maker(key, field)?.ok_or_else(missing)
        };
        let template = |key, text: Option<&String>| {
            let text = text.filter(|text| !text.is_empty());
            maker(key, text.map(|text| Field::Template(text.clone())).as_ref())
        };
        // A text that is scored whole needs no question.
        let rolling = config.output_type == OutputType::LoglikelihoodRolling;
        let nothing = Field::Template(String::new());
        let makers = |own: &FewshotConfig| -> Result<Makers, TaskError> {
            let text = own.doc_to_text.as_ref().or(config.doc_to_text.as_ref());
            let target = own.doc_to_target.as_ref().or(config.doc_to_target.as_ref());
            let choices = own.doc_to_choice.as_ref().or(config.doc_to_choice.as_ref());
            Ok(Makers {
                text: required("doc_to_text", text.or(rolling.then_some(&nothing)))?,
                target: required("doc_to_target", target)?,
                choices: maker("doc_to_choice", choices)?,
                gen_prefix: template("gen_prefix", own.gen_prefix.as_ref().or(config.gen_prefix.as_ref()))?,
                target_delimiter: own.target_delimiter.as_ref().unwrap_or(&config.target_delimiter).clone(),
            })
        };
        let question = makers(&FewshotConfig::default())?;
        let example = makers(own)?;
        if config.output_type == OutputType::MultipleChoice && question.choices.is_none() {
            let missing = "missing; a task of the type multiple_choice needs choices";
            return Err(task.wrong("doc_to_choice", missing));
        }
        Ok(Self {
            task,
            question,
            example,
            description: template("description", config.description.as_ref())?,
            fewshot_delimiter: own.fewshot_delimiter.as_ref().unwrap_or(&config.fewshot_delimiter).clone(),
            system_instruction,
            chat,
            unconditional: config.metrics().iter().any(|metric| metric.name == "acc_mutual_info"),
            multiple_input: None,
            multiple_target: false,
        })
    }

    fn has_choices(&self) -> bool {
        self.question.choices.is_some()
    }

    fn is_multiple_input(&self) -> bool {
        self.multiple_input.unwrap_or(false)
    }

    /// The messages before the examples. The first call decides whether choices stand in the context.
    pub fn opening(&mut self, doc: &Doc<'_>) -> Result<Vec<Delimited>, Wrong> {
        if self.multiple_input.is_none() {
            let text = self.question.text.text(doc, self.has_choices())?;
            self.multiple_input = Some(self.has_choices() && text.index().is_some());
            let target = self.question.target.target(doc, self.has_choices())?;
            self.multiple_target = target.is_several();
        }
        let description = self.description.as_ref().map(|maker| maker.plain(doc)).transpose()?;
        let description = description.unwrap_or_default();
        // The delimiter here is the task's own; only examples have one of their own.
        let delimiter = &self.task.config.fewshot_delimiter;
        Ok(system(self.system_instruction, delimiter, &description).into_iter().collect())
    }

    /// The messages of an example.
    pub fn example(&self, doc: &Doc<'_>) -> Result<Vec<Delimited>, Wrong> {
        let makers = &self.example;
        let text = makers.text.text(doc, self.has_choices())?;
        let choices = makers.choices.as_ref().map(|maker| maker.choices(doc)).transpose()?;
        let answer = makers.target.target(doc, self.has_choices())?;
        let prefix = prefix(makers, doc)?;
        let (question, choices) = if self.is_multiple_input() {
            let chosen = text.index().and_then(|index| usize::try_from(index).ok());
            let chosen = chosen.and_then(|at| choices.as_ref()?.get(at)).cloned();
            let wrong = || format!("expected the number of a choice, found {}", text.shown());
            (chosen.ok_or_else(|| ("doc_to_text", wrong()))?, None)
        } else {
            (question_text(text)?, choices)
        };
        Turn {
            question: &question,
            choices: choices.as_deref(),
            answer: &answer,
            gen_prefix: prefix.as_deref(),
            target_delimiter: &makers.target_delimiter,
            fewshot_delimiter: &self.fewshot_delimiter,
        }
        .messages()
        .map_err(|e| ("doc_to_target", e))
    }

    /// The requests of the evaluated document, after the messages that stand before it.
    pub fn requests(&self, doc: &Doc<'_>, before: Vec<Delimited>) -> Result<Built, Wrong> {
        let makers = &self.question;
        let target = makers.target.target(doc, self.has_choices())?;
        if self.task.config.output_type == OutputType::LoglikelihoodRolling {
            return whole_text(target);
        }
        let text = makers.text.text(doc, self.has_choices())?;
        let choices = makers.choices.as_ref().map(|maker| maker.choices(doc)).transpose()?;
        let prefix = prefix(makers, doc)?;
        let context = |question: &str, delimiter: &str| -> Result<Context, Wrong> {
            let turn = Turn {
                question,
                choices: None,
                answer: &FieldPart::Null,
                gen_prefix: prefix.as_deref(),
                target_delimiter: delimiter,
                fewshot_delimiter: "",
            };
            let mut messages = before.clone();
            messages.append(&mut turn.messages().map_err(|e| ("doc_to_target", e))?);
            match self.chat {
                None => Ok(Context::of_text(plain(&messages))),
                Some(chat) => chat.context(&messages).map_err(|e| ("chat template", e)),
            }
        };
        let delimiter = makers.target_delimiter.as_str();
        let target_text = target.shown();
        if self.task.config.output_type == OutputType::GenerateUntil {
            let gold = written(target, choices.as_deref(), self.multiple_target)?;
            let question = question_text(text)?;
            let (context, conversation) = match &self.task.config.judged {
                None => (context(&question, delimiter)?, None),
                Some(judged) => {
                    let (context, own) = conversation(judged, self.chat, doc.columns, &question, &before)
                        .map_err(|message| ("metadata.judged", message))?;
                    (context, Some(Arc::new(own)))
                }
            };
            return Ok(Built {
                without_system: context.without_system,
                conversation,
                ..Built::of_one(TextRequest::to_answer(&context), gold, target_text)
            });
        }
        if self.task.config.output_type == OutputType::Loglikelihood {
            let target = target.into_text();
            let target =
                target.map_err(|_| ("doc_to_target", format!("expected a text, found {target_text}")))?;
            if target.is_empty() {
                return Err(("doc_to_target", "the text to score is empty".into()));
            }
            let context = context(&question_text(text)?, delimiter)?;
            let request = self.request(&context, target.clone())?;
            let built = Built::of_one(request, Gold::Text(target.clone()), target);
            return Ok(Built { without_system: context.without_system, ..built });
        }
        let choices = choices.filter(|choices| !choices.is_empty());
        let choices = choices.ok_or_else(|| ("doc_to_choice", "the list of choices is empty".into()))?;
        // What stands before a choice that is scored; question and gen_prefix keep the task's delimiter.
        let before_choice = self.before_choice();
        if choices.iter().any(|choice| before_choice.is_empty() && choice.is_empty()) {
            return Err((
                "doc_to_choice",
                "a choice is empty, and so is what stands before it (target_delimiter): nothing to score"
                    .into(),
            ));
        }
        let mut without_system = false;
        let (requests, answer) = if self.is_multiple_input() {
            let continuation = format!("{before_choice}{target_text}");
            let mut requests = Vec::with_capacity(choices.len());
            for choice in &choices {
                let context = context(choice, "")?;
                without_system |= context.without_system;
                requests.push(self.request(&context, continuation.clone())?);
            }
            (requests, text)
        } else {
            let context = context(&question_text(text)?, delimiter)?;
            without_system = context.without_system;
            let request = |choice: &String| self.request(&context, format!("{before_choice}{choice}"));
            (choices.iter().map(request).collect::<Result<Vec<_>, Wrong>>()?, target)
        };
        let unconditional = if self.unconditional {
            let nothing: Arc<str> = Arc::from("");
            let request = |choice: &String| TextRequest {
                context: Arc::clone(&nothing),
                continuation: format!("{before_choice}{choice}"),
                segments: None,
            };
            choices.iter().map(request).collect()
        } else {
            Vec::new()
        };
        let (gold, in_range) = gold(&answer, &choices)?;
        Ok(Built {
            requests,
            unconditional,
            choices,
            gold,
            in_range,
            without_system,
            target_text,
            conversation: None,
        })
    }

    /// What is scored after a context.
    fn request(&self, context: &Context, continuation: String) -> Result<TextRequest, Wrong> {
        let text = Arc::clone(&context.text);
        let Some(chat) = self.chat else {
            return Ok(TextRequest { context: text, continuation, segments: None });
        };
        let (continuation, segments) =
            chat.answered(context, &continuation).map_err(|e| ("chat template", e))?;
        Ok(TextRequest { context: text, continuation, segments })
    }

    /// What stands before a choice: the delimiter, which a chat template makes superfluous unless the answer has
    /// begun with a `gen_prefix` that carries no space itself.
    fn before_choice(&self) -> &str {
        let begun = self.task.config.gen_prefix.as_deref().and_then(|prefix| prefix.chars().next_back());
        let needed = self.chat.is_none() || begun.is_some_and(|last| !is_space(last));
        if needed { &self.question.target_delimiter } else { "" }
    }
}

fn prefix(makers: &Makers, doc: &Doc<'_>) -> Result<Option<String>, Wrong> {
    makers.gen_prefix.as_ref().map(|maker| maker.plain(doc)).transpose()
}

fn question_text(part: FieldPart) -> Result<String, Wrong> {
    match part {
        FieldPart::Text(text) => Ok(text),
        other => Err(("doc_to_text", format!("expected a text, found {}", other.shown()))),
    }
}

/// The request for a text that is scored whole.
fn whole_text(target: FieldPart) -> Result<Built, Wrong> {
    let text = target
        .into_text()
        .map_err(|other| ("doc_to_target", format!("expected the text to score, found {}", other.shown())))?;
    let request = TextRequest { context: Arc::from(""), continuation: text.clone(), segments: None };
    Ok(Built::of_one(request, Gold::Text(text.clone()), text))
}
