//! `zoo suites`: what can be measured, and whether its data is on this machine.

mod protocols;

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;

use super::flags::Folders;
use super::format::formats;
use super::{Global, models};
use crate::report::numbers::digits;
use crate::report::table::{Cell, data, number, people, text};
use crate::report::{Format, Table, terminal_width};
use crate::tasks::data::hub_data;
use crate::tasks::{DataStore, DatasetRef, Index, KnownDataset, Suite, Task, download_bytes, known_dataset};

/// List the suites.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo suites
  zoo suites mmlu --all
  zoo suites --format json
  zoo suites --protocols
  zoo suites --include-path my-tasks --data-dir my-data")]
pub struct Args {
    /// Only suites whose name, task or data set contains this text
    filter: Option<String>,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values with a header line"),
        (Format::Json, "An array of objects"),
    ]))]
    format: Format,
    /// Also list tags, and the groups and tasks inside groups
    #[arg(long)]
    all: bool,
    /// List the protocols instead: whose rules suites can be asked and scored by, and what each changes
    #[arg(long, conflicts_with_all = ["filter", "all", "include_path", "data_dir"])]
    protocols: bool,
    #[command(flatten)]
    folders: Folders,
}

/// One line of the list.
#[derive(Debug)]
struct ListedSuite {
    suite: String,
    /// `task`, `group` or `tag`.
    kind: &'static str,
    /// How many tasks it stands for.
    tasks: usize,
    output_type: String,
    /// Examples before each question if none are asked for.
    num_fewshot: String,
    metrics: String,
    dataset: String,
    /// Where the data is: `yes`, `no`, `built in`, or how many tasks of how many have it.
    local: String,
    /// Bytes of all files of its data, where they are known.
    fetch_bytes: Option<u64>,
    /// Of its data; `unknown` if that is a user's own.
    licenses: String,
    /// Of its questions, the same.
    languages: String,
    /// The highest score that was published for a model of the registry, and which.
    published: Option<(f64, String)>,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if args.protocols {
        return protocols::print(args.format);
    }
    let index = Index::load(&args.folders.tasks.include_path)?;
    let data = DataStore::from_env(args.folders.data_dir.as_deref());
    let (mut lines, problems) = lines(&index, &data, args.all, args.filter.as_deref());
    let registry = models::registry(global)?;
    for line in &mut lines {
        let best = registry.best_published(&line.suite);
        line.published = best.map(|(score, card)| (score.value, card.id.clone()));
    }
    for problem in index.problems().iter().map(ToString::to_string).chain(problems) {
        models::note(global, &problem);
    }
    models::deliver(&args.format.draw(&table(&lines), terminal_width()), None)?;
    if lines.is_empty()
        && let Some(filter) = &args.filter
    {
        models::note(global, &format!("no suite fits {filter:?}; `zoo suites --all` lists all"));
    }
    Ok(())
}

