//! A model as the user names it, found on disk or fetched, ready to be loaded.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::Context;

use super::asked::AskedTask;
use crate::base::digest::sha256;
use crate::base::machine::Memory;
use crate::base::progress::Progress;
use crate::cli::build::{Given, given_for};
use crate::cli::eval::Args;
use crate::cli::exit::Usage;
use crate::cli::source::{existing_path, locate, name_of};
use crate::cli::{Global, models};
use crate::engine::{ARITHMETIC, LanguageModel, Limits, LocalModel, Placement, Recorded};
use crate::hub;
use crate::kernels::{self, MatMul, Precision};
use crate::model::{Checkpoint, Footprint, Network};
use crate::records::{Identity, Ledger, ModelSettings};
use crate::registry::Card;
use crate::store::Lock;
use crate::tokenizer::Tokenizer;
use crate::verify::norms_of_a_difference;
use crate::weights::FileDigests;

/// A model to be evaluated.
pub struct Subject {
    /// The name in tables.
    pub name: String,
    /// Its card, if it has one.
    pub card: Option<Card>,
    /// Weights and configuration, opened.
    pub checkpoint: Checkpoint,
    /// Digest of the weights' files.
    pub weights_sha256: String,
    /// What it was built from, if it was built here.
    pub lock: Option<Lock>,
    /// Name of the matrix products' implementation.
    pub matmul: &'static str,
    /// What is multiplied.
    pub precision: Precision,
    /// What it takes in memory, and where its layers are.
    pub footprint: Footprint,
    /// Bytes that it may use.
    pub memory_budget: u64,
    /// The decision about it.
    pub placement: Placement,
    limits: Limits,
    tokenizer: OnceCell<Tokenizer>,
}

/// Refuses a `--from` that is part of none of the models.
pub fn refuse_unused_parts(args: &Args, global: &Global) -> anyhow::Result<()> {
    if args.from.is_empty() {
        return Ok(());
    }
    let registry = models::registry(global)?;
    let cards: Vec<&Card> = args.models.iter().filter_map(|name| registry.find(name).ok()).collect();
    let is_used = |given: &&Given| {
        cards.iter().any(|card| !given_for(card, &registry, std::slice::from_ref(*given)).is_empty())
    };
    match args.from.iter().find(|given| !is_used(given)) {
        Some(given) => {
            let (name, models) = (given.name(), args.models.join(", "));
            Err(Usage(format!("--from {name}=…: nothing that {models} is built from is called {name}"))
                .into())
        }
        None => Ok(()),
    }
}

impl Subject {
    /// Resolves `name`: an existing path, or a model of the registry, which is fetched if need be.
    pub fn find(name: &str, args: &Args, global: &Global) -> anyhow::Result<Self> {
        if args.weights.is_some() && args.models.len() > 1 {
            return Err(Usage("--weights goes with a single model".to_owned()).into());
        }
        let (card, path) = match existing_path(name)? {
            Some(path) => (None, path),
            None => {
                let registry = models::registry(global)?;
                let card = models::find(&registry, name)?.clone();
                let path = match &args.weights {
                    Some(path) => path.clone(),
                    None => {
                        // A stray part is refused by name where it can only be meant for this model.
                        let several = args.models.len() > 1;
                        let own = several.then(|| given_for(&card, &registry, &args.from));
                        locate(&card, &registry, own.as_deref().unwrap_or(&args.from), global)?
                    }
                };
                (Some(card), path)
            }
        };
        let checkpoint = Checkpoint::open(&path)?;
        let lock = Lock::find(&path)?;
        if let Some(lock) = &lock {
            lock.check_files(&path)?;
        }
        if !args.allow_difference {
            refuse_difference(&path, &checkpoint)?;
        }
        let matmul = matmul(args)?;
        let footprint = checkpoint.footprint(matmul.as_ref())?;
        let memory_budget = budget(args);
        let residence = args.layers.map(Into::into);
        let placement = Placement::decide(&footprint, memory_budget, args.batch_tokens, residence)?;
        let name = card.as_ref().map_or_else(|| name_of(&path), |card| card.id.clone());
        let digests = FileDigests::new(hub::zoo_home().ok().map(|home| home.join("digests")));
        let weights_sha256 = digests
            .of(&checkpoint.weights.files())
            .with_context(|| format!("cannot read the weights of {name}"))?;
        let limits = Limits::new(&checkpoint.config, args.max_length, placement.wave_tokens);
        let matmul = matmul.name();
        let (precision, tokenizer) = (args.precision.into(), OnceCell::new());
        Ok(Self {
            name,
            card,
            checkpoint,
            weights_sha256,
            lock,
            matmul,
            precision,
            footprint,
            memory_budget,
            placement,
            limits,
            tokenizer,
        })
    }

