//! `zoo show`: one model card, and where its weights are.

use std::io::{self, Write};

use super::{Global, models};
use crate::hub::{HubConfig, cached_source};
use crate::registry::{ArchitectureRecord, Card, Source};

/// Show one model card.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo show smollm2-135m
  zoo show smollm2 --format json")]
pub struct Args {
    /// A registry id or alias
    model: String,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For reading
    Text,
    /// The card as an object
    Json,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let card = models::find(&registry, &args.model)?;
    let mut out = io::stdout().lock();
    match args.format {
        Format::Text => {
            let config = HubConfig::from_env();
            if let Err(error) = &config {
                models::note(global, &format!("whether the model is here is not known: {error}"));
            }
            let config = config.ok();
            let place = |source: &Source| {
                let location = cached_source(card, source, config.as_ref()?)?;
                Some(location.path().display().to_string())
            };
            text(&mut out, card, registry.architecture_of(card), &place)?;
        }
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(card)?)?,
    }
    out.flush()?;
    Ok(())
}

/// The card for reading; `place` says where a source's files are on this machine, if they are.
fn text(
    out: &mut impl Write,
    card: &Card,
    network: Option<&ArchitectureRecord>,
    place: &dyn Fn(&Source) -> Option<String>,
) -> io::Result<()> {
    writeln!(out, "{}  {}\n", card.id, card.name)?;
    let mut fact = |name: &str, value: String| writeln!(out, "  {name:<24}  {value}");
    if !card.aliases.is_empty() {
        fact("aliases", card.aliases.join(", "))?;
    }
    fact("family", card.family.clone())?;
    if let Some(base) = &card.base {
        fact("base", base.clone())?;
    }
    if let Some(n) = card.parameters {
        fact("parameters", format!("{n} ({})", models::short_count(n)))?;
    }
    if let Some(n) = card.context {
        fact("context", format!("{n} tokens"))?;
    }
    fact("licence", card.license.clone())?;
    if !card.languages.is_empty() {
        fact("languages", card.languages.join(", "))?;
    }
    let release = &card.release;
    let dtype = release.dtype.as_deref().map(|dtype| format!(", {dtype}")).unwrap_or_default();
    let format = release.format.as_deref().map(|format| format!(", {format}")).unwrap_or_default();
    fact("release", format!("{}{format}{dtype}", release.kind.as_str()))?;
    fact("BOS before a text", card.bos.as_str().to_owned())?;
    if let Some(template) = &card.prompt {
        fact("prompt template", template.clone())?;
    }
    fact("card", card.origin.file.clone())?;
    network.map_or(Ok(()), |network| architecture(out, network))?;
    sources(out, &card.sources, place)?;
    if !card.published.is_empty() {
        writeln!(out, "\nPublished scores")?;
        for score in &card.published {
            let shots = score.num_fewshot.map(|n| format!(", {n}-shot")).unwrap_or_default();
            let protocol = score.protocol.as_deref().map(|text| format!("; {text}")).unwrap_or_default();
            let (suite, metric) = (&score.suite, &score.metric);
            writeln!(out, "  {suite} {metric}{shots}: {}  ({}{protocol})", score.value, score.source)?;
        }
    }
    for (position, note) in card.notes.iter().enumerate() {
        if position == 0 {
            writeln!(out, "\nNotes")?;
        }
        writeln!(out, "  {}", note.trim())?;
    }
    Ok(())
}

fn architecture(out: &mut impl Write, a: &ArchitectureRecord) -> io::Result<()> {
    let float = |value: Option<f64>| value.map(|x| x.to_string());
    let facts = [
        ("hidden_size", Some(a.hidden_size.to_string())),
        ("intermediate_size", Some(a.intermediate_size.to_string())),
        ("num_hidden_layers", Some(a.num_hidden_layers.to_string())),
        ("num_attention_heads", Some(a.num_attention_heads.to_string())),
        ("num_key_value_heads", Some(a.kv_heads().to_string())),
        ("vocab_size", Some(a.vocab_size.to_string())),
        ("rms_norm_eps", float(a.rms_norm_eps)),
        ("rope_theta", float(a.rope_theta)),
        ("tie_word_embeddings", Some(a.tie_word_embeddings.to_string())),
    ];
    writeln!(out, "\nArchitecture")?;
    for (name, value) in facts {
        if let Some(value) = value {
            writeln!(out, "  {name:<24}  {value}")?;
        }
    }
    Ok(())
}

fn sources(
    out: &mut impl Write,
    sources: &[Source],
    place: &dyn Fn(&Source) -> Option<String>,
) -> io::Result<()> {
    writeln!(out, "\nSources")?;
    if sources.is_empty() {
        return writeln!(out, "  none: it cannot be fetched");
    }
    for (position, source) in sources.iter().enumerate() {
        writeln!(out, "  {}. {source}", position + 1)?;
        match source {
            Source::Pip(pip) => {
                let size = pip.size.map(|size| format!(", {}", models::short_bytes(size)));
                writeln!(out, "     {}{}", pip.member, size.unwrap_or_default())?;
                writeln!(out, "     sha256 {}", pip.sha256)?;
            }
            Source::Hub(hub) if !hub.files.is_empty() => writeln!(out, "     {}", hub.files.join(", "))?,
            Source::Hub(_) | Source::Path(_) => {}
        }
        match place(source) {
            Some(place) => writeln!(out, "     here: {place}")?,
            None => writeln!(out, "     not here")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn a_card_for_reading() {
        let registry = Registry::load(None).unwrap();
        let card = registry.find("smollm2").unwrap();
        let place =
            |source: &Source| matches!(source, Source::Pip(_)).then(|| "/cache/model.gguf".to_owned());
        let mut out = Vec::new();
        text(&mut out, card, registry.architecture_of(card), &place).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_sparse_card_for_reading() {
        let card = serde_yaml::from_str(
            "id: x\nname: X\nfamily: llama\nbase: y\nlicense: MIT\nrelease: {kind: delta, format: bin}\n\
             prompt: vicuna\npublished:\n\
             - {suite: mmlu, metric: acc, num_fewshot: 5, value: 0.35, source: a paper, protocol: by perplexity}",
        );
        let mut out = Vec::new();
        text(&mut out, &card.unwrap(), None, &|_| None).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
