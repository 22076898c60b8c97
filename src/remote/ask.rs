//! A job put to a server, in the way in which it scores.

use super::RemoteError;
use super::client::Client;
use super::completion::Completion;
use super::found::{Found, Scoring};
use super::job::Job;
use super::score::{
    Native, Wrong, echo_body, echoed, forced, forced_body, is_kept_back, listed, listed_body, together,
    together_body,
};
use crate::engine::Score;

/// So many of the most probable tokens are asked for, more if the wanted one is not among them. No vocabulary has more than the last.
const MOST_PROBABLE: [usize; 3] = [64, 4096, 1 << 18];

impl Job {
    /// Has a server answer: a score for each continuation.
    ///
    /// # Errors
    /// What the server refuses, and an answer that is not what was asked for.
    pub fn ask(&self, client: &Client, found: &Found) -> Result<Vec<Score>, RemoteError> {
        let wrong = |wrong| unlike(client, wrong);
        let is_answer = self.continuations.iter().all(|one| one.len() == 1);
        match found.scoring {
            Some(Scoring::Echo) if found.together && is_answer => {
                let answer: Completion =
                    client.complete("v1/completions", &together_body(&found.model, self))?;
                together(answer, self.continuations.iter().map(|one| one[0])).map_err(wrong)
            }
            Some(Scoring::Echo) => self
                .continuations
                .iter()
                .map(|continuation| {
                    let prompt: Vec<u32> = self.context.iter().chain(continuation).copied().collect();
                    let answer: Completion =
                        client.complete("v1/completions", &echo_body(&found.model, &prompt))?;
                    echoed(answer, &prompt, continuation.len()).map_err(wrong)
                })
                .collect(),
            Some(Scoring::Forced) => {
                self.continuations.iter().map(|one| self.force(client, found, one)).collect()
            }
            None => unreachable!("a server that cannot score is refused before"),
        }
    }

    /// Has a continuation written token by token.
    fn force(&self, client: &Client, found: &Found, continuation: &[u32]) -> Result<Score, RemoteError> {
        let mut context = self.context.clone();
        let mut whole = Score { logprob: 0.0, is_greedy: true };
        for token in continuation {
            let answer: Native = client.complete("completion", &forced_body(&context, *token))?;
            let score = match found.shown.filter(|_| is_kept_back(&answer)) {
                Some(shown) => look_up(client, &context, shown, *token)?,
                None => forced(&answer, *token).map_err(|wrong| unlike(client, wrong))?,
            };
            whole.logprob += score.logprob;
            whole.is_greedy &= score.is_greedy;
            context.push(*token);
        }
        Ok(whole)
    }
}

/// The score of a token that the server does not show: from the list of the most probable ones beside one that it shows.
fn look_up(client: &Client, context: &[u32], shown: u32, token: u32) -> Result<Score, RemoteError> {
    for most in MOST_PROBABLE {
        let answer: Native = client.complete_for("completion", &listed_body(context, shown, most), most)?;
        if let Some(score) = listed(&answer, shown, token).map_err(|wrong| unlike(client, wrong))? {
            return Ok(score);
        }
    }
    Err(unlike(client, (format!("a log-probability of token {token}"), "all tokens but that one".to_owned())))
}

fn unlike(client: &Client, (expected, found): Wrong) -> RemoteError {
    RemoteError::Answer { host: client.host(), expected, found }
}
