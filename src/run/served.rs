//! A served model as a run's subject: where it is, what the probe found, and by whose tokens it is asked.

use std::path::{PathBuf, absolute};
use std::sync::Arc;

use super::chat::{OF_SERVER, SERVER};
use super::error::During;
use super::options::Serving;
use super::subject::{LocatedModel, tokenizer_source};
use super::{Options, RunError, World};
use crate::base::digest::sha256;
use crate::engine::Limits;
use crate::forms::TokenizerSource;
use crate::kernels::Precision;
use crate::prompts::{ChatFormat, End, Message};
use crate::records::{Identity, ModelSettings, ServerRecord};
use crate::registry::Card;
use crate::remote::{Access, Address, Server, Tokens, Wanted};
use crate::tokenizer::Tokenizer;

/// Positions that a prompt leaves free: one token is written after it, and the last token of a request is sent too.
const LEFT_FREE: usize = 2;

/// A model that a server runs.
pub struct Served {
    /// The name in tables.
    pub name: String,
    /// As the command line has it.
    pub address: String,
    /// Who serves it, and what was found out.
    pub server: Server,
    /// What makes its tokens.
    pub tokenizer: Arc<Tokenizer>,
    /// Where that is from.
    pub source: TokenizerSource,
    /// The folder or file of the tokenizer.
    pub path: PathBuf,
    /// The card whose tokenizer it is, which may name a chat template. Its published scores are of a model that nobody can
    /// compare with the one that is served.
    pub card: Option<Card>,
    /// The template of the server, if it is asked for.
    pub template: Option<ChatFormat>,
    /// How it is asked.
    pub serving: Serving,
    /// Positions of it, as of a model of this machine.
    pub limits: Limits,
}

impl Served {
    /// Finds the tokenizer, and asks the servers what they are and can do.
    ///
    /// # Errors
    /// Wrong usage, servers that cannot be asked, and a tokenizer that is not the model's.
    pub fn open(name: &str, options: &Options, world: &World<'_>) -> Result<Self, RunError> {
        let (computing, serving) = (&options.computing, &options.serving);
        let address = Address::parse(name).map_err(|error| RunError::Usage(error.to_string()))?;
        if let Some(against) = computing.against {
            return Err(RunError::Usage(format!(
                "--against {against}: a server computes in its own way; ask two servers"
            )));
        }
        if computing.precision != Precision::Exact {
            let precision = computing.precision;
            return Err(RunError::Usage(format!(
                "--precision {precision}: a server computes in its own way; start it with that (--dtype says what it was)"
            )));
        }
        let wanted = serving.tokenizer.as_deref().ok_or_else(|| {
            RunError::Usage(format!(
                "{name}: expected the tokenizer of the model that is served, by which prompts become tokens: --tokenizer with a \
                 name of the registry (zoo list), org/name of the hub, or a folder"
            ))
        })?;
        let LocatedModel { card, path, .. } = (world.tokenizer)(wanted)?;
        let source = tokenizer_source(&path)?;
        let tokenizer = source.read().during(|| format!("--tokenizer {wanted}"))?;
        let access = Access::from_env(serving.ca_file.clone())?;
        (world.say)(&format!("asking {} what it is and can do", hosts(&address)));
        let server = Server::probe(&address, access, &tokenizer).during(|| name.to_owned())?;
        if server.found.tokens == Tokens::Unknown {
            tracing::warn!(
                "{name}: the server does not say which tokens it makes of a text, so --tokenizer is taken on trust"
            );
        }
        let max_length = positions(name, server.found.positions, computing.max_length)?;
        let limits = Limits {
            max_length,
            vocab_size: tokenizer.vocab_size(),
            wave_tokens: 1,
            length_dependent_beyond: None,
        };
        let tokenizer = Arc::new(tokenizer);
        let wanted = options.apply_chat_template.iter().any(|template| template == SERVER);
        let template = wanted.then(|| template(&server, &tokenizer)).transpose()?;
        Ok(Self {
            name: server.found.model.clone(),
            address: name.to_owned(),
            server,
            tokenizer,
            template,
            source,
            path,
            card,
            serving: serving.clone(),
            limits,
        })
    }

