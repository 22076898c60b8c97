//! Conversations written by the template of the server: messages go there, and what comes back is the prompt that it would use.
//!
//! It is text here, so that answers can be scored after it and be written to it as to every other prompt; a prompt whose text does
//! not become the server's own tokens again is refused.

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::found::{Found, Kind};
use super::{RemoteError, Server};
use crate::prompts::{End, Message};
use crate::tokenizer::Tokenizer;

impl Server {
    /// The prompt that the server makes of a conversation.
    ///
    /// # Errors
    /// A server that cannot be reached, has no such template or refuses the conversation, and a prompt that cannot be written as text.
    pub fn write_chat(
        &self,
        messages: &[Message],
        end: End,
        tokenizer: &Tokenizer,
    ) -> Result<String, RemoteError> {
        let (client, found) = (&*self.clients[0], &self.found);
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| json!({"role": message.role.to_string(), "content": message.content}))
            .collect();
        match found.kind {
            Kind::LlamaServer => of_text(client, &messages, end),
            Kind::Vllm => of_tokens(client, found, &messages, end, tokenizer),
            Kind::Other => Err(RemoteError::Unable {
                host: client.host(),
                reason: "it does not say how its template writes a conversation (/tokenize with messages)"
                    .to_owned(),
            }),
        }
    }
}

fn of_tokens(
    client: &Client,
    found: &Found,
    messages: &[Value],
    end: End,
    tokenizer: &Tokenizer,
) -> Result<String, RemoteError> {
    #[derive(Deserialize)]
    struct Tokenized {
        tokens: Vec<u32>,
    }
    let body = json!({
        "model": found.model, "messages": messages, "add_special_tokens": false,
        "add_generation_prompt": end == End::Answer, "continue_final_message": end == End::Open,
    });
    let Tokenized { tokens } = client.post("tokenize", &body)?;
    let unable = |reason: String| RemoteError::Unable { host: client.host(), reason };
    let text = tokenizer.decode(&tokens).map_err(|error| unable(error.to_string()))?;
    let again = tokenizer.encode_for_model(&text).map_err(|error| unable(error.to_string()))?;
    if again != tokens {
        return Err(unable(format!(
            "its chat template makes {} tokens of a conversation whose text has {} others here ({text:?}); name a template of the \
             checkpoint or of zoo/prompts in place of the server's",
            tokens.len(),
            again.len()
        )));
    }
    Ok(text)
}

fn of_text(client: &Client, messages: &[Value], end: End) -> Result<String, RemoteError> {
    #[derive(Deserialize)]
    struct Templated {
        prompt: String,
    }
    let Templated { prompt } = client.post("apply-template", &json!({"messages": messages}))?;
    let last = messages.last().and_then(|last| last["content"].as_str()).unwrap_or_default();
    if end == End::Open && !prompt.ends_with(last.trim_end()) {
        return Err(RemoteError::Unable {
            host: client.host(),
            reason: "its chat template does not go on with an answer that has begun".to_owned(),
        });
    }
    Ok(prompt)
}
