//! An adapter's folder: its configuration, the matrices of each module, and what else it brings.
//!
//! Files name a module's matrices `base_model.model.<module>.lora_A.weight` and `….lora_B.weight`; dictionaries saved
//! from memory have the adapter's name before `weight`, and some tools leave the prefix off. Updates of embeddings are called
//! `lora_embedding_A` and `…_B`, and the weight below an update of the vocabulary `….base_layer.weight`. All are read. A
//! tensor that nothing here understands is a refusal: the PEFT library skips it in silence, and the merge then reports
//! success without having done anything.
//! Source: `get_peft_model_state_dict` of the PEFT library.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::config::AdapterConfig;
use super::role::{Role, role};
use super::targets::is_or_ends;
use crate::base::fault::Refusal;
use crate::base::recognise::dangling_fault;
use crate::forms::{FormError, OF_INTEGERS, Sidecar, SidecarContent, of_integers};
use crate::rebuild::delta::{EMBEDDING, OUTPUT};
use crate::tokenizer::Tokenizer;
use crate::weights::{self, TensorInfo, TensorSource, WeightsError};

/// The files an adapter's weights may be in, best first.
const WEIGHT_FILES: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// Files that make up a tokenizer in a Hugging Face folder.
pub(crate) const TOKENIZER_FILES: [&str; 8] = [
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// A LoRA adapter that was read and found whole.
pub struct Adapter {
    /// The adapter's folder; its configuration and weights are in it.
    pub path: PathBuf,
    /// What it says of itself.
    pub config: AdapterConfig,
    /// Its tensors under the names of the file.
    pub(super) tensors: Box<dyn TensorSource>,
    /// Module path → its two matrices.
    pub(super) pairs: BTreeMap<String, Pair>,
    /// Name of a model's tensor → name of the tensor here that takes its place.
    pub(super) saved: BTreeMap<String, String>,
    /// The tokenizer's files, if it brings one.
    pub(super) sidecars: Vec<Sidecar>,
    /// How many tokens that tokenizer has.
    pub(super) tokens: Option<VocabularySize>,
    /// Things that are no reason to stop.
    pub notes: Vec<String>,
}

/// Tokens of a tokenizer.
#[derive(Debug, Clone, Copy)]
pub(super) struct VocabularySize {
    /// All, added ones included.
    pub all: usize,
    /// Those that a text can become.
    pub needed: usize,
}

/// The names of a module's two matrices in the adapter's file.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    /// `[rank, in]`.
    pub a: String,
    /// `[out, rank]`.
    pub b: String,
    /// Whether the module is an embedding, whose weight is `[in, out]`: the product is turned round.
    pub of_embedding: bool,
}

impl Adapter {
    /// Reads an adapter and checks all that can be checked without its base: kind, names, ranks, finite values.
    ///
    /// # Errors
    /// [`FormError::Refused`] for each way in which adapters are empty, partial, of another kind or damaged;
    /// reading errors.
    pub fn open(folder: &Path) -> Result<Adapter, FormError> {
        let config = AdapterConfig::read(folder)?;
        let files: Vec<PathBuf> = WEIGHT_FILES.iter().map(|name| folder.join(name)).collect();
        if let Some(fault) = files.iter().find_map(|file| dangling_fault(file)) {
            return Err(WeightsError::from(fault).into());
        }
        let Some(file) = files.into_iter().find(|file| file.is_file()) else {
            let found = "neither";
            let advice = "fetch the adapter's weights into its folder";
            let place = folder.display().to_string();
            return Err(Refusal::new(place, WEIGHT_FILES.join(" or "), found, advice).into());
        };
        let sidecars = tokenizer_files(folder);
        let tokens = match sidecars.iter().any(|s| s.name == "tokenizer.model" || s.name == "tokenizer.json")
        {
            true => {
                let tokenizer = Tokenizer::from_folder(folder)?;
                Some(VocabularySize { all: tokenizer.vocab_size(), needed: tokenizer.rows_needed() })
            }
            false => None,
        };
        let notes = config.notes.clone();
        let tensors = weights::open(&file)?;
        weights::refuse_placeholders(tensors.as_ref(), &file)?;
        if let Some(info) = of_integers(tensors.as_ref()) {
            let place = format!("{}: {}", file.display(), info.name);
            let found = format!("whole numbers ({})", info.dtype);
            return Err(Refusal::new(place, "weights, such as F32", found, OF_INTEGERS).into());
        }
        if let Some(weights::Wrapped { found, advice }) = weights::wrapper(tensors.as_ref(), true) {
            let place = file.display().to_string();
            return Err(Refusal::new(place, "an adapter's names, as PEFT writes them", found, advice).into());
        }
        Self::new(folder, &file, config, tensors, sidecars, tokens, notes)
    }

