//! `zoo bench`: peak speeds of this machine, and how close a model comes to them.

mod args;
mod figures;
mod table;

use std::path::Path;

use anyhow::{Context, bail};

pub use args::Args;

use super::exit::Usage;
use super::{Global, bar, models, source};
use crate::base::atomic::write_atomically;
use crate::base::progress::{Progress, Unit, during};
use crate::base::whole;
use crate::bench::{
    BenchModel, MEASUREMENTS, Measurement, Peaks, PeerSpeed, SHAPES, beside, compare, comparison, decode,
    measurements, prefill, raise_peaks, read_lines, read_peers, read_speed, shape,
};
use crate::config::{self, ModelConfig};
use crate::kernels::Precision;
use crate::model::Checkpoint;
use crate::report::{Format, terminal_width};

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    // What is wrong with the other table is said before anything is measured.
    let other = args.vs.as_deref().map(read_other).transpose()?;
    let peers =
        args.vs_csv.iter().map(|path| read_peers_of(path)).collect::<anyhow::Result<Vec<_>>>()?.concat();
    args.threads.apply()?;
    let subject = subject(args, global)?;
    let progress = bar(global);
    let peaks = during(&progress, "measuring the machine", Some(MEASUREMENTS), Unit::Items, || {
        Peaks::measure(&progress)
    });
    let mut measured = Measurement::of_machine(&peaks);
    if let Some(file) = subject.largest_file() {
        let goes = during(&progress, "reading from the disk", None, Unit::Items, || read_speed(&file))?;
        measured.extend(goes.map(Measurement::of_disk));
    }
    for &precision in &args.precision {
        measured.extend(speeds(&subject, precision, args, &peaks, &progress)?);
    }
    let exceeded = raise_peaks(&mut measured);
    figures::keep(&subject, &args.precision, &measured, global);
    if let Some((path, other)) = args.vs.as_deref().zip(other)
        && compare(&mut measured, &other) == 0
    {
        models::note(global, &format!("{}: none of its lines is one of this run", path.display()));
    }
    if let Some(path) = &args.out {
        write_atomically(path, measurements(&measured).csv().as_bytes())?;
    }
    let pairs = beside(&measured, &peers);
    if pairs.is_empty() && !peers.is_empty() {
        let asked: Vec<String> =
            peers.iter().map(|peer| format!("{} of {}", peer.what, peer.tokens)).collect();
        models::note(global, &format!("--vs-csv: none of these was measured: {}", asked.join(", ")));
    }
    let text = match args.format {
        Format::Table => {
            let page = table::page(&subject, &measured, (&peaks, &exceeded), args, terminal_width());
            match pairs.is_empty() {
                true => page,
                false => format!("{page}\n{}", comparison(&pairs).text(terminal_width())),
            }
        }
        format => format.draw(&measurements(&measured), terminal_width()),
    };
    models::deliver(&text, None)
}

/// The model that was named, or random weights in a shape.
fn subject(args: &Args, global: &Global) -> anyhow::Result<BenchModel> {
    let mut subject = match &args.model {
        Some(name) => {
            let named = source::find(name, global)?;
            let checkpoint = Checkpoint::open(&named.path)
                .with_context(|| format!("cannot open {}", named.path.display()))?;
            BenchModel::of_files(&named.name, checkpoint)
        }
        None => random(&args.shape)?,
    };
    if let Some(layers) = args.layers {
        if layers > subject.all_layers {
            let name = &subject.name;
            let has = subject.all_layers;
            bail!(Usage(format!("--layers {layers}: expected at most {has}, the layers of {name}")));
        }
        subject.cut(layers);
    }
    Ok(subject)
}

/// A built-in shape, or that of a configuration file.
fn random(name: &str) -> anyhow::Result<BenchModel> {
    if let Some(config) = shape(name) {
        return Ok(BenchModel::random(name, config));
    }
    let path = Path::new(name);
    if !path.is_file() {
        let known = SHAPES.join(", ");
        let expected =
            format!("expected {known} or a config.json; a model's folder is named without --shape");
        bail!(Usage(format!("--shape {name}: no such shape or file; {expected}")));
    }
    match config::hf::read(path)? {
        ModelConfig::Llama(config) => Ok(BenchModel::random(&path.display().to_string(), config)),
        other => Err(Usage(format!(
            "--shape {name}: expected the shape of a llama, found {}; name the folder with its weights instead",
            other.model_type()
        ))
        .into()),
    }
}

/// Everything about one precision; the weights are given back afterwards.
fn speeds(
    subject: &BenchModel,
    precision: Precision,
    args: &Args,
    peaks: &Peaks,
    progress: &dyn Progress,
) -> anyhow::Result<Vec<Measurement>> {
    let longest = args.tokens.iter().copied().max().unwrap_or(0);
    let step = |what: &str| format!("{precision}: {what}");
    let model = during(progress, &step("loading"), None, Unit::Items, || subject.load(precision, longest))?;
    let mut measured = Vec::new();
    for &tokens in &args.tokens {
        let what = step(&format!("prefill of {tokens} tokens"));
        measured.push(during(progress, &what, None, Unit::Items, || {
            prefill(&model, &subject.config, (precision, subject.weights()), tokens, peaks)
        })?);
    }
    for &sequences in args.sequences.iter().filter(|_| args.decode > 0) {
        let what = step(&format!("decoding {sequences} sequences"));
        measured.push(during(progress, &what, None, Unit::Items, || {
            decode(&model, &subject.config, (precision, subject.weights()), sequences, args.decode, peaks)
        })?);
    }
    Ok(measured)
}

/// The largest table of another run that is read, in bytes.
const MAX_OTHER: u64 = 16 << 20;

/// The speeds of other programs.
fn read_peers_of(path: &Path) -> anyhow::Result<Vec<PeerSpeed>> {
    let wrong = |error: String| Usage(format!("--vs-csv {}: {error}", path.display()));
    let bytes = whole::read(path, MAX_OTHER).map_err(|error| wrong(error.to_string()))?;
    Ok(read_peers(&bytes).map_err(|error| wrong(error.to_string()))?)
}

/// The table of another run.
fn read_other(path: &Path) -> anyhow::Result<Vec<Measurement>> {
    let wrong = |error: String| Usage(format!("--vs {}: {error}", path.display()));
    let bytes = whole::read(path, MAX_OTHER).map_err(|error| {
        wrong(format!("expected a table that zoo bench wrote (--out or --format csv), found none: {error}"))
    })?;
    Ok(read_lines(&bytes).map_err(|error| wrong(error.to_string()))?)
}
