//! How a model that is asked in tokens answers tasks: what is scored, what is written, and conversations turn by turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::During;
use super::respondent::{Against, Answered, Effort};
use super::{Options, RunError};
use crate::base::stop::Stop;
use crate::engine::TokenCounts;
use crate::evaluate::{AnsweredTask, EvaluateError, Questions, WrittenQuestions};
use crate::records::RequestRecord;
use crate::tasks::PreparedTask;
use crate::tokenizer::Tokenizer;

/// A model that is asked in its tokens, wherever it runs.
pub trait InTokens {
    /// Its name.
    fn name(&self) -> &str;

    /// What makes its tokens.
    ///
    /// # Errors
    /// It cannot be read.
    fn tokenizer(&self) -> Result<&Tokenizer, RunError>;

    /// Its positions.
    fn max_length(&self) -> usize;

    /// Scores continuations.
    ///
    /// # Errors
    /// Whatever stops the work; what is answered until then is kept.
    fn score(&mut self, questions: Questions) -> Result<Counted, RunError>;

    /// Writes answers.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    fn write(&mut self, questions: WrittenQuestions) -> Result<Counted, RunError>;

    /// How long the weights took to be read until now.
    fn loading(&self) -> Duration {
        Duration::ZERO
    }
}

/// Answers to what was asked, and what they took.
#[derive(Default)]
pub struct Counted {
    /// In the order in which they were asked.
    pub tasks: Vec<AnsweredTask>,
    /// What was asked and computed.
    pub tokens: TokenCounts,
    /// Who had answered before.
    pub requests: RequestRecord,
    /// The same in another arithmetic.
    pub against: Option<Against>,
}

/// Puts tasks into the tokens of any model of this tokenizer and so many positions: those whose continuations are scored, and
/// those whose answers are written.
///
/// # Errors
/// Texts that cannot be encoded, documents that do not fit where that is not to happen, answers that leave no place for a
/// prompt, and answers that are to be compared with those of another arithmetic although they are written.
pub fn all_questions(
    tokenizer: &Tokenizer,
    tasks: &[Arc<PreparedTask>],
    max_length: usize,
    options: &Options,
) -> Result<(Questions, WrittenQuestions), EvaluateError> {
    let (to_write, to_score): (Vec<_>, Vec<_>) = tasks.iter().cloned().partition(is_written);
    if let (Some(against), Some(task)) = (options.computing.against, to_write.first()) {
        return Err(EvaluateError::ComparesTexts {
            task: task.task.name.clone(),
            against: against.to_string(),
        });
    }
    let scored = Questions::new(tokenizer, &to_score, max_length, options.overlong)?;
    Ok((scored, WrittenQuestions::new(tokenizer, &to_write, max_length, options.overlong)?))
}

fn is_written(task: &Arc<PreparedTask>) -> bool {
    task.generation.is_some()
}

/// Has a model answer tasks, in their order.
///
/// # Errors
/// Questions that cannot be put, and whatever stops the work.
pub fn answer(
    who: &mut dyn InTokens,
    tasks: &[Arc<PreparedTask>],
    options: &Options,
    stop: &Stop,
) -> Result<Answered, RunError> {
    // All questions are tokens before the first one is answered.
    let (to_score, to_write) = all_questions(who.tokenizer()?, tasks, who.max_length(), options)
        .during(|| format!("model {}", who.name()))?;
    let _heeding = stop.heed();
    let begun = Instant::now();
    let scored = who.score(to_score)?;
    let written = who.write(to_write)?;
    let written = converse(who, written, options)?;
    let loading = who.loading();
    let effort = Effort {
        tokens: scored.tokens.and(written.tokens),
        requests: scored.requests.and(written.requests),
        loading,
        scoring: begun.elapsed() - loading,
    };
    let (mut of_scores, mut of_texts) = (scored.tasks.into_iter(), written.tasks.into_iter());
    let own = |task| if is_written(task) { of_texts.next() } else { of_scores.next() };
    let tasks = tasks.iter().map(own).map(|task| task.expect("every task was answered")).collect();
    Ok(Answered { tasks, effort: Some(effort), against: scored.against })
}

/// Goes on with conversations, turn by turn: all that can be asked after the answers until now is written together.
fn converse(who: &mut dyn InTokens, mut written: Counted, options: &Options) -> Result<Counted, RunError> {
    loop {
        let next = written.tasks.iter().map(AnsweredTask::next_turn).collect::<Result<Vec<_>, _>>()?;
        let (places, asked): (Vec<usize>, Vec<Arc<PreparedTask>>) =
            next.into_iter().enumerate().filter_map(|(place, task)| Some((place, Arc::new(task?)))).unzip();
        let Some(first) = asked.first() else { return Ok(written) };
        let turn = first.turn + 1;
        let questions = WrittenQuestions::new(who.tokenizer()?, &asked, who.max_length(), options.overlong);
        let questions = questions.during(|| {
            format!("model {}: turn {turn} of conversations; the answers before it are kept", who.name())
        })?;
        let Counted { tasks, tokens, requests, .. } = who.write(questions)?;
        written.tokens = written.tokens.and(tokens);
        written.requests = written.requests.and(requests);
        for ((place, asked), answered) in places.into_iter().zip(asked).zip(tasks) {
            written.tasks[place].go_on(&asked, answered);
        }
    }
}
