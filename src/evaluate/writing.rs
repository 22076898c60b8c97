//! Tasks whose answers are written, in the tokens of one model: what it is to go on from, and what its texts say.

use std::sync::Arc;

use serde_json::json;

use super::overlong::Overlong;
use super::questions::AskedTask;
use super::{AnsweredTask, Answers, EvaluateError};
use crate::engine::{EngineError, GenerateRequest, Sampling, ScoreRequest};
use crate::records::WriteRequest;
use crate::tasks::{Generation, PreparedDoc, PreparedTask};
use crate::tokenizer::Tokenizer;

/// The most probable tokens among which one is drawn, where a task does not say.
const TOP_K: usize = 50;

/// What a model with so many positions is to write.
#[derive(Debug)]
pub struct WrittenQuestions {
    /// In the order in which they were given.
    pub tasks: Vec<AskedTask>,
    max_length: usize,
}

/// One answer that is to be written.
#[derive(Debug, Clone)]
pub struct ToWrite<'q> {
    /// How it is written,
    pub generation: &'q Generation,
    /// and how warm, which documents may have for themselves.
    temperature: f64,
    /// Its tokens, as many of the last ones as leave place for the answer.
    pub prompt: Arc<[u32]>,
    /// Which of the answers to its prompt it is, from 0.
    pub repeat: usize,
    /// Its number among the answers to its task.
    number: u64,
}

impl ToWrite<'_> {
    /// What the engine is asked; `stop` are the ids that end every text of the model.
    pub fn request(&self, stop: &Arc<[u32]>) -> GenerateRequest {
        GenerateRequest {
            prompt: Arc::clone(&self.prompt),
            most: self.generation.max_gen_toks,
            stop: Arc::clone(stop),
            sampling: self.sampling(),
            stream: self.number,
        }
    }

    /// What the ledger knows it by.
    pub fn record(&self, stop: &Arc<[u32]>) -> WriteRequest {
        let Generation { until, max_gen_toks, other, .. } = self.generation;
        let settings = json!({
            "until": until, "max_gen_toks": max_gen_toks, "temperature": self.temperature, "other": other,
            "stop": stop[..], "number": self.sampling().map(|_| self.number),
        });
        WriteRequest { prompt: Arc::clone(&self.prompt), settings: settings.to_string() }
    }

    fn sampling(&self) -> Option<Sampling> {
        sampling(self.generation, self.temperature).expect("what is asked was checked")
    }
}

impl WrittenQuestions {
    /// Encodes `tasks`, whose answers are written, for a model with `max_length` positions, and does with prompts that leave too
    /// little place what `overlong` says.
    ///
    /// # Errors
    /// Answers longer than the model's positions, settings of writing that are not followed, texts that cannot be encoded, and
    /// what [`Overlong`] refuses.
    pub fn new(
        tokenizer: &Tokenizer,
        tasks: &[Arc<PreparedTask>],
        max_length: usize,
        overlong: Overlong,
    ) -> Result<Self, EvaluateError> {
        let ask = |task: &Arc<PreparedTask>| {
            task.check_turns().map_err(|reason| EvaluateError::of_task(task, reason))?;
            AskedTask::new(tokenizer, task, positions(task, max_length)?, overlong)
        };
        Ok(Self { tasks: tasks.iter().map(ask).collect::<Result<_, _>>()?, max_length })
    }

