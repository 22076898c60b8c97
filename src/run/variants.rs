//! The ways in which a run asks each model: protocols, with and without chat templates.
//!
//! All of them are scored in one pass, which computes shared beginnings once; in the tables each has a column.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::chat::{self, Templates, Wanted};
use super::{Options, RunError};
use crate::evaluate::{EvaluateError, check_metrics};
use crate::forms::TokenizerSource;
use crate::metrics::MULTIPLE_CHOICE_METRICS;
use crate::prompts::ChatFormat;
use crate::records::MissingData;
use crate::registry::Card;
use crate::tasks::protocol::{Protocol, ScoredTokens, find_protocol};
use crate::tasks::{Chat, DataStore, OutputType, PrepareOptions, PreparedTask, Suite, Task, prepare};
use crate::tokenizer::Tokenizer;

/// One way of asking a model.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What follows the model's name in tables.
    pub suffix: String,
    /// By whose rules.
    pub protocol: Arc<Protocol>,
    /// The chat template, if there is one.
    pub chat: Option<Chat>,
    /// By how many places the options are moved on.
    pub rotation: usize,
    /// What is asked; models that are asked the same share it.
    pub tasks: Vec<Arc<PreparedTask>>,
}

/// Makes variants; the prompts of each are made once.
pub struct Preparer<'a> {
    options: &'a Options,
    data: DataStore,
    done: Vec<Variant>,
}

impl<'a> Preparer<'a> {
    /// Nothing is prepared yet.
    pub fn new(options: &'a Options) -> Self {
        let data = DataStore::from_env(options.places.data_dir.as_deref());
        Self { options, data, done: Vec::new() }
    }

    /// The tasks of a protocol, asked with a template or without one.
    ///
    /// # Errors
    /// Tasks that cannot be prepared.
    pub fn variant(
        &mut self,
        protocol: &Arc<Protocol>,
        tasks: &[Task],
        chat: Option<Chat>,
        (rotation, suffix): (usize, String),
    ) -> Result<Variant, RunError> {
        let same = |known: &&Variant| {
            let names = known.tasks.iter().map(|task| &task.task.name);
            let asked_alike = known.chat == chat && known.protocol == *protocol && known.rotation == rotation;
            asked_alike && names.eq(tasks.iter().map(|task| &task.name))
        };
        let tasks = match self.done.iter().find(same) {
            Some(known) => known.tasks.clone(),
            None => {
                let rules = protocol.rules();
                let options =
                    PrepareOptions { chat: chat.clone(), rules, rotation, ..self.options.prepare_options() };
                let one = |task: &Task| {
                    let task = prepare(task, &self.data, &options)?;
                    for warning in &task.warnings {
                        tracing::warn!("{}: {warning}", task.task.name);
                    }
                    Ok(Arc::new(task))
                };
                tasks.iter().map(one).collect::<Result<_, RunError>>()?
            }
        };
        let variant = Variant { suffix, protocol: Arc::clone(protocol), chat, rotation, tasks };
        self.done.push(variant.clone());
        Ok(variant)
    }

    /// How many orders there are of the options of a variant's tasks, over the documents of all shards.
    fn orders(&self, variant: &Variant) -> Result<usize, RunError> {
        if self.options.shard.is_none() {
            return orders(&variant.tasks);
        }
        let (chat, rules) = (variant.chat.clone(), variant.protocol.rules());
        let options = PrepareOptions { chat, rules, shard: None, ..self.options.prepare_options() };
        let whole = |task: &Arc<PreparedTask>| Ok(Arc::new(prepare(&task.task, &self.data, &options)?));
        orders(&variant.tasks.iter().map(whole).collect::<Result<Vec<_>, RunError>>()?)
    }
}

/// Tasks under one protocol.
#[derive(Debug, Clone)]
pub struct Asked {
    /// By whose rules.
    pub protocol: Arc<Protocol>,
    /// The tasks, as it changes them.
    pub tasks: Vec<Task>,
}

/// Leaves out what has no data.
///
/// # Errors
/// Nothing is left.
pub fn leave_out(asked: &mut [Asked], left: &[MissingData]) -> Result<(), RunError> {
    for Asked { tasks, .. } in &mut *asked {
        tasks.retain(|task| left.iter().all(|out| out.task != task.name));
    }
    match left.first() {
        Some(MissingData { why, .. }) if asked.iter().all(|asked| asked.tasks.is_empty()) => {
            Err(RunError::room(format!("--skip-missing-data: the data of every task is missing: {why}")))
        }
        _ => Ok(()),
    }
}