    fn new(
        folder: &Path,
        file: &Path,
        config: AdapterConfig,
        tensors: Box<dyn TensorSource>,
        sidecars: Vec<Sidecar>,
        tokens: Option<VocabularySize>,
        notes: Vec<String>,
    ) -> Result<Adapter, FormError> {
        let (pairs, saved) = (BTreeMap::new(), BTreeMap::new());
        let path = folder.to_owned();
        let mut adapter = Adapter { path, config, tensors, pairs, saved, sidecars, tokens, notes };
        adapter.sort_tensors(file)?;
        adapter.check_saved(file)?;
        adapter.check_ranks(file)?;
        adapter.check_targets(file)?;
        adapter.check_values(file)?;
        Ok(adapter)
    }

    /// Its tensors under the names of the file.
    pub fn tensors(&self) -> &dyn TensorSource {
        self.tensors.as_ref()
    }

    /// Modules that the configuration names and that have no matrices.
    pub fn targets_without_tensors(&self) -> Vec<&str> {
        let has_pair = |target: &str| self.pairs.keys().any(|module| is_or_ends(module, target));
        self.config.target_names().iter().map(String::as_str).filter(|target| !has_pair(target)).collect()
    }

    /// Gives each tensor its part, and refuses those without one.
    fn sort_tensors(&mut self, file: &Path) -> Result<(), Box<Refusal>> {
        let place = |name: &str| format!("{}: {name}", file.display());
        let mut halves: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
        let (mut embeddings, mut bases) = (BTreeSet::new(), Vec::new());
        for info in self.tensors.tensors() {
            let name = &info.name;
            let (slot, module) = match role(name) {
                Role::A(module) => (0, module),
                Role::B(module) => (1, module),
                Role::EmbeddingA(module) => {
                    embeddings.insert(module.to_owned());
                    (0, module)
                }
                Role::EmbeddingB(module) => (1, module),
                Role::Base(module) => {
                    bases.push((module.to_owned(), name.clone()));
                    continue;
                }
                Role::Saved(module) => {
                    let listed = self.config.modules_to_save.iter().any(|save| is_or_ends(module, save));
                    let target = format!("{module}.weight");
                    if !listed && target != EMBEDDING && target != OUTPUT {
                        let expected = "only modules of modules_to_save whole";
                        let advice =
                            "complete adapter_config.json if the module was trained, or fetch it again";
                        return Err(Refusal::new(place(name), expected, "another module's weight", advice));
                    }
                    if let Some(first) = self.saved.insert(target, name.clone()) {
                        return Err(twice(&place(name), &first));
                    }
                    continue;
                }
                Role::Relative(what) => {
                    let advice = "merge it with the PEFT library itself, which knows this kind";
                    return Err(Refusal::new(place(name), "the tensors of plain LoRA", what, advice));
                }
                Role::Unknown => {
                    let expected = "lora_A, lora_B or the weight of a saved module";
                    let advice = "fetch the adapter again, or convert it to PEFT's names";
                    return Err(Refusal::new(place(name), expected, "another tensor", advice));
                }
            };
            let half = &mut halves.entry(module.to_owned()).or_default()[slot];
            if let Some(first) = half.replace(name.clone()) {
                return Err(twice(&place(name), &first));
            }
        }
        if halves.is_empty() {
            let expected = "tensors lora_A and lora_B";
            let found = format!("{} tensors, none of them lora_", self.tensors.tensors().len());
            let advice = "the file is an empty adapter, which some versions of training scripts wrote: fetch another \
                          revision";
            return Err(Refusal::new(file.display().to_string(), expected, found, advice));
        }
        for (module, [a, b]) in halves {
            let missing = |half: &str, there: &str| {
                let expected = format!("{module}.{half}.weight beside it");
                let advice = "the adapter is incomplete: fetch it again";
                Refusal::new(place(there), expected, format!("no {half}"), advice)
            };
            let pair = match (a, b) {
                (Some(a), Some(b)) => Pair { a, b, of_embedding: embeddings.contains(&module) },
                (Some(a), None) => return Err(missing("lora_B", &a)),
                (None, Some(b)) => return Err(missing("lora_A", &b)),
                (None, None) => unreachable!("a module is listed with its first half"),
            };
            self.pairs.insert(module, pair);
        }
        // PEFT saves the weight under its update where that is of the vocabulary, and loads it into the base again.
        for (module, name) in bases {
            if !self.pairs.contains_key(&module) {
                let expected = format!("an update of {module}, whose weight before it this is");
                let advice = "the adapter is incomplete: fetch it again";
                return Err(Refusal::new(place(&name), expected, "none", advice));
            }
            if let Some(first) = self.saved.insert(format!("{module}.weight"), name.clone()) {
                return Err(twice(&place(&name), &first));
            }
        }
        Ok(())
    }

