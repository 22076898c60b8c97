//! `zoo list`: the models of the registry, one line each, as many columns as the terminal has room for.

use super::filter::ModelFilter;
use super::format::formats;
use super::{Global, models};
use crate::hub::{HubConfig, cached_model};
use crate::registry::Card;
use crate::registry::recipe::Recipe;
use crate::report::numbers::short_count;
use crate::report::table::{Cell, data, number, text};
use crate::report::{Format, Table, terminal_width};

/// List the models.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo list
  zoo list vicuna
  zoo list --family vicuna --base llama-2-7b
  zoo list --method lora --language zh
  zoo list --available --format csv > models.csv
  zoo --zoo-dir my-cards list")]
pub struct Args {
    #[command(flatten)]
    filter: ModelFilter,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values with a header line"),
        (Format::Json, "An array of objects"),
        (Format::Md, "A Markdown table"),
    ]))]
    format: Format,
}

/// One line of the list.
#[derive(Debug, Clone)]
struct ListedModel<'r> {
    card: &'r Card,
    /// Stages and ways of training, separated by spaces.
    method: String,
    /// Whether the weights are on this machine.
    local: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let config = HubConfig::from_env();
    if let Err(error) = &config {
        models::note(global, &format!("whether models are here is not known: {error}"));
    }
    let config = config.ok();
    let is_local = |card: &Card| config.as_ref().is_some_and(|config| cached_model(card, config).is_some());
    let line = |card| {
        let methods = registry.recipe_of(card).map_or_else(Vec::new, Recipe::tags);
        ListedModel { card, method: methods.join(" "), local: is_local(card) }
    };
    let lines: Vec<ListedModel<'_>> =
        args.filter.select(&registry, is_local)?.into_iter().map(line).collect();
    models::deliver(&args.format.draw(&table(&lines), terminal_width()), None)?;
    if lines.is_empty() {
        models::note(global, "no model fits; `zoo list` without filters shows all");
    }
    Ok(())
}

/// The methods for a narrow column.
fn short_method(words: &str) -> String {
    words.replace("continued-pretraining", "continued").replace("long-context", "long")
}

/// A licence for a column: as many characters as the table has room for at 160 columns.
fn short_license(text: &str) -> String {
    const ROOM: usize = 26;
    if text.chars().count() <= ROOM {
        return text.to_owned();
    }
    let kept: String = text.chars().take(ROOM - 1).collect();
    format!("{}…", kept.trim_end_matches([' ', ',', '(']))
}

/// Two languages, and how many more there are.
fn short_languages(words: &str) -> String {
    let all: Vec<&str> = words.split(' ').collect();
    match all.as_slice() {
        [first, second, rest @ ..] if !rest.is_empty() => format!("{first} {second} +{}", rest.len()),
        _ => words.to_owned(),
    }
}

/// What narrow terminals have no room for comes with more columns of text; programs have all of it.
fn table<'a>(lines: &'a [ListedModel<'a>]) -> Table<&'a ListedModel<'a>> {
    Table::of(lines)
        .column(text("id"), |line| &line.card.id)
        .column(text("family").from_width(190), |line| &line.card.family)
        .column(text("base").from_width(119), |line| Cell::from(line.card.base.as_ref()).or_dash())
        .column(number("parameters").short("size"), |line| {
            Cell::written(line.card.parameters, short_count).or_dash()
        })
        .column(number("context").from_width(90), |line| Cell::from(line.card.context).or_dash())
        .column(text("method").wraps(), |line| Cell::from(&line.method).short(short_method(&line.method)))
        .column(text("release"), |line| line.card.release.kind.as_str())
        .column(text("license").titled("licence").from_width(160), |line| {
            Cell::from(&line.card.license).short(short_license(&line.card.license))
        })
        .column(text("languages").short("lang").from_width(131), |line| {
            let languages = line.card.languages.join(" ");
            Cell::from(&languages).short(short_languages(&languages))
        })
        .column(data("available"), |line| line.card.is_available())
        .column(text("local").titled("here").not_in_markdown(), |line| line.local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn lines(registry: &Registry) -> Vec<ListedModel<'_>> {
        let methods = |card| registry.recipe_of(card).map_or_else(Vec::new, Recipe::tags);
        let line = |card| ListedModel { card, method: methods(card).join(" "), local: false };
        registry.cards().iter().map(line).collect()
    }

    #[test]
    fn the_whole_list_at_two_widths() {
        let registry = Registry::load(None).unwrap();
        let lines = lines(&registry);
        insta::assert_snapshot!("list_80", table(&lines).text(80));
        insta::assert_snapshot!("list_160", table(&lines).text(160));
    }

    #[test]
    fn every_model_has_one_line_that_fits() {
        let registry = Registry::load(None).unwrap();
        let lines = lines(&registry);
        for width in [80, 100, 120, 160] {
            let text = table(&lines).text(width);
            assert_eq!(text.lines().count(), 2 + lines.len(), "{width} columns:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(!text.contains('\u{1b}'));
        }
        for line in &lines {
            let id = &line.card.id;
            assert!(table(std::slice::from_ref(line)).text(60).contains(id), "{id}");
        }
    }

    #[test]
    fn markdown_escapes_its_own_marks() {
        let registry = Registry::load(None).unwrap();
        let card = Card { license: "a | b".to_owned(), ..registry.cards()[0].clone() };
        let text = table(&[ListedModel { card: &card, method: String::new(), local: false }]).markdown();
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("a \\| b"), "{text}");
    }
}
