//! What the answers say while they come: the first mean of each task over the documents that are answered so far.
//!
//! A glance on the way and nothing more; the numbers of a run are those of the grader.

use std::collections::BTreeSet;

use super::metric::{Metric, Seen, metrics};
use super::{AskedTask, Questions, Verdicts};
use crate::base::progress::Running;
use crate::engine::Score;
use crate::metrics::{Aggregation, DocValue};

/// Answers of a model that is being asked.
pub struct Tally<'q> {
    questions: &'q Questions,
    /// Of every request its document's number among all.
    documents: Vec<usize>,
    scores: Vec<Option<Score>>,
    states: Vec<State>,
    tasks: Vec<Mean>,
}

/// One document.
#[derive(Debug, Clone, Copy)]
struct State {
    task: usize,
    /// Its place in the task.
    place: usize,
    /// Its first request.
    first: usize,
    requests: usize,
    missing: usize,
}

/// A task's number so far.
#[derive(Debug)]
struct Mean {
    /// `None` where no metric is a mean of documents.
    metric: Option<Metric>,
    sum: f64,
    documents: u64,
}

impl<'q> Tally<'q> {
    /// Nothing is answered yet.
    pub fn new(questions: &'q Questions) -> Self {
        let mut documents = Vec::new();
        let mut states = Vec::new();
        for (task, asked) in questions.tasks.iter().enumerate() {
            for (place, doc) in asked.encoded.docs.iter().enumerate() {
                let requests = doc.requests.len() + doc.unconditional.len();
                let first = documents.len();
                documents.extend(std::iter::repeat_n(states.len(), requests));
                states.push(State { task, place, first, requests, missing: requests });
            }
        }
        let scores = vec![None; documents.len()];
        let tasks = questions.tasks.iter().map(Mean::of).collect();
        Self { questions, documents, scores, states, tasks }
    }

    /// Takes in the answer to a request; one that is known is passed by.
    pub fn answered(&mut self, request: usize, score: Score) {
        if self.scores[request].replace(score).is_some() {
            return;
        }
        let state = &mut self.states[self.documents[request]];
        state.missing -= 1;
        if state.missing > 0 {
            return;
        }
        let State { task, place, first, requests, .. } = *state;
        let mean = &mut self.tasks[task];
        let Some(metric) = &mean.metric else { return };
        let AskedTask { task, encoded, .. } = &self.questions.tasks[task];
        let mut scores = self.scores[first..first + requests].iter().flatten().copied();
        let choices = self.questions.choices(task, &encoded.docs[place], &mut scores);
        // What a metric cannot judge the grader will say.
        if let Ok(DocValue::Number(value)) =
            metric.of(task, &task.docs[place], Seen::Choices(&choices), &Verdicts::default())
            && !value.is_nan()
        {
            mean.sum += value;
            mean.documents += 1;
        }
    }

    /// The tasks of these requests in words, and their number so far: of those with the first one's metric together.
    pub fn of(&self, requests: &BTreeSet<usize>) -> (String, Option<Running>) {
        let tasks: BTreeSet<usize> =
            requests.iter().map(|&request| self.states[self.documents[request]].task).collect();
        let names: Vec<&str> =
            tasks.iter().map(|&task| self.questions.tasks[task].task.task.name.as_str()).collect();
        let item = match names[..] {
            [] => String::new(),
            [only] => only.to_owned(),
            [first, ..] => format!("{first} and {} more", names.len() - 1),
        };
        let means = || tasks.iter().map(|&task| &self.tasks[task]);
        let metric = means().find_map(Mean::name);
        let same = means().filter(|mean| mean.name() == metric);
        let (sum, documents) =
            same.fold((0.0, 0), |(sum, documents), mean| (sum + mean.sum, documents + mean.documents));
        let running = metric.filter(|_| documents > 0);
        (item, running.map(|name| Running { metric: name.to_owned(), value: sum / documents as f64 }))
    }
}

impl Mean {
    fn of(asked: &AskedTask) -> Self {
        let by_function = asked.task.task.config.process_results.is_some();
        let known = metrics(&asked.task.task).ok().filter(|_| !by_function);
        let mean = |metric: &Metric| matches!(metric.aggregation, Aggregation::Mean | Aggregation::NanMean);
        let metric = known.and_then(|(metrics, _)| metrics.into_iter().find(mean));
        Self { metric, sum: 0.0, documents: 0 }
    }

    fn name(&self) -> Option<&str> {
        self.metric.as_ref().map(|metric| metric.spec.name.as_str())
    }
}