/// What is asked, protocol by protocol; no data is looked at.
///
/// # Errors
/// Unknown protocols and metrics, and tasks that cannot be asked.
pub fn asked(suites: &[Suite], options: &Options) -> Result<Vec<Asked>, RunError> {
    chat::check(options)?;
    let protocols = protocols(options)?;
    let tasks = distinct(suites);
    Wanted::of(tasks.iter().map(AsRef::as_ref), options)?;
    protocols.into_iter().map(|protocol| applied(protocol, &tasks, options)).collect()
}

/// A model whose own way of being asked counts.
pub struct Speaker<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its card, if it has one.
    pub card: Option<&'a Card>,
    /// The template of the server that runs it.
    pub server: Option<ChatFormat>,
    /// Where its tokenizer is, and in which file or folder.
    pub tokenizer: (&'a TokenizerSource, &'a Path),
}

impl Speaker<'_> {
    /// The variants of this model; the tokenizer is needed for chat templates.
    ///
    /// # Errors
    /// Unknown templates, and tasks that cannot be prepared.
    pub fn variants(
        &self,
        tokenizer: Option<&Tokenizer>,
        asked: &[Asked],
        options: &Options,
        preparer: &mut Preparer<'_>,
    ) -> Result<Vec<Variant>, RunError> {
        let wanted = wanted(asked, options)?;
        let chats = match tokenizer.filter(|_| wanted != Wanted::None) {
            None => vec![None],
            Some(tokenizer) => {
                let card = self.card.and_then(|card| card.prompt.as_deref());
                let own = Templates::new(self.name, self.tokenizer, tokenizer, card, options)?;
                own.or_of(self.server.clone()).wanted(wanted, options)?
            }
        };
        let suffix = |chat: Option<&Chat>| match wanted {
            Wanted::Named => suffix(chat, &chats),
            Wanted::None | Wanted::Own => String::new(),
        };
        let mut own = Vec::with_capacity(chats.len() * asked.len());
        for chat in &chats {
            for Asked { protocol, tasks } in asked {
                let suffix = suffix(chat.as_ref());
                let as_they_are = preparer.variant(protocol, tasks, chat.clone(), (0, suffix.clone()))?;
                let orders = if options.rotate_options { preparer.orders(&as_they_are)? } else { 1 };
                own.push(as_they_are);
                for by in 1..orders {
                    let suffix = format!("{suffix} (rotated {by})");
                    own.push(preparer.variant(protocol, tasks, chat.clone(), (by, suffix))?);
                }
            }
        }
        Ok(own)
    }
}

/// How many orders there are of the options of these tasks: as many as every document has options.
///
/// # Errors
/// Documents with different numbers of options, and without any.
fn orders(tasks: &[Arc<PreparedTask>]) -> Result<usize, RunError> {
    let of =
        |task: &Arc<PreparedTask>| task.docs.iter().map(|doc| doc.choices.len()).collect::<BTreeSet<usize>>();
    let counts: BTreeSet<usize> = tasks.iter().flat_map(of).collect();
    if let [count] = counts.iter().copied().collect::<Vec<_>>()[..]
        && count > 1
    {
        return Ok(count);
    }
    let said: Vec<String> = tasks
        .iter()
        .map(|task| {
            let counts: Vec<String> = of(task).iter().map(usize::to_string).collect();
            format!("{}: {}", task.task.name, counts.join(" and "))
        })
        .collect();
    Err(RunError::Usage(format!(
        "--rotate-options: expected tasks whose documents all have the same number of options, 2 or more, found {}; ask the          others in a run of their own",
        said.join(", ")
    )))
}

/// What holds of chat templates for everything that is asked.
pub fn wanted(asked: &[Asked], options: &Options) -> Result<Wanted, RunError> {
    Wanted::of(asked.iter().flat_map(|asked| &asked.tasks), options)
}

/// ` (chat)`, with the template's name where there are several.
fn suffix(chat: Option<&Chat>, all: &[Option<Chat>]) -> String {
    match chat {
        None => String::new(),
        Some(_) if all.iter().flatten().count() == 1 => " (chat)".to_owned(),
        Some(chat) => format!(" (chat, {})", chat.format.name()),
    }
}

