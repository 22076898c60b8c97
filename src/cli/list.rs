//! `zoo list`: the models of the registry by family, one line each, as many columns as the terminal has room for.

use super::filter::ModelFilter;
use super::format::formats;
use super::{Global, models};
use crate::hub::{HubConfig, cached_model};
use crate::registry::recipe::Recipe;
use crate::registry::{Card, Published};
use crate::report::numbers::{digits, short_count};
use crate::report::table::{Cell, data, number, people, text};
use crate::report::{Format, Table, terminal_width};

/// List the models.
///
/// Without filters it is the family: LLaMA, and what became of it. Its relatives, models of the same architecture that people
/// look for here (Code Llama, Llama 3, Yi …), come with --all; filters look among all.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo list
  zoo list --all
  zoo list vicuna
  zoo list --family vicuna --base llama-2-7b
  zoo list --method lora --language zh
  zoo list --available --format csv > models.csv
  zoo --zoo-dir my-cards list")]
pub struct Args {
    #[command(flatten)]
    filter: ModelFilter,
    /// With the relatives of the family, after it
    #[arg(long)]
    all: bool,
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
    /// About how much would be fetched.
    fetch_bytes: Option<u64>,
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
        let fetch_bytes = registry.bytes_to_fetch(card);
        ListedModel { card, method: methods.join(" "), local: is_local(card), fetch_bytes }
    };
    let found = args.filter.select(&registry, is_local)?;
    let is_whole = args.all || !args.filter.is_empty();
    let (shown, left): (Vec<&Card>, Vec<&Card>) =
        found.into_iter().partition(|card| is_whole || !card.relative);
    let lines: Vec<ListedModel<'_>> = shown.into_iter().map(line).collect();
    models::deliver(&args.format.draw(&table(&lines), terminal_width()), None)?;
    if lines.is_empty() {
        models::note(global, "no model fits; `zoo list --all` shows all");
    } else if args.filter.is_empty() {
        models::note(global, &counted(lines.len(), &left));
    }
    Ok(())
}

/// How many models there are, and which branches of relatives are not shown.
fn counted(shown: usize, left: &[&Card]) -> String {
    if left.is_empty() {
        return format!("{shown} models");
    }
    let mut branches: Vec<&str> = left.iter().map(|card| card.family.as_str()).collect();
    branches.dedup();
    let names = branches.join(", ");
    format!("{shown} models; {} relatives with --all: {names}", left.len())
}

/// The methods for a narrow column.
fn short_method(words: &str) -> String {
    words.replace("continued-pretraining", "continued").replace("long-context", "long")
}

/// A licence for a column: without what goes without saying, and as many characters as 80 columns have room for.
fn short_license(text: &str) -> String {
    const ROOM: usize = 19;
    let mut text = text.to_owned();
    for (long, short) in [
        (" (adapter)", ""),
        (" (code)", ""),
        (" (tag)", ""),
        (" (difference and data)", ""),
        (" terms", ""),
        (" Community License", ""),
        (" non-commercial licence", ""),
        ("BigScience ", ""),
        ("research only", "research"),
        ("commercial use allowed", "commercial"),
    ] {
        text = text.replace(long, short);
    }
    if text.chars().count() <= ROOM {
        return text;
    }
    let kept: String = text.chars().take(ROOM - 1).collect();
    format!("{}…", kept.trim_end_matches([' ', ',', '(']))
}

/// Two languages, or one and how many more there are.
fn short_languages(words: &str) -> String {
    let all: Vec<&str> = words.split(' ').collect();
    match all.as_slice() {
        [first, _, rest @ ..] if !rest.is_empty() => format!("{first}+{}", rest.len() + 1),
        _ => words.to_owned(),
    }
}

/// What remains to be fetched, in GB.
fn to_fetch(line: &ListedModel<'_>) -> Cell {
    let cell = Cell::from(line.fetch_bytes);
    match line.fetch_bytes {
        _ if line.local => cell.shown("here"),
        Some(bytes) => cell.shown(format!("{:.1}", bytes as f64 / 1e9)),
        None => cell.or_dash(),
    }
}

/// A published score with its suite, whose name is short: `0.386 ceval`.
fn scored(score: &Published) -> String {
    let suite = score.suite.split('-').next().unwrap_or(&score.suite);
    format!("{} {suite}", digits(score.value))
}

/// Families stand above their models; what narrow terminals have no room for comes with more columns of text; programs
/// have all of it.
fn table<'a>(lines: &'a [ListedModel<'a>]) -> Table<&'a ListedModel<'a>> {
    let score = |line: &ListedModel<'a>| line.card.best_published();
    Table::of(lines)
        .column(text("id"), |line| &line.card.id)
        .column(text("family").section(), |line| &line.card.family)
        .column(text("base").spare(6), |line| Cell::from(line.card.base.as_ref()).or_dash())
        .column(number("parameters").short("size").spare(3), |line| {
            Cell::written(line.card.parameters, short_count).or_dash()
        })
        .column(number("context").spare(7), |line| Cell::from(line.card.context).or_dash())
        .column(text("method").spare(5), |line| Cell::from(&line.method).short(short_method(&line.method)))
        .column(text("release").spare(4), |line| line.card.release.kind.as_str())
        .column(text("license").titled("licence").spare(2), |line| {
            Cell::from(&line.card.license).short(short_license(&line.card.license))
        })
        .column(text("languages").short("lang"), |line| {
            let languages = line.card.languages.join(" ");
            Cell::from(&languages).short(short_languages(&languages))
        })
        .column(data("available"), |line| line.card.is_available())
        .column(data("local"), |line| line.local)
        .column(number("fetch_bytes").titled("GB"), to_fetch)
        .column(people(text("published")).spare(1), |line| Cell::from(score(line).map(scored)).or_dash())
        .column(data("published_suite"), |line| score(line).map(|score| score.suite.as_str()))
        .column(data("published"), |line| score(line).map(|score| score.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::report::table::NO_BOUND;

    fn lines(registry: &Registry) -> Vec<ListedModel<'_>> {
        let methods = |card| registry.recipe_of(card).map_or_else(Vec::new, Recipe::tags);
        let line = |card| {
            let fetch_bytes = registry.bytes_to_fetch(card);
            ListedModel { card, method: methods(card).join(" "), local: false, fetch_bytes }
        };
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
        let mut families: Vec<&str> = lines.iter().map(|line| line.card.family.as_str()).collect();
        families.dedup();
        for width in [60, 80, 100, 120, 160] {
            let text = table(&lines).text(width);
            assert_eq!(text.lines().count(), 2 + families.len() + lines.len(), "{width} columns:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(!text.contains('\u{1b}'));
        }
        let narrow = table(&lines).text(40);
        for line in &lines {
            assert!(narrow.contains(&format!(" {} ", line.card.id)), "{narrow}");
        }
        for line in table(&lines).text(NO_BOUND).lines().skip(2) {
            assert!(lines.iter().any(|own| line.contains(&own.card.family)), "{line}");
        }
    }

    #[test]
    fn markdown_escapes_its_own_marks() {
        let registry = Registry::load(None).unwrap();
        let card = Card { license: "a | b".to_owned(), ..registry.cards()[0].clone() };
        let line = ListedModel { card: &card, method: String::new(), local: false, fetch_bytes: None };
        let text = table(&[line]).markdown();
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("a \\| b"), "{text}");
    }
}
