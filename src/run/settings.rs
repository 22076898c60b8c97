//! What a run's numbers depend on: of a run that begins, and of a finished one as things are now.

use std::collections::BTreeMap;
use std::path::Path;

use super::chat::{Templates, Wanted};
use super::error::During;
use super::options::{Computing, Options};
use super::served::Served;
use super::subject;
use super::subjects::Model;
use super::variants::{self, Asked, Variant};
use super::{RunError, World};
use crate::base::digest::sha256;
use crate::base::machine::cpu_name;
use crate::evaluate::harness::task_config;
use crate::kernels;
use crate::model::Checkpoint;
use crate::records::{ModelRecord, ModelSettings, RunRecord, RunSettings, TaskSettings};
use crate::registry::Registry;
use crate::remote::Address;
use crate::tasks::protocol::Protocol;
use crate::tasks::{Chat, DataStore, Outline, PrepareOptions, Suite, Task, TaskError, outline};

/// Digits of a digest that only has to tell two texts of one key apart.
const DIGITS: usize = 16;

/// Those of a run that begins; one with other settings is another run.
pub fn settings(
    options: &Options,
    models: &[Model],
    variants: &[Vec<Variant>],
) -> Result<RunSettings, RunError> {
    let models = models.iter().zip(variants).map(|(model, own)| {
        let chats = own.iter().filter_map(|variant| variant.chat.as_ref());
        Ok(ModelSettings { templates: Some(templates(chats)), ..model.settings(&options.computing)? })
    });
    // All models are asked the same, but for what chat templates make of it; those are theirs.
    let variants = variants.first().expect("a run has models");
    Ok(RunSettings {
        zoo: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: cpu_name(),
        options: options.recorded()?,
        models: models.collect::<Result<_, RunError>>()?,
        tasks: tasks_of_variants(variants),
    })
}

/// The tasks of variants, protocol by protocol.
pub fn tasks_of_variants<'v>(variants: impl IntoIterator<Item = &'v Variant>) -> Vec<TaskSettings> {
    let mut protocols: Vec<&Variant> = Vec::new();
    for variant in variants {
        if protocols.iter().all(|known| known.protocol.name != variant.protocol.name) {
            protocols.push(variant);
        }
    }
    let several = protocols.len() > 1;
    let tasks = protocols.iter().flat_map(|variant| {
        variant.tasks.iter().map(move |task| {
            let outline = Outline {
                num_fewshot: task.num_fewshot,
                documents: task.limited_docs,
                data_sha256: task.data_sha256.clone(),
            };
            task_settings(&task.task, &variant.protocol, several, outline)
        })
    });
    tasks.collect()
}

fn task_settings(task: &Task, protocol: &Protocol, several: bool, outline: Outline) -> TaskSettings {
    let Outline { num_fewshot, documents, data_sha256 } = outline;
    let protocol = if several { format!(" ({})", protocol.name) } else { String::new() };
    let definition = Some(definition(task));
    TaskSettings { task: format!("{}{protocol}", task.name), num_fewshot, documents, data_sha256, definition }
}

/// Every key of a task as it is asked, with the beginning of its digest.
pub fn definition(task: &Task) -> BTreeMap<String, String> {
    let mut config = task_config(task, 0);
    // Where the file is matters as little as how many examples it asks for, which are said beside it.
    let config = config.as_object_mut().expect("a configuration has keys");
    config.remove("num_fewshot");
    if let Some(metadata) = config.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
        metadata.remove("config_source");
    }
    // What examples inherit is said once.
    let own = config.clone();
    if let Some(fewshot) = config.get_mut("fewshot_config").and_then(|fewshot| fewshot.as_object_mut()) {
        fewshot.retain(|key, value| own.get(key) != Some(value));
    }
    let digest = |text: String| sha256(text)[..DIGITS].to_owned();
    config.iter().map(|(key, value)| (key.clone(), digest(value.to_string()))).collect()
}

/// Chat templates by name and digest, each once.
fn templates<'a>(chats: impl Iterator<Item = &'a Chat>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for Chat { format, multiturn } in chats {
        let of_card = || format.template().map(|template| sha256(format!("{template:?}")));
        let digest =
            format.source_sha256().or_else(of_card).expect("a template is a card's or a checkpoint's");
        let turns = if *multiturn { "turns" } else { "one turn" };
        let named = format!("{} {} ({turns})", format.name(), &digest[..DIGITS]);
        if !all.contains(&named) {
            all.push(named);
        }
    }
    all
}

/// The settings that the command of a finished run would have today, as far as they can be told without loading or fetching
/// anything, beside those that it had. What cannot be told is as it was, and `unknown` says it. Only a server at another address
/// is asked what it serves.
pub struct Today {
    /// Then.
    pub then: RunSettings,
    /// Now.
    pub now: RunSettings,
    /// What could not be compared, one sentence each.
    pub unknown: Vec<String>,
}

