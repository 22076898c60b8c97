//! `zoo scores`: published scores as a leaderboard, and measured ones beside them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::exit::Usage;
use super::filter::ModelFilter;
use super::flags::TaskFolders;
use super::format::formats;
use super::{Global, models};
use crate::finished::{Joined, Run, is_as_published, join, published_steps};
use crate::registry::{Card, Published, Registry, is_of};
use crate::report::numbers::short_count;
use crate::report::table::{Cell, number, text};
use crate::report::words::paragraph;
use crate::report::{Format, Row, Table, is_share_metric, steps, terminal_width};

/// The suites of which the family's papers have most.
const SUITES: [&str; 6] = ["mmlu", "ceval", "cmmlu", "hellaswag", "arc_challenge", "gsm8k"];
/// What stands below the table.
const LEGEND: &str = "In brackets the examples in the prompt (? where the source does not say them). † measured in another \
                      way than the suite says, or on a part of it; a metric stands where it is not the suite's usual one. + there are scores of other sources, shots or protocols. Scores of different \
                      shots are not comparable; --format csv has each with its source.";

/// Show published scores side by side, and measured ones beside them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo scores
  zoo scores --suite ceval-valid,cmmlu,mmlu --language zh --sort cmmlu --max-size 7B
  zoo scores vicuna --runs reports
  zoo scores --steps --suite mmlu,cmmlu
  zoo scores --suite mmlu --format csv")]
pub struct Args {
    #[command(flatten)]
    filter: ModelFilter,
    /// These suites; ceval stands for ceval-valid and ceval-test [default: mmlu, ceval, cmmlu, hellaswag, arc_challenge, gsm8k]
    #[arg(long, value_delimiter = ',', value_name = "SUITE", hide_default_value = true, default_values_t = SUITES.map(str::to_owned))]
    suite: Vec<String>,
    /// Order by the scores of this suite [default: the first]
    #[arg(long, value_name = "SUITE")]
    sort: Option<String>,
    /// Only models of at most so many parameters, as 7B or 350M
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ParameterCount>,
    /// Beside these finished runs: what was measured of the same models, or of any others
    #[arg(long, value_name = "RUN", num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Shares per cent with one decimal
    #[arg(long)]
    percent: bool,
    /// Show what each step from a model to its derivative gained or lost instead, suite by suite
    #[arg(long, conflicts_with_all = ["sort", "runs", "percent"])]
    steps: bool,
    /// How to print
    #[arg(long, default_value = "table", value_name = "FORM", value_parser = formats([
        (Format::Table, "A line for each model"),
        (Format::Md, "The same in Markdown"),
        (Format::Latex, "The same for papers"),
        (Format::Csv, "A line for each score, with its source"),
        (Format::Json, "An object for each score"),
    ]))]
    format: Format,
    #[command(flatten)]
    tasks: TaskFolders,
}

/// A number of parameters as people say it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ParameterCount(f64);

impl std::str::FromStr for ParameterCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let factor = [("B", 1e9), ("M", 1e6), ("K", 1e3)];
        let upper = text.to_uppercase();
        let (number, factor) = factor
            .into_iter()
            .find_map(|(unit, factor)| Some((upper.strip_suffix(unit)?, factor)))
            .unwrap_or((upper.as_str(), 1.0));
        let count = number.parse::<f64>().ok().filter(|count| count.is_finite() && *count > 0.0);
        count
            .map(|count| Self(count * factor))
            .ok_or_else(|| "expected a number of parameters: 7B, 1.1B or 350M".to_owned())
    }
}

impl ParameterCount {
    /// Models are named after rounded sizes: a 7B model has up to 7.5 billion.
    fn fits(self, parameters: u64) -> bool {
        parameters as f64 <= self.0 * 1.075
    }
}

/// A score of one model and suite.
#[derive(Debug, Clone)]
enum Scored<'r> {
    Published(&'r Card, &'r Published),
    Measured(&'r Row),
}

/// A line of the leaderboard.
struct Line<'r> {
    name: String,
    card: Option<&'r Card>,
    parameters: Option<u64>,
    scores: Vec<Option<Shown<'r>>>,
}

