//! A model that was found, opened and ready to be loaded.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use super::error::During;
use super::options::Computing;
use super::{Options, RunError};
use crate::base::digest::sha256;
use crate::base::machine::Memory;
use crate::base::progress::{self, Progress, Unit};
use crate::base::stop::Stop;
use crate::config::ModelConfig;
use crate::engine::{ARITHMETIC, Limits, Pacing, Placement};
use crate::forms::{self, TokenizerSource};
use crate::hub;
use crate::kernels::{self, MatMul, Precision};
use crate::model::{Checkpoint, Footprint, Network};
use crate::records::{Identity, ModelSettings};
use crate::registry::Card;
use crate::report::numbers::short_bytes;
use crate::store::Lock;
use crate::tokenizer::Tokenizer;
use crate::verify::norms_of_a_difference;
use crate::weights::{FileDigests, is_gguf};

/// A model that was found on the disk.
#[derive(Debug, Clone)]
pub struct LocatedModel {
    /// The name in tables: the card's id, or what [`name_of`] says.
    pub name: String,
    /// Its card, if it has one.
    pub card: Option<Card>,
    /// Folder or file.
    pub path: PathBuf,
}

/// A folder's name, or a file's without its ending.
pub fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // In the hub's own cache a folder is called after a commit.
    let parts = full.components().filter_map(|part| part.as_os_str().to_str());
    if let Some((_, name)) =
        parts.filter_map(|part| part.strip_prefix("models--")?.rsplit_once("--")).next_back()
    {
        return name.to_owned();
    }
    // In zoo's own after a revision.
    if let Some(name) = hub::name_in_cache(&full) {
        return name;
    }
    let name = if full.is_dir() { full.file_name() } else { full.file_stem() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

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
    /// How it is laid out in waves.
    pub limits: Limits,
    tokenizer: OnceCell<Tokenizer>,
}

impl Subject {
    /// Opens a model; nothing large is read, but for the digest of a model that is new here.
    ///
    /// # Errors
    /// What of it cannot be read or used, and a difference that is taken for a model.
    pub fn open(found: LocatedModel, options: &Options) -> Result<Self, RunError> {
        let LocatedModel { name, card, path } = found;
        let computing = &options.computing;
        let checkpoint = Checkpoint::open(&path)?;
        let lock = Lock::find(&path)?;
        if let Some(lock) = &lock {
            lock.check_files(&path)?;
        }
        if !computing.allow_difference {
            refuse_difference(&path, &checkpoint)?;
        }
        let matmul = matmul(computing)?;
        let footprint = checkpoint.footprint(matmul.as_ref())?;
        let memory_budget = budget(computing);
        let placement =
            Placement::decide(&footprint, memory_budget, computing.batch_tokens, computing.layers)?;
        let weights_sha256 = weights_sha256(&checkpoint, &name)?;
        let limits = Limits::new(&checkpoint.config, computing.max_length, placement.wave_tokens);
        Ok(Self {
            name,
            card,
            checkpoint,
            weights_sha256,
            lock,
            matmul: matmul.name(),
            precision: computing.precision,
            footprint,
            memory_budget,
            placement,
            limits,
            tokenizer: OnceCell::new(),
        })
    }

    /// Its tokenizer, read once.
    pub fn tokenizer(&self) -> Result<&Tokenizer, RunError> {
        if let Some(known) = self.tokenizer.get() {
            return Ok(known);
        }
        let tokenizer = tokenizer(&self.checkpoint)?;
        Ok(self.tokenizer.get_or_init(|| tokenizer))
    }

    /// How its waves are cut.
    pub fn pacing(&self) -> Pacing {
        pacing(self.matmul, &self.checkpoint.config, &self.footprint, &self.placement, self.memory_budget)
    }

    /// What its products are called where their last bits count.
    pub fn name_of_bits(&self) -> String {
        kernels::name_of_bits(self.matmul, self.precision)
    }

    /// Whose scores its scores are.
    pub fn identity(&self) -> Result<Identity, RunError> {
        Ok(Identity {
            weights_sha256: self.weights_sha256.clone(),
            config_sha256: config_sha256(&self.checkpoint),
            tokenizer_sha256: self.tokenizer()?.sha256().to_owned(),
            precision: self.precision.name().to_owned(),
            matmul: self.name_of_bits(),
            arithmetic: ARITHMETIC,
        })
    }

    /// What its numbers depend on, down to the last bit, but for its chat templates.
    pub fn settings(&self, computing: &Computing) -> Result<ModelSettings, RunError> {
        let Limits { max_length, wave_tokens, .. } = self.limits;
        let matmul = match self.pacing() {
            Pacing::AsPlanned => {
                let (name, threads) = (self.name_of_bits(), rayon::current_num_threads());
                format!("{name}, --batch-tokens {wave_tokens}, --threads {threads}")
            }
            Pacing::ByTime { .. } => self.name_of_bits(),
        };
        Ok(ModelSettings {
            name: self.name.clone(),
            weights_sha256: self.weights_sha256.clone(),
            config_sha256: config_sha256(&self.checkpoint),
            tokenizer_sha256: self.tokenizer()?.sha256().to_owned(),
            max_length,
            matmul,
            arithmetic: Some(computing.arithmetic()),
            templates: None,
        })
    }