/// The tasks of suites, each once.
pub fn distinct(suites: &[Suite]) -> Vec<Arc<Task>> {
    let mut tasks: Vec<Arc<Task>> = Vec::new();
    for task in suites.iter().flat_map(Suite::tasks) {
        if tasks.iter().all(|known| known.name != task.name) {
            tasks.push(task);
        }
    }
    tasks
}

/// The tasks of suites, each once: those whose answers are written, and those whose answers are scored.
pub fn by_answer(suites: &[Suite]) -> (Vec<Arc<Task>>, Vec<Arc<Task>>) {
    distinct(suites).into_iter().partition(|task| task.config.output_type == OutputType::GenerateUntil)
}

/// The protocols that are asked for, each once.
fn protocols(options: &Options) -> Result<Vec<Protocol>, RunError> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for metric in &options.metrics {
        known_metric(metric).map_err(|text| RunError::Usage(format!("--metrics: {text}")))?;
        if metric == "acc_ppl" {
            let text = "--metrics: acc_ppl needs the log-likelihood of the whole text; --protocol opencompass-ppl has it";
            return Err(RunError::Usage(text.to_owned()));
        }
    }
    for name in &options.protocol {
        let protocol =
            find_protocol(name).map_err(|error| RunError::Usage(format!("--protocol: {error}")))?;
        for metric in &protocol.metrics {
            let fail = |text: String| RunError::Usage(format!("protocol {}: {text}", protocol.name));
            known_metric(metric).map_err(|text| fail(format!("metrics: {text}")))?;
            if metric == "acc_ppl" && protocol.scored != ScoredTokens::Whole {
                return Err(fail("acc_ppl needs `scored: whole`, found another rule".to_owned()));
            }
        }
        if protocols.iter().all(|known| known.name != protocol.name) {
            protocols.push(protocol);
        }
    }
    Ok(protocols)
}

fn known_metric(metric: &str) -> Result<(), String> {
    if MULTIPLE_CHOICE_METRICS.contains(&metric) {
        return Ok(());
    }
    Err(format!("expected some of {}, found {metric:?}", MULTIPLE_CHOICE_METRICS.join(", ")))
}

/// A task that is written to as `--gen-kwargs` says.
pub fn with_gen_kwargs(mut task: Task, options: &Options) -> Task {
    if task.config.output_type == OutputType::GenerateUntil && !options.gen_kwargs.is_empty() {
        let own = task.config.generation_kwargs.get_or_insert_default();
        own.extend(options.gen_kwargs.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    task
}

/// The tasks under a protocol. Those that it is not for and those without a metric that can be computed are left out, and
/// it is said; an error if none is left.
fn applied(protocol: Protocol, tasks: &[Arc<Task>], options: &Options) -> Result<Asked, RunError> {
    let mut left = Vec::with_capacity(tasks.len());
    let mut out: Vec<(&str, String)> = Vec::new();
    let mut without_metric: Vec<EvaluateError> = Vec::new();
    for task in tasks {
        match protocol.apply(task, &options.metrics) {
            Ok(task) => match check_metrics(&task, options.code.allow) {
                Err(error) if !options.predict_only => without_metric.push(error),
                _ => left.push(with_gen_kwargs(task, options)),
            },
            Err(reason) => out.push((&task.name, reason)),
        }
    }
    for error in &without_metric {
        if left.is_empty() {
            break;
        }
        tracing::warn!("left out: {error}; groups that hold such tasks get no number of their own");
    }
    match without_metric.into_iter().next() {
        Some(error) if left.is_empty() => return Err(error.into()),
        _ => {}
    }
    if let Some((first, reason)) = out.first() {
        let more = if out.len() > 1 { format!(" and {} more", out.len() - 1) } else { String::new() };
        let names = format!("{first}{more}");
        if left.is_empty() {
            return Err(RunError::Usage(format!(
                "--protocol {}: does not apply to {names}: {reason}; `zoo suites --protocols` says what each is for",
                protocol.name
            )));
        }
        tracing::warn!(
            "protocol {}: left out for {names}: {reason}; groups that hold such tasks get no number of their own",
            protocol.name
        );
    }
    Ok(Asked { protocol: Arc::new(protocol), tasks: left })
}
