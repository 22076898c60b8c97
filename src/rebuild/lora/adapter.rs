//! An adapter's folder: its configuration, the matrices of each module, and what else it brings.
//!
//! Files name a module's matrices `base_model.model.<module>.lora_A.weight` and `….lora_B.weight`; dictionaries saved
//! from memory have the adapter's name before `weight`, and some tools leave the prefix off. All are read. A
//! tensor that nothing here understands is a refusal: the PEFT library skips it in silence, and the merge then reports
//! success without having done anything.
//! Source: `get_peft_model_state_dict` of the PEFT library.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::config::AdapterConfig;
use super::targets::is_or_ends;
use crate::base::fault::Refusal;
use crate::forms::{FormError, Sidecar, SidecarContent};
use crate::rebuild::delta::{EMBEDDING, OUTPUT};
use crate::tokenizer::Tokenizer;
use crate::weights::{self, TensorInfo, TensorSource};

/// The files an adapter's weights may be in, best first.
const WEIGHT_FILES: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What PEFT puts before the names of the model.
const PREFIX: &str = "base_model.model.";
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
    /// Number of tokens of that tokenizer, added ones included.
    pub(super) tokens: Option<usize>,
    /// Things that are no reason to stop.
    pub notes: Vec<String>,
}

/// The names of a module's two matrices in the adapter's file.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    /// `[rank, in]`.
    pub a: String,
    /// `[out, rank]`.
    pub b: String,
}

/// What a tensor's name says.
#[derive(Debug, PartialEq, Eq)]
enum Role<'a> {
    /// `lora_A` of a module.
    A(&'a str),
    /// `lora_B` of a module.
    B(&'a str),
    /// The whole weight of a module.
    Saved(&'a str),
    /// Part of a relative of LoRA, in words.
    Relative(&'static str),
    Unknown,
}

fn role(name: &str) -> Role<'_> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    // "weight", or an adapter's name and "weight".
    let ends = |rest: &str| match rest.strip_suffix("weight") {
        Some("") => true,
        Some(label) => label.strip_suffix('.').is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => false,
    };
    for (mark, make) in [(".lora_A.", Role::A as fn(_) -> _), (".lora_B.", Role::B as fn(_) -> _)] {
        if let Some((module, rest)) = name.split_once(mark) {
            return match rest {
                rest if ends(rest) => make(module),
                rest if rest.ends_with("bias") => Role::Relative("a bias of lora_B"),
                _ => Role::Unknown,
            };
        }
    }
    if name.contains("lora_magnitude_vector") {
        return Role::Relative("a magnitude vector (DoRA)");
    }
    if name.contains("lora_embedding_") {
        return Role::Relative("a low-rank update of an embedding");
    }
    if let Some((module, rest)) = name.split_once(".modules_to_save.") {
        return if ends(rest) { Role::Saved(module) } else { Role::Unknown };
    }
    match name.strip_suffix(".weight") {
        Some(module) if !module.contains("lora_") => Role::Saved(module),
        _ if name.ends_with(".bias") => Role::Relative("a bias"),
        _ => Role::Unknown,
    }
}

impl Adapter {
    /// Reads an adapter and checks all that can be checked without its base: kind, names, ranks, finite values.
    ///
    /// # Errors
    /// [`FormError::Refused`] for each way in which adapters are empty, partial, of another kind or damaged;
    /// reading errors.
    pub fn open(folder: &Path) -> Result<Adapter, FormError> {
        let config = AdapterConfig::read(folder)?;
        let file = WEIGHT_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
        let Some(file) = file else {
            let found = "neither";
            let advice = "fetch the adapter's weights into its folder";
            let place = folder.display().to_string();
            return Err(Refusal::new(place, WEIGHT_FILES.join(" or "), found, advice).into());
        };
        let sidecars = tokenizer_files(folder);
        let tokens = match sidecars.iter().any(|s| s.name == "tokenizer.model" || s.name == "tokenizer.json")
        {
            true => Some(Tokenizer::from_folder(folder)?.vocab_size()),
            false => None,
        };
        let notes = config.notes.clone();
        Self::new(folder, &file, config, weights::open(&file)?, sidecars, tokens, notes)
    }

    fn new(
        folder: &Path,
        file: &Path,
        config: AdapterConfig,
        tensors: Box<dyn TensorSource>,
        sidecars: Vec<Sidecar>,
        tokens: Option<usize>,
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
        for info in self.tensors.tensors() {
            let name = &info.name;
            let (slot, module) = match role(name) {
                Role::A(module) => (0, module),
                Role::B(module) => (1, module),
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
                (Some(a), Some(b)) => Pair { a, b },
                (Some(a), None) => return Err(missing("lora_B", &a)),
                (None, Some(b)) => return Err(missing("lora_A", &b)),
                (None, None) => unreachable!("a module is listed with its first half"),
            };
            self.pairs.insert(module, pair);
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
            if self.saved.contains_key(name) && !listed {
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

    /// Modules in the file that the configuration does not name.
    fn check_targets(&self, file: &Path) -> Result<(), Box<Refusal>> {
        match self.pairs.keys().find(|module| !self.config.includes(module)) {
            None => Ok(()),
            Some(module) => {
                let expected = format!("a module of target_modules in {}", self.config.path().display());
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
        for pair in self.pairs.values() {
            if tensors.tensor(&pair.b)?.to_f32()?.iter().any(|x| *x != 0.0) {
                return Ok(());
            }
        }
        self.notes.push(format!(
            "{}: all lora_B are zero: an adapter that was not trained; merging it changes no projection",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix_and_infix() {
        let module = "model.layers.0.self_attn.q_proj";
        for name in [
            "base_model.model.M.lora_A.weight",
            "base_model.model.M.lora_A.default.weight",
            "M.lora_A.weight",
        ] {
            assert_eq!(role(&name.replace('M', module)), Role::A(module), "{name}");
        }
        assert_eq!(role("base_model.model.x.lora_B.my-run.weight"), Role::B("x"));
        assert_eq!(role("base_model.model.lm_head.weight"), Role::Saved("lm_head"));
        assert_eq!(role("lm_head.modules_to_save.default.weight"), Role::Saved("lm_head"));
        for name in [
            "x.lora_A.a.b.weight",
            "x.lora_A",
            "x.lora_A.weights",
            "x.lora_C.weight",
            "x",
            "",
            "x.lora_Aweight",
        ] {
            assert_eq!(role(name), Role::Unknown, "{name}");
        }
        for name in ["x.lora_magnitude_vector", "x.lora_embedding_A", "x.bias", "x.lora_B.bias"] {
            assert!(matches!(role(name), Role::Relative(_)), "{name}");
        }
    }
}
