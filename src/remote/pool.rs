//! Requests under way at the same time: taken from a queue by threads, answered in any order, heard by whoever began them.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::RemoteError;
use super::client::Client;
use super::pace::Pace;
use super::queue::Queue;

/// So many requests that fail with no answer between them are no accident.
const MOST_IN_A_ROW: usize = 8;
/// How often somebody looks whether the work is to end.
const LOOK: Duration = Duration::from_millis(100);

/// How many requests are under way at a time, to which servers.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The servers of one model.
    pub clients: Vec<Arc<Client>>,
    /// How many at a time; `None` for as many as bring more.
    pub concurrency: Option<usize>,
}

/// How the work ended.
#[derive(Debug)]
pub enum Ended {
    /// Every job was answered or refused; those that were refused, by number.
    Done(Vec<(usize, RemoteError)>),
    /// Somebody asked for the end.
    Stopped,
    /// More would be of no use.
    Failed(RemoteError),
}

/// Has a server do a job.
type Ask<J, A> = dyn Fn(&Client, &J) -> Result<A, RemoteError> + Send + Sync;

/// What the threads share.
struct Shared<J, A> {
    clients: Vec<Arc<Client>>,
    jobs: Vec<(J, usize)>,
    ask: Box<Ask<J, A>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: Queue,
    pace: Pace,
    under_way: Vec<usize>,
    gone: Vec<bool>,
    /// Jobs without an end.
    left: usize,
    is_over: bool,
}

impl Pool {
    /// Has jobs done, each with the tokens that it takes, and gives what comes of them to `take` in the order in which it comes,
    /// by the job's number. An error of `take` ends the work.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn run<J, A, E>(
        &self,
        jobs: Vec<(J, usize)>,
        ask: impl Fn(&Client, &J) -> Result<A, RemoteError> + Send + Sync + 'static,
        is_stopped: &dyn Fn() -> bool,
        take: &mut dyn FnMut(usize, A) -> Result<(), E>,
    ) -> Result<Ended, E>
    where
        J: Send + Sync + 'static,
        A: Send + 'static,
    {
        let (count, servers) = (jobs.len(), self.clients.len());
        let pace = Pace::new(servers, self.concurrency);
        let threads = pace.most().min(count);
        let state = State {
            queue: Queue::new(count, servers),
            pace,
            under_way: vec![0; servers],
            gone: vec![false; servers],
            left: count,
            is_over: false,
        };
        let shared = Arc::new(Shared {
            clients: self.clients.clone(),
            jobs,
            ask: Box::new(ask),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (sender, answers) = mpsc::channel();
        for _ in 0..threads {
            // Nobody waits for a thread whose server takes its time when the work has ended.
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            thread::spawn(move || work(&shared, &sender));
        }
        drop(sender);
        let _over = Over(&shared);
        let mut failed: Vec<(usize, RemoteError)> = Vec::new();
        let (mut left, mut in_a_row) = (count, 0);
        while left > 0 {
            if is_stopped() {
                return Ok(Ended::Stopped);
            }
            let (job, answer) = match answers.recv_timeout(LOOK) {
                Ok(answered) => answered,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("threads live until every job has its end")
                }
            };
            left -= 1;
            match answer {
                Ok(answer) => {
                    in_a_row = 0;
                    take(job, answer)?;
                }
                Err(error) => {
                    in_a_row += 1;
                    if !error.is_of_request() || in_a_row >= MOST_IN_A_ROW {
                        return Ok(Ended::Failed(error));
                    }
                    failed.push((job, error));
                }
            }
        }
        failed.sort_by_key(|(job, _)| *job);
        Ok(Ended::Done(failed))
    }
}

/// Ends the work for all threads, however whoever waits for them ends.
struct Over<'s, J, A>(&'s Shared<J, A>);

impl<J, A> Drop for Over<'_, J, A> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

impl<J, A> Shared<J, A> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the state")
    }

    /// The next job and who is asked; waits until there may be one. `None` when all are done.
    fn next(&self) -> Option<(usize, usize)> {
        let mut state = self.lock();
        while !state.is_over && state.left > 0 {
            let all: usize = state.under_way.iter().sum();
            if all < state.pace.allowed() {
                let there = (0..state.gone.len()).filter(|server| !state.gone[*server]);
                let server = there.min_by_key(|server| state.under_way[*server]);
                if let Some(server) = server
                    && let Some(job) = state.queue.next(server)
                {
                    state.under_way[server] += 1;
                    return Some((server, job));
                }
            }
            state = self.changed.wait(state).expect("no thread panics with the state");
        }
        None
    }
}

fn work<J, A>(shared: &Shared<J, A>, sender: &Sender<(usize, Result<A, RemoteError>)>) {
    while let Some((server, number)) = shared.next() {
        let client = &shared.clients[server];
        let overloads = client.overloads();
        let (job, tokens) = &shared.jobs[number];
        let answer = (shared.ask)(client, job);
        let mut state = shared.lock();
        state.under_way[server] -= 1;
        state.pace.answered(*tokens, client.overloads() > overloads, Instant::now());
        let others = (0..state.gone.len()).any(|other| other != server && !state.gone[other]);
        match &answer {
            Err(error @ RemoteError::Unreachable { .. }) if others => {
                if !std::mem::replace(&mut state.gone[server], true) {
                    tracing::warn!("{error}; the others go on without it");
                }
                state.queue.put_back(server, number);
            }
            _ => {
                state.left -= 1;
                // Whoever has ended hears no more.
                let _ = sender.send((number, answer));
            }
        }
        drop(state);
        shared.changed.notify_all();
    }
}
