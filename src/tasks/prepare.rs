//! From a task and its data to the requests that a model is asked, as text.
//!
//! Prompts, continuations and gold answers equal those of lm-evaluation-harness 0.4.13, byte by byte.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::build::{Builder, Built};
use super::chat::Chat;
use super::conversation::Conversation;
use super::data::{DataStore, data_sha256};
use super::document::Document;
use super::error::TaskError;
use super::fewshot::{Sampler, Strategy};
use super::fields::Doc;
use super::native;
use super::part::{Limit, Shard};
use super::parts::ContextParts;
use super::pipeline::Pipeline;
use super::prompt::{Delimited, plain};
use super::protocol::Rules;
use super::request::TextRequest;
use super::rotate::rotated;
use super::schema::{Field, Generation, OutputType, TaskConfig};
use super::splits::{Pool, Splits, num_fewshot};
use super::suite::Task;
use crate::metrics::Gold;
use crate::python::jinja::MAX_RENDERED;

/// The seed of few-shot examples where nobody says one, that of the reference harness.
pub const DEFAULT_FEWSHOT_SEED: u32 = 1234;

/// What a run sets about its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareOptions {
    /// How many examples stand before each question; a task whose file says 0 keeps 0.
    pub num_fewshot: Option<usize>,
    /// Evaluate only the first documents.
    pub limit: Option<Limit>,
    /// Evaluate only this shard's of them, as they would be evaluated among all.
    pub shard: Option<Shard>,
    /// The seed of the examples.
    pub fewshot_seed: u32,
    /// A text that stands before everything else.
    pub system_instruction: Option<String>,
    /// The chat template that writes the prompts; none for prompts as base models read them.
    pub chat: Option<Chat>,
    /// What stands before the prompts in tokens, and which tokens count.
    pub rules: Rules,
    /// By how many places the options of every document are moved on; 0 for none, and then nothing has to be known of them.
    pub rotation: usize,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            num_fewshot: None,
            limit: None,
            shard: None,
            fewshot_seed: DEFAULT_FEWSHOT_SEED,
            system_instruction: None,
            chat: None,
            rules: Rules::default(),
            rotation: 0,
        }
    }
}

/// One document, ready to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedDoc {
    /// Its number in the evaluated split, from 0.
    pub doc_id: usize,
    /// Its columns, after `process_docs`.
    pub doc: Document,
    /// The requests, in the order of the choices.
    pub requests: Vec<TextRequest>,
    /// The choices without any context, for `acc_mutual_info`; else empty.
    pub unconditional: Vec<TextRequest>,
    /// The choices without delimiter; empty where there is nothing to choose from.
    pub choices: Vec<String>,
    /// The right answer.
    pub gold: Gold,
    /// The target as text, as the reference harness logs it.
    pub target_text: String,
    /// Where description and examples stand in the contexts; `None` where a chat template wove them together.
    pub parts: Option<ContextParts>,
    /// Whether the document stands among its own examples, answer included.
    pub meets_itself: bool,
    /// Examples that were left out because the prompt was too long.
    pub dropped_examples: usize,
    /// What the user goes on with, of an instruction whose answer is judged elsewhere.
    pub conversation: Option<Arc<Conversation>>,
}

/// A task with all its requests.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedTask {
    /// The task as its protocol changed it.
    pub task: Arc<Task>,
    /// How many examples stand before each question.
    pub num_fewshot: usize,
    /// The documents, in order.
    pub docs: Vec<PreparedDoc>,
    /// The digest of all data files that were read; see [`data_sha256`].
    pub data_sha256: String,
    /// How many documents the evaluated split has, before any limit.
    pub total_docs: usize,
    /// How many of them are evaluated, in all shards.
    pub limited_docs: usize,
    /// How the model is to write, for tasks of the type `generate_until`.
    pub generation: Option<Generation>,
    /// The chat template that wrote the prompts, if one did.
    pub chat: Option<Chat>,
    /// What stands before the prompts in tokens, and which tokens count.
    pub rules: Rules,
    /// What the user should know: answers out of range, documents that may see themselves.
    pub warnings: Vec<String>,
    /// Which answer of each document is to be written, from 0; those before it stand in the prompts.
    pub turn: usize,
}