    /// Says how the model is run, and why so.
    pub fn explain(&self) {
        let Self { name, checkpoint, precision, matmul, limits, placement, .. } = self;
        tracing::info!("{name}: {precision} arithmetic, weights of {}", checkpoint.path.display());
        tracing::debug!(
            "{name}: {matmul} products; contexts of at most {} tokens; layers {:?}: {} of {} that may be used; at most {} \
             distinct tokens in a forward pass",
            limits.max_length,
            placement.residence,
            short_bytes(placement.total),
            short_bytes(self.memory_budget),
            placement.wave_tokens
        );
    }

    /// Reads the weights for products of a precision, until somebody asks for the end.
    pub fn network(
        &self,
        precision: Precision,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<Network, RunError> {
        let matmul = kernels::by_name(self.matmul, precision);
        // The model was opened for products of its own precision.
        let refused = || format!("--against {precision}: --matmul {} has no such products", self.matmul);
        let matmul = matmul.ok_or_else(|| RunError::Usage(refused()))?;
        let what = format!("reading {}", self.name);
        Ok(progress::during(progress, &what, None, Unit::Items, || {
            self.checkpoint.load_until(stop, matmul, self.placement.residence)
        })?)
    }
}

/// Digest of the weights' files; remembered, so that they are read once.
pub(super) fn weights_sha256(checkpoint: &Checkpoint, name: &str) -> Result<String, RunError> {
    let digests = FileDigests::new(hub::zoo_home().ok().map(|home| home.join("digests")));
    // A file of the cache has to be the one that was fetched, not only as long.
    let is_as_fetched = |path: &Path, sha256: &str| match hub::changed_since(path, sha256) {
        Some(reason) => Err(io::Error::other(format!("{}: {reason}", path.display()))),
        None => Ok(()),
    };
    digests
        .of_checked(&checkpoint.weights.files(), is_as_fetched)
        .during(|| format!("cannot read the weights of {name}"))
}

/// Digest of shape and constants as they were read: the weights' digest does not cover `config.json`.
pub(super) fn config_sha256(checkpoint: &Checkpoint) -> String {
    // Every field, numbers with all digits that tell them apart.
    sha256(format!("{:?}", checkpoint.config))
}

/// Where the tokenizer in a folder or file is read from, whether there are weights or not.
pub(super) fn tokenizer_source(path: &Path) -> Result<TokenizerSource, RunError> {
    let has_own = ["tokenizer.json", "tokenizer.model"].iter().any(|file| path.join(file).is_file());
    match has_own && !is_gguf(path) {
        true => Ok(TokenizerSource::Folder(path.to_owned())),
        false => Ok(forms::open(path)?.tokenizer),
    }
}

/// The tokenizer of a model: the GGUF file's vocabulary, or the files beside the weights.
pub(super) fn tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer, RunError> {
    let read = checkpoint.tokenizer.read();
    match checkpoint.tokenizer {
        TokenizerSource::Gguf(_) => read.during(|| checkpoint.path.display().to_string()),
        _ => Ok(read?),
    }
}

/// A difference loads like a model and talks like noise: never run one by mistake.
fn refuse_difference(path: &Path, checkpoint: &Checkpoint) -> Result<(), RunError> {
    let Some(median) = norms_of_a_difference(checkpoint.weights.as_ref())? else { return Ok(()) };
    Err(RunError::room(format!(
        "{}: expected a model, whose norm weights have a mean magnitude near 1 (median over all norms above 0.05), \
         found {median:.4}: these are the values of a difference. Add it to its base first (zoo build, zoo verify says \
         more), or score it as it is with --allow-difference",
        path.display()
    )))
}

/// How waves are cut: OpenBLAS sums differently where the shape of a product differs; our own products do not.
pub(super) fn pacing(
    matmul: &str,
    config: &ModelConfig,
    footprint: &Footprint,
    placement: &Placement,
    memory_budget: u64,
) -> Pacing {
    if matmul == "blas" {
        return Pacing::AsPlanned;
    }
    // Tokens whose keys and values in all layers fit into the memory that is left; none where a forecast is of too large a model.
    let each = footprint.keys_and_values_per_token * config.shape().num_hidden_layers as u64;
    let left = memory_budget.saturating_sub(placement.total);
    let kept_tokens =
        left.checked_div(each).map_or(0, |tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
    Pacing::ByTime { residence: placement.residence, kept_tokens }
}

/// What one network may use, in bytes: what was said, else what is free, else (on systems that do not tell) no bound.
pub(super) fn budget(computing: &Computing) -> u64 {
    // A part is left to the system and to other programs.
    let free = Memory::read().map_or(u64::MAX, |memory| memory.available - memory.available / 16);
    let available = computing.memory.unwrap_or(free);
    // Two networks at a time have half each.
    if computing.against.is_some() { available / 2 } else { available }
}

/// The implementation that was asked for; one that this build lacks is an error that says how to get it.
pub(super) fn matmul(computing: &Computing) -> Result<Box<dyn MatMul>, RunError> {
    let name = computing.matmul.as_deref().unwrap_or("native");
    let precision = computing.precision;
    kernels::by_name(name, precision).ok_or_else(|| {
        RunError::Usage(if kernels::names().contains(&name) {
            format!("--matmul {name} computes exact products alone; --precision {precision} goes with native")
        } else {
            format!(
                "--matmul {name}: this zoo was built without OpenBLAS; it has {}. Build it with the default features \
                 (Debian: apt-get install libopenblas-dev pkg-config) to have blas",
                kernels::names().join(", ")
            )
        })
    })
}
