//! `zoo extract-lora`: the difference of two models as a PEFT adapter.

use std::path::{Path, PathBuf};

use super::diff::short_name;
use super::exit::Usage;
use super::format::{formats, one_of};
use super::{Global, bar, models, source};
use crate::compare::extract::{ADAPTER_FILE, CONFIG_FILE, ExtractOptions, Extraction, ExtractionPlan};
use crate::compare::spectrum::{AVAILABLE, without_lapack};
use crate::compare::{Comparison, compare};
use crate::report::numbers::{digits, percent};
use crate::report::table::{Cell, number, text};
use crate::report::{Format, Table, terminal_width};
use crate::verify::norms_of_a_difference;
use crate::weights::Dtype;

/// Extract the difference between two models as a LoRA adapter.
///
/// A is the base, B the model made from it. Each linear layer that changed gets the update of rank R that is closest to
/// its difference; embeddings and output layers that changed or grew are saved whole. The table says how much of each
/// change is kept, in the adapter and once it is merged into A in A's own type, where what is smaller than the type's
/// steps is rounded away. The adapter is written in the format of the PEFT library.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo extract-lora llama-7b vicuna-7b --rank 64 --out vicuna-lora
  zoo extract-lora base/ tuned/ --rank 8 --targets q_proj,v_proj --out adapter
  zoo extract-lora base/ tuned/ --rank 16 --dtype f32 --save-norms --out adapter
  zoo extract-lora base/ tuned/ --rank 16 --out adapter --format csv > kept.csv")]
pub struct Args {
    /// The base: a registry id or alias, a folder or a weights file
    a: String,
    /// The model made from it
    b: String,
    /// The rank of the updates
    #[arg(long, value_name = "R", value_parser = super::diff::parse_rank)]
    rank: usize,
    /// The adapter's folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The type of the updates
    #[arg(long, default_value = "f16", value_parser = one_of([
        (Dtype::F16, "f16", "Half precision"),
        (Dtype::F32, "f32", "Single precision"),
    ]))]
    dtype: Dtype,
    /// Only these linear layers, by name or end of name [default: all that changed]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    targets: Option<Vec<String>>,
    /// Save changed norms whole; PEFT loads them, some other tools do not
    #[arg(long)]
    save_norms: bool,
    /// What the adapter calls its base [default: the hub's name or the path of A]
    #[arg(long, value_name = "NAME")]
    base_name: Option<String>,
    /// How to print how much was kept
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values, one line per changed tensor"),
        (Format::Json, "An array of objects"),
    ]))]
    format: Format,
}

/// What became of one tensor.
#[derive(Debug)]
struct ExtractedTensor<'c> {
    tensor: &'c str,
    /// `lora`, `saved` or `left out`.
    part: &'static str,
    /// Of the change over the rows that both models have.
    delta_norm: f64,
    /// The share of the squared change that is kept, 0 to 1.
    energy: f64,
    residual_norm: f64,
    /// The residual relative to the weight in B.
    residual_relative: Option<f64>,
    /// The share that a merged model has; not known where types keep it from being merged bit by bit.
    merged_energy: Option<f64>,
    /// How singular values were found, or why the change is left out.
    note: String,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if !AVAILABLE {
        return Err(anyhow::Error::from(without_lapack()));
    }
    for name in [CONFIG_FILE, ADAPTER_FILE] {
        if args.out.join(name).exists() {
            let out = args.out.display();
            anyhow::bail!(Usage(format!("--out {out}: there is an adapter already; choose another folder")));
        }
    }
    let (a, b) = (source::find(&args.a, global)?, source::find(&args.b, global)?);
    let (from, to) = (source::tensors(&a)?, source::tensors(&b)?);
    for (name, tensors) in [(&args.a, &from), (&args.b, &to)] {
        if norms_of_a_difference(tensors.as_ref())?.is_some() {
            tracing::warn!(
                "{name}: its norm weights are near zero: this is a difference to a base and no model; zoo build makes one \
                 of both, and that is what the adapter should be made from"
            );
        }
    }
    let options = ExtractOptions {
        rank: args.rank,
        dtype: args.dtype,
        targets: args.targets.clone(),
        save_norms: args.save_norms,
        base_model: args.base_name.clone().unwrap_or_else(|| source::reference(&a, &args.a)),
        tokenizer_from: Some(folder_of(&b.path)),
    };
    let progress = bar(global);
    let (from, to) = (from.as_ref(), to.as_ref());
    let found = compare(from, to, &|_| true, None, &progress)?;
    let plan = ExtractionPlan::new(&found, &options)?;
    let done = plan.write(from, to, &options, &args.out, &progress)?;
    let lines = lines(&found, &plan, &done);
    models::deliver(&args.format.draw(&table(&lines), terminal_width()), None)?;
    for sentence in sentences(&plan, &done, &found, args) {
        models::note(global, &sentence);
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new(".")).to_owned() }
}

