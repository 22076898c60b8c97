//! A job put to a server, in the way in which it scores.

use super::RemoteError;
use super::client::Client;
use super::completion::Completion;
use super::found::{Found, Scoring};
use super::job::Job;
use super::score::{Native, Wrong, echo_body, echoed, forced, forced_body, together, together_body};
use crate::engine::Score;

impl Job {
    /// Has a server answer: a score for each continuation.
    ///
    /// # Errors
    /// What the server refuses, and an answer that is not what was asked for.
    pub fn ask(&self, client: &Client, found: &Found) -> Result<Vec<Score>, RemoteError> {
        let wrong = |(expected, found): Wrong| RemoteError::Answer { host: client.host(), expected, found };
        let is_answer = self.continuations.iter().all(|one| one.len() == 1);
        match found.scoring {
            Some(Scoring::Echo) if found.together && is_answer => {
                let answer: Completion = client.post("v1/completions", &together_body(&found.model, self))?;
                together(answer, self.continuations.iter().map(|one| one[0])).map_err(wrong)
            }
            Some(Scoring::Echo) => self
                .continuations
                .iter()
                .map(|continuation| {
                    let prompt: Vec<u32> = self.context.iter().chain(continuation).copied().collect();
                    let answer: Completion =
                        client.post("v1/completions", &echo_body(&found.model, &prompt))?;
                    echoed(answer, &prompt, continuation.len()).map_err(wrong)
                })
                .collect(),
            Some(Scoring::Forced) => self.continuations.iter().map(|one| self.force(client, one)).collect(),
            None => unreachable!("a server that cannot score is refused before"),
        }
    }

    /// Has a continuation written token by token.
    fn force(&self, client: &Client, continuation: &[u32]) -> Result<Score, RemoteError> {
        let mut context = self.context.clone();
        let mut whole = Score { logprob: 0.0, is_greedy: true };
        for token in continuation {
            let answer: Native = client.post("completion", &forced_body(&context, *token))?;
            let score = forced(&answer, *token).map_err(|(expected, found)| RemoteError::Answer {
                host: client.host(),
                expected,
                found,
            })?;
            whole.logprob += score.logprob;
            whole.is_greedy &= score.is_greedy;
            context.push(*token);
        }
        Ok(whole)
    }
}
