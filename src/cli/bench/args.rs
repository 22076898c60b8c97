//! The flags of `zoo bench`.

use std::path::PathBuf;

use crate::cli::flags::{Threads, at_least_one};
use crate::cli::format::formats;
use crate::kernels::Precision;
use crate::report::Format;

/// Measure this machine's peak speeds, and how close a model comes to them.
///
/// Peaks are loops that do nothing but multiply and add, or read memory. Prefill is one sequence through the whole
/// model with the logits of its last row; decode is one more token for each of some sequences, each after 256 others, as
/// answers are written. Beside each speed stands what it would be at the machine's peak.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo bench
  zoo bench smollm2-135m --precision exact,int8
  zoo bench ./my-model --tokens 512 --threads 4 --out before.csv
  zoo bench ./my-model --tokens 512 --threads 4 --vs before.csv
  zoo bench ./my-model --tokens 512 --sequences 1 --vs-csv llama-bench.csv --vs-csv torch.csv
  zoo bench --shape llama-7b --layers 4 --format csv
  zoo bench --shape ./config.json --decode 0

With --vs, lines with the same measurement, precision and tokens are compared. The
file does not record which model it is of. With --vs-csv, speeds of other programs on
the same model and machine stand beside these in the table.")]
pub struct Args {
    /// A model of the registry (zoo list), a folder or a .gguf file [default: random weights in a --shape]
    #[arg(value_name = "MODEL", conflicts_with = "shape")]
    pub model: Option<String>,
    /// The shape of random weights: smollm2-135m, tinyllama-1.1b, llama-7b, or a config.json
    #[arg(long, default_value = "smollm2-135m", value_name = "NAME|FILE")]
    pub shape: String,
    /// Only the first N layers
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub layers: Option<usize>,
    /// Arithmetic of matrix products, separated by commas: exact (weights as they are stored, everything in f32),
    /// bf16, int8
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "exact,bf16,int8",
        value_name = "NAME",
        value_parser = str::parse::<Precision>
    )]
    pub precision: Vec<Precision>,
    /// Lengths of prefill sequences in tokens, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "512,2048",
        value_name = "N",
        value_parser = at_least_one
    )]
    pub tokens: Vec<usize>,
    /// How many passes of decoding to time; 0 for none
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub decode: usize,
    /// How many sequences are decoded together, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,8,32",
        value_name = "N",
        value_parser = at_least_one
    )]
    pub sequences: Vec<usize>,
    #[command(flatten)]
    pub threads: Threads,
    /// How to print
    #[arg(long, default_value = "table", value_parser = formats([
        (Format::Table, "Aligned columns"),
        (Format::Csv, "Comma-separated values"),
        (Format::Json, "An array of objects"),
    ]))]
    pub format: Format,
    /// Also write the measurements to this CSV file
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Compare with the CSV file of another run or machine
    #[arg(long, value_name = "FILE")]
    pub vs: Option<PathBuf>,
    /// Compare with other programs: a file that llama-bench -o csv wrote, or one with the columns
    /// program,what,tokens,threads,value; may be given several times
    #[arg(long, value_name = "FILE")]
    pub vs_csv: Vec<PathBuf>,
}
