//! `zoo diff`: what changed between two models, tensor by tensor.

mod export;
mod picture;
mod table;

use std::path::PathBuf;

use anyhow::bail;
use clap::builder::TypedValueParser;

use super::exit::Usage;
use super::format::{formats, one_of};
use super::{Global, bar, models, source};
use crate::base::glob::Glob;
use crate::compare::spectrum::{AVAILABLE, SpectrumMethod, SpectrumOptions, without_lapack};
use crate::compare::{Comparison, compare};
use crate::report::{Format, terminal_width};
pub(super) use table::short_name;

/// The ranks whose share of the change is reported, as far as they are known.
const RANKS: [usize; 5] = [1, 4, 8, 16, 64];

/// Compare two models tensor by tensor.
///
/// A is the original model, B the one made from it: changes are B − A relative to A. The numbers
/// "top r" are the shares of the squared change that the r largest singular values hold. With the
/// randomised method they and σ₁ are lower bounds, the stable rank is an upper bound, and the effective rank is
/// given as an interval.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo diff llama-7b vicuna-7b
  zoo diff base/ tuned/ --svg change.svg
  zoo diff base/ tuned/ --tensors '*.q_proj.*' --rank 16 --spectrum sigma.csv
  zoo diff base/ tuned/ --fast --format csv > change.csv
  zoo diff base/ tuned/ --measure energy --rank 8 --svg energy.svg")]
pub struct Args {
    /// The original model: a registry id or alias, a folder or a weights file
    a: String,
    /// The model made from it
    b: String,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values, one line per tensor"),
        (Format::Json, "One object"),
        (Format::Md, "Markdown tables"),
    ]))]
    format: Format,
    /// How many tensors to show, the most changed first; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// How many singular values to find where not all are computed
    #[arg(long, value_name = "R", default_value_t = 64, value_parser = parse_rank)]
    rank: usize,
    /// How to find singular values
    #[arg(long, default_value = "auto", value_parser = methods())]
    method: SpectrumMethod,
    /// Compute only norms and distances, no singular values; as fast as the files can be read
    #[arg(long, conflicts_with_all = ["spectrum", "rank", "method"])]
    fast: bool,
    /// Only tensors whose name matches; * stands for any text, [0-3] for one character, {q,k} for a choice
    #[arg(long, value_name = "GLOB")]
    tensors: Option<String>,
    /// Write all singular values that were found to this CSV file
    #[arg(long, value_name = "FILE")]
    spectrum: Option<PathBuf>,
    /// Draw a heat map of layers × kinds of matrices to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// What the colours of the heat map show
    #[arg(long, value_enum, default_value = "change", requires = "svg")]
    measure: Measure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// ‖B − A‖ / ‖A‖
    Change,
    /// The share of the squared change in the R largest singular values
    Energy,
    /// ‖B − A‖² / σ₁²
    StableRank,
    /// The exponential of the entropy of the squared singular values
    EffectiveRank,
}

fn methods() -> impl TypedValueParser<Value = SpectrumMethod> {
    let helps = [
        (SpectrumMethod::Auto, "svd up to 768 rows or columns, randomized above"),
        (SpectrumMethod::Svd, "All of them, by LAPACK; slow for large matrices"),
        (SpectrumMethod::Gram, "All of them, from the smaller Gram matrix; small ones are not exact"),
        (SpectrumMethod::Randomized, "The R largest, from a random projection with a fixed seed"),
    ];
    one_of(helps.map(|(method, help)| (method, method.as_str(), help)))
}

pub(super) fn parse_rank(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rank) if (1..=4096).contains(&rank) => Ok(rank),
        _ => Err("expected a rank from 1 to 4096".to_owned()),
    }
}

/// What is printed, in whatever form.
struct Report<'a> {
    /// The names of the two models.
    names: [&'a str; 2],
    found: &'a Comparison,
    /// Whether singular values were asked for.
    spectra: bool,
    /// How many of them, at least.
    rank: usize,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if args.fast && args.measure != Measure::Change {
        bail!(Usage("--measure: --fast finds no singular values; leave it out".to_owned()));
    }
    if !args.fast && !AVAILABLE {
        let refusal = without_lapack();
        bail!("{refusal}; or compare without singular values: --fast");
    }
    let pattern = args.tensors.as_deref().map(Glob::new).transpose();
    let pattern = pattern.map_err(|error| Usage(format!("--tensors: {error}")))?;
    let wanted = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.fits(name));
    let (a, b) = (source::find(&args.a, global)?, source::find(&args.b, global)?);
    let spectrum = (!args.fast).then_some(SpectrumOptions { method: args.method, rank: args.rank });
    let (from, to) = (source::tensors(&a)?, source::tensors(&b)?);
    let found = compare(from.as_ref(), to.as_ref(), &wanted, spectrum, &bar(global))?;
    check(&found, args)?;
    let names = [a.name.as_str(), b.name.as_str()];
    let report = Report { names, found: &found, spectra: !args.fast, rank: args.rank };
    if let Some(file) = &args.spectrum {
        models::deliver(&export::spectra(&found).csv(), Some(file))?;
    }
    if let Some(file) = &args.svg {
        models::deliver(&picture::heat_map(&report, args.measure).svg(), Some(file))?;
    }
    let text = match args.format {
        Format::Csv => export::tensors(&found).csv(),
        Format::Json => export::json(&report),
        format => table::page(&report, args.top, format, terminal_width()),
    };
    models::deliver(&text, None)
}

/// Two models without a tensor that can be compared are a mistake, and not an empty table.
fn check(found: &Comparison, args: &Args) -> anyhow::Result<()> {
    if !found.changes.is_empty() {
        return Ok(());
    }
    if let Some(first) = found.incomparable.first() {
        bail!(
            "{} and {} are models of different shapes: no tensor can be compared (first of {}: {} is {} in the one and \
             {} in the other); compare a model with the one that it was made from",
            args.a,
            args.b,
            found.incomparable.len(),
            first.name,
            first.a,
            first.b
        );
    }
    let first = |infos: &[crate::weights::TensorInfo]| {
        infos.first().map_or_else(|| "no tensor".to_owned(), |info| format!("{:?}", info.name))
    };
    if found.only_in_a.is_empty() && found.only_in_b.is_empty() {
        bail!(Usage(match &args.tensors {
            Some(pattern) => format!("--tensors {pattern}: no tensor of either model fits"),
            None => format!("{} and {}: neither has a tensor", args.a, args.b),
        }));
    }
    bail!(
        "{} and {} are models of different families: no tensor name is in both (the first ones are {} and {}); \
         compare a model with the one that it was made from",
        args.a,
        args.b,
        first(&found.only_in_a),
        first(&found.only_in_b)
    )
}

#[cfg(test)]
mod tests;
