//! Chat templates: which ones write the prompts of a model, and which ones wrote those of a finished run.

use std::path::Path;
use std::sync::Arc;

use super::error::During;
use super::subject::{tokenizer, tokenizer_source};
use super::{Options, RunError};
use crate::forms::TokenizerSource;
use crate::model::Checkpoint;
use crate::prompts::chat_template::ChatTemplates;
use crate::prompts::{self, ChatFormat, PromptTemplates, TemplateKind};
use crate::records::{ChatRecord, ModelRecord};
use crate::tasks::{Chat, Task};
use crate::tokenizer::{SpecialNames, Tokenizer};

/// The name of the template of the server that runs a model.
pub const SERVER: &str = "server";
/// What the name of a template begins with that a server has.
pub const OF_SERVER: &str = "server: ";

/// The chat templates that a model can be asked with.
pub struct Templates<'a> {
    /// The model's name.
    name: &'a str,
    /// What the checkpoint brings, with the special tokens that its templates may write.
    own: ChatTemplates,
    specials: SpecialNames,
    /// The template that its card names.
    card: Option<&'a str>,
    /// The template of the server that runs it.
    server: Option<ChatFormat>,
    /// Templates of the user's own beside those of `zoo/prompts`.
    own_cards: Option<&'a Path>,
}

impl<'a> Templates<'a> {
    /// Those of a model, and the one that its card names.
    ///
    /// # Errors
    /// Files of the checkpoint that cannot be read.
    pub fn new(
        name: &'a str,
        (source, path): (&TokenizerSource, &Path),
        tokenizer: &Tokenizer,
        card: Option<&'a str>,
        options: &'a Options,
    ) -> Result<Self, RunError> {
        let own = match source {
            TokenizerSource::Gguf(metadata) => ChatTemplates::from_gguf(metadata, path)?,
            TokenizerSource::Folder(folder) | TokenizerSource::Meta(folder) => {
                ChatTemplates::from_folder(folder)?
            }
        };
        let specials = tokenizer.special_names().clone();
        let own_cards = options.places.own_cards.as_deref();
        Ok(Self { name, own, specials, card, server: None, own_cards })
    }

    /// The same with the template of the server that runs the model.
    #[must_use]
    pub fn or_of(self, server: Option<ChatFormat>) -> Self {
        Self { server, ..self }
    }

    /// The ways in which the model is asked: `None` for prompts as base models read them.
    ///
    /// # Errors
    /// Templates that are not there, with those that are.
    pub fn chats(&self, options: &Options) -> Result<Vec<Option<Chat>>, RunError> {
        let wanted = options.apply_chat_template.iter().flat_map(|name| match name.as_str() {
            "both" => vec!["none", "default"],
            one => vec![one],
        });
        let mut chats: Vec<Option<Chat>> = Vec::new();
        for name in wanted {
            let chat = match name {
                "none" => None,
                name => {
                    let format =
                        self.named(name).during(|| format!("--apply-chat-template, {}", self.name))?;
                    // A template of one turn has no form for examples as turns.
                    let multiturn = options.fewshot_as_multiturn.unwrap_or(format.has_turns());
                    Some(Chat { format: Arc::new(format), multiturn })
                }
            };
            if !chats.contains(&chat) {
                chats.push(chat);
            }
        }
        Ok(chats)
    }

    /// The ways in which the model is asked; see [`Wanted`].
    ///
    /// # Errors
    /// As [`chats`](Self::chats).
    pub fn wanted(&self, wanted: Wanted, options: &Options) -> Result<Vec<Option<Chat>>, RunError> {
        match wanted {
            Wanted::None => Ok(vec![None]),
            Wanted::Named => self.chats(options),
            Wanted::Own => {
                let own = self.own()?;
                if own.is_none() {
                    tracing::warn!(
                        "{}: neither its card nor the checkpoint has a chat template, so instructions are asked as they are, \
                         without one; --apply-chat-template=NAME takes one of zoo/prompts",
                        self.name
                    );
                }
                Ok(vec![own.map(|format| Chat { multiturn: format.has_turns(), format: Arc::new(format) })])
            }
        }
    }

    /// The template of the card, else the checkpoint's own; `None` if there is neither.
    ///
    /// # Errors
    /// A template of the card that is not there.
    pub fn own(&self) -> Result<Option<ChatFormat>, RunError> {
        Ok(self.of_card()?.or_else(|| self.by_default()))
    }

    /// The template of the card, unless texts are what it writes.
    fn of_card(&self) -> Result<Option<ChatFormat>, RunError> {
        let Some(named) = self.card else { return Ok(None) };
        let templates = prompt_templates(self.own_cards)?;
        let template = prompts::find(&templates, named)?;
        Ok((template.kind != TemplateKind::Completion).then(|| ChatFormat::of_card(template)))
    }

    /// The checkpoint's template for plain chats.
    fn by_default(&self) -> Option<ChatFormat> {
        self.own.default_template().map(|template| ChatFormat::of_checkpoint(template, &self.specials))
    }

