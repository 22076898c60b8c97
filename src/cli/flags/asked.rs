//! Which questions there are, whoever answers them, and where their files lie.

use std::path::PathBuf;

use crate::cli::{Global, models};
use crate::run::{Options, Places};
use crate::tasks::{DEFAULT_FEWSHOT_SEED, Limit};

/// Which questions there are.
#[derive(Debug, Clone, clap::Args)]
pub struct AskedFlags {
    /// Suites, groups or single tasks (zoo suites), separated by commas
    #[arg(short, long, value_delimiter = ',', visible_alias = "tasks", value_name = "SUITE")]
    pub suite: Vec<String>,
    /// Few-shot examples before each question [default: what the task file says]
    #[arg(short = 'f', long, alias = "num_fewshot", value_name = "N")]
    pub num_fewshot: Option<usize>,
    /// Only the first N documents of each task, or a part of them: 0.1, 10%
    #[arg(short = 'L', long, value_name = "N", value_parser = parse_limit)]
    pub limit: Option<Limit>,
    /// Text to put before every prompt; with a chat template, the system message
    #[arg(long, alias = "system_instruction", value_name = "TEXT")]
    pub system_instruction: Option<String>,
    /// Seed of the few-shot sampler
    #[arg(long, alias = "fewshot_seed", default_value_t = DEFAULT_FEWSHOT_SEED, value_name = "N")]
    pub fewshot_seed: u32,
    #[command(flatten)]
    pub folders: Folders,
}

/// Where task files and data sets are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Folders {
    /// A folder of data sets in the hub's layout, read in place [default: $ZOO_HOME, see zoo pull]
    #[arg(long, alias = "data_dir", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub tasks: TaskFolders,
}

/// Where task files are.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TaskFolders {
    /// A folder with task files of your own; may be given several times
    #[arg(long, alias = "include_path", value_name = "DIR")]
    pub include_path: Vec<PathBuf>,
}

impl AskedFlags {
    /// The options of a run that asks this.
    pub fn options(&self, global: &Global) -> Options {
        Options {
            suite: self.suite.clone(),
            num_fewshot: self.num_fewshot,
            limit: self.limit,
            system_instruction: self.system_instruction.clone(),
            fewshot_seed: self.fewshot_seed,
            places: Places {
                data_dir: self.folders.data_dir.clone(),
                include_path: self.folders.tasks.include_path.clone(),
                own_cards: models::own_folder(global),
                ..Places::default()
            },
            ..Options::default()
        }
    }
}

/// Reads `100`, `0.1` or `10%`.
fn parse_limit(text: &str) -> Result<Limit, String> {
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::NAN);
    let limit = match text.strip_suffix('%').map(number) {
        // 100 % would be one document.
        Some(per_cent) => Limit::try_from(if per_cent < 100.0 { per_cent / 100.0 } else { f64::NAN }),
        None => Limit::try_from(number(text)),
    };
    limit.map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_part() {
        for (text, limit) in [
            ("100", Limit::Count(100)),
            ("100.0", Limit::Count(100)),
            ("1", Limit::Count(1)),
            ("0.1", Limit::Fraction(0.1)),
            ("7%", Limit::Fraction(0.07)),
        ] {
            assert_eq!(parse_limit(text), Ok(limit), "{text}");
        }
        for text in ["0", "-1", "1.5", "0%", "100%", "150%", "ten", "", "%", "inf", "NaN", "1e300"] {
            assert!(parse_limit(text).unwrap_err().contains("10%"), "{text}");
        }
    }
}
