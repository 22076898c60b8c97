//! From released parts to a model: one entry for every rule of the family.
//!
//! Each rule says where weights, configuration and tokenizer come from: a difference brings its own configuration and
//! tokenizer, adapters change the base's, encrypted files are the model. What the card knows (digests, the sum of all
//! weights, rows of the vocabulary, the order of adapters) is checked beside. Everything wrong is refused here,
//! from headers and small files, before the first large tensor is computed; only encrypted files are
//! decrypted first, since nothing else can be read of them.

mod facts;
mod special_tokens;

use std::path::{Path, PathBuf};

pub use facts::{Facts, PublishedSum, check_digests};

use serde_json::{Map, Value};

use crate::base::fault::Refusal;
use crate::base::progress::Progress;
use crate::forms::{FormError, HfModel, Sidecar};
use crate::rebuild::delta::{Delta, DeltaRule, EMBEDDING, SumCheck, Summed};
use crate::rebuild::lora::{Adapter, TOKENIZER_FILES, merge};
use crate::rebuild::xor::{Decrypted, decrypt_folder};
use crate::rebuild::{InputFile, InputRecord};
use crate::registry::{ReleaseKind, Rule};
use crate::weights::TensorSource;

/// What is put together.
pub enum Parts<'a> {
    /// A base and a difference.
    Difference {
        /// The model that the difference was made from.
        base: HfModel,
        /// The release.
        released: HfModel,
    },
    /// A base and adapters, in the order in which they are merged.
    Adapters {
        /// The model that the first adapter was trained on.
        base: HfModel,
        /// The adapters' folders.
        adapters: Vec<Released>,
    },
    /// Encrypted files and their key.
    Encrypted {
        /// The folder of the `.enc` files.
        release: &'a Path,
        /// The key file.
        key: &'a Path,
        /// Where the plain files go until the model is written.
        work: &'a Path,
    },
}

/// An adapter that somebody released.
#[derive(Debug, Clone)]
pub struct Released {
    /// The id of its card, or what the user calls it.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// What its own card publishes; only its digests are used.
    pub facts: Facts,
}

/// A model that was put together; nothing of it is computed yet.
pub struct Derived {
    /// The model: tensors, configuration, tokenizer and other small files.
    pub model: HfModel,
    /// The rule's name.
    pub rule: &'static str,
    /// What is computed, in a sentence.
    pub arithmetic: String,
    /// What it is made from.
    pub inputs: Vec<InputRecord>,
    /// What is odd, but no reason to stop.
    pub warnings: Vec<String>,
    /// A published sum of all weights, to be compared once they have been written.
    pub sum: Option<SumCheck>,
    /// A folder of plain files that is not needed any more once the model is written.
    pub scratch: Option<PathBuf>,
}

/// Puts a model together by `rule`. `facts` is what the model's card says, or nothing.
///
/// # Errors
/// [`FormError::Refused`] if the parts are not those that the rule needs or do not belong together;
/// [`FormError::Weights`] for damaged files and wrong digests; input and output errors.
pub fn derive(
    rule: Rule,
    parts: Parts<'_>,
    facts: &Facts,
    progress: &dyn Progress,
) -> Result<Derived, FormError> {
    let mut derived = match (rule.kind(), parts) {
        (ReleaseKind::Delta | ReleaseKind::Diff, Parts::Difference { base, released }) => {
            difference(base, released, DeltaRule::of(rule))?
        }
        (ReleaseKind::Lora, Parts::Adapters { base, adapters }) => {
            merged(base, &adapters, rule, facts, progress)?
        }
        (ReleaseKind::Xor, Parts::Encrypted { release, key, work }) => {
            decrypted(release, key, work, facts, progress)?
        }
        (kind, parts) => {
            let (place, found) = parts.described();
            let expected = match kind {
                ReleaseKind::Xor => "encrypted files and their key",
                ReleaseKind::Lora => "a base and adapters",
                _ => "a base and a difference",
            };
            let advice =
                format!("use the rule of the model's card; {} is not for these files", rule.as_str());
            return Err(Refusal::new(place, expected, found, advice).into());
        }
    };
    derived.check_rows(facts)?;
    special_tokens::correct(&mut derived.model, &mut derived.warnings);
    if let Some(PublishedSum { sum, atol }) = facts.sum {
        let model = derived.model;
        let (tensors, check) = Summed::new(model.tensors, sum, atol, &model.config);
        derived.model = HfModel { tensors: Box::new(tensors), ..model };
        derived.sum = Some(check);
    }
    Ok(derived)
}