    /// Refuses what the servers cannot do.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self, wanted: Wanted) -> Result<(), RunError> {
        self.server.check(wanted).during(|| self.address.clone())
    }

    /// The form of its weights: as declared, else as the server says it.
    pub fn dtype(&self) -> Option<&str> {
        self.serving.dtype.as_deref().or(self.server.found.dtype.as_deref())
    }

    /// The arithmetic, as far as anybody knows.
    pub fn precision(&self) -> String {
        self.dtype().map_or_else(|| "served".to_owned(), |dtype| format!("served, {dtype}"))
    }

    /// The program that serves it.
    pub fn program(&self) -> String {
        let found = &self.server.found;
        let version = found.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        format!("{}{version}", found.kind.name())
    }

    /// Whose scores its scores are: the same model of the same program in the same configuration, as far as the server tells.
    pub fn identity(&self) -> Identity {
        Identity {
            weights_sha256: self.digest(),
            config_sha256: self.config_digest(),
            tokenizer_sha256: self.tokenizer.sha256().to_owned(),
            precision: self.precision(),
            matmul: self.program(),
            arithmetic: 0,
        }
    }

    /// What its numbers depend on, but for its chat templates.
    pub fn settings(&self) -> ModelSettings {
        ModelSettings {
            name: self.name.clone(),
            weights_sha256: self.digest(),
            config_sha256: self.config_digest(),
            tokenizer_sha256: self.tokenizer.sha256().to_owned(),
            max_length: self.limits.max_length,
            matmul: self.program(),
            arithmetic: Some(self.precision()),
            templates: None,
        }
    }

    /// Stands for the digest of weights that nobody here can read.
    fn digest(&self) -> String {
        let found = &self.server.found;
        sha256(format!("{:?}", (&found.model, &found.root)))
    }

    fn config_digest(&self) -> String {
        let found = &self.server.found;
        sha256(format!("{:?}", (&found.fingerprint, found.positions, found.scoring)))
    }

    /// What a run says of the server.
    pub fn record(&self) -> ServerRecord {
        let found = &self.server.found;
        ServerRecord {
            program: self.program(),
            fingerprint: found.fingerprint.clone(),
            model: found.model.clone(),
            root: found.root.clone(),
            dtype: self.dtype().map(str::to_owned),
            positions: found.positions,
            scores_by: found.scoring.map(|scoring| scoring.name().to_owned()),
            answers_together: found.together,
            tokens_compared: found.tokens == Tokens::Alike,
            repeated_difference: found.repeated,
            concurrent_difference: found.at_once,
            concurrency: self.serving.concurrency,
            servers: self.server.clients.len(),
            tokenizer: absolute(&self.path).ok().map(|path| path.display().to_string()),
        }
    }
}

/// The template of a server, which is asked for every conversation.
fn template(server: &Server, tokenizer: &Arc<Tokenizer>) -> Result<ChatFormat, RunError> {
    let (own, tokenizer) = (server.clone(), Arc::clone(tokenizer));
    let write = move |messages: &[Message], end: End| {
        own.write_chat(messages, end, &tokenizer).map_err(|error| error.to_string())
    };
    let name = format!("{OF_SERVER}{}", server.found.model);
    ChatFormat::of_elsewhere(&name, Arc::new(write)).during(|| format!("--apply-chat-template={SERVER}"))
}

fn hosts(address: &Address) -> String {
    address.urls.iter().map(crate::base::http::host).collect::<Vec<_>>().join(" and ")
}

/// Positions of a model whose server has so many for prompt and answer.
fn positions(name: &str, found: Option<usize>, asked: Option<usize>) -> Result<usize, RunError> {
    let most = found.map(|found| found.saturating_sub(LEFT_FREE));
    match (most, asked) {
        (Some(0), _) => Err(RunError::room(format!("{name}: the server has no room for a prompt"))),
        (Some(most), Some(asked)) if asked > most => Err(RunError::Usage(format!(
            "--max-length {asked}: {name} has {} positions, of which {LEFT_FREE} are for what it writes after a prompt and for \
             the token that is scored last; at most {most} are left",
            most + LEFT_FREE
        ))),
        (_, Some(asked)) => Ok(asked),
        (Some(most), None) => Ok(most),
        (None, None) => Err(RunError::Usage(format!(
            "{name}: the server does not say how many positions it has; say it: --max-length N"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_server_without_what_it_needs_itself() {
        assert_eq!(positions("m", Some(2048), None).unwrap(), 2046);
        assert_eq!(positions("m", Some(2048), Some(2046)).unwrap(), 2046);
        assert_eq!(positions("m", None, Some(77)).unwrap(), 77);
        for (found, asked, words) in [
            (Some(2048), Some(2047), "at most 2046"),
            (None, None, "--max-length N"),
            (Some(2), None, "no room"),
        ] {
            let said = positions("m", found, asked).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        }
    }
}
