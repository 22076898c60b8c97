//! `zoo doctor`: what this machine can do, and whether the numerical libraries work on it.

use super::config::{self, Config};
use super::{Global, models};
use crate::base::machine::{Memory, cpu_name, free_bytes};
use crate::hub::{HubConfig, cached_model, zoo_home};
use crate::kernels::{self, Chosen, Isa};
use crate::registry::Registry;
use crate::report::numbers::{short_bytes, short_count};
use crate::report::table::NO_BOUND;
use crate::report::terminal_width;
use crate::report::words::beside;

/// What the environment may say.
const VARIABLES: [&str; 11] = [
    "ZOO_HOME",
    "ZOO_ISA",
    "ZOO_LOG",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "NO_COLOR",
    "RAYON_NUM_THREADS",
    "XDG_CACHE_HOME",
];

/// Columns before what is said.
const VALUE: usize = 16;

/// Report what this machine can do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo doctor
  ZOO_HOME=/big/disk/zoo zoo doctor

The exit code is 1 if the linear algebra of this build gives wrong numbers.")]
pub struct Args {}

pub fn run(_args: &Args, global: &Global) -> anyhow::Result<()> {
    let lapack = lapack();
    let mut facts = vec![("program", format!("zoo {}", env!("CARGO_PKG_VERSION")))];
    facts.extend(processor());
    facts.extend(memory(Memory::read()));
    facts.push(("BLAS", blas().to_owned()));
    let words = lapack.as_ref().map_or_else(|wrong| format!("WRONG: {wrong}"), |&fine| fine.to_owned());
    facts.push(("LAPACK", words));
    facts.extend(cache(&models::registry(global)?));
    facts.extend(settings()?);
    let width = terminal_width();
    // A line for each fact where programs look for one.
    let line = |name: &str, value: &str| match width {
        NO_BOUND => format!("{name:<VALUE$}{value}\n"),
        width => beside(name, value, VALUE, width),
    };
    let text: String = facts.iter().map(|(name, value)| line(name, value)).collect();
    models::deliver(&text, None)?;
    lapack.map(|_| ()).map_err(|wrong| anyhow::anyhow!("LAPACK gives wrong numbers: {wrong}"))
}

fn processor() -> Vec<(&'static str, String)> {
    let mut facts = vec![("CPU", cpu_name())];
    let features = cpu_features();
    let features = if features.is_empty() { "none that matter here".to_owned() } else { features.join(" ") };
    facts.push(("CPU features", format!("{} ({})", features, std::env::consts::ARCH)));
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |n| n.to_string());
    let threads = rayon::current_num_threads();
    facts.extend(products());
    facts.push(("threads", format!("{threads} used of {cores} (RAYON_NUM_THREADS changes it)")));
    facts
}

/// What products are made with, and what would be wider but is not used.
fn products() -> Vec<(&'static str, String)> {
    let Chosen { isa, passed_over, took } = kernels::chosen();
    let of = |isa: Isa| isa.name();
    let milliseconds = took.as_secs_f64() * 1e3;
    let chosen =
        format!("{} (checked against sums in f64 in {milliseconds:.1} ms; ZOO_ISA changes it)", of(*isa));
    let not = passed_over.iter().map(|(isa, why)| ("not used", format!("{}: {why}", of(*isa))));
    std::iter::once(("products", chosen)).chain(not).collect()
}

/// Those of these features that the processor has.
macro_rules! detected {
    ($is_detected:ident: $($feature:tt)*) => {
        [$(($feature, $is_detected!($feature))),*].into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
    };
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let features: Vec<_> = detected!(is_x86_feature_detected: "avx" "avx2" "fma" "f16c" "avx512f" "avx512bw" "avx512vnni" "avx512bf16" "avxvnni");
    features.into_iter().chain(kernels::has_tiles().then_some("amx-bf16")).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected;
    detected!(is_aarch64_feature_detected: "neon" "fp16" "dotprod" "bf16" "i8mm")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

/// Total and available memory and what fits.
fn memory(memory: Option<Memory>) -> Vec<(&'static str, String)> {
    let Some(Memory { total, available, limit }) = memory else {
        return vec![("memory", "unknown on this system".to_owned())];
    };
    let (total, free) = (short_bytes(total), short_bytes(available));
    let limited =
        limit.map_or(String::new(), |limit| format!(", this process may have {}", short_bytes(limit)));
    // Weights of 16 bits are held as such; a gibibyte is for everything else.
    let fits = short_count(available.saturating_sub(1 << 30) / 2);
    vec![
        ("memory", format!("{total}, {free} available{limited}")),
        (
            "would fit",
            format!(
                "a model of {fits} parameters (16 bits each); larger ones are read from the disk layer by layer"
            ),
        ),
    ]
}

#[cfg(feature = "openblas")]
fn blas() -> &'static str {
    "OpenBLAS, for zoo diff and zoo extract-lora, and as --matmul blas"
}

