//! `zoo list`: the models of the registry, one line each, as many columns as the terminal has room for.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment};

use super::filter::Filter;
use super::{Global, lines, models};
use crate::hub::{HubConfig, cached_model};
use crate::registry::Card;
use crate::registry::recipe::Recipes;
use crate::report::{plain_table, render, terminal_width};

/// List the models.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo list
  zoo list --family vicuna --base llama-2-7b
  zoo list --method lora --language zh
  zoo list --available --format csv > models.csv
  zoo --zoo-dir my-cards list")]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Columns for reading
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// An array of objects
    Json,
    /// A Markdown table
    Md,
}

/// One line of the list.
#[derive(Debug, Clone, serde::Serialize)]
struct Line {
    id: String,
    family: String,
    base: Option<String>,
    parameters: Option<u64>,
    context: Option<u64>,
    /// Stages and ways of training, separated by spaces.
    method: String,
    release: &'static str,
    license: String,
    /// Separated by spaces, the main ones first.
    languages: String,
    /// Whether it can be fetched and run as it is.
    available: bool,
    /// Whether the weights are on this machine.
    local: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let recipes = models::recipes(global)?;
    let config = HubConfig::from_env();
    if let Err(error) = &config {
        models::note(global, &format!("whether models are here is not known: {error}"));
    }
    let config = config.ok();
    let is_local = |card: &Card| config.as_ref().is_some_and(|config| cached_model(card, config).is_some());
    let wanted = args.filter.resolve(&registry)?;
    let mut lines = Vec::new();
    for card in registry.cards() {
        let methods = methods(card, &recipes);
        let line = line(card, &methods, is_local(card));
        if wanted.fits(card, &registry, &methods, line.available || line.local) {
            lines.push(line);
        }
    }
    let mut out = io::stdout().lock();
    match args.format {
        Format::Table => out.write_all(table(&lines, terminal_width()).as_bytes())?,
        Format::Csv => out.write_all(lines::csv(&lines)?.as_bytes())?,
        Format::Json => out.write_all(lines::json(&lines)?.as_bytes())?,
        Format::Md => out.write_all(markdown(&lines).as_bytes())?,
    }
    out.flush()?;
    if lines.is_empty() {
        models::note(global, "no model fits; `zoo list` without filters shows all");
    }
    Ok(())
}

/// The words for how a model was trained: those of its card and those of its recipe.
fn methods(card: &Card, recipes: &Recipes) -> Vec<&'static str> {
    let mut words: Vec<&'static str> =
        card.training.iter().flat_map(|t| &t.methods).map(|m| m.as_str()).collect();
    if let Some(recipe) = recipes.of_card(card) {
        words.extend(recipe.method_tags());
    }
    let mut seen = Vec::new();
    for word in words {
        // Two names for rounding to few bits.
        let word = if word == "quantization" { "gptq" } else { word };
        if !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen
}

fn line(card: &Card, methods: &[&str], local: bool) -> Line {
    Line {
        id: card.id.clone(),
        family: card.family.clone(),
        base: card.base.clone(),
        parameters: card.parameters,
        context: card.context,
        method: methods.join(" "),
        release: card.release.kind.as_str(),
        license: card.license.clone(),
        languages: card.languages.join(" "),
        available: card.is_available(),
        local,
    }
}

/// A column of the table: title, from which width on it is shown, whether it is of numbers, its text.
type Column = (&'static str, usize, bool, fn(&Line) -> String);

/// The columns in order; what narrow terminals have no room for comes with more columns.
const COLUMNS: [Column; 9] = [
    ("id", 0, false, |line| line.id.clone()),
    ("family", 190, false, |line| line.family.clone()),
    ("base", 119, false, |line| line.base.clone().unwrap_or_else(|| "–".to_owned())),
    ("size", 0, true, |line| line.parameters.map_or_else(|| "–".to_owned(), models::short_count)),
    ("context", 90, true, |line| line.context.map_or_else(|| "–".to_owned(), |n| n.to_string())),
    ("method", 0, false, |line| short_method(&line.method)),
    ("release", 0, false, |line| line.release.to_owned()),
    ("licence", 160, false, |line| short_license(&line.license)),
    ("lang", 131, false, |line| short_languages(&line.languages)),
];

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

fn table(lines: &[Line], width: usize) -> String {
    let columns: Vec<&Column> = COLUMNS.iter().filter(|(_, from, ..)| width >= *from).collect();
    let mut table = plain_table(width);
    let align = |text: &str, right: bool| {
        let cell = Cell::new(text);
        if right { cell.set_alignment(CellAlignment::Right) } else { cell }
    };
    let head = columns.iter().map(|(title, _, right, _)| align(title, *right));
    table.set_header(head.chain([Cell::new("here")]));
    for line in lines {
        let cells = columns.iter().map(|(_, _, right, text)| align(&text(line), *right));
        table.add_row(cells.chain([Cell::new(if line.local { "yes" } else { "" })]));
    }
    let method: Vec<usize> = columns.iter().position(|column| column.0 == "method").into_iter().collect();
    render(&mut table, &method)
}

fn markdown(lines: &[Line]) -> String {
    let mut text = String::from(
        "| id | family | base | parameters | context | method | release | licence | languages |\n",
    );
    text.push_str("|---|---|---|--:|--:|---|---|---|---|\n");
    for line in lines {
        let number = |value: Option<u64>| value.map(|n| n.to_string()).unwrap_or_default();
        let cells = [
            line.id.clone(),
            line.family.clone(),
            line.base.clone().unwrap_or_default(),
            line.parameters.map(models::short_count).unwrap_or_default(),
            number(line.context),
            line.method.clone(),
            line.release.to_owned(),
            line.license.clone(),
            line.languages.clone(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Registry, recipe};

    fn lines() -> Vec<Line> {
        let recipes = recipe::load(None).unwrap();
        let registry = Registry::load(None).unwrap();
        registry.cards().iter().map(|card| line(card, &methods(card, &recipes), false)).collect()
    }

    #[test]
    fn the_whole_list_at_two_widths() {
        insta::assert_snapshot!("list_80", table(&lines(), 80));
        insta::assert_snapshot!("list_160", table(&lines(), 160));
    }

    #[test]
    fn every_model_has_one_line_that_fits() {
        let lines = lines();
        for width in [80, 100, 120, 160] {
            let text = table(&lines, width);
            assert_eq!(text.lines().count(), 2 + lines.len(), "{width} columns:\n{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(!text.contains('\u{1b}'));
        }
        for line in &lines {
            assert!(table(std::slice::from_ref(line), 60).contains(&line.id), "{}", line.id);
        }
    }

    #[test]
    fn markdown_escapes_its_own_marks() {
        let mut line = lines().remove(0);
        line.license = "a | b".to_owned();
        let text = markdown(&[line]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("a \\| b"), "{text}");
    }
}
