//! How numbers are computed, and with how much of the machine.

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::exit::Usage;
use crate::cli::format::one_of;
use crate::cli::size::ByteSize;
use crate::kernels::Isa;
use crate::kernels::Precision;
use crate::model::Residence;
use crate::run::Computing;

/// How numbers are computed.
#[derive(Debug, Clone, clap::Args)]
pub struct ComputingFlags {
    /// Context length in tokens [default: the model's]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub max_length: Option<usize>,
    /// Memory to use, such as 4GiB or 500MB; a larger model is read from the disk layer by layer, once per forward
    /// pass [default: what is free]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Distinct tokens in one forward pass [default: chosen by model size and memory]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub batch_tokens: Option<usize>,
    #[command(flatten)]
    pub threads: Threads,
    /// Arithmetic of matrix products: exact (weights as they are stored, everything in f32), bf16 or int8
    #[arg(long, default_value = "exact", value_name = "NAME", value_parser = precisions())]
    pub precision: Precision,
    /// Where layers are kept between forward passes [default: in memory if they fit]
    #[arg(long, value_name = "WHERE", value_parser = one_of([
        (Residence::Memory, "memory", "In memory, all of them"),
        (Residence::Disk, "disk", "On the disk, read once per pass"),
    ]))]
    pub layers: Option<Residence>,
    /// Implementation of matrix products: native, blas (OpenBLAS, exact only) or portable (linear layers without vector instructions)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(["native", "blas", "portable"]))]
    pub matmul: Option<String>,
}

/// How many threads everything that runs in parallel has.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Threads {
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<usize>,
}

impl Threads {
    /// Makes it so, once for the whole program.
    pub fn apply(self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().context("cannot set the number of threads")?;
        }
        Ok(())
    }
}

impl ComputingFlags {
    /// As the options of a run have them.
    pub fn computing(&self) -> Computing {
        Computing {
            max_length: self.max_length,
            memory: self.memory.map(|size| size.0),
            batch_tokens: self.batch_tokens,
            precision: self.precision,
            layers: self.layers,
            matmul: self.matmul.clone(),
            ..Computing::default()
        }
    }
}

/// The names of precisions, each with what it means.
pub fn precisions() -> impl TypedValueParser<Value = Precision> {
    let helps = [
        (Precision::Exact, "Weights as they are stored, everything in f32"),
        (Precision::Bf16, "Weights and activations rounded to bf16, sums in f32"),
        (Precision::Int8, "Weights and activations as 8-bit integers in blocks of 32"),
    ];
    one_of(helps.map(|(precision, help)| (precision, precision.name(), help)))
}

/// More threads than any machine has cores: a number that was meant for something else.
const MOST_THREADS: usize = 1024;

/// Reads a number of threads.
fn threads(text: &str) -> Result<usize, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = MOST_THREADS.max(cores);
    match at_least_one(text)? {
        n if n <= most => Ok(n),
        _ => Err(format!("expected at most {most} threads; this machine has {cores} cores")),
    }
}

/// Refuses a number of threads in the environment that `--threads` would refuse.
///
/// # Errors
/// [`Usage`].
pub fn check_threads_of_environment() -> Result<(), Usage> {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    match std::env::var(VARIABLE) {
        // What is no number, and 0, are as if nothing was set.
        Ok(text) if text.parse::<usize>().is_ok_and(|n| n > 0) => {
            threads(&text).map(|_| ()).map_err(|reason| Usage(format!("{VARIABLE}={text}: {reason}")))
        }
        _ => Ok(()),
    }
}

/// Has products made with the instruction set that the environment names, in place of the widest that is right here.
///
/// # Errors
/// [`Usage`], for a name of none that this processor has.
pub fn choose_instructions_of_environment() -> Result<(), Usage> {
    const VARIABLE: &str = "ZOO_ISA";
    match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => {
            Isa::ask_for(&name).map_err(|reason| Usage(format!("{VARIABLE}={name}: {reason}")))
        }
        _ => Ok(()),
    }
}

/// Reads a whole number above 0.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}
