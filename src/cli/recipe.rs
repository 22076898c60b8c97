//! `zoo recipe`: how a model was trained, as a table, and its learning rate at any step.

mod curve;
mod table;

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::exit::Usage;
use super::format::formats;
use super::{Global, models};
use crate::registry::recipe::{Recipe, Schedule};
use crate::report::{Format, terminal_width};

/// Show how a model was trained, and its learning rate as CSV or a plot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo recipe llama-2-7b
  zoo recipe llama-2-7b --steps 0,1000,2000,251000,500000
  zoo recipe llama-2-7b --format csv --points 1000 --out curve.csv
  zoo recipe alpaca --format svg --out curve.svg
  zoo recipe coati --format json")]
pub struct Args {
    /// A registry id or alias
    model: String,
    /// How to print [default: table; csv with --steps or --points]
    #[arg(long, value_parser = formats([
        (Format::Table, "What is known, with sources"),
        (Format::Csv, "The learning rate, one line per step"),
        (Format::Svg, "A plot of the learning rate"),
        (Format::Json, "The recipe as an object"),
    ]))]
    format: Option<Format>,
    /// The learning rate at these steps, counted from 0
    #[arg(long, value_delimiter = ',', value_name = "N,N…", conflicts_with = "points")]
    steps: Vec<u64>,
    /// The learning rate at this many steps, evenly spread from the first to the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    points: Option<u32>,
    /// The stage, counted from 1 [default: the first one whose learning rate is known]
    #[arg(long, value_name = "N")]
    stage: Option<usize>,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let card = models::find(&registry, &args.model)?;
    let recipe = registry.recipe_of(card).with_context(|| {
        format!("no recipe is known for {}; add `recipe:` to {}", card.id, card.origin.file)
    })?;
    let asked = !args.steps.is_empty() || args.points.is_some();
    let text = match args.format.unwrap_or(if asked { Format::Csv } else { Format::Table }) {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(recipe)?),
        Format::Csv => {
            let (stage, schedule) = find_schedule(recipe, args.stage)?;
            let points = args.points.map_or(101, |points| points as usize);
            let steps = if args.steps.is_empty() { schedule.steps(points) } else { args.steps.clone() };
            curve::table(recipe, stage, &schedule, &steps).csv()
        }
        Format::Svg => {
            let (stage, schedule) = find_schedule(recipe, args.stage)?;
            curve::svg(card, recipe, stage, &schedule, args.points.map_or(400, |points| points as usize))
        }
        _ if asked => {
            bail!(Usage("--steps and --points go with --format csv or svg".to_owned()));
        }
        _ => table::text(card, registry.base_of(card), recipe, terminal_width()),
    };
    models::deliver(&text, args.out.as_deref())
}

/// The stage that was asked for and its curve, or the first stage that has one.
fn find_schedule(recipe: &Recipe, stage: Option<usize>) -> anyhow::Result<(usize, Schedule)> {
    if let Some(stage) = stage {
        let schedule = recipe.schedule(stage).map_err(|error| match error {
            crate::registry::recipe::NoSchedule::Stage { .. } => Usage(format!("--{error}")).into(),
            error => anyhow::anyhow!("{}, stage {stage}: {error}", recipe.name),
        })?;
        return Ok((stage, schedule));
    }
    let mut first_error = None;
    for stage in 1..=recipe.stages.len() {
        match recipe.schedule(stage) {
            Ok(schedule) => return Ok((stage, schedule)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let error = first_error.map_or_else(String::new, |error| error.to_string());
    Err(anyhow::anyhow!("{}: {error}; `zoo recipe` without --format shows what is", recipe.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn load(name: &str) -> (Registry, Recipe) {
        let registry = Registry::load(None).unwrap();
        let recipe = registry.recipe_of(registry.find(name).unwrap()).unwrap().clone();
        (registry, recipe)
    }

    fn table(name: &str, width: usize) -> String {
        let (registry, recipe) = load(name);
        let card = registry.find(name).unwrap();
        table::text(card, registry.base_of(card), &recipe, width)
    }

    #[test]
    fn the_set_up_at_two_widths() {
        insta::assert_snapshot!("llama_2_7b_80", table("llama-2-7b", 80));
        insta::assert_snapshot!("llama_2_7b_160", table("llama-2-7b", 160));
    }

    #[test]
    fn several_stages_follow_each_other() {
        insta::assert_snapshot!("chatllama_100", table("chatllama", 100));
        insta::assert_snapshot!("chinese_llama_7b_100", table("chinese-llama-7b", 100));
    }

    #[test]
    fn every_recipe_fits_its_width() {
        let registry = Registry::load(None).unwrap();
        for card in registry.cards() {
            let Some(recipe) = registry.recipe_of(card) else { continue };
            for width in [80, 160] {
                let text = table::text(card, registry.base_of(card), recipe, width);
                let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(longest <= width, "{}: {longest} columns\n{text}", card.id);
            }
        }
    }

    #[test]
    fn the_learning_rate_as_csv() {
        let (_, recipe) = load("llama-2-7b");
        let (stage, schedule) = find_schedule(&recipe, None).unwrap();
        let steps = [0, 1000, 2000, 251_000, 500_000];
        let text = curve::table(&recipe, stage, &schedule, &steps).csv();
        assert_eq!(
            text,
            "stage,step,tokens,learning_rate\n1,0,0,0\n1,1000,4000000000,0.00015\n1,2000,8000000000,0.0003\n\
             1,251000,1004000000000,0.000165\n1,500000,2000000000000,0.00003\n"
        );
    }

    #[test]
    fn a_curve_that_is_not_known_says_what_is_missing() {
        let (_, recipe) = load("alpaca-lora");
        let message = find_schedule(&recipe, None).unwrap_err().to_string();
        assert!(message.contains("the shape of the schedule"), "{message}");
        let (_, recipe) = load("longchat-7b-16k");
        let message = find_schedule(&recipe, None).unwrap_err().to_string();
        assert!(message.contains("the number of steps"), "{message}");
        let error = find_schedule(&recipe, Some(7)).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("expected 1 to 1"), "{error}");
    }

    #[test]
    fn the_plot_marks_peak_and_end() {
        let (registry, recipe) = load("llama-2-7b");
        let card = registry.find("llama-2-7b").unwrap();
        let (stage, schedule) = find_schedule(&recipe, None).unwrap();
        let svg = curve::svg(card, &recipe, stage, &schedule, 400);
        for words in ["Llama-2-7B", "3e-4 at step 2000", "3e-5 at step 500 000", "learning rate", "500K"] {
            assert!(svg.contains(words), "{words}");
        }
    }
}