/// A score as the leaderboard has it.
struct Shown<'r> {
    score: Scored<'r>,
    /// Where it is not the one by which most scores of the suite were published.
    metric: Option<&'r str>,
    others: usize,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let registry = models::registry(global)?;
    let suites = &args.suite;
    let sort = args.sort.as_ref().or(suites.first()).cloned().unwrap_or_default();
    let Some(place) = suites.iter().position(|suite| *suite == sort) else {
        return Err(Usage(format!("--sort {sort}: expected one of the suites, {}", suites.join(", "))).into());
    };
    let fits = |parameters: Option<u64>| {
        args.max_size.is_none_or(|most| parameters.is_some_and(|own| most.fits(own)))
    };
    let mut cards = args.filter.select(&registry, |_| false)?;
    cards.retain(|card| fits(card.parameters));
    let runs = Run::open_all(&args.runs, &args.tasks.include_path)?;
    let joined = join(&runs);
    known(suites, &registry, &joined)?;
    if args.steps {
        let steps_of_cards = published_steps(&cards, &registry, suites);
        return models::deliver(&args.format.draw(&steps(&steps_of_cards), terminal_width()), None);
    }
    let text = match args.format {
        Format::Csv | Format::Json => {
            let scores = all(&cards, &joined, suites);
            args.format.draw(&long(&scores), terminal_width())
        }
        format => {
            let mut lines = lines(&registry, &cards, &joined, suites, &fits);
            lines.sort_by(|a, b| {
                let value =
                    |line: &Line<'_>| line.scores[place].as_ref().map_or(f64::NEG_INFINITY, Shown::value);
                value(b).total_cmp(&value(a)).then_with(|| a.name.cmp(&b.name))
            });
            if lines.is_empty() {
                models::note(global, "no model fits that has a score of these suites");
            }
            let table = wide(&lines, suites, &registry, args.percent);
            let width = terminal_width();
            match format {
                Format::Table => table.text(width) + &paragraph(LEGEND, 0, width),
                Format::Md => table.markdown() + "\n" + LEGEND + "\n",
                format => format.draw(&table, width) + "% " + LEGEND + "\n",
            }
        }
    };
    models::deliver(&text, None)
}

/// A suite that nobody has a score of is wrong usage.
fn known(suites: &[String], registry: &Registry, joined: &Joined) -> anyhow::Result<()> {
    let published =
        registry.cards().iter().flat_map(|card| card.published.iter().map(|score| score.suite.as_str()));
    let known: BTreeSet<&str> = published.chain(joined.rows.iter().map(|row| row.task.as_str())).collect();
    match suites.iter().find(|suite| !known.iter().any(|own| is_of(own, suite))) {
        Some(suite) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Err(Usage(format!("--suite {suite}: there are scores of {known}")).into())
        }
        None => Ok(()),
    }
}

fn lines<'r>(
    registry: &'r Registry,
    cards: &[&'r Card],
    joined: &'r Joined,
    suites: &[String],
    fits: &dyn Fn(Option<u64>) -> bool,
) -> Vec<Line<'r>> {
    let published = cards.iter().map(|&card| {
        let of = |suite: &String| {
            let found = card.score_of(suite)?;
            let metric = registry.metric_of(suite).filter(|metric| *metric != found.best.metric);
            Some(Shown {
                score: Scored::Published(card, found.best),
                metric: metric.map(|_| found.best.metric.as_str()),
                others: found.others,
            })
        };
        Line {
            name: card.id.clone(),
            card: Some(card),
            parameters: card.parameters,
            scores: suites.iter().map(of).collect(),
        }
    });
    let measured = joined.columns.iter().filter(|column| fits(column.parameters)).map(|column| {
        let of = |suite: &String| {
            let metric = registry.metric_of(suite);
            let rows = measured(joined, suite, metric);
            let mut rows = rows.into_iter().filter(|row| row.label.as_ref() == Some(&column.label));
            let best = rows.next()?;
            Some(Shown {
                score: Scored::Measured(best),
                metric: metric
                    .filter(|metric| !is_same_metric(metric, &best.metric))
                    .map(|_| best.metric.as_str()),
                others: rows.filter(|row| row.num_fewshot != best.num_fewshot).count(),
            })
        };
        Line {
            name: format!("{} (measured)", column.label),
            card: cards.iter().find(|card| Some(&card.id) == column.card.as_ref()).copied(),
            parameters: column.parameters,
            scores: suites.iter().map(of).collect(),
        }
    });
    published.chain(measured).filter(|line| line.scores.iter().any(Option::is_some)).collect()
}

/// The measured values of a suite, those of the metric by which it is published before others.
fn measured<'j>(joined: &'j Joined, suite: &str, metric: Option<&str>) -> Vec<&'j Row> {
    const MAIN: [&str; 5] = ["acc", "exact_match", "pass@1", "pass_at_1", "f1"];
    let rows = joined.rows.iter().filter(|row| is_of(&row.task, suite) && row.value.is_some());
    let is_published = |row: &&Row| metric.is_some_and(|metric| is_same_metric(metric, &row.metric));
    let main = |row: &&Row| MAIN.iter().position(|name| *name == row.metric);
    let mut rows: Vec<&Row> = rows.filter(|row| is_published(row) || main(row).is_some()).collect();
    rows.sort_by_key(|row| (!is_published(row), row.task != suite, main(row)));
    rows
}

/// The reference's MBPP has a name of its own for it.
fn is_same_metric(published: &str, measured: &str) -> bool {
    published == measured || (published, measured) == ("pass@1", "pass_at_1")
}

