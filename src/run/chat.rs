//! `--apply-chat-template`: which templates write the prompts of a model.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::subject::Subject;
use crate::cli::eval::Args;
use crate::cli::exit::Usage;
use crate::cli::{Global, models};
use crate::prompts::chat_template::ChatTemplates;
use crate::prompts::{self, ChatFormat, Kind};
use crate::tasks::Chat;
use crate::tokenizer::Tokenizer;

/// The ways in which a model is asked: `None` for prompts as base models read them.
///
/// # Errors
/// Templates that are not there, with those that are.
pub fn chats(
    subject: &Subject,
    tokenizer: &Tokenizer,
    args: &Args,
    global: &Global,
) -> anyhow::Result<Vec<Option<Chat>>> {
    let wanted = args.apply_chat_template.iter().flat_map(|name| match name.as_str() {
        "both" => vec!["none", "default"],
        one => vec![one],
    });
    let mut chats: Vec<Option<Chat>> = Vec::new();
    for name in wanted {
        let chat = match name {
            "none" => None,
            name => {
                let format = find(name, subject, tokenizer, global)
                    .with_context(|| format!("--apply-chat-template, {}", subject.name))?;
                // A template of one turn has no form for examples as turns.
                let multiturn = args.fewshot_as_multiturn.unwrap_or(format.has_turns());
                Some(Chat { format: Arc::new(format), multiturn })
            }
        };
        if !chats.contains(&chat) {
            chats.push(chat);
        }
    }
    Ok(chats)
}

/// `--fewshot-as-multiturn` speaks of a template.
pub fn check(args: &Args) -> anyhow::Result<()> {
    let with_template = args.apply_chat_template.iter().any(|name| name != "none");
    if args.fewshot_as_multiturn == Some(true) && !with_template {
        let text = "--fewshot-as-multiturn: examples can be turns only in a chat template; add --apply-chat-template";
        return Err(Usage(text.to_owned()).into());
    }
    Ok(())
}

fn find(name: &str, subject: &Subject, tokenizer: &Tokenizer, global: &Global) -> anyhow::Result<ChatFormat> {
    let own = checkpoint_templates(subject)?;
    let mark = |text: &Option<String>, id: Option<u32>| {
        text.clone().or_else(|| id.and_then(|id| tokenizer.token_text(id))).unwrap_or_default()
    };
    let (bos, eos) = (mark(&own.bos_token, tokenizer.bos()), mark(&own.eos_token, tokenizer.eos()));
    let of_checkpoint = |template| ChatFormat::of_checkpoint(template, &bos, &eos);
    let by_default = own.default_template().map(of_checkpoint);
    let named = subject.card.as_ref().and_then(|card| card.prompt.as_deref());
    let of_card = || -> anyhow::Result<Option<ChatFormat>> {
        let Some(named) = named else { return Ok(None) };
        let templates = models::prompts(global)?;
        let template = prompts::find(&templates, named)?;
        Ok((template.kind != Kind::Completion).then(|| ChatFormat::of_card(template)))
    };
    let known: Vec<&str> = own.templates.iter().map(|template| template.name.as_str()).collect();
    let brings = match known[..] {
        [] => "the checkpoint brings no chat template".to_owned(),
        _ => format!("the checkpoint's templates are {}", known.join(", ")),
    };
    let missing = |what: &str| {
        let card = named.map_or_else(|| "no card names one".to_owned(), |n| format!("its card names {n:?}"));
        let advice = "leave the flag out, or name a template of zoo/prompts (zoo show prints a model's)";
        anyhow::Error::from(Usage(format!("expected {what}, found none: {card}, and {brings}; {advice}")))
    };
    match name {
        "card" => of_card()?.ok_or_else(|| missing("a prompt template of the card")),
        "checkpoint" => {
            by_default.ok_or_else(|| missing("one chat template of the checkpoint, or a default one"))
        }
        "default" => match of_card()? {
            Some(format) => Ok(format),
            None => by_default.ok_or_else(|| missing("a chat template")),
        },
        name => {
            if let Some(template) = own.templates.iter().find(|template| template.name == name) {
                return Ok(of_checkpoint(template));
            }
            let templates = models::prompts(global)?;
            let template = prompts::find(&templates, name).map_err(|error| {
                Usage(format!(
                    "{error}; {brings}; card, checkpoint, both and none have a meaning of their own"
                ))
            })?;
            Ok(ChatFormat::of_card(template))
        }
    }
}

/// What the checkpoint brings: in a GGUF file's metadata, or beside the weights.
fn checkpoint_templates(subject: &Subject) -> anyhow::Result<ChatTemplates> {
    let path = &subject.checkpoint.path;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or_else(|| Path::new(".")) };
    Ok(match &subject.checkpoint.gguf {
        Some(metadata) => ChatTemplates::from_gguf(metadata, path)?,
        None => ChatTemplates::from_folder(folder)?,
    })
}