impl Today {
    /// Looks at models, tasks and data. `then` is what the run wrote down before it began, if it did.
    ///
    /// # Errors
    /// Models, tasks and data that are there and cannot be read, and servers that cannot be asked.
    pub fn look(
        (options, world): (&Options, &World<'_>),
        suites: &[Suite],
        record: &RunRecord,
        then: Option<RunSettings>,
    ) -> Result<Self, RunError> {
        let mut unknown = Vec::new();
        let known = then.is_some();
        let then = then.unwrap_or_else(|| of_record(record));
        let mut now = RunSettings { options: options.recorded()?, ..then.clone() };
        let paths = by_model(record);
        let all = variants::distinct(suites);
        let wanted = Wanted::of(all.iter().map(AsRef::as_ref), options)?;
        for ((model, asked), recorded) in now.models.iter_mut().zip(&options.models).zip(paths) {
            if Address::is_one(asked) && *asked != recorded.path {
                *model = served_settings(asked, (options, world), wanted)?;
                continue;
            }
            let paths = [Path::new(asked), Path::new(&recorded.path)];
            let Some(path) = paths.into_iter().find(|path| path.exists()) else {
                unknown.push(match Address::is_one(asked) {
                    true => format!("whether {asked} still serves the same was not asked"),
                    false => format!("the model {} is not here any more", model.name),
                });
                continue;
            };
            let look = || model_settings(path, model, recorded, (options, wanted));
            *model = look().during(|| format!("cannot compare the model {}", model.name))?;
        }
        now.tasks = tasks(options, suites, &then, &mut unknown)?;
        if !known {
            as_recorded(&mut now, &then, record.protocol.contains(", "));
        }
        if !then.defines_tasks() {
            unknown.push(
                "an earlier zoo made the run and did not write down what its task files said; only their data were \
                 compared"
                    .to_owned(),
            );
        }
        Ok(Self { then, now, unknown })
    }
}

/// The records of a run's models, the first one of each model's ways of being asked. A model that was named twice is two.
pub fn by_model(record: &RunRecord) -> Vec<&ModelRecord> {
    let mut models: Vec<&ModelRecord> = Vec::new();
    let mut ways = Vec::new();
    for model in &record.models {
        // No model is asked twice in one way.
        let way = (&model.protocol, &model.chat, model.rotation);
        if models.last().is_none_or(|last| last.path != model.path) || ways.contains(&way) {
            models.push(model);
            ways.clear();
        }
        ways.push(way);
    }
    models
}

/// What the description of a run says of its settings.
fn of_record(record: &RunRecord) -> RunSettings {
    let model = |model: &ModelRecord| ModelSettings {
        name: model.name.clone(),
        weights_sha256: model.weights_sha256.clone(),
        config_sha256: String::new(),
        tokenizer_sha256: model.tokenizer_sha256.clone(),
        max_length: model.max_length,
        matmul: model.matmul.clone(),
        arithmetic: None,
        templates: None,
    };
    let several = record.protocol.split_once(", ").map(|(first, _)| format!(" ({first})"));
    let tasks = record.tasks.iter().map(|task| TaskSettings {
        task: format!("{}{}", task.task, several.as_deref().unwrap_or_default()),
        num_fewshot: task.num_fewshot,
        documents: task.documents,
        data_sha256: task.data_sha256.clone(),
        definition: None,
    });
    RunSettings {
        zoo: record.zoo.clone(),
        cpu: record.cpu.clone(),
        options: record.options.clone(),
        models: by_model(record).into_iter().map(model).collect(),
        tasks: tasks.collect(),
    }
}

/// Leaves what the description of a run says nothing about as it was.
fn as_recorded(now: &mut RunSettings, then: &RunSettings, of_first_protocol: bool) {
    for (model, then) in now.models.iter_mut().zip(&then.models) {
        model.config_sha256.clone_from(&then.config_sha256);
    }
    if of_first_protocol {
        now.tasks.retain(|task| then.tasks.iter().any(|then| then.task == task.task));
    }
    for task in &mut now.tasks {
        // Documents that were left out because they did not fit are not counted there.
        if let Some(then) = then.tasks.iter().find(|then| then.task == task.task) {
            task.documents = then.documents;
        }
    }
}

/// The settings of the model at `path`; `then` are those of the run.
fn model_settings(
    path: &Path,
    then: &ModelSettings,
    recorded: &ModelRecord,
    (options, wanted): (&Options, Wanted),
) -> Result<ModelSettings, RunError> {
    let Computing { max_length, matmul, precision, .. } = &options.computing;
    let checkpoint = Checkpoint::open(path)?;
    let tokenizer = subject::tokenizer(&checkpoint)?;
    let mut chats = Vec::new();
    if wanted != Wanted::None {
        let registry = Registry::load(options.places.own_cards.as_deref());
        let registry = registry.during(|| "the model cards cannot be loaded".to_owned())?;
        let card = recorded.card.as_ref().and_then(|id| registry.find(id).ok());
        let card = card.and_then(|card| card.prompt.as_deref());
        let source = (&checkpoint.tokenizer, checkpoint.path.as_path());
        let own = Templates::new(&then.name, source, &tokenizer, card, options)?;
        chats = own.wanted(wanted, options)?;
    }
    // What the last bits of OpenBLAS depend on is the finished run's own affair.
    let matmul = kernels::name_of_bits(matmul.as_deref().unwrap_or("native"), *precision);
    let same = then.matmul.split(',').next() == Some(&matmul);
    Ok(ModelSettings {
        name: then.name.clone(),
        weights_sha256: subject::weights_sha256(&checkpoint, &then.name)?,
        config_sha256: subject::config_sha256(&checkpoint),
        tokenizer_sha256: tokenizer.sha256().to_owned(),
        max_length: max_length.unwrap_or(checkpoint.config.max_position_embeddings()),
        matmul: if same { then.matmul.clone() } else { matmul },
        arithmetic: Some(options.computing.arithmetic()),
        templates: Some(templates(chats.iter().flatten())),
    })
}

/// The settings of the model that a server runs now.
fn served_settings(
    asked: &str,
    (options, world): (&Options, &World<'_>),
    wanted: Wanted,
) -> Result<ModelSettings, RunError> {
    let served = Served::open(asked, options, world)?;
    let mut chats = Vec::new();
    if wanted != Wanted::None {
        let card = served.card.as_ref().and_then(|card| card.prompt.as_deref());
        let source = (&served.source, served.path.as_path());
        let own = Templates::new(&served.name, source, &served.tokenizer, card, options)?;
        chats = own.or_of(served.template.clone()).wanted(wanted, options)?;
    }
    Ok(ModelSettings { templates: Some(templates(chats.iter().flatten())), ..served.settings() })
}

/// The tasks as they are now; those whose data are not here are as they were.
fn tasks(
    options: &Options,
    suites: &[Suite],
    then: &RunSettings,
    unknown: &mut Vec<String>,
) -> Result<Vec<TaskSettings>, RunError> {
    let protocols = variants::asked(suites, options)?;
    let several = protocols.len() > 1;
    let data = DataStore::from_env(options.places.data_dir.as_deref());
    let mut all = Vec::new();
    let mut missing = Vec::new();
    for Asked { protocol, tasks } in &protocols {
        let how = PrepareOptions { rules: protocol.rules(), ..options.prepare_options() };
        for task in tasks {
            match outline(task, &data, &how) {
                Ok(outline) => all.push(task_settings(task, protocol, several, outline)),
                Err(TaskError::MissingData { .. }) => {
                    let blank = Outline { num_fewshot: 0, documents: 0, data_sha256: String::new() };
                    let mut now = task_settings(task, protocol, several, blank);
                    let then = then.tasks.iter().find(|then| then.task == now.task);
                    if then.is_none() && options.places.skip_missing_data {
                        // It was left out then as it would be now.
                        continue;
                    }
                    if let Some(then) = then {
                        now = TaskSettings { definition: now.definition, ..then.clone() };
                    }
                    missing.push(task.name.as_str());
                    all.push(now);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    if let [first, ..] = missing[..] {
        let more = if missing.len() > 1 { format!(" and {} more", missing.len() - 1) } else { String::new() };
        unknown.push(format!("the data of {first}{more} are not here any more"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_named_twice_is_two() {
        let record = |path: &str, chat: &str| -> ModelRecord {
            let text = format!(
                "{{name: m, path: {path}, weights_sha256: a, tokenizer_sha256: b, parameters: 1, max_length: 2, adds_bos: true, \
                 protocol: p, chat: {chat}, precision: exact, matmul: native, seconds: {{}}, \
                 tokens: {{asked: 0, distinct: 0, computed: 0}}}}"
            );
            serde_yaml::from_str(&text).unwrap()
        };
        let plain = |path: &str| record(path, "null");
        let chat = |path: &str| record(path, "{template: t, fewshot_as_multiturn: true}");
        let run = "{zoo: '1', started: s, seconds: 1, protocol: p, fewshot_seed: 1, overlong: left, cpu: c, threads: 1, \
                   suites: [], models: [], tasks: []}";
        let mut run: RunRecord = serde_yaml::from_str(run).unwrap();
        let mut paths = |models: Vec<ModelRecord>| -> Vec<String> {
            run.models = models;
            by_model(&run).into_iter().map(|model| model.path.clone()).collect()
        };
        assert_eq!(paths(vec![plain("a"), chat("a"), plain("b"), chat("b")]), ["a", "b"]);
        assert_eq!(paths(vec![plain("a"), plain("a"), plain("b")]), ["a", "a", "b"]);
        assert_eq!(paths(vec![plain("a"), chat("a"), plain("a"), chat("a")]), ["a", "a"]);
    }
}