impl Shown<'_> {
    fn value(&self) -> f64 {
        match self.score {
            Scored::Published(_, score) => score.value,
            Scored::Measured(row) => row.value.expect("a measured score has a value"),
        }
    }

    /// `0.351 (5)`.
    fn text(&self, percent: bool) -> String {
        let metric = match self.score {
            Scored::Published(_, score) => &score.metric,
            Scored::Measured(row) => &row.metric,
        };
        let is_share = is_share_metric(metric) && (0.0..=1.0).contains(&self.value());
        let value = match percent && is_share {
            true => format!("{:.1}", 100.0 * self.value()),
            false => format!("{:.3}", self.value()),
        };
        let said = self.metric.map_or_else(String::new, |metric| format!(" {metric}"));
        let (shots, otherwise) = match self.score {
            Scored::Published(_, score) => {
                (score.num_fewshot.map(|n| n.to_string()), score.protocol.is_some())
            }
            Scored::Measured(row) => (
                row.num_fewshot.map(|n| n.to_string()),
                row.limited_to_part_of().is_some() || !is_as_published(&row.protocol),
            ),
        };
        let mark = if otherwise { "†" } else { "" };
        let others = if self.others > 0 { "+" } else { "" };
        format!("{value} ({}){said}{mark}{others}", shots.unwrap_or_else(|| "?".to_owned()))
    }
}

fn wide<'l>(
    lines: &'l [Line<'l>],
    suites: &[String],
    registry: &Registry,
    percent: bool,
) -> Table<&'l Line<'l>> {
    let mut table = Table::of(lines)
        .column(text("model"), |line| &line.name)
        .column(number("size"), |line| Cell::written(line.parameters, short_count).or_dash())
        .column(text("licence").spare(2).wraps(), |line| {
            Cell::from(line.card.map(|card| card.license.as_str())).or_dash()
        })
        .column(number("GB").spare(1), |line| {
            let bytes = line.card.and_then(|card| registry.bytes_to_fetch(card));
            Cell::written(bytes, |bytes: u64| format!("{:.1}", bytes as f64 / 1e9)).or_dash()
        });
    for (at, suite) in suites.iter().enumerate() {
        table = table.column(number(suite), |line| {
            Cell::from(line.scores[at].as_ref().map(|shown| shown.text(percent))).or_dash()
        });
    }
    table
}

/// Every score of the suites.
fn all<'r>(cards: &[&'r Card], joined: &'r Joined, suites: &[String]) -> Vec<Scored<'r>> {
    let mut scores = Vec::new();
    for suite in suites {
        for &card in cards {
            scores.extend(card.scores_of(suite).map(|score| Scored::Published(card, score)));
        }
        let of_suite = joined.rows.iter().filter(|row| is_of(&row.task, suite) && row.value.is_some());
        scores.extend(of_suite.map(Scored::Measured));
    }
    scores
}

fn long<'l>(scores: &'l [Scored<'l>]) -> Table<&'l Scored<'l>> {
    use Scored::{Measured, Published};
    Table::of(scores)
        .column(text("model"), |score| match score {
            Published(card, _) => card.id.clone(),
            Measured(row) => row.label.clone().unwrap_or_else(|| row.model.clone()),
        })
        .column(text("kind"), |score| if matches!(score, Published(..)) { "published" } else { "measured" })
        .column(text("suite"), |score| match score {
            Published(_, score) => &score.suite,
            Measured(row) => &row.task,
        })
        .column(text("metric"), |score| match score {
            Published(_, score) => &score.metric,
            Measured(row) => &row.metric,
        })
        .column(number("num_fewshot"), |score| match score {
            Published(_, score) => score.num_fewshot.map(u64::from),
            Measured(row) => row.num_fewshot.map(|n| n as u64),
        })
        .column(number("value"), |score| match score {
            Published(_, score) => Some(score.value),
            Measured(row) => row.value,
        })
        .column(number("stderr"), |score| if let Measured(row) = score { row.stderr } else { None })
        .column(number("n"), |score| if let Measured(row) = score { Some(row.n) } else { None })
        .column(text("protocol"), |score| match score {
            Published(_, score) => score.protocol.clone(),
            Measured(row) => Some(row.protocol.clone()),
        })
        .column(
            number("parameters"),
            |score| if let Published(card, _) = score { card.parameters } else { None },
        )
        .column(
            text("license"),
            |score| if let Published(card, _) = score { Some(&card.license) } else { None },
        )
        .column(
            text("source"),
            |score| if let Published(_, score) = score { Some(&score.source) } else { None },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_say_them() {
        let read = |text: &str| text.parse::<ParameterCount>().ok();
        assert_eq!(read("7B"), Some(ParameterCount(7e9)));
        assert_eq!([read("350m"), read("1.1B")], [Some(ParameterCount(3.5e8)), Some(ParameterCount(1.1e9))]);
        assert_eq!([read("B"), read("-1B"), read("many"), read("")], [None; 4]);
        assert!(ParameterCount(7e9).fits(6_738_415_616) && !ParameterCount(7e9).fits(8_030_261_248));
        assert!(ParameterCount(13e9).fits(13_015_864_320) && !ParameterCount(13e9).fits(32_528_943_616));
    }
}
