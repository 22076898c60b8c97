//! Prompts in the words and tokens of a model.

use std::sync::Arc;

use super::GenerateOptions;
use crate::engine::{GenerateRequest, Sampling};
use crate::prompts::{ChatFormat, End, Message, StopRules};
use crate::run::answering::Wording;
use crate::run::chat::Templates;
use crate::run::error::During;
use crate::run::subject::Subject;
use crate::run::{Options, RunError};
use crate::tokenizer::{TextStream, Tokenizer, TokenizerError};

/// What a model is asked.
pub(in crate::run) struct Asked {
    pub prompts: Vec<AskedPrompt>,
    /// When answers end by their text.
    pub stops: StopRules,
    /// Ids that end them.
    pub ends: Arc<[u32]>,
}

/// One prompt.
#[derive(Debug)]
pub(in crate::run) struct AskedPrompt {
    /// Its tokens, those of the template included.
    pub ids: Arc<[u32]>,
    /// What the model writes before its answer.
    pub lead: String,
}

impl AskedPrompt {
    /// A text that the model goes on with.
    ///
    /// # Errors
    /// A text that cannot be encoded.
    pub fn of_text(text: &str, tokenizer: &Tokenizer) -> Result<Self, RunError> {
        Ok(Self { ids: tokenizer.encode_for_model(text)?.into(), lead: String::new() })
    }

    /// A conversation that the model answers.
    ///
    /// # Errors
    /// A conversation that the template has no form for, and one that cannot be encoded.
    pub fn of_messages(
        messages: &[Message],
        format: &ChatFormat,
        tokenizer: &Tokenizer,
    ) -> Result<Self, RunError> {
        let ids = format.encode(&format.write(messages, End::Answer)?, tokenizer)?.into();
        Ok(Self { ids, lead: format.lead(messages, tokenizer)? })
    }

    /// The text of an answer to it.
    pub fn stream<'t>(&self, tokenizer: &'t Tokenizer) -> Result<TextStream<'t>, TokenizerError> {
        TextStream::after(tokenizer, &self.ids)
    }
}

impl Asked {
    /// The prompts, put to a model.
    ///
    /// # Errors
    /// Templates that are not there, prompts that have no form in them, texts that cannot be encoded.
    pub fn new(subject: &Subject, options: &GenerateOptions, own: &Options) -> Result<Self, RunError> {
        let tokenizer = subject.tokenizer()?;
        let format = format(subject, &options.answering.wording, own)?;
        match &format {
            Some(format) => tracing::info!("{}: prompts by the template {}", subject.name, format.name()),
            None => tracing::info!("{}: prompts as they are", subject.name),
        }
        if let (None, Some(_)) = (&format, &options.answering.system) {
            return Err(no_system(&subject.name));
        }
        let system = options.answering.system.iter().map(Message::system);
        let one = |prompt: &String| -> Result<AskedPrompt, RunError> {
            let Some(format) = &format else { return AskedPrompt::of_text(prompt, tokenizer) };
            let messages: Vec<Message> = system.clone().chain([Message::user(prompt)]).collect();
            AskedPrompt::of_messages(&messages, format, tokenizer)
        };
        let numbered = options.prompts.iter().enumerate();
        let prompts = numbered.map(|(index, prompt)| one(prompt).during(|| format!("prompt {}", index + 1)));
        let prompts = prompts.collect::<Result<_, _>>()?;
        let stops = stops(format.as_ref(), &options.answering.stops);
        Ok(Self { prompts, stops, ends: tokenizer.ends().into() })
    }

    /// What the engine is asked, for a model with `max_length` positions: an answer ends where they do. Tokens are drawn like this,
    /// and at most so many.
    ///
    /// # Errors
    /// Prompts without tokens, and those that leave no place for an answer.
    pub fn requests(
        &self,
        (sampling, most): (Option<Sampling>, usize),
        max_length: usize,
    ) -> Result<Vec<GenerateRequest>, RunError> {
        let request = |(index, prompt): (usize, &AskedPrompt)| {
            let (number, ids) = (index + 1, &prompt.ids);
            if ids.is_empty() {
                let text = "expected at least one token, found none, and the vocabulary puts no BOS before an empty text";
                return Err(RunError::Usage(format!("prompt {number}: {text}")));
            }
            let left = max_length.checked_sub(ids.len()).filter(|left| *left > 0).ok_or_else(|| {
                RunError::Usage(format!(
                    "prompt {number}: expected fewer than {max_length} tokens, which are the positions of the model, found {}; \
                     shorten it, or allow more positions with --max-length where the model has them",
                    ids.len()
                ))
            })?;
            Ok(GenerateRequest {
                prompt: Arc::clone(ids),
                most: most.min(left),
                stop: Arc::clone(&self.ends),
                sampling,
                stream: index as u64,
            })
        };
        self.prompts.iter().enumerate().map(request).collect()
    }
}

/// A system message without a place.
pub(in crate::run) fn no_system(model: &str) -> RunError {
    RunError::Usage(format!(
        "--system: {model} has no template with a place for a system message; put the text before the prompt, or name a \
         template with --template"
    ))
}

/// When answers end by their text: the rules of the template, and these texts.
pub(in crate::run) fn stops(format: Option<&ChatFormat>, more: &[String]) -> StopRules {
    let mut stops = format.map_or_else(StopRules::default, ChatFormat::stops);
    stops.strings.extend(more.iter().cloned());
    stops
}

/// The template that writes the prompts; `None` for prompts as they are.
pub(in crate::run) fn format(
    subject: &Subject,
    wording: &Wording,
    own: &Options,
) -> Result<Option<ChatFormat>, RunError> {
    if *wording == Wording::Raw {
        return Ok(None);
    }
    let source = (&subject.checkpoint.tokenizer, subject.checkpoint.path.as_path());
    let card = subject.card.as_ref().and_then(|card| card.prompt.as_deref());
    let templates = Templates::new(&subject.name, source, subject.tokenizer()?, card, own)?;
    match wording {
        Wording::Template(name) => {
            templates.named(name).during(|| format!("--template, {}", subject.name)).map(Some)
        }
        _ => templates.own(),
    }
}