#[cfg(not(feature = "openblas"))]
fn blas() -> &'static str {
    "none in this build; zoo diff shows no spectra, and there is no --matmul blas"
}

/// Checks LAPACK on a matrix whose singular values are known: those of [[3, 0], [4, 5]] are the square
/// roots of 45 and 5.
#[cfg(feature = "openblas")]
fn lapack() -> Result<&'static str, String> {
    use ndarray_linalg::SVD;
    let matrix = ndarray::array![[3.0_f64, 0.0], [4.0, 5.0]];
    let (_, values, _) = matrix.svd(false, false).map_err(|error| error.to_string())?;
    let expected = [45.0_f64.sqrt(), 5.0_f64.sqrt()];
    let right = values.len() == 2 && values.iter().zip(expected).all(|(v, e)| (v - e).abs() < 1e-12);
    if right {
        Ok("works (singular values checked)")
    } else {
        Err(format!("expected {expected:?}, found {values}"))
    }
}

#[cfg(not(feature = "openblas"))]
fn lapack() -> Result<&'static str, String> {
    Ok("none in this build; install OpenBLAS (Debian: apt-get install libopenblas-dev pkg-config) and build \
        with the default features to get it")
}

fn cache(registry: &Registry) -> Vec<(&'static str, String)> {
    let config = match HubConfig::from_env() {
        Ok(config) => config,
        Err(error) => return vec![("cache", format!("unusable: {error}"))],
    };
    let home = config.home.display();
    let state = if config.home.is_dir() { "" } else { " (not created yet)" };
    let free = free_bytes(&config.home).map_or_else(|| "unknown".to_owned(), short_bytes);
    let here: Vec<&str> = registry
        .cards()
        .iter()
        .filter(|card| cached_model(card, &config).is_some())
        .map(|card| card.id.as_str())
        .collect();
    let here = if here.is_empty() { "none (zoo pull MODEL fetches one)".to_owned() } else { here.join(", ") };
    let token = if config.token.is_some() { "with a token" } else { "without a token" };
    let offline = if config.offline { ", offline" } else { "" };
    vec![
        ("cache", format!("{home}{state}")),
        ("disk free", free),
        ("models here", here),
        ("hub", format!("{} {token}{offline}", config.endpoint)),
    ]
}

/// What is not as it is by itself, and where that was said.
fn settings() -> anyhow::Result<Vec<(&'static str, String)>> {
    let own = match (Config::load()?, zoo_home()) {
        (Some(own), _) => own.describe(),
        (None, Ok(home)) => format!("{} would be read (flags win)", home.join(config::FILE).display()),
        (None, Err(_)) => "none".to_owned(),
    };
    let set = VARIABLES.iter().filter_map(|&name| Some((name, std::env::var_os(name)?)));
    let set = set.map(|(name, value)| match name {
        "HF_TOKEN" => name.to_owned(),
        _ => format!("{name}={}", value.to_string_lossy()),
    });
    let set: Vec<String> = set.collect();
    let set = if set.is_empty() { "sets nothing".to_owned() } else { set.join(" ") };
    Ok(vec![("settings", own), ("environment", set)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_says_what_fits() {
        let plenty = Memory { total: 16_384_000_000, available: 10_240_000_000, limit: None };
        let lines = memory(Some(plenty));
        assert_eq!(lines[0].1, "16.4 GB, 10.2 GB available");
        assert_eq!(
            lines[1].1,
            "a model of 4.58B parameters (16 bits each); larger ones are read from the disk layer by layer"
        );
        let limited = memory(Some(Memory { available: 3_000_000_000, limit: Some(4_000_000_000), ..plenty }));
        assert_eq!(limited[0].1, "16.4 GB, 3.0 GB available, this process may have 4.0 GB");
        assert_eq!(memory(None), [("memory", "unknown on this system".to_owned())]);
    }

    #[test]
    fn lapack_of_this_build_is_right() {
        let words = lapack().unwrap();
        assert!(words.contains(if cfg!(feature = "openblas") { "checked" } else { "libopenblas-dev" }));
    }
}
