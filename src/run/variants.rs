//! The ways in which a run asks each model: protocols, with and without chat templates.
//!
//! All of them are scored in one pass, which computes shared beginnings once; in the tables each has a column.

use std::sync::Arc;

use super::chat;
use super::subject::Subject;
use crate::cli::Global;
use crate::cli::eval::{Args, written_left_out};
use crate::cli::exit::Usage;
use crate::metrics::MULTIPLE_CHOICE_METRICS;
use crate::tasks::protocol::{Protocol, Scored, find_protocol};
use crate::tasks::{Chat, DataStore, PrepareOptions, PreparedTask, Suite, Task, prepare};

/// One way of asking a model.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What follows the model's name in tables.
    pub suffix: String,
    /// By whose rules.
    pub protocol: Arc<Protocol>,
    /// The chat template, if there is one.
    pub chat: Option<Chat>,
    /// What is asked; models that are asked the same share it.
    pub tasks: Arc<Vec<PreparedTask>>,
}

/// The variants of every model, in order. Prompts are made before the first model is computed.
///
/// # Errors
/// Unknown protocols and templates, and tasks that cannot be prepared.
pub fn variants(
    subjects: &[Subject],
    suites: &[Suite],
    args: &Args,
    global: &Global,
) -> anyhow::Result<Vec<Vec<Variant>>> {
    chat::check(args)?;
    let protocols = protocols(args)?;
    let mut tasks: Vec<Arc<Task>> = Vec::new();
    for task in written_left_out(suites)? {
        if tasks.iter().all(|known| known.name != task.name) {
            tasks.push(task);
        }
    }
    let protocols: Vec<(Arc<Protocol>, Vec<Task>)> =
        protocols.into_iter().map(|protocol| applied(protocol, &tasks, args)).collect::<Result<_, _>>()?;
    let data = DataStore::from_env(args.data_dir.as_deref());
    let mut all = Vec::with_capacity(subjects.len());
    let mut prepared: Vec<Variant> = Vec::new();
    for subject in subjects {
        // Without templates the tokenizer is not read yet.
        let chats = if args.apply_chat_template.is_empty() {
            vec![None]
        } else {
            chat::chats(subject, subject.tokenizer()?, args, global)?
        };
        let mut own = Vec::with_capacity(chats.len() * protocols.len());
        for chat in &chats {
            for (protocol, tasks) in &protocols {
                let same = |known: &&Variant| known.chat == *chat && known.protocol == *protocol;
                let tasks = match prepared.iter().find(same) {
                    Some(known) => Arc::clone(&known.tasks),
                    None => Arc::new(prepared_tasks(tasks, &data, &options(args, protocol, chat))?),
                };
                let (protocol, chat) = (Arc::clone(protocol), chat.clone());
                let variant = Variant { suffix: suffix(chat.as_ref(), &chats), protocol, chat, tasks };
                prepared.push(variant.clone());
                own.push(variant);
            }
        }
        all.push(own);
    }
    Ok(all)
}

fn options(args: &Args, protocol: &Protocol, chat: &Option<Chat>) -> PrepareOptions {
    PrepareOptions { chat: chat.clone(), rules: protocol.rules(), ..args.prepare_options() }
}

/// ` (chat)`, with the template's name where there are several.
fn suffix(chat: Option<&Chat>, all: &[Option<Chat>]) -> String {
    match chat {
        None => String::new(),
        Some(_) if all.iter().flatten().count() == 1 => " (chat)".to_owned(),
        Some(chat) => format!(" (chat, {})", chat.format.name()),
    }
}

/// The protocols that are asked for, each once.
fn protocols(args: &Args) -> anyhow::Result<Vec<Protocol>> {
    let mut protocols: Vec<Protocol> = Vec::new();
    for metric in &args.metrics {
        known_metric(metric).map_err(|text| Usage(format!("--metrics: {text}")))?;
        if metric == "acc_ppl" {
            let text = "--metrics: acc_ppl needs the log-likelihood of the whole text; --protocol opencompass-ppl has it";
            return Err(Usage(text.to_owned()).into());
        }
    }
    for name in &args.protocol {
        let protocol = find_protocol(name).map_err(|error| Usage(format!("--protocol: {error}")))?;
        for metric in &protocol.metrics {
            known_metric(metric)
                .map_err(|text| Usage(format!("protocol {}: metrics: {text}", protocol.name)))?;
            if metric == "acc_ppl" && protocol.scored != Scored::Whole {
                let text =
                    format!("protocol {}: acc_ppl needs `scored: whole`, found another rule", protocol.name);
                return Err(Usage(text).into());
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

/// The tasks under a protocol. Those that it is not for are left out, and it is said; an error if none is left.
fn applied(
    protocol: Protocol,
    tasks: &[Arc<Task>],
    args: &Args,
) -> anyhow::Result<(Arc<Protocol>, Vec<Task>)> {
    let mut left = Vec::with_capacity(tasks.len());
    let mut out: Vec<(&str, String)> = Vec::new();
    for task in tasks {
        match protocol.apply(task, &args.metrics) {
            Ok(task) => left.push(task),
            Err(reason) => out.push((&task.name, reason)),
        }
    }
    if let Some((first, reason)) = out.first() {
        let names = match out.len() {
            1 => (*first).to_owned(),
            n => format!("{first} and {} more", n - 1),
        };
        if left.is_empty() {
            let text = format!(
                "--protocol {}: does not apply to {names}: {reason}; `zoo suites --protocols` says what each is for",
                protocol.name
            );
            return Err(Usage(text).into());
        }
        tracing::warn!(
            "protocol {}: left out for {names}: {reason}; groups that hold such tasks get no number of their own",
            protocol.name
        );
    }
    Ok((Arc::new(protocol), left))
}

/// Documents and prompts of every task.
fn prepared_tasks(
    tasks: &[Task],
    data: &DataStore,
    options: &PrepareOptions,
) -> anyhow::Result<Vec<PreparedTask>> {
    let one = |task: &Task| {
        let task = prepare(task, data, options)?;
        for warning in &task.warnings {
            tracing::warn!("{}: {warning}", task.task.name);
        }
        Ok(task)
    };
    tasks.iter().map(one).collect()
}
