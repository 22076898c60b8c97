//! `zoo doctor`: what this machine can do, and whether the numerical libraries work on it.

use std::fs;
use std::io::{self, Write};

use super::{Global, models};
use crate::hub::{HubConfig, cached_model, free_bytes};
use crate::registry::Registry;

/// Say what this machine can do.
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
    facts.extend(memory(&|path| fs::read_to_string(path).ok()));
    facts.push(("BLAS", blas().to_owned()));
    let words = lapack.as_ref().map_or_else(|wrong| format!("WRONG: {wrong}"), |&fine| fine.to_owned());
    facts.push(("LAPACK", words));
    facts.extend(cache(&models::registry(global)?));
    let mut out = io::stdout().lock();
    for (name, value) in facts {
        writeln!(out, "{name:<14}  {value}")?;
    }
    out.flush()?;
    lapack.map(|_| ()).map_err(|wrong| anyhow::anyhow!("LAPACK gives wrong numbers: {wrong}"))
}

fn processor() -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    if let Some((_, model)) = model {
        facts.push(("CPU", model.trim().to_owned()));
    }
    let features = cpu_features();
    let features = if features.is_empty() { "none that matter here".to_owned() } else { features.join(" ") };
    facts.push(("CPU features", format!("{} ({})", features, std::env::consts::ARCH)));
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |n| n.to_string());
    let threads = rayon::current_num_threads();
    facts.push(("threads", format!("{threads} used of {cores} (RAYON_NUM_THREADS changes it)")));
    facts
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avxvnni", is_x86_feature_detected!("avxvnni")),
    ];
    known.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected;
    let known = [
        ("neon", is_aarch64_feature_detected!("neon")),
        ("fp16", is_aarch64_feature_detected!("fp16")),
        ("dotprod", is_aarch64_feature_detected!("dotprod")),
        ("bf16", is_aarch64_feature_detected!("bf16")),
        ("i8mm", is_aarch64_feature_detected!("i8mm")),
    ];
    known.into_iter().filter(|(_, here)| *here).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

/// Total and available memory and what fits; `read` reads the system's files.
fn memory(read: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let info = read("/proc/meminfo").unwrap_or_default();
    let (Some(total), Some(mut available)) = (meminfo(&info, "MemTotal"), meminfo(&info, "MemAvailable"))
    else {
        return vec![("memory", "unknown on this system".to_owned())];
    };
    let number = |path| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let mut limited = String::new();
    if let Some(limit) = number("/sys/fs/cgroup/memory.max").filter(|limit| *limit < total) {
        let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
        available = available.min(limit.saturating_sub(used));
        limited = format!(", this process may have {}", models::short_bytes(limit));
    }
    let (total, free) = (models::short_bytes(total), models::short_bytes(available));
    // Two bytes for each weight, a fifth of the memory left for activations and the rest.
    // Weights are held as f32, beside what a run needs.
    let fits = models::short_count(available.saturating_sub(crate::model::WORKING_BYTES) / 4);
    vec![
        ("memory", format!("{total}, {free} available{limited}")),
        ("would fit", format!("a model of {fits} parameters (f32)")),
    ]
}

/// A line `Name:  123 kB` of `/proc/meminfo`, in bytes.
fn meminfo(info: &str, name: &str) -> Option<u64> {
    let rest = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(feature = "openblas")]
fn blas() -> &'static str {
    "OpenBLAS, the default; --matmul portable does without"
}

#[cfg(not(feature = "openblas"))]
fn blas() -> &'static str {
    "none in this build; products are those of the portable implementation"
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
    let free = free_bytes(&config.home).map_or_else(|| "unknown".to_owned(), models::short_bytes);
    let here: Vec<&str> = registry
        .cards()
        .iter()
        .filter(|card| cached_model(card, &config).is_some())
        .map(|card| card.id.as_str())
        .collect();
    let here = if here.is_empty() { "none (zoo pull MODEL fetches one)".to_owned() } else { here.join(", ") };
    let token = if config.token.is_some() { "with a token" } else { "without a token" };
    let offline = if config.offline { ", offline (HF_HUB_OFFLINE)" } else { "" };
    vec![
        ("cache", format!("{home}{state}")),
        ("disk free", free),
        ("models here", here),
        ("hub", format!("{} {token}{offline}", config.endpoint)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   10000000 kB\n";

    #[test]
    fn memory_is_what_the_system_says() {
        let facts = memory(&|path| (path == "/proc/meminfo").then(|| MEMINFO.to_owned()));
        assert_eq!(facts[0].1, "16.4 GB, 10.2 GB available");
        assert_eq!(facts[1].1, "about 4.10B parameters in bf16 or f16");
        assert_eq!(memory(&|_| None), [("memory", "unknown on this system".to_owned())]);
        assert_eq!(memory(&|_| Some("MemTotal: lots".to_owned()))[0].1, "unknown on this system");
    }

    #[test]
    fn a_container_has_what_its_group_may_use() {
        let facts = memory(&|path| match path {
            "/proc/meminfo" => Some(MEMINFO.to_owned()),
            "/sys/fs/cgroup/memory.max" => Some("4000000000\n".to_owned()),
            "/sys/fs/cgroup/memory.current" => Some("1000000000\n".to_owned()),
            _ => None,
        });
        assert_eq!(facts[0].1, "16.4 GB, 3.0 GB available, this process may have 4.0 GB");
        let unlimited = memory(&|path| match path {
            "/proc/meminfo" => Some(MEMINFO.to_owned()),
            "/sys/fs/cgroup/memory.max" => Some("max\n".to_owned()),
            _ => None,
        });
        assert_eq!(unlimited[0].1, "16.4 GB, 10.2 GB available");
    }

    #[test]
    fn lapack_of_this_build_is_right() {
        let words = lapack().unwrap();
        assert!(words.contains(if cfg!(feature = "openblas") { "checked" } else { "libopenblas-dev" }));
    }
}