/// Reads the data of a task and builds its requests.
///
/// # Errors
/// Tasks that this version does not run, missing data, and documents that do not fit the task, with file,
/// document number and field.
pub fn prepare(task: &Task, data: &DataStore, options: &PrepareOptions) -> Result<PreparedTask, TaskError> {
    runnable(task)?;
    let generation = generation(task, options.chat.as_ref())?;
    let strategy = strategy(task)?;
    let mut splits = Splits::new(task, data);
    let num_fewshot = num_fewshot(task, options.num_fewshot);
    let evaluated = splits.evaluated(match options.limit {
        // Examples may be drawn from all of them.
        Some(Limit::Count(count)) if num_fewshot == 0 => count,
        _ => usize::MAX,
    })?;
    let total_docs = evaluated.total;
    let taken = limited(task, total_docs, options.limit)?;
    let pool = if num_fewshot == 0 { Pool::default() } else { splits.pool(&evaluated)? };
    let mut warnings = Vec::new();
    let exclude = task.config.configured_fewshot_split() == task.config.test_split.as_deref();
    let mut sampler = Sampler::new(strategy, &pool.documents, exclude, options.fewshot_seed);
    if num_fewshot > 0 && pool.is_evaluated && !exclude {
        warnings.push(format!(
            "task {}: its examples come from the evaluated split {:?} and a document is not kept out of its own \
             examples, as in the reference harness; such scores are too high",
            task.name, evaluated.split
        ));
    }
    let chat = options.chat.clone();
    let mut builder =
        Builder::new(task, &evaluated.columns, options.system_instruction.as_deref(), chat.as_ref())?;
    let mut turns: HashMap<usize, Vec<Delimited>> = HashMap::new();
    let mut docs = Vec::with_capacity(options.shard.map_or(taken, |shard| shard.share(taken)));
    let (mut out_of_range, mut empty_choice, mut without_system) = (Vec::new(), Vec::new(), Vec::new());
    named(task, evaluated.documents.iter().take(taken))?;
    let same_id = repeated_ids(evaluated.documents.iter().take(taken));
    for (doc_id, document) in evaluated.documents.into_iter().take(taken).enumerate() {
        let at = |(field, message): (&str, String)| task.wrong_document("evaluated", doc_id, field, message);
        let is_own = options.shard.is_none_or(|shard| shard.has(doc_id));
        if !is_own && doc_id > 0 {
            // Those of the next documents depend on it.
            sampler.sample(num_fewshot, &document).map_err(|e| at(("few-shot examples", e)))?;
            continue;
        }
        // Examples are drawn as they are for the document itself.
        let moved = (options.rotation > 0).then(|| rotated(&document, options.rotation)).transpose();
        let moved = moved.map_err(|reason| at(("options", reason)))?;
        let doc = Doc::new(moved.as_ref().map_or(&document, |moved| &moved.document));
        let mut messages = builder.opening(&doc).map_err(at)?;
        let opening = plain(&messages).len();
        let (mut examples, mut meets_itself) = (Vec::with_capacity(num_fewshot), false);
        let drawn = sampler.sample(num_fewshot, &document).map_err(|e| at(("few-shot examples", e)))?;
        if !is_own {
            // The first document tells the builder what kind of task it is, in every shard.
            continue;
        }
        for shot in drawn {
            let example = &pool.documents[shot];
            let turn = match turns.entry(shot) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let turn = builder.example(&Doc::new(example));
                    place.insert(turn.map_err(|(f, e)| task.wrong_document("few-shot", shot, f, e))?)
                }
            };
            meets_itself |= *example == document || (pool.is_evaluated && shot == doc_id);
            examples.push(plain(turn).len());
            messages.extend(turn.iter().cloned());
        }
        let before = plain(&messages);
        let built = builder.requests(&doc, messages).map_err(at)?;
        let Built {
            requests,
            unconditional,
            choices,
            gold,
            in_range,
            without_system: refused,
            target_text,
            conversation,
        } = built;
        if let Some(moved) = &moved
            && (&gold, choices.len()) != (&Gold::Index(moved.answer), moved.options)
        {
            let reason = "the task does not ask for one of the options in the document's columns, so that these cannot be moved";
            return Err(at(("options", reason.to_owned())));
        }
        let longest = requests.iter().chain(&unconditional).map(TextRequest::bytes).max().unwrap_or(0);
        if longest > MAX_RENDERED {
            let message = format!("expected a text of at most {MAX_RENDERED} bytes, found {longest}");
            return Err(at(("prompt", message)));
        }
        if refused {
            without_system.push(doc_id);
        }
        if !in_range && !task.config.measures_nothing() {
            out_of_range.push(doc_id);
        }
        if choices.iter().any(String::is_empty) {
            empty_choice.push(doc_id);
        }
        let parts = ContextParts::of(&before, opening, examples, &requests);
        docs.push(PreparedDoc {
            doc_id,
            doc: moved.map_or(document, |moved| moved.document),
            requests,
            unconditional,
            choices,
            gold,
            target_text,
            parts,
            meets_itself,
            dropped_examples: 0,
            conversation,
        });
    }
    warn(&mut warnings, task, &out_of_range, "an answer that is none of the choices; they count as wrong");
    warn(&mut warnings, task, &empty_choice, "an empty choice, which acc_norm divides by its length 0");
    warn(&mut warnings, task, &same_id, "an id that an earlier document has; both are counted");
    let refused = "a chat template that refuses the system text: description and system instruction are left out, as in \
                   the reference harness";
    warn(&mut warnings, task, &without_system, refused);
    let data_sha256 = data_sha256(&splits.files);
    let task = Arc::new(task.clone());
    Ok(PreparedTask {
        task,
        num_fewshot,
        docs,
        data_sha256,
        total_docs,
        limited_docs: taken,
        generation,
        chat,
        rules: options.rules,
        warnings,
        turn: 0,
    })
}