    /// Every module that was trained whole must be there, and vocabularies must agree.
    fn check_saved(&mut self, file: &Path) -> Result<(), Box<Refusal>> {
        let place = file.display().to_string();
        for save in &self.config.modules_to_save {
            let module =
                |target: &String| target.strip_suffix(".weight").is_some_and(|m| is_or_ends(m, save));
            if !self.saved.keys().any(module) {
                let expected = format!("the whole weight of {save}, which modules_to_save lists");
                let advice = "the adapter is incomplete: fetch it again";
                return Err(Refusal::new(place, expected, "no such tensor", advice));
            }
        }
        let rows = |name: &str| self.info_of_saved(name).and_then(|info| info.shape.first().copied());
        if let (Some(embedding), Some(output)) = (rows(EMBEDDING), rows(OUTPUT))
            && embedding != output
        {
            let expected = format!("as many rows in lm_head as in embed_tokens, {embedding}");
            let advice = "the adapter mixes two vocabularies and is unusable: fetch it again";
            return Err(Refusal::new(place, expected, format!("{output} rows"), advice));
        }
        for name in [EMBEDDING, OUTPUT] {
            let module = name.trim_end_matches(".weight");
            let listed = self.config.modules_to_save.iter().any(|save| is_or_ends(module, save));
            if self.saved.contains_key(name) && !listed && !self.pairs.contains_key(module) {
                self.notes.push(format!(
                    "{place}: {name}: expected it in modules_to_save, found it in the file only; it replaces the \
                     base's, as PEFT does"
                ));
            }
        }
        Ok(())
    }

    /// The tensor that takes the place of `name` in the model.
    pub(super) fn info_of_saved(&self, name: &str) -> Option<&TensorInfo> {
        let name = self.saved.get(name)?;
        Some(self.tensors.info(name).expect("saved modules are tensors of the file"))
    }

    fn check_ranks(&self, file: &Path) -> Result<(), Box<Refusal>> {
        for (module, pair) in &self.pairs {
            let rank = self.config.rank_of(module);
            for (name, axis, form) in [(&pair.a, 0, "[rank, in]"), (&pair.b, 1, "[out, rank]")] {
                let shape = &self.tensors.info(name).expect("both halves are tensors of the file").shape;
                if shape.len() == 2 && shape.get(axis) == Some(&rank) {
                    continue;
                }
                let expected =
                    format!("shape {form} with rank {rank}, as {} says", self.config.path().display());
                let advice = "configuration and weights are of different adapters: fetch both again";
                let place = format!("{}: {name}", file.display());
                return Err(Refusal::new(place, expected, format!("{shape:?}"), advice));
            }
        }
        Ok(())
    }

    /// Modules in the file that the configuration does not mean.
    fn check_targets(&self, file: &Path) -> Result<(), Box<Refusal>> {
        match self.pairs.keys().find(|module| !self.config.includes(module)) {
            None => Ok(()),
            Some(module) => {
                let expected = format!(
                    "a module of target_modules (in a layer of layers_to_transform, if there is such a list) in {}",
                    self.config.path().display()
                );
                let advice = "configuration and weights are of different adapters: fetch both again";
                let place = format!("{}: {module}", file.display());
                Err(Refusal::new(place, expected, "another module", advice))
            }
        }
    }

    /// Finite values only; and a note if nothing would change.
    fn check_values(&mut self, file: &Path) -> Result<(), FormError> {
        let tensors = self.tensors.as_ref();
        let bad: Vec<(&TensorInfo, usize)> = tensors
            .tensors()
            .par_iter()
            .map(|info| Ok((info, tensors.tensor(&info.name)?.non_finite()?.total())))
            .collect::<Result<_, FormError>>()?;
        if let Some((info, count)) = bad.into_iter().find(|(_, count)| *count > 0) {
            let place = format!("{}: {}", file.display(), info.name);
            let advice = "the training of this adapter failed or the file is damaged: take another revision";
            let found = format!("{count} that are NaN or infinite");
            return Err(Refusal::new(place, "finite values", found, advice).into());
        }
        for (module, pair) in &self.pairs {
            let is_scaled = self.config.scale_of(module) != 0.0;
            if is_scaled && tensors.tensor(&pair.b)?.to_f32()?.iter().any(|x| *x != 0.0) {
                return Ok(());
            }
        }
        self.notes.push(format!(
            "{}: all lora_B are zero, or lora_alpha is: an adapter that was not trained; merging it changes no projection",
            file.display()
        ));
        Ok(())
    }
}

fn twice(place: &str, first: &str) -> Box<Refusal> {
    let advice = "the file holds several adapters: save one of them alone";
    Refusal::new(
        place,
        "one tensor for each part of a module",
        format!("a second one beside {first}"),
        advice,
    )
}

/// The tokenizer's files in a folder.
fn tokenizer_files(folder: &Path) -> Vec<Sidecar> {
    let there =
        TOKENIZER_FILES.iter().map(|name| (name, folder.join(name))).filter(|(_, file)| file.is_file());
    there
        .map(|(name, file)| Sidecar { name: (*name).to_owned(), content: SidecarContent::File(file) })
        .collect()
}
