//! `zoo verify`: checks that a model is what it claims to be.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::exit::Usage;
use super::format::formats;
use super::{Global, bar, models};
use crate::base::printable::{WHOLE, in_one_line};
use crate::hub::{HubConfig, cached_model};
use crate::registry::Registry;
use crate::report::table::text;
use crate::report::{Format, Table, terminal_width};
use crate::verify::{Level, Report, VerifyOptions, verify};

/// Check a model: form, names and shapes, vocabulary, digests, values.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo verify ./vicuna-7b-v1.1
  zoo verify ./llama-13b --as llama-13b
  zoo verify smollm2 --format json
  zoo verify ./a ./b.gguf ./adapter --strict
  zoo verify --fast ./llama-65b

A path may be a model folder, a file of weights, an adapter, a difference or encrypted files. The exit code is 1 if a
check fails, with --strict also if one warns.")]
pub struct Args {
    /// Registry ids (the files in the cache are verified), folders or files
    #[arg(required = true, value_name = "MODEL|PATH")]
    models: Vec<String>,
    /// The registry model that the paths claim to be
    #[arg(long = "as", value_name = "ID")]
    card: Option<String>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "A table for each model"),
        (Format::Json, "An array with an object for each model"),
        (Format::Md, "Markdown tables"),
    ]))]
    format: Format,
    /// Read headers only: no values, no digests
    #[arg(long)]
    fast: bool,
    /// Count warnings as failures
    #[arg(long)]
    strict: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let named = args.card.as_deref().map(|id| models::find(&registry, id)).transpose()?;
    let mut reports = Vec::new();
    for model in &args.models {
        let (card, path) = place(model, &registry)?;
        let options = VerifyOptions { card: named.or(card), registry: &registry, fast: args.fast };
        reports.push(verify(model, &path, options, &bar(global)));
    }
    let text = match args.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&objects(&reports)?)?),
        format => {
            let page = |report| page(report, format, terminal_width());
            reports.iter().map(page).collect::<Vec<_>>().join("\n")
        }
    };
    models::deliver(&text, None)?;
    let failed: Vec<&Report> = reports.iter().filter(|report| !report.passes(args.strict)).collect();
    if let Some(first) = failed.first() {
        let worst = first.findings.iter().max_by_key(|finding| finding.level);
        let why = worst.expect("a report that does not pass has a finding").text();
        let many = match reports.len() {
            1 => String::new(),
            all => format!(" ({} of {all} models)", failed.len()),
        };
        bail!("{} does not pass{many}: {why}", first.model);
    }
    Ok(())
}

/// The card and the place of what the user names: an existing path, or a model of the registry that is in the cache.
fn place<'r>(
    name: &str,
    registry: &'r Registry,
) -> anyhow::Result<(Option<&'r crate::registry::Card>, PathBuf)> {
    if Path::new(name).exists() {
        return Ok((None, PathBuf::from(name)));
    }
    if name.contains(std::path::MAIN_SEPARATOR) {
        let expected = "expected a model folder, a file of weights or a model of the registry (zoo list)";
        bail!(Usage(format!("{name}: no such file or folder; {expected}")));
    }
    let card = models::find(registry, name)?;
    let config = HubConfig::from_env()?;
    if let Some(folder) = super::build::built(card, &config) {
        return Ok((Some(card), folder));
    }
    let id = &card.id;
    let Some(location) = cached_model(card, &config) else {
        let how = match card.sources[..] {
            [] => " and cannot be fetched:".to_owned(),
            _ => format!(": fetch them with zoo pull {id}, or"),
        };
        let folder = format!("name their folder, as in zoo verify PATH --as {id}");
        bail!(Usage(format!("{id}: its files are not on this machine{how} {folder}")));
    };
    Ok((Some(card), location))
}

/// The reports with what they add up to, for programs.
fn objects(reports: &[Report]) -> anyhow::Result<Vec<serde_json::Value>> {
    let object = |report: &Report| {
        let mut object = serde_json::to_value(report)?;
        object["failures"] = report.count(Level::Failure).into();
        object["warnings"] = report.count(Level::Warning).into();
        object["verdict"] = report.verdict().into();
        object["next"] = report.next().into();
        Ok(object)
    };
    reports.iter().map(object).collect()
}

/// The head line of a report.
fn title(report: &Report) -> String {
    let card = report.card.as_ref().map_or_else(String::new, |card| format!(" as {card}"));
    let path = report.path.display().to_string();
    if path == report.model { format!("{path}{card}") } else { format!("{} ({path}){card}", report.model) }
}

/// Head line, findings, and verdict with advice.
fn page(report: &Report, format: Format, width: usize) -> String {
    let title = title(report);
    let title = in_one_line(&title, WHOLE);
    let table = Table::of(&report.findings)
        .column(text("check"), |finding| finding.check.title())
        .column(text("result"), |finding| finding.level.as_str())
        .column(text("detail").wraps(), |finding| in_one_line(&finding.text(), WHOLE).into_owned());
    let last = format!("{}: {}", report.verdict(), report.next());
    match format {
        Format::Md => format!("**{title}**\n\n{}\n{last}\n", table.markdown()),
        _ => format!("{title}\n{}{last}\n", table.text(width)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Check, ContentKind, Finding};

    fn report() -> Report {
        Report {
            model: "llama-7b".into(),
            path: "models/llama".into(),
            card: Some("llama-7b".into()),
            kind: ContentKind::Model("llama"),
            fast: false,
            findings: vec![
                Finding::ok(Check::Form, "2 files of safetensors, 291 tensors"),
                Finding::warning(Check::Card, "1e-6")
                    .at("config.json: rms_norm_eps")
                    .expected("1e-5, as card llama-2-7b says")
                    .advice("correct the configuration"),
                Finding::failure(Check::Finite, "non-finite values", "1 NaN and 2 infinite values")
                    .at("tensor \"model.norm.weight\u{1b}\"|")
                    .expected("finite values"),
            ],
        }
    }

    #[test]
    fn a_report_for_reading_and_for_programs() {
        insta::assert_snapshot!("table", page(&report(), Format::Table, 100));
        insta::assert_snapshot!("markdown", page(&report(), Format::Md, 100));
        let objects = objects(&[report()]).unwrap();
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&objects).unwrap());
    }
}