/// The lines, and what is wrong with suites that could not be listed.
fn lines(
    index: &Index,
    data: &DataStore,
    all: bool,
    filter: Option<&str>,
) -> (Vec<ListedSuite>, Vec<String>) {
    let groups: BTreeSet<&str> = index.groups().into_iter().collect();
    let mut suites = Vec::new();
    let mut problems = Vec::new();
    // In order of names, whatever thread built them.
    let names = index.names();
    let resolved: Vec<_> = names.par_iter().map(|name| (*name, index.resolve(name))).collect();
    for (name, found) in resolved {
        match found {
            Ok(suite) => suites.push((if groups.contains(name) { "group" } else { "task" }, suite)),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let mut inner = BTreeSet::new();
    for (_, suite) in &suites {
        names_below(suite, &suite.folder(), &mut inner);
    }
    if all {
        let tags = index.tags().into_iter().filter_map(|name| index.resolve(name).ok());
        suites.extend(tags.map(|suite| ("tag", suite)));
    } else {
        suites.retain(|(_, suite)| !inner.contains(suite.name()));
    }
    let mut lines: Vec<ListedSuite> =
        suites.par_iter().map(|(kind, suite)| line(kind, suite, data)).collect();
    if let Some(filter) = filter.map(str::to_lowercase) {
        let fits = |text: &str| text.to_lowercase().contains(&filter);
        lines.retain(|line| fits(&line.suite) || fits(&line.dataset));
    }
    // By languages, those in one language first.
    lines.sort_by_key(|line| {
        (line.languages.matches(' ').count(), line.languages.clone(), line.suite.clone())
    });
    (lines, problems)
}

/// What stands inside of a suite and in its folder. A group of suites from other folders hides none of them.
fn names_below(suite: &Suite, folder: &str, names: &mut BTreeSet<String>) {
    let Suite::Group(group) = suite else { return };
    for child in &group.children {
        let rest = child.folder().strip_prefix(folder).map(|rest| rest.is_empty() || rest.starts_with('/'));
        if rest == Some(true) {
            names.insert(child.name().to_owned());
        }
        names_below(child, folder, names);
    }
}

fn line(kind: &'static str, suite: &Suite, data: &DataStore) -> ListedSuite {
    let tasks = suite.tasks();
    let each = |value: fn(&Task) -> Vec<String>| {
        let mut seen: Vec<String> = Vec::new();
        for value in tasks.iter().flat_map(|task| value(task)) {
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        if seen.iter().all(|value| value.parse::<usize>().is_ok()) {
            seen.sort_by_key(|value| value.parse::<usize>().expect("all are numbers"));
        }
        seen.join(" ")
    };
    let of_data = |value: &dyn Fn(&KnownDataset) -> Vec<String>| {
        let known =
            tasks.iter().map(|task| known_dataset(task.config.dataset_path.as_deref().unwrap_or_default()));
        let words = known.flat_map(|known| known.map_or_else(|| vec!["unknown".to_owned()], value));
        words.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let local = local(&tasks, data);
    let bytes = download_bytes(&hub_data(tasks.iter().map(AsRef::as_ref)));
    ListedSuite {
        suite: suite.name().to_owned(),
        kind,
        tasks: tasks.len(),
        output_type: each(|task| vec![task.config.output_type.name().to_owned()]),
        num_fewshot: each(|task| vec![task.config.num_fewshot.unwrap_or(0).to_string()]),
        metrics: each(|task| task.config.metrics().into_iter().map(|metric| metric.name).collect()),
        dataset: each(|task| task.config.dataset_path.iter().cloned().collect()),
        // What is not here and not fetched either is brought by whoever wants it.
        fetch_bytes: bytes.filter(|bytes| *bytes > 0 || local != "no"),
        local,
        licenses: of_data(&|known| vec![known.license.replace(' ', "-")]),
        languages: of_data(&|known| known.languages.clone()),
        published: None,
    }
}

/// What would be fetched, in MB, where that is known.
fn to_fetch(line: &ListedSuite) -> Cell {
    let cell = Cell::from(line.fetch_bytes);
    match line.fetch_bytes {
        Some(bytes) if line.local == "no" => cell.shown(format!("{:.1}", bytes as f64 / 1e6)),
        Some(_) => cell.shown("0"),
        None => cell.or_dash(),
    }
}

/// A licence, or how many there are: CSV and JSON have all.
fn short_licenses(words: &str) -> String {
    match words.split(' ').count() {
        0 | 1 => words.to_owned(),
        several => format!("{several} licences"),
    }
}

/// Where the evaluated split of every task is.
fn local(tasks: &[Arc<Task>], data: &DataStore) -> String {
    let found: Vec<String> = tasks
        .iter()
        .filter_map(|task| {
            let split = task.config.test_split.as_deref().or(task.config.validation_split.as_deref())?;
            Some(data.locate(&DatasetRef::of(task)?, split).ok()?.place)
        })
        .collect();
    match (found.len(), tasks.len()) {
        (0, _) => "no".to_owned(),
        (n, all) if n < all => format!("{n} of {all}"),
        _ if found.iter().all(|place| place == "built in") => "built in".to_owned(),
        _ => "yes".to_owned(),
    }
}

/// The first of many words, for the table; CSV and JSON have all.
fn short(words: &str) -> String {
    match words.split(' ').collect::<Vec<_>>().as_slice() {
        [first, _, _, _, rest @ ..] => format!("{first} and {} more", rest.len() + 3),
        _ => words.to_owned(),
    }
}

/// Suites stand below their languages; what there is no room for is left out.
fn table(lines: &[ListedSuite]) -> Table<&ListedSuite> {
    let few = |words: &String| Cell::from(words).short(short(words));
    Table::of(lines)
        .column(text("suite"), |line| &line.suite)
        .column(data("kind"), |line| line.kind)
        .column(number("tasks").spare(3), |line| line.tasks)
        .column(text("output_type").titled("type").spare(5), |line| few(&line.output_type))
        .column(number("num_fewshot").titled("shots").spare(2), |line| few(&line.num_fewshot))
        .column(text("metrics").spare(4), |line| few(&line.metrics))
        .column(text("dataset").titled("data").spare(6), |line| few(&line.dataset))
        .column(text("local").titled("here"), |line| &line.local)
        .column(number("fetch_bytes").titled("MB").spare(3), to_fetch)
        .column(text("license").titled("licence").spare(1), |line| {
            Cell::from(&line.licenses).short(short_licenses(&line.licenses))
        })
        .column(text("languages").section(), |line| &line.languages)
        .column(people(text("best published")), |line| {
            let words = line.published.as_ref().map(|(value, model)| format!("{} {model}", digits(*value)));
            Cell::from(words).or_dash()
        })
        .column(data("published"), |line| line.published.as_ref().map(|(value, _)| *value))
        .column(data("published_model"), |line| line.published.as_ref().map(|(_, model)| model.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_in_the_table() {
        assert_eq!(short("acc acc_norm exact_match"), "acc acc_norm exact_match");
        assert_eq!(short("a b c d"), "a and 3 more");
        assert_eq!(short(""), "");
    }

    #[test]
    fn many_licences_are_counted() {
        assert_eq!((short_licenses("MIT"), short_licenses("MIT X")), ("MIT".into(), "2 licences".into()));
    }

    fn names(all: bool, filter: Option<&str>) -> Vec<String> {
        let (lines, problems) = lines(&Index::load(&[]).unwrap(), &DataStore::default(), all, filter);
        assert_eq!(problems, Vec::<String>::new());
        lines.into_iter().map(|line| line.suite).collect()
    }

    #[test]
    fn groups_hide_what_they_hold_unless_asked() {
        let top = names(false, None);
        for name in ["mmlu", "cmmlu", "ceval-valid", "arc_easy", "winogrande"] {
            assert!(top.contains(&name.to_owned()), "{name} in {top:?}");
        }
        for name in [
            "llama-paper",
            "open-llm-v1",
            "chinese",
            "agieval",
            "gaokao",
            "bbh_zeroshot",
            "gsm8k",
            "wikitext",
        ] {
            assert!(top.contains(&name.to_owned()), "{name} in {top:?}");
        }
        assert!(!top.contains(&"agieval_math".to_owned()) && !top.contains(&"llama-paper-code".to_owned()));
        assert!(!top.contains(&"mmlu_anatomy".to_owned()) && !top.contains(&"mmlu_stem".to_owned()));
        // 57 subjects, 4 categories, the whole, the tags of the categories, and the groups of three papers.
        assert_eq!(names(true, Some("cais/mmlu")).len(), 57 + 4 + 1 + 4 + 3);
        assert_eq!(names(false, Some("no such thing")), Vec::<String>::new());
    }

    #[test]
    fn the_table() {
        let (lines, _) = lines(&Index::load(&[]).unwrap(), &DataStore::default(), false, Some("a"));
        let wanted = ["arc_challenge", "hellaswag", "winogrande", "mmlu"];
        let lines: Vec<ListedSuite> =
            lines.into_iter().filter(|l| wanted.contains(&l.suite.as_str())).collect();
        insta::assert_snapshot!(table(&lines).text(120));
    }
}