    /// Everything that is to be written: task by task, document by document, each as often as its task says.
    pub fn to_write(&self) -> Vec<ToWrite<'_>> {
        self.tasks.iter().flat_map(|asked| self.to_write_of(asked)).collect()
    }

    fn to_write_of<'q>(&self, asked: &'q AskedTask) -> impl Iterator<Item = ToWrite<'q>> {
        let generation = generation(&asked.task);
        let most = self.max_length - generation.max_gen_toks;
        asked.encoded.docs.iter().zip(&asked.task.docs).flat_map(move |(doc, prepared)| {
            let context =
                &doc.requests.first().expect("something is asked of every document").request.context;
            let prompt: Arc<[u32]> = match context.len().checked_sub(most) {
                Some(cut @ 1..) => context[cut..].into(),
                _ => Arc::clone(context),
            };
            // Another turn draws from another stream.
            let first = ((asked.task.turn as u64) << 32) + prepared.doc_id as u64 * generation.repeats as u64;
            let temperature = temperature(generation, prepared);
            let one = move |repeat| {
                let prompt = Arc::clone(&prompt);
                ToWrite { generation, temperature, prompt, repeat, number: first + repeat as u64 }
            };
            (0..generation.repeats).map(one)
        })
    }

    /// What of writing is scoring: every prompt of a task, as if one token were scored after it.
    pub fn as_scored(&self, asked: &AskedTask) -> Vec<ScoreRequest> {
        let of_task = self.to_write_of(asked);
        of_task.map(|one| ScoreRequest { context: one.prompt, continuation: vec![0] }).collect()
    }

    /// Tokens that are written to a task, at most.
    pub fn most_tokens(asked: &AskedTask) -> u64 {
        let answers: usize = asked.task.docs.iter().map(|doc| asked.task.answers_to(doc)).sum();
        let tokens = answers.checked_mul(generation(&asked.task).max_gen_toks);
        tokens.expect("documents that are in memory, and answers that fit a model") as u64
    }

    /// The tasks as they were asked, with these texts, one for everything that was [to be written](Self::to_write).
    pub fn answered(self, texts: &[String]) -> Vec<AnsweredTask> {
        let mut texts = texts.iter();
        let with = |AskedTask { task, findings, encoded }: AskedTask| {
            let generation = generation(&task);
            let mut one = |_| {
                let text: &String = texts.next().expect("there are as many texts as were to be written");
                generation.cut(text).to_owned()
            };
            let of_doc = |_| (0..generation.repeats).map(&mut one).collect();
            let answers = Answers::Written(encoded.docs.iter().map(of_doc).collect());
            AnsweredTask { answers, findings, task: Arc::clone(&task) }
        };
        let answered = self.tasks.into_iter().map(with).collect();
        assert!(texts.next().is_none(), "there are as many texts as were to be written");
        answered
    }

    /// Names the document that the engine refused.
    pub fn refused(&self, error: EngineError) -> EvaluateError {
        let Some(request) = error.request() else { return EvaluateError::Engine(error) };
        EvaluateError::At { place: self.place_of(request), source: error.to_string().into() }
    }

    /// Of which document the answer is that is to be written.
    ///
    /// # Panics
    /// There is no such answer.
    pub fn place_of(&self, mut request: usize) -> String {
        for AskedTask { task, .. } in &self.tasks {
            let repeats = generation(task).repeats;
            if let Some(doc) = task.docs.get(request / repeats) {
                return format!("task {}, document {}", task.task.name, doc.doc_id);
            }
            request -= task.docs.len() * repeats;
        }
        panic!("an answer is one of those that are to be written")
    }
}

fn generation(task: &PreparedTask) -> &Generation {
    task.generation.as_ref().expect("a task whose answers are written says how")
}

/// The temperature of the answers to a document: its own, unless the task or whoever asks says one for all.
fn temperature(generation: &Generation, doc: &PreparedDoc) -> f64 {
    let own = doc.conversation.as_ref().and_then(|conversation| conversation.temperature);
    own.filter(|_| !generation.says_temperature).unwrap_or(generation.temperature)
}

/// Positions of a request of which nothing is cut: those that an answer leaves, and none after the last token, which is put
/// into the model here while it is not where continuations are scored.
fn positions(task: &PreparedTask, max_length: usize) -> Result<usize, EvaluateError> {
    let generation = generation(task);
    let most = generation.max_gen_toks;
    sampling(generation, generation.temperature)
        .map_err(|reason| EvaluateError::of_task(task, format!("generation_kwargs.{reason}")))?;
    let left = most.checked_add(1).and_then(|taken| max_length.checked_sub(taken));
    left.filter(|left| *left > 0).ok_or_else(|| {
        let reason = format!(
            "its answers have up to {most} tokens, and the model has {max_length} positions, which leaves no place for a prompt; \
             allow fewer (--gen-kwargs max_gen_toks={}), or more positions with --max-length where the model has them",
            (max_length / 2).max(1)
        );
        EvaluateError::of_task(task, reason)
    })
}

/// How tokens are drawn; `None` where the most probable one is taken. Without `top_k` it is 50, as in transformers.
fn sampling(generation: &Generation, temperature: f64) -> Result<Option<Sampling>, String> {
    let other = &generation.other;
    let mut sampling = Sampling { temperature, top_k: TOP_K, ..Sampling::default() };
    for (key, value) in other.iter().filter(|(_, value)| !value.is_null()) {
        let expected = |what: &str| format!("{key}: expected {what}, found {value}");
        let number = || value.as_f64().ok_or_else(|| expected("a number"));
        let whole = || value.as_u64().ok_or_else(|| expected("a whole number"));
        let neutral = match key.as_str() {
            "top_p" => {
                sampling.top_p = number()?;
                true
            }
            "min_p" => {
                sampling.min_p = number()?;
                true
            }
            "repetition_penalty" => {
                sampling.repetition_penalty = number()?;
                true
            }
            "top_k" => {
                sampling.top_k = whole()? as usize;
                true
            }
            "seed" => {
                sampling.seed = whole()?;
                true
            }
            "pad_token_id" | "use_cache" => true,
            "num_beams" | "num_return_sequences" => value.as_u64() == Some(1),
            "length_penalty" => value.as_f64() == Some(1.0),
            "early_stopping" => value.as_bool() == Some(false),
            _ => false,
        };
        if !neutral {
            return Err(format!(
                "{key}: {value} is not followed here, and another text would come out; take it out of the task, or leave the \
                 task out"
            ));
        }
    }
    let sampling = sampling.checked().map_err(|error| error.to_string())?;
    let is_greedy = sampling.temperature == 0.0 && sampling.repetition_penalty == 1.0;
    Ok((!is_greedy).then_some(sampling))
}
