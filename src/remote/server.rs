//! A model that is served: by whom, what was found out about it, and what it is asked.

use std::sync::Arc;

use super::client::Client;
use super::found::Found;
use super::probe::probe;
use super::{Access, Address, Pool, RemoteError};
use crate::tokenizer::Tokenizer;

/// What a server has to be able to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// To say how likely given texts are.
    pub scores: bool,
}

/// A model that is served.
#[derive(Debug, Clone)]
pub struct Server {
    /// By whom, each once.
    pub clients: Vec<Arc<Client>>,
    /// What was found out; of several the first one's, with the largest differences.
    pub found: Found,
}

impl Server {
    /// Finds the servers of an address and asks what they are and can do.
    ///
    /// # Errors
    /// Servers that cannot be reached, make other tokens of a text, or do not serve the same.
    pub fn probe(address: &Address, access: Access, tokenizer: &Tokenizer) -> Result<Self, RemoteError> {
        let access = Arc::new(access);
        let clients: Vec<Arc<Client>> = address
            .urls
            .iter()
            .map(|url| Client::new(url, &access).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let mut first: Option<Found> = None;
        for client in &clients {
            let found = probe(client, address.model.as_deref(), tokenizer)?;
            client.settle();
            let Some(known) = &mut first else {
                first = Some(found);
                continue;
            };
            let differences = known.differences(&found);
            if !differences.is_empty() {
                let reason = format!(
                    "it is not the same as {}: {}; servers that share the load have one version, one model and one configuration",
                    clients[0].host(),
                    differences.join("; ")
                );
                return Err(RemoteError::Unable { host: client.host(), reason });
            }
            known.repeated = known.repeated.max(found.repeated);
            known.at_once = known.at_once.max(found.at_once);
        }
        Ok(Self { clients, found: first.expect("an address has a server") })
    }

    /// Refuses what the servers cannot do.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self, wanted: Wanted) -> Result<(), RemoteError> {
        if wanted.scores && self.found.scoring.is_none() {
            return Err(RemoteError::Unable {
                host: self.clients[0].host(),
                reason: "it gives no log-probabilities of a prompt's tokens by their ids (echo with logprobs and \
                         return_tokens_as_token_ids, as vLLM has it), nor is it a llama-server; only tasks whose answers are \
                         written can be asked"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Requests to these servers, so many at a time.
    pub fn pool(&self, concurrency: Option<usize>) -> Pool {
        Pool { clients: self.clients.clone(), concurrency }
    }
}