impl Parts<'_> {
    fn described(&self) -> (String, &'static str) {
        match self {
            Parts::Difference { released, .. } => {
                (released.path.display().to_string(), "a base and a difference")
            }
            Parts::Adapters { base, .. } => (base.path.display().to_string(), "a base and adapters"),
            Parts::Encrypted { release, .. } => {
                (release.display().to_string(), "encrypted files and their key")
            }
        }
    }
}

impl Derived {
    /// Rows of the embedding against the card.
    fn check_rows(&self, facts: &Facts) -> Result<(), Box<Refusal>> {
        let rows = rows(&self.model);
        match (facts.rows, rows) {
            (Some(expected), Some(found)) if expected != found as u64 => Err(Refusal::new(
                format!("{}: {EMBEDDING}", self.model.path.display()),
                format!("{expected} rows, as the model's card says"),
                format!("{found}"),
                "the files are of another model: compare their names with the card's, and the order of adapters",
            )),
            _ => Ok(()),
        }
    }
}

fn rows(model: &HfModel) -> Option<usize> {
    model.tensors.info(EMBEDDING).and_then(|info| info.shape.first().copied())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Makes the configuration say what the tensors are.
fn describe_tensors(
    tensors: &dyn TensorSource,
    config: &mut Map<String, Value>,
    name: &str,
    warnings: &mut Vec<String>,
) {
    let Some(info) = tensors.info(EMBEDDING) else { return };
    let Some(&rows) = info.shape.first() else { return };
    let stated = config.insert("vocab_size".to_owned(), Value::from(rows));
    if let Some(stated) = stated.filter(|stated| stated.as_u64() != Some(rows as u64)) {
        warnings.push(format!(
            "{name}: vocab_size: expected {rows}, the rows of {EMBEDDING}, found {stated}; the result says {rows}"
        ));
    }
    if let Some(dtype) = info.dtype.torch_name() {
        config.insert("torch_dtype".to_owned(), Value::from(dtype));
    }
}

/// Base plus difference; configuration and tokenizer are the release's.
fn difference(base: HfModel, released: HfModel, rule: DeltaRule) -> Result<Derived, FormError> {
    let inputs = vec![
        InputRecord::of("base", &name_of(&base.path), base.tensors.as_ref()),
        InputRecord::of("delta", &name_of(&released.path), released.tensors.as_ref()),
    ];
    let (path, mut config) = (released.path.clone(), released.config.clone());
    let config_name = released.config_name.clone();
    let mut sidecars = released.sidecars.clone();
    let base_sidecars = base.sidecars.clone();
    let (delta, mut warnings) = Delta::new(base, released, rule)?;
    let is_tokenizer = |sidecar: &Sidecar| TOKENIZER_FILES.contains(&sidecar.name.as_str());
    if !sidecars.iter().any(is_tokenizer) {
        warnings.push(format!(
            "{}: expected the tokenizer's files beside the difference, found none; those of the base are used",
            path.display()
        ));
        sidecars.extend(base_sidecars.into_iter().filter(is_tokenizer));
    }
    describe_tensors(&delta, &mut config, &config_name, &mut warnings);
    let model = HfModel { path, tensors: Box::new(delta), config, config_name, sidecars };
    let arithmetic = rule.arithmetic.to_owned();
    Ok(Derived { model, rule: rule.name, arithmetic, inputs, warnings, sum: None, scratch: None })
}

/// Adapters one after the other; tokenizer and vocabulary are those of the last.
fn merged(
    base: HfModel,
    adapters: &[Released],
    rule: Rule,
    facts: &Facts,
    progress: &dyn Progress,
) -> Result<Derived, FormError> {
    check_order(adapters, facts)?;
    let mut inputs = vec![InputRecord::of("base", &name_of(&base.path), base.tensors.as_ref())];
    let mut warnings = Vec::new();
    let mut steps = Vec::new();
    let before = rows(&base);
    let mut model = base;
    for released in adapters {
        let known = check_digests(&released.path, &released.facts.digests, progress)?;
        let adapter = Adapter::open(&released.path)?;
        let mut input = InputRecord::of("adapter", &released.name, adapter.tensors());
        for InputFile { path, sha256 } in &mut input.files {
            *sha256 = path.file_name().and_then(|name| known.get(&*name.to_string_lossy()).cloned());
        }
        inputs.push(input);
        steps.push(adapter.config.summary());
        let (next, notes) = merge(model, adapter, rule)?;
        warnings.extend(notes);
        model = next;
    }
    if rule == Rule::ChineseLora && facts.merge_order.is_empty() {
        warnings.extend(plus_needs_its_base(before, rows(&model), adapters));
    }
    let HfModel { tensors, config, config_name, .. } = &mut model;
    describe_tensors(tensors.as_ref(), config, config_name, &mut Vec::new());
    let arithmetic = format!(
        "W + scale (B A), products in f32, each sum rounded once to the base's type, in this order: {}; saved modules \
         replace the base's",
        steps.join(", then ")
    );
    let rule = rule.as_str();
    Ok(Derived { model, rule, arithmetic, inputs, warnings, sum: None, scratch: None })
}

/// All adapters of the card, in its order.
fn check_order(adapters: &[Released], facts: &Facts) -> Result<(), Box<Refusal>> {
    let found: Vec<&str> = adapters.iter().map(|adapter| adapter.name.as_str()).collect();
    let order: Vec<&str> = facts.merge_order.iter().map(String::as_str).collect();
    let wrong = if order.is_empty() { found.is_empty() } else { found != order };
    if !wrong {
        return Ok(());
    }
    let expected = if order.is_empty() {
        "an adapter".to_owned()
    } else {
        format!("the adapters of {}, in this order", order.join(", then "))
    };
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", then ") };
    let place = adapters.last().map_or("adapters".to_owned(), |adapter| adapter.path.display().to_string());
    Err(Refusal::new(
        place,
        expected,
        found,
        "give every adapter with --from NAME=PATH; the order is the card's",
    ))
}