    /// The template that a flag names: `card`, `checkpoint`, `server`, `default`, one of the checkpoint, or one of `zoo/prompts`.
    ///
    /// # Errors
    /// A template that is not there, with those that are.
    pub fn named(&self, name: &str) -> Result<ChatFormat, RunError> {
        let known: Vec<&str> = self.own.templates.iter().map(|template| template.name.as_str()).collect();
        let brings = match known[..] {
            [] => "the checkpoint brings no chat template".to_owned(),
            _ => format!("the checkpoint's templates are {}", known.join(", ")),
        };
        let missing = |what: &str| {
            let card =
                self.card.map_or_else(|| "no card names one".to_owned(), |n| format!("its card names {n:?}"));
            let advice = "leave the flag out, or name a template of zoo/prompts (zoo show prints a model's)";
            RunError::Usage(format!("expected {what}, found none: {card}, and {brings}; {advice}"))
        };
        match name {
            "card" => self.of_card()?.ok_or_else(|| missing("a prompt template of the card")),
            "checkpoint" => self
                .by_default()
                .ok_or_else(|| missing("one chat template of the checkpoint, or a default one")),
            SERVER => self.server.clone().ok_or_else(|| missing("a model that a server runs (remote:URL)")),
            "default" => self.own()?.ok_or_else(|| missing("a chat template")),
            name => {
                if let Some(template) = self.own.templates.iter().find(|template| template.name == name) {
                    return Ok(ChatFormat::of_checkpoint(template, &self.specials));
                }
                let templates = prompt_templates(self.own_cards)?;
                let template = prompts::find(&templates, name).map_err(|error| {
                    RunError::Usage(format!(
                        "{error}; {brings}; card, checkpoint, server, both and none have a meaning of their own"
                    ))
                })?;
                Ok(ChatFormat::of_card(template))
            }
        }
    }
}

/// What is said of chat templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Prompts as base models read them.
    None,
    /// The templates that `--apply-chat-template` names.
    Named,
    /// The model's own: nothing is said, and only instructions are asked, which are conversations.
    Own,
}

impl Wanted {
    /// What holds for all tasks of a run.
    ///
    /// # Errors
    /// Instructions and other tasks where nothing is said of templates: they are not asked alike.
    pub fn of<'t>(tasks: impl Iterator<Item = &'t Task>, options: &Options) -> Result<Self, RunError> {
        if !options.apply_chat_template.is_empty() {
            return Ok(Self::Named);
        }
        let (judged, others): (Vec<&Task>, Vec<&Task>) = tasks.partition(|task| task.config.judged.is_some());
        match (judged.first(), others.first()) {
            (None, _) => Ok(Self::None),
            (Some(_), None) => Ok(Self::Own),
            (Some(judged), Some(other)) => Err(RunError::Usage(format!(
                "{} is asked by the model's chat template, and {} without one; run them apart, or say for both: \
                 --apply-chat-template, --apply-chat-template=none",
                judged.name, other.name
            ))),
        }
    }
}

/// `--fewshot-as-multiturn` speaks of a template.
pub fn check(options: &Options) -> Result<(), RunError> {
    let with_template = options.apply_chat_template.iter().any(|name| name != "none");
    if options.fewshot_as_multiturn == Some(true) && !with_template {
        let text = "--fewshot-as-multiturn: examples can be turns only in a chat template; add --apply-chat-template";
        return Err(RunError::Usage(text.to_owned()));
    }
    Ok(())
}

/// The template that wrote the prompts of a finished run: one of `zoo/prompts`, or the checkpoint's own, which has to be where
/// it was; of a served model its tokenizer's.
///
/// # Errors
/// A template that is not there any more, or not the same.
pub fn recorded(chat: &ChatRecord, model: &ModelRecord, options: &Options) -> Result<Chat, RunError> {
    if chat.template.starts_with(OF_SERVER) {
        return Err(RunError::Usage(format!(
            "{}: its prompts were written by the chat template of the server, which nobody else can read; the model has to be asked \
             again (zoo eval --reuse asks only what is not known)",
            model.name
        )));
    }
    let path = match &model.server {
        None => Some(&model.path),
        Some(server) => server.tokenizer.as_ref(),
    };
    let place = path.map_or("an unknown place", String::as_str);
    let found = if let Some(name) = chat.template.strip_prefix("card: ") {
        let templates = prompt_templates(options.places.own_cards.as_deref())?;
        Some(ChatFormat::of_card(prompts::find(&templates, name)?))
    } else {
        let open = || -> Result<Option<ChatFormat>, RunError> {
            let Some(path) = path.map(Path::new) else { return Ok(None) };
            let (source, tokenizer) = if model.server.is_some() {
                let source = tokenizer_source(path)?;
                let tokenizer = source.read()?;
                (source, tokenizer)
            } else {
                let checkpoint = Checkpoint::open(path)?;
                let tokenizer = tokenizer(&checkpoint)?;
                (checkpoint.tokenizer, tokenizer)
            };
            let templates = Templates::new(&model.name, (&source, path), &tokenizer, None, options)?;
            let own = templates.own.templates.iter();
            let mut formats = own.map(|one| ChatFormat::of_checkpoint(one, &templates.specials));
            Ok(formats.find(|format| format.name() == chat.template && format.source_sha256() == chat.sha256))
        };
        open().during(|| {
            format!("{}: cannot read the chat template {} in {place}", model.name, chat.template)
        })?
    };
    let format = found.ok_or_else(|| {
        RunError::room(format!(
            "{}: expected the chat template {} with which the run was made (sha256 {}) in {}, found none that is the same; \
             the model has to be asked again",
            model.name,
            chat.template,
            chat.sha256.as_deref().unwrap_or("unknown"),
            place
        ))
    })?;
    Ok(Chat { format: Arc::new(format), multiturn: chat.fewshot_as_multiturn })
}

fn prompt_templates(own_cards: Option<&Path>) -> Result<PromptTemplates, RunError> {
    prompts::load(own_cards).during(|| "the prompt templates cannot be loaded".to_owned())
}
