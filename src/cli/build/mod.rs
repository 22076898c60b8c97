//! `zoo build`: a model from the form in which it was released.

mod make;
mod parts;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;

use super::exit::Usage;
use super::interrupted::{kept_in_cache, kept_of, listen_for_again};
use super::{Global, bar, models};
use crate::base::progress::Progress;
use crate::hub::HubConfig;
use crate::registry::{Card, Registry, ReleaseKind, Rule};
use crate::store::{LOCK_FILE, Lock, StoreOptions, WrittenModel};
use make::make;
use parts::{BuildParts, PartSources};
pub use parts::{Given, PartState, given_for, part_states};

use super::size::ByteSize;

/// Rebuild a model from the form in which it was released
///
/// Deltas, differences, encrypted files and adapters are not models: they become one together with the weights that
/// they were made from. The parts are taken from --from, from the cache, from earlier builds and from the hub, and
/// are checked before anything is computed. The result is complete or absent, and an interrupted build goes on where it
/// stopped. Its zoo.lock.yaml records what it was made from and the digest of every tensor.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zoo build vicuna-13b-v1.1 --from llama-13b=/models/llama/13B --out ./vicuna-13b
  zoo build chinese-alpaca-plus-7b --from llama-7b=/models/llama/7B
  zoo build belle-llama-7b-2m --from llama-7b=/models/llama/7B/consolidated.00.pth
  zoo build --rule peft_lora --from base=./llama-7b-hf --from adapter=./my-adapter --out ./merged

A path may be a model in any form that zoo reads: Hugging Face's layout, Meta's folder, a GGUF file. Without --out the
model goes into the cache, where zoo eval finds it by its name.")]
pub struct Args {
    /// A model of the registry (zoo list)
    #[arg(value_name = "MODEL", conflicts_with = "rule")]
    model: Option<String>,
    /// Where to find a part, named by the model it belongs to (zoo show MODEL) or by its role: base, delta, diff,
    /// encrypted, adapter, key
    #[arg(long, value_name = "NAME=PATH")]
    from: Vec<Given>,
    /// How the parts become weights, for models that have no card
    #[arg(long, value_name = "RULE", requires = "out", value_parser = PossibleValuesParser::new(Rule::ALL.map(Rule::as_str)))]
    rule: Option<String>,
    /// The folder to write [default: in the cache]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Largest size of the tensors in one file, such as 5GB or 500MB
    #[arg(long, default_value = "5GB", value_name = "SIZE")]
    shard_size: ByteSize,
    /// Replace an earlier build in that folder
    #[arg(long)]
    force: bool,
    /// Use only what is on this machine
    #[arg(long)]
    offline: bool,
}

pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let progress = bar(global);
    let options =
        StoreOptions { shard_bytes: args.shard_size.0, force: args.force, ..StoreOptions::default() };
    let written = match (&args.model, &args.rule) {
        (Some(name), _) => {
            let registry = models::registry(global)?;
            let config = HubConfig::from_env()?;
            let card = models::find(&registry, name)?;
            let out = args.out.clone().unwrap_or_else(|| built_folder(&config, &card.id));
            let (fetched, target) = (kept_in_cache(&config), out.clone());
            listen_for_again(move || format!("{}; {fetched}", kept_of(&target, true)))?;
            let fetch: Option<&dyn Progress> = if args.offline { None } else { Some(&progress) };
            let places = PartSources { config: &config, fetch };
            build_card(card, &registry, &args.from, places, &out, &options, &progress)?
        }
        (None, None) => {
            let expected =
                "expected a MODEL of the registry (zoo list), or --rule with its parts (--from) and --out";
            bail!(Usage(expected.to_owned()));
        }
        (None, Some(rule)) => {
            let known = |known: &Rule| known.as_str() == rule;
            let rule = Rule::ALL.into_iter().find(known).context("expected a rule that is known")?;
            let out = args.out.as_deref().context("expected --out")?;
            let target = out.to_owned();
            listen_for_again(move || kept_of(&target, true))?;
            let parts = BuildParts::by_role(rule, &args.from)?;
            make(&parts, None, out, &options, &progress)?
        }
    };
    models::deliver(&written.summary(), None)
}

/// Finds the parts of a card's release and builds the model.
fn build_card(
    card: &Card,
    registry: &Registry,
    given: &[Given],
    places: PartSources<'_>,
    out: &Path,
    options: &StoreOptions,
    progress: &dyn Progress,
) -> anyhow::Result<WrittenModel> {
    let (rule, card) = card.to_rebuild().ok_or_else(|| nothing_to_build(card))?;
    let parts = BuildParts::of_card(&card, rule, registry, given, places)?;
    make(&parts, Some((&card, registry)), out, options, progress)
}

/// Why a card's model cannot be built.
pub fn nothing_to_build(card: &Card) -> Usage {
    let id = &card.id;
    Usage(match card.release.kind {
        ReleaseKind::Full => format!(
            "{id} was released as whole weights, so nothing has to be built: zoo eval {id}, or zoo convert {id} for another \
             format"
        ),
        ReleaseKind::Unreleased => format!("no weights of {id} are public, so it cannot be built"),
        kind => format!("{id}: zoo has no rule for its release ({})", kind.as_str()),
    })
}

/// Where a build without `--out` goes, and where the other verbs look for it.
pub fn built_folder(config: &HubConfig, id: &str) -> PathBuf {
    config.home.join("built").join(id)
}

/// A finished build of a card in the cache.
pub fn built(card: &Card, config: &HubConfig) -> Option<PathBuf> {
    Some(built_folder(config, &card.id)).filter(|folder| folder.join(LOCK_FILE).is_file())
}

/// The folder of a model that has to be rebuilt: an earlier build, or a new one in the cache if all parts are here or
/// can be fetched.
pub fn find_or_build(
    card: &Card,
    registry: &Registry,
    given: &[Given],
    config: &HubConfig,
    global: &Global,
) -> anyhow::Result<PathBuf> {
    if let Some(folder) = built(card, config) {
        if !given.is_empty() {
            let lock = Lock::find(&folder)?.context("expected the lock of a finished build")?;
            let digest: String = lock.tensors_sha256.chars().take(12).collect();
            models::note(
                global,
                &format!(
                    "{}: the earlier build {digest} in {} is used; zoo build {} --force makes it anew",
                    card.id,
                    folder.display(),
                    card.id
                ),
            );
        }
        return Ok(folder);
    }
    let progress = bar(global);
    let out = built_folder(config, &card.id);
    let places = PartSources {
        config,
        fetch: Some(&progress).filter(|_| !config.offline).map(|p| p as &dyn Progress),
    };
    let written = build_card(card, registry, given, places, &out, &StoreOptions::default(), &progress)?;
    let id = &card.id;
    let folder = written.folder.display();
    let seconds = written.elapsed.as_secs_f64();
    models::note(global, &format!("{id} was built in {folder} in {seconds:.1} s ({})", written.lock.rule));
    Ok(written.folder)
}