/// What a task is asked, without its prompts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// As [`PreparedTask::num_fewshot`].
    pub num_fewshot: usize,
    /// As [`PreparedTask::limited_docs`].
    pub documents: usize,
    /// As [`PreparedTask::data_sha256`].
    pub data_sha256: String,
}

/// Reads the data of a task as [`prepare`] does, and makes no prompts.
///
/// # Errors
/// Missing data, and data that cannot be read.
pub fn outline(task: &Task, data: &DataStore, options: &PrepareOptions) -> Result<Outline, TaskError> {
    let mut splits = Splits::new(task, data);
    let num_fewshot = num_fewshot(task, options.num_fewshot);
    let evaluated = splits.evaluated(if num_fewshot == 0 { 1 } else { usize::MAX })?;
    let documents = limited(task, evaluated.total, options.limit)?;
    if num_fewshot > 0 {
        splits.pool(&evaluated)?;
    }
    Ok(Outline { num_fewshot, documents, data_sha256: data_sha256(&splits.files) })
}

/// The columns that name a document, by the names in use.
const ID_COLUMNS: [&str; 4] = ["id", "_id", "doc_id", "qid"];

/// Documents whose id an earlier one has.
fn repeated_ids<'d>(documents: impl Iterator<Item = &'d Document>) -> Vec<usize> {
    let mut seen = HashSet::new();
    let id = |document: &'d Document| ID_COLUMNS.iter().find_map(|name| document.get(*name));
    let ids = documents.enumerate().filter_map(|(at, document)| Some((at, id(document)?)));
    let ids = ids.filter(|(_, id)| id.is_string() || id.is_number());
    ids.filter(|(_, id)| !seen.insert(id.to_string())).map(|(at, _)| at).collect()
}