/// Chinese-Alpaca's 49954 rows come from two kinds of adapters that their shapes cannot tell apart.
fn plus_needs_its_base(before: Option<usize>, after: Option<usize>, adapters: &[Released]) -> Option<String> {
    /// Rows of LLaMA's vocabulary.
    const LLAMA: usize = 32_000;
    /// Rows of Chinese-Alpaca's vocabulary.
    const ALPACA: usize = 49_954;
    let [only] = adapters else { return None };
    (before == Some(LLAMA) && after == Some(ALPACA)).then(|| {
        format!(
            "{}: an adapter of Chinese-Alpaca directly on LLaMA: right for the basic one; Plus and Pro need the \
             adapter of Chinese-LLaMA-Plus first",
            only.path.display()
        )
    })
}

/// The plain files, opened as a model.
fn decrypted(
    release: &Path,
    key: &Path,
    work: &Path,
    facts: &Facts,
    progress: &dyn Progress,
) -> Result<Derived, FormError> {
    let Decrypted { folder, files, .. } =
        decrypt_folder(release, key, work, facts.key_sha256.as_deref(), progress)?;
    for file in &files {
        facts.check_digest(&folder.join(&file.name), &file.name, &file.sha256)?;
    }
    let model = HfModel::open(&folder)?;
    let released = files.iter().map(|file| format!("{}.{}.enc", file.name, file.sha256));
    let encrypted = released.map(|name| InputFile { path: release.join(name), sha256: None }).collect();
    let key_file = InputFile { path: key.to_owned(), sha256: facts.key_sha256.clone() };
    let inputs = vec![
        InputRecord { role: "release".to_owned(), name: name_of(release), files: encrypted },
        InputRecord { role: "key".to_owned(), name: name_of(key), files: vec![key_file] },
    ];
    let mut derived = Derived {
        model,
        rule: Rule::BelleXor.as_str(),
        arithmetic: "bytes of the release XOR bytes of the key, in blocks of 10 MiB; digests compared"
            .to_owned(),
        inputs,
        warnings: Vec::new(),
        sum: None,
        scratch: Some(folder),
    };
    special_tokens::note_empty(&derived.model, &mut derived.warnings);
    Ok(derived)
}

#[cfg(test)]
mod tests;
