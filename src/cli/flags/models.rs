//! Which models there are, and where they come from.

use std::path::PathBuf;

use crate::cli::build::Given;

/// Which models there are, and where they come from.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelFlags {
    /// Models: names of the registry (zoo list), org/name[@revision] of the hub, folders in Hugging Face's layout or Meta's,
    /// or .gguf files; zoo eval also takes remote:URL[,URL…][#MODEL], a model that OpenAI-style servers run
    #[arg(value_name = "MODEL", help_heading = None::<&'static str>)]
    pub models: Vec<String>,
    #[command(flatten)]
    pub sources: ModelSources,
}

/// Where models come from.
#[derive(Debug, Clone, clap::Args)]
pub struct ModelSources {
    /// Weights to use for a registry name instead of its published sources
    #[arg(long, value_name = "PATH")]
    pub weights: Option<PathBuf>,
    /// Where to find a part of a model that has to be rebuilt first (zoo build); may be given several times
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "weights")]
    pub from: Vec<Given>,
    /// Use only what is on this machine
    #[arg(long)]
    pub offline: bool,
}
