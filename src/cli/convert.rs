//! `zoo convert`: a model in another form or element type.

use std::io::{self, Write};
use std::path::PathBuf;

use super::source::Named;
use super::{Global, bar, models};
use crate::lineage::{HfModel, InputRecord, LineageRecord, SHARD_BYTES, StoreOptions, no_check, write_model};
use crate::weights::Dtype;

/// Write a model in another form or element type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo convert ./llama-7b --out ./llama-7b-hf
  zoo convert ./model.gguf --out ./model-f16 --dtype f16
  zoo convert smollm2-135m --out ./smollm2-bf16 --dtype bf16 --shard-size 200MB

The output is a folder in Hugging Face's layout with a zoo.lock.yaml, which holds the SHA-256 of every tensor. It has its
name when it is complete and not before. An interrupted call is gone on with by the same command.")]
pub struct Args {
    /// A registry id or alias, a folder, or a file of weights
    #[arg(value_name = "MODEL|PATH")]
    model: String,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Element type of float tensors
    #[arg(long, value_enum, default_value = "keep", value_name = "TYPE")]
    dtype: To,
    /// Most bytes of tensors in one file, such as 5GB or 500MB
    #[arg(long, default_value_t = ShardSize(SHARD_BYTES), value_name = "SIZE")]
    shard_size: ShardSize,
    /// Replace an earlier build in the folder
    #[arg(long)]
    force: bool,
}

/// An element type as the command line names it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum To {
    /// As they are
    Keep,
    /// Half precision
    F16,
    /// The upper half of f32
    Bf16,
    /// Single precision
    F32,
}

impl To {
    fn dtype(self) -> Option<Dtype> {
        match self {
            To::Keep => None,
            To::F16 => Some(Dtype::F16),
            To::Bf16 => Some(Dtype::BF16),
            To::F32 => Some(Dtype::F32),
        }
    }
}

/// A size in decimal units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShardSize(pub u64);

impl std::str::FromStr for ShardSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => Some(1),
            "KB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            _ => None,
        };
        let bytes = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
        bytes
            .filter(|&bytes| bytes > 0)
            .map(ShardSize)
            .ok_or_else(|| "expected a whole number of bytes with a unit: 5GB, 500MB or 20KB".to_owned())
    }
}

impl std::fmt::Display for ShardSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "KB")];
        match units.into_iter().find(|(size, _)| self.0.is_multiple_of(*size)) {
            Some((size, unit)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let Named { name, path, .. } = Named::find(&args.model, global)?;
    let model = HfModel::open(&path)?;
    let dtype = args.dtype.dtype();
    let lineage = LineageRecord {
        model: None,
        rule: "convert".to_owned(),
        arithmetic: match dtype {
            None => "every tensor as it was".to_owned(),
            Some(dtype) => format!("floats widened to f32, then rounded once to {dtype}, ties to even"),
        },
        inputs: vec![InputRecord::of("source", &name, model.tensors.as_ref())],
    };
    let options =
        StoreOptions { dtype, shard_bytes: args.shard_size.0, force: args.force, ..Default::default() };
    let written = write_model(&model, &args.out, &options, lineage, &no_check, &bar(global))?;
    let mut out = io::stdout().lock();
    written.print(&mut out)?;
    out.flush()?;
    Ok(())
}

impl crate::lineage::Written {
    /// What was written, and what to do with it.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (folder, lock) = (self.folder.display(), &self.lock);
        let weights = lock.files.iter().filter(|file| file.name.ends_with(".safetensors")).count();
        writeln!(
            out,
            "{folder}: {} tensors, mostly {}, {} in {weights} {} after {:.1} s",
            lock.tensors.len(),
            lock.dtype,
            models::short_bytes(self.tensor_bytes),
            if weights == 1 { "file" } else { "files" },
            self.elapsed.as_secs_f64()
        )?;
        writeln!(out, "tensors_sha256 {}", lock.tensors_sha256)?;
        writeln!(out, "next: zoo eval {folder} --suite basics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        let read = |text: &str| text.parse::<ShardSize>();
        for (text, bytes) in
            [("5GB", 5_000_000_000), ("500mb", 500_000_000), ("20kb", 20_000), ("7", 7), ("7B", 7)]
        {
            assert_eq!(read(text), Ok(ShardSize(bytes)), "{text}");
        }
        for text in ["", "GB", "0GB", "-1GB", "5 GB", "5GiB", "1.5GB", "99999999999GB"] {
            assert!(read(text).unwrap_err().contains("500MB"), "{text}");
        }
        assert_eq!(ShardSize(SHARD_BYTES).to_string(), "5GB");
        assert_eq!(ShardSize(1234).to_string(), "1234B");
    }
}
