//! `zoo extract-lora`: the difference of two models as a PEFT adapter.

use std::path::{Path, PathBuf};

use super::diff::numbers::{digits, percent};
use super::exit::Usage;
use super::source::Named;
use super::{Global, bar, models};
use crate::compare::extract::{ADAPTER_FILE, CONFIG_FILE, ExtractOptions, Extraction, Plan};
use crate::compare::spectrum::{AVAILABLE, without_lapack};
use crate::compare::{CompareOptions, Comparison, compare};
use crate::report::{plain_table, render, terminal_width};
use crate::verify::norms_of_a_difference;
use crate::weights::Dtype;

/// Squeeze what was trained between two models into a LoRA adapter.
///
/// A is the base, B what was made of it. Each linear layer that changed gets an update of rank R, the
/// nearest there is to its difference; embeddings and output layers that changed or grew are saved whole. The
/// table says how much of each change is kept. The adapter is in the form of the PEFT library.
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
    /// The model that was made of it
    b: String,
    /// The rank of the updates
    #[arg(long, value_name = "R", value_parser = super::diff::parse_rank)]
    rank: usize,
    /// The adapter's folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The type of the updates
    #[arg(long, value_enum, default_value = "f16")]
    dtype: FloatType,
    /// Only these linear layers, by name or end of name [default: all that changed]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    targets: Option<Vec<String>>,
    /// Save norms that changed whole; PEFT loads them, some other tools do not
    #[arg(long)]
    save_norms: bool,
    /// What the adapter calls its base [default: the hub's name or the path of A]
    #[arg(long, value_name = "NAME")]
    base_name: Option<String>,
    /// How to print what was kept
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FloatType {
    /// Half precision
    F16,
    /// Single precision
    F32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Columns for reading
    Table,
    /// Comma-separated values, one line to a tensor that changed
    Csv,
    /// An array of objects
    Json,
}

/// What became of one tensor.
#[derive(Debug, serde::Serialize)]
struct Line {
    tensor: String,
    /// `lora`, `saved` or `left out`.
    part: &'static str,
    /// Of the change over the rows that both models have.
    delta_norm: f64,
    /// The share of the squared change that is kept, 0 to 1.
    energy: f64,
    residual_norm: f64,
    /// The residual relative to the weight in B.
    residual_relative: Option<f64>,
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
            return Err(
                Usage(format!("--out {out}: there is an adapter already; choose another folder")).into()
            );
        }
    }
    let (a, b) = (Named::find(&args.a, global)?, Named::find(&args.b, global)?);
    let (from, to) = (a.tensors()?, b.tensors()?);
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
        dtype: match args.dtype {
            FloatType::F16 => Dtype::F16,
            FloatType::F32 => Dtype::F32,
        },
        targets: args.targets.clone(),
        save_norms: args.save_norms,
        base_model: args.base_name.clone().unwrap_or(a.reference),
        tokenizer_from: Some(folder_of(&b.path)),
    };
    let progress = bar(global);
    let (from, to) = (from.as_ref(), to.as_ref());
    let found = compare(from, to, &|_| true, &CompareOptions::default(), &progress)?;
    let plan = Plan::new(&found, &options)?;
    let done = plan.write(from, to, &options, &args.out, &progress)?;
    let lines = lines(&found, &plan, &done);
    let text = match args.format {
        Format::Table => table(&lines, terminal_width()),
        Format::Csv => super::lines::csv(&lines)?,
        Format::Json => super::lines::json(&lines)?,
    };
    models::deliver(&text, None)?;
    for sentence in sentences(&plan, &done, &found, args) {
        models::note(global, &sentence);
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(Path::new(".")).to_owned() }
}

/// One line to a tensor that changed, in order of names.
fn lines(found: &Comparison, plan: &Plan, done: &Extraction) -> Vec<Line> {
    let mut lines = Vec::new();
    for change in &found.changes {
        let module = change.name.strip_suffix(".weight").unwrap_or(&change.name);
        let delta_norm = change.moments.delta_squared.sqrt();
        let norm = change.moments.b_squared.sqrt();
        let line = |part, energy, residual_norm, note: String| Line {
            tensor: change.name.clone(),
            part,
            delta_norm,
            energy,
            residual_norm,
            residual_relative: (norm > 0.0).then(|| residual_norm / norm),
            note,
        };
        if let Some(report) = done.modules.iter().find(|report| report.module == module) {
            let method = format!("{:?}", report.method).to_lowercase();
            lines.push(line("lora", report.energy, report.residual_norm, method));
        } else if plan.saved.iter().any(|saved| saved == module) {
            let [a, b] = [&change.shape_a, &change.shape_b].map(|s| s.first().copied().unwrap_or(0));
            let note = if a == b { String::new() } else { format!("{a} rows, now {b}") };
            lines.push(line("saved", 1.0, 0.0, note));
        } else if let Some(left) = plan.left.iter().find(|left| left.name == change.name) {
            lines.push(line("left out", 0.0, delta_norm, left.reason.to_owned()));
        }
    }
    lines
}

fn table(lines: &[Line], width: usize) -> String {
    use comfy_table::{Cell, CellAlignment};
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = plain_table(width);
    let head = ["‖Δ‖", "kept", "residual", "of ‖B‖"].map(|title| right(title.to_owned()));
    table.set_header(
        [Cell::new("tensor"), Cell::new("part")].into_iter().chain(head).chain([Cell::new("note")]),
    );
    for line in lines {
        let name = line.tensor.strip_prefix("model.").unwrap_or(&line.tensor);
        table.add_row([
            Cell::new(name.strip_suffix(".weight").unwrap_or(name)),
            Cell::new(line.part),
            right(digits(line.delta_norm)),
            right(percent(line.energy)),
            right(digits(line.residual_norm)),
            right(line.residual_relative.map_or_else(|| "–".to_owned(), digits)),
            Cell::new(&line.note),
        ]);
    }
    render(&mut table, &[6])
}

/// The result in words.
fn sentences(plan: &Plan, done: &Extraction, found: &Comparison, args: &Args) -> Vec<String> {
    let (delta, residual) = (done.delta_norm(), done.residual_norm());
    let energy = if delta > 0.0 { 1.0 - (residual / delta).powi(2) } else { 1.0 };
    let mut all = vec![format!(
        "{}: rank {}, {} linear layers, {} modules saved whole; {} of the squared change of these layers is kept, \
         residual {} of {}.",
        args.out.display(),
        args.rank,
        plan.modules.len(),
        plan.saved.len(),
        percent(energy),
        digits(residual),
        digits(delta),
    )];
    if !plan.left.is_empty() {
        let norm = plan.left.iter().map(|left| left.delta_norm * left.delta_norm).sum::<f64>().sqrt();
        let (count, norm) = (plan.left.len(), digits(norm));
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