    /// Its tokenizer: the GGUF file's vocabulary, or the files beside the weights. Read once.
    pub fn tokenizer(&self) -> anyhow::Result<&Tokenizer> {
        if let Some(known) = self.tokenizer.get() {
            return Ok(known);
        }
        let path = &self.checkpoint.path;
        let tokenizer = match &self.checkpoint.gguf {
            Some(metadata) => Tokenizer::from_gguf(metadata).with_context(|| path.display().to_string())?,
            None if path.is_dir() => Tokenizer::from_folder(path)?,
            None => Tokenizer::from_folder(path.parent().unwrap_or_else(|| Path::new(".")))?,
        };
        Ok(self.tokenizer.get_or_init(|| tokenizer))
    }

    /// Whose scores its scores are.
    pub fn identity(&self) -> anyhow::Result<Identity> {
        Ok(Identity {
            weights_sha256: self.weights_sha256.clone(),
            config_sha256: self.config_sha256(),
            tokenizer_sha256: self.tokenizer()?.sha256().to_owned(),
            precision: self.precision.name().to_owned(),
            matmul: self.matmul.to_owned(),
            arithmetic: ARITHMETIC,
        })
    }

    /// What its numbers depend on, down to the last bit.
    pub fn settings(&self) -> anyhow::Result<ModelSettings> {
        let Limits { max_length, wave_tokens, .. } = self.limits;
        // OpenBLAS sums differently where the shape of a product differs; our own products do not.
        let matmul = match self.matmul {
            "blas" => {
                format!("blas, --batch-tokens {wave_tokens}, --threads {}", rayon::current_num_threads())
            }
            other => other.to_owned(),
        };
        Ok(ModelSettings {
            name: self.name.clone(),
            weights_sha256: self.weights_sha256.clone(),
            config_sha256: self.config_sha256(),
            tokenizer_sha256: self.tokenizer()?.sha256().to_owned(),
            max_length,
            matmul,
        })
    }

    /// Digest of shape and constants as they were read: the weights' digest does not cover `config.json`.
    fn config_sha256(&self) -> String {
        // Every field, numbers with all digits that tell them apart.
        sha256(format!("{:?}", self.checkpoint.config))
    }

    /// The model: its weights, or, where `ledger` knows every answer, nothing but that.
    pub fn model(
        &self,
        ledger: &Ledger,
        tasks: &[AskedTask<'_>],
        progress: &dyn Progress,
    ) -> anyhow::Result<Box<dyn LanguageModel>> {
        if Recorded::answers(ledger, tasks.iter().flat_map(|(_, encoded)| encoded.requests())) {
            return Ok(Box::new(Recorded(self.limits)));
        }
        Ok(Box::new(self.load(progress)?))
    }

    /// Reads the weights.
    pub fn load(&self, progress: &dyn Progress) -> anyhow::Result<LocalModel> {
        Ok(LocalModel::new(self.network(self.precision, progress)?, self.limits))
    }

    /// Reads the weights for products of a precision.
    pub fn network(&self, precision: Precision, progress: &dyn Progress) -> anyhow::Result<Network> {
        let matmul = kernels::by_name(self.matmul, precision).context("no matrix products")?;
        progress.begin(&format!("reading {}", self.name), None, crate::base::progress::Unit::Items);
        let network = self.checkpoint.load(matmul, self.placement.residence);
        progress.end();
        Ok(network?)
    }

    /// How it is laid out in waves.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

/// A difference loads like a model and talks like noise: never run one by mistake.
fn refuse_difference(path: &Path, checkpoint: &Checkpoint) -> anyhow::Result<()> {
    match norms_of_a_difference(checkpoint.weights.as_ref())? {
        Some(median) => anyhow::bail!(
            "{}: expected a model, whose norm weights have a mean magnitude near 1 (median over all norms above 0.05), \
             found {median:.4}: these are the values of a difference. Add it to its base first (zoo build, zoo verify says \
             more), or score it as it is with --allow-difference",
            path.display()
        ),
        None => Ok(()),
    }
}

/// What one network may use, in bytes: what `--memory` says, else what is free, else (on systems that do not tell) no
/// bound.
fn budget(args: &Args) -> u64 {
    // A part is left to the system and to other programs.
    let free = Memory::read().map_or(u64::MAX, |memory| memory.available - memory.available / 16);
    let available = args.memory.map_or(free, |size| size.0);
    // Two networks at a time have half each.
    if args.against.is_some() { available / 2 } else { available }
}

/// The implementation that was asked for; one that this build lacks is an error that says how to get it.
fn matmul(args: &Args) -> anyhow::Result<Box<dyn MatMul>> {
    let name = args.matmul.as_deref().unwrap_or("native");
    let precision = Precision::from(args.precision);
    kernels::by_name(name, precision).ok_or_else(|| {
        let reason = if kernels::names().contains(&name) {
            format!("--matmul {name} computes exact products alone; --precision {precision} goes with native")
        } else {
            format!(
                "--matmul {name}: this zoo was built without OpenBLAS; it has {}. Build it with the default features \
                 (Debian: apt-get install libopenblas-dev pkg-config) to have blas",
                kernels::names().join(", ")
            )
        };
        Usage(reason).into()
    })
}