/// One line to a tensor that changed, in order of names.
fn lines<'c>(found: &'c Comparison, plan: &ExtractionPlan, done: &Extraction) -> Vec<ExtractedTensor<'c>> {
    let mut lines = Vec::new();
    for change in &found.changes {
        let module = change.name.strip_suffix(".weight").unwrap_or(&change.name);
        let delta_norm = change.moments.delta_squared.sqrt();
        let norm = change.moments.b_squared.sqrt();
        let line = |part, [energy, residual_norm]: [f64; 2], merged_energy, note: String| ExtractedTensor {
            tensor: &change.name,
            part,
            delta_norm,
            energy,
            residual_norm,
            residual_relative: (norm > 0.0).then(|| residual_norm / norm),
            merged_energy,
            note,
        };
        if let Some(report) = done.modules.iter().find(|report| report.module == module) {
            let kept = [report.energy, report.residual_norm];
            lines.push(line("lora", kept, report.merged_energy(), report.method.as_str().to_owned()));
        } else if plan.saved.iter().any(|saved| saved == module) {
            let [a, b] = [&change.shape_a, &change.shape_b].map(|s| s.first().copied().unwrap_or(0));
            let note = if a == b { String::new() } else { format!("{a} rows, now {b}") };
            // What is saved has B's type, and a merged model A's.
            let merged = (change.dtype_a == change.dtype_b).then_some(1.0);
            lines.push(line("saved", [1.0, 0.0], merged, note));
        } else if let Some(left) = plan.left.iter().find(|left| left.name == change.name) {
            lines.push(line("left out", [0.0, delta_norm], Some(0.0), left.reason.to_owned()));
        }
    }
    lines
}

fn table<'a>(lines: &'a [ExtractedTensor<'a>]) -> Table<&'a ExtractedTensor<'a>> {
    Table::of(lines)
        .column(text("tensor"), |line| Cell::from(line.tensor).short(short_name(line.tensor)))
        .column(text("part"), |line| line.part)
        .column(number("delta_norm").titled("‖Δ‖"), |line| Cell::written(line.delta_norm, digits))
        .column(number("energy").titled("kept"), |line| Cell::written(line.energy, percent))
        .column(number("residual_norm").titled("residual").spare(2), |line| {
            Cell::written(line.residual_norm, digits)
        })
        .column(number("residual_relative").titled("of ‖B‖").spare(3), |line| {
            Cell::written(line.residual_relative, digits).or_dash()
        })
        .column(number("merged_energy").titled("merged").spare(1), |line| {
            Cell::written(line.merged_energy, percent).or_dash()
        })
        .column(text("note").wraps(), |line| &line.note)
}

fn sentences(plan: &ExtractionPlan, done: &Extraction, found: &Comparison, args: &Args) -> Vec<String> {
    let (delta, residual) = (done.delta_norm(), done.residual_norm());
    let mut all = vec![format!(
        "{}: rank {}, {} linear layers, {} modules saved whole; {} of the squared change of these layers is kept, \
         residual {} of {}.",
        args.out.display(),
        args.rank,
        plan.modules.len(),
        plan.saved.len(),
        percent(done.energy()),
        digits(residual),
        digits(delta),
    )];
    let mut types: Vec<&str> = done.modules.iter().map(|module| module.base_dtype.name()).collect();
    types.sort_unstable();
    types.dedup();
    let types = types.join(" and ");
    all.push(match done.merged_energy() {
        Some(energy) => {
            format!("Merged into A in its own type ({types}), {} of it is left.", percent(energy))
        }
        None => format!(
            "A is stored as {types}, which no update is merged into: take a base in F16, BF16 or F32."
        ),
    });
    if !plan.left.is_empty() {
        let norm = plan.left.iter().map(|left| left.delta_norm * left.delta_norm).sum::<f64>().sqrt();
        let count = plan.left.len();
        let norm = digits(norm);
        all.push(format!("{count} changes are left out, together of norm {norm}; the table says why."));
    }
    let grew = found.changes.iter().any(|change| change.common_rows().is_some());
    if grew && done.tokenizer.is_empty() {
        all.push(
            "The vocabulary grew and B has no tokenizer beside it: copy its files into the folder."
                .to_owned(),
        );
    }
    all
}