/// Sees to it that every document of a task whose answers are handed on has a name of its own, before anything is computed.
fn named<'d>(task: &Task, documents: impl Iterator<Item = &'d Document>) -> Result<(), TaskError> {
    let config = &task.config;
    let (key, kind) = match (&config.submission, &config.judged) {
        (Some(_), _) => ("metadata.submission", OutputType::MultipleChoice),
        (None, Some(_)) => ("metadata.judged", OutputType::GenerateUntil),
        (None, None) => return Ok(()),
    };
    let found = config.output_type;
    if found != kind {
        let message = format!("expected the output_type {}, found {}", kind.name(), found.name());
        return Err(task.wrong(key, message));
    }
    if config.judged.is_some() {
        check_judged(config).map_err(|message| task.wrong(key, message))?;
    }
    let mut seen = HashSet::new();
    for (doc_id, document) in documents.enumerate() {
        let refused = |message| task.wrong_document("evaluated", doc_id, key, message);
        let name = match (&config.submission, &config.judged) {
            (Some(place), _) => place.name_of(doc_id, document).map(Value::from),
            (None, Some(judged)) => judged.id_of(doc_id, document),
            (None, None) => unreachable!("it was one of both above"),
        };
        let name = name.map_err(refused)?.to_string();
        if !seen.insert(name.clone()) {
            return Err(refused(format!("expected documents of different names, found a second {name}")));
        }
    }
    Ok(())
}

/// What a task of instructions cannot have.
fn check_judged(config: &TaskConfig) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("an instruction is asked {what}"));
    match config {
        TaskConfig { num_fewshot, .. } if *num_fewshot != Some(0) => {
            wrong("without examples; write num_fewshot: 0")
        }
        TaskConfig { repeats: 2.., .. } => wrong("once; take out repeats"),
        TaskConfig { gen_prefix: Some(_), .. } => wrong("without a gen_prefix; take it out"),
        _ => Ok(()),
    }
}

/// How the model is to write, if it is. The stops of a template end the answers to instructions, which are conversations; the
/// reference harness knows no such stops.
fn generation(task: &Task, chat: Option<&Chat>) -> Result<Option<Generation>, TaskError> {
    if task.config.output_type != OutputType::GenerateUntil {
        return Ok(None);
    }
    Pipeline::of(task)?;
    let mut generation = Generation::of(&task.config).map_err(|(key, message)| task.wrong(key, message))?;
    if let (Some(_), Some(chat)) = (&task.config.judged, chat) {
        generation.until.extend(chat.format.stops().strings);
    }
    Ok(Some(generation))
}

fn warn(warnings: &mut Vec<String>, task: &Task, docs: &[usize], what: &str) {
    if let Some(first) = docs.first() {
        let count = docs.len();
        warnings.push(format!("task {}: {count} document(s), the first is {first}, have {what}", task.name));
    }
}

/// Refuses tasks that this version understands but does not run.
fn runnable(task: &Task) -> Result<(), TaskError> {
    let config = &task.config;
    let message = if let Some(class) = &config.class {
        format!("it is written in Python (class {class}), which zoo does not run; suites of plain YAML work")
    } else if config.doc_to_image.is_some() || config.doc_to_audio.is_some() {
        "it shows pictures or plays sounds; zoo runs models of text".into()
    } else if config.custom_dataset.is_some() {
        "it makes its data with custom_dataset, a Python function; name the data with dataset_path".into()
    } else if config.use_prompt.is_some() {
        "it takes its prompt from another library (use_prompt); write doc_to_text and doc_to_target".into()
    } else {
        return graded(config);
    };
    Err(task.wrong(format!("task {:?} cannot be run", task.name), message))
}

/// Looks up `process_results`, so that a function that is not there is known before anything is computed.
fn graded(config: &TaskConfig) -> Result<(), TaskError> {
    let Some(Field::Function(function)) = &config.process_results else { return Ok(()) };
    match config.output_type {
        OutputType::GenerateUntil => native::answer_results(function).map(|_| ()),
        _ => native::score_results(function).map(|_| ()),
    }
}

fn strategy(task: &Task) -> Result<Strategy, TaskError> {
    match task.config.fewshot_config.sampler.as_deref() {
        None | Some("default") => Ok(Strategy::Random),
        Some("first_n") => Ok(Strategy::FirstN),
        Some(name) => {
            Err(task.wrong("fewshot_config.sampler", format!("expected default or first_n, found {name:?}")))
        }
    }
}

/// How many documents are evaluated, in all shards.
fn limited(task: &Task, total: usize, limit: Option<Limit>) -> Result<usize, TaskError> {
    limit.map_or(Ok(total), |limit| limit.of(total).map_err(|reason| task.refusal(reason)))
}
